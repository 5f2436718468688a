"""Masks drawn by Keras' own layers: the output of a call in training, of an input of ones."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any

import numpy as np

from penult_service.errors import InvalidInput
from penult_service.explaining import lstm_masks
from penult_service.explaining.causes import cause
from penult_service.explaining.sharing import MOST_DRAWS, Masks, draws_needed

# What the axes of an input count, by how many there are: the first is the batch.
AXES = {
    1: ("sample",),
    2: ("sample", "feature"),
    3: ("sample", "step", "feature"),
    4: ("sample", "row", "column", "channel"),
}
RANKS = {"Dropout": (1, 2, 3, 4), "SpatialDropout1D": (3,), "SpatialDropout2D": (4,)}
LAYERS = (*RANKS, *lstm_masks.KINDS)
KERAS = {3: "keras", 2: "tf_keras"}
# Numbers of one mask, and of all draws together: a second of work, and memory for them.
MOST_NUMBERS, MOST_DRAWN = 100_000, 40_000_000
MOST_SEED = 2**31 - 1

Shape = tuple[int, ...]
NoiseShape = tuple[int | None, ...]


@dataclass(frozen=True)
class Question:
    """What to draw.

    Attributes:
        layer: One of `LAYERS`; `lstm-dropout` and `lstm-recurrent` are the two rates of an LSTM.
        shape: Of the input, the batch first.
        rate: The share to drop, 0 to 1.
        noise_shape: Of the layer Dropout: None as a length stands for the input's own.
        seed: Of the layer.
        keras: 3, or 2 for tf_keras.
        draws: Calls of the layer; None: as many as are needed to tell what is shared.
        lstm: How an LSTM is built.
    """

    layer: str
    shape: Shape
    rate: float = 0.5
    noise_shape: NoiseShape | None = None
    seed: int = 42
    keras: int = 3
    draws: int | None = None
    lstm: lstm_masks.Settings = field(default_factory=lstm_masks.Settings)


@dataclass(frozen=True, eq=False)
class Answer:
    """What was drawn.

    Attributes:
        masks: What the layer multiplied by.
        keras: Which Keras drew them, with its version.
        residual: Of an LSTM: the largest difference of its output to that recomputed with the masks; else None.
    """

    masks: Masks
    keras: str
    residual: float | None = None


def draw(question: Question) -> Answer:
    """Build the layer, call it in training again and again, and return what it multiplied by.

    Raises:
        InvalidInput: a shape, rate or noise shape that the layer does not take; `field` names which.
    """
    _check(question)
    keras = import_module(KERAS[question.keras])
    _seed(question.seed)
    told = named(question.keras)
    if question.layer in lstm_masks.KINDS:
        return _of_lstm(question, keras, told)
    axes = AXES[len(question.shape)]
    count = _draws(question)
    layer = _layer(question, keras)
    ones = np.ones(question.shape, np.float32)
    values = np.empty((count, *question.shape), np.float32)
    for number in range(count):
        values[number] = _called(lambda: layer(ones, training=True), question)
    return Answer(Masks(values, axes, question.rate), told)


def named(version: int) -> str:
    """Keras 3 or 2 as it is installed, such as "keras 3.15.1"."""
    return f"{KERAS[version]} {import_module(KERAS[version]).__version__}"


def _of_lstm(question: Question, keras: Any, told: str) -> Answer:
    found = lstm_masks.drawn(
        keras,
        question.layer,
        question.shape,
        question.rate,
        question.lstm,
        question.seed,
        _draws(question),
    )
    last = "feature" if question.layer == lstm_masks.INPUT else "unit"
    masks = Masks(found.values, ("gate", "sample", "step", last), question.rate)
    return Answer(masks, told, found.residual)


def _lengths(question: Question) -> Shape:
    """Of one mask."""
    if question.layer not in lstm_masks.KINDS:
        return question.shape
    samples, steps, features = question.shape
    wide = lstm_masks.width(question.layer, features, question.lstm)
    return lstm_masks.GATES, samples, steps, wide


def _draws(question: Question) -> int:
    """As many as asked, else as many as are needed and there is room for."""
    lengths = _lengths(question)
    return question.draws or max(1, min(draws_needed(lengths, question.rate), _room(question)))


def _room(question: Question) -> int:
    # An LSTM's masks are looked for among 16 at once.
    most = MOST_DRAWN if question.layer in RANKS else MOST_DRAWN // 10
    return most // int(np.prod(_lengths(question)))


def _check(question: Question) -> None:
    shape, layer = question.shape, question.layer
    if not 0.0 <= question.rate <= 1.0:
        raise InvalidInput(f"the rate is a share from 0 to 1, not {question.rate:g}", field="rate")
    if not 0 <= question.seed <= MOST_SEED:
        raise InvalidInput(f"the seed is 0 to {MOST_SEED:,}, not {question.seed}", field="seed")
    if question.noise_shape is not None and layer != "Dropout":
        raise InvalidInput(f"a noise shape is a parameter of Dropout, not of {layer}", field="noise_shape")
    ranks = RANKS.get(layer, (3,))
    if len(shape) not in ranks:
        wanted = "1 to 4 axes" if len(ranks) > 1 else f"{ranks[0]} axes ({_named(AXES[ranks[0]])})"
        raise InvalidInput(
            f"{layer} takes an input of {wanted}, not of {len(shape)}: {_text(shape)}", field="shape"
        )
    if layer in lstm_masks.KINDS:
        lstm_masks.check(layer, shape, question.lstm)
    elif min(shape) < 1 or np.prod([float(length) for length in shape]) > MOST_NUMBERS:
        raise InvalidInput(
            f"every length of the shape is at least 1, and their product at most {MOST_NUMBERS:,}, not {_text(shape)}",
            field="shape",
        )
    most = min(MOST_DRAWS, _room(question))
    if question.draws is not None and not 1 <= question.draws <= most:
        raise InvalidInput(f"draws are 1 to {most:,} of this shape, not {question.draws}", field="draws")


def _named(axes: Sequence[str]) -> str:
    return ", ".join(f"{axis}s" for axis in axes)


def _layer(question: Question, keras: Any) -> Any:
    if question.noise_shape is None:
        return _called(
            lambda: getattr(keras.layers, question.layer)(question.rate, seed=question.seed), question
        )
    return _called(
        lambda: keras.layers.Dropout(question.rate, noise_shape=question.noise_shape, seed=question.seed),
        question,
    )


def _called(call: Callable[[], Any], question: Question) -> Any:
    """What the call gives; InvalidInput, with the cause in our words, where Keras refuses or changes the shape."""
    import tensorflow as tf

    try:
        made = call()
    except (ValueError, TypeError, tf.errors.InvalidArgumentError) as error:
        raise _refusal(question, error) from error
    shape = getattr(made, "shape", None)
    if shape is not None and tuple(shape) != question.shape:
        raise InvalidInput(
            f"the noise shape {_text(question.noise_shape)} has more axes than the input {_text(question.shape)}: "
            f"Keras would return {_text(tuple(shape))}",
            field="noise_shape",
        )
    return made


def _refusal(question: Question, error: Exception) -> InvalidInput:
    noise = question.noise_shape
    if noise is None:
        return InvalidInput(f"Keras refuses the rate {question.rate:g}: {cause(error)}", field="rate")
    if len(noise) > len(question.shape):
        return InvalidInput(
            f"the noise shape {_text(noise)} has {len(noise)} axes, the input {_text(question.shape)} has "
            f"{len(question.shape)}: give a length for each axis of the input, or for its last ones",
            field="noise_shape",
        )
    pairs = zip(noise[::-1], question.shape[::-1], strict=False)
    # From the last axis on, as shapes are broadcast.
    for back, (length, whole) in enumerate(pairs, 1):
        if length not in (None, 1, whole):
            place = len(question.shape) - back
            name = AXES[len(question.shape)][place]
            return InvalidInput(
                f"Keras refuses the noise shape {_text(noise)} for an input of {_text(question.shape)}: the {name}s "
                f"are {whole}, the mask has {length}. Write 1 (one draw for all {name}s), or {whole} or None (a draw "
                "for each)",
                field="noise_shape",
            )
    return InvalidInput(
        f"Keras refuses the noise shape {_text(noise)} for an input of {_text(question.shape)}: {cause(error)}",
        field="noise_shape",
    )


def _seed(seed: int) -> None:
    """Also what Keras 2 draws from, beside the layer's own seed."""
    import tensorflow as tf

    tf.random.set_seed(seed)


def _text(shape: Sequence[int | None] | None) -> str:
    return ",".join(str(length) for length in shape or ())
