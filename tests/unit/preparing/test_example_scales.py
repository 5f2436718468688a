"""Numbers that experiments feed a model with are of the size that the model standardises away."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytestmark = pytest.mark.tensorflow

tf = pytest.importorskip("tensorflow")
tf_keras = pytest.importorskip("tf_keras")

from penult_service.preparing import scales  # noqa: E402
from penult_service.preparing.examples import Examples  # noqa: E402
from penult_service.preparing.formats.saved_model import open_model  # noqa: E402

MEAN, DEVIATION = np.array([1000.0, 0.0, -3.0]), np.array([50.0, 1e-3, 1.0])
DRAWN = np.random.default_rng(5).normal(size=(7, 4, 3))


def constants(layers: Any, x: Any) -> Any:
    return layers.Normalization(mean=MEAN, variance=DEVIATION**2)(x)


def adapted(layers: Any, x: Any) -> Any:
    layer = layers.Normalization()
    rows = np.array([MEAN - DEVIATION, MEAN + DEVIATION])[:, None, :].repeat(4, axis=1)
    layer.adapt(rows.astype(np.float32))
    return layer(x)


def rescaled(layers: Any, x: Any) -> Any:
    return layers.Rescaling(scale=list(1 / DEVIATION), offset=list(-MEAN / DEVIATION))(x)


def batch_norm(layers: Any, x: Any) -> Any:
    starts = tf_keras.initializers.Constant
    return layers.BatchNormalization(
        epsilon=0.0, moving_mean_initializer=starts(MEAN), moving_variance_initializer=starts(DEVIATION**2)
    )(x)


def opened(folder: Path, first: Callable[[Any, Any], Any]) -> tuple[Any, Any]:
    x = tf_keras.layers.Input((4, 3), name="window")
    made = first(tf_keras.layers, x)
    model = tf_keras.Model(x, tf_keras.layers.Dense(2)(tf_keras.layers.Flatten()(made)))
    model.save(str(folder), save_format="tf", include_optimizer=False)
    return open_model(folder), tf_keras.Model(x, made)


@pytest.mark.parametrize(
    "first", [constants, adapted, rescaled, batch_norm], ids=lambda first: first.__name__
)
def test_they_are_what_was_drawn_behind_the_standardising(tmp_path: Path, first: Any) -> None:
    model, standardises = opened(tmp_path / "model", first)
    found = scales.expected(model, model.inputs[0], DRAWN)
    assert found.dtype == np.float32
    np.testing.assert_allclose(standardises(found).numpy(), DRAWN, atol=0.02)
    given = Examples(model).rows(["a", "b c"]).columns["window"]
    assert (np.abs((given - MEAN) / DEVIATION) < 6).all()


def not_standardised(layers: Any, x: Any) -> Any:
    return layers.Dense(3)(x)


def by_itself(layers: Any, x: Any) -> Any:
    """Less its own mean: nothing that is known without the input."""
    return layers.Subtract()([x, layers.GlobalAveragePooling1D(keepdims=True)(x)])


def switched_off(layers: Any, x: Any) -> Any:
    return layers.Rescaling(0.0)(x)


@pytest.mark.parametrize(
    "first", [not_standardised, by_itself, switched_off], ids=lambda first: first.__name__
)
def test_otherwise_they_are_what_was_drawn(tmp_path: Path, first: Any) -> None:
    model, _ = opened(tmp_path / "model", first)
    np.testing.assert_array_equal(scales.expected(model, model.inputs[0], DRAWN), DRAWN.astype(np.float32))


def test_constants_of_another_width_are_left_to_the_model_to_refuse(tmp_path: Path) -> None:
    """The input says nothing of its width: what is tried has another one than the constants."""
    module = tf.Module()
    module.kernel = tf.Variable(tf.ones([5, 2]))
    signature = [tf.TensorSpec([None, None], tf.float32, name="x")]
    module.f = tf.function(lambda x: {"y": tf.matmul(x / tf.range(1.0, 6.0), module.kernel)}, signature)
    tf.saved_model.save(module, str(tmp_path / "model"), signatures=module.f)
    model = open_model(tmp_path / "model")
    drawn = DRAWN[:, 0]
    np.testing.assert_array_equal(scales.expected(model, model.inputs[0], drawn), drawn.astype(np.float32))
