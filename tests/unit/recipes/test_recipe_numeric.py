"""Tables of numbers: the same values from every format, and errors that name file, row and column."""

from __future__ import annotations

import hashlib
import json
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from penult_service.errors import InvalidInput, NotFound
from penult_service.recipes import numeric

ROWS = [
    {"date": "2016-07-01 00:00:00", "load": 1.5, "OT": 30.53},
    {"date": "2016-07-01 01:00:00", "load": -2, "OT": 1e-3},
    {"date": "2016-07-01 02:00:00", "load": 4, "OT": 7.0},
]
CSV = "date,load,OT\n2016-07-01 00:00:00,1.5,30.53\n2016-07-01 01:00:00, -2 ,1e-3\n2016-07-01 02:00:00,4,7\n"
VALUES = np.array([[1.5, 30.53], [-2, 1e-3], [4, 7]])


def write(path: Path, rows: list[dict[str, Any]]) -> Path:
    if path.suffix == ".parquet":
        pq.write_table(pa.Table.from_pylist(rows), path)
    elif path.suffix == ".jsonl":
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    else:
        path.write_text(CSV)
    return path


@pytest.mark.parametrize("ending", ["csv", "jsonl", "parquet"])
def test_every_format_gives_the_same_numbers(tmp_path: Path, ending: str) -> None:
    path = write(tmp_path / f"loads.{ending}", ROWS)
    found = numeric.read(path)
    assert (found.names, found.skipped, len(found)) == (("load", "OT"), ("date",), 3)
    assert found.values.dtype == np.float64
    np.testing.assert_array_equal(found.values, VALUES)
    assert (found.source, found.sha256) == (path.name, hashlib.sha256(path.read_bytes()).hexdigest())


def test_columns_in_the_order_asked_for(tmp_path: Path) -> None:
    path = write(tmp_path / "loads.csv", ROWS)
    found = numeric.read(path, ["OT", "load"])
    np.testing.assert_array_equal(found.values, VALUES[:, ::-1])
    assert numeric.read(path, ["OT"]).skipped == ("date", "load")
    assert numeric.read(path, ignored=["OT", "date"]).names == ("load",)


def test_dates_of_parquet_and_empty_columns_are_skipped(tmp_path: Path) -> None:
    rows = [{"when": datetime(2016, 7, day), "on": day > 1, "none": None, "x": day} for day in (1, 2)]
    found = numeric.read(write(tmp_path / "days.parquet", rows))
    assert (found.names, found.skipped) == (("x",), ("when", "on", "none"))


@pytest.mark.parametrize(
    ("content", "columns", "reason", "words"),
    [
        ("a,b\n1,2\n3,\n", None, "NUMBER_MISSING", "line 3, column 'b': there is no number"),
        ("a,b\n1,2\n3\n", None, "NUMBER_MISSING", "line 3, column 'b': there is no number"),
        ("a,b\n1,2\nNaN,4\n", None, "NUMBER_MISSING", "line 3, column 'a': there is no number"),
        ("a,b\n1,x\n2,4\n", None, "NOT_A_NUMBER", "line 2, column 'b': 'x' is not a finite number"),
        ("a\n1\ninf\n", None, "NOT_A_NUMBER", "line 3, column 'a': 'inf' is not a finite number"),
        ("a\n1\n1_000\n", None, "NOT_A_NUMBER", "line 3, column 'a': '1_000' is not a finite number"),
        ("d,b\nmon,2\n", ["d"], "NOT_A_NUMBER", "line 2, column 'd': 'mon' is not a finite number"),
        ("a,b\n1,2\n", ["c"], "COLUMN_MISSING", "has no column 'c'; there are 'a', 'b'"),
        ("a,b\n1,2\n", ["a", "a"], "COLUMN_TWICE", "column 'a' is asked for twice"),
        ("d\nmon\n", None, "NO_NUMBERS", "no column holds numbers"),
        ("a\n", None, "NO_ROWS", "there are no rows"),
        ("a,b\n1,2,3\n", None, "ROW_LENGTH", "line 2 has more cells than the header"),
    ],
)
def test_what_cannot_be_used_is_named(
    tmp_path: Path, content: str, columns: list[str] | None, reason: str, words: str
) -> None:
    path = tmp_path / "loads.csv"
    path.write_text(content)
    with pytest.raises(InvalidInput) as refused:
        numeric.read(path, columns)
    assert refused.value.reason == reason
    assert str(refused.value).startswith(f"{path}: {words}")


def test_missing_numbers_of_parquet(tmp_path: Path) -> None:
    path = write(tmp_path / "x.parquet", [{"x": 1.0, "y": 1.0}, {"x": 2.0, "y": float("nan")}])
    with pytest.raises(InvalidInput, match=r"row 2, column 'y': there is no number"):
        numeric.read(path)


def test_mean_and_scale_of_the_rows_trained_on() -> None:
    values = np.random.default_rng(1).normal(size=(50, 3)) * [1e-6, 3, 1e17] + [0, 1e6, 0]
    values = np.column_stack([values, np.full(50, 0.1)])
    table = numeric.Numbers("loads.csv", "0" * 64, ("small", "far", "large", "constant"), values, ())
    mean, scale = numeric.mean_and_scale(table, values[:30])
    np.testing.assert_array_equal(mean, values[:30].mean(axis=0))
    np.testing.assert_array_equal(scale, [*values[:30, :3].std(axis=0), 1])


@pytest.mark.parametrize(
    ("scale", "offset"),
    [(1e-9, 0.0), (1.0, 1e7), (1e20, 0.0), (0.0, 1e39), (1e200, 0.0)],
    ids=["tiny", "far off", "large", "constant", "squares overflow"],
)
def test_a_column_that_is_nothing_for_float32(scale: float, offset: float) -> None:
    """A layer in float32 would standardise it to something else than what was trained on."""
    values = np.random.default_rng(1).normal(size=(20, 2)) * [1, scale] + [0, offset]
    table = numeric.Numbers("loads.csv", "0" * 64, ("a", "b"), values, ())
    with pytest.raises(
        InvalidInput, match=r"loads.csv: column 'b' goes up to .* float32 cannot standardise"
    ) as caught:
        numeric.mean_and_scale(table, values)
    assert caught.value.field == "b"


def test_no_such_file_and_no_such_format(tmp_path: Path) -> None:
    with pytest.raises(NotFound):
        numeric.read(tmp_path / "loads.csv")
    (tmp_path / "loads.txt").write_text("a\n1\n")
    with pytest.raises(InvalidInput, match="must end in one of"):
        numeric.read(tmp_path / "loads.txt")
