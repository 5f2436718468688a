"""The sides of an analysis: what they are, whether they can be compared, and their rows."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass

from penult.v1 import analysis_service_pb2 as pb
from penult.v1 import common_pb2

from penult_service.analysis.calls import Array, ArrayFile, Shapes
from penult_service.embedder import Embedder, EmbedOptions, Given, LoadedModel
from penult_service.embedder.options import choose_readout, space_of
from penult_service.errors import InvalidInput, PenultError, PreconditionFailed
from penult_service.repository.names import Reference
from penult_service.repository.repository import Repository
from penult_service.rpc import replies
from penult_service.rpc.analysis.dropout_plan import DropoutSide, Plan, planned
from penult_service.rpc.codec import fields_under
from penult_service.rpc.handlers import Call
from penult_service.rpc.stored import Stored
from penult_service.storage import Snapshot
from penult_service.vectors import FloatMatrix


@dataclass(frozen=True)
class TextSide:
    """A side that has to be embedded first: texts, or records."""

    given: Given
    reference: Reference
    options: EmbedOptions


@dataclass(frozen=True, eq=False)
class VectorSide:
    """A side that is there: float32 [rows, columns], in memory or in a file; `space` is empty when not known."""

    matrix: FloatMatrix | ArrayFile
    space: str


@dataclass(frozen=True)
class DatasetSide:
    """A side that is a set, by its name."""

    name: str


AskedSide = TextSide | VectorSide | DatasetSide | DropoutSide
AskedSides = Mapping[str, AskedSide]
"""The sides by the names of their fields, which are those of the arrays of `analysis.calls` too."""


@dataclass(frozen=True, eq=False)
class Side:
    """A side of which all is known but, for texts, the numbers themselves.

    Of a set, `snapshot` has the rows; of texts with active dropout, `plan` says what is drawn.
    """

    asked: AskedSide
    rows: int
    columns: int
    space: str
    model: LoadedModel | None = None
    snapshot: Snapshot | None = None
    plan: Plan | None = None


Sides = Mapping[str, Side]


class Sources:
    """Finds the models and sets of sides, and embeds their texts."""

    def __init__(self, repository: Repository[LoadedModel], embedder: Embedder, stored: Stored) -> None:
        self._repository, self._embedder, self._stored = repository, embedder, stored

    @asynccontextmanager
    async def resolved(self, asked: AskedSides, call: Call) -> AsyncIterator[dict[str, Side]]:
        """The sides, with their shapes and spaces; nothing is computed. The rows of sets stay until the block ends.

        Raises:
            NotFound, Unavailable, PreconditionFailed, DataDamaged: as the repository, `choose_readout` and the sets
                say. InvalidInput: a set has no rows (EMPTY_INPUT).
        """
        snapshots: list[Snapshot] = []
        try:
            sides: dict[str, Side] = {}
            for field, side in asked.items():
                if isinstance(side, DatasetSide):
                    sides[field] = await self._of_set(side, field, snapshots)
                elif isinstance(side, DropoutSide):
                    sides[field] = self._with_dropout(side, call)
                else:
                    sides[field] = self._side(side, field, call)
            yield sides
        finally:
            for snapshot in snapshots:
                self._stored.begin(snapshot.close)

    async def arrays(self, sides: Sides, call: Call) -> tuple[dict[str, Array], common_pb2.Provenance | None]:
        """The rows of each side (of a set, where they lie), and where embedded ones came from.

        Raises:
            PenultError: a text cannot be embedded; the field names it, such as ``a.texts[3]``.
            DataDamaged: the vectors of a set are not what was written.
        """
        found: dict[str, Array] = {}
        origin: common_pb2.Provenance | None = None
        for field, side in sides.items():
            if side.snapshot is not None:
                file = await self._stored.run(side.snapshot.vector_file)
                found[field] = ArrayFile(file.path, (file.rows, file.dimension))
            elif isinstance(side.asked, VectorSide):
                found[field] = side.asked.matrix
            elif isinstance(side.asked, TextSide):
                found[field], embedded = await self._embedded(field, side, side.asked, call)
                origin = origin or embedded
        return found, origin

    async def _of_set(self, asked: DatasetSide, field: str, snapshots: list[Snapshot]) -> Side:
        where = f"{field}.dataset"
        try:
            snapshot = await self._stored.snapshot(asked.name)
        except PenultError as error:
            error.field = where
            raise
        snapshots.append(snapshot)
        if not snapshot.rows:
            raise InvalidInput(f"set {asked.name!r} has no rows yet", reason="EMPTY_INPUT", field=where)
        return Side(asked, snapshot.rows, snapshot.dimension, snapshot.embedding_space, snapshot=snapshot)

    def _side(self, asked: TextSide | VectorSide, field: str, call: Call) -> Side:
        if isinstance(asked, VectorSide):
            rows, columns = asked.matrix.shape
            return Side(asked, rows, columns, asked.space)
        model = self._model(asked, f"{field}.options.model", call)
        with fields_under(field):
            readout = choose_readout(model.manifest, asked.options, row_a_text=True)
        space = space_of(model.manifest, readout, asked.options).digest
        return Side(asked, len(asked.given), readout.dimension, space, model)

    def _with_dropout(self, asked: DropoutSide, call: Call) -> Side:
        model = self._model(asked, "model", call)
        plan = planned(model.manifest, asked)
        return Side(asked, len(asked.given), plan.columns, plan.space, model, plan=plan)

    def _model(self, asked: TextSide | DropoutSide, field: str, call: Call) -> LoadedModel:
        model = self._repository.resolve(asked.reference, field)
        call.model = f"models/{model.name}/versions/{model.version}"
        call.texts += len(asked.given)
        return model

    async def _embedded(
        self, field: str, side: Side, asked: TextSide, call: Call
    ) -> tuple[FloatMatrix, common_pb2.Provenance]:
        assert side.model is not None
        with fields_under(field):
            result = await self._embedder.embed(
                side.model, asked.given, asked.options, deadline=call.deadline
            )
            for error in result.row_errors.values():
                raise error
        call.tokens += int(result.token_counts.sum())
        return result.vectors, replies.embedding_provenance(side.model, result, asked.options)


def shapes_of(sides: Sides) -> dict[str, tuple[int, ...]]:
    """The shapes of the arrays that the sides are or will be."""
    return {field: (side.rows, side.columns) for field, side in sides.items()}


def array_shapes(sides: Sides, labels: int | None) -> Shapes:
    """The same, with that of the labels."""
    return shapes_of(sides) if labels is None else {**shapes_of(sides), "labels": (labels,)}


def check_spaces(sides: Sides) -> pb.SpaceCheck:
    """Whether all sides are known to stand in one space.

    Raises:
        PreconditionFailed: they are known not to (SPACE_MISMATCH).
    """
    spaces = {field: side.space for field, side in sides.items()}
    known = {field: space for field, space in spaces.items() if space}
    if len(set(known.values())) > 1:
        (first, one), (second, other) = known.items()
        raise PreconditionFailed(
            f"{first} stands in embedding space {one}, {second} in {other}: they cannot be compared; embed both"
            " with the same model, layer, pooling, normalisation and truncation",
            reason="SPACE_MISMATCH",
            field=second,
            metadata=known,
        )
    return pb.SPACE_CHECK_EQUAL if len(known) == len(spaces) else pb.SPACE_CHECK_UNCHECKED
