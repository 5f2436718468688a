"""What people say of dropout before, in and after an LSTM, each held against masks of the real layers.

The sayings are those of three much-read questions and of their answers, which disagree: "dropout layer before or after
LSTM", "dropout only on specific column", and "confused usage of dropout in mini-batch gradient descent".
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from importlib import import_module
from typing import Any

import numpy as np
from numpy.typing import NDArray

from penult_service.explaining import sharing
from penult_service.explaining.lstm_masks import INPUT, RECURRENT, Settings
from penult_service.explaining.masks import KERAS, NoiseShape, Question, draw
from penult_service.explaining.recurrent_claims import HALF, OUTDATED, RIGHT, WRONG, Claim
from penult_service.explaining.sharing import Masks

SHAPE = (4, 6, 10)
# Of the question about one column.
COLUMNS, COLUMN, COLUMN_RATE = 14, 3, 0.2
_COLUMN_ROWS = 1_000


@dataclass(frozen=True, eq=False)
class Seen:
    """Masks that were drawn, and what they share."""

    masks: Masks
    shared: frozenset[str]
    words: str


class Layers:
    """The layers that the sayings are of, of one version of Keras.

    Args:
        version: 3, or 2 for tf_keras.
        seed: Of every layer.
    """

    def __init__(self, version: int, seed: int) -> None:
        self.version, self.seed = version, seed

    def see(
        self,
        layer: str = "Dropout",
        noise_shape: NoiseShape | None = None,
        shape: tuple[int, ...] = SHAPE,
        **settings: Any,
    ) -> Seen:
        """The masks of a layer."""
        lstm = Settings(units=SHAPE[-1], **settings)
        question = Question(layer, shape, 0.5, noise_shape, self.seed, self.version, lstm=lstm)
        masks = draw(question).masks
        axes = sharing.axes_of(masks)
        shared = frozenset(axis.name for axis in axes if axis.shared)
        return Seen(masks, shared, sharing.sentence(masks, axes))

    @cached_property
    def plain(self) -> Seen:
        """Dropout without a noise shape."""
        return self.see()

    @cached_property
    def spatial(self) -> Seen:
        """SpatialDropout1D."""
        return self.see("SpatialDropout1D")

    @cached_property
    def inside(self) -> Seen:
        """The `dropout` of an LSTM."""
        return self.see(INPUT)

    @cached_property
    def on_state(self) -> Seen:
        """Its `recurrent_dropout`."""
        return self.see(RECURRENT)


def claims(version: int, seed: int = 42) -> list[Claim]:
    """Every saying, held against Keras 3 or 2."""
    layers = Layers(version, seed)
    sayings: tuple[Callable[[Layers], Claim], ...] = (
        _random_places,
        _not_the_batch,
        _steps,
        _features,
        _samples,
        _spatial,
        _spatial_steps,
        _after,
        _four_masks,
        _four_on_state,
        _unlike_a_layer,
        _share_of_features,
        _no_noise,
        _one_column,
    )
    return [saying(layers) for saying in sayings]


def _random_places(layers: Layers) -> Claim:
    found = layers.plain
    return Claim(
        "Dropout drops different features for each step, and differently for each sample",
        WRONG if found.shared else RIGHT,
        found.words,
    )


def _not_the_batch(layers: Layers) -> Claim:
    """Ambiguous: whatever is meant, the batch is drawn as the other axes are."""
    values = layers.plain.masks.values[0]
    different = len({sample.tobytes() for sample in values})
    return Claim(
        "Dropout applies a random mask to every axis except the first, the batch",
        WRONG if "sample" not in layers.plain.shared else RIGHT,
        f"{different} different masks for {len(values)} samples: along the batch it is drawn anew too",
    )


def _steps(layers: Layers) -> Claim:
    return _by_noise_shape(layers, "time steps", "step", (1, SHAPE[1], 1), (None, SHAPE[1], 1))


def _features(layers: Layers) -> Claim:
    return _by_noise_shape(layers, "features", "feature", (1, 1, SHAPE[2]), (None, 1, SHAPE[2]))


def _samples(layers: Layers) -> Claim:
    return _by_noise_shape(layers, "samples", "sample", (None, 1, 1), None)


def _by_noise_shape(
    layers: Layers, what: str, axis: str, noise_shape: NoiseShape, other: NoiseShape | None
) -> Claim:
    """That the noise shape drops whole places of the axis; with `other` those of each sample are drawn for itself."""
    found = layers.see(noise_shape=noise_shape)
    whole = found.shared == {"sample", "step", "feature"} - {axis}
    verdict, measured = (RIGHT if whole else WRONG), found.words
    if whole and other is not None and "sample" in found.shared:
        verdict = HALF
        measured += (
            f": one mask for the whole batch. {_text(other)} gives {layers.see(noise_shape=other).words}"
        )
    return Claim(f"noise_shape={_text(noise_shape)} drops {what}", verdict, measured)


def _spatial(layers: Layers) -> Claim:
    found, same = layers.spatial, layers.see(noise_shape=(None, 1, SHAPE[2]))
    equal = np.array_equal(found.masks.values, same.masks.values)
    draws = "mask for mask that of the same seed" if equal else "with other draws of the same seed"
    return Claim(
        "SpatialDropout1D is noise_shape=(samples, 1, features): the same features for all steps, each sample its own",
        RIGHT if found.shared == same.shared == {"step"} else WRONG,
        f"{found.words}; {draws}",
    )


def _spatial_steps(layers: Layers) -> Claim:
    kept = layers.spatial.masks.values != 0
    whole = ~kept.any(axis=3)
    some = whole.any(axis=2) & ~whole.all(axis=2)
    return Claim(
        "SpatialDropout1D drops some time steps entirely",
        WRONG if not some.any() else RIGHT,
        f"in {int(some.sum()):,} of {some.size:,} samples one step was dropped and another was not: what it drops are "
        "features, at every step",
    )


def _after(layers: Layers) -> Claim:
    found = layers.see(shape=(SHAPE[0], SHAPE[2]))
    return Claim(
        "after an LSTM with return_sequences=False it drops a different group of features for each sample",
        WRONG if found.shared else RIGHT,
        f"on [samples, units]: {found.words}",
    )


def _four_masks(layers: Layers) -> Claim:
    said = "the dropout of an LSTM makes four masks, one for each gate"
    if "gate" not in layers.inside.shared:
        return Claim(said, RIGHT, layers.inside.words)
    both = layers.see(INPUT, both=True)
    rest = (
        f"; with recurrent_dropout on as well there are four: {both.words}"
        if "gate" not in both.shared
        else ""
    )
    return Claim(said, OUTDATED, f"as it comes, {layers.inside.words}{rest}")


def _four_on_state(layers: Layers) -> Claim:
    found = layers.on_state
    return Claim(
        "recurrent_dropout makes four masks, applied to the state at each step",
        RIGHT if "gate" not in found.shared else OUTDATED,
        f"{found.words}; inside a graph, as in fit",
    )


def _unlike_a_layer(layers: Layers) -> Claim:
    inside = layers.inside.shared - {"gate"}
    alike = {layer: inside == seen.shared for layer, seen in
             (("Dropout", layers.plain), ("SpatialDropout1D", layers.spatial))}  # fmt: skip
    names = [layer for layer, same in alike.items() if same]
    like = (
        f"it shares what {names[0]} in front of the LSTM shares" if names else "it shares what neither shares"
    )
    gates = "one mask for the four gates" if "gate" in layers.inside.shared else "four masks"
    return Claim(
        "the dropout of an LSTM differs from a Dropout layer in front of it",
        WRONG if alike["Dropout"] and "gate" in layers.inside.shared else RIGHT,
        f"{gates}, and {like}: {layers.inside.words}",
    )


def _share_of_features(layers: Layers) -> Claim:
    """The question has 14 features and a rate of 0.2."""
    dropped = (_columns(layers) == 0).sum(axis=1)
    fixed = dropped.min() == dropped.max()
    return Claim(
        f"Dropout({COLUMN_RATE}) on {COLUMNS} features drops 20% of them each time",
        RIGHT if fixed else HALF,
        f"of {_COLUMN_ROWS:,} samples, {int(dropped.min())} to {int(dropped.max())} features, {dropped.mean():.2f} on "
        f"average ({COLUMN_RATE * COLUMNS:g} are {COLUMN_RATE:.0%}): each is dropped with that probability, by itself",
    )


def _no_noise(layers: Layers) -> Claim:
    values = _columns(layers).astype(np.float64)
    mean, variance = float(values.mean()), float(values.var())
    expected = COLUMN_RATE / (1.0 - COLUMN_RATE)
    return Claim(
        "Dropout does not create noise",
        WRONG if variance > 0.5 * expected else RIGHT,
        f"it multiplies by noise of mean {mean:.3f} and variance {variance:.3f} (theory: 1 and p / (1 - p) = "
        f"{expected:.3f})",
    )


def _one_column(layers: Layers) -> Claim:
    """By shares of each column, and of the split that does it."""
    by_column = (_columns(layers) == 0).mean(axis=0)
    split = (_split(layers) == 0).mean(axis=0)
    others = np.delete(split, COLUMN)
    return Claim(
        "Dropout already drops one given feature with a probability of 20%, and leaves the others alone",
        WRONG if np.delete(by_column, COLUMN).min() > 0 else RIGHT,
        f"every feature is dropped, each in {by_column.min():.0%} to {by_column.max():.0%} of the samples, and no "
        f"noise shape names one. Split it off, Dropout on it alone, concatenated again: that one in "
        f"{split[COLUMN]:.0%}, the others in {others.max():.0%}",
    )


def _columns(layers: Layers) -> NDArray[np.float32]:
    """What Dropout makes of ones, [rows, 14]."""
    question = Question(
        "Dropout", (_COLUMN_ROWS, COLUMNS), COLUMN_RATE, seed=layers.seed, keras=layers.version, draws=1
    )
    return draw(question).masks.values[0]


def _split(layers: Layers) -> NDArray[np.float32]:
    """The same of a column alone."""
    keras = import_module(KERAS[layers.version])
    ones = np.ones((_COLUMN_ROWS, COLUMNS), np.float32)
    one = keras.layers.Dropout(COLUMN_RATE, seed=layers.seed)(ones[:, COLUMN : COLUMN + 1], training=True)
    parts = [ones[:, :COLUMN], one, ones[:, COLUMN + 1 :]]
    return np.asarray(keras.layers.Concatenate()(parts))


def _text(noise_shape: NoiseShape) -> str:
    return f"({', '.join(str(length) for length in noise_shape)})"
