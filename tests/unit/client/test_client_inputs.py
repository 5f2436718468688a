"""What the client refuses before anything is sent, and what it takes."""

from __future__ import annotations

import numpy as np
import pytest
from penult_client import InputTypeError, InvalidInputError
from penult_client._core.inputs import check_model, check_texts, check_vectors, is_texts


class Column:
    """As a pandas Series: iterating gives values, `tolist` a list."""

    ndim = 1

    def __init__(self, values):
        self.values = values

    def tolist(self):
        return list(self.values)

    def __iter__(self):
        return iter(self.values)


class ArrowColumn:
    """As a pyarrow Array: iterating gives scalars, `to_pylist` values."""

    def __iter__(self):
        return iter([object()])

    def to_pylist(self):
        return ["a", "b"]


@pytest.mark.parametrize(
    "texts",
    [
        ["a", "b"],
        ("a", "b"),
        np.array(["a", "b"]),
        np.array(["a", "b"], dtype=object),
        Column(["a", "b"]),
        ArrowColumn(),
        (each for each in "ab"),
    ],
)
def test_every_kind_of_list_gives_the_same_texts(texts):
    checked = check_texts(texts)
    assert checked.items == ["a", "b"]
    assert {type(item) for item in checked.items} == {str}
    assert checked.sizes == [1, 1]


def test_sizes_are_bytes_of_utf8():
    assert check_texts(["", "abc", "é", "😀", "\0"]).sizes == [0, 3, 2, 4, 1]


@pytest.mark.parametrize(
    ("texts", "reason", "words"),
    [
        ("a text", "NOT_A_LIST", "put it into a list"),
        (b"a text", "NOT_A_LIST", "bare bytes"),
        ({"a": 1}, "NOT_A_LIST", "a dict"),
        ({"a", "b"}, "NOT_A_LIST", "a set"),
        (None, "NOT_A_LIST", "a NoneType"),
        (7, "NOT_A_LIST", "a int"),
        (np.array([["a"]]), "NOT_A_LIST", "2 dimensions"),
        (np.array("a"), "NOT_A_LIST", "0 dimensions"),
        (["a", None], "NOT_TEXT", "texts[1] is None"),
        (["a", float("nan")], "NOT_TEXT", "texts[1] is nan"),
        ([b"a"], "NOT_TEXT", "texts[0] is a bytes"),
        (np.array([1.0, 2.0]), "NOT_TEXT", "texts[0] is 1.0"),
    ],
)
def test_what_is_no_list_of_str_is_a_type_error(texts, reason, words):
    with pytest.raises(TypeError) as caught:
        check_texts(texts)
    assert isinstance(caught.value, InvalidInputError)
    assert caught.value.reason == reason
    assert words in caught.value.message


def test_an_empty_list_has_the_servers_reason():
    with pytest.raises(InvalidInputError) as caught:
        check_texts([])
    assert (caught.value.reason, caught.value.field) == ("EMPTY_INPUT", "texts")
    assert caught.value.code == "INVALID_ARGUMENT"
    assert not isinstance(caught.value, TypeError)


def test_a_lone_surrogate_is_named_with_its_place():
    with pytest.raises(InvalidInputError) as caught:
        check_texts(["fine", "so-so", "ab\ud83d"])
    error = caught.value
    assert (error.reason, error.field, error.index) == ("NOT_UTF8", "texts[2]", 2)
    assert "U+D83D at character 2" in error.message


@pytest.mark.parametrize("name", ["", 3, ["reviews"]])
def test_a_model_is_a_name(name):
    with pytest.raises(InputTypeError) as caught:
        check_model(name)
    assert (caught.value.reason, caught.value.field) == ("BAD_MODEL", "model")


def test_no_model_is_the_empty_name():
    assert check_model(None) == ""
    assert check_model("reviews@3") == "reviews@3"


def test_vectors_become_little_endian_float32_rows():
    column_major = np.asfortranarray(np.arange(6, dtype=">f8").reshape(2, 3))
    matrix = check_vectors(column_major, "a")
    assert matrix.dtype == np.dtype("<f4")
    assert matrix.flags["C_CONTIGUOUS"]
    np.testing.assert_array_equal(matrix, [[0, 1, 2], [3, 4, 5]])


@pytest.mark.parametrize(
    ("vectors", "reason", "field"),
    [
        (np.zeros(3), "WRONG_SHAPE", "a"),
        (np.zeros((1, 2, 3)), "WRONG_SHAPE", "a"),
        (np.zeros((0, 3)), "EMPTY_INPUT", "a"),
        (np.zeros((3, 0)), "EMPTY_INPUT", "a"),
        (np.array([[1.0, 2.0], [np.nan, 0.0]]), "NOT_FINITE", "a[1]"),
        (np.array([[-np.inf, 2.0]]), "NOT_FINITE", "a[0]"),
        (np.array([[0.0], [0.0], [1e39]]), "NOT_FINITE", "a[2]"),
    ],
)
def test_vectors_that_cannot_be_sent(vectors, reason, field):
    with pytest.raises(InvalidInputError) as caught:
        check_vectors(vectors, "a")
    assert (caught.value.reason, caught.value.field) == (reason, field)


def test_numbers_are_vectors_and_the_rest_is_texts():
    assert not is_texts(np.zeros((2, 2)))
    assert not is_texts(np.zeros((2, 2), dtype=int))
    assert is_texts(np.array(["a"]))
    assert is_texts(np.array(["a"], dtype=object))
    assert is_texts(["a"])
    assert is_texts("a")  # and is then refused as a bare string
