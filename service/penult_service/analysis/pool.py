"""The processes that analyse, seen from the server's event loop."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from penult_service.analysis.calls import Call
from penult_service.analysis.results import Result
from penult_service.errors import PreconditionFailed


class WorkerPool:
    """Runs analyses in processes of its own, so that none of them can hurt the server.

    `workers` + 1 processes, `workers` runs at a time, first come first served. A run that is cancelled, late, too
    large or crashed costs its process, never its neighbours: the spare steps in at once, and its successor starts
    and warms in the background. Made and used in one event loop.

    Args:
        workers: Runs at a time; 0: none, every call is refused (ANALYSIS_OFF).
        memory_limit: Bytes that a process may take; None: no limit.
        scratch: Where arrays lie while they are worked on; None: the system's temporary directory.
        numba_cache: Where compiled code is kept (`warming.use_numba_cache`); None: nowhere.
        max_waiting: Calls that may wait for a process.
        changed: Called in the loop when `ready` may have changed.
    """

    def __init__(
        self,
        *,
        workers: int,
        memory_limit: int | None,
        scratch: Path | None,
        numba_cache: Path | None,
        max_waiting: int,
        changed: Callable[[], None],
    ) -> None:
        self._workers, self._changed = workers, changed

    @property
    def ready(self) -> bool:
        """Whether a warm process lives."""
        return False

    def start(self) -> None:
        """Begin to start the processes, in the background, one after the other."""

    async def close(self) -> None:
        """End every process, and what still runs or waits with it (Unavailable, DRAINING)."""

    async def run(self, call: Call, arrays: Mapping[str, NDArray[Any]], *, deadline: float | None) -> Result:
        """The result of a call. Cancelling the task ends the work at once.

        Args:
            call: Checked before (`checks.check`).
            arrays: As in `run.run`.
            deadline: On the clock of `time.monotonic`; None: none.

        Raises:
            PreconditionFailed: no processes (ANALYSIS_OFF), no packages (ANALYSIS_NOT_INSTALLED), processes that
                do not start (ANALYSIS_FAILED), more memory than the limit (WORKER_OUT_OF_MEMORY).
            Unavailable: not warm yet (ANALYSIS_WARMING), or the server ends (DRAINING).
            ResourceExhausted: as many calls wait as may (ANALYSIS_QUEUE_FULL).
            DeadlineExceeded: the deadline passed.
            Internal: the process died (WORKER_DIED), or the analysis has a fault.
            PenultError: what the analysis itself raised.
        """
        raise PreconditionFailed("this server has no analysis workers", reason="ANALYSIS_OFF")
