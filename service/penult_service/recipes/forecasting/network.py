"""The network: what is known of the season, and an LSTM that corrects it, in layers that every Keras has."""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf
import tf_keras
from numpy.typing import NDArray

from penult_service.recipes.forecasting.settings import ForecastSettings
from penult_service.recipes.forecasting.windows import Floats, Indices, Scores, Series, scores_of

EVALUATE_WINDOWS = 512
LSTM, DROPOUT, OUTPUT = "lstm", "dropout", "correction"
Weights = list[NDArray[np.float32]]


class Forecaster:
    """Layers, their optimizer, and `model`: raw windows [n, steps, features] → raw forecasts [n, horizon, targets].

    A window is standardised, and its last season's mean (its level) taken off. The first guess is the mean season of
    the window at that level; an LSTM's last state and a dense layer make a correction, which is added. In a season of
    1 the guess is the last value. Standardising and its inverse are layers with constants.

    Equal seeds begin with equal weights whatever the placement.
    """

    def __init__(self, series: Series, settings: ForecastSettings) -> None:
        tf_keras.backend.clear_session()
        tf_keras.utils.set_random_seed(settings.seed)
        self._series, self._settings = series, settings
        window, standardised = self._build()
        mean, variance = (
            values[list(series.targets)].astype(np.float32) for values in (series.mean, series.scale**2)
        )
        raw = tf_keras.layers.Normalization(mean=mean, variance=variance, invert=True, name="forecast")
        self.model = tf_keras.Model(window, raw(standardised))
        self._trained = tf_keras.Model(window, standardised)
        self._optimizer = tf_keras.optimizers.Adam(settings.learning_rate, jit_compile=False)
        self._optimizer.build(self._trained.trainable_variables)
        self._rows = tf.constant(series.numbers.values.astype(np.float32))
        self._targets = tf.constant(series.standardised[:, list(series.targets)].astype(np.float32))
        starts = [tf.TensorSpec([None], tf.int64)]
        self._train_step = tf.function(self._step, input_signature=starts)
        self._errors = tf.function(self._measure, input_signature=starts)

    def _build(self) -> tuple[Any, Any]:
        """The input, and the forecast on the standardised scale."""
        layers, settings, series = tf_keras.layers, self._settings, self._series
        features = len(series.numbers.names)
        window = layers.Input((settings.steps, features), name="window")
        mean, variance = series.mean.astype(np.float32), np.square(series.scale).astype(np.float32)
        standardised = layers.Normalization(mean=mean, variance=variance, name="standardise")(window)
        last = layers.Cropping1D((settings.steps - settings.season, 0), name="last_season")(standardised)
        level = layers.GlobalAveragePooling1D(keepdims=True, name="level")(last)
        centred = layers.Subtract(name="centred")([standardised, level])
        state = _lstm(centred, settings, features)
        targets = len(series.targets)
        correction = layers.Dense(
            settings.horizon * targets,
            kernel_initializer=tf_keras.initializers.GlorotUniform(settings.seed + 2),
            name=OUTPUT,
        )(state)
        parts = [layers.Reshape((settings.horizon, targets), name="steps_ahead")(correction)]
        guesses = [level, *([_mean_season(centred, settings, features)] if settings.season > 1 else [])]
        if list(series.targets) != list(range(features)):
            guesses = [tf.gather(guess, series.targets, axis=-1) for guess in guesses]
        return window, layers.Add(name="standardised_forecast")([*parts, *guesses])

    def train_step(self, starts: Indices) -> float:
        """One step of Adam; returns the batch's mean squared error before it."""
        return float(self._train_step(tf.constant(starts, tf.int64)))

    def _step(self, starts: tf.Tensor) -> tf.Tensor:
        variables = self._trained.trainable_variables
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean(tf.square(self._off(starts, training=True)))
        self._optimizer.apply_gradients(zip(tape.gradient(loss, variables), variables, strict=True))
        return loss

    def evaluate(self, starts: Indices) -> Scores:
        """Errors over these windows, dropout inactive."""
        total: Floats = np.zeros((2, len(self._series.targets)))
        for at in range(0, len(starts), EVALUATE_WINDOWS):
            part = tf.constant(starts[at : at + EVALUATE_WINDOWS], tf.int64)
            total += self._errors(part).numpy()
        total /= len(starts)
        return scores_of(self._series, total[0], total[1])

    def _measure(self, starts: tf.Tensor) -> tf.Tensor:
        """Sums over windows of the squared and absolute errors, [2, targets]."""
        off = tf.cast(self._off(starts, training=False), tf.float64)
        means = tf.stack([tf.reduce_mean(tf.square(off), axis=1), tf.reduce_mean(tf.abs(off), axis=1)])
        return tf.reduce_sum(means, axis=1)

    def _off(self, starts: tf.Tensor, training: bool) -> tf.Tensor:
        """Standardised forecast minus what came, [n, horizon, targets]."""
        seen = starts[:, None] + tf.range(self._settings.steps, dtype=tf.int64)
        ahead = starts[:, None] + self._settings.steps + tf.range(self._settings.horizon, dtype=tf.int64)
        forecast = self._trained(tf.gather(self._rows, seen), training=training)
        return forecast - tf.gather(self._targets, ahead)

    def weights(self) -> Weights:
        """A copy of all that is trained."""
        return [variable.numpy() for variable in self._trained.trainable_variables]

    def set_weights(self, weights: Weights) -> None:
        """The inverse of `weights`."""
        for variable, value in zip(self._trained.trainable_variables, weights, strict=True):
            variable.assign(value)


