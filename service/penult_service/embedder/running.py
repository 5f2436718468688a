"""How the work of a request is run: texts are tokenized on a few threads, the model by the scheduler."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np

from penult_service.batching import Limits, Scheduler
from penult_service.embedder.callers import CALLER
from penult_service.embedder.given import Given, Records, Tensors
from penult_service.embedder.inputs import inputs_of
from penult_service.embedder.protocols import LoadedModel
from penult_service.embedder.results import too_long
from penult_service.embedder.tables import in_steps, table_of, whole_table
from penult_service.errors import DeadlineExceeded, PenultError
from penult_service.tokenizing import TokenTable

Value = TypeVar("Value")

# A token has about so many characters; and a row has so many tokens at least: the first, one more, the last.
_CHARACTERS, _LEAST_TOKENS = 5, 3


@dataclass(frozen=True, eq=False)
class Tokenized:
    """The texts' tokens, the rows to run with the tokens that each costs, and the errors of the others."""

    table: TokenTable
    rows: Sequence[int]
    costs: Sequence[int]
    errors: Mapping[int, PenultError]


class Runner:
    """Runs functions on a small thread pool, and passes through the scheduler. Called from the event loop."""

    def __init__(self, scheduler: Scheduler, threads: int) -> None:
        self._scheduler = scheduler
        self._threads = ThreadPoolExecutor(threads, thread_name_prefix="penult-tokenize")

    @property
    def holds(self) -> int:
        """The most tokens that may wait for a model."""
        return self._scheduler.max_waiting_tokens

    def check_time(self, model: LoadedModel, given: Given, deadline: float | None) -> None:
        """Refuse early what would not be done in time, as `Scheduler.check_time`; the tokens are estimated."""
        if deadline is not None and self._scheduler.pressed:
            self.check_costs(model, len(given), about_tokens(model, given), deadline)

    def check_costs(self, model: LoadedModel, rows: int, tokens: float, deadline: float | None) -> None:
        """The same, of rows whose tokens are known."""
        self._scheduler.check_time(
            (model.name, model.version), rows, tokens, deadline, limits=limits_of(model), caller=CALLER.get()
        )

    async def submit(
        self,
        model: LoadedModel,
        run: Callable[[Sequence[Any]], Sequence[Value]],
        payloads: Sequence[Any],
        costs: Sequence[int],
        deadline: float | None,
    ) -> list[Value]:
        """As `Scheduler.submit`, and the wait for it."""
        future = self._scheduler.submit(
            (model.name, model.version),
            run,
            payloads,
            costs,
            deadline=deadline,
            limits=limits_of(model),
            caller=CALLER.get(),
        )
        del payloads, costs  # an error holds this frame, and is itself held until garbage is collected
        return await asyncio.wrap_future(future)

    async def in_thread(self, function: Callable[..., Value], *args: Any, brief: bool = False) -> Value:
        """The event loop never computes, but what is `brief`: it takes less than the way to a thread and back, 0.1 ms.

        One short text would have three such ways.
        """
        if brief:
            return function(*args)
        return await asyncio.get_running_loop().run_in_executor(self._threads, function, *args)

    def close(self) -> None:
        """End the threads; the scheduler is closed by who made it."""
        self._threads.shutdown(wait=False, cancel_futures=True)


@asynccontextmanager
async def within(deadline: float | None) -> AsyncIterator[None]:
    """Give up at the deadline, also when the executor is stuck."""
    left = None if deadline is None else deadline - time.monotonic()
    try:
        async with asyncio.timeout(left):
            yield
    except TimeoutError as error:
        raise DeadlineExceeded("the deadline passed before the work was done") from error


def about_tokens(model: LoadedModel, given: Given) -> float:
    """What rows cost, about, before they are tokenized: rather less than more."""
    manifest = model.manifest
    if not manifest.trims:
        return float(len(given) * manifest.padded_cost)
    if isinstance(given, Records | Tensors):
        return float(len(given) * _LEAST_TOKENS)
    most, lengths = manifest.max_length * _CHARACTERS, list(map(len, given))
    if max(lengths) > most:
        lengths = [min(length, most) for length in lengths]
    return sum(lengths) / _CHARACTERS + _LEAST_TOKENS * len(lengths)


def brief(model: LoadedModel, given: Given) -> bool:
    """Whether to tokenize it takes no time: one short text, where the tokenizer is quick from the first on."""
    return not isinstance(given, Records | Tensors) and len(given) == 1 and model.tokenizer.brief(given[0])


def limits_of(model: LoadedModel) -> Limits:
    """Of its batches."""
    setting, manifest = model.tuned.setting, model.manifest
    return Limits(
        setting.token_budget,
        setting.max_rows,
        model.tuned.overhead,
        stepped=in_steps(manifest),
        longest=manifest.max_length,
        at_once=setting.streams,
    )


def table_for(model: LoadedModel, given: Given) -> TokenTable:
    """Tokens and values of the rows. Raises as `inputs_of` and `table_of`."""
    return table_of(model.manifest, model.tokenizer, inputs_of(model.manifest, given), given)


def whole_table_for(model: LoadedModel, given: Given) -> TokenTable:
    """The same for the whole function. Raises as `inputs_of` and `whole_table`."""
    return whole_table(model.manifest, model.tokenizer, inputs_of(model.manifest, given), given)


def tokenized(model: LoadedModel, given: Given, truncate: str) -> Tokenized:
    """The same, and which rows are run. Raises as `table_for`."""
    table = table_for(model, given)
    errors: dict[int, PenultError] = too_long(table, model.manifest, given) if truncate == "error" else {}
    rows = [i for i in range(len(given)) if i not in errors]
    # Where batches are not trimmed, every text costs the full length.
    each = table.lengths if model.manifest.trims else np.full(len(given), model.manifest.padded_cost)
    return Tokenized(table, rows, np.maximum(each[rows], 1).tolist(), errors)
