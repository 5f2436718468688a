"""Which axes of drawn masks share one draw, by looking at the masks, and what that means in words."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

# An axis is called shared when independent draws would have looked so with less than this probability.
CHANCE = 1e-9
# More calls of a layer than these are not made; where they do not suffice, the answer is that it cannot be told.
MOST_DRAWS = 2_000
FEWEST_DRAWS = 200
GATES = ("input", "forget", "candidate", "output")  # as Keras orders them
PLACES = {
    "gate": "for all {} gates",
    "sample": "in every sample",
    "step": "at every step",
    "row": "in every row",
    "column": "in every column",
    "channel": "in every channel",
    "feature": "for every feature",
    "unit": "for every unit",
}


@dataclass(frozen=True, eq=False)
class Masks:
    """What a layer multiplied its input by, in several calls.

    Attributes:
        values: float32 [draws, *lengths]: 0 where dropped.
        axes: What each axis of `lengths` counts, singular: a key of `PLACES`.
        rate: The share that the layer was told to drop.
    """

    values: NDArray[np.float32]
    axes: tuple[str, ...]
    rate: float


@dataclass(frozen=True)
class Axis:
    """An axis of the masks.

    Attributes:
        name: A key of `PLACES`.
        length: How many places it has.
        shared: True: one draw serves all places; False: it does not; None: too few draws to tell, or one place only.
        distinct: Different masks along the axis in one draw, at most (of the first 50).
        chance: The probability that as many independent draws look shared (an upper bound).
    """

    name: str
    length: int
    shared: bool | None
    distinct: int
    chance: float


@dataclass(frozen=True)
class Figures:
    """Numbers of all draws together.

    Attributes:
        draws: Calls of the layer.
        zeros: Share of the mask that is 0.
        kept: What the others are multiplied by; None where all are 0, or where they differ.
        mean: Mean of the mask: 1 where the expected output is the input.
        mean_error: Standard error of `mean`, from its spread over the draws; None of one draw.
        distinct_draws: Different masks among the draws.
    """

    draws: int
    zeros: float
    kept: float | None
    mean: float
    mean_error: float | None
    distinct_draws: int


def draws_needed(lengths: Sequence[int], rate: float) -> int:
    """How often to draw, so that no axis of two or more places looks shared by chance."""
    lines = [_line_chance(length, rate) for length in lengths if length > 1]
    worst = max(lines, default=0.0)
    if worst <= 0.0 or worst >= 1.0:
        return FEWEST_DRAWS
    return min(MOST_DRAWS, max(FEWEST_DRAWS, math.ceil(math.log(CHANCE) / math.log(worst)) + 1))


def axes_of(masks: Masks) -> tuple[Axis, ...]:
    """Each axis of the masks, looked at in every draw."""
    kept = masks.values != 0
    return tuple(_axis(kept, place, name, masks.rate) for place, name in enumerate(masks.axes))


def figures_of(masks: Masks) -> Figures:
    """The numbers of the masks."""
    values = masks.values.astype(np.float64)
    means = values.reshape(len(values), -1).mean(axis=1)
    kept = np.unique(masks.values[masks.values != 0])
    one = float(kept[0]) if kept.size and np.allclose(kept, kept[0], rtol=1e-5) else None
    error = float(means.std(ddof=1) / math.sqrt(len(means))) if len(means) > 1 else None
    return Figures(
        draws=len(values),
        zeros=float(np.mean(values == 0)),
        kept=one,
        mean=float(means.mean()),
        mean_error=error,
        distinct_draws=_distinct(masks.values, 0),
    )


def in_words(axes: Sequence[Axis]) -> str:
    """What is dropped together and what anew, such as "the same features at every step, a new draw for each sample"."""
    counted = [axis for axis in axes if axis.length > 1]
    if any(axis.shared is None for axis in counted):
        return "which axes share the mask cannot be told from these draws"
    own = [axis for axis in counted if not axis.shared]
    if not own:
        return "all or nothing: one draw decides for every number"
    subject = own[-1]
    at = counted.index(subject)
    inside = [axis for axis in counted[at + 1 :] if axis.shared]
    same = [axis for axis in counted[:at] if axis.shared]
    anew = [axis for axis in counted[:at] if not axis.shared]
    what = plural(subject.name)
    if inside:
        what = f"whole {what} (all {_and([plural(axis.name) for axis in inside])} together)"
    parts = [f"the same {what} {_and([_place(axis) for axis in same])}"] if same else []
    if anew:
        each = f"a new draw for each {_and([axis.name for axis in anew])}"
        parts += [each] if same else [f"{what if inside else 'single ' + what}, {each}"]
    return ", ".join(parts) or (what if inside else f"single {what}")


def sentence(masks: Masks, axes: Sequence[Axis]) -> str:
    """The answer in words."""
    kept = masks.values != 0
    if kept.all():
        off = ": the layer takes a rate of 1 as off" if masks.rate == 1.0 else ""
        return f"nothing is dropped{off}"
    return in_words(axes) if kept.any() else "everything is dropped"


def plural(name: str) -> str:
    """The name of an axis, of several."""
    return f"{name}s"


def place_name(axis: str, place: int) -> str:
    """A place of an axis, counted from 0, as people say it: "sample 1", "forget gate"."""
    return f"{GATES[place]} gate" if axis == "gate" else f"{axis} {place + 1}"


def _axis(kept: NDArray[np.bool_], place: int, name: str, rate: float) -> Axis:
    axis = place + 1
    length = kept.shape[axis]
    first = kept.take([0], axis=axis)
    chance = _line_chance(length, rate) ** len(kept)
    shared: bool | None
    if length == 1:
        shared = None
    elif not bool((kept == first).all()):
        shared = False
    else:
        shared = True if chance < CHANCE else None
    return Axis(name, length, shared, _most_distinct(kept, place), chance)


def _line_chance(length: int, rate: float) -> float:
    """The probability that independent draws at so many places are all equal.

    One line of places is counted, whatever else is drawn beside it: the other axes may be shared.
    """
    return float(rate**length + (1.0 - rate) ** length)


def _most_distinct(kept: NDArray[np.bool_], place: int) -> int:
    most = 0
    for each in kept[:50]:
        most = max(most, _distinct(each, place))
        if most == each.shape[place]:
            break
    return most


def _distinct(values: NDArray[np.generic], axis: int) -> int:
    rows = np.moveaxis(values, axis, 0)
    return len(np.unique(rows.reshape(len(rows), -1), axis=0))


def _place(axis: Axis) -> str:
    return PLACES[axis.name].format("four" if axis.length == 4 else axis.length)


def _and(words: Sequence[str]) -> str:
    return " and ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)
