"""Amounts of work by kind, in seconds of the reference machine, and the memory that it needs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields

from penult_service.analysis.calls import Cost
from penult_service.analysis.speeds import Speeds

_AS_FLOATS = 6.1  # a product of bytes done as one of float32 instead


@dataclass(frozen=True)
class Work:
    """What a part of an analysis takes.

    Seconds are those of a thread of the reference machine; of the kinds that are `shared` all threads together take so
    many.

    Attributes:
        products: Matrix products of float32 (shared).
        bytes: Products of bytes (shared).
        layout: Epochs of UMAP's layout by all threads (shared).
        shared: Loops by all threads.
        wide: Matrix products of float64 by one thread.
        loops: Loops of one thread.
        memory: Copying by one thread.
        held: Bytes that are still there when the part is done.
        room: Bytes that it needs beside them while it runs.
    """

    products: float = 0.0
    bytes: float = 0.0
    layout: float = 0.0
    shared: float = 0.0
    wide: float = 0.0
    loops: float = 0.0
    memory: float = 0.0
    held: float = 0.0
    room: float = 0.0

    def times(self, count: float) -> Work:
        """The same so many times, one after the other, none holding anything for the next."""
        seconds = {name: getattr(self, name) * count for name in _KINDS}
        return Work(**seconds, room=self.held + self.room)

    def cost(self, speeds: Speeds) -> Cost:
        """On a machine of these speeds."""
        bytes_each = speeds.products * _AS_FLOATS if speeds.bytes is None else speeds.bytes
        shared = (
            self.products * speeds.products
            + self.bytes * bytes_each
            + self.layout * speeds.layout
            + self.shared * speeds.loops
        )
        alone = self.wide * speeds.wide + self.loops * speeds.loops + self.memory * speeds.memory
        return Cost(shared / speeds.processors + alone, int(self.held + self.room))


_KINDS = tuple(field.name for field in fields(Work) if field.name not in ("held", "room"))


def together(parts: Sequence[Work]) -> Work:
    """One after the other: what a part holds is there while the later ones run."""
    seconds = {name: sum(getattr(part, name) for part in parts) for name in _KINDS}
    held = most = 0.0
    for part in parts:
        most = max(most, held + part.held + part.room)
        held += part.held
    return Work(**seconds, held=held, room=most - held)
