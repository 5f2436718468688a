"""Models that take more than one text: pairs, numbers beside a text, token ids in place of it, and no seam."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from penult_service.batching import Scheduler
from penult_service.embedder import Embedder, EmbedOptions, LoadedModel, Records, Tensors
from penult_service.errors import InvalidInput, PreconditionFailed, ResourceExhausted
from support.fakes import fake_model

A = ["a premise", "", "one two three four", "again", "b " * 30]
B = ["its hypothesis", "five six", "", "again", "c"]
NUMBERS = np.array([[1.0, 2.0], [0.0, -1.5], [3.25, 0.5], [0.0, 0.0], [-2.0, 7.0]], np.float32)
POOLED = ["pooled_output"]


def texts_of(column: Sequence[str]) -> np.ndarray:
    return np.array(column, dtype=object)


def run_alone(model: LoadedModel, inputs: Mapping[str, Any], row: int) -> np.ndarray:
    """The embedding of one row by the engine itself, untrimmed."""
    return model.engine.encode({name: array[[row]] for name, array in inputs.items()}, POOLED)[POOLED[0]][0]


async def test_a_pair_is_tokenized_together(embedder: Embedder) -> None:
    model = fake_model(takes="pair")
    table = model.tokenizer.tokenize(A, B)
    expected = [run_alone(model, table.inputs, i) for i in range(len(A))]
    ways = [
        Records(list(zip(A, B, strict=True))),
        Records([{"hypothesis": b, "premise": a} for a, b in zip(A, B, strict=True)]),
        Tensors({"hypothesis": texts_of(B), "premise": texts_of(A)}),
        Tensors({"hypothesis": texts_of(B)[:, None], "premise": texts_of(A)[:, None]}),
    ]
    for given in ways:
        result = await embedder.embed(model, given)
        np.testing.assert_allclose(result.vectors, expected, atol=1e-6)
        assert result.token_counts.tolist() == [
            len(a.split()) + len(b.split()) + 3 for a, b in zip(A, B, strict=True)
        ]
        output = (await embedder.predict(model, given))["output"]
        np.testing.assert_allclose(output, model.engine.head(np.array(expected))["output"], atol=1e-6)
        np.testing.assert_allclose((await embedder.classify(model, given)).probabilities, output, atol=1e-6)
    swapped = await embedder.embed(model, Records(list(zip(B, A, strict=True))))
    assert not np.allclose(swapped.vectors[0], expected[0], atol=1e-3)


async def test_numbers_reach_encode_and_head_and_are_not_cut(embedder: Embedder) -> None:
    model = fake_model(takes="numbers")
    inputs = {**model.tokenizer.tokenize(A).inputs, "age": NUMBERS}
    expected = np.array([run_alone(model, inputs, i) for i in range(len(A))])
    outputs = model.engine.head(expected, {"age": NUMBERS})["output"]
    ways = [
        Tensors({"text": texts_of(A), "age and size": NUMBERS}),
        Tensors({"text": texts_of(A), "age and size": NUMBERS.astype(np.float64)}),
        Records([(a, n.astype(np.float64)) for a, n in zip(A, NUMBERS, strict=True)]),
    ]
    for given in ways:
        result = await embedder.embed(model, given, probabilities=True)
        np.testing.assert_allclose(result.vectors, expected, atol=1e-6)
        np.testing.assert_allclose(result.probabilities, outputs, atol=1e-6)
        np.testing.assert_allclose((await embedder.predict(model, given))["output"], outputs, atol=1e-6)
    alone = model.engine.head(expected, {"age": np.zeros_like(NUMBERS)})["output"]
    assert not np.allclose(alone, outputs, atol=1e-3)  # so the head's own numbers are what is looked at


@pytest.mark.parametrize("takes", ["ids", "file"])
async def test_tokens_in_place_of_the_text(embedder: Embedder, takes: str) -> None:
    model = fake_model(takes=takes)
    table = model.tokenizer.tokenize(A)
    expected = [run_alone(model, table.inputs, i) for i in range(len(A))]
    width = int(table.lengths.max())
    ids, mask = table.inputs["ids"], table.inputs["mask"]
    rows = [
        {"input_ids": ids[i, :n].astype(np.float64), "attention_mask": np.ones(n)}
        for i, n in enumerate(table.lengths)
    ]
    ways = [
        Tensors({"input_ids": ids, "attention_mask": mask}),
        Tensors({"input_ids": ids[:, :width].astype(np.int64), "attention_mask": mask[:, :width] == 1}),
        Records(rows),
        Records([tuple(row.values()) for row in rows]) if takes == "ids" else Records(rows),
    ]
    for given in ways:
        result = await embedder.embed(model, given)
        np.testing.assert_allclose(result.vectors, expected, atol=1e-6)
        assert result.token_counts.tolist() == table.lengths.tolist()
        assert set(result.truncations) == {"none"}
        output = (await embedder.predict(model, given))["output"]
        np.testing.assert_allclose(output, model.engine.head(np.array(expected))["output"], atol=1e-6)
    assert max(shape[1] for shape in model.engine.batches) == 128  # predict runs what was given, as it is


async def test_a_tokenizer_beside_the_model_takes_texts_and_pairs(embedder: Embedder) -> None:
    model = fake_model(takes="file")
    for given, columns in ((A, [A]), (Records(list(zip(A, B, strict=True))), [A, B])):
        inputs = model.tokenizer.tokenize(*columns).inputs
        expected = [run_alone(model, inputs, i) for i in range(len(A))]
        np.testing.assert_allclose((await embedder.embed(model, given)).vectors, expected, atol=1e-6)
        tokens = await embedder.tokenize(model, given)
        assert [row.tolist() for row in tokens.ids] == [row[row > 0].tolist() for row in inputs["ids"]]
    named = Records([{"text": a, "text_pair": b} for a, b in zip(A, B, strict=True)])
    np.testing.assert_allclose((await embedder.embed(model, named)).vectors, expected, atol=1e-6)


@pytest.mark.parametrize("takes", ["text", "pair", "numbers", "file"])
async def test_rows_of_many_callers_share_batches(embedder: Embedder, takes: str) -> None:
    model = fake_model(takes=takes)

    def given(row: int) -> Any:
        if takes == "text":
            return [A[row]]
        if takes == "file":  # as wide as the row, so that tables of several widths meet
            table = model.tokenizer.tokenize([A[row]])
            width = int(table.lengths[0])
            return Tensors(
                {
                    "input_ids": table.inputs["ids"][:, :width],
                    "attention_mask": table.inputs["mask"][:, :width],
                }
            )
        return Records([(A[row], B[row] if takes == "pair" else NUMBERS[row].astype(np.float64))])

    alone = [(await embedder.embed(model, given(i))).vectors[0] for i in range(len(A))]
    model.engine.batches.clear()
    together = await asyncio.gather(*(embedder.embed(model, given(i)) for i in range(len(A))))
    np.testing.assert_allclose([result.vectors[0] for result in together], alone, atol=1e-6)
    assert len(model.engine.batches) < len(A)


async def test_a_model_that_needs_its_padding_is_given_the_rows_as_they_came(embedder: Embedder) -> None:
    model = fake_model(takes="ids", trims=False)
    table = model.tokenizer.tokenize(A[:2])
    narrow, wide = (
        Tensors({"input_ids": table.inputs["ids"][:, :w], "attention_mask": table.inputs["mask"][:, :w]})
        for w in (10, 20)
    )
    found = await asyncio.gather(*(embedder.embed(model, given) for given in (narrow, wide, narrow)))
    assert sorted(model.engine.batches) in ([(2, 10), (2, 20)], [(2, 10), (2, 10), (2, 20)])
    np.testing.assert_array_equal(found[0].vectors, found[2].vectors)
    assert not np.allclose(found[0].vectors, found[1].vectors, atol=1e-3)


async def test_a_model_without_a_seam(embedder: Embedder) -> None:
    model, cut = fake_model(whole_only=True), fake_model()
    with pytest.raises(PreconditionFailed, match="lies on every way") as refused:
        await embedder.embed(model, A)
    assert refused.value.reason == "NO_EMBEDDING"
    assert refused.value.message == model.manifest.unread
    expected = (await embedder.predict(cut, A))["output"]
    np.testing.assert_allclose((await embedder.predict(model, A))["output"], expected, atol=1e-6)
    classified = await embedder.classify(model, A)
    np.testing.assert_allclose(classified.probabilities, expected, atol=1e-6)
    assert classified.token_counts.tolist() == [0] * len(A)
    assert set(classified.truncations) == {"unknown"}
    with pytest.raises(PreconditionFailed, match="whether a text was cut") as refused:
        await embedder.classify(model, A, truncate="error")
    assert refused.value.reason == "TRUNCATION_UNKNOWN"


async def test_heads_without_probabilities(embedder: Embedder) -> None:
    for head, says in (("regression", "is a regression"), ("other", 'head = "logits"')):
        model = fake_model(head=head)
        with pytest.raises(PreconditionFailed, match=says) as refused:
            await embedder.classify(model, A)
        assert refused.value.reason == "NOT_A_CLASSIFIER"
        assert (await embedder.predict(model, A))["output"].shape == (len(A), 1)


async def test_probabilities_of_declared_logits(embedder: Embedder) -> None:
    model = fake_model(head="logits")
    logits = (await embedder.predict(model, A))["output"].astype(np.float64)
    expected = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    np.testing.assert_allclose((await embedder.classify(model, A)).probabilities, expected, atol=1e-6)
    assert not np.allclose(logits, expected, atol=0.1)


@pytest.mark.parametrize(
    "traits",
    [{"takes": t} for t in ("text", "pair", "numbers", "ids", "file")]
    + [{"whole_only": True}, {"head": "regression"}, {"takes": "ids", "max_length": 4}],
)
async def test_every_kind_of_model_is_warmed(embedder: Embedder, traits: dict[str, Any]) -> None:
    model = fake_model(**traits)
    await embedder.warm(model)
    assert model.engine.batches


@pytest.mark.parametrize("whole_only", [True, False])
async def test_a_model_is_warmed_however_much_waits(
    embedder: Embedder, monkeypatch: pytest.MonkeyPatch, whole_only: bool
) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise ResourceExhausted("too much work waits", reason="OVERLOADED")

    monkeypatch.setattr(Scheduler, "pressed", True)
    monkeypatch.setattr(Scheduler, "check_time", refuse)
    model, deadline = fake_model(whole_only=whole_only), time.monotonic() + 60
    await embedder.warm(model, deadline=deadline)
    for ask in (embedder.predict, embedder.classify):
        with pytest.raises(ResourceExhausted):
            await ask(model, A, deadline=deadline)


async def test_a_model_is_warmed_with_the_texts_that_were_declared(embedder: Embedder) -> None:
    model = fake_model()
    await embedder.warm(replace(model, manifest=replace(model.manifest, warm_up=("a b c", "d", "e"))))
    assert sum(rows for rows, _ in model.engine.batches) == 3
    broken = fake_model(nan_on="poison")
    with pytest.raises(PreconditionFailed, match="NaN"):
        await embedder.warm(replace(broken, manifest=replace(broken.manifest, warm_up=("poison",))))


async def test_rows_that_are_not_finite_are_named_as_they_were_given(embedder: Embedder) -> None:
    model = fake_model(takes="pair", nan_on="poison")
    given = Records([("a", "b"), ("c", "poison")])
    (error,) = (await embedder.embed(model, given)).row_errors.values()
    assert (error.reason, error.field) == ("NOT_FINITE", "records[1]")
    with pytest.raises(PreconditionFailed, match=r"records\[1\]"):
        await embedder.predict(model, given)
    columns = Tensors({"premise": texts_of(["a", "poison"]), "hypothesis": texts_of(["b", "c"])})
    (error,) = (await embedder.embed(model, columns)).row_errors.values()
    assert error.field == "tensors"
    assert "row 1 of tensors" in error.message


async def test_long_pairs(embedder: Embedder) -> None:
    model = fake_model(takes="pair", max_length=8)
    given = Records([("a b", "c"), ("a b c", "d e f")])
    result = await embedder.embed(model, given, EmbedOptions(truncate="error"))
    (error,) = result.row_errors.values()
    assert isinstance(error, InvalidInput)
    assert (list(result.row_errors), error.reason, error.field) == ([1], "TEXT_TOO_LONG", "records[1]")
    assert list((await embedder.embed(model, given)).truncations) == ["none", "cut"]


async def test_tokens_that_cannot_be_shown(embedder: Embedder) -> None:
    model = fake_model()
    manifest = replace(model.manifest, inputs=model.manifest.inputs[1:])
    with pytest.raises(PreconditionFailed, match="no token ids"):
        await embedder.tokenize(replace(model, manifest=manifest), ["a"])
