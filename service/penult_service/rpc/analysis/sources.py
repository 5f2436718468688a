"""The sides of an analysis: what they are, whether they can be compared, and their rows."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Any

from penult.v1 import analysis_service_pb2 as pb
from penult.v1 import common_pb2

from penult_service.analysis import calls
from penult_service.analysis.calls import Array, ArrayFile, Shapes
from penult_service.embedder import Embedder, EmbedOptions, Given, LoadedModel
from penult_service.embedder.options import choose_readout, space_of
from penult_service.errors import InvalidInput, NotFound, PenultError, PreconditionFailed
from penult_service.repository.names import Reference, parse_reference
from penult_service.repository.repository import Repository
from penult_service.rpc import replies
from penult_service.rpc.analysis.bases import Bases, Basis, StoredName, embedding_of, merged
from penult_service.rpc.analysis.dropout_plan import DropoutSide, Plan, planned
from penult_service.rpc.codec import fields_under
from penult_service.rpc.handlers import Call
from penult_service.rpc.stored import Stored
from penult_service.storage import Snapshot
from penult_service.vectors import FloatMatrix

OPTIONS = ("layer", "pooling", "normalize", "truncate")
"""Of `EmbedOptions`, and of the message."""


@dataclass(frozen=True)
class TextSide:
    """A side that has to be embedded first: texts, or records. `unsaid` are options that the request leaves open."""

    given: Given
    reference: Reference
    options: EmbedOptions
    unsaid: tuple[str, ...] = OPTIONS


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

    Of a set, `snapshot` has the rows; of texts with active dropout, `plan` says what is drawn; `embedding` says how the
    rows were or will be embedded, None of vectors.
    """

    asked: AskedSide
    rows: int
    columns: int
    space: str
    model: LoadedModel | None = None
    snapshot: Snapshot | None = None
    plan: Plan | None = None
    embedding: Mapping[str, Any] | None = None


Sides = Mapping[str, Side]


@dataclass(frozen=True, eq=False)
class Resolved:
    """The sides of an analysis, the stored map or clustering that it is about, and the kept graph of its source."""

    sides: Sides
    basis: Basis | None = None
    graph: Mapping[str, ArrayFile] = field(default_factory=dict)


