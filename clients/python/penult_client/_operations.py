"""What is known of an operation, and who is told how it gets on."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal, Protocol, runtime_checkable

from penult_client._exceptions import PenultError

OperationState = Literal["waiting", "running", "done", "failed", "cancelled"]


@dataclass(frozen=True, kw_only=True)
class OperationStatus:
    """An analysis that the server works on, or that has ended.

    Attributes:
        name: What the server calls it.
        analysis: ``similarity``, ``neighbors``, ``cluster``, ``project``, ``duplicates``, ``outliers``, ``transform``,
            ``assign``, ``grow`` or ``compare_dropout``.
        rows: How many rows it is about: of `a`, of the queries, or of the source.
        state: ``waiting``, ``running``, ``done``, ``failed`` or ``cancelled``.
        stage: What it does now, for a person, such as ``embedding`` or ``layout``; as `state` when it does not run.
        done, total: How much of the stage is done, of how much; total 0: not known.
        seconds_left: About how long it will still take; None: not known, or it has ended.
        created, started, ended: Times in UTC; None: not yet.
        expires: When the server forgets it, with a result that has no name of its own; None: it has not ended.
        durable: Whether it is there after a restart of the server.
        error: Why it failed, or that it was cancelled; None: neither.
    """

    name: str
    analysis: str
    rows: int
    state: OperationState
    stage: str
    done: int = 0
    total: int = 0
    seconds_left: float | None = None
    created: datetime | None = None
    started: datetime | None = None
    ended: datetime | None = None
    expires: datetime | None = None
    durable: bool = False
    error: PenultError | None = field(default=None, compare=False)

    @property
    def share(self) -> float | None:
        """How much of the stage is done, 0 to 1; None: not known."""
        return min(self.done / self.total, 1.0) if self.total > 0 else None


@runtime_checkable
class OperationReport(Protocol):
    """Is told all that is known, again and again while it is waited for: pass one as `progress`."""

    def status(self, status: OperationStatus) -> None:
        """How the operation gets on."""
