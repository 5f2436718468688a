"""Where ways lead around what is read: a readout of a model of numbers, when nothing on those ways was trained."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytestmark = pytest.mark.tensorflow

tf = pytest.importorskip("tensorflow")
tf_keras = pytest.importorskip("tf_keras")

from penult_service.preparing import parts  # noqa: E402
from penult_service.preparing.formats.saved_model import open_model  # noqa: E402
from penult_service.preparing.places import Seams  # noqa: E402
from penult_service.preparing.sampling.putting import Plan  # noqa: E402
from penult_service.preparing.seam.seams import find_seams  # noqa: E402
from penult_service.preparing.seam.survey import Survey  # noqa: E402

WINDOWS = np.random.default_rng(3).normal(size=(9, 6, 3)).astype(np.float32)
Build = Callable[[Any], tuple[Any, Any]]
"""The window [n, 6, 3] → the output, and what is to be read."""


def corrects(window: Any, *, front: Any = None, behind: Any = None, **own: Any) -> tuple[Any, Any]:
    """The last step, and a correction: an LSTM's, or for a short test a dense layer's."""
    layers = tf_keras.layers
    given = front(window) if front else window
    dense = layers.Dense(5, "tanh", name="state")
    state = layers.LSTM(5, name="state", **own)(given) if own else dense(layers.Flatten()(given))
    correction = layers.Dense(3, name="correction")(behind(state) if behind else state)
    last = layers.Flatten()(layers.Cropping1D((5, 0))(window))
    return layers.Add()([correction, last]), state


def after(window: Any) -> tuple[Any, Any]:
    return corrects(window, behind=tf_keras.layers.Dropout(0.5, name="dropout"))


def before(window: Any) -> tuple[Any, Any]:
    return corrects(window, front=tf_keras.layers.Dropout(0.5, name="dropout"))


def inside(window: Any) -> tuple[Any, Any]:
    return corrects(window, dropout=0.5)


def recurrent(window: Any) -> tuple[Any, Any]:
    return corrects(window, recurrent_dropout=0.5)


def trained_around(window: Any) -> tuple[Any, Any]:
    """The other way is learned as well: none of the two is the embedding."""
    layers = tf_keras.layers
    state = layers.Dense(5, "tanh", name="state")(layers.Flatten()(window))
    linear = layers.Dense(3, name="linear")(layers.Flatten()(window))
    return layers.Add()([layers.Dense(3, name="correction")(layers.Dropout(0.5)(state)), linear]), state


class Frozen(tf_keras.layers.Layer):  # type: ignore[misc]
    """A matrix that is a weight, and not trained here: Keras' own layers keep theirs trainable whatever one says."""

    def build(self, input_shape: Any) -> None:
        self.kernel = self.add_weight(name="kernel", shape=(input_shape[-1], 3), trainable=False)

    def call(self, inputs: Any) -> Any:
        return tf.matmul(inputs, self.kernel)


def frozen_around(window: Any) -> tuple[Any, Any]:
    """As it was, learned before."""
    layers = tf_keras.layers
    state = layers.Dense(5, "tanh", name="state")(layers.Flatten()(window))
    linear = Frozen(name="linear")(layers.Flatten()(window))
    return layers.Add()([layers.Dense(3, name="correction")(layers.Dropout(0.5)(state)), linear]), state


def trained_behind(window: Any) -> tuple[Any, Any]:
    """A residual block: the layer behind it was trained on both ways."""
    layers = tf_keras.layers
    last = layers.Flatten()(layers.Cropping1D((5, 0))(window))
    away = layers.Dropout(0.5, name="dropout")(layers.Dense(3, "tanh", name="hidden")(last))
    return layers.Dense(2, name="output")(layers.Add(name="sum")([last, away])), away


def opened(build: Build, folder: Path) -> tuple[Survey, np.ndarray, Any]:
    """The survey of the model as saved, what is to be read, and the model."""
    tf_keras.utils.set_random_seed(1)
    window = tf_keras.layers.Input((6, 3), name="window")
    output, state = build(window)
    model = tf_keras.Model(window, output)
    model.save(str(folder), save_format="tf", include_optimizer=False)
    expected = tf_keras.Model(window, state).predict(WINDOWS, verbose=0)
    return Survey(open_model(folder)), expected, model


def head_of(survey: Survey, seams: Seams) -> tuple[np.ndarray, np.ndarray]:
    """What `encode` reads, and what the head makes of it and of the windows."""
    built = parts.build(survey.opened, seams, {("state",): "encode"}, Plan(()))
    assert len(parts.head_values(survey.opened, seams)) == 1
    read = built["encode"](tf.constant(WINDOWS))["state"]
    (output,) = built["head"](read, tf.constant(WINDOWS)).values()
    return read.numpy(), output.numpy()


@pytest.mark.parametrize("build", [after, before, inside, recurrent], ids=lambda build: build.__name__)
def test_the_state_is_read_and_the_head_takes_the_window_beside_it(tmp_path: Path, build: Build) -> None:
    survey, expected, model = opened(build, tmp_path / "model")
    seams = find_seams(survey)
    assert (seams.seam, seams.read[0][0].dimension) == ("state", 5)
    assert any("other ways lead around it" in note for note in seams.notes)
    assert [site.place for site in seams.sites] == {"after": ["at"], "before": ["before"]}.get(
        build.__name__, []
    )
    read, output = head_of(survey, seams)
    np.testing.assert_allclose(read, expected, atol=1e-6)
    np.testing.assert_allclose(output, model.predict(WINDOWS, verbose=0), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    "build", [trained_around, frozen_around, trained_behind], ids=lambda build: build.__name__
)
def test_where_the_other_way_was_trained_nothing_is_read(tmp_path: Path, build: Build) -> None:
    survey, _, _ = opened(build, tmp_path / "model")
    seams = find_seams(survey)
    assert seams.read == ()
    assert "no single tensor is the input of the head" in seams.unread
