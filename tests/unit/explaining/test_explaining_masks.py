"""Masks of the real layers of both Keras versions: what a noise shape says is what is found, and what is refused."""

from __future__ import annotations

import os
from typing import Any

import numpy as np
import pytest
from penult_service.errors import InvalidInput
from penult_service.explaining.masks import MOST_NUMBERS, NoiseShape, Question, draw
from penult_service.explaining.sharing import axes_of, figures_of

os.environ["KERAS_BACKEND"] = "tensorflow"
pytestmark = pytest.mark.tensorflow
SHAPE = (4, 6, 10)
BOTH = pytest.mark.parametrize("keras", [3, 2])


def shared(**asked: Any) -> tuple[bool | None, ...]:
    return tuple(axis.shared for axis in axes_of(draw(Question(**{"shape": SHAPE, **asked})).masks))


@BOTH
@pytest.mark.parametrize(
    "noise",
    [
        None,
        (1, 6, 1),
        (1, 1, 10),
        (None, 1, 1),
        (None, 1, 10),
        (1, None, None),
        (4, 6, 1),
        (6, 10),
        (10,),
        (1, 1, 1),
    ],
)
def test_a_first_of_one_shares_and_all_else_does_not(noise: NoiseShape | None, keras: int) -> None:
    whole = SHAPE if noise is None else (1,) * (3 - len(noise)) + noise
    assert shared(layer="Dropout", noise_shape=noise, keras=keras) == tuple(length == 1 for length in whole)


@BOTH
def test_spatial_dropout_shares_the_places(keras: int) -> None:
    assert shared(layer="SpatialDropout1D", keras=keras) == (False, True, False)
    assert shared(layer="SpatialDropout2D", shape=(2, 3, 4, 5), keras=keras) == (False, True, True, False)


@BOTH
@pytest.mark.parametrize("rate", [0.1, 0.5, 0.8])
def test_figures_are_those_of_inverted_dropout(rate: float, keras: int) -> None:
    found = figures_of(draw(Question("Dropout", SHAPE, rate, keras=keras)).masks)
    numbers = found.draws * np.prod(SHAPE)
    assert found.zeros == pytest.approx(rate, abs=5 * np.sqrt(rate * (1 - rate) / numbers))
    assert found.kept == pytest.approx(1 / (1 - rate), rel=1e-6)
    assert found.mean_error is not None
    assert abs(found.mean - 1.0) < 5 * found.mean_error
    assert found.distinct_draws == found.draws


@BOTH
def test_a_seed_draws_the_same_again(keras: int) -> None:
    first, again, other = (
        draw(Question("Dropout", SHAPE, seed=seed, keras=keras, draws=3)).masks.values for seed in (1, 1, 2)
    )
    np.testing.assert_array_equal(first, again)
    assert (first != other).any()


def test_the_first_call_is_that_of_the_layer() -> None:
    import keras

    layer = keras.layers.Dropout(0.5, noise_shape=(None, 1, 10), seed=7)
    expected = np.asarray(layer(np.ones(SHAPE, np.float32), training=True))
    found = draw(Question("Dropout", SHAPE, noise_shape=(None, 1, 10), seed=7, draws=1))
    np.testing.assert_array_equal(found.masks.values[0], expected)
    assert found.keras == f"keras {keras.__version__}"


@BOTH
@pytest.mark.parametrize(
    ("asked", "field", "said"),
    [
        ({"noise_shape": (1, 5, 1)}, "noise_shape", "the steps are 6, the mask has 5"),
        ({"noise_shape": (2, 6, 10)}, "noise_shape", "the samples are 4, the mask has 2"),
        ({"noise_shape": (1, 6)}, "noise_shape", "the features are 10, the mask has 6"),
        ({"noise_shape": (0, 1, 1)}, "noise_shape", "the mask has 0"),
        ({"noise_shape": (-1, 1, 1)}, "noise_shape", "the mask has -1"),
        ({"noise_shape": (1, 1, 1, 1)}, "noise_shape", "more axes than the input"),
        ({"noise_shape": (4, 6, 10, 1)}, "noise_shape", "has 4 axes, the input 4,6,10 has 3"),
        ({"rate": -0.1}, "rate", "0 to 1"),
        ({"rate": 1.1}, "rate", "0 to 1"),
        ({"rate": float("nan")}, "rate", "nan"),
        ({"shape": (0, 3)}, "shape", "at least 1"),
        ({"shape": (2,) * 5}, "shape", "1 to 4 axes, not of 5"),
        ({"shape": (MOST_NUMBERS + 1,)}, "shape", "at most"),
        ({"shape": (10**9, 10**9, 10**9)}, "shape", "at most"),
        ({"layer": "SpatialDropout1D", "shape": (4, 6)}, "shape", "3 axes (samples, steps, features), not of 2"),
        ({"layer": "SpatialDropout1D", "noise_shape": (1, 1, 1)}, "noise_shape", "of Dropout, not of Spatial"),
        ({"layer": "lstm-dropout", "shape": (4, 6)}, "shape", "3 axes"),
        ({"layer": "lstm-dropout", "shape": (4, 0, 6)}, "shape", "1 to 200 steps"),
        ({"layer": "lstm-dropout", "shape": (0, 4, 6)}, "shape", "at least 1"),
        ({"layer": "lstm-dropout", "shape": (40, 100, 100)}, "shape", "at most 20,000"),
        ({"draws": 0}, "draws", "1 to"),
        ({"draws": 10**6}, "draws", "1 to"),
        ({"seed": -1}, "seed", "-1"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said(asked: dict[str, Any], field: str, said: str, keras: int) -> None:
    with pytest.raises(InvalidInput) as raised:
        draw(Question(**{"layer": "Dropout", "shape": SHAPE, "keras": keras, **asked}))
    assert raised.value.field == field
    assert said in raised.value.message


def test_keras_2_takes_no_rate_of_one_and_says_so() -> None:
    assert figures_of(draw(Question("Dropout", SHAPE, 1.0)).masks).zeros == 1.0
    with pytest.raises(InvalidInput, match="refuses the rate 1") as raised:
        draw(Question("Dropout", SHAPE, 1.0, keras=2))
    assert raised.value.field == "rate"
