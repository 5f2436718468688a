"""Samples of the embedder, against the fake engine called directly, one row and one sample at a time."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from penult_service.batching import Scheduler
from penult_service.embedder import Embedder, LoadedModel, Records, SampleOptions, SampleResult, sampling
from penult_service.embedder.passes import class_probabilities
from penult_service.errors import DeadlineExceeded, InvalidInput, PreconditionFailed, ResourceExhausted
from penult_service.masks import Draw, dropped, keys_of
from support.fakes import fake_model

TEXTS = ["a b c", "one", "one two three four five", "a b c", "x y"]
SCOPES = ("head", "all")
CLOSE = {"rtol": 0, "atol": 2e-6}


@pytest.fixture
def scheduler() -> Iterator[Scheduler]:
    made = Scheduler()
    yield made
    made.close(10.0)


@pytest.fixture
async def embedder(scheduler: Scheduler) -> AsyncIterator[Embedder]:
    made = Embedder(scheduler)
    yield made
    made.close()


def one_by_one(
    model: LoadedModel, texts: list[str], scope: str, seed: int, samples: int, first_row: int = 0
) -> tuple[np.ndarray, np.ndarray]:
    """Outputs [n, samples, k] and embeddings [n, samples, d] behind the dropout at the seam."""
    rates = np.array([0.1 if scope == "all" else 0, 0.1, 0], np.float32)
    outputs, embeddings = [], []
    for i, text in enumerate(texts):
        table = model.tokenizer.tokenize([text])
        for sample in range(samples):
            draw = Draw(*keys_of(seed, np.array([sample]), np.array([first_row + i])), rates)
            seam = model.engine.sample_encode(table.inputs, draw)
            found = model.engine.sample_head(seam, {}, draw)[model.manifest.head.output]
            outputs.append(class_probabilities(model.manifest.head, found)[0])
            embeddings.append(dropped(seam, draw.row_keys, 1, 0.1)[0])
    shape = (len(texts), samples, -1)
    return np.array(outputs).reshape(shape), np.array(embeddings).reshape(shape)


@pytest.mark.parametrize("scope", SCOPES)
@pytest.mark.parametrize("head", ["softmax", "sigmoid", "multilabel", "logits", "regression", "other"])
async def test_samples_are_those_of_each_row_alone(embedder: Embedder, scope: str, head: str) -> None:
    model = fake_model(head=head)
    options = SampleOptions(scope, samples=4, seed=9)
    found = await embedder.sample(model, TEXTS, options, embeddings=True)
    outputs, embeddings = one_by_one(model, TEXTS, scope, 9, 4)
    np.testing.assert_allclose(found.outputs, outputs, **CLOSE)
    np.testing.assert_allclose(found.embeddings, embeddings, **CLOSE)
    assert found.outputs.dtype == found.embeddings.dtype == np.float32
    plain = await embedder.embed(model, TEXTS)
    np.testing.assert_allclose(found.clean_embeddings, plain.vectors, **CLOSE)
    clean = model.engine.head(plain.vectors)["output"]
    np.testing.assert_allclose(found.clean, class_probabilities(model.manifest.head, clean), **CLOSE)
    assert found.token_counts.tolist() == plain.token_counts.tolist()
    assert not found.row_errors


@pytest.mark.parametrize("scope", SCOPES)
async def test_company_chunks_and_order_of_samples_change_nothing(embedder: Embedder, scope: str) -> None:
    model, options = fake_model(), SampleOptions(scope, samples=6, seed=2)
    whole = await embedder.sample(model, TEXTS, options)
    again = await embedder.sample(model, TEXTS, options)
    np.testing.assert_array_equal(again.outputs, whole.outputs)
    parts = [
        await embedder.sample(model, TEXTS[start : start + 2], options, first_row=start)
        for start in range(0, len(TEXTS), 2)
    ]
    np.testing.assert_allclose(np.concatenate([p.outputs for p in parts]), whole.outputs, **CLOSE)
    late = await embedder.sample(model, TEXTS, replace(options, samples=2, first_sample=3))
    np.testing.assert_allclose(late.outputs, whole.outputs[:, 3:5], **CLOSE)
    other = await embedder.sample(model, TEXTS, replace(options, seed=3))
    assert (other.outputs != whole.outputs).any(axis=2).mean() > 0.9
    # The same text in another row has other masks.
    assert not np.array_equal(whole.outputs[0], whole.outputs[3])


async def test_the_samples_of_the_head_cost_one_pass(embedder: Embedder) -> None:
    model = fake_model()
    await embedder.sample(model, TEXTS, SampleOptions(samples=100))
    assert model.engine.batches == [(5, 7)]
    model.engine.batches.clear()
    await embedder.sample(model, TEXTS, SampleOptions("all", samples=100))
    assert sum(rows for rows, _ in model.engine.batches) == 5 + 500


async def test_equal_passes_share_batches(embedder: Embedder) -> None:
    """Of other seeds, other numbers of samples, and other rows: in one batch, each with its own masks."""
    gate = threading.Event()
    model = fake_model(gate=gate)
    held = asyncio.create_task(embedder.embed(model, ["held"]))
    await _until(lambda: bool(model.engine.batches))
    calls = [
        asyncio.create_task(embedder.sample(model, ["a b"], SampleOptions(samples=3, seed=1))),
        asyncio.create_task(embedder.sample(model, ["c d e"], SampleOptions(samples=5, seed=2), first_row=7)),
    ]
    await asyncio.sleep(0.1)
    gate.set()
    found = [await call for call in calls]
    await held
    assert model.engine.batches[1:] == [(2, 5)]
    for result, text, seed, samples, row in zip(found, ("a b", "c d e"), (1, 2), (3, 5), (0, 7), strict=True):
        expected, _ = one_by_one(model, [text], "head", seed, samples, row)
        np.testing.assert_allclose(result.outputs, expected, **CLOSE)


async def test_many_samples_of_the_head_run_in_parts(
    embedder: Embedder, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, options = fake_model(), SampleOptions(samples=40, seed=5)
    whole = await embedder.sample(model, TEXTS, options)
    calls = []
    head = model.engine.sample_head
    monkeypatch.setattr(model.engine, "sample_head", lambda *a: calls.append(len(a[0])) or head(*a))
    monkeypatch.setattr("penult_service.embedder.sample_passes._NUMBERS", 16 * 30)
    parts = await embedder.sample(model, TEXTS, options)
    assert max(calls) == 30
    assert sum(calls) == 200
    np.testing.assert_array_equal(parts.outputs, whole.outputs)


async def test_wide_numbers_beside_the_text_make_small_parts(
    embedder: Embedder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They are given to the head once a sample, as the embedding is."""
    model, widths = fake_model(takes="numbers"), []
    head = model.engine.sample_head
    monkeypatch.setattr(
        model.engine,
        "sample_head",
        lambda seam, values, draw: widths.append(len(seam)) or head(seam, values, draw),
    )
    monkeypatch.setattr("penult_service.embedder.sample_passes._NUMBERS", 10 * (16 + 2))
    records = Records([{"text": t, "age and size": np.array([i, 1.0])} for i, t in enumerate(TEXTS)])
    await embedder.sample(model, records, SampleOptions(samples=7))
    assert max(widths) == 10
    assert sum(widths) == 35


