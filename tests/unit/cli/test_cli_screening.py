"""`penult duplicates` and `outliers`: what is printed, written and refused; what they find is tested in `analysis`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from numpy.typing import NDArray
from penult_service.cli.app import main
from support import wire_server
from support.wire_server import Script

BAD = 4


def rows() -> NDArray[np.float32]:
    """Forty rows; 7 and 20 are equal to 2, and 31 to 11, 4 has none."""
    values = np.random.default_rng(3).standard_normal((40, 6)).astype(np.float32)
    values[[7, 20]], values[31] = values[2], values[11]
    return values


@pytest.fixture
def file(tmp_path: Path) -> Path:
    column = pa.FixedSizeListArray.from_arrays(
        pa.array(rows().ravel()), 6, mask=pa.array([i == BAD for i in range(40)])
    )
    table = pa.table({"text": [f"text {i}" for i in range(40)], "embedding": column})
    pq.write_table(table.replace_schema_metadata({"penult.embedding_space": "s"}), tmp_path / "in.parquet")
    return tmp_path / "in.parquet"


def told(capsys: pytest.CaptureFixture[str], *words: object) -> Any:
    assert main([*map(str, words), "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def test_duplicates(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out, pairs = file.with_name("out.parquet"), file.with_name("pairs.csv")
    words = ["duplicates", file, "--threshold", "0.999", "-o", out, "--pairs", pairs]
    assert main([*map(str, words)]) == 0
    printed = capsys.readouterr()
    lines = printed.out.splitlines()
    assert lines[0].startswith("2 groups of rows that are alike: cosine at least 0.999 (percentile ")
    assert lines[0].endswith("36 of 39 rows are left without them")
    assert lines[1] == "4 pairs, 4 of them of equal rows"
    assert "random pairs have a mean of" in lines[2]
    assert [line.split() for line in lines[5:8]] == [
        ["0", "3", "keep", "row", "2", "text", "2"],
        ["row", "7", "text", "7"],
        ["row", "20", "text", "20"],
    ]
    table = pq.read_table(out)
    groups = table["duplicate_group"].to_pylist()
    assert {row: groups[row] for row in (2, 7, 20, 11, 31, BAD)} == {
        2: 0,
        7: 0,
        20: 0,
        11: 1,
        31: 1,
        BAD: None,
    }
    keep = table["keep"].to_pylist()
    assert [row for row in range(40) if keep[row] is False] == [7, 20, 31]
    assert keep[BAD] is None
    facts = json.loads(table.schema.metadata[b"penult.duplicates"])
    assert (facts["rows_kept"], facts["equal_pairs"], facts["threshold"]) == (36, 4, 0.999)
    said = pairs.read_text().splitlines()
    assert said[0] == "a,b,score,percentile,text_a,text_b"
    assert {tuple(map(int, line.split(",")[:2])) for line in said[1:]} == {(2, 7), (2, 20), (7, 20), (11, 31)}


def test_duplicates_as_json(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    facts = told(capsys, "duplicates", file, "--metric", "euclidean")
    assert [group["rows"] for group in facts["found"]] == [[2, 7, 20], [11, 31]]
    assert facts["found"][0]["texts"] == ["text 2", "text 7", "text 20"]
    assert (facts["threshold"], facts["pairs"], facts["embedding_space"]) == (0.0, 4, "s")
    assert facts["background"]["rows"] == 36
    assert sorted(facts["background"]["quantiles"])[0] == "0%"


def test_outliers(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = file.with_name("out.parquet")
    assert (
        main(["outliers", str(file), "-k", "3", "--metric", "euclidean", "--show", "2", "-o", str(out)]) == 0
    )
    printed = capsys.readouterr().out.splitlines()
    good = np.delete(np.arange(40), BAD)
    values = rows()[good].astype(np.float64)
    distances = np.linalg.norm(values[:, None] - values[None], axis=2)
    np.fill_diagonal(distances, np.inf)
    expected = np.sort(distances, axis=1)[:, :3].mean(axis=1)
    table = pq.read_table(out)
    scores = table["outlier_score"].to_pylist()
    np.testing.assert_allclose([scores[row] for row in good], expected, rtol=1e-5)
    assert scores[BAD] is None
    farthest = good[np.argsort(-expected)[:2]]
    assert [f"row {row}" in line for row, line in zip(farthest, printed[-2:], strict=True)] == [True, True]
    assert "39 rows: mean euclidean distance to the 3 nearest others" in printed[0]
    facts = told(capsys, "outliers", file, "-k", 3, "--metric", "euclidean")
    assert [row["row"] for row in facts["farthest"][:2]] == farthest.tolist()
    assert facts["scores"][BAD] is None
    assert sum(table["occurrences"].to_pylist()[row] for row in good) == 39 * 3


def test_a_server_computes(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    script = Script()
    server, where = wire_server.start(script)
    try:
        facts = told(capsys, "duplicates", file, "--threshold", 0.5, "--max-pairs", 7, "--server", where)
        assert [group["rows"] for group in facts["found"]] == [[2, 7, 20], [11, 31]]
        asked = script.asked("FindDuplicates")[0]
        assert (asked.threshold, asked.max_pairs, asked.source.vectors.embedding_space) == (0.5, 7, "s")
        assert facts["background"]["mean"] == 500.0
        assert told(capsys, "outliers", file, "-k", 4, "--server", where)["k"] == 4
        for command in ("duplicates", "outliers", "cluster", "map"):
            told_of = told(capsys, command, file, "--server", where, "--dry-run")
            assert (told_of["seconds"], told_of["server"]) == (39.0, where)
    finally:
        server.stop(0).wait()


@pytest.mark.parametrize("command", ["duplicates", "outliers", "cluster", "map"])
def test_a_dry_run_in_this_process(file: Path, capsys: pytest.CaptureFixture[str], command: str) -> None:
    assert main([command, str(file), "--dry-run"]) == 0
    assert "of memory, in this process (load" in capsys.readouterr().out
    facts = told(capsys, command, file, "--dry-run")
    assert facts["seconds"] > 0
    assert facts["bytes"] > 0


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["duplicates", "in.parquet", "--metric", "dot"], "--metric is one of"),
        (["duplicates", "in.parquet", "--threshold", "1.5"], "threshold"),
        (["duplicates", "in.parquet", "--max-pairs", "0"], "max_pairs"),
        (["duplicates", "in.parquet", "-o", "a.csv", "--pairs", "a.csv"], "named twice"),
        (["duplicates", "in.parquet", "-o", "in.parquet", "--overwrite"], "is the input"),
        (["outliers", "in.parquet", "-k", "0"], "k"),
        (["outliers", "two.npy"], "3"),
        (["outliers", "none.npy"], "is not a file"),
    ],
)
def test_bad_input(
    file: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    words: list[str],
    said: str,
) -> None:
    monkeypatch.chdir(file.parent)
    np.save("two.npy", rows()[:2])
    assert main(words) == 2
    printed = capsys.readouterr()
    assert said in printed.err
    assert printed.out == ""
    assert sorted(path.name for path in file.parent.iterdir()) == ["in.parquet", "two.npy"]


def test_columns_that_are_taken(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    once = file.with_name("once.parquet")
    assert main(["duplicates", str(file), "-o", str(once)]) == 0
    assert main(["duplicates", str(once), "-o", str(file.with_name("twice.parquet"))]) == 2
    assert "has a column 'duplicate_group' already" in capsys.readouterr().err
    assert main(["outliers", str(once)]) == 0
