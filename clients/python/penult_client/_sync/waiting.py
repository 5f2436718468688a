# Made from ../_async/waiting.py by scripts/unasync.py; change that one.
"""Waits for operations, and ends those whose callers have left."""

from __future__ import annotations

import time
from typing import Any

from google.longrunning import operations_pb2
from google.protobuf.duration_pb2 import Duration

from penult_client._sync.calls import Caller
from penult_client._sync.reading import read_result
from penult_client._channel import sync_sleep, sync_to_the_end
from penult_client._core import operations, rpcs
from penult_client._core.analysis_results import Origin
from penult_client._core.kinds import Kind, start_request
from penult_client._core.progress import SHOWN, Progress, Watching
from penult_client._core.timing import Deadline
from penult_client._exceptions import DeadlineError, PenultError

# The longest that a call which is given up waits for the server to end what it had begun.
CANCEL_SECONDS = 2.0
# What the answer of a server that has waited until the deadline may take.
ANSWER_SECONDS = 0.5


class Ongoing:
    """An operation that was started.

    Args:
        caller: Sends requests.
        name: Of the operation.
        origin: What embedded its texts before, if anything did.
    """

    def __init__(self, caller: Caller, name: str, origin: Origin | None = None) -> None:
        self.name = name
        self._caller = caller
        self._origin = origin

    @classmethod
    def start(
        cls, caller: Caller, kind: Kind[Any], request: Any, origin: Origin | None, ends: Deadline
    ) -> Ongoing:
        """Starts one. When its caller leaves before it is known whether it runs, it is cancelled.

        Raises:
            PenultError: as the server says.
        """
        asked = start_request(kind, request)
        try:
            told = caller.send_analysis(rpcs.START_ANALYSIS, asked, ends)
        except DeadlineError:
            sync_to_the_end(_abandon_start(caller, asked))
            raise
        except PenultError as error:
            raise operations.not_started(error, kind.field) from None
        except BaseException:
            sync_to_the_end(_abandon_start(caller, asked))
            raise
        return cls(caller, operations.bare(told), origin)

    def wait(self, progress: Progress, ends: Deadline) -> Any:
        """Its result; a deadline that passes leaves it alone.

        Raises:
            PenultError: what it failed of, or what stopped us from waiting.
        """
        with Watching(progress) as watching:
            told = self._ended(watching, ends)
        return self._result(told, ends)

    def finish(self, progress: Progress, ends: Deadline) -> Any:
        """Its result. When the deadline passes, or the caller leaves, before it has ended, it is cancelled.

        Raises:
            PenultError: as `wait`.
        """
        try:
            with Watching(progress) as watching:
                told = self._ended(watching, ends)
        except DeadlineError:
            state = sync_to_the_end(self.abandon())
            raise operations.passed(ends.seconds, self.name, operations.what_now(self.name, state)) from None
        except PenultError:
            raise  # nobody is there to be told
        except BaseException:
            sync_to_the_end(self.abandon())
            raise
        return self._result(told, ends)

    def cancel(self, ends: Deadline) -> None:
        """Tells the server to end it."""
        request = rpcs.CANCEL_OPERATION.request(name=operations.resource(self.name))
        self._caller.send(rpcs.CANCEL_OPERATION, request, ends)

    def abandon(self) -> str:
        """Cancels it, unless that takes long; what it is then, empty when the server could not be told."""
        ends = Deadline.begin(CANCEL_SECONDS)
        try:
            self.cancel(ends)
            request = rpcs.GET_OPERATION.request(name=operations.resource(self.name))
            return operations.status(self._caller.send(rpcs.GET_OPERATION, request, ends)).state
        except PenultError:
            return ""

    def _ended(self, watching: Watching, ends: Deadline) -> operations_pb2.Operation:
        """What the server tells when it has ended; all that it tells before is shown."""
        while True:
            seconds, began = ends.left(watching.every), time.monotonic()
            if seconds == 0:
                raise operations.passed(ends.seconds, self.name, operations.GOES_ON)
            request = rpcs.WAIT_OPERATION.request(name=operations.resource(self.name))
            request.timeout.CopyFrom(Duration(seconds=int(seconds), nanos=int(seconds % 1 * 1e9)))
            try:
                told = self._caller.send_waiting(
                    rpcs.WAIT_OPERATION, request, ends.later(ANSWER_SECONDS), seconds
                )
            except PenultError as error:
                if isinstance(error, DeadlineError) and ends.left(1.0) == 0:
                    continue
                raise operations.while_waiting(error, self.name) from None
            watching.tell(operations.status(told))
            if told.done:
                return told
            # Of a server that does not wait itself, or less long than it was asked to.
            sync_sleep(max(0.0, min(SHOWN, began + seconds - time.monotonic())))

    def _result(self, told: operations_pb2.Operation, ends: Deadline) -> Any:
        failed = operations.error_of(told)
        if failed is not None:
            raise failed
        record = operations.response(told, self._origin)
        if record is not None:
            return record
        try:
            # By the name of the operation: what it stored under a name of its own may be another's now.
            name = operations.resource(self.name)
            return (read_result(self._caller, name, ends)).record(self._origin)
        except PenultError as error:
            raise operations.while_reading(error, self.name) from None


def _abandon_start(caller: Caller, asked: Any) -> bool:
    """Cancels what a request may have started: the same request again tells what that is. Whether the server knows."""
    ends = Deadline.begin(CANCEL_SECONDS)
    try:
        told = caller.send(rpcs.START_ANALYSIS, asked, ends)
        Ongoing(caller, operations.bare(told)).cancel(ends)
    except PenultError:
        return False
    return True
