"""A line of progress on stderr, or calls of the caller's own function."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import TextIO

Report = Callable[[int, int], None]

_WIDTH = 30
_EVERY = 0.1


class ProgressLine:
    """``embedding [#####.....]  512/1,024  2,300 texts/s  0.2 s left``, redrawn in place on a terminal.

    Where stderr is no terminal, only the last state is written, as one line.
    """

    def __init__(self, what: str, stream: TextIO | None = None) -> None:
        self._what = what
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
        filled = _WIDTH * done // max(total, 1)
        bar = "#" * filled + "." * (_WIDTH - filled)
        rate = done / seconds if seconds > 0 else 0.0
        left = f"  {(total - done) / rate:.1f} s left" if done and done < total else f"  in {seconds:.1f} s"
        return f"{self._what} [{bar}] {done:>{len(f'{total:,}')},}/{total:,}  {rate:,.0f} texts/s" + (
            left if done else ""
        )


def reporter(progress: bool | Report, what: str) -> Report:
    """The function to tell: the caller's own, a new line on stderr, or one that does nothing."""
    if callable(progress):
        return progress
    return ProgressLine(what) if progress else ignore


def ignore(done: int, total: int) -> None:
    """No progress is asked for."""
    del done, total
