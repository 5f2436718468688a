"""Reads results of any size."""

from __future__ import annotations

import time

from penult_client._async.calls import AsyncCaller
from penult_client._channel import async_sleep
from penult_client._core import arrays, result_parts, rpcs
from penult_client._core.result_parts import Gathered
from penult_client._core.splitting import Part
from penult_client._core.timing import Deadline
from penult_client._exceptions import DeadlineError, PenultError, UnavailableError


async def read_result(caller: AsyncCaller, name: str, ends: Deadline, *, whole: bool = True) -> Gathered:
    """A result by its resource name, whole; or, not `whole`, its first part.

    A stream that breaks, or that the timeout ends, goes on behind the rows that have come: as long as some come, it
    may take any time.

    Raises:
        PenultError: as the server says; rows are missing (BAD_REPLY).
    """
    limits = await caller.limits(ends)
    gathered = Gathered(name)
    queue = caller.queue_of(Part(0, 1), ends)
    while not gathered.complete:
        part, seconds = queue.take(time.monotonic())
        before = gathered.rows
        request = result_parts.read_request(name, before, limits.max_response_bytes)
        receiving = caller.receive(rpcs.READ_RESULT, request, seconds)
        try:
            while not gathered.complete:
                reply = await receiving.next()
                if reply is None:
                    raise arrays.bad_reply(f"{gathered.rows} of {gathered.total} rows of {name} came")
                gathered.add(reply)
                if not whole:
                    return gathered
        except PenultError as error:
            if gathered.rows > before and isinstance(error, UnavailableError | DeadlineError):
                # It gets on, so attempts and the timeout begin anew. Time that is really over, `take` finds.
                queue = caller.queue_of(Part(0, 1), ends)
            else:
                await async_sleep(queue.failed(part, error, time.monotonic()))
        finally:
            receiving.cancel()
    return gathered
