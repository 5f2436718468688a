"""Sequences of events with times from a file, who is held out, and the windows that are trained on."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from penult_service.errors import InvalidInput, NotFound
from penult_service.files import sha256_file
from penult_service.recipes import data
from penult_service.recipes.numeric import LARGEST

MOST_TYPES = 100_000
MINUTES_A_DAY = 1440.0


@dataclass(frozen=True)
class Columns:
    """The names of the fields to read. With `split` None the sides are drawn.

    `before_last`: the minutes are those before the last event of the sequence, not since the previous event.
    """

    events: str = "event"
    minutes: str = "minutes_since_prev"
    split: str | None = "split"
    before_last: bool = False


@dataclass(frozen=True)
class EventSequence:
    """One sequence: event types int32 [L], from 1 on, and float32 [L], the minutes since the previous event."""

    events: NDArray[np.int32]
    minutes: NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.events)


@dataclass(frozen=True)
class Sequences:
    """Those of one file, in its order; `types` is the highest event type, `splits` the side of each."""

    source: str
    sha256: str
    rows: tuple[EventSequence, ...]
    splits: tuple[str, ...] | None
    types: int

    def __len__(self) -> int:
        return len(self.rows)


def read(path: Path, columns: Columns) -> Sequences:
    """Reads a .jsonl (or .parquet) file of a sequence a row: two lists of one length, at least two events.

    Raises:
        NotFound: There is no such file.
        InvalidInput: The file, or the row and field that the message names, cannot be used.
    """
    rows, splits = [], []
    for where, row in data.rows(path):
        rows.append(_sequence(path, where, row, columns))
        if columns.split is not None:
            side = _field(path, where, row, columns.split)
            if side not in ("train", "test"):
                what = f"{where}, {columns.split!r}: {side!r} is neither 'train' nor 'test'"
                raise _bad(path, what, "NOT_A_SPLIT", columns.split)
            splits.append(side)
    if not rows:
        raise _bad(path, "there are no rows", "NO_ROWS")
    types = max(int(row.events.max()) for row in rows)
    found = tuple(splits) if columns.split is not None else None
    return Sequences(path.name, sha256_file(path), tuple(rows), found, types)


def since_previous(before_last: NDArray[np.float64]) -> NDArray[np.float64]:
    """Minutes before the last event [L], the last 0 → minutes since the previous event [L], the first 0."""
    return np.concatenate([[0.0], before_last[:-1] - before_last[1:]])


def sides(
    sequences: Sequences, fraction: float, seed: int
) -> tuple[list[EventSequence], list[EventSequence]]:
    """(training, held out): as the file says, else `fraction` of the sequences, drawn.

    Raises:
        InvalidInput: A side is empty.
    """
    if sequences.splits is not None:
        held_out = np.array([side == "test" for side in sequences.splits])
    else:
        count = round(fraction * len(sequences))
        held_out = np.zeros(len(sequences), bool)
        held_out[np.random.default_rng(seed).permutation(len(sequences))[:count]] = True
    if held_out.all() or not held_out.any():
        which = "train on" if held_out.all() else "measure on"
        what = f"{sequences.source}: no sequence is left to {which}"
        raise InvalidInput(what, reason="NOTHING_HELD_OUT", field="valid_fraction")
    return (
        [sequences.rows[number] for number in np.flatnonzero(~held_out)],
        [sequences.rows[number] for number in np.flatnonzero(held_out)],
    )


@dataclass(frozen=True)
class Window:
    """Events `begin` to `end` (exclusive) of a sequence; each says the next one, and those from `scored` on count."""

    row: int
    begin: int
    end: int
    scored: int

    @property
    def width(self) -> int:
        return self.end - self.begin


def windows(rows: Sequence[EventSequence], length: int, overlap: int) -> list[Window]:
    """What is trained on: windows of at most `length` events, in which every next event counts once.

    A sequence that is longer is cut; of each but its first window the first `overlap` events are there to be remembered
    only.
    """
    found = []
    for number, row in enumerate(rows):
        last = len(row) - 1  # it has no next event
        begin = 0
        while True:
            end = min(begin + length, last)
            found.append(Window(number, begin, end, begin + overlap if begin else 0))
            if end == last:
                break
            begin = end - overlap
    return found


@dataclass(frozen=True)
class Batch:
    """[n, w] each, padded on the right: events int32 and minutes float32 of windows; what comes next, events int32 and
    days float32; and float32 1 where that counts.
    """

    events: NDArray[np.int32]
    minutes: NDArray[np.float32]
    next_events: NDArray[np.int32]
    days: NDArray[np.float32]
    counts: NDArray[np.float32]


def batch(rows: Sequence[EventSequence], chosen: Sequence[Window]) -> Batch:
    """These windows as arrays, as wide as the widest of them."""
    shape = (len(chosen), max(window.width for window in chosen))
    events, next_events = np.zeros(shape, np.int32), np.zeros(shape, np.int32)
    minutes, days, counts = (np.zeros(shape, np.float32) for _ in range(3))
    for i, window in enumerate(chosen):
        row, here, next_ = (
            rows[window.row],
            slice(window.begin, window.end),
            slice(window.begin + 1, window.end + 1),
        )
        events[i, : window.width], minutes[i, : window.width] = row.events[here], row.minutes[here]
        next_events[i, : window.width] = row.events[next_]
        days[i, : window.width] = row.minutes[next_] / MINUTES_A_DAY
        counts[i, window.scored - window.begin : window.width] = 1
    return Batch(events, minutes, next_events, days, counts)


def names(path: Path | None, types: int) -> list[str]:
    """What event 1 and those behind it are called: by a .csv of two columns, number and name; else their numbers.

    Raises:
        NotFound, InvalidInput: There is no such file; or it does not name every event once.
    """
    if path is None:
        return [str(number) for number in range(1, types + 1)]
    if not path.is_file():
        raise NotFound(f"{path} is not a file", reason="FILE_NOT_FOUND")
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            lines = [line for line in csv.reader(file) if line][1:]
        found = {int(line[0]): line[1].strip() for line in lines}
    except (ValueError, IndexError, csv.Error) as error:
        raise _bad(path, f"is no table of event numbers and names ({error})", "NOT_CSV") from error
    missing = sorted(set(range(1, types + 1)) - set(found))
    if missing:
        raise _bad(path, f"has no name of event {missing[0]}", "NAME_MISSING")
    return [found[number] for number in range(1, types + 1)]


def _sequence(path: Path, where: str, row: Mapping[str, Any], columns: Columns) -> EventSequence:
    events, minutes = (_field(path, where, row, name) for name in (columns.events, columns.minutes))
    for name, values in ((columns.events, events), (columns.minutes, minutes)):
        if not isinstance(values, list):
            raise _bad(
                path, f"{where}, {name!r}: there is no list, but {str(values)[:40]!r}", "NOT_A_LIST", name
            )
    if len(events) != len(minutes) or len(events) < 2:
        said = f"{columns.events!r} {len(events)}, {columns.minutes!r} {len(minutes)}"
        what = f"{where}: both lists have the same length, at least 2; these have: {said}"
        raise _bad(path, what, "WRONG_SHAPE", columns.minutes)
    for event in events:
        if isinstance(event, bool) or not isinstance(event, int) or not 1 <= event <= MOST_TYPES:
            what = f"{where}, {columns.events!r}: {event!r:.40} is no event type"
            raise _bad(
                path, f"{what}: whole numbers from 1 to {MOST_TYPES:,}", "NOT_AN_EVENT", columns.events
            )
    wrong = next((m for m in minutes if isinstance(m, bool) or not _finite(m)), None)
    if wrong is not None or any(m is None for m in minutes):
        what = f"{where}, {columns.minutes!r}: {wrong!r:.40} is not a finite number of minutes"
        raise _bad(path, what, "NOT_A_NUMBER", columns.minutes)
    values = np.asarray(minutes, np.float64)
    values = since_previous(values) if columns.before_last else values
    if (values < 0).any():
        at = int(np.flatnonzero(values < 0)[0])
        what = f"{where}, {columns.minutes!r}: event {at + 1} is before the one in front of it"
        raise _bad(path, what, "OUT_OF_RANGE", columns.minutes)
    return EventSequence(np.asarray(events, np.int32), values.astype(np.float32))


def _finite(value: Any) -> bool:
    """Whether it is a number, and one in float32 too."""
    return isinstance(value, int | float) and abs(value) <= LARGEST


def _field(path: Path, where: str, row: Mapping[str, Any], name: str) -> Any:
    if name not in row:
        there = ", ".join(map(repr, row)) or "none"
        raise _bad(path, f"{where} has no {name!r}; there are {there}", "COLUMN_MISSING", name)
    return row[name]


def _bad(path: Path, what: str, reason: str, field: str = "") -> InvalidInput:
    return InvalidInput(f"{path}: {what}", reason=reason, field=field)
