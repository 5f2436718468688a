"""The rows of a comparison: embeddings, and draws of each scope, block by block into files; and what inference does."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, replace
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray
from penult.v1 import common_pb2

from penult_service.analysis.calls import Array
from penult_service.analysis.results import Adjustment
from penult_service.analysis.workers.pool import WorkerPool
from penult_service.embedder import Embedder, Given, LoadedModel, Records, SampleResult
from penult_service.embedder.given import place_of
from penult_service.embedder.passes import class_probabilities
from penult_service.errors import PenultError, PreconditionFailed
from penult_service.prepared import Figure, Head
from penult_service.rpc import replies
from penult_service.rpc.analysis.dropout_plan import DropoutSide, Plan, Scope

# Rows times samples that are drawn at a time: seconds of an encoder, so that a cancel ends it.
_BLOCK = 4_096
# Rows that inference is looked at with: the saved function reads every text at full length.
_INFERENCE_ROWS = 64
_PROVEN = ("embedding_vs_before_dropout", "before_vs_after_dropout")
_TOLERANCE = 1e-5  # of |d| / (1 + |x|), as in the proof

Value = TypeVar("Value")
Work = Callable[[], Awaitable[Any]]


@dataclass(frozen=True)
class Way:
    """How a caller goes along.

    `tell` is told a stage, how much of it is done, and of how much. `ask` is given every part of the work, to be done
    at once, and again when there was no room for it.
    """

    tell: Callable[[str, int, int], None] = lambda _stage, _done, _total: None
    ask: Callable[[Work], Awaitable[Any]] = lambda work: work()


@dataclass(frozen=True, eq=False)
class DropoutOrigin:
    """What is known of a comparison before it is computed.

    `predicted` int32 [n], empty of no classifier. The others are as in CompareDropoutResponse.
    """

    provenance: common_pb2.Provenance
    scopes: tuple[Scope, ...]
    inference: tuple[Figure, ...]
    predicted: NDArray[np.int32]
    labels: tuple[str, ...]
    left_out: tuple[Adjustment, ...]


class DropoutSampling:
    """Draws."""

    def __init__(self, embedder: Embedder, pool: WorkerPool) -> None:
        self._embedder, self._pool = embedder, pool

    @asynccontextmanager
    async def arrays(
        self, model: LoadedModel, asked: DropoutSide, plan: Plan, way: Way, deadline: float | None
    ) -> AsyncIterator[tuple[dict[str, Array], DropoutOrigin]]:
        """The arrays of `calls.CompareDropout`, those of float32 in files until the block ends, and what is known.

        Raises:
            PenultError: as of `Embedder.sample`; a row that cannot be embedded is named.
        """
        head = model.manifest.head
        inference = await self._inference(model, asked, plan, way, deadline)
        arrays: dict[str, Array] = {}
        async with self._pool.growing() as files:
            done, total = 0, len(plan.scopes) * len(asked.given)
            outputs: list[NDArray[np.float32]] = []
            for number, scope in enumerate(plan.scopes):
                changed: list[NDArray[np.int32]] = []
                async for block in self._blocks(model, asked.given, scope, way, (done, total), deadline):
                    if number == 0:
                        await files.append("source", _present(block.clean_embeddings))
                        outputs.append(block.clean)
                    await files.append(f"draws_{scope.name}", _present(block.embeddings))
                    changed.append(_changed(block, head.kind))
                done += len(asked.given)
                if plan.classes:
                    arrays[f"predicted_{scope.name}"] = np.concatenate(changed)
            predicted = np.concatenate(outputs).argmax(axis=1).astype(np.int32)
            if plan.classes:
                arrays["predicted"] = np.zeros(len(predicted), np.int32)
            origin = DropoutOrigin(
                provenance=_provenance(model, plan),
                scopes=plan.scopes,
                inference=inference,
                predicted=predicted if plan.classes else np.empty(0, np.int32),
                labels=head.labels if plan.classes else (),
                left_out=plan.left_out,
            )
            yield {**files.arrays, **arrays}, origin

    async def _blocks(
        self,
        model: LoadedModel,
        given: Given,
        scope: Scope,
        way: Way,
        progress: tuple[int, int],
        deadline: float | None,
    ) -> AsyncIterator[SampleResult]:
        """Some rows at a time, in order."""
        step = max(1, _BLOCK // scope.options.samples)
        done, total = progress
        for start in range(0, len(given), step):
            part = _part(given, start, start + step)

            def draw(part: Given = part, start: int = start) -> Awaitable[SampleResult]:
                way.tell("sampling", done + start, total)
                return self._embedder.sample(
                    model, part, scope.options, first_row=start, embeddings=True, deadline=deadline
                )

            with _counted_from(part, start):
                block: SampleResult = await way.ask(draw)
                for error in block.row_errors.values():
                    raise error
            yield block
        way.tell("sampling", done + len(given), total)

    async def _inference(
        self, model: LoadedModel, asked: DropoutSide, plan: Plan, way: Way, deadline: float | None
    ) -> tuple[Figure, ...]:
        """The proof's figures on the dropout, and what some of these rows say: without dropout all ways are one."""
        proof = model.manifest.proof.figures
        figures = [figure for name in _PROVEN for figure in proof if figure.name == name]
        few = _part(asked.given, 0, _INFERENCE_ROWS)
        nothing = replace(plan.scopes[-1].options, rate=0.0, samples=1)

        def draw() -> Awaitable[SampleResult]:
            way.tell("embedding", 0, 0)
            return self._embedder.sample(model, few, nothing, embeddings=True, deadline=deadline)

        drawn: SampleResult = await way.ask(draw)
        for error in drawn.row_errors.values():
            raise error
        with suppress(PreconditionFailed):  # of a model whose outputs are not one row a text
            saved = await way.ask(lambda: self._embedder.predict(model, few, deadline=deadline))
            head = model.manifest.head
            figures.append(_against_saved(drawn, saved[head.output], head, len(few)))
        sides = (
            (drawn.outputs[:, 0], drawn.clean),
            (_present(drawn.embeddings)[:, 0], _present(drawn.clean_embeddings)),
        )
        figures.append(
            Figure(
                "rate_0_vs_inference",
                f"dropout put back at rate 0 against the answer without it, of {_counted(len(few))}, |d| / (1 + |x|)"
                " (bitwise equal is 0)",
                max(_relative(a, b) for a, b in sides),
                _TOLERANCE,
            )
        )
        return tuple(figures)


