"""Rows -> numbers, through whoever computes: in requests of one size, patiently, and around rows that are at fault."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from penult_service.errors import Unavailable
from penult_service.jobs.chunks import Chunk, Problem, Row
from penult_service.jobs.columns import Answer

# A request is so small that no client splits it and no two are under way at once: then how the server packs the
# rows depends on the request alone, and so do the last digits of the numbers.
REQUEST_ROWS = 1024
REQUEST_BYTES = 120 * 1024
# What a row counts for beside its texts, and a number of it beside texts: a token is about so many bytes.
ROW_BYTES, NUMBER_BYTES = 6, 4
FIRST_DELAY, LONGEST_DELAY = 0.5, 5.0
# When so many rows of a request fail one by one, and none is computed, it is not the rows.
HOPELESS_ROWS = 16

Result = TypeVar("Result")


class Reply(Protocol):
    """What an embedder says: one row each, as `penult_client.Embeddings`."""

    @property
    def vectors(self) -> NDArray[np.float32]: ...
    @property
    def probabilities(self) -> NDArray[np.float32] | None: ...
    @property
    def token_counts(self) -> NDArray[np.int32]: ...
    @property
    def truncated(self) -> NDArray[np.str_]: ...
    @property
    def row_errors(self) -> Sequence[Any]: ...
    @property
    def measures(self) -> Mapping[str, NDArray[np.float32]]:
        """Further columns, float32 [n] each, by name."""
        ...


class Embedder(Protocol):
    """Who computes. Its errors may be of any kind; the other methods say what they mean."""

    def embed(self, rows: Sequence[Row], numbers: Sequence[int]) -> Reply:
        """Numbers, and row errors, of these; raises where the request as a whole fails.

        `numbers` are those of the rows, from 0 over all inputs, ascending: what is drawn at random for a row depends
        on its number, and not on the request that it came in.
        """
        ...

    def away(self, error: Exception) -> bool:
        """Whether the embedder is not there now, and may come back."""
        ...

    def at_fault(self, error: Exception) -> int | None:
        """The number of the row because of which the whole request was refused; None when it was not one."""
        ...

    def broke(self, error: Exception) -> bool:
        """Whether the model failed on the request: then each row is tried by itself."""
        ...

    def problem(self, error: Any) -> Problem:
        """An error, of a request or a row of it, in words that name no row."""
        ...


class Patience:
    """Calls again while the embedder is away, for at most `seconds` at a time.

    Args:
        seconds: From the first failure on; 0: never again.
        away: Whether an error means that it is away.
        tell: Told what is waited for.
    """

    def __init__(
        self, seconds: float, away: Callable[[Exception], bool], tell: Callable[[str], None]
    ) -> None:
        self._seconds, self._away, self._tell = seconds, away, tell
        self._stopped = threading.Event()

    def stop(self) -> None:
        """End all waiting."""
        self._stopped.set()

    def __call__(self, work: Callable[[], Result]) -> Result:
        """The result of the work.

        Raises:
            Unavailable: it was away for too long (SERVER_AWAY).
        """
        until, delay = None, FIRST_DELAY
        while True:
            try:
                result = work()
            except Exception as error:
                if not self._away(error):
                    raise
                until = until or time.monotonic() + self._seconds
                left = until - time.monotonic()
                if left <= 0 or self._stopped.is_set():
                    raise Unavailable(
                        f"{_words(error)}: waited {self._seconds:g} s for it (--wait). The same command with --resume "
                        "goes on when it is back",
                        reason="SERVER_AWAY",
                    ) from error
                self._tell(f"{_words(error)}; trying again for {left:.0f} s")
                self._stopped.wait(min(delay, left))
                delay = min(2 * delay, LONGEST_DELAY)
            else:
                if until is not None:
                    self._tell("the server is back")
                return result


class Asking:
    """Turns chunks into answers. `check` is given every reply, and raises when it is of another model."""

    def __init__(
        self,
        embedder: Embedder,
        patience: Patience,
        check: Callable[[Reply], None],
        dimension: int,
        classes: int,
        measures: Sequence[str] = (),
    ) -> None:
        self._embedder, self._patience, self._check = embedder, patience, check
        self._dimension, self._classes, self._measures = dimension, classes, measures

    def answer(self, chunk: Chunk) -> Answer:
        """The chunk with its numbers."""
        answer = Answer.empty(chunk, self._dimension, self._classes, self._measures)
        for places in _requests(chunk):
            self._fill(answer, places)
        return answer

    def stop(self) -> None:
        """End all waiting: nobody wants the answers."""
        self._patience.stop()

    def _fill(self, answer: Answer, places: list[int]) -> None:
        while places:
            try:
                reply = self._patience(partial(self._embedder.embed, *_asked(answer.chunk, places)))
            except Exception as error:
                index = self._embedder.at_fault(error)
                if index is not None and index < len(places):
                    answer.errors[places[index]] = self._embedder.problem(error)
                    places = [place for i, place in enumerate(places) if i != index]
                    continue
                if not self._embedder.broke(error):
                    raise
                self._one_by_one(answer, places)
                return
            self._keep(answer, places, reply)
            return

    def _one_by_one(self, answer: Answer, places: list[int]) -> None:
        """Each row in a request of its own, so that only those at fault have no numbers."""
        failed = 0
        for number, place in enumerate(places):
            try:
                reply = self._patience(partial(self._embedder.embed, *_asked(answer.chunk, [place])))
            except Exception as error:
                failed += 1
                if not self._embedder.broke(error) or failed == number + 1 >= HOPELESS_ROWS:
                    raise
                answer.errors[place] = self._embedder.problem(error)
            else:
                self._keep(answer, [place], reply)

    def _keep(self, answer: Answer, places: list[int], reply: Reply) -> None:
        failed = {error.index: self._embedder.problem(error) for error in reply.row_errors}
        answer.errors.update({places[index]: problem for index, problem in failed.items()})
        if len(failed) == len(places):
            return
        self._check(reply)
        good = np.array([index for index in range(len(places)) if index not in failed])
        to = np.array(places)[good]
        answer.vectors[to] = reply.vectors[good]
        answer.token_counts[to] = reply.token_counts[good]
        if answer.probabilities is not None and reply.probabilities is not None:
            answer.probabilities[to] = reply.probabilities[good]
        for name, values in answer.measures.items():
            values[to] = reply.measures[name][good]
        for index, place in zip(good, to, strict=True):
            answer.truncations[place] = str(reply.truncated[index])


def _asked(chunk: Chunk, places: Sequence[int]) -> tuple[list[Row], list[int]]:
    """The rows at these places, and their numbers."""
    return [_row(chunk, place) for place in places], [chunk.first + place for place in places]


def _row(chunk: Chunk, place: int) -> Row:
    row = chunk.rows[place]
    assert row is not None, "a row with a problem is not asked for"
    return row


def _requests(chunk: Chunk) -> Iterator[list[int]]:
    """The places of the chunk's good rows, cut into requests."""
    places: list[int] = []
    held = 0
    for place, row in enumerate(chunk.rows):
        if row is None:
            continue
        size = weight(row)
        if places and (len(places) == REQUEST_ROWS or held + size > REQUEST_BYTES):
            yield places
            places, held = [], 0
        places.append(place)
        held += size
    if places:
        yield places


def weight(row: Row) -> int:
    """What a row counts for in a request, in bytes of text."""
    if isinstance(row, str):
        return len(row.encode()) + ROW_BYTES
    values = row.values() if isinstance(row, Mapping) else row
    return sum(_value_weight(value) for value in values) + ROW_BYTES


def _value_weight(value: Any) -> int:
    if isinstance(value, str):
        return len(value.encode())
    return sum(_value_weight(item) for item in value) if isinstance(value, list) else NUMBER_BYTES


def _words(error: Exception) -> str:
    return str(getattr(error, "message", "") or error)
