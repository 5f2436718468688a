"""How far an analysis is: the methods tell, and whoever wants to know listens. The standard library alone."""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stdout
from contextvars import ContextVar
from dataclasses import dataclass


@dataclass(frozen=True)
class Progress:
    """A stage in plain words, such as `neighbours` or `layout`, and how much of it is done; total 0: not known.

    What is counted is the stage's own: rows, epochs, starts, steps. Within a stage `done` never falls, and where the
    total is known the stage ends with `done` at it.
    """

    stage: str
    done: int = 0
    total: int = 0


Listener = Callable[[Progress], None]

_listener: ContextVar[Listener | None] = ContextVar("penult_progress", default=None)


def tell(stage: str, done: int = 0, total: int = 0) -> None:
    """Tell whoever listens in this thread or task; costs next to nothing when nobody does."""
    listener = _listener.get()
    if listener is not None:
        listener(Progress(stage, done, total))


@contextmanager
def telling(listener: Listener) -> Iterator[None]:
    """Within it `tell` reaches the listener, in the thread or task that opened it; threads started there are deaf."""
    token = _listener.set(listener)
    try:
        yield
    finally:
        _listener.reset(token)


@contextmanager
def silently() -> Iterator[None]:
    """Within it nobody is told: what runs there is a part of a stage of its caller's."""
    token = _listener.set(None)
    try:
        yield
    finally:
        _listener.reset(token)


@contextmanager
def only(*stages: str) -> Iterator[None]:
    """Within it these stages are told, and no others: what runs there is a part of something larger."""
    listener = _listener.get()
    if listener is None:
        yield
        return
    with telling(lambda progress: listener(progress) if progress.stage in stages else None):
        yield


@contextmanager
def told_as(stage: str, of: str) -> Iterator[None]:
    """Within it the stage `of`, the long part of what runs there, is told as this one, and no others."""
    listener = _listener.get()
    if listener is None:
        yield
        return
    with telling(lambda told: listener(Progress(stage, told.done, told.total)) if told.stage == of else None):
        yield


def heard() -> bool:
    """Whether anybody listens: for what costs more than `tell`."""
    return _listener.get() is not None


def counting(stage: str, total: int = 0) -> Callable[[int], None]:
    """Begins a stage at 0; call what comes back with how many more are done."""
    done = 0

    def more(count: int) -> None:
        nonlocal done
        done += count
        tell(stage, done, total)

    tell(stage, 0, total)
    return more


@contextmanager
def iterations_printed(stage: str, total: int = 0) -> Iterator[None]:
    """Tells the stage of a method that prints `Iteration 50` while it works (scikit-learn's `verbose`).

    What it prints is not printed.
    """
    tell(stage, 0, total)
    if not heard():
        yield
        return
    with redirect_stdout(_Iterations(stage, total)):
        yield
    if total:
        tell(stage, total, total)


class _Iterations(io.TextIOBase):
    def __init__(self, stage: str, total: int) -> None:
        self._stage, self._total = stage, total

    def write(self, text: str) -> int:
        found = re.search(r"Iteration (\d+)", text)
        if found:
            tell(self._stage, int(found[1]), self._total)
        return len(text)
