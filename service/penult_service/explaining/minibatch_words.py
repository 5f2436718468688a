"""What was measured of mini-batches, in words made from the figures."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from penult_service.explaining.digits import CLASSES
from penult_service.explaining.minibatch import (
    COPIES,
    COPIES_MASKS,
    IMAGES,
    LEARNING_RATES,
    MASKS,
    OWN,
    SHARED,
    Found,
    Noise,
)

# The loss of guessing: all classes alike.
GUESSING = math.log(CLASSES)
# A difference of means is told as one when it is so many standard errors.
SURE = 2.0


def headline(found: Found) -> str:
    """The answer in a sentence."""
    noisier = found.gradients[MASKS][SHARED].variance / found.gradients[MASKS][OWN].variance
    if noisier <= 1.0:
        return "One mask for the mini-batch gives no noisier gradient here than masks of their own."
    lower, runs = wins(found)
    mean, error = difference(found)
    learned = "but no clear difference in loss"
    if runs > 1 and abs(mean) > SURE * error:
        fared = "higher" if mean > 0 else "lower"
        learned = f"and a {fared} loss from {lower if mean > 0 else runs - lower} of {runs} starts"
    return (
        "Let each sample have a mask of its own, as Keras does: one mask for the mini-batch gives the same gradient on "
        f"average, with {noisier:.2g} times the variance, {learned}."
    )


def answer(found: Found) -> list[str]:
    """The answer, a paragraph each: masks, units that learn nothing, copies of one image, training, scaling."""
    return [_masks(found), _idle(found), _copies(found), *_training(found), _scaling(found)]


def wins(found: Found) -> tuple[int, int]:
    """From how many of the starts masks of their own end with the lower loss, each kind at its best learning rate."""
    own, shared = (_last(found, name) for name in (OWN, SHARED))
    return int((own < shared).sum()), len(own)


def difference(found: Found) -> tuple[float, float]:
    """How much higher the loss is with one mask, and its standard error over the starts (NaN of one start).

    Start and order of a training are the same for both kinds, so the differences are of pairs.
    """
    apart = _last(found, SHARED) - _last(found, OWN)
    error = float(apart.std(ddof=1)) / math.sqrt(len(apart)) if len(apart) > 1 else math.nan
    return float(apart.mean()), error


def _masks(found: Found) -> str:
    own, shared = found.gradients[MASKS][OWN], found.gradients[MASKS][SHARED]
    ratio = shared.variance / own.variance
    return (
        f"The gradient of one mini-batch of {found.settings.batch}, over {found.settings.draws:,} draws of its masks: "
        f"its variance is {own.variance:.3g} times its squared length with masks of their own, and "
        f"{shared.variance:.3g} with one mask for all ({ratio:.2f} times as much); its cosine to the expected gradient "
        f"{own.cosine:.2f} and {shared.cosine:.2f}. On average both are {_aims(own, shared)}."
    )


def _aims(own: Noise, shared: Noise) -> str:
    by_chance = all(noise.bias < 1.5 * noise.bias_by_chance for noise in (own, shared))
    distances = f"{own.bias:.3f} and {shared.bias:.3f} of its length away"
    chance = f"{own.bias_by_chance:.3f} and {shared.bias_by_chance:.3f}"
    if by_chance:
        return f"the expected gradient ({distances}; chance alone gives {chance})"
    return f"off the expected gradient: {distances}, where chance alone gives {chance}"


def _idle(found: Found) -> str:
    own, shared = found.gradients[MASKS][OWN], found.gradients[MASKS][SHARED]
    return (
        f"Of the hidden units, {share(shared.idle)} learn nothing from such a mini-batch with one mask for all, and "
        f"{share(own.idle)} with masks of their own: a unit is then left out by some samples, and trained "
        "by the others."
    )


def share(value: float) -> str:
    """As per cent; what is little is not 0."""
    return f"{100 * value:.1g}%" if 0 < value < 0.005 else f"{value:.0%}"


def _copies(found: Found) -> str:
    batch = found.settings.batch
    fewer = found.gradients[COPIES_MASKS][SHARED].variance / found.gradients[COPIES_MASKS][OWN].variance
    single, copies = found.gradients[COPIES][SHARED].variance, found.gradients[COPIES][OWN].variance
    own, shared = found.gradients[IMAGES][OWN].variance, found.gradients[IMAGES][SHARED].variance
    return (
        f"{batch} copies of one image, each with a mask of its own: the masks' part of the variance falls {fewer:.0f} "
        f"times. But about the gradient of all digits such a mini-batch varies by {copies:.3g}, where a single image "
        f"varies by {single:.3g}, {batch} images by {own:.3g} (masks of their own) or {shared:.3g} (one mask). So of "
        f"the {single / own:.0f} times that {batch} samples bring, copies bring {single / copies:.1f}, images under "
        f"one mask {single / shared:.1f}: what is not drawn anew is not averaged."
    )


def _training(found: Found) -> list[str]:
    own, shared = _last(found, OWN), _last(found, SHARED)
    rates = [LEARNING_RATES[found.training[name].best] for name in (OWN, SHARED)]
    lower, runs = wins(found)
    settings = found.settings
    told = (
        f"Trained {_times(settings.seeds)} at each of {len(LEARNING_RATES)} learning rates for {settings.epochs} "
        f"epochs, each kind at its best ({rates[0]:g} and {rates[1]:g}): the held-out loss is {_spread(own)} with "
        f"masks of their own and {_spread(shared)} with one mask; lower with their own from {lower} of {runs} "
        f"starts{_sure(found)}."
    )
    broken = _broken(found)
    return [told, broken] if broken else [told]


def _sure(found: Found) -> str:
    """Whether the starts agree."""
    mean, error = difference(found)
    if not np.isfinite(error):
        return ""
    said = f" (difference {mean:+.3f} ± {error:.3f})"
    return said if abs(mean) > SURE * error else f"{said}: too near to call"


def _broken(found: Found) -> str:
    """Learning rates that one kind bears and the other does not."""
    means = {name: found.training[name].losses[:, :, -1].mean(axis=1) for name in (OWN, SHARED)}
    told = []
    for name, other, words, rest in (
        (SHARED, OWN, "one mask", "masks of their own"),
        (OWN, SHARED, "masks of their own", "one mask"),
    ):
        for place, rate in enumerate(LEARNING_RATES):
            bad, good = means[name][place], means[other][place]
            if bad > 0.8 * GUESSING and good < 0.5 * GUESSING:
                told.append(
                    f"At a learning rate of {rate:g} training with {words} fails (loss {bad:.2f}; guessing gives "
                    f"{GUESSING:.2f}), with {rest} it does not ({good:.2f})."
                )
    return " ".join(told)


def _scaling(found: Found) -> str:
    scaling = found.scaling
    kept = abs(scaling.ratio - 1.0) < 4.0 * scaling.error
    return (
        f"The scaling by 1 / (1 - rate) keeps the mean: {scaling.ratio:.4f} ± {scaling.error:.4f} of what enters the "
        f"dropout leaves it; unscaled it would be {scaling.unscaled:.2f}."
        if kept
        else f"The mean is not kept: {scaling.ratio:.4f} ± {scaling.error:.4f} of what enters the dropout leaves it."
    )


def _last(found: Found, name: str) -> NDArray[np.float64]:
    """Held-out losses after the last epoch, [seeds], at the best learning rate of that kind."""
    training = found.training[name]
    return np.asarray(training.losses[training.best, :, -1])


def _spread(losses: NDArray[np.float64]) -> str:
    deviation = f" ± {losses.std(ddof=1):.3f}" if len(losses) > 1 else ""
    return f"{losses.mean():.3f}{deviation}"


def _times(count: int) -> str:
    return {1: "once", 2: "twice"}.get(count, f"{count} times")
