"""`penult neighbors` on stored embeddings, against a plain search; what is left out, refused and written."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from numpy.typing import NDArray
from penult_service.cli.app import main
from penult_service.vectors import similarity

WIDTH = 5


def vectors(rows: int, seed: int = 0) -> NDArray[np.float32]:
    return np.random.default_rng(seed).standard_normal((rows, WIDTH)).astype(np.float32)


def save(path: Path, values: NDArray[np.float32], bad: tuple[int, ...] = (), space: str = "") -> Path:
    """A file as `penult embed` writes it, with null embeddings in the bad rows."""
    mask = np.isin(np.arange(len(values)), bad)
    rows = pa.FixedSizeListArray.from_arrays(pa.array(values.ravel()), WIDTH, mask=pa.array(mask))
    texts = [f"text {i} of {path.stem}" for i in range(len(values))]
    table = pa.table({"text": texts, "embedding": rows})
    metadata = {"penult.embedding_space": space, "penult.model_digest": "d1"} if space else {}
    pq.write_table(table.replace_schema_metadata(metadata), path)
    return path


def nearest(a: NDArray[np.float32], b: NDArray[np.float32], metric: str, k: int) -> NDArray[np.intp]:
    scores = similarity(a, b, metric)
    return np.argsort(-scores if metric in ("cosine", "dot") else scores, axis=1, kind="stable")[:, :k]


def told(capsys: pytest.CaptureFixture[str], *words: object) -> dict[str, Any]:
    assert main(["neighbors", *map(str, words), "--json"]) == 0
    facts: dict[str, Any] = json.loads(capsys.readouterr().out)
    return facts


def rows_of(facts: dict[str, Any]) -> list[list[int]]:
    return [[found["row"] for found in query["neighbors"]] for query in facts["results"]]


@pytest.mark.parametrize("metric", ["cosine", "dot", "euclidean", "manhattan"])
def test_two_files(tmp_path: Path, capsys: pytest.CaptureFixture[str], metric: str) -> None:
    a, b = vectors(7), vectors(40, 1)
    files = save(tmp_path / "a.parquet", a, space="s"), save(tmp_path / "b.parquet", b, space="s")
    facts = told(capsys, files[0], "--corpus", files[1], "-k", 3, "--metric", metric)
    expected = nearest(a, b, metric, 3)
    assert rows_of(facts) == expected.tolist()
    assert facts["space_checked"]
    first = facts["results"][0]["neighbors"][0]
    assert first["text"] == f"text {expected[0, 0]} of b"
    assert first["score"] == pytest.approx(float(similarity(a, b, metric)[0, expected[0, 0]]), abs=1e-5)


def test_a_file_against_itself_leaves_itself_out(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    np.save(tmp_path / "a.npy", vectors(9))
    facts = told(capsys, tmp_path / "a.npy", "-k", 2)
    assert facts["exclude_self"]
    assert rows_of(facts) == nearest(vectors(9), vectors(9), "cosine", 3)[:, 1:].tolist()
    facts = told(capsys, tmp_path / "a.npy", "-k", 2, "--include-self")
    assert [found[0] for found in rows_of(facts)] == list(range(9))


def test_rows_without_an_embedding_are_left_out(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    a, b = vectors(4), vectors(6, 1)
    files = save(tmp_path / "a.parquet", a, (1,)), save(tmp_path / "b.parquet", b, (0, 3))
    assert main(["neighbors", str(files[0]), "--corpus", str(files[1]), "-k", "4", "--json"]) == 0
    printed = capsys.readouterr()
    assert "1 row of the queries without an embedding left out: 1" in printed.err
    assert "2 rows of the corpus without an embedding left out: 0, 3" in printed.err
    assert "nobody has checked" in printed.err
    good = np.array([1, 2, 4, 5])
    facts = json.loads(printed.out)
    assert [query["row"] for query in facts["results"]] == [0, 2, 3]
    assert rows_of(facts) == good[nearest(a[[0, 2, 3]], b[good], "cosine", 4)].tolist()


def test_outputs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    a, b = vectors(3), vectors(8, 1)
    files = save(tmp_path / "a.parquet", a, space="s"), save(tmp_path / "b.parquet", b, space="s")
    expected = nearest(a, b, "cosine", 2)
    for ending in ("parquet", "csv", "jsonl"):
        out = tmp_path / f"out.{ending}"
        assert main(["neighbors", str(files[0]), "--corpus", str(files[1]), "-k", "2", "-o", str(out)]) == 0
    table = pq.read_table(tmp_path / "out.parquet")
    assert table.column_names == ["query", "rank", "row", "score", "query_text", "text"]
    assert table["query"].to_pylist() == [0, 0, 1, 1, 2, 2]
    assert table["rank"].to_pylist() == [1, 2] * 3
    assert table["row"].to_pylist() == expected.ravel().tolist()
    assert table["text"].to_pylist() == [f"text {row} of b" for row in expected.ravel()]
    metadata = table.schema.metadata
    assert metadata[b"penult.embedding_space"] == b"s"
    assert metadata[b"penult.model_digest"] == b"d1"
    assert json.loads(metadata[b"penult.neighbors"])["k"] == 2
    with (tmp_path / "out.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [int(row["row"]) for row in rows] == expected.ravel().tolist()
    lines = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text().splitlines()]
    assert [line["score"] for line in lines] == [float(row["score"]) for row in rows]
    np.testing.assert_array_equal(np.float32([line["score"] for line in lines]), table["score"].to_numpy())
    assert "6 neighbours of 3 rows" in capsys.readouterr().err


def test_radius(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    a = vectors(12)
    np.save(tmp_path / "a.npy", a)
    facts = told(capsys, tmp_path / "a.npy", "-k", 11, "--radius", 0.5)
    scores = similarity(a, a, "cosine")
    for row, found in enumerate(rows_of(facts)):
        assert set(found) == {j for j in range(12) if j != row and scores[row, j] >= 0.5}
    out = tmp_path / "none.csv"
    assert main(["neighbors", str(tmp_path / "a.npy"), "--radius", "0.999", "-o", str(out)]) == 0
    assert out.read_text().splitlines() == ["query,rank,row,score"]
    assert "no neighbour within the radius" in capsys.readouterr().out


def test_what_is_printed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = save(tmp_path / "a.parquet", vectors(30), space="s")
    assert main(["neighbors", str(file), "-k", "2", "--show", "3"]) == 0
    shown = capsys.readouterr().out
    assert shown.startswith(
        "cosine, larger is closer; 30 queries, searched among 30 rows, a row is no neighbour"
    )
    assert shown.count("\nrow ") == 3
    assert "row 0: text 0 of a" in shown
    assert "... and 27 more queries" in shown


def test_fewer_rows_than_asked_for_and_zero_rows(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    values = vectors(4)
    values[2] = 0
    np.save(tmp_path / "a.npy", values)
    assert main(["neighbors", str(tmp_path / "a.npy"), "-k", "50", "--json"]) == 0
    printed = capsys.readouterr()
    assert "note: k is 3, not 50" in printed.err
    assert "1 row of the queries with zeros alone (their cosine with every row is 0): 2" in printed.err
    facts = json.loads(printed.out)
    assert facts["zero_queries"] == [2]
    assert all(found[-1] == 2 for row, found in enumerate(rows_of(facts)) if row != 2)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "either a file QUERIES or --text"),
        (["a.npy", "--text", "x"], "not both"),
        (["a.npy", "-k", "0"], "k is 0"),
        (["a.npy", "--metric", "hamming"], "--metric is one of"),
        (["a.npy", "--pooling", "sum"], "--pooling is one of"),
        (["a.npy", "--radius", "nan"], "radius"),
        (["a.npy", "--corpus", "a.npy", "--exclude-self"], "without corpus only"),
        (["a.npy", "--corpus", "narrow.npy"], "5 numbers a row, the other 3"),
        (["a.npy", "-o", "out.txt"], "ends in one of .parquet, .csv, .jsonl"),
        (["a.npy", "-o", "nowhere/out.csv"], "there is no directory"),
        (["a.npy", "-o", "there.csv"], "--overwrite"),
        (["there.csv", "-o", "there.csv", "--overwrite"], "is the input"),
        (["nothing.npy"], "not a file"),
        (["nan.npy"], "none of the 2 rows has an embedding"),
        (["there.csv"], "--model PATH"),
        (["--text", "x", "--corpus", "a.npy"], "--model PATH"),
    ],
)
def test_bad_input(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    said: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    np.save("a.npy", vectors(4))
    np.save("narrow.npy", vectors(4)[:, :3])
    np.save("nan.npy", np.full((2, WIDTH), np.nan, np.float32))
    Path("there.csv").write_text("text\nx\n")
    before = sorted(Path().iterdir())
    assert main(["neighbors", *arguments]) == 2
    printed = capsys.readouterr()
    assert said in printed.err
    assert printed.err.splitlines()[-1].startswith("error: ")
    assert printed.out == ""
    assert sorted(Path().iterdir()) == before
