"""`penult upload` and `penult datasets` against a server with the fake model."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from penult_client import Client
from penult_service.cli.app import main
from support.fakes import fake_model
from support.serving import serving

VECTORS = np.random.default_rng(2).normal(size=(5, 3)).astype(np.float32)


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    with serving(fake_model("reviews", 3)) as running:
        yield running.address


def told(capsys: pytest.CaptureFixture[str], *words: object) -> Any:
    assert main([*map(str, words), "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def embedded(path: Path, space: str = "") -> Path:
    mask = pa.array([False, False, True, False, False])
    rows = pa.FixedSizeListArray.from_arrays(pa.array(VECTORS.ravel()), 3, mask=mask)
    table = pa.table(
        {"id": [f"k{i}" for i in range(5)], "text": list("abcde"), "n": range(5), "embedding": rows}
    )
    pq.write_table(table.replace_schema_metadata({"penult.embedding_space": space} if space else {}), path)
    return path


def test_embeddings_with_their_columns(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], server: str
) -> None:
    file = embedded(tmp_path / "rows.parquet", "space-9")
    facts = told(capsys, "upload", file, "--name", "embedded", "--server", server)
    assert (facts["rows"], facts["dimension"], facts["space"]) == (4, 3, "space-9")
    with Client(server) as client:
        found = client.read("embedded")
    assert (found.ids, found.texts) == (["k0", "k1", "k3", "k4"], ["a", "b", "d", "e"])
    assert found.columns == {"n": [0, 1, 3, 4]}
    np.testing.assert_array_equal(found.vectors, VECTORS[[0, 1, 3, 4]])
    assert main(["upload", str(file), "--name", "embedded", "--server", server]) == 0  # again: goes on
    assert "4 rows of 3" in capsys.readouterr().out
    np.save(tmp_path / "bare.npy", VECTORS)
    assert main(["upload", str(tmp_path / "bare.npy"), "--name", "embedded", "--server", server]) == 2
    assert "there is a set 'embedded'" in capsys.readouterr().err


def test_texts_are_embedded_by_the_server(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], server: str
) -> None:
    file = tmp_path / "rows.csv"
    file.write_text("review,genre,key\ngood,NA,7\nbad film,007,8\n", encoding="utf-8")
    words = ["--text-column", "review", "--id-column", "key", "--normalize", "--server", server]
    facts = told(capsys, "upload", file, "--name", "texts", *words)
    assert (facts["rows"], facts["model"], facts["normalized"]) == (2, "reviews@3", True)
    with Client(server) as client:
        found = client.read("texts")
    assert (found.ids, found.texts) == (["7", "8"], ["good", "bad film"])
    assert found.columns == {"genre": ["NA", "007"]}
    np.testing.assert_allclose(np.linalg.norm(found.vectors, axis=1), 1, rtol=1e-5)
    assert main(["upload", str(file), "--name", "x", "--text-column", "review", "--id-column", "no"]) == 2
    assert "has no column 'no'" in capsys.readouterr().err


def test_list_show_delete(tmp_path: Path, capsys: pytest.CaptureFixture[str], server: str) -> None:
    for name in ("one", "two"):
        told(capsys, "upload", embedded(tmp_path / f"{name}.parquet"), "--name", name, "--server", server)
    listed = {each["name"]: each for each in told(capsys, "datasets", "list", "--server", server)}
    assert listed["one"] == told(capsys, "datasets", "show", "one", "--server", server)[0]
    assert main(["datasets", "list", "--server", server]) == 0
    assert "until the server ends" in capsys.readouterr().out
    assert main(["datasets", "show", "one", "--server", server]) == 0
    assert "dimension" in capsys.readouterr().out
    assert main(["datasets", "delete", "one", "two", "--server", server]) == 0
    assert main(["datasets", "show", "one", "--server", server]) == 2
    assert "there is no set 'one'" in capsys.readouterr().err
