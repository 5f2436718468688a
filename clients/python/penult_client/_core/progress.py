"""A line of progress on stderr, or calls of the caller's own function."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import TextIO

from penult_client._operations import OperationReport, OperationStatus

Report = Callable[[int, int], None]
Progress = bool | Report | OperationReport | None
"""Of calls that may become operations."""

# How often the server tells how an operation gets on, in seconds: while somebody looks, and while nobody does. It tells
# its end at once.
SHOWN, UNSEEN = 0.5, 20.0

_WIDTH = 30
_EVERY = 0.1


class ProgressLine:
    """``embedding [#####.....]  512/1,024  2,300 texts/s  0.2 s left``, redrawn in place on a terminal.

    Where stderr is no terminal, only the last state is written, as one line.
    """

    def __init__(self, what: str, stream: TextIO | None = None, unit: str = "texts") -> None:
        self._what, self._unit = what, unit
        self._stream = stream if stream is not None else sys.stderr
        self._live = self._stream.isatty()
        self._began = time.monotonic()
        self._drawn = 0.0

    def __call__(self, done: int, total: int) -> None:
        """Shows that `done` of `total` are done."""
        now = time.monotonic()
        finished = done >= total
        if not finished and (not self._live or now - self._drawn < _EVERY):
            return
        self._drawn = now
        line = self._line(done, total, now - self._began)
        self._stream.write((f"\r{line}\x1b[K" if self._live else line) + ("\n" if finished else ""))
        self._stream.flush()

    def _line(self, done: int, total: int, seconds: float) -> str:
        rate = done / seconds if seconds > 0 else 0.0
        left = f"  {(total - done) / rate:.1f} s left" if done and done < total else f"  in {seconds:.1f} s"
        return f"{self._what} {_bar(done, total)}  {rate:,.0f} {self._unit}/s" + (left if done else "")


class OperationLine:
    """``project of 50,000 rows: layout [#####.....] 120/500  41 s left``, redrawn in place on a terminal.

    Where stderr is no terminal, only the end is written, as one line.
    """

    def __init__(self, stream: TextIO | None = None) -> None:
        self._stream = stream if stream is not None else sys.stderr
        self._live = self._stream.isatty()
        self._began = time.monotonic()
        self._open = False

    def status(self, status: OperationStatus) -> None:
        """Shows how the operation gets on."""
        what = f"{status.analysis} of {status.rows:,} rows: {status.stage}"
        if status.ended is not None:
            line = f"{what} in {time.monotonic() - self._began:.1f} s"
        else:
            bar = f" {_bar(status.done, status.total)}" if status.total > 0 else ""
            left = status.seconds_left
            line = what + bar + ("" if left is None else f"  {_seconds(left)} left")
        if self._live:
            self._stream.write(f"\r{line}\x1b[K")
            self._open = True
        elif status.ended is not None:
            self._stream.write(f"{line}\n")
        self._stream.flush()

    def close(self) -> None:
        """Whatever comes next stands in a line of its own."""
        if self._open:
            self._stream.write("\n")
            self._stream.flush()
            self._open = False


class Watching:
    """Who is told how an operation gets on, and how often, in seconds. Closed at the end.

    Args:
        progress: True: a line on stderr; None: the same when that is a terminal; a function of (done, total) of the
            stage that it is in; or an `OperationReport`.
    """

    def __init__(self, progress: Progress) -> None:
        self._line = None
        self._told = progress if callable(progress) or isinstance(progress, OperationReport) else None
        screen = sys.stderr is not None and sys.stderr.isatty()
        if self._told is None and (screen if progress is None else progress):
            self._told = self._line = OperationLine()
        self.every = SHOWN if self._told is not None else UNSEEN

    def tell(self, status: OperationStatus) -> None:
        """How it gets on."""
        if isinstance(self._told, OperationReport):
            self._told.status(status)
        elif self._told is not None and status.total > 0:
            self._told(status.done, status.total)

    def __enter__(self) -> Watching:
        return self

    def __exit__(self, *exception: object) -> None:
        if self._line is not None:
            self._line.close()


def reporter(progress: Progress, what: str, unit: str = "texts") -> Report:
    """The function to tell: the caller's own, a new line on stderr, or one that does nothing.

    Args:
        progress: As the caller gave it. None, and what wants to be told of operations alone, is told nothing.
        what, unit: What is done, and what is counted.
    """
    if callable(progress):
        return progress
    shown = progress and not isinstance(progress, OperationReport)
    return ProgressLine(what, unit=unit) if shown else ignore


def ignore(done: int, total: int) -> None:
    """No progress is asked for."""
    del done, total


def _bar(done: int, total: int) -> str:
    filled = min(_WIDTH, _WIDTH * done // max(total, 1))
    return f"[{'#' * filled}{'.' * (_WIDTH - filled)}] {done:>{len(f'{total:,}')},}/{total:,}"


def _seconds(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if not hours and not minutes:
        return f"{rest} s"
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"
