"""Samples with active dropout: of the head alone many for one pass, of the encoder a pass each."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from penult_service.embedder.dropouts import ActiveDropout, Chosen, SampleOptions
from penult_service.embedder.given import Given
from penult_service.embedder.passes import EncodePass
from penult_service.embedder.protocols import LoadedModel
from penult_service.embedder.results import not_finite_error
from penult_service.embedder.running import Runner, Tokenized, tokenized
from penult_service.embedder.sample_limits import check_output, check_size
from penult_service.embedder.sample_passes import HeadPass, InnerPass, Sampled, SampleRow
from penult_service.embedder.seam_dropout import SeamDropout, seam_dropout
from penult_service.embedder.tables import kind_of
from penult_service.errors import PenultError, PreconditionFailed, ResourceExhausted
from penult_service.masks import Keys, keys_of
from penult_service.vectors import FloatMatrix

# Numbers that masks are made of at a time.
_BLOCK = 1 << 20
# So many samples of the head cost about what a token costs in an encoder: measured 32 for MiniLM (6 layers of 384).
_SAMPLES_A_TOKEN = 32
# Tokens that are handed to the scheduler at a time, when each sample is a pass: some 64 batches.
_WINDOW = 1 << 17


@dataclass(frozen=True, eq=False)
class SampleResult:
    """Samples of n rows, in the caller's order.

    Attributes:
        outputs: float32 [n, samples, k]: class probabilities as `ClassifyResult` has them, of another model the output
            that its manifest names.
        clean: float32 [n, k], the same without dropout.
        embeddings: float32 [n, samples, d], the embedding behind the dropout that is active at the seam (in front of
            it, where none is active there); None unless asked for.
        clean_embeddings: float32 [n, d], without dropout; None likewise.
        active: The dropouts that were put back.
        token_counts, truncations, row_errors: As in `EmbedResult`; the numbers of a row that failed are NaN.
    """

    outputs: FloatMatrix
    clean: FloatMatrix
    embeddings: FloatMatrix | None
    clean_embeddings: FloatMatrix | None
    active: tuple[ActiveDropout, ...]
    token_counts: NDArray[np.int32]
    truncations: Sequence[str]
    row_errors: Mapping[int, PenultError]


@dataclass(frozen=True, eq=False)
class _Call:
    """What `sampled` was given, and the rows' tokens."""

    runner: Runner
    model: LoadedModel
    given: Given
    options: SampleOptions
    chosen: Chosen
    first_row: int
    embeddings: bool
    deadline: float | None
    asked: Tokenized

    @property
    def samples(self) -> int:
        return self.options.samples

    def keys(self, rows: Sequence[int]) -> tuple[Keys, Keys]:
        """Keys int64 [rows, samples], twice as of `Draw`."""
        numbers = np.arange(self.options.first_sample, self.options.first_sample + self.samples)
        own = np.repeat(np.array(rows, np.int64) + self.first_row, self.samples)
        found = keys_of(self.options.seed, np.tile(numbers, len(rows)), own)
        return found[0].reshape(-1, self.samples), found[1].reshape(-1, self.samples)


@dataclass(frozen=True, eq=False)
class _Rows:
    """What came back of the rows that were run: clean embeddings [r, d] and outputs [r, k], samples [r, s, k] and
    embeddings [r, s, d] with the dropouts inside the encoder active (None: those are `seams` again)."""

    rows: Sequence[int]
    seams: FloatMatrix
    clean: FloatMatrix
    outputs: FloatMatrix
    inner: FloatMatrix | None = None


async def sampled(
    runner: Runner,
    model: LoadedModel,
    given: Given,
    options: SampleOptions,
    chosen: Chosen,
    first_row: int,
    embeddings: bool,
    deadline: float | None,
) -> SampleResult:
    """As `Embedder.sample`."""
    check_output(model.manifest)
    check_size(model.manifest, len(given), options, chosen, embeddings)
    behind = seam_dropout(model.manifest, chosen) if embeddings else None
    asked = await runner.in_thread(tokenized, model, given, options.truncate)
    call = _Call(runner, model, given, options, chosen, first_row, embeddings, deadline, asked)
    rows = await (_inner_samples(call) if chosen.inside else _head_samples(call))
    return await runner.in_thread(_result, call, rows, behind)


