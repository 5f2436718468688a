"""Pairs against a plain double loop; sides of every kind; spaces that do not match."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from numpy.typing import NDArray
from penult_service.cli.app import main
from penult_service.cli.scores import comparison, sides
from penult_service.cli.scores.sides import Side
from penult_service.errors import InvalidInput
from penult_service.vectors import METRICS
from penult_service.vectors import similarity as scores_of


def vectors(rows: int, seed: int = 0) -> NDArray[np.float32]:
    return np.random.default_rng(seed).standard_normal((rows, 5)).astype(np.float32)


def all_pairs(a: Side, b: Side | None, metric: str) -> list[tuple[float, int, int]]:
    """Every pair that has numbers, most alike first, equal ones by row."""
    other = a if b is None else b
    scores = scores_of(np.nan_to_num(a.vectors), np.nan_to_num(other.vectors), metric)
    sign = -1 if metric in ("cosine", "dot") else 1
    pairs = [
        (float(scores[i, j]), i, j)
        for i in range(len(a.vectors))
        for j in range(i + 1 if b is None else 0, len(other.vectors))
        if np.isfinite(a.vectors[i]).all() and np.isfinite(other.vectors[j]).all()
    ]
    return sorted(pairs, key=lambda pair: (sign * pair[0], pair[1], pair[2]))


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("within", [True, False])
def test_extremes(monkeypatch: pytest.MonkeyPatch, metric: str, within: bool) -> None:
    monkeypatch.setattr(comparison, "BLOCK", 4)
    a = Side(vectors(11), None, "")
    a.vectors[3] = np.nan
    a.vectors[7] = a.vectors[2]  # equal scores
    b = None if within else Side(vectors(6, 1), None, "")
    expected = all_pairs(a, b, metric)
    most, least = comparison.Comparison(a, b, metric).extremes(7)
    assert [tuple(pair) for pair in most] == expected[:7]
    assert [pair.score for pair in least] == [pair[0] for pair in expected[::-1][:7]]


def test_more_asked_for_than_there_are() -> None:
    most, least = comparison.Comparison(Side(vectors(3), None, ""), None, "cosine").extremes(99)
    assert len(most) == len(least) == 3


def no_embedding(_: Sequence[str]) -> tuple[NDArray[np.float32], str]:
    raise AssertionError("nothing is embedded here")


def test_sides_of_stored_vectors(tmp_path: Path) -> None:
    values = vectors(3)
    np.save(tmp_path / "a.npy", values)
    (tmp_path / "a.json").write_text('{"embedding_space": "s1"}')
    np.save(tmp_path / "bare.npy", values.astype(np.float64))
    rows = pa.FixedSizeListArray.from_arrays(values.ravel(), 5, mask=pa.array([False, True, False]))
    table = pa.table({"text": ["x", None, "z"], "embedding": rows})
    metadata = {"penult.embedding_space": "s2"}
    pq.write_table(table.replace_schema_metadata(metadata), tmp_path / "a.parquet")

    npy = sides.of_file(tmp_path / "a.npy", "text", no_embedding)
    assert npy.space == "s1"
    assert npy.name(1) == "row 1"
    np.testing.assert_array_equal(npy.vectors, values)
    assert sides.of_file(tmp_path / "bare.npy", "text", no_embedding).space == ""
    parquet = sides.of_file(tmp_path / "a.parquet", "text", no_embedding)
    assert parquet.space == "s2"
    assert parquet.name(2) == "z"
    np.testing.assert_array_equal(parquet.vectors, np.where([[False], [True], [False]], np.nan, values))


def test_spaces() -> None:
    one, two, bare = Side(vectors(2), None, "s1"), Side(vectors(2), None, "s2"), Side(vectors(2), None, "")
    assert sides.check_spaces(one, one)
    assert not sides.check_spaces(one, bare)
    with pytest.raises(InvalidInput, match="different embedding spaces"):
        sides.check_spaces(one, two)
    with pytest.raises(InvalidInput, match="5 numbers a row, the other 4"):
        sides.check_spaces(bare, Side(vectors(2)[:, :4], None, ""))


@pytest.mark.parametrize(
    ("array", "said"), [(np.zeros(3), "float64 \\[3\\]"), (np.zeros((2, 2), np.int64), "int64")]
)
def test_arrays_that_are_no_vectors(tmp_path: Path, array: NDArray[np.generic], said: str) -> None:
    np.save(tmp_path / "a.npy", array)
    with pytest.raises(InvalidInput, match=said):
        sides.of_file(tmp_path / "a.npy", "text", no_embedding)


def test_pickles_are_not_loaded(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.array([{}]), allow_pickle=True)
    with pytest.raises(InvalidInput, match=r"not a \.npy file of numbers"):
        sides.of_file(tmp_path / "a.npy", "text", no_embedding)


def test_command_on_stored_vectors(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    values = vectors(4)
    np.save(tmp_path / "a.npy", values)
    file = ["--file-a", str(tmp_path / "a.npy")]
    assert main(["similarity", *file, "--json", "--top", "2", "-o", str(tmp_path / "s.npy")]) == 0
    printed = capsys.readouterr()
    assert "nobody has checked" in printed.err
    told = json.loads(printed.out)
    expected = all_pairs(Side(values, None, ""), None, "cosine")
    assert [(p["score"], p["a"], p["b"]) for p in told["most_alike"]] == expected[:2]
    assert [(p["score"], p["a"], p["b"]) for p in told["least_alike"]] == expected[::-1][:2]
    np.testing.assert_array_equal(np.float32(told["scores"]), scores_of(values, values, "cosine"))
    np.testing.assert_array_equal(np.load(tmp_path / "s.npy"), scores_of(values, values, "cosine"))

    assert main(["similarity", *file, "-o", str(tmp_path / "s.npy")]) == 2
    assert "--overwrite" in capsys.readouterr().err
    assert main(["similarity", *file, "--metric", "euclidean", "--top", "2"]) == 0
    shown = capsys.readouterr().out
    assert shown.startswith("euclidean, smaller is closer; 6 pairs\n\nmost alike\n")
    assert f"{all_pairs(Side(values, None, ''), None, 'euclidean')[0][0]:.4f}" in shown


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "either TEXT"),
        (["x", "--file-a", "a.npy"], "not both"),
        (["x", "y", "--metric", "hamming"], "--metric is one of"),
        (["x", "y", "--pooling", "sum"], "--pooling is one of"),
        (["x", "y"], "--model PATH"),
        (["x", "y", "--model", "nowhere"], "needs --server"),
        (["x", "y", "-o", "s.txt"], "ends in .npy"),
        (["--file-a", "nowhere.npy"], "not a file"),
    ],
)
def test_usage(capsys: pytest.CaptureFixture[str], arguments: list[str], said: str) -> None:
    assert main(["similarity", *arguments]) == 2
    assert said in capsys.readouterr().err


def test_one_row_alone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    np.save(tmp_path / "a.npy", vectors(1))
    assert main(["similarity", "--file-a", str(tmp_path / "a.npy")]) == 2
    assert "nothing to compare it with" in capsys.readouterr().err
