"""The rows of a comparison: embeddings, and draws of each scope, block by block into files; and what inference does."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
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
from penult_service.embedder.uncertainty import CLASSIFIERS
from penult_service.errors import PenultError, PreconditionFailed
from penult_service.prepared import Figure, Head
from penult_service.rpc import replies
from penult_service.rpc.analysis.dropout_plan import DropoutSide, Plan, Scope
from penult_service.rpc.handlers import Call

# Rows times samples that are drawn at a time: seconds of an encoder, so that a cancel ends it.
_BLOCK = 4_096
# The same where each is a pass of the encoder: some seconds, after which the caller is told how far it is.
_PASSES = 1_024
# Rows that inference is looked at with: the saved function reads every text at full length.
_INFERENCE_ROWS = 64
_PROVEN = ("embedding_vs_before_dropout", "before_vs_after_dropout")
_THERE = 0.5  # the probability of a label that is there
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

    `predicted` int32 [n], empty of no classifier. `accuracies` are those without dropout and of each scope, none where
    the labels name no classes. The others are as in CompareDropoutResponse.
    """

    provenance: common_pb2.Provenance
    scopes: tuple[Scope, ...]
    inference: tuple[Figure, ...]
    predicted: NDArray[np.int32]
    labels: tuple[str, ...]
    left_out: tuple[Adjustment, ...]
    accuracies: tuple[float, ...] = ()


class DropoutSampling:
    """Draws."""

    def __init__(self, embedder: Embedder, pool: WorkerPool) -> None:
        self._embedder, self._pool = embedder, pool

    @asynccontextmanager
    async def arrays(
        self, model: LoadedModel, asked: DropoutSide, plan: Plan, way: Way, call: Call
    ) -> AsyncIterator[tuple[dict[str, Array], DropoutOrigin]]:
        """The arrays of `calls.CompareDropout`, those of float32 in files until the block ends, and what is known.

        Raises:
            PenultError: as of `Embedder.sample`; a row that cannot be embedded is named.
        """
        inference = await self._inference(model, asked, plan, way, call)
        classes, rows = _Classes(model.manifest.head, asked.labels), len(asked.given)
        # In passes of the encoder, of which the samples of a head take one a row.
        passes = [scope.options.samples if scope.inside else 1 for scope in plan.scopes]
        total = rows * sum(passes)
        async with self._pool.growing() as files:
            for number, scope in enumerate(plan.scopes):
                most = (_PASSES if scope.inside else _BLOCK) // scope.options.samples
                step = max(1, min(most, self._embedder.rows_at_once(model)))
                for start in range(0, rows, step):
                    part = _part(asked.given, start, start + step)
                    done = rows * sum(passes[:number]) + start * passes[number]
                    block = await self._block(model, part, scope, start, (done, total), way, call)
                    if number == 0:
                        await files.append("source", _present(block.clean_embeddings))
                    await files.append(f"draws_{scope.name}", _present(block.embeddings))
                    classes.add(scope.name, block)
            way.tell("sampling", total, total)
            origin = DropoutOrigin(
                provenance=_provenance(model, plan),
                scopes=plan.scopes,
                inference=inference,
                predicted=classes.predicted(plan.scopes[0].name),
                labels=classes.labels,
                left_out=plan.left_out,
                accuracies=classes.accuracies(),
            )
            yield {**files.arrays, **classes.arrays()}, origin

    async def _block(
        self,
        model: LoadedModel,
        part: Given,
        scope: Scope,
        start: int,
        progress: tuple[int, int],
        way: Way,
        call: Call,
    ) -> SampleResult:
        """Some rows, from number `start` on; `progress` is how many passes were made before, of how many."""

        def draw() -> Awaitable[SampleResult]:
            way.tell("sampling", *progress)
            return self._embedder.sample(
                model, part, scope.options, first_row=start, embeddings=True, deadline=call.deadline
            )

        with _counted_from(part, start):
            block: SampleResult = await way.ask(draw)
            for error in block.row_errors.values():
                raise error
        call.tokens += int(block.token_counts.sum()) * (1 + scope.options.samples * scope.inside)
        return block

    async def _inference(
        self, model: LoadedModel, asked: DropoutSide, plan: Plan, way: Way, call: Call
    ) -> tuple[Figure, ...]:
        """The proof's figures on the dropout, and what some of these rows say: without dropout all ways are one."""
        proof = model.manifest.proof.figures
        figures = [figure for name in _PROVEN for figure in proof if figure.name == name]
        few = _part(asked.given, 0, min(_INFERENCE_ROWS, self._embedder.rows_at_once(model)))
        which = _counted(len(few), len(asked.given))
        nothing = replace(plan.scopes[-1].options, rate=0.0, samples=1)

        def draw() -> Awaitable[SampleResult]:
            way.tell("embedding", 0, 0)
            return self._embedder.sample(model, few, nothing, embeddings=True, deadline=call.deadline)

        drawn: SampleResult = await way.ask(draw)
        for error in drawn.row_errors.values():
            raise error
        with suppress(PreconditionFailed):  # of a model whose outputs are not one row a text
            saved = await way.ask(lambda: self._embedder.predict(model, few, deadline=call.deadline))
            head = model.manifest.head
            figures.append(_against_saved(drawn, saved[head.output], head, which))
        sides = (
            (drawn.outputs[:, 0], drawn.clean),
            (_present(drawn.embeddings)[:, 0], _present(drawn.clean_embeddings)),
        )
        figures.append(
            Figure(
                "rate_0_vs_inference",
                f"dropout put back at rate 0 against the answer without it, of {which}, |d| / (1 + |x|)"
                " (bitwise equal is 0)",
                max(_relative(a, b) for a, b in sides),
                _TOLERANCE,
            )
        )
        return tuple(figures)


