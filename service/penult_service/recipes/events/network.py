"""The networks: types and minutes → LSTM → dropout → the next event and the days to it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import tensorflow as tf
import tf_keras
from numpy.typing import NDArray

from penult_service.recipes.events.sequences import Batch
from penult_service.recipes.events.settings import CONCAT, CONV, GATE, Settings, Variant
from penult_service.recipes.layers.time_gate import time_gate_lstm_cell

NEXT_EVENT, DAYS = "next_event", "days_to_next"
# Of `DAYS`: what is expected of it, and what it is below as often as above.
MEAN, MEDIAN = 0, 1


@dataclass(frozen=True)
class Scale:
    """Of the training side: mean and deviation of log(1 + minutes), and of the days to the next event."""

    log_mean: float
    log_deviation: float
    mean_days: float
    deviation_days: float


class EventNetwork:
    """One set of weights: trained on every step of windows at once, saved as a model that says what comes last.

    Args:
        types: Events are 1 to this.
        scale: So that the model takes minutes as they are.
    """

    def __init__(self, variant: Variant, types: int, scale: Scale, settings: Settings) -> None:
        tf_keras.utils.set_random_seed(settings.seed)
        self._scale = scale
        self._time_weight = settings.time_weight
        self._steps = network(variant, types, scale, settings, sequences=True)
        self.model = network(variant, types, scale, settings, sequences=False)
        self._optimizer = tf_keras.optimizers.Adam(clipnorm=1.0, jit_compile=False)
        self._optimizer.build(self._steps.trainable_variables)
        matrix = {kind: tf.TensorSpec([None, None], kind) for kind in (tf.int32, tf.float32)}
        inputs = [matrix[tf.int32], matrix[tf.float32]]
        self._train = tf.function(
            self._step, input_signature=[*inputs, matrix[tf.int32], matrix[tf.float32], matrix[tf.float32]]
        )
        self._said = tf.function(lambda e, m: self._steps([e, m], training=False), input_signature=inputs)

    def train_step(self, batch: Batch, rate: float) -> float:
        """One step of Adam; returns the loss a next event before it."""
        self._optimizer.learning_rate.assign(rate)
        parts = (batch.events, batch.minutes, batch.next_events, batch.days, batch.counts)
        return float(self._train(*map(tf.constant, parts)))

    def _step(self, events: Any, minutes: Any, next_events: Any, days: Any, counts: Any) -> Any:
        with tf.GradientTape() as tape:
            said = self._steps([events, minutes], training=True)
            right = tf.gather(said[NEXT_EVENT], tf.maximum(next_events - 1, 0), batch_dims=2)
            # The mean makes the squared error least, the median the absolute one.
            off = (said[DAYS] - days[..., None]) / self._scale.deviation_days
            late = tf.square(off[..., MEAN]) + tf.abs(off[..., MEDIAN])
            losses = -tf.math.log(tf.maximum(right, 1e-9)) + self._time_weight * late
            loss = tf.reduce_sum(losses * counts) / tf.maximum(tf.reduce_sum(counts), 1.0)
        weights = self._steps.trainable_variables
        self._optimizer.apply_gradients(zip(tape.gradient(loss, weights), weights, strict=True))
        return loss

    def says(self, batch: Batch) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Of every step: probabilities [n, w, types], and days [n, w, 2]: mean and median."""
        said = self._said(tf.constant(batch.events), tf.constant(batch.minutes))
        return said[NEXT_EVENT].numpy(), said[DAYS].numpy()

    def finished(self) -> Any:
        """The tf_keras model to save: what was trained, saying what comes behind the last event."""
        self.model.set_weights(self._steps.get_weights())
        return self.model


def network(variant: Variant, types: int, scale: Scale, settings: Settings, *, sequences: bool) -> Any:
    """The tf_keras functional model: `events` int32 [n, L], 0 is padding, and `minutes` float32 [n, L] since the
    previous event → `next_event` [n, types], probabilities of 1, 2, ..., and `days_to_next` [n, 2], mean and median;
    with `sequences` of every step, [n, L, ...].
    """
    layers = tf_keras.layers
    events = layers.Input((None,), dtype="int32", name="events")
    minutes = layers.Input((None,), dtype="float32", name="minutes")
    table = layers.Embedding(types + 1, settings.embedding, mask_zero=True, name="event_vectors")
    # Named to the LSTM: convolutions lose it, and so does the Concatenate of Keras 3.
    vectors, mask = table(events), table.compute_mask(events)
    steps = layers.Reshape((-1, 1), name="as_steps")(minutes)
    if variant.name == GATE:
        vectors = layers.Concatenate(name="with_minutes")([vectors, steps])
        cell = time_gate_lstm_cell(tf_keras)(settings.units, variant.decay, settings.gate_unit)
        memory = layers.RNN(cell, return_sequences=sequences, name="state")
    else:
        memory = layers.LSTM(settings.units, return_sequences=sequences, name="state")
    if variant.name in (CONCAT, CONV):
        scaled = layers.Rescaling(
            1 / scale.log_deviation, -scale.log_mean / scale.log_deviation, name="scaled_log"
        )(tf.math.log1p(tf.maximum(steps, 0.0)))
        vectors = layers.Concatenate(name="with_time")([vectors, scaled])
    if variant.name == CONV:
        vectors = layers.Conv1D(settings.embedding, 1, name="conv1x1")(vectors)
    state = layers.Dropout(settings.dropout, name="dropout")(memory(vectors, mask=mask))
    event = layers.Dense(types, activation="softmax", name=NEXT_EVENT)(state)
    days = layers.Dense(2, activation="softplus", name="days")(state)
    days = layers.Rescaling(scale.mean_days, name=DAYS)(days)
    return tf_keras.Model([events, minutes], {NEXT_EVENT: event, DAYS: days})
