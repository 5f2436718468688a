"""A model whose batches end when they are told to, for a scheduler that runs several at once."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any

from penult_service.batching import Limits, Scheduler

WAIT = 10.0  # seconds after which a test that hangs fails
TWO = Limits(token_budget=40, max_rows=4, at_once=2)
ONE = Limits(token_budget=40, max_rows=4)
MANY = 4 * 2 * 4 + 1  # rows: more than four batches for each of two
DIES = "dies"


@dataclass
class Entered:
    """A batch that is computed: it ends when it is told how."""

    numbers: list[int]
    alone: bool
    ends: queue.SimpleQueue[str] = field(default_factory=queue.SimpleQueue)

    def end(self, how: str = "") -> None:
        self.ends.put(how)


class HeldModel:
    """Doubles numbers, in two steps; every batch comes out of `entered`, and goes on when it is told to, or `open`."""

    def __init__(self) -> None:
        self.entered: queue.Queue[Entered] = queue.Queue()
        self.all: list[Entered] = []
        self.open = False
        self.most = self._inside = 0
        self._lock = threading.Lock()

    def __call__(self, payloads: Sequence[int]) -> list[int]:
        return self.compute(self.prepare(payloads))

    def prepare(self, payloads: Sequence[int]) -> list[int]:
        return list(payloads)

    def compute(self, prepared: list[int], *, alone: bool = True) -> list[int]:
        batch = Entered(prepared, alone)
        with self._lock:
            self._inside += 1
            self.most = max(self.most, self._inside)
            held = not self.open
            if held:
                self.all.append(batch)
        try:
            time.sleep(0)  # others have their turn
            if held:
                self.entered.put(batch)
                how = batch.ends.get(timeout=WAIT)
                if how == DIES:
                    raise SystemExit
                if how:
                    raise RuntimeError(how)
            return [2 * number for number in prepared]
        finally:
            with self._lock:
                self._inside -= 1

    def let_go(self) -> None:
        """All that run, and all that will."""
        with self._lock:
            self.open = True
        for batch in self.all:
            batch.end()

    def next(self) -> Entered:
        return self.entered.get(timeout=WAIT)

    def nothing(self) -> bool:
        """Whether no other batch begins."""
        try:
            self.entered.get(timeout=0.05)
        except queue.Empty:
            return True
        return False


def submit(
    scheduler: Scheduler, model: HeldModel, numbers: Sequence[int], limits: Limits = TWO, **how: Any
) -> Future[list[int]]:
    """To queue `m`, ten tokens each."""
    return scheduler.submit(how.pop("queue", "m"), model, numbers, [10] * len(numbers), limits=limits, **how)
