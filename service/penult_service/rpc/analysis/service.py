"""Analysis of embeddings."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from dataclasses import dataclass
from typing import Any, cast

from google.longrunning import operations_pb2
from google.protobuf.message import Message
from penult.v1 import analysis_service_pb2 as pb

from penult_service.analysis import results
from penult_service.config import Limits
from penult_service.rpc.analysis import dropout_replies, replies
from penult_service.rpc.analysis.analyses import (
    CLUSTER,
    COMPARE_DROPOUT,
    NEIGHBORS,
    PROJECT,
    SIMILARITY,
    Analyses,
    Analysis,
    Checked,
)
from penult_service.rpc.analysis.keeping import STORED_BYTES, Keeper, Keeping
from penult_service.rpc.analysis.long_analyses import LongAnalyses
from penult_service.rpc.analysis.readable import Reader
from penult_service.rpc.analysis.result_parts import parts
from penult_service.rpc.analysis.stored_results import StoredResults
from penult_service.rpc.handlers import Call
from penult_service.rpc.limits import check_fits
from penult_service.rpc.operations_service import OperationsService
from penult_service.rpc.stored import Stored


@dataclass(frozen=True, eq=False)
class _Done:
    checked: Checked
    result: Any
    origin: Any
    stored: pb.Projection | pb.Clustering | None


class AnalysisService(StoredResults):
    """`penult.v1.AnalysisService`."""

    def __init__(
        self,
        limits: Limits,
        analyses: Analyses,
        keeper: Keeper,
        stored: Stored,
        long: LongAnalyses,
        operations: OperationsService,
        reader: Reader,
    ) -> None:
        super().__init__(keeper, limits, stored)
        self._limits, self._analyses, self._keeper = limits, analyses, keeper
        self._long, self._operations, self._reader = long, operations, reader

    async def compute_similarity(
        self, request: pb.ComputeSimilarityRequest, call: Call
    ) -> pb.ComputeSimilarityResponse:
        """A matrix of similarities or distances, or those of pairs."""
        done = await self._analysed(SIMILARITY, request, call)
        with call.stage("reply"):
            metric = done.checked.asked.call.metric
            return replies.similarity(done.result, metric, done.checked.space_check, done.origin)

    async def search_neighbors(
        self, request: pb.SearchNeighborsRequest, call: Call
    ) -> pb.SearchNeighborsResponse:
        """The nearest rows."""
        done = await self._analysed(NEIGHBORS, request, call)
        with call.stage("reply"):
            metric = done.checked.asked.call.metric
            response = replies.neighbors(done.result, metric, done.checked.space_check, done.origin)
            check_fits(response, len(done.result.indices), done.checked.asked.max_bytes)
        return response

    async def cluster(self, request: pb.ClusterRequest, call: Call) -> pb.ClusterResponse:
        """Clusters."""
        return cast(pb.ClusterResponse, await self._kept(CLUSTER, request, call))

    async def project(self, request: pb.ProjectRequest, call: Call) -> pb.ProjectResponse:
        """A map."""
        return cast(pb.ProjectResponse, await self._kept(PROJECT, request, call))

    async def compare_dropout(
        self, request: pb.CompareDropoutRequest, call: Call
    ) -> pb.CompareDropoutResponse:
        """What dropout does to texts."""
        done = await self._analysed(COMPARE_DROPOUT, request, call)
        with call.stage("reply"):
            response = dropout_replies.comparison(done.result, done.origin)
            check_fits(response, response.rows, done.checked.asked.max_bytes)
        return response

    async def start_analysis(self, request: pb.StartAnalysisRequest, call: Call) -> operations_pb2.Operation:
        """An analysis of any length."""
        return await self._operations.told(await self._long.start(request, call))

    async def read_result(
        self, request: pb.ReadResultRequest, call: Call
    ) -> AsyncGenerator[pb.ReadResultResponse]:
        """A result in parts."""
        readable = await self._reader.find(request.name)
        async for part in parts(readable, request, self._limits):
            call.rows += part.row_count
            yield part

    async def _kept(self, analysis: Analysis, request: Any, call: Call) -> Message:
        """The reply to a request whose result may be stored."""
        assert analysis.kind is not None
        keeping, there = await self._keeper.keeping(analysis.kind, request)
        if there is not None:
            return cast(Message, await self._keeper.reply(analysis.kind, there, request))
        done = await self._analysed(analysis, request, call, keeping)
        with call.stage("reply"):
            response = analysis.kind.answer(done.result, done.origin)
            if done.stored is not None:
                response.stored.CopyFrom(done.stored)  # type: ignore[arg-type]
            rows = done.checked.sides[analysis.side].rows
            check_fits(response, rows, done.checked.asked.max_bytes)
        return response

    async def _analysed(
        self, analysis: Analysis, request: Message, call: Call, keeping: Keeping | None = None
    ) -> _Done:
        """From the request to the result; the rows of sets stay until that is there."""
        asked = await self._analyses.asked(analysis, request)
        async with self._analyses.resolved(asked, call) as sides:
            checked = self._analyses.check(asked, sides)
            self._analyses.check_for_call(checked)
            async with self._analyses.arrays(checked, call) as (arrays, origin):
                with call.stage("analysis"):
                    result = await self._analyses.compute(checked, arrays, deadline=call.deadline)
            stored = None
            if keeping is not None:
                stored = await self._store(keeping, result, origin, checked, analysis.side, call)
            return _Done(checked, result, origin, stored)

    async def _store(
        self,
        keeping: Keeping,
        result: results.Result,
        origin: Any,
        checked: Checked,
        side: str,
        call: Call,
    ) -> pb.Projection | pb.Clustering:
        """What would not be answered is not stored."""
        source, most = checked.sides[side], checked.asked.max_bytes - STORED_BYTES
        check_fits(keeping.kind.answer(result, origin), source.rows, most)
        with call.stage("store"):
            info = await self._keeper.keep(keeping, result, origin, source)
        told: pb.Projection | pb.Clustering = keeping.kind.told(info)
        return told
