"""Where models of many shapes are cut: in front of the dropout that Keras itself would name, whatever surrounds it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytestmark = pytest.mark.tensorflow

tf = pytest.importorskip("tensorflow")

from penult_service.errors import ModelRefused  # noqa: E402
from penult_service.preparing.formats.saved_model import open_model  # noqa: E402
from penult_service.preparing.seam.seams import find_seams  # noqa: E402
from penult_service.preparing.seam.survey import Survey  # noqa: E402
from support import seed_model as seeds  # noqa: E402
from support import text_models as tm  # noqa: E402
from support.seam_heads import (  # noqa: E402
    Head,
    a_dropout_each,
    bilinear,
    called_twice,
    gaussian_noise,
    identity_behind,
    mlp,
    mlp_behind_the_dropout,
    nested_functional,
    norm_after,
    norm_before,
    one_behind_the_other,
    plain,
    samples,
    saved,
    sequential,
    several_outputs,
    shared_noise_shape,
    tensors,
    two_dropouts,
)

HEADS: dict[str, tuple[Head, str, list[tuple[str, str]]]] = {
    "plain": (plain, "average", [("dropout", "at")]),
    "two": (two_dropouts, "hidden", [("first", "before"), ("second", "at")]),
    "called twice": (called_twice, "hidden", [("dropout", "before"), ("dropout#2", "at")]),
    "mlp": (mlp, "relu", [("dropout", "at")]),
    "mlp behind": (mlp_behind_the_dropout, "average", [("dropout", "at")]),
    "norm before": (norm_before, "norm", [("dropout", "at")]),
    "norm after": (norm_after, "average", [("dropout", "at")]),
    "nested functional": (nested_functional, "head", [("head/inner_dropout", "at")]),
    "nested sequential": (sequential, "average", [("head/dropout", "at")]),
    "several outputs": (several_outputs, "average", [("dropout", "at")]),
    "identity behind": (identity_behind, "average", [("dropout", "at")]),
    "samples": (samples, "average", [(f"sample_{n}", "at") for n in (1, 2, 3)]),
    "a dropout each": (a_dropout_each, "average", [("drop_age", "at"), ("drop_zone", "at")]),
    "one behind the other": (one_behind_the_other, "average", [("first", "at"), ("second", "after")]),
    "bilinear": (bilinear, "average", [("dropout", "at")]),
    "noise shape": (shared_noise_shape, "average", [("dropout", "at")]),
}


@pytest.mark.parametrize(("head", "seam", "places"), HEADS.values(), ids=HEADS.keys())
def test_the_seam_is_in_front_of_the_last_dropout(
    tmp_path: Path, head: Head, seam: str, places: list[tuple[str, str]]
) -> None:
    directory, expected = saved(tmp_path, head)
    survey = Survey(open_model(directory))
    seams = find_seams(survey)
    assert len(np.unique(expected, axis=0)) == len(tm.TEXTS)
    for found in tensors(survey, seams):
        np.testing.assert_allclose(found, expected, atol=1e-6)
    assert seams.seam == seam
    readout = seams.read[0][0]
    assert (readout.layer, readout.dimension, readout.kind) == (seam, expected.shape[1], "pooled")
    assert sorted((site.path, site.place) for site in seams.sites) == sorted(places)
    assert seams.dtype == tf.float32


def test_sites_know_class_rate_and_noise_shape(tmp_path: Path) -> None:
    def head(layers: Any, x: Any) -> tuple[Any, Any]:
        hidden = tm.dense(4, "hidden")(layers.Dropout(0.25, name="first")(x))
        dropped = layers.Dropout(0.5, noise_shape=(None, 1), name="shared")(hidden)
        columns = layers.SpatialDropout1D(0.75, name="columns")(layers.Reshape((2, 2), name="wide")(dropped))
        return tm.dense(2, "output")(layers.Flatten(name="flat")(columns)), x

    directory, _ = saved(tmp_path, head)
    sites = find_seams(Survey(open_model(directory))).sites
    assert [(s.path, s.layer_class, s.rate, s.noise_shape, s.place) for s in sites] == [
        ("first", "Dropout", 0.25, None, "before"),
        ("shared", "Dropout", 0.5, (-1, 1), "at"),
        ("columns", "SpatialDropout1D", 0.75, None, "after"),
    ]


def test_noise_of_another_kind_leaves_no_trace_in_inference(tmp_path: Path) -> None:
    """The model's layer graph says where it stands."""
    directory, expected = saved(tmp_path, gaussian_noise)
    survey = Survey(open_model(directory))
    assert survey.marks == {}
    np.testing.assert_allclose(tensors(survey, find_seams(survey))[0], expected, atol=1e-6)


