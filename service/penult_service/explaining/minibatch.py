"""Masks of each sample against one mask for the batch, in mini-batch gradient descent: measured on real digits."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module

import numpy as np
from numpy.typing import NDArray

from penult_service.errors import InvalidInput
from penult_service.explaining import digits
from penult_service.explaining.digits import TRAINED_ON, Classifier

OWN, SHARED = "own", "shared"
DESIGNS = (OWN, SHARED)
# What is drawn anew for each gradient, and about which expected gradient its figures are:
#   masks         the same mini-batch, other masks; about that of the mini-batch
#   images        other images each time; about that of all images
#   copies        copies of one image, another each time; about that of all images
#   copies_masks  copies of the same image, other masks; about that of the image
DRAWN = (MASKS, IMAGES, COPIES, COPIES_MASKS) = ("masks", "images", "copies", "copies_masks")
# Of the trainings: what one kind of mask bears may be too much for the other, so each is judged by its own best.
LEARNING_RATES = (0.03, 0.1, 0.3, 1.0)
# Steps of training in all: half a minute.
MOST_STEPS = 60_000
LIMITS = {
    "batch": (2, 256),
    "units": (2, 512),
    "draws": (20, 2_000),
    "seeds": (1, 20),
    "epochs": (1, 50),
    # What NumPy and Keras both take.
    "seed": (0, 2**31 - 1),
}
# Draws of the whole training set, or of that many copies of the batch, that the expected gradient is the mean of.
_EXPECTED_DRAWS, _EXPECTED_ROWS = 200, 1_024

_Progress = Callable[[str, int, int, str], None]


@dataclass(frozen=True)
class Settings:
    """The experiment.

    Attributes:
        rate: Of the dropout, more than 0 and less than 1.
        batch: Samples a mini-batch.
        units: Of the hidden layer, where the dropout is.
        draws: Gradients drawn of each kind.
        seeds: Trainings of each kind, each from weights and in an order of its own.
        epochs: Of each training.
        seed: Of all that is random.
    """

    rate: float = 0.5
    batch: int = 32
    units: int = 64
    draws: int = 500
    seeds: int = 5
    epochs: int = 10
    seed: int = 42


@dataclass(frozen=True)
class Noise:
    """How gradients of mini-batches lie about the gradient that is expected.

    Attributes:
        variance: Sum of the variances of all weights, by the squared length of the expected gradient.
        cosine: To the expected gradient, mean.
        lowest_cosine: The lowest.
        bias: Distance of their mean to the expected gradient, by its length.
        bias_by_chance: What `bias` would be by the few draws alone, about.
        idle: Mean share of hidden units that learn nothing from the mini-batch, of those that would without dropout.
    """

    variance: float
    cosine: float
    lowest_cosine: float
    bias: float
    bias_by_chance: float
    idle: float


@dataclass(frozen=True, eq=False)
class Training:
    """Trainings with one kind of mask, by learning rate, in the order of `LEARNING_RATES`.

    Attributes:
        losses: Held-out cross-entropy in inference, float64 [learning rates, seeds, epochs].
        accuracies: Held-out, float64 [learning rates, seeds, epochs].
    """

    losses: NDArray[np.float64]
    accuracies: NDArray[np.float64]

    @property
    def best(self) -> int:
        """The place of the learning rate with the lowest mean loss after the last epoch."""
        return int(self.losses[:, :, -1].mean(axis=1).argmin())


@dataclass(frozen=True)
class Scaling:
    """Whether the mean is kept: the dropout's output over its input, summed over hidden units, images and draws.

    Attributes:
        ratio: 1 where it is kept.
        error: Its standard error, from the spread over the draws.
        unscaled: What it would be if the rest were not scaled up.
    """

    ratio: float
    error: float
    unscaled: float


@dataclass(frozen=True, eq=False)
class Found:
    """All that was measured.

    Attributes:
        settings: What was asked.
        keras: Which Keras, with its version.
        gradients: By what was drawn, one of `DRAWN`, and then by kind of mask.
        training: By kind of mask.
        scaling: Of the dropout with masks of their own.
    """

    settings: Settings
    keras: str
    gradients: dict[str, dict[str, Noise]]
    training: dict[str, Training]
    scaling: Scaling


def measure(settings: Settings, progress: _Progress = lambda *_: None) -> Found:
    """Run the experiment.

    Args:
        settings: Its size.
        progress: Called with a stage, what is done of it, its total and a note.

    Raises:
        InvalidInput: a setting out of its limits; `field` names it.
    """
    check(settings)
    keras = import_module("keras")
    keras.utils.set_random_seed(settings.seed)
    model = Classifier(
        keras,
        digits.load(settings.seed),
        settings.units,
        # A first length of 1: one mask for the batch.
        {OWN: None, SHARED: (1, settings.units)},
        settings.rate,
        settings.seed,
    )
    random = np.random.default_rng(settings.seed)
    # Gradients are looked at where learning is under way: after an epoch.
    model.start(settings.seed, LEARNING_RATES[1])
    model.epoch(OWN, _batches(settings, random))
    gradients = _gradients(model, settings, random, progress)
    scaling = _scaling(model, settings)
    training = {name: _train(model, settings, name, progress) for name in DESIGNS}
    return Found(settings, f"keras {keras.__version__}", gradients, training, scaling)


def check(settings: Settings) -> None:
    """Refuse settings out of their limits.

    Raises:
        InvalidInput: says which and what is allowed.
    """
    if not 0.0 < settings.rate < 1.0:
        raise InvalidInput(
            f"the rate is more than 0 and less than 1, not {settings.rate:g}: without masks, or with all "
            "dropped, there is nothing to compare",
            field="rate",
        )
    for name, (low, high) in LIMITS.items():
        value = getattr(settings, name)
        if not low <= value <= high:
            raise InvalidInput(f"{name} is {low} to {high:,}, not {value:,}", field=name)
    steps = (
        len(DESIGNS) * len(LEARNING_RATES) * settings.seeds * settings.epochs * (TRAINED_ON // settings.batch)
    )
    if steps > MOST_STEPS:
        raise InvalidInput(
            f"that is {steps:,} steps of training, more than {MOST_STEPS:,}: take fewer seeds or epochs, or a larger "
            "batch",
            field="epochs",
        )


def noise_of(gradients: NDArray[np.float32], expected: NDArray[np.float64], idle: float) -> Noise:
    """The figures of gradients [draws, weights] about the expected one [weights]."""
    drawn = gradients.astype(np.float64)
    length = float(np.linalg.norm(expected))
    variance = float(drawn.var(axis=0, ddof=1).sum()) / length**2
    lengths = np.maximum(np.linalg.norm(drawn, axis=1), np.finfo(np.float64).tiny)
    cosines = drawn @ expected / (lengths * length)
    bias = float(np.linalg.norm(drawn.mean(axis=0) - expected)) / length
    by_chance = float(np.sqrt(variance / len(drawn)))
    return Noise(variance, float(cosines.mean()), float(cosines.min()), bias, by_chance, idle)


def _batches(settings: Settings, random: np.random.Generator) -> NDArray[np.intp]:
    """An epoch: the digits in a random order, in whole mini-batches [batches, batch]."""
    order = random.permutation(TRAINED_ON)
    return order[: len(order) // settings.batch * settings.batch].reshape(-1, settings.batch)


def _gradients(
    model: Classifier, settings: Settings, random: np.random.Generator, progress: _Progress
) -> dict[str, dict[str, Noise]]:
    shape = (settings.draws, settings.batch)
    one = random.choice(TRAINED_ON, settings.batch, replace=False)
    others = [random.choice(TRAINED_ON, settings.batch, replace=False) for _ in range(settings.draws)]
    copies = random.integers(TRAINED_ON, size=(settings.draws, 1))
    everything = np.arange(TRAINED_ON)
    drawn = {
        MASKS: (np.broadcast_to(one, shape), one),
        IMAGES: (np.array(others), everything),
        COPIES: (np.broadcast_to(copies, shape), everything),
        COPIES_MASKS: (np.full(shape, one[0]), one[:1]),
    }
    found = {}
    for number, (kind, (batches, aim)) in enumerate(drawn.items(), 1):
        expected = _expected(model, aim)
        plain = model.learning(model.gradients(None, batches))
        found[kind] = {name: _noise(model, name, batches, expected, plain) for name in DESIGNS}
        progress("gradients", number, len(drawn), "")
    return found


def _expected(model: Classifier, rows: NDArray[np.intp]) -> NDArray[np.float64]:
    """The mean gradient of the rows over masks: many draws, each of its own for many copies of every row."""
    repeated = np.tile(rows, max(1, _EXPECTED_ROWS // len(rows)))
    many = np.broadcast_to(repeated, (_EXPECTED_DRAWS, len(repeated)))
    return np.asarray(model.gradients(OWN, many).mean(axis=0, dtype=np.float64))


def _noise(
    model: Classifier,
    name: str,
    batches: NDArray[np.intp],
    expected: NDArray[np.float64],
    plain: NDArray[np.bool_],
) -> Noise:
    gradients = model.gradients(name, batches)
    idle = plain & ~model.learning(gradients)
    return noise_of(gradients, expected, float(idle.sum() / max(1, plain.sum())))


def _scaling(model: Classifier, settings: Settings) -> Scaling:
    clean = model.hidden(None).sum(dtype=np.float64)
    ratios = np.array([model.hidden(OWN).sum(dtype=np.float64) / clean for _ in range(settings.draws)])
    error = float(ratios.std(ddof=1) / np.sqrt(len(ratios)))
    return Scaling(float(ratios.mean()), error, float(ratios.mean()) * (1.0 - settings.rate))


def _train(model: Classifier, settings: Settings, name: str, progress: _Progress) -> Training:
    measured = np.empty((len(LEARNING_RATES), settings.seeds, settings.epochs, 2))
    for place, learning_rate in enumerate(LEARNING_RATES):
        for number in range(settings.seeds):
            # The same start and the same order for both kinds of mask.
            seed = settings.seed + 1 + number
            random = np.random.default_rng(seed)
            model.start(seed, learning_rate)
            for epoch in range(settings.epochs):
                model.epoch(name, _batches(settings, random))
                measured[place, number, epoch] = model.held_out()
        progress(f"training, {name} masks", place + 1, len(LEARNING_RATES), "")
    return Training(measured[..., 0], measured[..., 1])