def _lstm(centred: Any, settings: ForecastSettings, features: int) -> Any:
    """The LSTM's last state, with the dropout where it was asked for."""
    layers, place, rate, seed = tf_keras.layers, settings.placement, settings.rate, settings.seed
    first = None if settings.own_masks else 1
    shapes = {
        "before": None,
        "steps": (first, settings.steps, 1),
        "features": (first, 1, features),
        "samples": (None, 1, 1),
    }
    if place in shapes:
        centred = layers.Dropout(rate, noise_shape=shapes[place], seed=seed, name=DROPOUT)(centred)
    elif place == "spatial":
        centred = layers.SpatialDropout1D(rate, seed=seed, name=DROPOUT)(centred)
    state = layers.LSTM(
        settings.units,
        dropout=rate if place == "inside" else 0.0,
        recurrent_dropout=rate if place == "recurrent" else 0.0,
        kernel_initializer=tf_keras.initializers.GlorotUniform(seed),
        recurrent_initializer=tf_keras.initializers.Orthogonal(seed=seed + 1),
        seed=seed,
        name=LSTM,
    )(centred)
    return layers.Dropout(rate, seed=seed, name=DROPOUT)(state) if place == "after" else state


def _mean_season(centred: Any, settings: ForecastSettings, features: int) -> Any:
    """The mean of the window's whole seasons less its own mean, repeated over the horizon: [n, horizon, features]."""
    layers, season = tf_keras.layers, settings.season
    seasons = settings.steps // season
    whole = layers.Cropping1D((settings.steps - seasons * season, 0), name="whole_seasons")(centred)
    apart = layers.Reshape((seasons, season * features), name="season_by_season")(whole)
    mean = layers.GlobalAveragePooling1D(name="over_seasons")(apart)
    mean = layers.Reshape((season, features), name="mean_season")(mean)
    own = layers.GlobalAveragePooling1D(keepdims=True, name="its_mean")(mean)
    mean = layers.Subtract(name="shape")([mean, own])
    copies = -(-settings.horizon // season)
    if copies > 1:
        mean = layers.Concatenate(axis=1, name="repeated")([mean] * copies)
    if copies * season > settings.horizon:
        mean = layers.Cropping1D((0, copies * season - settings.horizon), name="until_horizon")(mean)
    return mean
