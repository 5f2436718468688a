"""Progress of work that has several stages: a bar for each on stderr; in a pipe, a line for each when done."""

from __future__ import annotations

import logging
import os
import signal
import sys
import tempfile
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import TYPE_CHECKING

from penult_service.cli.console import note
from penult_service.errors import PenultError

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

Stage = Callable[[str, int, int, str], None]
"""Called with the stage's name, what is done of it, its total, and a note."""


@contextmanager
def stages() -> Iterator[Stage]:
    """Bars on a screen, lines in a pipe. The interrupt key ends the work where it next tells how far it is."""
    with _told() as told, _interrupts() as refuse_interrupted:

        def tell(stage: str, done: int, total: int, remark: str) -> None:
            refuse_interrupted()
            told(stage, done, total, remark)

        yield tell


@contextmanager
def _told() -> Iterator[Stage]:
    if not sys.stderr.isatty():
        yield _Lines()
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, TextColumn("{task.fields[note]}"), console=Console(stderr=True)) as bars:
        yield _Bars(bars)


@contextmanager
def _interrupts() -> Iterator[Callable[[], None]]:
    """What to call between steps: it raises KeyboardInterrupt once the key was pressed; pressed again, it is raised
    at once.

    An exception in the middle of TensorFlow's own code may end the process without a word, or be lost there.
    """
    pressed = False

    def note_it(number: int, frame: FrameType | None) -> None:
        nonlocal pressed
        if pressed:
            signal.default_int_handler(number, frame)
        pressed = True

    def refuse() -> None:
        if pressed:
            raise KeyboardInterrupt

    if threading.current_thread() is not threading.main_thread():
        yield refuse
        return
    before = signal.signal(signal.SIGINT, note_it)
    try:
        yield refuse
    finally:
        signal.signal(signal.SIGINT, before)


@contextmanager
def quiet_tensorflow() -> Iterator[None]:
    """Keeps what TensorFlow's C++ half writes (start-up notices, mostly) off the screen.

    Some of it is written before any log level applies, so the file descriptor is turned away; Python's own
    `sys.stderr`, with bars and errors, still reaches the screen. When the work fails with something that is
    not an error of ours, or with PENULT_DEBUG=1, it is shown.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    logging.getLogger("tensorflow").setLevel(logging.ERROR)
    logging.getLogger("absl").setLevel(logging.CRITICAL)
    warnings.filterwarnings("ignore", message="pkg_resources is deprecated")
    if os.environ.get("PENULT_DEBUG"):
        yield
        return
    screen, before = os.dup(2), sys.stderr
    with tempfile.TemporaryFile() as native, open(screen, "w", encoding="utf-8", errors="replace") as kept:
        os.dup2(native.fileno(), 2)
        if before is sys.__stderr__:
            sys.stderr = kept
        try:
            yield
        except (PenultError, KeyboardInterrupt):
            raise
        except BaseException:
            native.seek(0)
            kept.write(native.read().decode(errors="replace"))
            raise
        finally:
            kept.flush()
            os.dup2(screen, 2)
            sys.stderr = before


class _Bars:
    def __init__(self, bars: Progress) -> None:
        self._bars = bars
        self._tasks: dict[str, TaskID] = {}

    def __call__(self, stage: str, done: int, total: int, remark: str) -> None:
        if stage not in self._tasks:
            self._tasks[stage] = self._bars.add_task(stage, total=total, note="")
        self._bars.update(self._tasks[stage], completed=done, total=total, note=remark)


class _Lines:
    def __init__(self) -> None:
        self._started: dict[str, float] = {}
        self._said: set[str] = set()

    def __call__(self, stage: str, done: int, total: int, remark: str) -> None:
        begun = self._started.setdefault(stage, time.monotonic())
        if done == total and stage not in self._said:
            self._said.add(stage)
            seconds = time.monotonic() - begun
            note(f"{stage}: {total} of {total}, {seconds:.0f} s{'; ' + remark if remark else ''}")
