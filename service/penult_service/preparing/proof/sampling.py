"""The experiment on dropout that is put back: off it changes nothing, on it makes the masks of `masks`, row by row.

What it contradicts is not sampled; the model is served all the same.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass, field, replace
from functools import cached_property, partial

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from penult_service.masks import Draw, dropped, keys_of
from penult_service.prepared import Figure, Site
from penult_service.preparing import probe
from penult_service.preparing.examples import Examples
from penult_service.preparing.places import Seams
from penult_service.preparing.proof.experiment import TOLERANCE, Outcome, relative
from penult_service.preparing.proof.served import Arrays, Served
from penult_service.preparing.sampling.putting import refused, sampled_sites

Rows = NDArray[np.intp]

_SEED = 8
_RATE = 0.1  # of a dropout whose own is not known, or 0
_HALF = 0.5  # of masks that NumPy makes as well: to divide by it rounds nothing
_ALONE = 4  # rows that are tried alone
# Company changes the last digits, and dropouts one behind the other scale that up; another mask changes the first ones.
_ALIKE = 1e-4


@dataclass
class Tried:
    """What was found.

    Attributes:
        sites: The model's; those that the experiment contradicts are not sampled.
        unsampled: Why dropout cannot be put back at all; empty when it can.
        figures: Of what was not contradicted.
        notes: For a person.
    """

    sites: tuple[Site, ...]
    unsampled: str = ""
    figures: list[Figure] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def run(outcome: Outcome, seams: Seams, served: Served, examples: Examples) -> Tried:
    """The experiment, on the rows of the others.

    Args:
        outcome: What the others found.
        seams: Where the model is cut.
        served: The model; its manifest says which sites are put back.
        examples: Feeds it.
    """
    manifest = served.manifest
    tried = Tried(manifest.sites, manifest.unsampled)
    if manifest.unsampled or outcome.said is None:
        return tried
    inputs = served.tokenize(examples.rows(probe.MIXED))
    trial = _Trial(served, inputs, outcome.said.embedding, outcome.said.outputs, outcome.trims)
    try:
        why = _tried_head(trial, seams, tried)
        if not why and manifest.samples_inside:
            _tried_encode(trial, tried)
    except Exception as error:  # noqa: BLE001  (the model itself was proven; it is served without)
        why = f"the experiment on it failed ({type(error).__name__}: {str(error)[:200]})"
    if why:
        tried.sites, tried.unsampled = refused(tried.sites, why)
    return tried


@dataclass
class _Trial:
    """The rows, and what the model says of them without dropout."""

    served: Served
    inputs: Arrays
    embedding: NDArray[np.float32]
    outputs: Arrays
    trims: bool

    def rates(self, chosen: Collection[int]) -> NDArray[np.float32]:
        """Those of the sites chosen, by number; the others are off."""
        sites = self.served.manifest.sites
        own = [site.rate or _RATE if number in chosen else 0.0 for number, site in enumerate(sites)]
        return np.array([*own, _RATE if len(sites) in chosen else 0.0], np.float32)

    def draw(self, rates: NDArray[np.float32], rows: slice | Rows = slice(None)) -> Draw:
        """The keys of these rows."""
        numbers = np.arange(len(self.embedding))[rows]
        return Draw(*keys_of(_SEED, np.zeros_like(numbers), numbers), rates)

    @cached_property
    def tried(self) -> Rows:
        """Rows of several lengths, but not the longest: masks of many layers on it take a large model's minutes."""
        order = np.argsort(self._lengths, kind="stable")[: max(len(self._lengths) - 1, 1)]
        return order[np.linspace(0, len(order) - 1, min(_ALONE, len(order))).astype(int)]

    @cached_property
    def _lengths(self) -> NDArray[np.int32]:
        count = len(self.embedding)
        return self.served.lengths(self.inputs) if self.trims else np.zeros(count, np.int32)

    def encode(self, chosen: Collection[int], rows: Rows | None = None) -> NDArray[np.float32]:
        """Rows in company, or those given; cut to the longest of them where the model trims."""
        rows = self.tried if rows is None else rows
        width = int(self._lengths[rows].max()) if self.trims else None
        batch = self.served.batch(self.inputs, rows, width)
        return self.served.sample_encode(batch, self.draw(self.rates(chosen), rows))

    def head(self, chosen: Collection[int]) -> Arrays:
        return self.served.sample_head(self.embedding, self.inputs, self.draw(self.rates(chosen)))

    def encode_alone(self, chosen: Collection[int]) -> float:
        """How far rows alone, at their own length where the model trims, are from themselves in company."""
        together = self.encode(chosen)
        alone = (self.encode(chosen, self.tried[i : i + 1])[0] for i in range(len(together)))
        return max(relative(found, expected) for found, expected in zip(alone, together, strict=True))

    def head_alone(self, chosen: Collection[int]) -> float:
        """The same of predictions."""
        together, rates = self.head(chosen), self.rates(chosen)
        worst = 0.0
        for row in range(_ALONE):
            batch, own = self.served.batch(self.inputs, [row]), slice(row, row + 1)
            alone = self.served.sample_head(self.embedding[own], batch, self.draw(rates, own))
            by_row = {name: value for name, value in alone.items() if value.shape[:1] == (1,)}
            worst = max([worst, *(relative(value[0], together[name][row]) for name, value in by_row.items())])
        return worst

    def masked_by_numpy(self, number: int) -> float:
        """How far the masks of one dropout on the embedding are from those of `masks`, by the predictions."""
        rates = np.zeros(len(self.served.manifest.sites) + 1, np.float32)
        rates[number] = _HALF
        draw = self.draw(rates)
        found = self.served.sample_head(self.embedding, self.inputs, draw)
        masked = dropped(self.embedding, draw.row_keys, number, _HALF)
        return _apart(found, self.served.head(masked, self.inputs))