# No dropout, another layer


def no_dropout(layers: Any, x: Any) -> tuple[Any, Any]:
    hidden = tm.dense(6, "hidden", "tanh")(x)
    return tm.dense(2, "output")(layers.Lambda(lambda y: tf.identity(y), name="dropout")(hidden)), hidden


def not_on_every_path(layers: Any, x: Any) -> tuple[Any, Any]:
    side = tm.dense(2, "side")(layers.Dropout(0.1, name="dropout")(x))
    return layers.Add(name="sum")([side, tm.dense(2, "main")(x)]), x


@pytest.fixture(scope="module")
def without_dropout(tmp_path_factory: pytest.TempPathFactory) -> tuple[Survey, np.ndarray]:
    directory, hidden = saved(tmp_path_factory.mktemp("without"), no_dropout)
    return Survey(open_model(directory)), hidden


def test_without_a_dropout_the_input_of_the_last_trained_layer_is_read(
    without_dropout: tuple[Survey, np.ndarray],
) -> None:
    """Not even when a layer that is none bears its name; and it is said."""
    survey, expected = without_dropout
    seams = find_seams(survey)
    assert seams.before == seams.after
    assert seams.sites == ()
    np.testing.assert_allclose(tensors(survey, seams)[0], expected, atol=1e-6)
    assert any("the input of the last trained layer, output" in note for note in seams.notes)
    assert any("can be read as well: average" in note for note in seams.notes)


def test_a_layer_can_be_named_besides(without_dropout: tuple[Survey, np.ndarray]) -> None:
    survey, expected = without_dropout
    seams = find_seams(survey, "average")
    assert [(readout.layer, readout.kind) for readout, _ in seams.read[:2]] == [
        ("average", "other"),
        (seams.seam, "pooled"),
    ]
    np.testing.assert_allclose(tensors(survey, seams)[0], expected, atol=1e-6)


def test_a_layer_that_is_not_there(without_dropout: tuple[Survey, np.ndarray]) -> None:
    with pytest.raises(ModelRefused) as caught:
        find_seams(without_dropout[0], "pooler")
    assert caught.value.reason == "NO_SUCH_LAYER"
    assert "'pooler'" in caught.value.message
    assert caught.value.message.endswith("these can: average, hidden")


def test_a_dropout_beside_the_way_is_read_where_the_ways_part(tmp_path: Path) -> None:
    directory, expected = saved(tmp_path, not_on_every_path)
    survey = Survey(open_model(directory))
    seams = find_seams(survey)
    assert seams.before == seams.after
    np.testing.assert_allclose(tensors(survey, seams)[0], expected, atol=1e-6)
    assert [(site.path, site.place) for site in seams.sites] == [("dropout", "at")]


def hidden_each(layers: Any, x: Any) -> tuple[Any, Any]:
    """Two outputs, each with a hidden layer and a dropout of its own."""
    hidden = {name: tm.dense(6, f"hidden_{name}", "tanh")(x) for name in ("zone", "age")}
    dropped = {name: layers.Dropout(0.1, name=f"drop_{name}")(one) for name, one in hidden.items()}
    return {name: tm.dense(2, name)(one) for name, one in dropped.items()}, x


