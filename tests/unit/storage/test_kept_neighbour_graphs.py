"""Neighbour graphs beside a set: found as long as they fit, gone with it, made again when they are damaged."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from penult_service.storage import EmbeddingSet, KeptGraph, Storage
from penult_service.storage.disk import Disk
from penult_service.storage.graphs import Graphs

NEAR = np.arange(12, dtype=np.int32).reshape(4, 3)
FAR = (NEAR / 7).astype(np.float32)


@pytest.fixture
def storage(memory: Path) -> Iterator[Storage]:
    with Storage(memory / "data") as opened:
        yield opened


def a_set(storage: Storage, name: str = "a", rows: int = 5) -> EmbeddingSet:
    made = storage.sets.create(name, overwrite=True)
    made.append([f"r{i}" for i in range(rows)], np.eye(8, dtype=np.float32)[:rows])
    return made


def arrays_of(kept: KeptGraph | None) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
    assert kept is not None
    return tuple(  # type: ignore[return-value]
        np.array(np.memmap(place.path, place.dtype, "r", place.offset, place.shape))
        for place in (kept.near_rows, kept.near_distances)
    )


def test_what_is_kept_is_found_for_those_rows_alone(storage: Storage) -> None:
    made = a_set(storage)
    with made.snapshot() as before:
        assert before.graph("cosine") is None
        before.keep_graph("cosine", NEAR, FAR)
        near, far = arrays_of(before.graph("cosine"))
        assert (near.tolist(), far.tobytes()) == (NEAR.tolist(), FAR.tobytes())
        assert before.graph("euclidean") is None
        made.append(["more"], np.ones((1, 8), np.float32))
        with made.snapshot() as after:
            assert after.graph("cosine") is None
            after.keep_graph("cosine", NEAR[:, :2], FAR[:, :2])
            assert arrays_of(after.graph("cosine"))[0].tolist() == NEAR[:, :2].tolist()
            # The newest alone; an older reader does not bring its own back.
            assert before.graph("cosine") is None
            before.keep_graph("cosine", NEAR, FAR)
            assert after.graph("cosine") is not None


def test_it_is_there_after_a_restart_and_a_fold(memory: Path) -> None:
    with Storage(memory / "data") as storage:
        with a_set(storage).snapshot() as snapshot:
            for metric in ("cosine", "euclidean"):
                snapshot.keep_graph(metric, NEAR, FAR)
        storage.sets.get("a").fold()
    with Storage(memory / "data") as storage, storage.sets.get("a").snapshot() as snapshot:
        for metric in ("cosine", "euclidean"):
            assert arrays_of(snapshot.graph(metric))[1].tobytes() == FAR.tobytes()


def test_one_that_was_replaced_stays_for_its_readers(storage: Storage) -> None:
    made = a_set(storage)
    with made.snapshot() as reader:
        reader.keep_graph("cosine", NEAR, FAR)
        first = reader.graph("cosine")
        with made.snapshot() as other:
            other.keep_graph("cosine", NEAR[:2], FAR[:2])
        assert arrays_of(first)[0].tolist() == NEAR.tolist()
        assert arrays_of(reader.graph("cosine"))[0].tolist() == NEAR[:2].tolist()
    assert len(list(made.generation.path.glob("graph-*"))) == 1


@pytest.mark.parametrize("end", ["delete", "overwrite"])
def test_it_goes_with_its_set(storage: Storage, end: str) -> None:
    made = a_set(storage)
    with made.snapshot() as snapshot:
        snapshot.keep_graph("cosine", NEAR, FAR)
    if end == "delete":
        storage.sets.delete("a")
    else:
        with a_set(storage).snapshot() as again:
            assert again.graph("cosine") is None
    assert not list(storage.path.rglob("graph-*"))


@pytest.mark.parametrize("harm", ["cut", "flip", "head", "empty", "no JSON", "longer", "version"])
def test_a_damaged_one_is_none(memory: Path, harm: str) -> None:
    Graphs(Disk(), memory).keep("cosine", 5, NEAR, FAR)
    (path,) = memory.glob("graph-*")
    data = bytearray(path.read_bytes())
    match harm:
        case "cut":
            data = data[:-4]
        case "flip":
            data[-1] ^= 1
        case "head":
            data[:512] = data[:512].replace(b'"rows": 5', b'"rows": ,')
        case "empty":
            data = bytearray()
        case "no JSON":
            data[:1] = b"x"
        case "longer":
            data += b"1234"
        case "version":
            data[:512] = data[:512].replace(b'"version": 1', b'"version": 9')
    path.write_bytes(data)
    graphs = Graphs(Disk(), memory)
    assert graphs.find("cosine", 5) is None
    graphs.keep("cosine", 5, NEAR, FAR)
    graphs.tidy()
    assert len(list(memory.glob("graph-*"))) == 1
    assert arrays_of(Graphs(Disk(), memory).find("cosine", 5))[0].tolist() == NEAR.tolist()


def test_a_disk_that_is_full_keeps_none(memory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    graphs = Graphs(Disk(), memory)

    def refuse(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(graphs._disk, "write", refuse)
    graphs.keep("cosine", 5, NEAR, FAR)
    assert graphs.find("cosine", 5) is None


@pytest.mark.parametrize(
    "head",
    [
        {"rows": "5"},
        {"rows": None},
        {"rows": 3},  # fewer than distinct ones
        {"metric": ["cosine"]},
        {"metric": "euclidean"},
        {"shape": [-4, -3]},
        {"shape": [4, 3, 1]},
        {"shape": [4.0, 3.5]},
        {"shape": "43"},
        {"crc32": "x"},
    ],
    ids=str,
)
def test_one_that_somebody_put_there_is_none(memory: Path, head: dict[str, object]) -> None:
    """Beside a good one of another metric."""
    Graphs(Disk(), memory).keep("cosine", 5, NEAR, FAR)
    (path,) = memory.glob("graph-*")
    Graphs(Disk(), memory).keep("manhattan", 5, NEAR, FAR)
    data = path.read_bytes()
    text = json.dumps({**json.loads(data[:512]), **head}).encode()
    path.write_bytes(text.ljust(511) + b"\n" + data[512:])
    graphs = Graphs(Disk(), memory)
    assert graphs.find("cosine", 5) is None
    assert graphs.find("euclidean", 5) is None
    assert graphs.find("manhattan", 5) is not None
    graphs.keep("cosine", 5, NEAR, FAR)
    assert arrays_of(graphs.find("cosine", 5))[0].tolist() == NEAR.tolist()


def test_a_directory_or_a_link_to_nothing_is_none(memory: Path) -> None:
    (memory / "graph-cosine-00000000").mkdir()
    (memory / "graph-cosine-00000001").symlink_to(memory / "nothing")
    graphs = Graphs(Disk(), memory)
    assert graphs.find("cosine", 5) is None
    graphs.keep("cosine", 5, NEAR, FAR)
    graphs.tidy()
    assert graphs.find("cosine", 5) is not None
