"""Rows that fail, calls that fail, deadlines and cancelling."""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import Awaitable, Callable

import numpy as np
import pytest
from penult_service.batching import Scheduler
from penult_service.embedder import Embedder, EmbedOptions, LoadedModel
from penult_service.errors import (
    DeadlineExceeded,
    Internal,
    InvalidInput,
    PreconditionFailed,
    ResourceExhausted,
    Unavailable,
)
from support.fakes import fake_model

STRICT = EmbedOptions(truncate="error")


@pytest.mark.parametrize("tells_cuts", [True, False])
async def test_texts_that_are_too_long_are_row_errors(embedder: Embedder, tells_cuts: bool) -> None:
    model = fake_model(max_length=8, tells_cuts=tells_cuts)
    texts = ["a b", "x " * 7, "x " * 6, "c"]
    refused = [1] if tells_cuts else [1, 2]
    for result in (
        await embedder.embed(model, texts, STRICT, probabilities=True),
        await embedder.classify(model, texts, truncate="error"),
    ):
        assert list(result.row_errors) == refused
        for i, error in result.row_errors.items():
            assert isinstance(error, InvalidInput)
            assert (error.reason, error.field) == ("TEXT_TOO_LONG", f"texts[{i}]")
            assert error.metadata["max_length"] == "8"
            assert ("more than the 8 tokens" if tells_cuts else "cannot tell") in error.message
        assert result.probabilities is not None
        np.testing.assert_array_equal(
            np.isnan(result.probabilities).all(axis=1), [i in refused for i in range(4)]
        )


async def test_texts_that_are_too_long_are_not_run(embedder: Embedder) -> None:
    model = fake_model(max_length=8)
    texts = ["x " * 9, "a b", "x " * 9]
    result = await embedder.embed(model, texts, STRICT)
    assert model.engine.batches == [(1, 4)]
    np.testing.assert_array_equal(result.vectors[1], (await embedder.embed(model, ["a b"])).vectors[0])
    assert np.isnan(result.vectors[[0, 2]]).all()


async def test_when_all_texts_are_too_long_nothing_runs(embedder: Embedder) -> None:
    model = fake_model(max_length=8)
    result = await embedder.embed(model, ["x " * 9] * 2, STRICT, probabilities=True)
    assert model.engine.batches == []
    assert list(result.row_errors) == [0, 1]
    assert result.vectors.shape == (2, 16)
    assert result.probabilities is not None
    assert result.probabilities.shape == (2, 3)


@pytest.mark.parametrize("normalize", [True, False])
async def test_a_row_that_is_not_finite_is_an_error_and_harms_no_other(
    embedder: Embedder, normalize: bool
) -> None:
    model, texts = fake_model(nan_on="poison"), ["a b", "some poison", "c"]
    options = EmbedOptions(normalize=normalize)
    result = await embedder.embed(model, texts, options, probabilities=True)
    (error,) = result.row_errors.values()
    assert isinstance(error, PreconditionFailed)
    assert (list(result.row_errors), error.reason, error.field) == ([1], "NOT_FINITE", "texts[1]")
    assert result.probabilities is not None
    for matrix in (result.vectors, result.probabilities):
        assert np.isnan(matrix[1]).all()
        assert np.isfinite(matrix[[0, 2]]).all()
    assert list((await embedder.classify(model, texts)).row_errors) == [1]


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
async def test_a_head_that_is_not_finite_takes_the_embedding_with_it(
    embedder: Embedder, value: float
) -> None:
    model = fake_model()
    model.engine.head = lambda e, _: {"output": np.full((len(e), 3), value)}
    result = await embedder.embed(model, ["a"], probabilities=True)
    assert result.row_errors[0].reason == "NOT_FINITE"
    assert np.isnan(result.vectors).all()
    assert not (await embedder.embed(model, ["a"])).row_errors


async def test_both_kinds_of_row_errors_in_order(embedder: Embedder) -> None:
    model = fake_model(max_length=8, nan_on="poison")
    result = await embedder.embed(model, ["poison", "x " * 9, "a", "poison"], STRICT)
    reasons = [(i, error.reason) for i, error in result.row_errors.items()]
    assert reasons == [(0, "NOT_FINITE"), (1, "TEXT_TOO_LONG"), (3, "NOT_FINITE")]


async def test_predict_names_the_first_text_that_is_not_finite(embedder: Embedder) -> None:
    with pytest.raises(PreconditionFailed) as refused:
        await embedder.predict(fake_model(nan_on="poison"), ["a", "b", "poison", "poison"])
    assert (refused.value.reason, refused.value.field) == ("NOT_FINITE", "texts[2]")


async def test_predict_refuses_outputs_that_are_not_by_text(embedder: Embedder) -> None:
    model = fake_model()
    model.engine.whole = lambda _: {"loss": np.float32([1.0, 2.0, 3.0])}
    with pytest.raises(PreconditionFailed, match=r"loss.*\[3\] for 2 texts") as refused:
        await embedder.predict(model, ["a", "b"])
    assert refused.value.reason == "OUTPUT_NOT_BY_ROW"


