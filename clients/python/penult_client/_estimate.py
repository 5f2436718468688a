"""What an analysis would take."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Way = Literal["call", "operation", "refused"]


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """What an analysis would take on the server's machine; nothing was computed.

    Attributes:
        seconds: Of the analysis on that machine, unloaded; embedding texts is not counted.
        bytes: The most memory of the process that does it, beside what it takes idle.
        way: ``call``: it is answered at once; ``operation``: it is started as one, which the client does by itself;
            ``refused``: it is over the server's limits.
        problem: Why it is refused, and the way out; empty unless it is.
        load: Processes that wait for a processor there now, mean of a minute: the more, the longer it takes.
        processors: How many the server may use.
        measured_here: Whether the speeds were measured on that machine; False: those of one of two cores are assumed.
        max_call_seconds, max_call_bytes: What is answered at once takes at most.
        max_operation_bytes: What an operation may take; None: there is no limit.
        rows_to_embed: Texts that have to be embedded before.
    """

    seconds: float
    bytes: int
    way: Way
    problem: str = ""
    load: float = 0.0
    processors: int = 0
    measured_here: bool = False
    max_call_seconds: float = 0.0
    max_call_bytes: int = 0
    max_operation_bytes: int | None = None
    rows_to_embed: int = 0
