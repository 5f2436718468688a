"""What an analysis would take, told without doing any of it."""

from __future__ import annotations

import os
from collections.abc import Callable

from penult.v1 import analysis_service_pb2 as pb

from penult_service.analysis.workers.pool import WorkerPool
from penult_service.config import Limits
from penult_service.errors import InvalidInput, PenultError
from penult_service.rpc.analysis.analyses import BY_FIELD, Analyses, Checked
from penult_service.rpc.analysis.dropout_plan import DropoutSide
from penult_service.rpc.analysis.sources import TextSide
from penult_service.rpc.codec import fields_under
from penult_service.rpc.handlers import Call


class Estimates:
    """Tells it."""

    def __init__(self, analyses: Analyses, limits: Limits, pool: WorkerPool) -> None:
        self._analyses, self._limits, self._pool = analyses, limits, pool

    async def estimate(self, request: pb.StartAnalysisRequest, call: Call) -> pb.EstimateAnalysisResponse:
        """What the analysis of a request would take; texts are counted.

        Raises:
            PenultError: as the analysis itself before it computes, but for its size.
        """
        field = request.WhichOneof("analysis")
        if field is None:
            raise InvalidInput(
                f"no analysis: set one of {', '.join(BY_FIELD)}",
                reason="EMPTY_INPUT",
                field="analysis.analysis",
            )
        with fields_under(f"analysis.{field}"):
            asked = await self._analyses.asked(BY_FIELD[field], getattr(request, field))
            async with self._analyses.resolved(asked, call) as found:
                return self._told(self._analyses.check(asked, found))

    def _told(self, checked: Checked) -> pb.EstimateAnalysisResponse:
        way = pb.ANALYSIS_WAY_CALL
        problem = "" if checked.here else _refusal(lambda: self._pool.check_admits(apart=True))
        if not problem and _refusal(lambda: self._analyses.check_for_call(checked)):
            way = pb.ANALYSIS_WAY_OPERATION
            problem = _refusal(lambda: self._analyses.check_for_operation(checked))
        texts = (
            len(side.asked.given)
            for side in checked.sides.values()
            if isinstance(side.asked, TextSide | DropoutSide)
        )
        return pb.EstimateAnalysisResponse(
            seconds=checked.cost.seconds,
            bytes=checked.cost.bytes,
            way=pb.ANALYSIS_WAY_REFUSED if problem else way,
            problem=problem,
            max_call_seconds=self._limits.max_analysis_seconds,
            max_call_bytes=self._limits.max_analysis_bytes,
            max_operation_bytes=_room(self._pool),
            load=_load(),
            processors=_processors(),
            measured_here=self._pool.speeds is not None,
            rows_to_embed=sum(texts),
        )


def _room(pool: WorkerPool) -> int:
    """Bytes that a worker has beside those that it takes idle; 0: no limit."""
    return 0 if pool.memory_limit is None else max(1, pool.memory_limit - pool.idle_bytes)


def _refusal(check: Callable[[], None]) -> str:
    try:
        check()
    except PenultError as error:
        return error.message
    return ""


def _load() -> float:
    """Of a minute; 0 where nobody knows."""
    try:
        return os.getloadavg()[0]
    except OSError:
        return 0.0


def _processors() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