async def test_the_log_of_a_failing_predict_holds_no_texts(
    embedder: Embedder, caplog: pytest.LogCaptureFixture
) -> None:
    model = fake_model()

    def whole(inputs: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        raise ValueError(f"cannot split {inputs['text'][0]!r}")

    model.engine.whole = whole
    with caplog.at_level(logging.DEBUG), pytest.raises(Internal):
        await embedder.predict(model, ["my secret"])
    assert "ValueError in the saved inference function" in caplog.text
    assert "secret" not in caplog.text


Call = Callable[[Embedder, LoadedModel], Awaitable[object]]
CALLS: list[Call] = [
    lambda e, m: e.embed(m, ["poison"]),
    lambda e, m: e.classify(m, ["poison"]),
    lambda e, m: e.predict(m, ["poison"]),
]


@pytest.mark.parametrize("call", CALLS)
async def test_engines_that_fail_or_die(embedder: Embedder, call: Call) -> None:
    with pytest.raises(Internal):
        await call(embedder, fake_model(fails_on="poison"))
    with pytest.raises(Unavailable):
        await call(embedder, fake_model(dies_on="poison"))
    await call(embedder, fake_model())


async def test_probabilities_of_a_model_that_gives_none(embedder: Embedder) -> None:
    model = fake_model(head="other")
    for call in (embedder.classify(model, ["a"]), embedder.embed(model, ["a"], probabilities=True)):
        with pytest.raises(PreconditionFailed) as refused:
            await call
        assert refused.value.reason == "NOT_A_CLASSIFIER"
    assert (await embedder.predict(model, ["a"]))["output"].shape == (1, 1)


async def test_a_predicted_text_costs_the_full_length() -> None:
    model, small = fake_model(max_length=64), Scheduler(max_waiting_tokens=128)
    tight = Embedder(small)
    try:
        with pytest.raises(InvalidInput, match="192 tokens"):
            await tight.predict(model, ["a"] * 3)
    finally:
        small.close()
        tight.close()


@pytest.mark.parametrize("head", ["softmax", "other"])
async def test_warming_is_a_real_inference(embedder: Embedder, head: str) -> None:
    model = fake_model(head=head)
    await embedder.warm(model)
    assert len(model.engine.batches) == 1


async def test_warming_a_broken_model_fails(embedder: Embedder) -> None:
    with pytest.raises(PreconditionFailed, match="NaN"):
        await embedder.warm(fake_model(nan_on="warm"))
    with pytest.raises(Internal):
        await embedder.warm(fake_model(fails_on="warm"))


async def _waits(scheduler: Scheduler, queue: object) -> None:
    """Until something waits in the queue."""
    while not scheduler.waiting_tokens(queue):
        await asyncio.sleep(0)


async def _runs(scheduler: Scheduler) -> None:
    while not scheduler.health().busy or scheduler.waiting_tokens(("stuck", 1)):
        await asyncio.sleep(0)


async def test_the_deadline_holds_also_when_the_executor_is_stuck(
    embedder: Embedder, scheduler: Scheduler
) -> None:
    gate = threading.Event()
    stuck = asyncio.create_task(embedder.embed(fake_model("stuck", gate=gate), ["a"]))
    await _runs(scheduler)
    model = fake_model()
    for call in (embedder.embed, embedder.classify, embedder.predict):
        with pytest.raises(DeadlineExceeded):
            await call(model, ["a"], deadline=time.monotonic() + 0.01)
    gate.set()
    await stuck
    await embedder.embed(model, ["b"])
    assert len(model.engine.batches) == 1


async def test_a_deadline_that_has_passed(embedder: Embedder) -> None:
    with pytest.raises(DeadlineExceeded):
        await embedder.tokenize(fake_model(), ["a"], deadline=0.0)
    with pytest.raises(DeadlineExceeded):
        await embedder.embed(fake_model(), ["a"], deadline=0.0)


async def test_cancelling_the_task_cancels_the_work(embedder: Embedder, scheduler: Scheduler) -> None:
    gate = threading.Event()
    stuck = asyncio.create_task(embedder.embed(fake_model("stuck", gate=gate), ["a"]))
    await _runs(scheduler)
    model = fake_model("m")
    left = asyncio.create_task(embedder.embed(model, ["a"]))
    await _waits(scheduler, ("m", 1))
    left.cancel()
    with pytest.raises(asyncio.CancelledError):
        await left
    gate.set()
    await stuck
    await embedder.embed(model, ["b c"])
    assert model.engine.batches == [(1, 4)]
    assert scheduler.waiting_tokens(("m", 1)) == 0


async def test_requests_with_equal_options_share_a_batch_others_do_not(
    embedder: Embedder, scheduler: Scheduler
) -> None:
    gate = threading.Event()
    stuck = asyncio.create_task(embedder.embed(fake_model("stuck", gate=gate), ["stuck"]))
    await _runs(scheduler)
    model = fake_model("m")
    mean = EmbedOptions(pooling="mean")
    calls = [
        embedder.embed(model, ["a"]),
        embedder.embed(model, ["b"], EmbedOptions(normalize=True)),
        embedder.embed(model, ["c"], mean),
        embedder.embed(model, ["d"], mean, probabilities=True),
    ]
    tasks = [asyncio.create_task(call) for call in calls]
    while scheduler.waiting_tokens(("m", 1)) < 12:
        await asyncio.sleep(0)
    gate.set()
    await asyncio.gather(stuck, *tasks)
    assert sorted(model.engine.batches) == [(1, 3), (1, 3), (2, 3)]


async def test_a_full_queue_is_told_to_the_caller() -> None:
    gate = threading.Event()
    scheduler = Scheduler(max_waiting_tokens=8)
    embedder = Embedder(scheduler)
    stuck = asyncio.create_task(embedder.embed(fake_model("stuck", gate=gate), ["a"]))
    await _runs(scheduler)
    model = fake_model("m")
    waits = asyncio.create_task(embedder.embed(model, ["a b c"]))
    await _waits(scheduler, ("m", 1))
    with pytest.raises(ResourceExhausted):
        await embedder.embed(model, ["a b"])
    gate.set()
    await asyncio.gather(stuck, waits)
    scheduler.close(10.0)
    embedder.close()
