"""Analyses of any length, as operations: what is refused is refused at once, the rest is done behind the call."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import asdict, dataclass, replace
from typing import Any, TypeVar

from penult.v1 import analysis_service_pb2 as pb

from penult_service.analysis.calls import Array
from penult_service.analysis.progress import Progress as Told
from penult_service.analysis.results import Result
from penult_service.analysis.workers.pool import WorkerPool
from penult_service.errors import InvalidInput, PenultError, ResourceExhausted, Unavailable
from penult_service.operations import STARTING, WAITING, Operations, Progress, Work
from penult_service.rpc.analysis.analyses import BY_FIELD, GROW, Analyses, Analysis, Checked
from penult_service.rpc.analysis.codec import Asked, check_request_id
from penult_service.rpc.analysis.dropout_sampling import Way
from penult_service.rpc.analysis.growth import Growth
from penult_service.rpc.analysis.keeping import Keeper, Keeping
from penult_service.rpc.analysis.replies import Known
from penult_service.rpc.analysis.result_codec import Parts, grown_parts, parts
from penult_service.rpc.analysis.sources import VectorSide
from penult_service.rpc.codec import fields_under
from penult_service.rpc.handlers import Call
from penult_service.storage import OperationRecord

_ANY_BYTES = 1 << 62

T = TypeVar("T")


@dataclass(eq=False)
class _Job:
    """What an operation has to do. Its rows lie in files, or are texts. `begun`: it has them in hand."""

    analysis: Analysis
    checked: Checked
    keeping: Keeping | None
    call: Call
    held: AsyncExitStack
    """The rows of sets, and the files: theirs until the end."""
    begun: bool = False


class LongAnalyses:
    """Starts them."""

    def __init__(
        self, analyses: Analyses, operations: Operations, keeper: Keeper, pool: WorkerPool, growth: Growth
    ) -> None:
        self._analyses, self._operations = analyses, operations
        self._keeper, self._pool, self._growth = keeper, pool, growth

    async def start(self, request: pb.StartAnalysisRequest, call: Call) -> OperationRecord:
        """The operation of a request.

        Raises:
            PenultError: as the analysis itself before it computes, and as `Operations.start`.
        """
        field = request.WhichOneof("analysis")
        if field is None:
            raise InvalidInput(
                f"no analysis: set one of {', '.join(BY_FIELD)}", reason="EMPTY_INPUT", field="analysis"
            )
        check_request_id(request.request_id)
        there = self._operations.find(request.request_id)
        if there is not None:
            return there
        self._operations.check_admits()
        with fields_under(field):
            return await self._started(BY_FIELD[field], getattr(request, field), request.request_id, call)

    async def _started(
        self, analysis: Analysis, asked_for: Any, request_id: str, call: Call
    ) -> OperationRecord:
        keeping, done = None, None
        if analysis.kind is not None:
            keeping, done = await self._keeper.keeping(analysis.kind, asked_for)
        asked = replace(await self._analyses.asked(analysis, asked_for), max_bytes=_ANY_BYTES)
        async with AsyncExitStack() as stack:
            asked = await self._spooled(asked, stack)
            found = await stack.enter_async_context(self._analyses.resolved(asked, call))
            checked = self._analyses.check(asked, found)
            self._analyses.check_for_operation(checked)
            rows, estimate = found.sides[analysis.side].rows, checked.cost.seconds
            # The call ends now: what the work notes is of a call of its own.
            job = _Job(analysis, checked, keeping, Call(call.method, None), stack.pop_all())
        work = self._work(job)
        if keeping is not None and done is not None:
            work = _there(f"{keeping.kind.plural}/{keeping.name}", done.info.created)
        try:
            record = await self._operations.start(
                analysis.name, rows, work, request_id=request_id, estimate=estimate
            )
        except PenultError:
            await job.held.aclose()
            raise
        # A caller that left meanwhile changes nothing: the operation has it all in hand.
        if not job.begun:  # another has the same request_id
            await job.held.aclose()
        return record

    async def _spooled(self, asked: Asked, stack: AsyncExitStack) -> Asked:
        """The same with its vectors in files: what waits for an hour holds no rows in memory."""
        vectors = {name: side for name, side in asked.sides.items() if isinstance(side, VectorSide)}
        files = await stack.enter_async_context(
            self._pool.spooled({name: side.matrix for name, side in vectors.items()})
        )
        moved = {name: replace(side, matrix=files[name]) for name, side in vectors.items()}
        return replace(asked, sides={**asked.sides, **moved})

    def _work(self, job: _Job) -> Work:
        async def work(name: str, progress: Progress) -> tuple[str, str]:
            job.begun = True
            async with job.held:
                if job.analysis is GROW:
                    return await self._grown(name, job, progress)
                result, origin = await self._computed(job, progress)
                progress.tell("storing")
                return await self._stored(name, job, result, origin)

        return work

    async def _computed(self, job: _Job, progress: Progress) -> tuple[Result, Known]:
        async with self._arrays(job, progress) as (arrays, origin, apart):
            return await self._with(arrays, job.checked, progress, apart=apart), origin

    async def _grown(self, name: str, job: _Job, progress: Progress) -> tuple[str, str]:
        """In turn with others who change that clustering; what they were told is kept as the operation's own result."""
        async with self._arrays(job, progress) as (arrays, origin, apart):

            def compute(checked: Checked, found: Mapping[str, Array]) -> Awaitable[Result]:
                return self._with(dict(found), checked, progress, apart=apart)

            progress.tell(WAITING)
            told, labels = await self._growth.grow(job.checked, arrays, origin, compute)
        made = grown_parts(told, labels, {})
        return await self._own(name, job, made)

    @asynccontextmanager
    async def _arrays(
        self, job: _Job, progress: Progress
    ) -> AsyncIterator[tuple[dict[str, Array], Known, bool]]:
        """The arrays, where they came from, and whether the work has a process of its own."""
        checked = job.checked
        apart = not self._analyses.is_short(checked)  # else it works among the calls
        way = Way(progress.tell, lambda work: _patiently(progress, work))
        async with self._analyses.arrays(checked, job.call, apart=apart, way=way) as (arrays, origin):
            yield arrays, origin, apart

    async def _with(
        self, arrays: dict[str, Array], checked: Checked, progress: Progress, *, apart: bool
    ) -> Result:
        def tell(told: Told) -> None:
            progress.tell(told.stage, told.done, told.total)

        async with self._pool.spooled(arrays) as files:
            arrays.clear()

            def compute() -> Awaitable[Result]:
                return self._analyses.compute(checked, files, deadline=None, progress=tell, apart=apart)

            if not apart:
                return await _patiently(progress, compute)
            async with self._operations.turn(progress):
                progress.tell(STARTING)
                return await compute()

    async def _stored(self, name: str, job: _Job, result: Result, origin: Known) -> tuple[str, str]:
        about = job.checked.about(origin)
        if job.keeping is not None:
            side = job.checked.sides[job.analysis.side]
            info = await _to_the_end(self._keeper.keep(job.keeping, result, about, side))
            return f"{job.keeping.kind.plural}/{info.name}", info.created
        facts = {"metric": about.metric, "space_check": about.space_check}
        return await self._own(name, job, await asyncio.to_thread(parts, result, about, facts))

    async def _own(self, name: str, job: _Job, made: Parts) -> tuple[str, str]:
        """Keep the result of an operation that has no other name."""
        checked = job.checked
        side = checked.sides[job.analysis.side]
        info = await self._keeper.keep_own(name, asdict(checked.asked.call), made, side)
        return f"operations/{name}", info.created


def _there(stored: str, created: str) -> Work:
    """Nothing: the same request has stored its result already."""

    async def work(name: str, progress: Progress) -> tuple[str, str]:  # noqa: ARG001
        return stored, created

    return work


async def _to_the_end(storing: Coroutine[Any, Any, T]) -> T:
    """Also when it is cancelled meanwhile: what has a name then is there, so its operation is done."""
    task, cancelled = asyncio.create_task(storing), False
    while not task.done():
        try:
            await asyncio.wait([task])
        except asyncio.CancelledError:
            cancelled = True
    if cancelled and task.exception() is not None:
        raise asyncio.CancelledError
    return task.result()


async def _patiently(progress: Progress, ask: Callable[[], Awaitable[T]]) -> T:
    """The same again while there is no room, or the workers get ready: an operation can wait.

    What it does when it does not wait `ask` tells.
    """
    while True:
        try:
            return await ask()
        except (ResourceExhausted, Unavailable) as error:
            if error.reason == "DRAINING":
                raise
            progress.tell(STARTING if error.reason == "ANALYSIS_WARMING" else WAITING)
            await asyncio.sleep(getattr(error, "retry_after", 1.0))
