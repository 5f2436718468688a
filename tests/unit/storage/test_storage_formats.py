"""What an earlier release stored is read by this one, and is plain: no pickles, other tools read it too."""

from __future__ import annotations

import hashlib
import json
import math
import shutil
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from penult_service.storage import Storage
from penult_service.vectors import digest_of_parts

FIXTURES = Path(__file__).parents[2] / "fixtures"
RELEASES = sorted(path.name for path in FIXTURES.glob("storage-*"))
TEXTS = ["good", None, "NA", "007", "line\nbreak", "ümläut 👩", ""]
VECTORS = (np.arange(21).reshape(7, 3) / 4).astype(np.float32)
IDS = [f"id-{i}" for i in range(7)]


def test_there_is_a_fixture() -> None:
    assert "storage-0.1" in RELEASES


@pytest.fixture(params=RELEASES)
def data(request: pytest.FixtureRequest, memory: Path) -> Path:
    return Path(shutil.copytree(FIXTURES / request.param, memory / "data"))


def test_sets_of_an_earlier_release(data: Path) -> None:
    for _ in range(2):
        with Storage(data) as storage:
            assert [(info.name, info.rows, info.problem) for info in storage.sets.list().sets] == [
                ("folded", 7, ""),
                ("logged", 7, ""),
            ]
            for name in ("folded", "logged"):
                opened = storage.sets.get(name)
                with opened.snapshot() as snapshot:
                    rows = pa.Table.from_batches(snapshot.read()).to_pydict()
                    assert (rows["id"], rows["text"]) == (IDS, TEXTS)
                    assert snapshot.vectors().tobytes() == VECTORS.tobytes()
                    assert snapshot.id_digest() == digest_of_parts(IDS)
                if name == "folded":
                    assert opened.info.embedding_space == "0123456789abcdef"
                    assert rows["label"] == ["a", None, "b", "a", "a", "b", "c"]
                    assert rows["count"] == [None, 1, -2, 2**62, 4, 5, 6]
                    assert rows["score"] == [0.5, math.inf, None, 3.0, 4.0, 5.0, 6.0]
                    assert rows["good"] == [True, False, None, True, True, True, False]
                else:
                    assert opened.info.provenance == {"model": "reviews", "version": "3"}
                    assert opened.append(IDS, VECTORS, TEXTS).already_there == 7


def test_results_of_an_earlier_release(data: Path) -> None:
    with Storage(data) as storage:
        stored = storage.projections.get("map")
        assert stored.arrays["coordinates"].tobytes() == VECTORS[:, :2].tobytes()
        assert stored.info.parameters == {"method": "umap", "n_neighbors": 15, "seed": 42, "metric": "cosine"}
        assert stored.info.facts == {"trustworthiness": 0.75}
        assert stored.info.versions["umap-learn"] == "0.5.12"
        assert stored.info.versions["penult"].startswith("0.1")
        assert (stored.info.source.dataset, stored.info.source.id_digest) == ("folded", digest_of_parts(IDS))
        assert stored.info.source.generation == storage.sets.get("folded").info.generation
        clusters = storage.clusterings.get("topics").arrays
        assert clusters["labels"].tolist() == [0, 0, 1, -1, 1, 0, 2]
        assert clusters["sizes"].dtype == np.int32


def test_other_tools_read_it(data: Path) -> None:
    """As docs/storage-format.md says, with NumPy, Arrow and JSON alone."""
    place = data / "datasets" / "folded"
    said = json.loads((place / "set.json").read_text())
    checksum = said.pop("checksum")
    canonical = json.dumps(said, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    assert hashlib.sha256(canonical.encode()).hexdigest() == checksum
    inner = place / said["generation"]
    vectors = np.fromfile(inner / "vectors.f32", "<f4").reshape(-1, said["dimension"])
    assert vectors[: said["rows"]].tobytes() == VECTORS.tobytes()
    (segment,) = said["segments"]
    with pa.ipc.open_file(inner / segment["file"]) as file:
        assert file.read_all().column("text").to_pylist() == TEXTS
    said = json.loads((data / "projections" / "map" / "result.json").read_text())
    array = np.load(data / "projections" / "map" / said["life"] / "coordinates.npy", allow_pickle=False)
    assert array.tobytes() == VECTORS[:, :2].tobytes()
