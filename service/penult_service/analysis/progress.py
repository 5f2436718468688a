"""How far an analysis is: the methods tell, and whoever wants to know listens. The standard library alone."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
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
