"""What is submitted, and what runs together."""

from __future__ import annotations

import enum
import threading
from collections.abc import Callable, Hashable, Iterable, Sequence
from concurrent.futures import Future, InvalidStateError
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Protocol, cast

import numpy as np
from numpy.typing import NDArray

from penult_service.batching.plan import Limits
from penult_service.batching.reports import BatchStats
from penult_service.errors import PenultError

Run = Callable[[Sequence[Any]], Sequence[Any]]


class TwoSteps(Protocol):
    """A run whose input can be made ready ahead, on another thread, while another batch computes.

    Called as a whole it is `compute(prepare(payloads))`.
    """

    def prepare(self, payloads: Sequence[Any]) -> Any:
        """Payloads of a batch -> what `compute` takes. Nothing of it is seen if the batch is made anew."""
        ...

    def compute(self, prepared: Any, *, alone: bool = True) -> Sequence[Any]:
        """A result for each payload, in order. `alone`: it is none of several in streams, all threads compute it."""
        ...


class Lane(enum.Enum):
    """Small requests go first, but never for ever."""

    INTERACTIVE = "interactive"
    BULK = "bulk"


@dataclass(eq=False)
class Request:
    """The rows that one caller submitted in one step, and the future that answers it.

    Rows are packed together with those of other requests of the same queue, lane, limits and `run` (which is compared
    by equality). `lengths` are the tokens a row; `deadline` and `arrived` are seconds of the monotonic clock. Those of
    one `caller` are served in the order of their arrival, but for what would hardly be in time: that goes last.
    """

    queue: Hashable
    run: Run
    payloads: Sequence[Any]
    lengths: Sequence[int]
    lane: Lane
    arrived: float
    deadline: float | None = None
    limits: Limits = field(default_factory=Limits)
    caller: Hashable = None
    future: Future[list[Any]] = field(default_factory=Future)
    results: list[Any] = field(init=False)
    missing: int = field(init=False)  # rows without a result
    counting: threading.Lock = field(init=False, default_factory=threading.Lock)  # of `missing`
    turn: int = field(init=False, default=0)  # its place among all requests, in the order of arrival
    left: NDArray[np.bool_] = field(init=False)  # rows that are in no batch
    waiting_rows: int = field(init=False)
    waiting_tokens: int = field(init=False)

    def __post_init__(self) -> None:
        self.results = [None] * len(self.payloads)
        self.missing = self.waiting_rows = len(self.payloads)
        self.left = np.ones(len(self.payloads), np.bool_)
        self.waiting_tokens = sum(self.lengths)

    def given(self, rows: int) -> None:
        """So many rows more have their results; with the last one the caller is answered. From any thread."""
        with self.counting:
            self.missing -= rows
            last = not self.missing
        if last:
            with suppress(InvalidStateError):  # cancelled, or answered already
                self.future.set_result(self.results)

    def fail(self, error: PenultError) -> None:
        """Answer with an error, unless the caller has cancelled or is answered already."""
        with suppress(InvalidStateError):
            self.future.set_exception(error)


def fail_all(requests: Iterable[Request], error: PenultError) -> None:
    """Answer each with this error, as `Request.fail`."""
    for request in requests:
        request.fail(error)


# A row: its request, and its number there.
Row = tuple[Request, int]


class Batch:
    """Rows that run together.

    Attributes:
        more: When it was taken, others waited that could have been in it.
        at_once: Batches that may run at the same time, with this one; 1: all threads compute it.
        beside: It runs beside others without a turn, as little as it is.
    """

    def __init__(self, queue: Hashable, run: Run, rows: Sequence[Row], limits: Limits) -> None:
        self.queue, self.run, self.rows, self.limits = queue, run, rows, limits
        self.more = False
        self.at_once = 1
        self.beside = False
        shares: dict[Request, list[int]] = {}
        for request, i in rows:
            shares.setdefault(request, []).append(i)
        # Of each request its rows here, and their tokens.
        self.shares = {
            request: (numbers, sum(map(request.lengths.__getitem__, numbers)))
            for request, numbers in shares.items()
        }
        self.longest = max(request.lengths[i] for request, i in rows)
        self._preparing = threading.Lock()
        self._prepared: tuple[Any] | None = None

    @property
    def requests(self) -> set[Request]:
        """Those whose rows they are."""
        return set(self.shares)

    @property
    def lane(self) -> Lane:
        """Of all its rows."""
        return self.rows[0][0].lane

    def prepare(self) -> None:
        """Take the first of two steps, where there are two; once, by whichever thread comes first. Raises as `run`."""
        prepare = getattr(self.run, "prepare", None)
        if prepare is None:
            return
        with self._preparing:
            if self._prepared is None:
                self._prepared = (prepare(self._payloads()),)

    def compute(self) -> Sequence[Any]:
        """A result for each row. Raises as `run`, and ValueError: other than one a row."""
        self.prepare()
        if self._prepared is None:
            results = self.run(self._payloads())
        else:
            results = cast(TwoSteps, self.run).compute(self._prepared[0], alone=self.at_once == 1)
        if len(results) != len(self.rows):
            raise ValueError(f"{len(results)} results for {len(self.rows)} rows")
        return results

    def apart(self) -> list[Batch]:
        """A batch for each request, the rows in the same order."""
        found = [
            Batch(self.queue, self.run, [(request, i) for i in numbers], self.limits)
            for request, (numbers, _) in self.shares.items()
        ]
        for own in found:
            own.at_once, own.beside = self.at_once, self.beside
        return found

    def deliver(self, results: Sequence[Any]) -> None:
        """Give each row its result."""
        for (request, i), result in zip(self.rows, results, strict=True):
            request.results[i] = result
        for request, (numbers, _) in self.shares.items():
            request.given(len(numbers))

    @property
    def tokens(self) -> int:
        """Tokens of the rows, without padding."""
        return sum(tokens for _, tokens in self.shares.values())

    @property
    def padded_tokens(self) -> int:
        """Tokens computed: what the longest row is padded to, times the rows."""
        return self.limits.padded(self.longest) * len(self.rows)

    def stats(self, started: float, ended: float, *, failed: bool) -> BatchStats:
        """What observers are told of it, once it has ended."""
        waited = started - min(request.arrived for request in self.requests)
        rows, padded = len(self.rows), self.padded_tokens
        return BatchStats(self.queue, rows, self.tokens, padded, waited, ended - started, failed)

    def _payloads(self) -> list[Any]:
        return [request.payloads[i] for request, i in self.rows]