def _against_saved(drawn: SampleResult, saved: NDArray[Any], head: Head, which: str) -> Figure:
    return Figure(
        "head_vs_saved_function",
        f"head(embedding) against the whole saved function, of {which}, |d| / (1 + |x|)",
        _relative(drawn.clean, class_probabilities(head, saved)),
        _TOLERANCE,
    )


def _relative(a: NDArray[np.float32], b: NDArray[np.float32]) -> float:
    x, y = a.astype(np.float64), b.astype(np.float64)
    return float((np.abs(x - y) / (1 + np.abs(y))).max(initial=0.0))


class _Classes:
    """The classes of rows and of their samples, gathered block by block; of a model that tells none, nothing.

    Args:
        head: What the outputs are.
        labels: A label a row, or none.
    """

    def __init__(self, head: Head, labels: Sequence[str]) -> None:
        self._kind, self._tells = head.kind, head.kind in CLASSIFIERS
        self.labels = head.labels if self._tells else ()
        numbers = {label: number for number, label in enumerate(self.labels)}
        named = self._tells and head.kind != "multilabel" and all(label in numbers for label in labels)
        self._truth = np.array([numbers[label] for label in labels] if named else [], np.int64)
        self._clean: dict[str, list[NDArray[np.int64]]] = {}
        self._samples: dict[str, list[NDArray[np.int64]]] = {}
        self._changed: dict[str, list[NDArray[np.bool_]]] = {}

    def add(self, scope: str, block: SampleResult) -> None:
        """The next rows of a scope."""
        if not self._tells:
            return
        clean, samples = block.clean.argmax(axis=1), block.outputs.argmax(axis=2)
        changed = samples != clean[:, None]
        if self._kind == "multilabel":  # the set of labels is what is predicted
            changed = ((block.outputs >= _THERE) != (block.clean >= _THERE)[:, None]).any(axis=2)
        for found, more in ((self._clean, clean), (self._samples, samples), (self._changed, changed)):
            found.setdefault(scope, []).append(more)

    def predicted(self, scope: str) -> NDArray[np.int32]:
        """The class of each row without dropout, int32 [n]; empty where there are none."""
        return np.concatenate(self._clean.get(scope, [np.empty(0)])).astype(np.int32)

    def accuracies(self) -> tuple[float, ...]:
        """As of `DropoutOrigin`."""
        if not self._truth.size:
            return ()
        found = [
            float((np.concatenate(each) == self._truth[:, None]).mean()) for each in self._samples.values()
        ]
        clean = np.concatenate(next(iter(self._clean.values())))
        return (float((clean == self._truth).mean()), *found)

    def arrays(self) -> dict[str, Array]:
        """Those of `calls.CompareDropout`: a sample is of class 0 where nothing has changed, else of 1."""
        if not self._tells:
            return {}
        found: dict[str, Array] = {
            f"predicted_{scope}": np.concatenate(each).astype(np.int32)
            for scope, each in self._changed.items()
        }
        rows = sum(map(len, next(iter(self._clean.values()))))
        return {**found, "predicted": np.zeros(rows, np.int32)}


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


def _counted(few: int, rows: int) -> str:
    return f"these {rows} texts" if few == rows else f"{few} of these texts"
