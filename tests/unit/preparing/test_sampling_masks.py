"""Masks in TensorFlow against those of NumPy, bit by bit, and what each kind of dropout makes of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from numpy.typing import NDArray
from penult_service import masks
from penult_service.prepared import Site
from penult_service.preparing.graph import node_of
from penult_service.preparing.sampling import keyed
from penult_service.preparing.sampling.keyed import Recipe
from penult_service.preparing.sampling.kinds import recipe_of, shared_axes
from scipy import stats
from support import seed_model as seeds

pytestmark = pytest.mark.tensorflow
ROWS, SEED = 5, -7
SHAPES = {1: (), 2: (6,), 3: (4, 6), 4: (2, 3, 6), 5: (2, 3, 2, 4)}
Array = NDArray[Any]


def keys(rows: Array | None = None, sample: int = 3) -> masks.Keys:
    numbers = np.arange(ROWS) if rows is None else rows
    return masks.keys_of(SEED, np.full(len(numbers), sample), numbers)[0]


def uniform(own: masks.Keys, site: int, dims: tuple[int, ...], recipe: Recipe) -> Array:
    """The numbers that the graph draws."""
    found = keyed.hashes(
        tf.constant(own.view(np.uint64)),
        tf.constant(np.uint64(site)),
        tf.constant(dims, tf.int32),
        recipe.rank,
        recipe.shared,
        recipe.stacked,
    ).numpy()
    return np.asarray((found >> np.uint64(40)).astype(np.float32) * np.float32(2.0**-24))


def put(
    values: Array, own: masks.Keys, site: int, rates: list[float], recipe: Recipe, dtype: Any = tf.float32
) -> Array:
    """What the graph that is put into models makes of the values."""
    graph = keyed.traced(recipe, dtype)
    with tf.Graph().as_default() as here:
        tf.graph_util.import_graph_def(graph.graph_def(graph.outputs.values(), {}), name="")
        feeds = {
            graph.inputs[keyed.VALUES]: values,
            graph.inputs[keyed.KEYS]: own,
            graph.inputs[keyed.SITE]: site,
            graph.inputs[keyed.RATES]: np.array(rates, np.float32),
        }
        with tf.compat.v1.Session(graph=here) as session:
            return np.asarray(session.run(graph.outputs[keyed.DROPPED], feeds))


def values(rank: int, seed: int = 0, rows: int = ROWS) -> Array:
    return np.random.default_rng(seed).normal(size=(rows, *SHAPES[rank])).astype(np.float32)


# The numbers


@pytest.mark.parametrize("rank", SHAPES)
def test_numbers_are_those_of_numpy(rank: int) -> None:
    axes = range(1, rank)
    for count in range(2 ** len(axes)):
        shared = tuple(axis for axis in axes if count >> (axis - 1) & 1)
        found = uniform(keys(), 9, (ROWS, *SHAPES[rank]), Recipe("Dropout", rank, shared))
        expected = masks.uniform(keys(), 9, SHAPES[rank], shared)
        assert found.shape == expected.shape
        np.testing.assert_array_equal(found, expected)


def test_a_shared_batch_axis_is_one_key_for_all_rows() -> None:
    own, shared = masks.keys_of(SEED, np.full(ROWS, 3), np.arange(ROWS))
    found = uniform(shared, 2, (ROWS, 6), Recipe("Dropout", 2, (0,)))
    np.testing.assert_array_equal(found, masks.uniform(shared, 2, (6,)))
    assert (found == found[:1]).all()
    assert not np.array_equal(found, masks.uniform(own, 2, (6,)))


@pytest.mark.parametrize("shared", [(), (1,), (0,)])
def test_rows_times_something_are_rows_with_an_axis_more(shared: tuple[int, ...]) -> None:
    found = uniform(keys(), 4, (ROWS * 7, 6), Recipe("Dropout", 2, shared, stacked=True))
    inner = tuple(axis + 1 for axis in shared)
    expected = np.broadcast_to(masks.uniform(keys(), 4, (7, 6), inner), (ROWS, 7, 1 if 1 in shared else 6))
    np.testing.assert_array_equal(found.reshape(ROWS, 7, -1), expected)


@pytest.mark.parametrize(
    "recipe", [Recipe("Dropout", 3), Recipe("Dropout", 2, (), True)], ids=["plain", "stacked"]
)
def test_company_and_padding_change_no_mask(recipe: Recipe) -> None:
    def dims(rows: int, length: int) -> tuple[int, ...]:
        return (rows * length, 6) if recipe.stacked else (rows, length, 6)

    together = uniform(keys(), 1, dims(ROWS, 9), recipe).reshape(ROWS, 9, 6)
    alone = uniform(keys(np.array([2])), 1, dims(1, 4), recipe).reshape(1, 4, 6)
    np.testing.assert_array_equal(alone[0], together[2, :4])


# What is dropped


@pytest.mark.parametrize("rate", [0.0, 0.1, 0.5, 0.999, 2.0**-30])
def test_a_plain_dropout_is_numpys(rate: float) -> None:
    given = values(2)
    found = put(given, keys(), 1, [0.7, rate, 0.7], Recipe("Dropout", 2))
    np.testing.assert_array_equal(found, masks.dropped(given, keys(), 1, float(np.float32(rate))))


def test_a_number_equal_to_the_rate_is_kept() -> None:
    numbers = masks.uniform(keys(), 0, (6,))
    for place in ((0, 0), (3, 2), (4, 5)):
        found = put(np.ones((ROWS, 6), np.float32), keys(), 0, [float(numbers[place])], Recipe("Dropout", 2))
        np.testing.assert_array_equal(found != 0, numbers >= numbers[place])
        assert found[place] != 0


@pytest.mark.parametrize(("dtype", "name"), [(tf.float16, "float16"), (tf.bfloat16, "bfloat16")])
def test_half_precision_is_divided_in_half_precision(dtype: Any, name: str) -> None:
    half = dtype.as_numpy_dtype
    given = values(3).astype(half)
    found = put(given, keys(), 0, [0.3], Recipe("Dropout", 3), dtype)
    kept = masks.uniform(keys(), 0, SHAPES[3]) >= np.float32(0.3)
    expected = np.where(kept, given / np.float32(1 - np.float32(0.3)).astype(half), half(0))
    assert found.dtype == half, name
    np.testing.assert_array_equal(found.astype(np.float32), expected.astype(np.float32))


@pytest.mark.parametrize("kind", ["Dropout", "AlphaDropout", "GaussianDropout", "GaussianNoise"])
@pytest.mark.parametrize("dtype", [tf.float32, tf.float16, tf.bfloat16, tf.float64])
def test_at_rate_0_values_are_what_they_were(kind: str, dtype: Any) -> None:
    given = values(3)
    given[0, 0, :4] = np.nan, np.inf, -np.inf, 1e-30
    given = given.astype(dtype.as_numpy_dtype)
    for recipe in (Recipe(kind, 3), Recipe(kind, 3, (), stacked=True)):
        found = put(given, keys(), 0, [0.0, 0.5], recipe, dtype)
        assert found.dtype == given.dtype
        np.testing.assert_array_equal(found.astype(np.float64), given.astype(np.float64))


def box_muller(own: masks.Keys, site: int, shape: tuple[int, ...]) -> Array:
    """In float64, of the same hashes."""
    found = masks.fold(own.view(np.uint64), np.array([site], np.uint64))
    for length in shape:
        found = masks.fold(found[..., None], np.arange(length, dtype=np.uint64))
    radius = ((found >> np.uint64(40)).astype(np.float64) + 1) / 2**24
    angle = 2 * np.pi * (found & np.uint64(2**24 - 1)).astype(np.float64) / 2**24
    return np.asarray(np.sqrt(-2 * np.log(radius)) * np.cos(angle))


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("GaussianNoise", lambda x, z: x + 0.4 * z),
        ("GaussianDropout", lambda x, z: x * (1 + np.sqrt(0.4 / 0.6) * z)),
    ],
)
def test_normal_numbers_are_made_by_box_and_muller(
    kind: str, expected: Callable[[Array, Array], Array]
) -> None:
    given = values(3)
    found = put(given, keys(), 2, [0, 0, 0.4], Recipe(kind, 3))
    np.testing.assert_allclose(found, expected(given, box_muller(keys(), 2, SHAPES[3])), rtol=1e-5, atol=1e-5)


def test_normal_numbers_are_normal() -> None:
    found = put(np.zeros((200, 500), np.float32), keys(np.arange(200)), 0, [1.0], Recipe("GaussianNoise", 2))
    assert stats.kstest(found.ravel(), "norm").pvalue > 0.001


def test_alpha_dropout_is_that_of_keras(monkeypatch: pytest.MonkeyPatch) -> None:
    layer = seeds.keras().layers.AlphaDropout(0.3)
    numbers = masks.uniform(keys(), 0, (6,))
    monkeypatch.setattr(layer._random_generator, "random_uniform", lambda *_, **__: tf.constant(numbers))
    found = put(values(2), keys(), 0, [0.3], Recipe("AlphaDropout", 2))
    np.testing.assert_allclose(found, layer(values(2), training=True), rtol=1e-6, atol=1e-6)


def test_nothing_that_is_put_back_draws_a_number_or_keeps_state() -> None:
    for kind in ("Dropout", "AlphaDropout", "GaussianDropout", "GaussianNoise"):
        graph = keyed.traced(Recipe(kind, 3, (1,)), tf.float32)
        ops = {node.op for node in graph.nodes.values()}
        assert not any("Random" in op or "Variable" in op for op in ops), ops
        assert not graph.captures
        assert {node_of(ref) for ref in graph.inputs.values()} <= graph.nodes.keys()


# What a site is put back as


def site(kind: str, noise_shape: tuple[int, ...] | None = None) -> Site:
    return Site("dropout", kind, 0.1, noise_shape, "dropout/Identity", "before")


@pytest.mark.parametrize("flavour", ["tf_keras", "keras"])
@pytest.mark.parametrize(
    ("kind", "rank", "options"),
    [
        ("SpatialDropout1D", 3, {}),
        ("SpatialDropout2D", 4, {"data_format": "channels_last"}),
        ("SpatialDropout2D", 4, {"data_format": "channels_first"}),
        ("SpatialDropout3D", 5, {"data_format": "channels_last"}),
        ("SpatialDropout3D", 5, {"data_format": "channels_first"}),
    ],
)
def test_spatial_dropouts_share_the_axes_that_keras_says(
    flavour: str, kind: str, rank: int, options: dict[str, Any]
) -> None:
    keras = pytest.importorskip(flavour)
    layer = getattr(keras.layers, kind)(0.1, **options)
    noise_shape = layer._get_noise_shape(tf.zeros((ROWS, *SHAPES[rank])))
    recipe = recipe_of(site(kind), rank, False, options.get("data_format") == "channels_first")
    assert recipe == Recipe("Dropout", rank, tuple(i for i, n in enumerate(noise_shape) if int(n) == 1))


@pytest.mark.parametrize(
    ("noise_shape", "rank", "shared"),
    [
        (None, 3, ()),
        ((-1, 1, -1), 3, (1,)),
        ((1, 4, 6), 3, (0,)),
        ((1, 1, 6), 3, (0, 1)),
        ((-1, 1, 1), 3, (1, 2)),
        ((6,), 3, (0, 1)),  # as TensorFlow broadcasts it
        ((4, 1), 3, (0, 2)),
        ((-1, 6), 3, None),  # None is the length of the first axis there, which does not fit
        ((1, 4, 6, 2), 3, None),
    ],
)
def test_a_noise_shape_says_which_axes_share(
    noise_shape: tuple[int, ...] | None, rank: int, shared: tuple[int, ...] | None
) -> None:
    assert shared_axes(noise_shape, rank) == shared
    recipe = recipe_of(site("Dropout", noise_shape), rank, False)
    assert recipe == (None if shared is None else Recipe("Dropout", rank, shared))


def test_a_noise_shape_of_fewer_axes_is_broadcast_as_tensorflow_does() -> None:
    kept = tf.nn.dropout(tf.ones((ROWS, 4, 6)), 0.5, noise_shape=(6,), seed=1).numpy()
    assert (kept == kept[:1, :1]).all()


@pytest.mark.parametrize("kind", ["MyDropout", "MultiHeadAttention", ""])
def test_a_class_that_is_not_known_is_not_put_back(kind: str) -> None:
    assert recipe_of(site(kind), 3, False) is None


def test_a_spatial_dropout_on_another_number_of_axes_is_not_put_back() -> None:
    assert recipe_of(site("SpatialDropout1D"), 2, False) is None
    assert recipe_of(site("Dropout"), 0, False) is None
