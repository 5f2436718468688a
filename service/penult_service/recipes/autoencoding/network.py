"""The network of the autoencoder's recipe: trained on standardised numbers, saved with numbers in their own units."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import tensorflow as tf
import tf_keras
from numpy.typing import NDArray

from penult_service.recipes.autoencoding.settings import AutoencoderSettings
from penult_service.recipes.layers.feature_dropout import feature_dropout

ROWS = 4096
"""Rows that are measured at once."""

Told = Callable[[int, float, float], None]
"""Called after each epoch: its number from 1, the loss with the noise, the error on the rows held out without it."""


class Autoencoder:
    """`model`: a tf_keras functional model from float32 [n, k] in the file's units to their reconstruction in the same.

    Inside: features → standardised → noise → encoder → bottleneck → decoder → reconstruction → own_units. The noise is
    on what is standardised, so that a dropped number is its column's mean, and only in training.
    """

    def __init__(
        self,
        mean: NDArray[np.float64],
        deviation: NDArray[np.float64],
        noise: str,
        dropped: Sequence[int],
        settings: AutoencoderSettings,
        seed: int,
    ) -> None:
        tf_keras.utils.set_random_seed(seed)
        self._settings, layers, width = settings, tf_keras.layers, len(mean)
        self._noise = _noise(noise, dropped, settings, seed)
        self._inner = [
            *(
                layers.Dense(units, "relu", name=f"encoder_{number}")
                for number, units in enumerate(settings.hidden, start=1)
            ),
            layers.Dense(settings.bottleneck, name="bottleneck"),
            *(
                layers.Dense(units, "relu", name=f"decoder_{number}")
                for number, units in enumerate(reversed(settings.hidden), start=1)
            ),
            layers.Dense(width, name="reconstruction"),
        ]
        variance = np.square(deviation)
        features = layers.Input((width,), name="features")
        standardised = layers.Normalization(mean=mean, variance=variance, name="standardised")(features)
        inverse = layers.Normalization(mean=mean, variance=variance, invert=True, name="own_units")
        self.model = tf_keras.Model(features, inverse(self._through(standardised)), name="autoencoder")
        rows = layers.Input((width,))
        self._trained = tf_keras.Model(rows, self._through(rows))
        self._reconstructed = tf.function(
            lambda given: self._trained(given, training=False),
            input_signature=[tf.TensorSpec([None, width], tf.float32)],
        )

    def _through(self, tensor: Any) -> Any:
        for layer in [*self._noise, *self._inner]:
            tensor = layer(tensor)
        return tensor

    @property
    def epochs(self) -> int:
        """How many `fit` goes through."""
        return self._settings.epochs

    def fit(self, rows: NDArray[np.float64], valid: NDArray[np.float64], told: Told) -> None:
        """Trains on standardised rows [n, k], to give them back without the noise; `valid` is measured alone."""
        settings = self._settings
        given, steps = rows.astype(np.float32), math.ceil(len(rows) / settings.batch_size)
        rate = tf_keras.optimizers.schedules.CosineDecay(settings.learning_rate, steps * settings.epochs)
        optimizer = tf_keras.optimizers.Adam(rate, jit_compile=False)
        self._trained.compile(optimizer, "mse", steps_per_execution=steps)

        def told_by_keras(epoch: int, logs: dict[str, float]) -> None:
            told(epoch + 1, float(logs["loss"]), self.error(valid))

        after = tf_keras.callbacks.LambdaCallback(on_epoch_end=told_by_keras)
        options = {"batch_size": settings.batch_size, "epochs": settings.epochs, "verbose": 0}
        self._trained.fit(given, given, callbacks=[after], **options)

    def reconstruct(self, rows: NDArray[np.float64], missing: Sequence[int] = ()) -> NDArray[np.float64]:
        """The reconstruction [n, k] of standardised rows, without noise; missing columns are 0 in them already."""
        del missing
        parts = [rows[at : at + ROWS].astype(np.float32) for at in range(0, len(rows), ROWS)]
        return np.concatenate([self._reconstructed(part).numpy() for part in parts]).astype(np.float64)

    def error(self, rows: NDArray[np.float64]) -> float:
        """The mean squared error on standardised rows, without noise."""
        return float(np.square(self.reconstruct(rows) - rows).mean())


def _noise(kind: str, dropped: Sequence[int], settings: AutoencoderSettings, seed: int) -> list[Any]:
    """The noise layer, or none. Gaussian noise has the variance that Dropout of the rate gives what is standardised."""
    layers, rate = tf_keras.layers, settings.rate
    if kind == "feature":
        layer = feature_dropout(tf_keras)
        return [layer(list(dropped), rate, rescale=settings.rescale, seed=seed, name="noise")]
    if kind == "dropout":
        return [layers.Dropout(rate, seed=seed, name="noise")]
    if kind == "gaussian":
        return [layers.GaussianNoise(math.sqrt(rate / (1 - rate)), seed=seed, name="noise")]
    return []
