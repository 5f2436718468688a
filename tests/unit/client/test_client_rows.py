"""Texts, records and tensors: told apart, checked before anything is sent, and shared out in parts that fit."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from penult.v1 import common_pb2 as common
from penult.v1 import inference_service_pb2 as inference
from penult_client import Embeddings, InputTypeError, InvalidInputError, Limits, TokenEmbeddings
from penult_client._core import requests
from penult_client._core.errors import count_from
from penult_client._core.inputs import Texts
from penult_client._core.records import Records
from penult_client._core.requests import with_rows
from penult_client._core.rows import check_rows
from penult_client._core.splitting import PART_BYTES, PART_ROWS, split_rows
from penult_client._core.tensors import Tensors
from support.wire_numbers import as_text, rows_of
from support.wire_server import LIMITS

IDS = np.arange(12).reshape(3, 4)


def limits(**changed: int) -> Limits:
    return Limits(**{**LIMITS, "max_texts": 16_384, "max_request_bytes": 64 << 20, **changed})


def sent(given) -> list[str]:
    """What arrives, each row as the scripted server tells it."""
    rows = check_rows(given)
    return rows_of(with_rows(inference.EmbedRequest(), rows, 0, len(rows), limits()))


@pytest.mark.parametrize(
    ("given", "kind"),
    [
        (["a", "b"], Texts),
        (("a", "b"), Texts),
        (np.array(["a", "b"], dtype=object), Texts),
        ([("a", "b")], Records),
        ([["a", "b"]], Records),
        (iter([("a", 1.5)]), Records),
        ([{"title": "a", "age": 3}], Records),
        ({"input_ids": IDS}, Tensors),
        ({"text": ["a", "b"]}, Tensors),
    ],
)
def test_the_kind_of_what_is_given(given, kind):
    assert type(check_rows(given)) is kind


def test_records_arrive_as_they_are():
    rows = [
        {"title": "naïve", "body": "", "age": 3, "scores": np.array([[0.5, 1.0], [2.0, -1.0]]), "is": True},
        {"body": "b", "title": "t", "age": np.int64(-4), "scores": [1, 2, 3], "is": np.bool_(False)},
    ]
    assert sent(rows) == [as_text(row) for row in rows]
    assert sent(rows)[0] == "age=3|body=|is=1|scores=0.5,1,2,-1|title=naïve"
    pairs = [("first", "second"), ("", "\N{GRINNING FACE}")]
    assert sent(pairs) == ["=first|=second", "=|=\N{GRINNING FACE}"]
    assert sent([list(pair) for pair in pairs]) == sent(pairs)


def test_tensors_arrive_as_they_are():
    columns = {"ids": IDS, "mask": (IDS > 5), "age": [1.5, 2.5, -3.0], "text": ["x", "é", ""]}
    assert sent(columns) == [
        as_text({name: np.asarray(values)[row] for name, values in columns.items()}) for row in range(3)
    ]


@pytest.mark.parametrize(
    ("given", "travels"),
    [
        (np.array([1, 2], "i1"), "<i4"),
        (np.array([1, 2], "u2"), "<i4"),
        (np.array([1, 2**31], "u4"), "<i8"),
        (np.array([1, 2], ">i8"), "<i8"),
        (np.array([1, 2**62], "u8"), "<i8"),
        (np.array([1, 2], "f2"), "<f4"),
        (np.array([1, 2], ">f8"), "<f8"),
        (np.array([True, False]), "|b1"),
        ([1, 2], "<i8"),
        ([0.1, 2], "<f8"),
        (np.array([1, 2**40], object), "<i8"),
    ],
)
def test_numbers_keep_their_values_on_the_wire(given, travels):
    array = check_rows({"x": given}).arrays["x"]
    assert array.dtype == np.dtype(travels)
    np.testing.assert_array_equal(array, given)


def test_tensors_of_any_memory_order():
    columns = np.asfortranarray(np.arange(24, dtype="<i8").reshape(4, 6))[:, ::2]
    request = with_rows(inference.EmbedRequest(), check_rows({"x": columns}), 1, 3, limits())
    tensor = request.tensors.tensors["x"]
    assert list(tensor.shape) == [2, 3]
    np.testing.assert_array_equal(np.frombuffer(tensor.data, "<i8").reshape(2, 3), columns[1:3])


class Table:
    ndim = 2

    def __iter__(self):
        return iter(["a", "b"])


@pytest.mark.parametrize(
    ("given", "reason", "field", "words"),
    [
        ("a text", "NOT_A_LIST", "texts", "put it into a list"),
        ([], "EMPTY_INPUT", "texts", "is empty"),
        (Table(), "NOT_A_LIST", "texts", "2 dimensions; pass a list of str, of dicts or of tuples"),
        (["a", ("b", "c")], "NOT_TEXT", "texts[1]", "is a tuple, texts[0] is a str"),
        ([None, ("b", "c")], "NOT_TEXT", "texts[0]", "is None"),
        ([("a", "b"), "c"], "NOT_A_RECORD", "records[1]", "is a str, records[0] is a tuple"),
        ([{"a": "x"}, ("x",)], "NOT_A_RECORD", "records[1]", "is a tuple, records[0] is a dict"),
        ([("a", "b"), ("c",)], "INPUTS_DIFFER", "records[1]", "has 1 values, the first one 2"),
        (
            [{"a": "x", "b": "y"}, {"a": "x"}],
            "INPUTS_DIFFER",
            "records[1]",
            "has no 'b', which records[0] has",
        ),
        (
            [{"a": "x"}, {"a": "x", "b": "y"}],
            "INPUTS_DIFFER",
            "records[1]",
            "has 'b', which records[0] has not",
        ),
        ([{}], "EMPTY_INPUT", "records[0]", "has no values"),
        ([()], "EMPTY_INPUT", "records[0]", "has no values"),
        ([{3: "x"}], "BAD_NAME", "records[0]", "has the key 3"),
        ([{"a": "x"}, {"a": None}], "NOT_A_VALUE", "records[1].a", "is None"),
        ([{"a": b"x"}], "NOT_A_VALUE", "records[0].a", "is a bytes"),
        ([{"a": ["x", "y"]}], "NOT_A_VALUE", "records[0].a", "a list, ragged or not of numbers"),
        ([{"a": [[1], [2, 3]]}], "NOT_A_VALUE", "records[0].a", "ragged or not of numbers"),
        ([("a", {"b": 1})], "NOT_A_VALUE", "records[0][1]", "is a dict"),
        ([("a", "b"), ("a", "x\ud800")], "NOT_UTF8", "records[1][1]", "U+D800 at character 1"),
        ([{"a": 2**53 + 1}], "OUT_OF_RANGE", "records[0].a", "one dict of arrays"),
        ([{"a": -(2**63)}], "OUT_OF_RANGE", "records[0].a", "beyond 2^53"),
        ({}, "EMPTY_INPUT", "tensors", "an empty dict"),
        ({"": IDS}, "BAD_NAME", "tensors", "the key ''"),
        ({"a": "text"}, "NOT_AN_ARRAY", "tensors[a]", "is a str"),
        ({"a": None}, "NOT_AN_ARRAY", "tensors[a]", "is None"),
        ({"a": 3}, "NOT_AN_ARRAY", "tensors[a]", "is 3"),
        ({"a": np.array([1j])}, "NOT_AN_ARRAY", "tensors[a]", "complex128"),
        ({"a": [1, None]}, "NOT_AN_ARRAY", "row 0 of tensors[a]", "texts alone, or numbers alone"),
        ({"a": ["x", 1]}, "NOT_AN_ARRAY", "row 1 of tensors[a]", "holds 1"),
        ({"a": ["x", None]}, "NOT_AN_ARRAY", "row 1 of tensors[a]", "holds None"),
        ({"a": [[1, 2], [3]]}, "RAGGED", "tensors[a]", "row 1 has 1 entries, row 0 has 2; pad the rows"),
        ({"a": np.array([[1, 2], [3]], object)}, "RAGGED", "tensors[a]", "row 1 has 1 entries"),
        ({"a": IDS, "b": IDS[:2]}, "WRONG_SHAPE", "tensors[b]", "has 2 rows, tensors[a] has 3"),
        ({"a": IDS[:0]}, "EMPTY_INPUT", "tensors[a]", "has no rows"),
        ({"a": np.array([2**63], "u8")}, "OUT_OF_RANGE", "tensors[a]", "beyond 64 bits"),
        ({"a": ["x", "\udfff"]}, "NOT_UTF8", "row 1 of tensors[a]", "U+DFFF"),
    ],
)
def test_what_is_wrong_is_said_with_its_place(given, reason, field, words):
    with pytest.raises(InvalidInputError) as caught:
        check_rows(given)
    assert (caught.value.reason, caught.value.field) == (reason, field)
    assert words in caught.value.message
    assert caught.value.message.startswith(field)
    kinds = ("NOT_A_LIST", "NOT_TEXT", "NOT_A_RECORD", "BAD_NAME", "NOT_A_VALUE", "NOT_AN_ARRAY")
    assert isinstance(caught.value, InputTypeError) == (reason in kinds)


def test_the_side_of_an_analysis_is_named():
    with pytest.raises(InvalidInputError) as caught:
        requests.check_source([("a", "b"), ("a", None)], "corpus")
    assert caught.value.field == "corpus.records[1][1]"
    with pytest.raises(InputTypeError, match=r"queries is a list of numbers; .*numpy.asarray\(queries\)"):
        requests.check_source([[0.5, 1.0], [2.0, 3.0]], "queries")
    with pytest.raises(InvalidInputError, match=r"a\.tensors\[x\] has no rows"):
        requests.check_source({"x": np.zeros((0, 2))}, "a")


def test_the_row_of_an_error_counts_from_the_callers_first():
    def error(words, field, **metadata):
        return count_from(8, InvalidInputError(words, field=field, metadata=metadata), called)

    called = "records"
    found = error("records[2].title is a text", "records[2].title", row="2")
    assert (found.message, found.field, found.index) == (
        "records[10].title is a text",
        "records[10].title",
        10,
    )
    assert found.metadata == {"row": "10"}
    called = "a.tensors"
    found = error("row 3 of tensors[ids] holds -1", "tensors[ids]", row="3")
    assert (found.message, found.field, found.index) == (
        "row 11 of a.tensors[ids] holds -1",
        "a.tensors[ids]",
        11,
    )
    found = error("row 3 of tensors is not finite", "tensors", row="3")
    assert (found.message, found.field, found.index) == ("row 11 of tensors is not finite", "tensors", 11)
    found = error("tensors[x] is missing", "tensors[x]")
    assert (found.message, found.index) == ("a.tensors[x] is missing", None)
    assert InvalidInputError("", field="records[4][1]").index == 4
    assert InvalidInputError("", field="row 5 of tensors[2]").index == 5


VALUES = st.one_of(
    st.text(max_size=12), st.floats(allow_nan=False, width=32), st.lists(st.integers(-9, 9), max_size=6)
)


@settings(max_examples=60, deadline=None)
@given(
    rows=st.lists(st.tuples(VALUES, VALUES), min_size=1, max_size=40),
    most_bytes=st.integers(400, 3000),
    named=st.booleans(),
)
def test_parts_cover_every_record_once_and_fit_the_wire(rows, most_bytes, named):
    given_rows = [dict(zip(("a", "b"), row, strict=True)) for row in rows] if named else rows
    told = limits(max_texts=9, max_request_bytes=most_bytes)
    _check_parts(check_rows(given_rows), told, [as_text(row) for row in given_rows])


@settings(max_examples=60, deadline=None)
@given(
    rows=st.integers(1, 60), width=st.integers(0, 20), texts=st.booleans(), most_bytes=st.integers(700, 3000)
)
def test_parts_cover_every_row_of_tensors_once_and_fit_the_wire(rows, width, texts, most_bytes):
    columns = {"input_ids": np.arange(rows * width).reshape(rows, width), "x": np.arange(rows, dtype="f4")}
    if texts:
        columns["words"] = np.array(["é" * (row % 7) for row in range(rows)], object)
    expected = [as_text({name: column[row] for name, column in columns.items()}) for row in range(rows)]
    _check_parts(check_rows(columns), limits(max_texts=9, max_request_bytes=most_bytes), expected)


def _check_parts(rows, told, expected):
    template = inference.EmbedRequest(probabilities=True)
    parts = split_rows(rows, told, template.ByteSize())
    made = [with_rows(template, rows, part.start, part.stop, told) for part in parts]
    assert [row for request in made for row in rows_of(request)] == expected
    assert max(len(part) for part in parts) <= told.max_texts
    assert max(request.ByteSize() for request in made) <= told.max_request_bytes
    # A part ends only because it is full.
    for before, after in pairwise(parts):
        grown = with_rows(template, rows, before.start, after.start + 1, told)
        assert len(before) == told.max_texts or grown.ByteSize() + 250 > told.max_request_bytes


def test_token_ids_are_shared_out_like_their_texts():
    ids = np.ones((5000, 128), np.int64)
    parts = split_rows(check_rows({"ids": ids, "mask": ids, "types": ids}), limits(), 0)
    assert {len(part) for part in parts[:-1]} == {PART_BYTES // (4 * 128)}
    short = split_rows(check_rows({"ids": ids[:, :4]}), limits(), 0)
    assert [len(part) for part in short[:-1]] == [PART_ROWS] * (len(short) - 1)


def test_a_row_that_no_request_can_hold_is_named():
    told = limits(max_request_bytes=2000)
    with pytest.raises(
        InvalidInputError, match=r"records\[1\] has \d+ bytes; the server takes \d+ in one"
    ) as caught:
        split_rows(check_rows([("a", 1.0), ("b", [1.0] * 300)]), told, 10)
    assert (caught.value.reason, caught.value.field, caught.value.index) == ("ROW_TOO_LARGE", "records[1]", 1)
    with pytest.raises(InvalidInputError, match=r"row 0 of tensors has 2400 bytes") as caught:
        split_rows(check_rows({"x": np.zeros((2, 300))}), told, 10)
    assert caught.value.index == 0


def embedded(kind, vectors) -> Embeddings:
    return kind(
        vectors=vectors,
        probabilities=None,
        labels=(),
        token_counts=np.array([2, 1], np.int32),
        truncated=np.array(["none"] * 2),
        row_errors=(),
        **{"model": "m", "version": 1, "digest": "d", "space": "s", "layer": "l", "pooling": "tokens"},
        **{"normalized": False, "engine": "e", "precision": "float32", "dropout_proven": True},
    )


def test_embeddings_of_tokens_are_no_side_of_an_analysis():
    tokens = embedded(TokenEmbeddings, [np.zeros((2, 3), np.float32), np.zeros((1, 3), np.float32)])
    with pytest.raises(InvalidInputError, match="one row a token") as caught:
        requests.check_source(tokens, "source")
    assert (caught.value.reason, caught.value.field) == ("WRONG_SHAPE", "source.vectors")
    rows = requests.check_source(embedded(Embeddings, np.ones((2, 3), np.float32)), "source")
    assert isinstance(rows, common.Source)
    assert (rows.vectors.rows, rows.vectors.embedding_space) == (2, "s")