def _tried_head(trial: _Trial, seams: Seams, tried: Tried) -> str:
    sites = tried.sites
    chosen = {number for number, _ in sampled_sites(sites)} | {len(sites)}
    plain = [len(sites), *_plain_at_the_seam(seams, sites)]
    return (
        _figure(
            tried,
            "sample_head_off",
            "with every rate at 0, predictions with dropout put back against those without, |d| / (1 + |x|)",
            lambda: _apart(trial.head(()), trial.outputs),
        )
        or _figure(
            tried,
            "sample_head_alone",
            "with dropout put back and on, predictions alone and in company, |d| / (1 + |x|)",
            lambda: trial.head_alone(chosen),
            _ALIKE,
        )
        or _figure(
            tried,
            "sample_head_masks",
            "predictions with dropout put back in front of the head against those of NumPy's masks, |d| / (1 + |x|)",
            lambda: max(trial.masked_by_numpy(number) for number in plain),
        )
    )


def _tried_encode(trial: _Trial, tried: Tried) -> None:
    """Sites that make a row depend on its company or its padding are found one by one, and left out."""
    before = [number for number, _ in sampled_sites(tried.sites, "before")]
    why = _figure(
        tried,
        "sample_encode_off",
        "with every rate at 0, embeddings with dropout put back against those without, |d| / (1 + |x|)",
        lambda: relative(trial.encode(()), trial.embedding[trial.tried]),
    )
    if why:
        _leave_out(tried, before, why)
        return
    name = "sample_encode_alone"
    meaning = "with dropout put back and on, embeddings alone and in company, |d| / (1 + |x|)"
    why = _figure(tried, name, meaning, lambda: trial.encode_alone(before), _ALIKE)
    if not why:
        return
    wrong = [number for number in before if not _measured(partial(trial.encode_alone, [number])) <= _ALIKE]
    left = [number for number in before if number not in wrong]
    if left and wrong and not _figure(tried, name, meaning, lambda: trial.encode_alone(left), _ALIKE):
        _leave_out(tried, wrong, why)
    else:
        _leave_out(tried, before, why)


def _leave_out(tried: Tried, numbers: Collection[int], why: str) -> None:
    names = ", ".join(tried.sites[number].path for number in numbers)
    tried.notes.append(f"dropout cannot be put back at {names}: {why}")
    tried.sites = tuple(
        replace(site, sampled=False, shared=()) if number in numbers else site
        for number, site in enumerate(tried.sites)
    )


def _plain_at_the_seam(seams: Seams, sites: tuple[Site, ...]) -> list[int]:
    """The one ordinary dropout that stands on the embedding, when all of the head is behind it."""
    at = [number for number, site in enumerate(sites) if site.place == "at"]
    if len(at) != 1 or not sites[at[0]].sampled or seams.after == seams.before:
        return []
    recipe = seams.stands[at[0]].recipe
    return at if recipe is not None and (recipe.kind, recipe.shared) == ("Dropout", ()) else []


def _figure(
    tried: Tried, name: str, meaning: str, measure: Callable[[], float], limit: float = TOLERANCE
) -> str:
    """Adds the figure; returns why not, when it is beyond its limit."""
    value = _measured(measure)
    if value <= limit:
        tried.figures.append(Figure(name, meaning, value, limit))
        return ""
    return f"the experiment contradicts it ({meaning}: {value:.3g}, at most {limit:.3g} is accepted)"


def _measured(measure: Callable[[], float]) -> float:
    """Infinite where the masks do not fit what they are put on."""
    try:
        return measure()
    except tf.errors.OpError:
        return float("inf")


def _apart(found: Arrays, expected: Arrays) -> float:
    return max((relative(found[name], value) for name, value in expected.items()), default=0.0)