def _against_saved(drawn: SampleResult, saved: NDArray[Any], head: Head, rows: int) -> Figure:
    return Figure(
        "head_vs_saved_function",
        f"head(embedding) against the whole saved function, of {_counted(rows)}, |d| / (1 + |x|)",
        _relative(drawn.clean, class_probabilities(head, saved)),
        _TOLERANCE,
    )


def _relative(a: NDArray[np.float32], b: NDArray[np.float32]) -> float:
    x, y = a.astype(np.float64), b.astype(np.float64)
    return float((np.abs(x - y) / (1 + np.abs(y))).max(initial=0.0))


def _changed(block: SampleResult, kind: str) -> NDArray[np.int32]:
    """Whether each sample has another class than the clean row, of several labels another set: int32 [n, samples]."""
    if kind == "multilabel":
        changed = ((block.outputs >= 0.5) != (block.clean >= 0.5)[:, None]).any(axis=2)
    else:
        changed = block.outputs.argmax(axis=2) != block.clean.argmax(axis=1)[:, None]
    return changed.astype(np.int32)


def _provenance(model: LoadedModel, plan: Plan) -> common_pb2.Provenance:
    message = replies.provenance(model)
    message.embedding_space, message.layer = plan.space, plan.layer
    message.pooling = common_pb2.POOLING_POOLED
    return message


def _part(given: Given, start: int, stop: int) -> Given:
    if isinstance(given, Records):
        return Records(given.rows[start:stop])
    assert not isinstance(given, dict)
    return given[start:stop]  # type: ignore[index]


@contextmanager
def _counted_from(part: Given, start: int) -> Any:
    """Errors from within name the row as the caller counts it: row 3 of a part from 100 on is ``texts[103]``."""
    try:
        yield
    except PenultError as error:
        for row in range(len(part)):
            old, new = place_of(part, row).field, place_of(part, row + start).field
            if error.field == old or error.field.startswith(f"{old}."):
                moved = error.field.replace(old, new, 1)
                error.message = error.message.replace(error.field, moved, 1)
                error.field, error.args = moved, (error.message,)
                if "row" in error.metadata:
                    error.metadata = {**error.metadata, "row": str(row + start)}
                break
        raise


def _present(array: NDArray[np.float32] | None) -> NDArray[np.float32]:
    assert array is not None
    return array


def _counted(rows: int) -> str:
    return f"{rows} of these texts" if rows == _INFERENCE_ROWS else f"these {rows} texts"
