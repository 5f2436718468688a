"""What a model is given wrongly: each refused with the input, the row and what to do."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from penult_service.embedder import Given, Records, Tensors
from penult_service.embedder.inputs import inputs_of
from penult_service.embedder.slots import slots
from penult_service.embedder.tables import stacked, table_of
from penult_service.errors import InvalidInput, PenultError, PreconditionFailed
from penult_service.prepared import Field, Manifest, TokenInput
from support.fakes import fake_model

PAIR, NUMBERS, IDS, FILE, TEXT = (
    fake_model(takes=takes).manifest for takes in ("pair", "numbers", "ids", "file", "text")
)
ONES = np.ones((2, 3), np.int32)
TWO = np.array(["a", "b"], dtype=object)


def with_numbers(dtype: str, *shape: int) -> Manifest:
    """A model of a text and numbers of that type and shape."""
    token = TokenInput("age", "value", dtype, "n", shape)
    fields = (*TEXT.fields, Field("n", "n", dtype, shape))
    return replace(TEXT, fields=fields, inputs=(*TEXT.inputs, token))


def with_steps(*shape: int) -> Manifest:
    """A model of ids and of numbers for each, of that shape."""
    token = TokenInput("minutes", "steps", "float32", "minutes", shape)
    ids, _ = IDS.fields
    fields = (ids, Field("minutes", "minutes", "float32", shape))
    return replace(IDS, fields=fields, inputs=(IDS.inputs[0], token))


def events(ids: int, numbers: int) -> dict[str, Any]:
    return {"input_ids": np.ones(ids), "minutes": np.ones(numbers)}


def tokens(**given: Any) -> Tensors:
    return Tensors({"input_ids": ONES, "attention_mask": ONES} | given)


def beside(array: Any) -> Tensors:
    return Tensors({"text": TWO, "age and size": np.asarray(array)})


def refused(manifest: Manifest, given: Given) -> PenultError:
    with pytest.raises(PenultError) as caught:
        table_of(manifest, fake_model().tokenizer, inputs_of(manifest, given), given)
    assert isinstance(caught.value, InvalidInput | PreconditionFailed)
    return caught.value


WRONG: list[tuple[Manifest, Given, str, str, str]] = [
    # Names
    (PAIR, ["a"], "MISSING_INPUT", "texts", "premise, hypothesis: send records"),
    (PAIR, Records([{"premise": "a"}]), "MISSING_INPUT", "records[0].hypothesis", "is missing"),
    (PAIR, Records([("a",)]), "MISSING_INPUT", "records[0]", "has 1 values, the model takes 2"),
    (PAIR, Records([("a", "b"), ("a", "b", "c")]), "MISSING_INPUT", "records[1]", "has 3 values"),
    (PAIR, Records([("a", "b"), {"premise": "a"}]), "MISSING_INPUT", "records[1]", "hypothesis"),
    (PAIR, Tensors({"premise": TWO, "x": TWO}), "UNKNOWN_INPUT", "tensors[x]", "takes premise, hypothesis"),
    (TEXT, Records([("a", "b")]), "MISSING_INPUT", "records[0]", "has 2 values, the model takes 1: text"),
    (TEXT, tokens(), "UNKNOWN_INPUT", "tensors[attention_mask]", "it takes text"),
    (
        IDS,
        Tensors({"input_ids": ONES}),
        "MISSING_INPUT",
        "tensors[attention_mask]",
        "input_ids, attention_mask",
    ),
    (IDS, tokens(text=TWO), "UNKNOWN_INPUT", "tensors[text]", "no input of this model"),
    (FILE, tokens(text=TWO), "UNKNOWN_INPUT", "tensors[text]", "send either"),
    (FILE, Tensors({"input_ids": ONES}), "MISSING_INPUT", "tensors[attention_mask]", "in place of the text"),
    (FILE, Records([("a", "b", "c")]), "MISSING_INPUT", "records[0]", "takes 2: text, text_pair"),
    (IDS, ["a"], "TEXTS_NOT_TAKEN", "texts", "tokenizer.json, or vocab.txt"),
    # Types
    (NUMBERS, Records([("a", "b")]), "WRONG_TYPE", "records[0].age and size", "is a text"),
    (PAIR, Records([("a", np.ones(2))]), "WRONG_TYPE", "records[0].hypothesis", "holds numbers"),
    (
        NUMBERS,
        beside(np.array([["a", "b"]] * 2, object)),
        "WRONG_TYPE",
        "tensors[age and size]",
        "holds strings",
    ),
    (
        NUMBERS,
        Tensors({"text": ONES, "age and size": np.ones((2, 2))}),
        "WRONG_TYPE",
        "tensors[text]",
        "texts",
    ),
    (
        PAIR,
        Tensors({"premise": TWO, "hypothesis": np.array([["a", "b"]] * 2, object)}),
        "WRONG_SHAPE",
        "tensors[hypothesis]",
        "[2, 2]",
    ),
    (IDS, tokens(input_ids=ONES.astype(np.float32)), "WRONG_TYPE", "tensors[input_ids]", "float32"),
    (
        IDS,
        Records([{"input_ids": np.array([1.5]), "attention_mask": np.ones(1)}]),
        "WRONG_TYPE",
        "records[0].input_ids",
        "holds 1.5",
    ),
    # Shapes
    (
        NUMBERS,
        beside(np.ones((2, 3))),
        "WRONG_SHAPE",
        "tensors[age and size]",
        "of shape [3], the model takes [2]",
    ),
    (NUMBERS, beside(np.ones(2)), "WRONG_SHAPE", "tensors[age and size]", "of shape []"),
    (NUMBERS, Records([("a", np.ones(3))]), "WRONG_SHAPE", "records[0].age and size", "has 3 numbers"),
    (
        NUMBERS,
        Records([("a", np.ones(2)), ("b", np.ones(1))]),
        "WRONG_SHAPE",
        "records[1].age and size",
        "has 1",
    ),
    (
        IDS,
        tokens(attention_mask=np.ones((2, 4), np.int32)),
        "WRONG_SHAPE",
        "tensors[attention_mask]",
        "input_ids 3, attention_mask 4",
    ),
    (
        IDS,
        Tensors({"input_ids": np.ones(2, np.int32), "attention_mask": ONES}),
        "WRONG_SHAPE",
        "tensors[input_ids]",
        "[any]",
    ),
    (
        replace(IDS, trims=False),
        Records([{"input_ids": np.ones(n), "attention_mask": np.ones(n)} for n in (2, 3)]),
        "WRONG_SHAPE",
        "records[0].input_ids",
        "another row has 3",
    ),
    (replace(IDS, max_length=2), tokens(), "TEXT_TOO_LONG", "tensors", "3 tokens, the model reads at most 2"),
    (
        with_numbers("float32", -1, -1),
        Records([("a", np.ones(4))]),
        "WRONG_SHAPE",
        "records[0].n",
        "send tensors",
    ),
    (
        with_steps(-1),
        Records([events(3, 2), events(2, 3)]),
        "WRONG_SHAPE",
        "records[0].minutes",
        "has 2 numbers for the 3 of input_ids; give 1 for each",
    ),
    (
        with_steps(-1, 2),
        Records([events(3, 6), events(2, 6)]),
        "WRONG_SHAPE",
        "records[1].minutes",
        "has 6 numbers for the 2 of input_ids; give 2 for each",
    ),
    # Ranges
    (
        NUMBERS,
        beside([[1, 2], [np.nan, 0]]),
        "NOT_FINITE",
        "tensors[age and size]",
        "row 1 of tensors[age and size]",
    ),
    (
        NUMBERS,
        Records([("a", np.array([np.inf, 1.0]))]),
        "NOT_FINITE",
        "records[0].age and size",
        "NaN or infinity",
    ),
    (NUMBERS, beside([[1.0, 1e300]] * 2), "OUT_OF_RANGE", "tensors[age and size]", "1e+300, which float32"),
    (
        NUMBERS,
        beside([[1, 2**24 + 1]] * 2),
        "OUT_OF_RANGE",
        "tensors[age and size]",
        "16777217, which float32",
    ),
    (
        IDS,
        tokens(input_ids=np.array([[0, 1, 2], [3, 30_000, 5]])),
        "OUT_OF_RANGE",
        "tensors[input_ids]",
        "row 1 of tensors[input_ids] holds the id 30000, the model has 0 to 29999",
    ),
    (
        IDS,
        tokens(input_ids=np.array([[0, -7, 2]] * 2)),
        "OUT_OF_RANGE",
        "tensors[input_ids]",
        "holds the id -7",
    ),
    (replace(IDS, vocabulary=0), tokens(input_ids=-ONES), "OUT_OF_RANGE", "tensors[input_ids]", "from 0 on"),
    (
        IDS,
        tokens(input_ids=ONES.astype(np.int64) << 40),
        "OUT_OF_RANGE",
        "tensors[input_ids]",
        "int32 cannot hold",
    ),
    (IDS, tokens(attention_mask=2 * ONES), "OUT_OF_RANGE", "tensors[attention_mask]", "1 for a token and 0"),
    (
        with_numbers("float16", 1),
        Tensors({"text": TWO, "n": np.full((2, 1), 7e4)}),
        "OUT_OF_RANGE",
        "tensors[n]",
        "7",
    ),
]


@pytest.mark.parametrize(("manifest", "given", "reason", "field", "says"), WRONG)
def test_what_is_wrong_is_named(manifest: Manifest, given: Given, reason: str, field: str, says: str) -> None:
    error = refused(manifest, given)
    assert (error.reason, error.field) == (reason, field)
    assert says in error.message


@pytest.mark.parametrize(
    ("dtype", "shape", "array", "expected"),
    [
        ("float32", (2,), np.array([[1, 2], [3, 4]]), np.float32([[1, 2], [3, 4]])),
        ("float32", (1,), np.float64([0.1, 0.2]), np.float32([[0.1], [0.2]])),
        ("float32", (), np.float32([[1], [2]]), np.float32([1, 2])),
        ("float32", (-1,), np.ones((2, 5), np.float16), np.ones((2, 5), np.float32)),
        ("bfloat16", (1,), np.float32([[1.5], [2]]), np.float32([[1.5], [2]])),
        ("float64", (), np.int64([2**53, 1]), np.float64([2**53, 1])),
        ("int64", (2, 2), np.ones((2, 2, 2), np.uint8), np.ones((2, 2, 2), np.int64)),
        ("bool", (), np.int32([0, 1]), np.array([False, True])),
        ("int32", (), np.array([True, False]), np.int32([1, 0])),
    ],
)
def test_casts_that_keep_every_value(dtype: str, shape: tuple[int, ...], array: Any, expected: Any) -> None:
    given = Tensors({"text": TWO, "n": array})
    found = inputs_of(with_numbers(dtype, *shape), given).arrays["n"]
    assert found.dtype == expected.dtype
    np.testing.assert_array_equal(found, expected)


def test_numbers_of_records_take_the_shape_of_the_input() -> None:
    given = Records([{"text": t, "n": np.arange(6.0)} for t in "ab"])
    found = inputs_of(with_numbers("int64", 2, 3), given).arrays["n"]
    assert (found.dtype, found.tolist()) == (np.int64, [[[0, 1, 2], [3, 4, 5]]] * 2)
    assert inputs_of(with_numbers("float32", 2, -1), given).arrays["n"].shape == (2, 2, 3)
    one = Records([{"text": "a", "n": np.array([3.0])}])
    assert inputs_of(with_numbers("bool"), Records([{"text": "a", "n": np.array([1.0])}])).arrays[
        "n"
    ].tolist() == [True]
    assert inputs_of(with_numbers("float32"), one).arrays["n"].shape == (1,)


def test_rows_of_ids_are_filled_up_and_cut_to_the_longest() -> None:
    rows = [{"input_ids": np.arange(1.0, n + 1), "attention_mask": np.ones(n)} for n in (2, 4)]
    given = Records(rows)
    table = table_of(IDS, fake_model().tokenizer, inputs_of(IDS, given), given)
    assert table.inputs["ids"].tolist() == [[1, 2, 0, 0], [1, 2, 3, 4]]
    assert table.inputs["mask"].tolist() == [[1, 1, 0, 0], [1, 1, 1, 1]]
    assert table.lengths.tolist() == [2, 4]
    wide = Tensors(
        {"input_ids": np.array([[5, 6, 0, 0]]), "attention_mask": np.array([[1, 1, 0, 0]], np.int32)}
    )
    for manifest, width in ((IDS, 2), (replace(IDS, trims=False), 4), (replace(IDS, max_length=2), 2)):
        table = table_of(manifest, fake_model().tokenizer, inputs_of(manifest, wide), wide)
        assert (table.inputs["ids"].shape, table.lengths.tolist()) == ((1, width), [2])


def test_what_a_model_takes_in_the_order_of_records() -> None:
    def said(manifest: Manifest) -> list[tuple[str, str, bool]]:
        return [(slot.name, slot.role, slot.made) for slot in slots(manifest)]

    assert said(TEXT) == [("text", "text", False)]
    assert said(PAIR) == [("premise", "text", False), ("hypothesis", "text", False)]
    assert said(NUMBERS) == [("text", "text", False), ("age and size", "value", False)]
    assert said(IDS) == [("input_ids", "ids", False), ("attention_mask", "mask", False)]
    assert said(FILE) == [
        ("text", "text", False),
        ("input_ids", "ids", True),
        ("attention_mask", "mask", True),
    ]
    # As it was before a manifest said whose inputs the tokens are.
    old = replace(FILE, fields=TEXT.fields, inputs=TEXT.inputs)
    assert said(old) == [("text", "text", False), ("ids", "ids", True), ("mask", "mask", True)]
    beside_tokens = replace(
        FILE,
        fields=(*IDS.fields[:1], Field("n", "n", "float32", (1,)), *IDS.fields[1:]),
        inputs=(*FILE.inputs, TokenInput("n", "value", "float32", "n", (1,))),
    )
    assert [slot.name for slot in slots(beside_tokens)] == ["text", "n", "input_ids", "attention_mask"]


def test_rows_of_several_widths_are_filled_up_as_the_tokenizer_says() -> None:
    short, long = (
        replace(fake_model(max_length=n).tokenizer.tokenize(["a"]), filling={"ids": 9}) for n in (4, 6)
    )
    tokens_, values = stacked([(short, 0), (long, 0)])
    assert tokens_["ids"][0].tolist()[3:] == [0, 9, 9]
    assert tokens_["mask"][0].tolist() == [1, 1, 1, 0, 0, 0]
    assert not values
    cut, _ = stacked([(short, 0), (long, 0)], width=3)
    assert cut["ids"].shape == (2, 3)
