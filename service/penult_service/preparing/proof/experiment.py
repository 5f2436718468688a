"""The proof by experiment: the prepared functions against the graph as saved, and against Keras itself."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from penult_service.prepared import CALLER, NO_LIMIT, Figure
from penult_service.preparing import parts, probe
from penult_service.preparing.examples import Examples, Rows
from penult_service.preparing.opened import Opened
from penult_service.preparing.places import Seams
from penult_service.preparing.proof.served import Arrays, Served, numpy_of

TOLERANCE = 1e-5
REPEATS = 20
_COMPANIONS_WHOLE = "the function kept for predict, texts alone and in company, |d| / (1 + |x|)"
# Figures that say whether a row changes with the rows beside it.
COMPANY = frozenset({"companions", "companions_tokens", "companions_head", "companions_whole", "chunkings"})


@dataclass(frozen=True)
class Said:
    """What the prepared functions said of the rows of the experiment.

    Attributes:
        given: The rows, as the model's own function takes them.
        embedding: Float32 [n, d].
        outputs: By name.
    """

    given: Sequence[tf.Tensor]
    embedding: NDArray[np.float32]
    outputs: Arrays


@dataclass
class Outcome:
    """What the experiment found; `said` is None of a model that nothing is read from."""

    figures: list[Figure] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    trims: bool = True
    fixed_length: bool = True
    max_length: int = NO_LIMIT
    said: Said | None = None

    def add(self, name: str, meaning: str, value: float, limit: float) -> None:
        self.figures.append(Figure(name, meaning, float(value), limit))

    @property
    def failed(self) -> list[Figure]:
        """The figures beyond their limits (NaN is beyond every limit)."""
        return [figure for figure in self.figures if not figure.value <= figure.limit]


def run(opened: Opened, seams: Seams, served: Served, examples: Examples) -> Outcome:
    """All experiments. The caller looks at `failed`."""
    outcome = Outcome()
    rows = examples.rows(probe.MIXED)
    given = examples.arguments(rows)
    original = numpy_of(opened.function(*given))
    outcome.add(
        "whole_vs_model",
        "the function kept for predict against the model's own, |d| / (1 + |x|)",
        _worst(relative(value, original[name]) for name, value in served.whole(rows).items()),
        TOLERANCE,
    )
    if seams.unread:
        _uncut(outcome, served, examples, rows)
        return outcome
    inputs = served.tokenize(rows)
    embedding = served.encode(inputs)
    _against_the_graph(outcome, opened, seams, given, embedding)
    composed = served.head(embedding, inputs)
    outcome.said = Said(given, embedding, composed)
    outcome.add(
        "prediction_vs_model",
        "head(encode(tokenize(x))) against the model's own inference function, |d| / (1 + |x|)",
        _worst(relative(composed[name], original[name]) for name in original),
        TOLERANCE,
    )
    _padding(outcome, served, inputs, embedding)
    _repeats(outcome, served, inputs)
    _companions(outcome, served, inputs, embedding)
    _companions_around(outcome, served, rows, inputs, embedding)
    _chunkings(outcome, served, inputs, embedding)
    _length(outcome, opened, served, examples)
    return outcome


def _repeats(outcome: Outcome, served: Served, inputs: Arrays) -> None:
    """One batch as it would be served, again and again."""
    rows = slice(0, 5)
    width = served.lengths(inputs)[rows].max() if outcome.trims else None
    batch = served.batch(inputs, rows, width)
    first = served.encode(batch)
    worst = _worst(relative(served.encode(batch), first) for _ in range(REPEATS - 1))
    outcome.add("repeats", f"{REPEATS} runs of one batch against the first (bitwise equal is 0)", worst, 0.0)


def _against_the_graph(
    outcome: Outcome,
    opened: Opened,
    seams: Seams,
    arguments: Sequence[tf.Tensor],
    embedding: NDArray[np.float32],
) -> None:
    found = parts.references(opened, {seams.before, seams.after})(*arguments)
    before, after = found[seams.before].numpy(), found[seams.after].numpy()
    rounded = tf.cast(
        found[seams.before], found[seams.after].dtype
    ).numpy()  # as a dropout in half precision takes it
    outcome.add(
        "embedding_vs_before_dropout",
        "our embedding against the saved graph's own tensor in front of the dropout, |d| / (1 + |x|)",
        relative(embedding, before),
        TOLERANCE,
    )
    outcome.add(
        "before_vs_after_dropout",
        "the saved graph's tensor in front of the dropout against the one behind it (bitwise equal is 0)",
        relative(after, rounded),
        0.0,
    )
    strange = sum(not np.isfinite(row).all() for row in before)
    if strange:
        outcome.add(
            "not_finite",
            f"of {len(before)} texts, empty and strange ones among them: for how many the model itself gives no finite "
            "embedding (asking for such a text is an error)",
            strange,
            len(before) - 1,
        )


def _padding(outcome: Outcome, served: Served, inputs: Arrays, embedding: NDArray[np.float32]) -> None:
    """Rows cut to their own length; a model that changes by it needs its padding and is served untrimmed."""
    if not served.takes_tokens:
        outcome.trims = False
        return
    try:
        worst = _worst(
            relative(served.encode(served.batch(inputs, [row], length))[0], embedding[row])
            for row, length in enumerate(served.lengths(inputs))
        )
    except tf.errors.OpError as error:
        first = str(error.message).splitlines()[0][:160]
        outcome.trims = False
        outcome.notes.append(f"the graph has a fixed length inside ({first}): served with its padding")
        return
    outcome.trims = worst <= TOLERANCE
    if outcome.trims:
        outcome.add("trimmed_vs_padded", "rows cut to their own length, |d| / (1 + |x|)", worst, TOLERANCE)
        between = _worst(_at_widths(served, inputs, row, embedding[row]) for row in range(len(embedding)))
        outcome.add("lengths", "rows with some of their padding, |d| / (1 + |x|)", between, TOLERANCE)
    else:
        outcome.notes.append(
            f"cutting the padding off changes embeddings by up to {worst:.2g}: the model needs its padding "
            "and is served with it"
        )


def _at_widths(served: Served, inputs: Arrays, row: int, expected: NDArray[np.float32]) -> float:
    """A row with one cell of padding, and with half of it."""
    own, full = int(served.lengths(inputs)[row]), served.width(inputs)
    widths = {min(own + 1, full), (own + full) // 2}
    batches = (served.batch(inputs, [row], width) for width in widths)
    return _worst(relative(served.encode(batch)[0], expected) for batch in batches)


def _companions(outcome: Outcome, served: Served, inputs: Arrays, embedding: NDArray[np.float32]) -> None:
    """Every row alone, in pairs and backwards, at full length."""
    count = len(embedding)
    batches = [
        list(range(start, min(start + size, count)))[::-1]
        for size in (1, 2, 3)
        for start in range(0, count, size)
    ]
    worst = _worst(relative(served.encode(served.batch(inputs, rows)), embedding[rows]) for rows in batches)
    outcome.add("companions", "rows alone and in other company, |d| / (1 + |x|)", worst, TOLERANCE)


def _companions_around(
    outcome: Outcome, served: Served, rows: Rows, inputs: Arrays, embedding: NDArray[np.float32]
) -> None:
    """The same for what stands around the encoder: the tokenizing, the head, and the function kept for predict."""
    count = len(rows)
    if served.manifest.tokenizer != CALLER:
        alone = [served.tokenize(rows.take([row])) for row in range(count)]
        outcome.add(
            "companions_tokens",
            f"of {count} texts: how many have other tokens alone than in company",
            sum(not _same_tokens(served, one, inputs, row) for row, one in enumerate(alone)),
            0.0,
        )
    together = served.head(embedding, inputs)
    heads = [served.head(embedding[row : row + 1], served.batch(inputs, [row])) for row in range(count)]
    outcome.add(
        "companions_head",
        "predictions from embeddings alone and in company, |d| / (1 + |x|)",
        _worst(
            _alone(one[name], together[name], row, count) for row, one in enumerate(heads) for name in one
        ),
        TOLERANCE,
    )
    if outcome.trims:  # else texts alone may be padded otherwise, and `predict` gives them as the model does
        outcome.add(
            "companions_whole",
            _COMPANIONS_WHOLE,
            _whole_alone(served, rows),
            TOLERANCE,
        )


def _whole_alone(served: Served, rows: Rows) -> float:
    """How far the function kept for predict is from itself when each row is alone."""
    together = served.whole(rows)
    return _worst(
        _alone(value, together[name], row, len(rows))
        for row in range(len(rows))
        for name, value in served.whole(rows.take([row])).items()
    )


def _alone(value: NDArray[Any], together: NDArray[Any], row: int, count: int) -> float:
    """What a row gives alone against its part of what all give; an output that is not by row must be the same."""
    by_row = (value.shape[:1], together.shape[:1]) == ((1,), (count,))
    return relative(value[0], together[row]) if by_row else relative(value, together)


def _uncut(outcome: Outcome, served: Served, examples: Examples, rows: Rows) -> None:
    """Rows go into the whole function as they are: nothing shows that it does without its padding.

    Batches hold rows of several callers, and texts may be padded to the longest of them: that must change nothing.
    """
    outcome.trims = False
    worst = _whole_alone(served, rows)
    outcome.add("companions_whole", _COMPANIONS_WHOLE, worst, TOLERANCE)
    if examples.tokenizer is not None:
        outcome.max_length = examples.tokenizer.max_length
        outcome.fixed_length = worst <= TOLERANCE


def _same_tokens(served: Served, alone: Arrays, inputs: Arrays, row: int) -> bool:
    """Whether a text has the same tokens and length in both; company may pad it further."""
    if served.lengths(alone)[0] != served.lengths(inputs)[row]:
        return False
    width = min(served.width(table) for table in (alone, inputs))
    one, other = served.batch(alone, [0], width), served.batch(inputs, [row], width)
    return all(np.array_equal(value, other[name]) for name, value in one.items())


def _chunkings(outcome: Outcome, served: Served, inputs: Arrays, embedding: NDArray[np.float32]) -> None:
    """As batches are packed: ordered by length, so many a batch, cut to the longest of it."""
    lengths = served.lengths(inputs)
    order = np.argsort(lengths, kind="stable")
    batches = [
        order[start : start + size] for size in (2, 4, len(order)) for start in range(0, len(order), size)
    ]
    worst = 0.0
    for rows in batches:
        width = lengths[rows].max() if outcome.trims else None
        found = served.encode(served.batch(inputs, rows, width))
        worst = max(worst, relative(found, embedding[rows]))
    outcome.add(
        "chunkings", "texts packed by length, a few a batch or all, |d| / (1 + |x|)", worst, TOLERANCE
    )


def _length(outcome: Outcome, opened: Opened, served: Served, examples: Examples) -> None:
    """The longest text that the model takes, and whether all texts are padded to it."""
    if not served.takes_tokens:
        outcome.max_length = 1
        return
    if served.manifest.tokenizer == CALLER:
        tokens = {token.field for token in served.manifest.inputs if token.role != "value"}
        fed = [one.shape[1] for one in opened.inputs if one.name in tokens and len(one.shape) == 2]
        outcome.max_length = max((length for length in fed if length), default=NO_LIMIT)
        return
    width, shortest = (
        served.width(served.tokenize(examples.rows([text]))) for text in (probe.ENDLESS, probe.MIXED[0])
    )
    outcome.fixed_length = width == shortest
    if examples.tokenizer is not None:
        outcome.max_length = examples.tokenizer.max_length
        return
    grows = not outcome.fixed_length and width >= len(probe.ENDLESS.split())
    outcome.max_length = NO_LIMIT if grows else width


def relative(found: NDArray[Any], expected: NDArray[Any]) -> float:
    """Largest |d| / (1 + |x|): at most t exactly when |d| <= t + t |x| everywhere.

    Equal infinities, and NaN in the same place, are no difference; infinite when only one is finite, or the
    shapes differ.
    """
    if np.asarray(expected).dtype.kind in "OSU":  # text
        return 0.0 if np.array_equal(found, expected) else float("inf")
    f, x = np.asarray(found, dtype=np.float64), np.asarray(expected, dtype=np.float64)
    if f.shape != x.shape:
        return float("inf")
    both = np.isfinite(f) & np.isfinite(x)
    if not np.array_equal(f[~both], x[~both], equal_nan=True):
        return float("inf")
    return float((np.abs(f[both] - x[both]) / (1 + np.abs(x[both]))).max(initial=0.0))


def _worst(differences: Iterable[float]) -> float:
    return max(differences, default=0.0)
