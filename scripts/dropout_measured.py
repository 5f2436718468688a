"""What the dropout report measures through the client: samples against a plain loop, and what they cost."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import NormalDist

import numpy as np
from demo import DATA
from dropout_models import Loop
from penult_client import Client

SEED, ROUNDS, COST_TEXTS = 1, 7, 512


@dataclass(frozen=True)
class Against:
    """Samples against a plain loop of as many passes.

    Attributes:
        model, layers: What was sampled.
        passes: Of each.
        numbers: How many means (and deviations) were compared.
        largest_z: The largest difference of two means in its own standard errors.
        expected_z: What chance alone stays below in 99 of 100 runs, of so many numbers.
        spread: The median ratio of the deviations, ours to theirs, where there is any.
        largest: The largest difference of two means.
    """

    model: str
    layers: str
    passes: int
    numbers: int
    largest_z: float
    expected_z: float
    spread: float
    largest: float


@dataclass(frozen=True)
class Cost:
    """Seconds of a plain pass and of samples of the head, medians of rounds that took turns, and their ratios."""

    texts: int
    samples: int
    plain: float
    sampled: float
    ratios: tuple[float, ...]


def against_loop(model: Path, layers: str, loop: Loop, texts: Sequence[str]) -> Against:
    """Our samples of the same texts, of as many passes with other masks."""
    with Client.open(model, data=DATA) as client:
        ours = client.uncertainty(list(texts), loop.passes, layers, SEED)
    errors = np.sqrt((ours.std.astype(float) ** 2 + loop.std**2) / loop.passes)
    differences = np.abs(ours.mean - loop.mean)
    moves = errors > 1e-6  # a class of probability 0 has no spread
    z = differences[moves] / errors[moves]
    return Against(
        model=model.name if model.suffix else model.parent.name,
        layers=layers,
        passes=loop.passes,
        numbers=int(moves.sum()),
        largest_z=float(z.max()),
        expected_z=NormalDist().inv_cdf(1 - 0.01 / (2 * int(moves.sum()))),
        spread=float(np.median(ours.std[moves] / loop.std[moves])),
        largest=float(differences.max()),
    )


def cost(model: Path, texts: Sequence[str], samples: int) -> Cost:
    """What samples of the head cost beside one plain pass, through the wire, the two in turns."""
    chosen = list(texts[:COST_TEXTS])
    with Client.open(model, data=DATA) as client:
        plain = lambda: client.classify(chosen)  # noqa: E731
        sampled = lambda: client.uncertainty(chosen, samples, "head", SEED)  # noqa: E731
        plain(), sampled()
        rounds = [(_seconds(plain), _seconds(sampled)) for _ in range(ROUNDS)]
    return Cost(
        texts=len(chosen),
        samples=samples,
        plain=statistics.median(once for once, _ in rounds),
        sampled=statistics.median(many for _, many in rounds),
        ratios=tuple(sorted(many / once for once, many in rounds)),
    )


def _seconds(run: Callable[[], object]) -> float:
    begun = time.monotonic()
    run()
    return time.monotonic() - begun
