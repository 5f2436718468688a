"""Columns of any table as plain values, and rows of a set as any table."""

from __future__ import annotations

import math

import numpy as np
import penult_client
import pyarrow as pa
import pytest
from penult_client import DatasetRows
from penult_client._core.datasets import check_upload
from penult_client._core.tables import as_matrix, check_columns


@pytest.mark.parametrize(
    ("values", "kind", "kept"),
    [
        (["NA", "", None], "string", ["NA", "", None]),
        ([1, None, -(2**63)], "int64", [1, None, -(2**63)]),
        ([1, 2.5, None], "float64", [1.0, 2.5, None]),
        ([True, None, False], "bool", [True, None, False]),
        ([None, None, None], "string", [None, None, None]),
        (np.array([1, 2, 3], np.uint8), "int64", [1, 2, 3]),
        (np.array([0.5, 1, 2], np.float16), "float64", [0.5, 1.0, 2.0]),
        (pa.array(["a", None, "007"]), "string", ["a", None, "007"]),
        (pa.chunked_array([[1], [None, 3]]), "int64", [1, None, 3]),
        (["x", float("nan"), "y"], "string", ["x", None, "y"]),
    ],
)
def test_values_keep_their_kind(values, kind, kept):
    assert check_columns({"c": values}, 3) == {"c": (kind, kept)}


def test_nan_is_a_number():
    ((_, values),) = check_columns({"c": [1.0, math.nan]}, 2).values()
    assert math.isnan(values[1])


@pytest.mark.parametrize(
    ("columns", "reason", "field"),
    [
        ({"c": ["a", 1, "b"]}, "COLUMN_TYPE", "columns.c[1]"),
        ({"c": [1, True, 2]}, "COLUMN_TYPE", "columns.c[1]"),
        ({"c": [1, 2, 2**63]}, "COLUMN_TYPE", "columns.c[2]"),
        ({"c": [b"a", b"b", b"c"]}, "COLUMN_TYPE", "columns.c[0]"),
        ({"c": [1, 2]}, "WRONG_SHAPE", "columns.c"),
        ({"c": "abc"}, "NOT_A_LIST", "columns.c"),
        ({1: [1, 2, 3]}, "COLUMN_TYPE", "columns"),
        ([1, 2, 3], "COLUMN_TYPE", "columns"),
    ],
)
def test_what_no_column_holds(columns, reason, field):
    with pytest.raises(penult_client.InvalidInputError) as caught:
        check_columns(columns, 3)
    assert (caught.value.reason, caught.value.field) == (reason, field)


def test_matrices_come_as_arrays_or_as_columns_of_lists():
    wanted = np.array([[1, 2], [3, 4]], np.float32)
    for given in (wanted, wanted.astype(np.float64), [[1, 2], [3, 4]], pa.array([[1.0, 2.0], [3.0, 4.0]])):
        np.testing.assert_array_equal(as_matrix(given, "vectors"), wanted)
        np.testing.assert_array_equal(check_upload(given, None, None, None).vectors, wanted)
    for bad in ([[1, 2], [3]], [[1, "x"]], [1, 2]):
        with pytest.raises(penult_client.InvalidInputError):
            as_matrix(bad, "vectors")
    assert check_upload(["a", "b"], None, None, None).vectors is None


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        ({"source": ["a"], "texts": ["a"]}, "TEXTS_TWICE"),
        ({"source": np.ones((2, 2)), "texts": ["a"]}, "WRONG_SHAPE"),
        ({"source": np.ones((2, 2)), "texts": ["a", 5]}, "NOT_TEXT"),
        ({"source": np.ones((2, 2)), "ids": [1]}, "WRONG_SHAPE"),
        ({"source": np.ones((2, 2)), "ids": [1, 2.5]}, "ID_INVALID"),
        ({"source": np.ones((2, 2)), "ids": ["a", "\ud800"]}, "NOT_UTF8"),
        ({"source": np.full((2, 2), np.nan)}, "NOT_FINITE"),
        ({"source": []}, "EMPTY_INPUT"),
        ({"source": "text"}, "NOT_A_LIST"),
    ],
)
def test_what_cannot_be_uploaded(given, reason):
    with pytest.raises(penult_client.InvalidInputError) as caught:
        check_upload(given["source"], given.get("texts"), None, given.get("ids"))
    assert caught.value.reason == reason


ROWS = DatasetRows(
    name="a",
    first_row=0,
    rows=3,
    ids=["0", "1", "2"],
    vectors=np.arange(6, dtype=np.float32).reshape(3, 2),
    texts=["x", None, "NA"],
    columns={"n": [1, None, 2**63 - 1], "s": ["a", "", None], "b": [True, False, True]},
    types={"n": "int64", "s": "string", "b": "bool"},
)


def _as_uploaded(table):
    return check_columns(table, 3)


def test_arrow():
    table = ROWS.to_arrow()
    assert table.schema.field("vector").type == pa.list_(pa.float32(), 2)
    assert table["n"].to_pylist() == ROWS.columns["n"]
    assert _as_uploaded(table.select(["n", "s", "b"])) == {
        name: (ROWS.types[name], values) for name, values in ROWS.columns.items()
    }


@pytest.mark.parametrize("package", ["pandas", "polars"])
def test_frames(package):
    pytest.importorskip(package)
    frame = getattr(ROWS, f"to_{package}")()
    assert list(frame.columns) == ["id", "text", "vector", "n", "s", "b"]
    found = _as_uploaded(frame[["n", "s", "b", "text"]])
    for name, values in {**ROWS.columns, "text": ROWS.texts}.items():
        assert found[name] == (ROWS.types.get(name, "string"), values)
    np.testing.assert_array_equal(check_upload(frame["vector"], None, None, None).vectors, ROWS.vectors)


def test_a_package_that_is_missing(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "pandas", None)
    with pytest.raises(penult_client.ClientError, match="pip install pandas") as caught:
        ROWS.to_pandas()
    assert caught.value.reason == "NOT_INSTALLED"
