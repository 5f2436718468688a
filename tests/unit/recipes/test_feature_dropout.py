"""Dropout of chosen columns, against NumPy, in both Kerases, under masks, and saved."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from support import seed_model

pytestmark = pytest.mark.tensorflow

KERASES = ["keras", "tf_keras"]
WIDTH, CHOSEN = 5, (1, 4)
RATE = 0.3
SPARED = [column for column in range(WIDTH) if column not in CHOSEN]


def keras_of(name: str) -> Any:
    tf_keras = seed_model.keras()  # it sets the backend
    return tf_keras if name == "tf_keras" else __import__("keras")


def made(which: str, columns: Any = CHOSEN, rate: float = RATE, **options: Any) -> Any:
    from penult_service.recipes.layers.feature_dropout import feature_dropout

    keras_of(which).utils.set_random_seed(1)  # without it equal seeds of tf_keras do not draw the same
    return feature_dropout(keras_of(which))(columns, rate, **{"seed": 7} | options)


def drawn(*shape: int) -> NDArray[np.float32]:
    """Numbers of which none is 0."""
    x = np.random.default_rng(5).normal(size=(*shape, WIDTH)).astype(np.float32)
    return np.where(np.abs(x) < 0.01, np.float32(1), x)


def array(tensor: Any) -> NDArray[Any]:
    return np.asarray(tensor)


def by_hand(x: NDArray[np.float32], kept: NDArray[np.bool_], rescale: bool) -> NDArray[np.float32]:
    """One number after the other."""
    out = np.empty_like(x)
    for place in np.ndindex(*x.shape):
        row, column = place[0], place[-1]
        step = min(place[1], kept.shape[1] - 1) if x.ndim == 3 else None
        if column not in CHOSEN:
            out[place] = x[place]
        elif kept[row, column] if step is None else kept[row, step, column]:
            out[place] = x[place] * np.float32(1 / (1 - RATE)) if rescale else x[place]
        else:
            out[place] = 0
    return out


@pytest.mark.parametrize("name", KERASES)
@pytest.mark.parametrize("rescale", [True, False])
@pytest.mark.parametrize(("shape", "per_step"), [((50,), False), ((20, 6), False), ((20, 6), True)])
def test_the_output_given_the_mask(name: str, rescale: bool, shape: tuple[int, ...], per_step: bool) -> None:
    x = drawn(*shape)
    options: dict[str, Any] = {"rescale": rescale, "per_step": per_step}
    other = made(name, **options)
    other.build(x.shape)
    kept = array(other.kept(x))
    assert kept.dtype == bool
    assert kept.shape == (x.shape if x.ndim == 2 or per_step else (x.shape[0], 1, WIDTH))
    out = array(made(name, **options)(x, training=True))
    np.testing.assert_array_equal(out, by_hand(x, kept, rescale))
    assert 0 < kept[..., CHOSEN].mean() < 1
    assert kept[..., SPARED].all()


@pytest.mark.parametrize("name", KERASES)
def test_in_inference_it_hands_on_what_it_gets(name: str) -> None:
    for x in (drawn(8), drawn(4, 3)):
        for layer in (made(name), made(name, rate=0.0)):
            np.testing.assert_array_equal(array(layer(x)), x)
            np.testing.assert_array_equal(array(layer(x, training=False)), x)
    np.testing.assert_array_equal(array(made(name, rate=0.0)(x, training=True)), x)


@pytest.mark.parametrize("name", KERASES)
@pytest.mark.parametrize("per_step", [False, True])
def test_how_often_and_how_independently(name: str, per_step: bool) -> None:
    """Of 20,000 draws: each count within 4.5 binomial standard deviations (1 in 150,000 for each)."""
    x = np.ones((10_000, 2, WIDTH), np.float32)
    dropped = array(made(name, per_step=per_step)(x, training=True)) == 0
    assert not dropped[..., SPARED].any()
    first, last = dropped[..., CHOSEN[0]], dropped[..., CHOSEN[1]]
    pairs = {
        "the columns": (first[:, 0], last[:, 0]),
        "neighbouring samples": (first[:-1, 0], first[1:, 0]),
    }
    if per_step:
        pairs["the steps"] = (first[:, 0], first[:, 1])
    else:
        np.testing.assert_array_equal(dropped[:, 0], dropped[:, 1])
    for draws in (first[:, 0], last[:, 0]):
        assert abs(draws.mean() - RATE) < 4.5 * np.sqrt(RATE * (1 - RATE) / len(draws))
    for what, (one, other) in pairs.items():
        both, p = (one & other).mean(), RATE**2
        assert abs(both - p) < 4.5 * np.sqrt(p * (1 - p) / len(one)), what


@pytest.mark.parametrize("name", KERASES)
def test_seeds_and_calls(name: str) -> None:
    x = drawn(200)

    def two_calls(seed: int) -> list[NDArray[Any]]:
        layer = made(name, seed=seed)
        return [array(layer(x, training=True)) for _ in range(2)]

    first, second = two_calls(1)
    for one, again in zip((first, second), two_calls(1), strict=True):
        np.testing.assert_array_equal(one, again)
    assert not np.array_equal(first, second)
    assert not np.array_equal(first, two_calls(2)[0])


@pytest.mark.parametrize("name", KERASES)
def test_what_is_dropped_may_be_no_number(name: str) -> None:
    x = drawn(100)
    x[:, CHOSEN[0]] = np.nan
    out = array(made(name)(x, training=True))
    assert set(np.isnan(out[:, CHOSEN[0]])) == {True, False}
    assert (out[~np.isnan(out[:, CHOSEN[0]]), CHOSEN[0]] == 0).all()
    assert np.isfinite(out[:, [*SPARED, CHOSEN[1]]]).all()


@pytest.mark.parametrize("name", KERASES)
def test_half_precision(name: str) -> None:
    """bfloat16 has 8 bits: a rate of 0.003 could not be drawn in it."""
    rows, rate = 40_000, 0.003
    layer = made(name, rate=rate, dtype="mixed_bfloat16", rescale=False)
    out = layer(np.ones((rows, WIDTH), np.float32), training=True)
    assert "bfloat16" in str(out.dtype)
    dropped = (np.asarray(out).astype(np.float32)[:, CHOSEN[0]] == 0).mean()
    assert abs(dropped - rate) < 4.5 * np.sqrt(rate / rows)


@pytest.mark.parametrize("name", KERASES)
def test_columns_from_the_end_and_a_single_one(name: str) -> None:
    x = drawn(64)
    for columns in (-1, [-1], [4, -1], np.int64(4), (4,)):
        layer = made(name, columns)
        out = array(layer(x, training=True))
        np.testing.assert_array_equal(out[:, :4], x[:, :4])
        assert (out[:, 4] == 0).any()


@pytest.mark.parametrize("name", KERASES)
@pytest.mark.parametrize(
    ("columns", "rate", "words"),
    [
        ([], 0.2, "columns is empty"),
        ([5], 0.2, "there is no column 5; the inputs have 5"),
        ([-6], 0.2, "there is no column -6"),
        ([1], 1.0, "rate is 1.0; it must be at least 0 and below 1"),
        ([1], -0.1, "rate is -0.1"),
        ([1], float("nan"), "rate is nan"),
    ],
)
def test_arguments_out_of_range(name: str, columns: Any, rate: float, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        made(name, columns, rate)(drawn(2))


@pytest.mark.parametrize("name", KERASES)
def test_inputs_that_have_no_columns(name: str) -> None:
    for shape in ((None,), (2, None)):
        with pytest.raises(ValueError, match=r"takes \[n, k\] or \[n, steps, k\] with a fixed k"):
            made(name).build(shape)
    with pytest.raises(TypeError):
        made(name, [0.5])


def network(name: str, **options: Any) -> Any:
    """x [n, steps, k], steps of zeros masked -> the dropped x, and the last state of an LSTM behind it."""
    keras = keras_of(name)
    keras.utils.set_random_seed(3)
    x = keras.Input((None, WIDTH), name="x")
    dropped = made(name, name="dropped", **options)(keras.layers.Masking()(x))
    return keras.Model(x, [dropped, keras.layers.LSTM(3, name="state")(dropped)])


@pytest.mark.parametrize("name", KERASES)
@pytest.mark.parametrize("training", [False, True])
def test_the_mask_of_the_steps_is_passed_on(name: str, training: bool) -> None:
    """Padded rows end in the state of the same rows without padding; what is drawn is the same for both."""
    x = drawn(6, 4)
    padded = np.concatenate([x, np.zeros_like(x)], axis=1)
    dropped, state = (array(one) for one in network(name)(padded, training=training))
    short, wanted = (array(one) for one in network(name)(x, training=training))
    np.testing.assert_array_equal(dropped[:, :4], short)
    np.testing.assert_allclose(state, wanted, rtol=1e-6, atol=1e-6)
    assert (short == 0).any() == training


@pytest.mark.parametrize("name", KERASES)
def test_a_file_of_keras_holds_all_of_it(name: str, tmp_path: Path) -> None:
    model = network(name, rescale=False, per_step=True)
    model.save(tmp_path / "model.keras")
    again = keras_of(name).models.load_model(tmp_path / "model.keras")
    config = again.get_layer("dropped").get_config()
    own = {"columns": [1, 4], "rate": RATE, "rescale": False, "per_step": True, "seed": 7}
    assert {key: config[key] for key in own} == own
    assert isinstance(again.get_layer("dropped"), type(model.get_layer("dropped")))
    x = drawn(9, 3)
    for one, other in zip(model(x), again(x), strict=True):
        np.testing.assert_array_equal(array(one), array(other))
    changed = array(again(x, training=True)[0]) != x
    assert changed[..., CHOSEN].any()
    assert not changed[..., SPARED].any()


WITHOUT_OUR_CODE = """
import sys
sys.modules["penult_service"] = None
import numpy as np, tensorflow as tf, tf_keras
folder = sys.argv[1]
x = np.load(folder + "/x.npy")
exported = tf.saved_model.load(folder + "/keras")
dropped, state = exported.serve(x)
np.savez(folder + "/keras.npz", state=state, dropped=dropped)
saved = tf.saved_model.load(folder + "/tf_keras")
out = saved.signatures["serving_default"](tf.constant(x))
np.savez(folder + "/tf_keras.npz", **out)
again = tf_keras.models.load_model(folder + "/tf_keras")
dropped, state = again(x, training=True)
np.savez(folder + "/trained.npz", state=state, dropped=dropped)
again.compile("sgd", ["mse", "mse"])
assert np.isfinite(again.train_on_batch(x, [x, np.zeros([len(x), 3])])).all()
"""


def test_saved_models_open_without_our_code(tmp_path: Path) -> None:
    """Exported by Keras 3, and saved by tf_keras: there also for training, where these columns alone are dropped."""
    x = drawn(30, 4)
    np.save(tmp_path / "x.npy", x)
    models = {name: network(name) for name in KERASES}
    models["keras"].export(str(tmp_path / "keras"), verbose=False)
    models["tf_keras"].save(str(tmp_path / "tf_keras"), save_format="tf")
    command = [sys.executable, "-c", WITHOUT_OUR_CODE, str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    for name, model in models.items():
        out = np.load(tmp_path / f"{name}.npz")
        np.testing.assert_array_equal(out["dropped"], x)
        np.testing.assert_allclose(out["state"], array(model(x)[1]), rtol=1e-6, atol=1e-6)
    changed = np.load(tmp_path / "trained.npz")["dropped"] != x
    assert changed[..., CHOSEN].any()
    assert not changed[..., SPARED].any()


@pytest.mark.parametrize("name", KERASES)
def test_training_learns_without_the_column(name: str) -> None:
    """y is x1, of which x0 is a copy: with x1 missing half the time, the weights move over to x0."""
    keras = keras_of(name)
    keras.utils.set_random_seed(1)
    copies = np.random.default_rng(2).normal(size=(512, 1)).astype(np.float32).repeat(2, axis=1)
    weights = {}
    for rate in (0.0, 0.5):
        x = keras.Input((2,))
        dense = keras.layers.Dense(1, use_bias=False, kernel_initializer="zeros")
        model = keras.Model(x, dense(made(name, [1], rate, rescale=False)(x)))
        model.compile(keras.optimizers.SGD(0.1), "mse")
        model.fit(copies, copies[:, 1:], batch_size=32, epochs=8, verbose=0)
        weights[rate] = array(dense.kernel)[:, 0]
    np.testing.assert_allclose(weights[0.0], [0.5, 0.5], atol=0.01)
    np.testing.assert_allclose(weights[0.5], [1.0, 0.0], atol=0.05)
