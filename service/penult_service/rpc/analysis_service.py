"""Analysis of embeddings."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, cast

from google.protobuf.message import Message
from penult.v1 import analysis_service_pb2 as pb

from penult_service.analysis import calls, results
from penult_service.analysis.checks import check
from penult_service.analysis.costs import cost
from penult_service.analysis.workers.pool import WorkerPool
from penult_service.config import Limits
from penult_service.embedder import Embedder, LoadedModel
from penult_service.repository.repository import Repository
from penult_service.rpc import analysis_replies as replies
from penult_service.rpc import small_similarity
from penult_service.rpc.analysis_codec import AnalysisCodec, Asked
from penult_service.rpc.analysis_limits import check_cost, check_reply, check_scores
from penult_service.rpc.codec import Codec
from penult_service.rpc.handlers import Call
from penult_service.rpc.limits import check_fits
from penult_service.rpc.result_codec import CLUSTERINGS, PROJECTIONS
from penult_service.rpc.sources import Sides, Sources, array_shapes, check_spaces
from penult_service.rpc.stored import Stored
from penult_service.rpc.stored_results import STORED_BYTES, Keeping, StoredResults


@dataclass(frozen=True, eq=False)
class _Checked:
    """A request that will be answered, unless something breaks."""

    asked: Asked
    sides: Sides
    shapes: calls.Shapes
    space_check: pb.SpaceCheck
    stored: pb.Projection | pb.Clustering | None = None


class AnalysisService(StoredResults):
    """`penult.v1.AnalysisService`."""

    def __init__(
        self,
        codec: Codec,
        limits: Limits,
        repository: Repository[LoadedModel],
        embedder: Embedder,
        pool: WorkerPool,
        stored: Stored,
    ) -> None:
        super().__init__(limits, stored)
        self._codec, self._limits = AnalysisCodec(codec, limits), limits
        self._sources, self._pool = Sources(repository, embedder, stored), pool
        # A matrix takes memory and a core: the others wait their turn.
        self._computing = asyncio.Semaphore(1)

    async def compute_similarity(
        self, request: pb.ComputeSimilarityRequest, call: Call
    ) -> pb.ComputeSimilarityResponse:
        """A matrix of similarities or distances, or those of pairs."""
        checked, result, origin = await self._analysed(self._codec.similarity, request, call)
        assert isinstance(result, results.SimilarityResult)
        with call.stage("reply"):
            return replies.similarity(result, checked.asked.call.metric, checked.space_check, origin)

    async def search_neighbors(
        self, request: pb.SearchNeighborsRequest, call: Call
    ) -> pb.SearchNeighborsResponse:
        """The nearest rows."""
        checked, result, origin = await self._analysed(self._codec.neighbors, request, call)
        assert isinstance(result, results.NeighborsResult)
        with call.stage("reply"):
            response = replies.neighbors(result, checked.asked.call.metric, checked.space_check, origin)
            check_fits(response, len(result.indices), checked.asked.max_bytes)
        return response

    async def cluster(self, request: pb.ClusterRequest, call: Call) -> pb.ClusterResponse:
        """Clusters."""
        keeping, there = await self.keeping(CLUSTERINGS, request)
        if there is not None:
            return cast(pb.ClusterResponse, there)
        checked, result, origin = await self._analysed(self._codec.cluster, request, call, keeping)
        assert isinstance(result, results.ClusterResult)
        with call.stage("reply"):
            response = replies.clusters(result, origin)
            self._finish(response, len(result.labels), checked)
        return response

    async def project(self, request: pb.ProjectRequest, call: Call) -> pb.ProjectResponse:
        """A map."""
        keeping, there = await self.keeping(PROJECTIONS, request)
        if there is not None:
            return cast(pb.ProjectResponse, there)
        checked, result, origin = await self._analysed(self._codec.project, request, call, keeping)
        assert isinstance(result, results.ProjectResult)
        with call.stage("reply"):
            response = replies.projection(result, origin)
            self._finish(response, len(result.coordinates), checked)
        return response

    async def start_analysis(self, request: pb.StartAnalysisRequest, call: Call) -> Any:
        """An analysis of any length."""
        raise NotImplementedError

    async def read_result(self, request: pb.ReadResultRequest, call: Call) -> Any:
        """A result in parts."""
        raise NotImplementedError
        yield

    @staticmethod
    def _finish(response: Any, rows: int, checked: _Checked) -> None:
        if checked.stored is not None:
            response.stored.CopyFrom(checked.stored)
        check_fits(response, rows, checked.asked.max_bytes)

    async def _analysed(
        self,
        decode: Callable[[Any], Asked],
        request: Message,
        call: Call,
        keeping: Keeping | None = None,
    ) -> tuple[_Checked, results.Result, replies.Origin]:
        """From the request to the result; the rows of sets stay until that is there."""
        asked = await asyncio.to_thread(decode, request)
        async with self._sources.resolved(asked.sides, call) as sides:
            checked = self._checked(asked, sides)
            result, origin = await self._result(checked, call)
            if keeping is not None:
                assert isinstance(result, results.ClusterResult | results.ProjectResult)
                # What would not be answered is not stored.
                check_fits(
                    keeping.kind.answer(result, origin), sides["source"].rows, asked.max_bytes - STORED_BYTES
                )
                with call.stage("store"):
                    stored = await self.keep(keeping, result, origin, sides["source"])
                checked = replace(checked, stored=stored)
            return checked, result, origin

    def _checked(self, asked: Asked, sides: Sides) -> _Checked:
        """Refuse, before anything is embedded or computed, what cannot be done or is too large."""
        space_check = check_spaces(sides)
        shapes = array_shapes(sides, None if asked.labels is None else len(asked.labels))
        check(asked.call, shapes)
        if isinstance(asked.call, calls.Similarity):
            check_scores(asked.call, shapes, self._limits)
        check_reply(asked.call, shapes, asked.max_bytes)
        if not _stays_here(asked.call, shapes):
            check_cost(asked.call, cost(asked.call, shapes), self._limits)
        return _Checked(asked, sides, shapes, space_check)

    async def _result(self, checked: _Checked, call: Call) -> tuple[results.Result, replies.Origin]:
        """Embed what is text, then compute: here what is small, else in a worker."""
        asked = checked.asked
        here = isinstance(asked.call, calls.Similarity) and _stays_here(asked.call, checked.shapes)
        if not here:
            self._pool.check_admits()
        arrays, origin = await self._sources.arrays(checked.sides, call)
        with call.stage("analysis"):
            if isinstance(asked.call, calls.Similarity) and here:
                async with self._computing:
                    result: results.Result = await asyncio.to_thread(
                        small_similarity.compute, asked.call, arrays
                    )
                return result, origin
            labels = {} if asked.labels is None else {"labels": asked.labels}
            return await self._pool.run(asked.call, {**arrays, **labels}, deadline=call.deadline), origin


def _stays_here(call: calls.Call, shapes: calls.Shapes) -> bool:
    return isinstance(call, calls.Similarity) and small_similarity.is_small(call, shapes)
