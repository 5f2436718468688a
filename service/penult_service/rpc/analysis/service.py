"""Analysis of embeddings."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from typing import Any, cast

from google.longrunning import operations_pb2
from google.protobuf.message import Message
from penult.v1 import analysis_service_pb2 as pb

from penult_service.analysis import results
from penult_service.config import Limits
from penult_service.rpc import replies as messages
from penult_service.rpc.analysis.analyses import (
    ASSIGN,
    CLUSTER,
    COMPARE_DROPOUT,
    DUPLICATES,
    GROW,
    NEIGHBORS,
    OUTLIERS,
    PROJECT,
    SIMILARITY,
    TRANSFORM,
    Analyses,
    Analysis,
    Checked,
)
from penult_service.rpc.analysis.answers import reply
from penult_service.rpc.analysis.cluster_edits import edit_of
from penult_service.rpc.analysis.estimates import Estimates
from penult_service.rpc.analysis.growth import Compute, Growth
from penult_service.rpc.analysis.keeping import ENTRY_BYTES, STORED_BYTES, Keeper, Keeping, check_storable
from penult_service.rpc.analysis.long_analyses import LongAnalyses
from penult_service.rpc.analysis.readable import Reader
from penult_service.rpc.analysis.replies import About
from penult_service.rpc.analysis.result_parts import parts
from penult_service.rpc.analysis.stored_results import StoredResults
from penult_service.rpc.handlers import Call
from penult_service.rpc.limits import check_fits
from penult_service.rpc.operations_service import OperationsService
from penult_service.rpc.stored import Stored
from penult_service.storage import ResultInfo


@dataclass(frozen=True, eq=False)
class _Done:
    checked: Checked
    result: Any
    about: About
    stored: ResultInfo | None


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
        growth: Growth,
        estimates: Estimates,
    ) -> None:
        super().__init__(keeper, limits, stored)
        self._growth, self._estimates = growth, estimates
        self._limits, self._analyses, self._keeper = limits, analyses, keeper
        self._long, self._operations, self._reader = long, operations, reader

    async def compute_similarity(
        self, request: pb.ComputeSimilarityRequest, call: Call
    ) -> pb.ComputeSimilarityResponse:
        """A matrix of similarities or distances, or those of pairs."""
        return cast(pb.ComputeSimilarityResponse, await self._answer(SIMILARITY, request, call))

    async def search_neighbors(
        self, request: pb.SearchNeighborsRequest, call: Call
    ) -> pb.SearchNeighborsResponse:
        """The nearest rows."""
        return cast(pb.SearchNeighborsResponse, await self._answer(NEIGHBORS, request, call))

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
        return cast(pb.CompareDropoutResponse, await self._answer(COMPARE_DROPOUT, request, call))

    async def find_duplicates(
        self, request: pb.FindDuplicatesRequest, call: Call
    ) -> pb.FindDuplicatesResponse:
        """Equal rows."""
        return cast(pb.FindDuplicatesResponse, await self._answer(DUPLICATES, request, call))

    async def find_outliers(self, request: pb.FindOutliersRequest, call: Call) -> pb.FindOutliersResponse:
        """Rows far from all."""
        return cast(pb.FindOutliersResponse, await self._answer(OUTLIERS, request, call))

    async def transform(self, request: pb.TransformRequest, call: Call) -> pb.TransformResponse:
        """Places of new rows on a stored map."""
        return cast(pb.TransformResponse, await self._answer(TRANSFORM, request, call))

    async def assign_clusters(
        self, request: pb.AssignClustersRequest, call: Call
    ) -> pb.AssignClustersResponse:
        """Stored clusters of new rows."""
        return cast(pb.AssignClustersResponse, await self._answer(ASSIGN, request, call))

    async def grow_clustering(
        self, request: pb.GrowClusteringRequest, call: Call
    ) -> pb.GrowClusteringResponse:
        """Rows are taken into stored clusters."""
        asked = await self._analyses.asked(GROW, request)
        assert asked.stored is not None
        done = await self._growth.answered(asked.stored, asked.request_id)
        if done is None:
            async with self._analyses.resolved(asked, call) as found:
                checked = self._analyses.check(asked, found)
                self._analyses.check_for_call(checked)
                async with self._analyses.arrays(checked, call) as (arrays, origin):
                    with call.stage("analysis"):
                        done = await self._growth.grow(checked, arrays, origin, self._computing(call))
        reply, labels = done
        reply.labels.CopyFrom(messages.tensor(labels))
        check_fits(reply, len(labels), asked.max_bytes)
        return reply

    async def edit_clustering(
        self, request: pb.EditClusteringRequest, call: Call
    ) -> pb.EditClusteringResponse:
        """Stored clusters are merged, split or named."""
        edit = edit_of(request, self._limits)
        with call.stage("analysis"):
            return await self._growth.edit(
                edit, lambda asked, arrays: self._analyses.run(asked, arrays, deadline=call.deadline)
            )

    async def estimate_analysis(
        self, request: pb.EstimateAnalysisRequest, call: Call
    ) -> pb.EstimateAnalysisResponse:
        """What an analysis would take."""
        return await self._estimates.estimate(request.analysis, call)

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

    async def _answer(self, analysis: Analysis, request: Message, call: Call) -> Message:
        """The reply to a request whose result is not stored."""
        done = await self._analysed(analysis, request, call)
        with call.stage("reply"):
            return cast(Message, await asyncio.to_thread(self._reply, analysis, done))

    def _reply(self, analysis: Analysis, done: _Done) -> Any:
        response = reply(analysis.name, done.result, done.about)
        if done.stored is not None:
            assert analysis.kind is not None
            analysis.kind.told_in(response, done.stored)
        check_fits(response, done.checked.sides[analysis.side].rows, done.checked.asked.max_bytes)
        return response

    async def _kept(self, analysis: Analysis, request: Any, call: Call) -> Message:
        """The reply to a request whose result may be stored."""
        assert analysis.kind is not None
        keeping, there = await self._keeper.keeping(analysis.kind, request)
        if there is not None:
            return cast(Message, await self._keeper.reply(analysis.kind, there, request))
        done = await self._analysed(analysis, request, call, keeping)
        with call.stage("reply"):
            return cast(Message, await asyncio.to_thread(self._reply, analysis, done))

    async def _analysed(
        self, analysis: Analysis, request: Message, call: Call, keeping: Keeping | None = None
    ) -> _Done:
        """From the request to the result; the rows of sets, and what is stored, stay until that is there."""
        asked = await self._analyses.asked(analysis, request)
        async with self._analyses.resolved(asked, call) as found:
            checked = self._analyses.check(asked, found)
            self._analyses.check_for_call(checked)
            async with self._analyses.arrays(checked, call) as (arrays, origin):
                with call.stage("analysis"):
                    result = await self._computing(call)(checked, arrays)
            about = checked.about(origin)
            stored = None
            if keeping is not None:
                stored = await self._store(keeping, result, about, checked, analysis.side, call)
            return _Done(checked, result, about, stored)

    def _computing(self, call: Call) -> Compute:
        return lambda checked, arrays: self._analyses.compute(checked, arrays, deadline=call.deadline)

    async def _store(
        self,
        keeping: Keeping,
        result: results.Result,
        about: About,
        checked: Checked,
        side: str,
        call: Call,
    ) -> ResultInfo:
        """What would not be answered is not stored."""
        source = checked.sides[side]
        draft = await asyncio.to_thread(keeping.kind.answer, result, about)
        more = STORED_BYTES + ENTRY_BYTES * len(getattr(result, "sizes", ()))
        check_storable(draft, source.rows, checked.asked.max_bytes, more)
        with call.stage("store"):
            return await self._keeper.keep(keeping, result, about, source)