class Sources:
    """Finds the models and sets of sides, and embeds their texts."""

    def __init__(
        self, repository: Repository[LoadedModel], embedder: Embedder, stored: Stored, bases: Bases
    ) -> None:
        self._repository, self._embedder = repository, embedder
        self._stored, self._bases = stored, bases

    @asynccontextmanager
    async def resolved(
        self,
        asked: AskedSides,
        call: Call,
        stored: StoredName | None = None,
        analysis: calls.Call | None = None,
    ) -> AsyncIterator[Resolved]:
        """The sides, with their shapes and spaces, and what is stored under that name for that analysis; nothing is
        computed. The rows of sets, and what is stored, stay until the block ends.

        Raises:
            NotFound, Unavailable, PreconditionFailed, DataDamaged: as the repository, `choose_readout`, the sets and
                `Bases.open` say; the model that made what is stored is not here (MODEL_GONE). InvalidInput: a set has
                no rows (EMPTY_INPUT).
        """
        async with AsyncExitStack() as stack:
            basis = None
            if stored is not None:
                assert analysis is not None
                basis = await self._bases.open(stored, analysis)
                stack.callback(self._stored.begin, basis.held.close)
            sides: dict[str, Side] = {}
            for field, side in asked.items():
                if isinstance(side, DatasetSide):
                    sides[field] = await self._of_set(side, field, stack)
                elif isinstance(side, DropoutSide):
                    sides[field] = self._with_dropout(side, call)
                else:
                    sides[field] = self._side(_as_made(side, basis, analysis), field, call, basis)
            yield Resolved(sides, basis)

    async def arrays(self, sides: Sides, call: Call) -> tuple[dict[str, Array], common_pb2.Provenance | None]:
        """The rows of each side (of a set, where they lie), and where embedded ones came from.

        Raises:
            PenultError: a text cannot be embedded; the field names it, such as ``a.texts[3]``.
            DataDamaged: the vectors of a set are not what was written.
        """
        found: dict[str, Array] = {}
        origin: common_pb2.Provenance | None = None
        for name, side in sides.items():
            if side.snapshot is not None:
                file = await self._stored.run(side.snapshot.vector_file)
                found[name] = ArrayFile(file.path, (file.rows, file.dimension))
            elif isinstance(side.asked, VectorSide):
                found[name] = side.asked.matrix
            elif isinstance(side.asked, TextSide):
                found[name], embedded = await self._embedded(name, side, side.asked, call)
                origin = origin or embedded
        return found, origin

    async def _of_set(self, asked: DatasetSide, field: str, stack: AsyncExitStack) -> Side:
        where = f"{field}.dataset"
        try:
            snapshot = await self._stored.snapshot(asked.name)
        except PenultError as error:
            error.field = where
            raise
        stack.callback(self._stored.begin, snapshot.close)
        if not snapshot.rows:
            raise InvalidInput(f"set {asked.name!r} has no rows yet", reason="EMPTY_INPUT", field=where)
        return Side(
            asked,
            snapshot.rows,
            snapshot.dimension,
            snapshot.embedding_space,
            snapshot=snapshot,
            embedding=snapshot.provenance.get("embedding"),
        )

    def _side(self, asked: TextSide | VectorSide, field: str, call: Call, basis: Basis | None) -> Side:
        if isinstance(asked, VectorSide):
            rows, columns = asked.matrix.shape
            return Side(asked, rows, columns, asked.space)
        model = self._model_of(asked, f"{field}.options.model", call, basis)
        with fields_under(field):
            readout = choose_readout(model.manifest, asked.options, row_a_text=True)
        space = space_of(model.manifest, readout, asked.options).digest
        options = asked.options.on(model.manifest)
        embedding = {
            "model": f"models/{model.name}/versions/{model.version}",
            "model_digest": model.manifest.model_digest,
            "layer": readout.layer,
            **{name: getattr(options, name) for name in OPTIONS[1:]},
        }
        return Side(asked, len(asked.given), readout.dimension, space, model, embedding=embedding)

    def _with_dropout(self, asked: DropoutSide, call: Call) -> Side:
        model = self._model(asked, "model", call)
        plan = planned(model.manifest, asked)
        return Side(asked, len(asked.given), plan.columns, plan.space, model, plan=plan)

    def _model_of(self, asked: TextSide, field: str, call: Call, basis: Basis | None) -> LoadedModel:
        """The same, where it may be the one that made what is stored."""
        embedding = None if basis is None else embedding_of(basis.info)
        if basis is None or embedding is None or asked.reference != _reference(embedding):
            return self._model(asked, field, call)
        try:
            model = self._model(asked, field, call)
        except NotFound:
            raise _gone(basis, embedding, "is not here") from None
        if embedding["model_digest"] not in ("", model.manifest.model_digest):
            raise _gone(basis, embedding, "is another model now (its files have changed)")
        return model

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


def check_spaces(sides: Sides, basis: Basis | None = None) -> pb.SpaceCheck:
    """Whether all sides, and what is stored, are known to stand in one space.

    Raises:
        PreconditionFailed: they are known not to (SPACE_MISMATCH).
    """
    spaces = {} if basis is None else {basis.asked.field: basis.space}
    spaces |= {field: side.space for field, side in sides.items()}
    known = {field: space for field, space in spaces.items() if space}
    if len(set(known.values())) > 1:
        (first, one), *others = known.items()
        second, other = next((field, space) for field, space in others if space != one)
        raise PreconditionFailed(
            f"{first} stands in embedding space {one}, {second} in {other}: they cannot be compared; embed both"
            " with the same model, layer, pooling, normalisation and truncation",
            reason="SPACE_MISMATCH",
            field=second,
            metadata=known,
        )
    return pb.SPACE_CHECK_EQUAL if len(known) == len(spaces) else pb.SPACE_CHECK_UNCHECKED


def _as_made(
    side: TextSide | VectorSide, basis: Basis | None, analysis: calls.Call | None
) -> TextSide | VectorSide:
    """Texts that shall be embedded as what is stored was, where the request leaves that open."""
    if basis is None or isinstance(side, VectorSide) or isinstance(analysis, calls.Project):
        return side
    embedding = embedding_of(basis.info)
    if embedding is None:
        return side
    reference = side.reference
    if reference == Reference():
        reference = _reference(embedding)
    return replace(side, reference=reference, options=merged(side.options, side.unsaid, embedding))


def _gone(basis: Basis, embedding: Mapping[str, Any], why: str) -> PreconditionFailed:
    return PreconditionFailed(
        f"{basis.asked.field} {basis.info.name!r} was made of rows that {embedding['model']} embedded, which {why}:"
        f" serve the version with model_digest {embedding['model_digest'][:16]}…, or send vectors of it",
        reason="MODEL_GONE",
        field="source.options.model",
        metadata={"model": embedding["model"], "model_digest": embedding["model_digest"]},
    )


def _reference(embedding: Mapping[str, Any]) -> Reference:
    return parse_reference(embedding["model"], "options.model")
