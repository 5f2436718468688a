"""What every analysis goes through, whether a call waits for it or an operation: decoded, checked, computed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace

from google.protobuf.message import Message
from penult.v1 import analysis_service_pb2 as pb

from penult_service.analysis import calls, results
from penult_service.analysis.checks import check
from penult_service.analysis.costs import cost
from penult_service.analysis.progress import Listener
from penult_service.analysis.workers.pool import WorkerPool
from penult_service.config import Limits
from penult_service.operations import EMBEDDING
from penult_service.rpc.analysis import replies, small_similarity
from penult_service.rpc.analysis.bases import Basis
from penult_service.rpc.analysis.codec import AnalysisCodec, Asked
from penult_service.rpc.analysis.dropout_plan import DropoutSide, settled
from penult_service.rpc.analysis.dropout_sampling import DropoutSampling, Way
from penult_service.rpc.analysis.kept_graphs import KeptGraphs
from penult_service.rpc.analysis.kinds import CLUSTERINGS, PROJECTIONS, Kind
from penult_service.rpc.analysis.limits import (
    check_cost,
    check_memory,
    check_reply,
    check_result,
    check_scores,
    is_short,
)
from penult_service.rpc.analysis.row_texts import texts_of
from penult_service.rpc.analysis.sources import (
    Resolved,
    Side,
    Sides,
    Sources,
    TextSide,
    array_shapes,
    check_spaces,
)
from penult_service.rpc.analysis.ways_out import ways_out
from penult_service.rpc.handlers import Call
from penult_service.rpc.stored import Stored


@dataclass(frozen=True)
class Analysis:
    """An analysis on the wire.

    Attributes:
        name: As `Call.name`.
        field: Its field in StartAnalysisRequest and ReadResultResponse.
        side: The side whose rows its result has.
        kind: What its result can be stored as.
    """

    name: str
    field: str
    side: str
    kind: Kind | None = None


SIMILARITY = Analysis("similarity", "compute_similarity", "a")
NEIGHBORS = Analysis("neighbors", "search_neighbors", "queries")
CLUSTER = Analysis("cluster", "cluster", "source", CLUSTERINGS)
PROJECT = Analysis("project", "project", "source", PROJECTIONS)
COMPARE_DROPOUT = Analysis("compare_dropout", "compare_dropout", "source")
DUPLICATES = Analysis("duplicates", "find_duplicates", "source")
OUTLIERS = Analysis("outliers", "find_outliers", "source")
TRANSFORM = Analysis("transform", "transform", "source")
ASSIGN = Analysis("assign", "assign_clusters", "source")
GROW = Analysis("grow", "grow_clustering", "source")
ALL = (
    SIMILARITY,
    NEIGHBORS,
    CLUSTER,
    PROJECT,
    COMPARE_DROPOUT,
    DUPLICATES,
    OUTLIERS,
    TRANSFORM,
    ASSIGN,
    GROW,
)
BY_FIELD = {each.field: each for each in ALL}
BY_NAME = {each.name: each for each in BY_FIELD.values()}


@dataclass(frozen=True, eq=False)
class Checked:
    """A request that can be done. `here`: in this process, because it is small.

    `files` are arrays that lie somewhere already: of what is stored (`basis`), and the graph of a set. `cost` is that
    of the analysis; `encode_seconds` what the model takes at most where that is more than a pass, at a guess.
    """

    asked: Asked
    sides: Sides
    shapes: calls.Shapes
    space_check: pb.SpaceCheck
    cost: calls.Cost
    here: bool
    encode_seconds: float = 0.0
    basis: Basis | None = None
    files: Mapping[str, calls.ArrayFile] = field(default_factory=dict)

    def about(self, origin: replies.Known) -> replies.About:
        """What the reply says beside what is computed."""
        stored, names = None, None
        if self.basis is not None and not isinstance(self.asked.call, calls.Project):
            kind = PROJECTIONS if self.basis.asked.plural == PROJECTIONS.plural else CLUSTERINGS
            stored = kind.told(self.basis.info)
            names = {int(label): name for label, name in self.basis.info.facts.get("names", {}).items()}
        return replies.About(
            origin, self.asked.call.metric, self.space_check, self.asked.label_names, stored, names
        )


class Analyses:
    """Decodes, checks and computes."""

    def __init__(
        self,
        codec: AnalysisCodec,
        limits: Limits,
        sources: Sources,
        sampling: DropoutSampling,
        pool: WorkerPool,
        stored: Stored,
    ) -> None:
        self._limits, self._sources, self._sampling, self._pool = limits, sources, sampling, pool
        self._stored, self._graphs = stored, KeptGraphs(stored)
        self._decoders = {
            SIMILARITY: codec.similarity,
            NEIGHBORS: codec.neighbors,
            CLUSTER: codec.cluster,
            PROJECT: codec.project,
            COMPARE_DROPOUT: codec.compare_dropout,
            DUPLICATES: codec.duplicates,
            OUTLIERS: codec.outliers,
            TRANSFORM: codec.transform,
            ASSIGN: codec.assign,
            GROW: codec.grow,
        }
        # A matrix takes memory and a core: the others wait their turn.
        self._computing = asyncio.Semaphore(1)

    async def asked(self, analysis: Analysis, request: Message) -> Asked:
        """What is asked for. Raises InvalidInput."""
        return await asyncio.to_thread(self._decoders[analysis], request)  # type: ignore[arg-type]

    @asynccontextmanager
    async def resolved(self, asked: Asked, call: Call) -> AsyncIterator[Resolved]:
        """The sides and what is stored, as of `Sources.resolved`, and the graph that is kept of the source."""
        async with self._sources.resolved(asked.sides, call, asked.stored, asked.call) as found:
            graph = await self._graphs.find(asked.call, found.sides)
            yield replace(found, graph=graph)

    def check(self, asked: Asked, found: Resolved) -> Checked:
        """Refuse, before anything is embedded or computed, what cannot be done."""
        sides, basis = found.sides, found.basis
        placed = basis is not None and not isinstance(asked.call, calls.Project)
        space_check = check_spaces(sides, basis if placed else None)
        labels, files = None if asked.labels is None else len(asked.labels), dict(found.graph)
        if basis is not None:
            basis.check_rows(sides["source"].rows, sides["source"].columns)
            asked, files = replace(asked, call=basis.call(asked.call)), {**files, **basis.files}
        if not found.graph:
            asked = replace(asked, call=self._graphs.asked(asked.call, sides))
        if isinstance(asked.call, calls.CompareDropout):
            asked, shapes, more = _with_dropout(asked, sides["source"], labels)
        else:
            shapes, more = array_shapes(sides, labels), 0.0
        shapes = {**shapes, **{name: file.shape for name, file in files.items()}}
        check(asked.call, shapes)
        here = isinstance(asked.call, calls.Similarity) and small_similarity.is_small(asked.call, shapes)
        estimate = cost(asked.call, shapes, self._pool.speeds)
        return Checked(asked, sides, shapes, space_check, estimate, here, more, basis, files)

    def check_for_call(self, checked: Checked) -> None:
        """Refuse what is too large for a call that waits for it, or for any worker."""
        asked = checked.asked
        if isinstance(asked.call, calls.Similarity):
            check_scores(asked.call, checked.shapes, self._limits)
        check_reply(asked.call, checked.shapes, asked.max_bytes)
        if not checked.here:
            seconds = checked.cost.seconds + checked.encode_seconds
            self._check_memory(asked.call, checked.cost, checked.shapes)
            check_cost(asked.call, replace(checked.cost, seconds=seconds), self._limits)

    def check_for_operation(self, checked: Checked) -> None:
        """Refuse what no worker has the memory for, and results that nobody should hold."""
        check_result(checked.asked.call, checked.shapes, self._limits)
        self._check_memory(checked.asked.call, checked.cost, checked.shapes)

    def _check_memory(self, call: calls.Call, estimate: calls.Cost, shapes: calls.Shapes) -> None:
        check_memory(
            call,
            estimate,
            self._pool.memory_limit,
            self._pool.idle_bytes,
            lambda room: ways_out(call, shapes, room),
        )

    def is_short(self, checked: Checked) -> bool:
        """Whether a call may wait for it, as far as time and memory go."""
        return checked.here or is_short(checked.cost, self._limits)

    @asynccontextmanager
    async def arrays(
        self, checked: Checked, call: Call, *, apart: bool = False, way: Way | None = None
    ) -> AsyncIterator[tuple[dict[str, calls.Array], replies.Known]]:
        """The rows of the sides, embedded where they are texts, and the labels; where the rows came from.

        Nothing is embedded for what `compute` would refuse (`apart`: as there). What lies in files stays there until
        the block ends.
        """
        way, source = way or Way(), checked.sides.get("source")
        if source is not None and isinstance(source.asked, DropoutSide):
            assert source.model is not None
            assert source.plan is not None
            await way.ask(lambda: self._admitted(checked, apart=apart))
            async with self._sampling.arrays(source.model, source.asked, source.plan, way, call) as found:
                yield found
            return

        async def embedded() -> tuple[dict[str, calls.Array], replies.Known]:
            if any(isinstance(side.asked, TextSide) for side in checked.sides.values()):
                way.tell(EMBEDDING, 0, 0)
            await self._admitted(checked, apart=apart)
            return await self._sources.arrays(checked.sides, call)

        arrays, origin = await way.ask(embedded)
        arrays |= checked.files
        if checked.asked.labels is not None:
            arrays["labels"] = checked.asked.labels
        async with texts_of(checked.asked.call, source, self._stored, self._pool) as texts:
            yield {**arrays, **texts}, origin

    async def _admitted(self, checked: Checked, *, apart: bool) -> None:
        if not checked.here:
            self._pool.check_admits(apart=apart)

    async def compute(
        self,
        checked: Checked,
        arrays: Mapping[str, calls.Array],
        *,
        deadline: float | None,
        progress: Listener | None = None,
        apart: bool = False,
    ) -> results.Result:
        """The result: here what is small, else in a worker. Arguments and errors as of `WorkerPool.run`."""
        asked = checked.asked.call
        if checked.here:
            assert isinstance(asked, calls.Similarity)
            async with self._computing:
                return await asyncio.to_thread(small_similarity.compute, asked, arrays)
        result = await self._pool.run(asked, arrays, deadline=deadline, progress=progress, apart=apart)
        await self._graphs.keep(asked, checked.sides, result)
        return result

    async def run(
        self, call: calls.Call, arrays: Mapping[str, calls.Array], *, deadline: float | None
    ) -> results.Result:
        """The result of a call on what is stored alone. Raises as `check_for_operation` and `compute`."""
        shapes = {name: array.shape for name, array in arrays.items()}
        self._check_memory(call, cost(call, shapes, self._pool.speeds), shapes)
        return await self._pool.run(call, arrays, deadline=deadline)


def _with_dropout(asked: Asked, side: Side, labels: int | None) -> tuple[Asked, calls.Shapes, float]:
    """What is asked as the model has it, its shapes, and the seconds of the encoder."""
    assert isinstance(asked.call, calls.CompareDropout)
    assert isinstance(side.asked, DropoutSide)
    assert side.plan is not None
    distinct = 0 if asked.labels is None else int(asked.labels.max()) + 1
    call, shapes = settled(asked.call, side.rows, side.plan, side.asked.options.samples, distinct)
    if labels is not None:
        shapes = {**shapes, "labels": (labels,)}
    return replace(asked, call=call), shapes, side.plan.encode_seconds