@pytest.mark.parametrize("scope", SCOPES)
async def test_many_embeddings_are_made_in_parts(
    embedder: Embedder, scope: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, options = fake_model(), SampleOptions(scope, samples=4, seed=5)
    whole = await embedder.sample(model, TEXTS, options, embeddings=True)
    monkeypatch.setattr(sampling, "_BLOCK", 16 * 4 * 2)
    parts = await embedder.sample(model, TEXTS, options, embeddings=True)
    np.testing.assert_array_equal(parts.embeddings, whole.embeddings)


async def test_passes_of_the_encoder_are_handed_over_in_windows() -> None:
    """More tokens than a queue holds, and than a window does."""
    model, options = fake_model(), SampleOptions("all", samples=12, seed=5)
    expected, _ = one_by_one(model, TEXTS, "all", 5, 12)
    scheduler = Scheduler(max_waiting_tokens=60)
    embedder = Embedder(scheduler)
    try:
        found = await embedder.sample(model, TEXTS, options)
    finally:
        embedder.close()
        scheduler.close(10.0)
    np.testing.assert_allclose(found.outputs, expected, **CLOSE)


def test_a_window_never_has_more_tokens_than_a_queue() -> None:
    """Also beside rows that fill more than half of it."""
    draw = np.random.default_rng(0)
    for _ in range(500):
        costs = np.repeat(draw.integers(1, 41, draw.integers(1, 6)), 3)
        parts = [costs[window] for window in sampling._windows(costs, 20)]
        assert np.concatenate(parts).tolist() == costs.tolist()
        assert max(part.sum() for part in parts) <= 40


def test_rows_of_any_length_leave_half_a_queue_to_others() -> None:
    for tokens, rows in ((2048, 8), (300, 1), (1, 1)):
        scheduler = Scheduler(max_waiting_tokens=tokens)
        embedder = Embedder(scheduler)
        assert embedder.rows_at_once(fake_model(max_length=128)) == rows
        embedder.close()
        scheduler.close(1.0)


async def test_a_full_queue_is_waited_out_once_something_is_done(
    scheduler: Scheduler, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sampling, "_WINDOW", 30)
    submit, refused = scheduler.submit, iter([False, False, True, True] + [False] * 100)

    def refusing(*args: Any, **kwargs: Any) -> Any:
        if next(refused):
            raise ResourceExhausted("full", retry_after=0.01)
        return submit(*args, **kwargs)

    monkeypatch.setattr(scheduler, "submit", refusing)
    embedder, model = Embedder(scheduler), fake_model()
    found = await embedder.sample(model, TEXTS, SampleOptions("all", samples=12, seed=5))
    np.testing.assert_allclose(found.outputs, one_by_one(model, TEXTS, "all", 5, 12)[0], **CLOSE)
    refused = iter([False, True])
    with pytest.raises(ResourceExhausted):
        await embedder.sample(model, TEXTS, SampleOptions("all", samples=12, seed=5))
    embedder.close()


@pytest.mark.parametrize("scope", SCOPES)
async def test_rows_that_fail_are_nan_and_the_others_are_not(embedder: Embedder, scope: str) -> None:
    model = fake_model(nan_on="poison", max_length=12)
    texts = ["fine", "poison", "long " * 30, "fine too"]
    options = SampleOptions(scope, samples=3, truncate="error")
    found = await embedder.sample(model, texts, options, embeddings=True)
    assert {row: error.reason for row, error in found.row_errors.items()} == {
        1: "NOT_FINITE",
        2: "TEXT_TOO_LONG",
    }
    for array in (found.outputs, found.clean, found.embeddings, found.clean_embeddings):
        assert np.isnan(array[[1, 2]]).all()
        assert np.isfinite(array[[0, 3]]).all()
    expected, _ = one_by_one(model, texts, scope, 0, 3)
    np.testing.assert_allclose(found.outputs[[0, 3]], expected[[0, 3]], **CLOSE)


@pytest.mark.parametrize("scope", SCOPES)
async def test_no_row_that_can_be_run(embedder: Embedder, scope: str) -> None:
    model = fake_model(max_length=12)
    options = SampleOptions(scope, samples=3, truncate="error")
    found = await embedder.sample(model, ["long " * 30], options, embeddings=True)
    assert found.outputs.shape == (1, 3, 3)
    assert found.embeddings.shape == (1, 3, 16)
    assert list(found.row_errors) == [0]


@pytest.mark.parametrize("scope", SCOPES)
async def test_numbers_beside_the_text_go_to_both_halves(embedder: Embedder, scope: str) -> None:
    model = fake_model(takes="numbers")
    records = Records([{"text": t, "age and size": np.array([i, 1.0])} for i, t in enumerate(TEXTS)])
    options = SampleOptions(scope, rate=0.0, samples=3)
    found = await embedder.sample(model, records, options)
    np.testing.assert_allclose(found.outputs, np.repeat(found.clean[:, None], 3, axis=1), **CLOSE)
    plain = await embedder.embed(model, records, probabilities=True)
    np.testing.assert_allclose(found.clean, plain.probabilities, **CLOSE)


async def test_no_embeddings_unless_asked_for(embedder: Embedder) -> None:
    found = await embedder.sample(fake_model(), TEXTS, SampleOptions(samples=2))
    assert isinstance(found, SampleResult)
    assert found.embeddings is None
    assert found.clean_embeddings is None


@pytest.mark.parametrize(
    ("options", "rows", "advice"),
    [
        (SampleOptions(samples=1000), 6_000_000 // 1000, "rows at a time"),
        (SampleOptions("all", samples=1000), 263, "at most 262 rows at a time"),
    ],
)
async def test_more_than_a_call_may_hold_is_refused_at_once(
    embedder: Embedder, options: SampleOptions, rows: int, advice: str
) -> None:
    model, started = fake_model(), time.monotonic()
    with pytest.raises(InvalidInput) as caught:
        await embedder.sample(model, ["a"] * rows, options, embeddings=True)
    assert caught.value.reason == "REQUEST_TOO_LARGE"
    assert advice in caught.value.message
    assert time.monotonic() - started < 5
    assert not model.engine.batches


async def test_an_output_of_another_shape_is_refused(embedder: Embedder) -> None:
    model = fake_model(head="regression")
    manifest = replace(model.manifest, head=replace(model.manifest.head, classes=4))
    with pytest.raises(PreconditionFailed) as caught:
        await embedder.sample(replace(model, manifest=manifest), TEXTS, SampleOptions(samples=2))
    assert caught.value.reason == "OUTPUT_NOT_BY_ROW"


@pytest.mark.parametrize(("outputs", "end"), [(("output",), "compared"), (("output", "b"), "load it again")])
async def test_an_output_that_is_no_matrix_is_refused_at_once(
    embedder: Embedder, outputs: tuple[str, ...], end: str
) -> None:
    model = fake_model(head="other")
    manifest = replace(model.manifest, outputs=outputs, head=replace(model.manifest.head, classes=0))
    with pytest.raises(PreconditionFailed, match="no matrix of numbers a row") as caught:
        await embedder.sample(replace(model, manifest=manifest), TEXTS, SampleOptions(samples=2))
    assert (caught.value.reason, caught.value.field) == ("OUTPUT_NOT_BY_ROW", "model")
    assert caught.value.message.endswith(end)
    assert not model.engine.batches


@pytest.mark.parametrize("scope", SCOPES)
async def test_an_output_that_is_not_by_row_is_refused(embedder: Embedder, scope: str) -> None:
    model = fake_model(head="other")
    head = model.engine.head
    model.engine.head = lambda seam, values=None: {"output": head(seam, values)["output"].mean(keepdims=True)}
    with pytest.raises(PreconditionFailed, match=r"'output' has shape \[1, 1\]") as caught:
        await embedder.sample(model, TEXTS, SampleOptions(scope, samples=2))
    assert caught.value.reason == "OUTPUT_NOT_BY_ROW"


@pytest.mark.parametrize("scope", SCOPES)
async def test_a_cancelled_call_ends_its_work(embedder: Embedder, scope: str) -> None:
    gate = threading.Event()
    model = fake_model(gate=gate)
    call = asyncio.create_task(embedder.sample(model, TEXTS * 40, SampleOptions(scope, samples=30)))
    await _until(lambda: bool(model.engine.batches))
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    gate.set()
    await embedder.embed(model, ["next"])
    assert sum(rows for rows, _ in model.engine.batches) < 100


async def test_the_deadline_ends_it_too(embedder: Embedder) -> None:
    model = fake_model(seconds=0.05)
    with pytest.raises(DeadlineExceeded):
        await embedder.sample(
            model, TEXTS, SampleOptions("all", samples=1000), deadline=time.monotonic() + 0.3
        )
    done = len(model.engine.batches)
    await asyncio.sleep(0.2)
    assert len(model.engine.batches) <= done + 1


async def _until(condition: Any) -> None:
    while not condition():
        await asyncio.sleep(0.005)