async def _head_samples(call: _Call) -> _Rows:
    """One pass of the encoder for all samples of a row."""
    model, asked = call.model, call.asked
    run = HeadPass(model.engine, model.manifest, call.chosen.rates, kind_of(asked.table, model.manifest))
    payloads = await call.runner.in_thread(_head_payloads, call)
    costs = [cost + call.samples // _SAMPLES_A_TOKEN for cost in asked.costs]
    readings = await call.runner.submit(model, run, payloads, costs, call.deadline)
    return await call.runner.in_thread(_of_head, call, readings)


def _head_payloads(call: _Call) -> list[SampleRow]:
    own, shared = call.keys(call.asked.rows)
    return [SampleRow(call.asked.table, row, own[i], shared[i]) for i, row in enumerate(call.asked.rows)]


def _of_head(call: _Call, readings: Sequence[Sampled]) -> _Rows:
    seams = _stack([reading.seam for reading in readings if reading.seam is not None], _seam_width(call))
    clean = _stack([reading.clean for reading in readings if reading.clean is not None], _classes(call))
    outputs = _stack([reading.outputs for reading in readings], call.samples, _classes(call))
    return _Rows(call.asked.rows, seams, clean, outputs)


async def _inner_samples(call: _Call) -> _Rows:
    """A pass of the encoder without dropout, and one more for each sample."""
    model, asked = call.model, call.asked
    kind = kind_of(asked.table, model.manifest)
    plain = EncodePass(model.engine, model.manifest, model.manifest.seam, "pooled", True, kind)
    readings = await call.runner.submit(
        model, plain, [(asked.table, row) for row in asked.rows], asked.costs, call.deadline
    )
    seams = _stack([reading[0] for reading in readings if reading[0] is not None], _seam_width(call))
    clean = _stack([reading[1] for reading in readings if reading[1] is not None], _classes(call))
    run = InnerPass(model.engine, model.manifest, call.chosen.rates, kind, call.embeddings)
    costs = np.repeat(np.array(asked.costs, np.int64), call.samples)
    keys = await call.runner.in_thread(call.keys, asked.rows)
    found: list[Sampled] = []
    for window in _windows(costs, min(_WINDOW, max(1, call.runner.holds // 2))):
        payloads = await call.runner.in_thread(_inner_payloads, call, keys, window)
        found += await _submitted(call, run, payloads, costs[window].tolist(), patient=bool(found))
    return await call.runner.in_thread(_of_inner, call, seams, clean, found)


def _windows(costs: NDArray[np.int64], budget: int) -> Iterator[slice]:
    """Parts in order, of about that many tokens and never twice as many; what has more than that itself is alone."""
    number = (np.cumsum(costs) - 1) // budget
    large = costs > budget
    edges = [
        0,
        *(np.flatnonzero(np.diff(number).astype(bool) | large[1:] | large[:-1]) + 1).tolist(),
        len(costs),
    ]
    return (slice(a, b) for a, b in pairwise(edges) if b > a)


def _inner_payloads(call: _Call, keys: tuple[Keys, Keys], window: slice) -> list[SampleRow]:
    own, shared = (each.reshape(-1) for each in keys)
    rows, table = call.asked.rows, call.asked.table
    return [
        SampleRow(table, rows[i // call.samples], own[i : i + 1], shared[i : i + 1])
        for i in range(window.start, window.stop)
    ]


async def _submitted(
    call: _Call, run: InnerPass, payloads: Sequence[SampleRow], costs: Sequence[int], *, patient: bool
) -> list[Sampled]:
    """What the scheduler makes of them; a `patient` one waits when the queue is full: much is done already."""
    while True:
        try:
            return await call.runner.submit(call.model, run, payloads, costs, call.deadline)
        except ResourceExhausted as full:
            if not patient:
                raise
            await asyncio.sleep(full.retry_after)


def _of_inner(call: _Call, seams: FloatMatrix, clean: FloatMatrix, found: Sequence[Sampled]) -> _Rows:
    shape = (len(call.asked.rows), call.samples, -1)
    outputs = _stack([each.outputs[0] for each in found], _classes(call)).reshape(*shape[:2], _classes(call))
    inner = None
    if call.embeddings:
        width = _seam_width(call)
        inner = _stack([each.seam for each in found if each.seam is not None], width).reshape(
            *shape[:2], width
        )
    return _Rows(call.asked.rows, seams, clean, outputs, inner)


def _result(call: _Call, found: _Rows, behind: SeamDropout | None) -> SampleResult:
    table, count = call.asked.table, len(call.given)
    embeddings = _embeddings(call, found, behind) if call.embeddings else None
    bad = _not_finite(found, embeddings)
    errors = {**call.asked.errors, **{row: not_finite_error(row, call.given) for row in bad}}
    rows = [i for i, row in enumerate(found.rows) if row not in errors]
    kept = [found.rows[i] for i in rows]
    return SampleResult(
        outputs=_placed(found.outputs, rows, kept, count),
        clean=_placed(found.clean, rows, kept, count),
        embeddings=None if embeddings is None else _placed(embeddings, rows, kept, count),
        clean_embeddings=_placed(found.seams, rows, kept, count) if call.embeddings else None,
        active=call.chosen.active,
        token_counts=table.lengths,
        truncations=table.truncations,
        row_errors=dict(sorted(errors.items())),
    )


def _embeddings(call: _Call, found: _Rows, behind: SeamDropout | None) -> FloatMatrix:
    """float32 [r, s, d]: those that the encoder gives, behind the dropout at the seam."""
    rows, width = found.seams.shape
    made = np.empty((rows, call.samples, width), np.float32)
    step = max(1, _BLOCK // (call.samples * width))
    for start in range(0, rows, step):
        part = slice(start, start + step)
        made[part] = found.seams[part, None] if found.inner is None else found.inner[part]
        if behind is not None:
            own, shared = (keys.reshape(-1) for keys in call.keys(found.rows[part]))
            made[part] = behind.on(made[part].reshape(-1, width), own, shared).reshape(made[part].shape)
    return made


def _not_finite(found: _Rows, embeddings: FloatMatrix | None) -> set[int]:
    bad = ~np.isfinite(found.clean).all(axis=1)
    for samples in (found.outputs, embeddings):
        if samples is not None:
            bad |= ~np.isfinite(samples).all(axis=(1, 2))
    return {found.rows[i] for i in np.flatnonzero(bad).tolist()}


def _placed(matrix: FloatMatrix, rows: Sequence[int], places: Sequence[int], count: int) -> FloatMatrix:
    """Those rows of the matrix at their places of `count`; the others are NaN."""
    if len(rows) == count == len(matrix):
        return matrix
    placed = np.full((count, *matrix.shape[1:]), np.nan, np.float32)
    placed[places] = matrix[rows]
    return placed


def _stack(found: Sequence[FloatMatrix], *shape: int) -> FloatMatrix:
    """Of arrays of that shape one float32 [n, *shape].

    Raises:
        PreconditionFailed: they are of another shape (OUTPUT_NOT_BY_ROW).
    """
    if any(each.shape != shape for each in found):
        wrong = next(each.shape for each in found if each.shape != shape)
        raise PreconditionFailed(
            f"the model gives numbers of shape {list(wrong)} for a row where {list(shape)} were expected; samples "
            "of such an output cannot be compared",
            reason="OUTPUT_NOT_BY_ROW",
        )
    return np.stack(found).astype(np.float32, copy=False) if found else np.empty((0, *shape), np.float32)


def _classes(call: _Call) -> int:
    return call.model.manifest.head.classes


def _seam_width(call: _Call) -> int:
    seam = call.model.manifest.readout(call.model.manifest.seam)
    assert seam is not None
    return seam.dimension
