"""Analysis of embeddings."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from penult.v1 import analysis_service_pb2 as pb
from penult.v1 import common_pb2

from penult_service.analysis.pool import WorkerPool
from penult_service.config import Limits
from penult_service.embedder import Embedder, LoadedModel
from penult_service.embedder.options import choose_readout, space_of
from penult_service.errors import InvalidInput, PreconditionFailed
from penult_service.repository.repository import Repository
from penult_service.rpc import replies
from penult_service.rpc.codec import Codec, SimilarityCall, TextSide, VectorSide, fields_under
from penult_service.rpc.handlers import Call
from penult_service.rpc.limits import check_rows_fit
from penult_service.vectors import FloatMatrix, similarity

_METRICS = {
    "cosine": pb.METRIC_COSINE,
    "dot": pb.METRIC_DOT,
    "euclidean": pb.METRIC_EUCLIDEAN,
    "manhattan": pb.METRIC_MANHATTAN,
}


@dataclass(frozen=True)
class _Side:
    """A side of which all is known but, for texts, the numbers themselves."""

    field: str
    asked: TextSide | VectorSide
    rows: int
    columns: int
    space: str
    model: LoadedModel | None


class AnalysisService:
    """`penult.v1.AnalysisService`."""

    def __init__(
        self,
        codec: Codec,
        limits: Limits,
        repository: Repository[LoadedModel],
        embedder: Embedder,
        pool: WorkerPool,
    ) -> None:
        self._codec, self._limits = codec, limits
        self._repository, self._embedder, self._pool = repository, embedder, pool
        # A matrix of the most scores takes memory and a core for seconds: the others wait their turn.
        self._computing = asyncio.Semaphore(1)

    async def compute_similarity(
        self, request: pb.ComputeSimilarityRequest, call: Call
    ) -> pb.ComputeSimilarityResponse:
        """A matrix of similarities or distances."""
        asked = self._codec.similarity(request)
        a = self._side(asked.a, "a", call)
        b = a if asked.b is None else self._side(asked.b, "b", call)
        check = self._checked(a, b, asked)
        x, origin = await self._matrix(a, call)
        y, other_origin = (x, origin) if b is a else await self._matrix(b, call)
        async with self._computing:
            scores = await asyncio.to_thread(similarity, x, y, asked.metric)
        with call.stage("reply"):
            return pb.ComputeSimilarityResponse(
                scores=replies.vectors(scores),
                metric=_METRICS[asked.metric],
                space_check=check,
                provenance=origin or other_origin,
            )

    async def search_neighbors(self, _: pb.SearchNeighborsRequest, __: Call) -> pb.SearchNeighborsResponse:
        """The nearest rows."""
        raise _off()

    async def cluster(self, _: pb.ClusterRequest, __: Call) -> pb.ClusterResponse:
        """Clusters."""
        raise _off()

    async def project(self, _: pb.ProjectRequest, __: Call) -> pb.ProjectResponse:
        """A map."""
        raise _off()

    def _side(self, asked: TextSide | VectorSide, field: str, call: Call) -> _Side:
        if isinstance(asked, VectorSide):
            rows, columns = asked.matrix.shape
            return _Side(field, asked, rows, columns, asked.space, None)
        model = self._repository.resolve(asked.reference, f"{field}.options.model")
        call.model = f"models/{model.name}/versions/{model.version}"
        call.texts += len(asked.texts)
        with fields_under(field):
            readout = choose_readout(model.manifest, asked.options)
        space = space_of(model.manifest, readout, asked.options).digest
        return _Side(field, asked, len(asked.texts), readout.dimension, space, model)

    def _checked(self, a: _Side, b: _Side, asked: SimilarityCall) -> pb.SpaceCheck:
        """Refuse, before anything is computed, what cannot be compared or is too large."""
        if a.space and b.space and a.space != b.space:
            raise PreconditionFailed(
                f"a stands in embedding space {a.space}, b in {b.space}: they cannot be compared; embed both"
                " with the same model, layer, pooling, normalisation and truncation",
                reason="SPACE_MISMATCH",
                field="b",
                metadata={"a": a.space, "b": b.space},
            )
        if a.columns != b.columns:
            raise InvalidInput(
                f"the rows of a have {a.columns} numbers, those of b {b.columns}; compare rows of one width",
                reason="DIMENSION_MISMATCH",
                field="b",
                metadata={"a": str(a.columns), "b": str(b.columns)},
            )
        if a.rows * b.rows > self._limits.max_scores:
            raise InvalidInput(
                f"{a.rows} by {b.rows} rows are {a.rows * b.rows} scores, one call gives"
                f" {self._limits.max_scores}; send at most {self._limits.max_scores // b.rows} rows of a at a time",
                reason="TOO_MANY_SCORES",
                field="a",
                metadata={"limit": str(self._limits.max_scores)},
            )
        check_rows_fit(a.rows, 4 * b.rows, asked.max_bytes)
        return pb.SPACE_CHECK_EQUAL if a.space and b.space else pb.SPACE_CHECK_UNCHECKED

    async def _matrix(self, side: _Side, call: Call) -> tuple[FloatMatrix, common_pb2.Provenance | None]:
        """The rows of a side, and where embedded ones came from."""
        if isinstance(side.asked, VectorSide):
            return side.asked.matrix, None
        assert side.model is not None
        with fields_under(side.field):
            result = await self._embedder.embed(
                side.model, side.asked.texts, side.asked.options, deadline=call.deadline
            )
            for error in result.row_errors.values():
                raise error
        call.tokens += int(result.token_counts.sum())
        origin = replies.embedding_provenance(side.model, result, side.asked.options)
        return result.vectors, origin


def _off() -> PreconditionFailed:
    return PreconditionFailed("this server has no analysis workers", reason="ANALYSIS_OFF")
