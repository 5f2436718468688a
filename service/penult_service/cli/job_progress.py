"""How an embedding job gets on, on stderr: a bar on a screen, a line now and then elsewhere, or JSON lines."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from penult_service.cli.console import note

STYLES = ("auto", "bar", "lines", "json", "none")
LINE_SECONDS, JSON_SECONDS = 10.0, 1.0


class Progress:
    """A `jobs.job.Report` that counts; those below show it. `say` is for what is no count."""

    def __init__(self) -> None:
        self.done = self.total = self.bad = 0
        self._before = 0
        self._started = time.monotonic()

    def begin(self, done: int, total: int, bad: int) -> None:
        """So many of all rows were done before."""
        self.done, self.total, self.bad, self._before = done, total, bad, done
        self._started = time.monotonic()
        if done:
            self.say(f"{done:,} of {total:,} rows are there; going on with row {done}")

    def advance(self, rows: int, bad: int) -> None:
        """So many rows more, of which some are bad."""
        self.done += rows
        self.bad += bad
        self.show()

    def say(self, message: str) -> None:
        """A message for people."""
        note(message)

    def end(self, **facts: Any) -> None:
        """All is done; the facts are for machines."""

    def show(self) -> None:
        """Called after each step."""

    def rate(self) -> float:
        """Rows a second of this run."""
        return (self.done - self._before) / max(time.monotonic() - self._started, 1e-9)

    def left(self) -> float | None:
        """Seconds until the end at this rate; None when nothing is known."""
        rate = self.rate()
        return (self.total - self.done) / rate if rate else None


class _Lines(Progress):
    """A line every `LINE_SECONDS`."""

    def __init__(self) -> None:
        super().__init__()
        self._last = time.monotonic()

    def show(self) -> None:
        if time.monotonic() - self._last >= LINE_SECONDS:
            self._last = time.monotonic()
            share = 100 * self.done / max(self.total, 1)
            bad = f", {self.bad:,} of them bad" if self.bad else ""
            note(
                f"{self.done:,} of {self.total:,} rows ({share:.0f} %){bad}, {self.rate():,.0f} rows/s, "
                f"{_time(self.left())} left"
            )


class _Json(Progress):
    """An object a line: begin, progress (every `JSON_SECONDS`, and the last), note, done."""

    def __init__(self) -> None:
        super().__init__()
        self._last = 0.0

    def begin(self, done: int, total: int, bad: int) -> None:
        super().begin(done, total, bad)
        _event("begin", done=done, total=total, bad=bad)

    def say(self, message: str) -> None:
        _event("note", message=message)

    def end(self, **facts: Any) -> None:
        _event("done", **facts)

    def show(self) -> None:
        now = time.monotonic()
        if now - self._last >= JSON_SECONDS or self.done == self.total:
            self._last, left = now, self.left()
            _event(
                "progress",
                done=self.done,
                total=self.total,
                bad=self.bad,
                rows_per_second=round(self.rate(), 1),
                seconds_left=None if left is None else round(left, 1),
            )


class _Bar(Progress):
    """Rich's bar."""

    def __init__(self, bar: Any) -> None:
        super().__init__()
        self._bar = bar
        self._task = bar.add_task("embedding", total=None)

    def begin(self, done: int, total: int, bad: int) -> None:
        super().begin(done, total, bad)
        self._bar.reset(self._task, total=total, completed=done)

    def say(self, message: str) -> None:
        # Text, not markup, above the bar.
        self._bar.console.print(message, markup=False, highlight=False)

    def show(self) -> None:
        self._bar.update(self._task, completed=self.done)


@contextmanager
def shown(style: str) -> Iterator[Progress]:
    """Progress in one of `STYLES`; auto is a bar on a screen, else lines."""
    if style == "auto":
        style = "bar" if sys.stderr.isatty() else "lines"
    if style == "bar":
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
        from rich.progress import Progress as Bar

        columns = (TextColumn("embedding"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        with Bar(*columns, console=Console(stderr=True), transient=False) as bar:
            yield _Bar(bar)
    else:
        yield {"lines": _Lines, "json": _Json, "none": Progress}[style]()


def _event(name: str, **facts: Any) -> None:
    note(json.dumps({"event": name, **facts}, ensure_ascii=False))


def _time(seconds: float | None) -> str:
    if seconds is None:
        return "unknown time"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"
