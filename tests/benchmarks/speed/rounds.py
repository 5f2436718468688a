"""Sides that take turns: rounds of the same work, medians, spread, and what a side differs from itself."""

from __future__ import annotations

import os
import statistics
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from process import Running

# A figure counts when the same script, run as A A, differs by less.
MOST_NOISE = 0.05


@dataclass(frozen=True)
class Rates:
    """What a side did in each round (per second, or seconds), and the load of the machine when each began."""

    each: list[float]
    loads: list[float]

    @property
    def median(self) -> float:
        """Of the rounds."""
        return statistics.median(self.each)

    def told(self) -> dict[str, Any]:
        """For a file of results."""
        return {
            "median": self.median,
            "lowest": min(self.each),
            "highest": max(self.each),
            "each": self.each,
            "loads": self.loads,
        }


def interleaved(
    sides: Sequence[Running], measure: Callable[[Running], float], rounds: int
) -> tuple[list[Rates], Rates]:
    """Every side in turn, round after round, every other round backwards; then the first side once more each round.

    Returns:
        Of each side; and of the first side's second turns: A A.
    """
    found: list[tuple[list[float], list[float]]] = [([], []) for _ in range(len(sides) + 1)]
    for number in range(rounds):
        order = list(range(len(sides) + 1))
        for place in order if number % 2 == 0 else reversed(order):
            each, loads = found[place]
            loads.append(os.getloadavg()[0])
            side = sides[place % len(sides)]
            each.append(measure(side))
            progress(f"round {number + 1} of {rounds}: {side.side.id} {each[-1]:,.4g}")
    made = [Rates(*one) for one in found]
    return made[:-1], made[-1]


def ratios(first: Rates, second: Rates) -> dict[str, float]:
    """First over second, round by round: median, lowest, highest."""
    each = sorted(a / b for a, b in zip(first.each, second.each, strict=True))
    return {"median": statistics.median(each), "lowest": each[0], "highest": each[-1]}


def noise(first: Rates, again: Rates) -> float:
    """By how much a side differs from itself, of its median."""
    return abs(first.median - again.median) / first.median


def percentile(values: Sequence[float], share: float) -> float:
    """The value that so large a share does not pass: 0.99 of 1,000 is the 990th."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, max(0, round(share * len(ordered)) - 1))]


def progress(line: str) -> None:
    """On standard error."""
    print(line, file=sys.stderr, flush=True)
