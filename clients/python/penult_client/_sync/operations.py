# Made from ../_async/operations.py by scripts/unasync.py; change that one.
"""Operations: analyses that take longer than one call."""

from __future__ import annotations

from typing import Any, Generic, TypeVar

from penult_client._sync.calls import Caller
from penult_client._sync.waiting import Ongoing
from penult_client._core import operations, rpcs
from penult_client._core.progress import Progress
from penult_client._core.timing import NO_DEADLINE, Deadline
from penult_client._operations import OperationStatus

Result_co = TypeVar("Result_co", covariant=True)


class Operation(Generic[Result_co]):
    """An analysis that the server works on, or that has ended: what `wait=False` returns.

    It belongs to the server: `client.operation(name)` finds it from another program, or after a restart.

    Attributes:
        name: What the server calls it.
    """

    def __init__(self, caller: Caller, ongoing: Ongoing) -> None:
        self.name = ongoing.name
        self._caller = caller
        self._ongoing = ongoing

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.name!r})"

    def status(self) -> OperationStatus:
        """How far it is.

        Raises:
            NotFoundError: the server knows it no more.
        """
        request = rpcs.GET_OPERATION.request(name=operations.resource(self.name))
        return operations.status(self._caller.send(rpcs.GET_OPERATION, request))

    def wait(self, *, progress: Progress = None, deadline: float | None = None) -> Result_co:
        """Its result, when it has ended. May be called again, and by several.

        Args:
            progress: True: a line on stderr; None: the same when that is a terminal; a function of (done, total) of
                the stage that it is in; or an `OperationReport`.
            deadline: The longest wait, in seconds; None: as long as it takes.

        Raises:
            DeadlineError: the deadline passed; the operation goes on.
            CancelledError: it was cancelled.
            UnavailableError: no server answers; or it was restarted, and the work is lost (SERVER_RESTARTED).
            PenultError: what the analysis failed of.
        """
        result: Result_co = self._ongoing.wait(progress, Deadline.begin(deadline))
        return result

    def cancel(self) -> None:
        """Ends it; without effect when it has ended.

        Raises:
            NotFoundError: the server knows it no more.
        """
        self._ongoing.cancel(NO_DEADLINE)

    def delete(self) -> None:
        """Makes the server forget it, with a result that has no name of its own.

        Raises:
            PreconditionError: it has not ended; cancel it first. NotFoundError: the server knows it no more.
        """
        request = rpcs.DELETE_OPERATION.request(name=operations.resource(self.name))
        self._caller.send(rpcs.DELETE_OPERATION, request)


class Operations:
    """The methods of the client that find operations."""

    _caller: Caller

    def operations(self) -> list[OperationStatus]:
        """All operations that the server knows, the newest first."""
        found: list[OperationStatus] = []
        token = ""
        while True:
            request = rpcs.LIST_OPERATIONS.request(page_token=token)
            reply = self._caller.send(rpcs.LIST_OPERATIONS, request)
            found += [operations.status(told) for told in reply.operations]
            token = reply.next_page_token
            if not token:
                return found

    def operation(self, name: str) -> Operation[Any]:
        """An operation by its name, as `wait=False` returned it: from another program, or after a restart, too.

        Raises:
            NotFoundError: the server knows none of that name.
        """
        ongoing = Ongoing(self._caller, operations.check_name(name))
        made: Operation[Any] = Operation(self._caller, ongoing)
        made.status()
        return made
