"""From texts to embeddings, probabilities, outputs and tokens."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from penult_service.batching import Scheduler
from penult_service.embedder.options import EmbedOptions, check_classifier, choose_readout, space_of
from penult_service.embedder.passes import EncodePass, WholePass
from penult_service.embedder.protocols import LoadedModel
from penult_service.embedder.results import (
    ClassifyResult,
    EmbedResult,
    Readings,
    TokenizeResult,
    first_not_finite,
    not_finite_error,
    too_long,
)
from penult_service.errors import DeadlineExceeded, PenultError
from penult_service.prepared import Readout
from penult_service.tokenizing import TokenTable
from penult_service.vectors import l2_normalize

Value = TypeVar("Value")


class Embedder:
    """Tokenizes in a small thread pool, computes through the scheduler, answers in the caller's order.

    Every method is called from the event loop, with at least one text. `deadline` is in seconds of the
    monotonic clock; cancelling the awaiting task cancels the work. All of them raise what `Scheduler.submit`
    raises, and DeadlineExceeded; errors of single rows are returned in the result.
    """

    def __init__(self, scheduler: Scheduler, *, threads: int = 2) -> None:
        self._scheduler = scheduler
        self._threads = ThreadPoolExecutor(threads, thread_name_prefix="penult-tokenize")

    async def embed(
        self,
        model: LoadedModel,
        texts: Sequence[str],
        options: EmbedOptions | None = None,
        *,
        probabilities: bool = False,
        deadline: float | None = None,
    ) -> EmbedResult:
        """Embeddings, and class probabilities from the same forward pass when asked for.

        Raises:
            PreconditionFailed: the model cannot do it (LAYER_NOT_PREPARED, POOLING_UNAVAILABLE,
                NOT_A_CLASSIFIER).
        """
        options = options or EmbedOptions()
        readout = choose_readout(model.manifest, options)
        if probabilities:
            check_classifier(model.manifest)
        encode = EncodePass(model.engine, model.manifest, readout.layer, options.pooling, probabilities)
        async with _within(deadline):
            readings = await self._read(model, texts, encode, options.truncate, deadline)
            return await self._in_thread(_embed_result, model, readings, readout, options, probabilities)

    async def classify(
        self,
        model: LoadedModel,
        texts: Sequence[str],
        *,
        truncate: str = "right",
        deadline: float | None = None,
    ) -> ClassifyResult:
        """Class probabilities.

        Raises:
            PreconditionFailed: the model gives none (NOT_A_CLASSIFIER).
        """
        check_classifier(model.manifest)
        encode = EncodePass(model.engine, model.manifest, None, "pooled", probabilities=True)
        async with _within(deadline):
            readings = await self._read(model, texts, encode, truncate, deadline)
            return await self._in_thread(_classify_result, model, readings)

    async def predict(
        self, model: LoadedModel, texts: Sequence[str], *, deadline: float | None = None
    ) -> dict[str, NDArray[Any]]:
        """What the model's own predict returns: outputs by name, the first axis is the texts.

        Raises:
            PreconditionFailed: an output is not one row a text (OUTPUT_NOT_BY_ROW), or a row is not finite
                (NOT_FINITE, the field names the text).
        """
        costs = [model.manifest.padded_cost] * len(texts)
        async with _within(deadline):
            rows = await self._submit(model, WholePass(model.engine), texts, costs, deadline)
            return await self._in_thread(_joined, rows)

    async def tokenize(
        self, model: LoadedModel, texts: Sequence[str], *, deadline: float | None = None
    ) -> TokenizeResult:
        """Token ids as the model's own preprocessing makes them."""
        async with _within(deadline):
            table = await self._in_thread(model.tokenizer.tokenize, texts)
        name = next(i.name for i in model.manifest.inputs if i.role == "ids")
        ids = [row[:length] for row, length in zip(table.inputs[name], table.lengths, strict=True)]
        return TokenizeResult(ids, table.truncations)

    async def warm(self, model: LoadedModel, *, deadline: float | None = None) -> None:
        """A real inference, all the way: at load, and to see that an idle server still works.

        Raises:
            PenultError: it does not.
        """
        classifier = model.manifest.head.kind != "other"
        result = await self.embed(model, ["Is it warm yet?"], probabilities=classifier, deadline=deadline)
        for error in result.row_errors.values():
            raise error

    def close(self) -> None:
        """End the threads; the scheduler is closed by who made it."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def _read(
        self,
        model: LoadedModel,
        texts: Sequence[str],
        encode: EncodePass,
        truncate: str,
        deadline: float | None,
    ) -> Readings:
        """Tokenize, hand all texts to the scheduler in one step, and wait."""
        asked = await self._in_thread(_tokenized, model, texts, truncate)
        payloads = [(asked.table, i) for i in asked.rows]
        readings = await self._submit(model, encode, payloads, asked.costs, deadline)
        return Readings(asked.table, asked.rows, readings, asked.errors)

    async def _submit(
        self,
        model: LoadedModel,
        run: Callable[[Sequence[Any]], Sequence[Value]],
        payloads: Sequence[Any],
        costs: Sequence[int],
        deadline: float | None,
    ) -> list[Value]:
        queue = (model.name, model.version)
        return await asyncio.wrap_future(
            self._scheduler.submit(queue, run, payloads, costs, deadline=deadline)
        )

    async def _in_thread(self, function: Callable[..., Value], *args: Any) -> Value:
        """The event loop never computes."""
        return await asyncio.get_running_loop().run_in_executor(self._threads, function, *args)


@dataclass(frozen=True, eq=False)
class _Tokenized:
    """The texts' tokens, the rows to run with the tokens that each costs, and the errors of the others."""

    table: TokenTable
    rows: Sequence[int]
    costs: Sequence[int]
    errors: Mapping[int, PenultError]


