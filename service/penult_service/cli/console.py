"""What people see: progress and notes on stderr, so that stdout holds results alone."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from rich.console import Console

# Piped output is not a screen: no wrapping at 80 columns.
PIPED_WIDTH = 160
# Of a column of words on a narrow screen.
LEAST_WIDTH = 12


def note(message: str) -> None:
    """A line on stderr."""
    print(message, file=sys.stderr, flush=True)


def out() -> Console:
    """The console on stdout; plain text of a fixed width when piped."""
    from rich.console import Console

    width = None if sys.stdout.isatty() or os.environ.get("COLUMNS") else PIPED_WIDTH
    return Console(highlight=False, width=width, soft_wrap=False)


def print_table(
    headings: Sequence[str],
    rows: Sequence[Sequence[str]],
    *,
    right: Sequence[int] = (),
    whole: Sequence[int] = (),
) -> None:
    """A table without frames on stdout: reads well on a screen and in a pipe.

    Columns in `right` are flush right, words in `whole` are broken where they are too long, not cut; empty headings
    are left out. Figures are never cut: where the screen is too narrow for them the table is wider than the screen.
    """
    from rich.table import Table
    from rich.text import Text

    shown = Table(box=None, padding=(0, 2, 0, 0), show_header=any(headings), header_style="bold")
    for number, heading in enumerate(headings):
        overflow: Literal["fold", "ellipsis"] = "fold" if number in whole else "ellipsis"
        cells = [*(row[number] for row in rows), *heading.split()] if number in right else []
        least = max(map(len, cells), default=None)
        shown.add_column(
            Text(heading),
            "",
            justify="right" if number in right else "left",
            overflow=overflow,
            min_width=least,
        )
    for row in rows:
        # Text, not markup: a model's names and people's texts may hold square brackets.
        shown.add_row(*(Text(cell) for cell in row))
    console = out()
    # Figures, and what a column of words needs at the least.
    figures = sum((column.min_width or LEAST_WIDTH) + 2 for column in shown.columns)
    console.width = max(console.width, figures)
    with console.capture() as captured:
        console.print(shown)
    print("\n".join(line.rstrip() for line in captured.get().splitlines()))


@contextmanager
def progress(what: str, total: int) -> Iterator[Callable[[int], None]]:
    """A bar on stderr when that is a screen; call it with how many more are done."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn(what), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), disable=not sys.stderr.isatty()) as bar:
        task = bar.add_task(what, total=total)
        yield lambda done: bar.advance(task, done)


@contextmanager
def status(what: str) -> Iterator[Callable[[str], None]]:
    """A line on stderr while something runs; call it with a new text. Nothing when stderr is no screen."""
    from rich.console import Console

    console = Console(stderr=True)
    if not console.is_terminal:
        yield lambda _: None
        return
    with console.status(what) as shown:
        yield lambda text: shown.update(text)


@contextmanager
def stage_bar() -> Iterator[Callable[[str, float | None], None]]:
    """A bar on stderr for work that names its stages; call it with a stage and the share done, None if unknown."""
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
    shown = sys.stderr.isatty()
    with Progress(*columns, console=Console(stderr=True), transient=True, disable=not shown) as bar:
        bar.add_task("starting", total=None)
        (task,) = bar.tasks

        def report(stage: str, share: float | None) -> None:
            task.total = None if share is None else 1.0  # to `update` None is "as it was"
            bar.update(task.id, description=stage, completed=share or 0.0)
            task.finished_time = None  # another stage may come: the clock goes on

        yield report