def residual(layers: Any, x: Any) -> tuple[Any, Any]:
    away = layers.Dropout(0.1, name="dropout")(tm.dense(tm.WIDTH, "hidden", "tanh")(x))
    return tm.dense(2, "output")(layers.Add(name="sum")([x, away])), x


@pytest.mark.parametrize("head", [hidden_each, residual], ids=lambda head: head.__name__)
def test_where_no_tensor_is_the_input_of_the_last_dropouts_nothing_is_read(
    tmp_path: Path, head: Head
) -> None:
    """Another place in front can be asked for; and what is listed does not hold what stands on one way alone."""
    directory, expected = saved(tmp_path, head)
    survey = Survey(open_model(directory))
    seams = find_seams(survey)
    assert seams.read == ()
    assert "no single tensor is the input of the head" in seams.unread
    assert "average (8 numbers a row" in seams.unread
    assert "hidden" not in seams.unread.partition("It can be: ")[2]
    asked = find_seams(survey, "average")
    assert (asked.seam, asked.read[0][0].layer) == ("average", "average")
    np.testing.assert_allclose(tensors(survey, asked)[0], expected, atol=1e-6)


def test_a_dropout_on_the_words_is_none_of_the_head(tmp_path: Path) -> None:
    text = tm.text_input()
    words = tm.layers().Dropout(0.2, name="on_words")(tm.vectors(text))
    pooled = tm.layers().GlobalAveragePooling1D(name="average")(words)
    model = seeds.keras().Model(text, tm.dense(2, "output")(pooled))
    survey = Survey(open_model(tm.save(model, tmp_path / "model")))
    seams = find_seams(survey)
    expected = tm.answers(seeds.keras().Model(text, pooled))
    np.testing.assert_allclose(tensors(survey, seams)[0], expected, atol=1e-6)
    assert [(site.path, site.place) for site in seams.sites] == [("on_words", "before")]
    assert "no dropout stands on whole texts" in seams.notes[0]


def test_a_vector_is_read_before_it_is_rounded_for_a_dropout_in_half_precision(tmp_path: Path) -> None:
    text = tm.text_input()
    hidden = tm.dense(6, "hidden", "tanh")(tm.pooled(text))
    dropped = tm.layers().Dropout(0.2, dtype="mixed_bfloat16", name="dropout")(hidden)
    model = seeds.keras().Model(text, tm.dense(2, "output")(dropped))
    survey = Survey(open_model(tm.save(model, tmp_path / "model")))
    seams = find_seams(survey)
    assert (seams.seam, seams.dtype) == ("hidden", tf.float32)
    found, rounded = tensors(survey, seams)
    expected = tm.answers(seeds.keras().Model(text, hidden))
    np.testing.assert_allclose(found, expected, atol=1e-6)
    assert np.abs(rounded.astype(np.float32) - expected).max() > 1e-4


def test_a_layer_inside_of_another_is_named_by_its_path(tmp_path: Path) -> None:
    directory, hidden = saved(tmp_path, nested_functional)
    survey = Survey(open_model(directory))
    seams = find_seams(survey, "head/hidden")
    np.testing.assert_allclose(tensors(survey, seams)[0], hidden, atol=1e-6)


def test_another_layer_comes_first_and_the_one_at_the_dropout_stays(tmp_path: Path) -> None:
    directory, hidden = saved(tmp_path, two_dropouts)
    survey = Survey(open_model(directory))
    seams = find_seams(survey, "average")
    assert [(readout.layer, readout.kind) for readout, _ in seams.read] == [
        ("average", "other"),
        ("hidden", "pooled"),
    ]
    assert seams.seam == "hidden"
    np.testing.assert_allclose(tensors(survey, seams)[0], hidden, atol=1e-6)


def test_an_output_that_no_text_reaches_leaves_nothing_to_read() -> None:
    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name="text")])
    def constant(text: Any) -> dict[str, Any]:
        del text
        return {"y": tf.zeros([3, 2])}

    seams = find_seams(Survey(tm.opened(constant)))
    assert seams.read == ()
    assert "no single tensor in it stands on every way to the outputs" in seams.unread