def _tokenized(model: LoadedModel, texts: Sequence[str], truncate: str) -> _Tokenized:
    table = model.tokenizer.tokenize(texts)
    errors: dict[int, PenultError] = too_long(table, model.manifest) if truncate == "error" else {}
    rows = [i for i in range(len(texts)) if i not in errors]
    # Where batches are not trimmed, every text costs the full length.
    each = table.lengths if model.manifest.trims else np.full(len(texts), model.manifest.padded_cost)
    return _Tokenized(table, rows, np.maximum(each[rows], 1).tolist(), errors)


def _embed_result(
    model: LoadedModel, readings: Readings, readout: Readout, options: EmbedOptions, probabilities: bool
) -> EmbedResult:
    vectors = readings.matrix(0, readout.dimension)
    classes = readings.matrix(1, model.manifest.head.classes) if probabilities else None
    errors = readings.mark_not_finite(vectors, classes)
    return EmbedResult(
        vectors=l2_normalize(vectors) if options.normalize else vectors,
        probabilities=classes,
        token_counts=readings.table.lengths,
        truncations=readings.table.truncations,
        space=space_of(model.manifest, readout, options).digest,
        layer=readout.layer,
        row_errors=errors,
    )


def _classify_result(model: LoadedModel, readings: Readings) -> ClassifyResult:
    probabilities = readings.matrix(1, model.manifest.head.classes)
    return ClassifyResult(
        probabilities=probabilities,
        row_errors=readings.mark_not_finite(probabilities),
        labels=model.manifest.head.labels,
        token_counts=readings.table.lengths,
        truncations=readings.table.truncations,
    )


def _joined(rows: Sequence[dict[str, NDArray[Any]]]) -> dict[str, NDArray[Any]]:
    outputs = {name: np.concatenate([row[name] for row in rows]) for name in rows[0]}
    bad = first_not_finite(outputs)
    if bad is not None:
        raise not_finite_error(bad)
    return outputs


@asynccontextmanager
async def _within(deadline: float | None) -> AsyncIterator[None]:
    """Give up at the deadline, also when the executor is stuck."""
    left = None if deadline is None else deadline - time.monotonic()
    try:
        async with asyncio.timeout(left):
            yield
    except TimeoutError as error:
        raise DeadlineExceeded("the deadline passed before the work was done") from error
