"""How an operation of a server gets on, on stderr: a bar on a screen, a line now and then elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

from penult_service.cli.console import note, stage_bar

if TYPE_CHECKING:
    from penult_client import OperationStatus

LINE_SECONDS = 10.0


class Shown:
    """A `penult_client.OperationReport`.

    Args:
        bar: Shows a stage and the share done, None where that is not known; without it there are lines.
    """

    def __init__(self, bar: Callable[[str, float | None], None] | None) -> None:
        self._bar = bar
        self._last = time.monotonic()
        self.name = ""

    def status(self, status: OperationStatus) -> None:
        """How the operation gets on."""
        self.name = "" if status.ended is not None else status.name
        if not self.name:
            return
        left = "" if status.seconds_left is None else f", {clock(status.seconds_left)} left"
        if self._bar is not None:
            self._bar(f"{status.name}: {status.stage}{left}", status.share)
        elif time.monotonic() - self._last >= LINE_SECONDS:
            self._last = time.monotonic()
            note(
                f"{status.name}: {status.analysis} of {status.rows:,} rows, {status.stage}{percent(status)}{left}"
            )


@contextmanager
def shown(before: str, interrupted: str) -> Iterator[Shown]:
    """Shows an operation; on a screen `before`, as long as nothing is known. `interrupted`: what Ctrl-C does to it."""
    with ExitStack() as stack:
        bar = stack.enter_context(stage_bar()) if sys.stderr.isatty() else None
        if bar is not None:
            bar(before, None)
        report = Shown(bar)
        try:
            yield report
        except KeyboardInterrupt:
            if report.name:
                stack.close()
                note(f"operation {report.name} {interrupted}")
            raise


def percent(status: OperationStatus) -> str:
    """`` 25 %`` of the stage; empty when not known."""
    return "" if status.share is None else f" {100 * status.share:.0f} %"


def clock(seconds: float) -> str:
    """``1:05``, minutes and seconds; hours before them where there are some."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"
