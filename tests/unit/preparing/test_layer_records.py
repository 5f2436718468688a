"""The layers of a model as its manifest tells them, against the model that Keras built, and the tensors in a file."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import tensorflow as tf
from penult_service.errors import InvalidInput
from penult_service.prepared import MANIFEST_NAME, LayerRecord, Manifest, load_manifest
from penult_service.preparing import hf_model, pipeline
from penult_service.preparing.declarations.declaration import NOTHING
from penult_service.preparing.formats import keras_file, keras_hub_model, saved_model
from penult_service.preparing.layers import records_of
from penult_service.preparing.opened import Layer
from safetensors import safe_open
from support import seed_model as seeds
from support import text_models as tm
from support import tiny_keras_hub
from support.formats import plain
from support.keras_opening import save
from support.tiny_hf import KINDS, write_tiny_hf

FILES = [
    ("tf_keras", ""),
    ("tf_keras", ".keras"),
    pytest.param("tf_keras", ".h5", marks=pytest.mark.full),
    ("keras", ".keras"),
]


def network(keras: Any) -> Any:
    """Recurrent layers of all kinds, a model within the model, statistics that are no trained weights."""
    layers = keras.layers
    ids = keras.Input((None,), dtype="int32", name="ids")
    x = layers.Embedding(50, 8, mask_zero=True, name="words")(ids)
    both = layers.LSTM(3, return_sequences=True, dropout=0.1, recurrent_dropout=0.2)
    x = layers.Bidirectional(both, name="both")(x)
    x = layers.MultiHeadAttention(2, 4, dropout=0.1, name="heads")(x, x)
    x = layers.SpatialDropout1D(0.2, name="spatial")(layers.Conv1D(5, 2, name="conv")(x))
    x = layers.GRU(4, return_sequences=True, dropout=0.3, name="gru")(x)
    x = layers.RNN([layers.LSTMCell(4, dropout=0.3), layers.GRUCell(5)], name="cells")(x)
    inner = [layers.Dense(6, name="hidden"), layers.Dropout(0.2, name="drop"), layers.BatchNormalization()]
    x = keras.Sequential(inner, name="head")(x)
    return keras.Model(ids, layers.Dense(3, activation="softmax", name="output")(x))


def live(model: Any, around: str = "") -> Iterator[tuple[str, Any]]:
    """Path -> layer, of a model, the models within it, and both ways of a bidirectional layer."""
    for layer in model.layers:
        yield around + layer.name, layer
        inner = [getattr(layer, name) for name in ("forward_layer", "backward_layer") if hasattr(layer, name)]
        yield from ((f"{around}{layer.name}/{one.name}", one) for one in inner)
        if hasattr(layer, "layers"):
            yield from live(layer, f"{around}{layer.name}/")


def output_of(layer: Any) -> tuple[int, ...] | None:
    """As Keras says it; None where it does not."""
    try:
        shape = layer.output.shape
    except (AttributeError, ValueError):
        return None
    return tuple(-1 if length is None else length for length in shape)


@pytest.mark.parametrize(("flavour", "ending"), FILES)
def test_layers_are_those_that_keras_built(flavour: str, ending: str, tmp_path: Path) -> None:
    keras = seeds.keras() if flavour == "tf_keras" else __import__("keras")
    model = network(keras)
    path = save(model, tmp_path, ending)
    found = records_of(keras_file.open_file(path) if ending else saved_model.open_model(path))
    first, *inner = found
    assert (first.path, first.parameters) == ("", model.count_params())
    assert first.output_shape == (-1, 3)
    assert len({one.path for one in found}) == len(found)
    told = {one.path: one for one in inner}
    for place, layer in live(model):
        # A SavedModel does not keep the input of a model within the model.
        if place not in told and type(layer).__name__ == "InputLayer":
            continue
        one = told[place]
        assert one.layer_class == type(layer).__name__
        assert one.parameters == layer.count_params(), place
        shape = output_of(layer)
        assert shape is None or one.output_shape == shape, place
        assert one.units == getattr(layer, "units", 0)
        recurrent = hasattr(layer, "recurrent_dropout")
        assert one.recurrent_dropout == (layer.recurrent_dropout if recurrent else None)
        assert one.dropout == (layer.dropout if recurrent else None)
    _check_inner(found)


def _check_inner(found: Sequence[LayerRecord]) -> None:
    """What Keras does not say of layers inside of layers, the graph does; the order."""
    told = {one.path: one for one in found}
    assert told["heads/query"].output_shape == (-1, -1, 2, 4)  # 2 heads of 4
    assert told["heads/attention_output"].output_shape == (-1, -1, 6)
    assert [one.output_shape for one in found if one.path.startswith("both/")] == [(-1, -1, 3)] * 2
    # The cell of an LSTM is the layer itself; those of a stack are layers of their own.
    cells = [(one.layer_class, one.units) for one in found if one.layer_class.endswith("Cell")]
    assert cells == [("LSTMCell", 4), ("GRUCell", 5)]
    order = [one.path for one in found]
    assert all(order.index(path.rpartition("/")[0]) < order.index(path) for path in order if "/" in path)


def test_the_manifest_has_the_layers_and_a_site_is_one_of_them(tmp_path: Path) -> None:
    layers, text = tm.layers(), tm.text_input()
    x = layers.Dropout(0.2, name="words_out")(tm.vectors(text))
    x = layers.LSTM(6, dropout=0.3, recurrent_dropout=0.1, name="lstm")(x)
    head = seeds.keras().Sequential([layers.Dropout(0.5, name="dropout"), tm.dense(3, "output")], name="head")
    model = seeds.keras().Model(text, head(x))
    source = tm.save(model, tmp_path / "model")
    manifest = pipeline.prepare(source, tmp_path / "prepared", None, lambda *_: None)
    manifest = Manifest.from_json(manifest.to_json())
    paths = [layer.path for layer in manifest.layers]
    assert {site.path for site in manifest.sites} == {"words_out", "head/dropout"} <= set(paths)
    lstm = manifest.layers[paths.index("lstm")]
    assert lstm == LayerRecord("lstm", "LSTM", (-1, 6), 4 * ((tm.WIDTH + 6 + 1) * 6), 6, 0.3, 0.1)
    assert manifest.layers[0].parameters == model.count_params()
    damaged = replace(manifest, layers=(replace(lstm, units=1 << 40),))
    (tmp_path / "prepared" / MANIFEST_NAME).write_text(damaged.to_json(), encoding="utf-8")
    with pytest.raises(InvalidInput, match="a number of its layers"):
        load_manifest(tmp_path / "prepared")


# A preprocessor in the graph, and a tokenizer's file.
@pytest.mark.parametrize("family", ["bert", pytest.param("roberta", marks=pytest.mark.full)])
def test_layers_of_a_keras_hub_classifier(family: str, tmp_path: Path) -> None:
    task = tiny_keras_hub.classifier(family)
    backbone = task.backbone
    found = records_of(keras_hub_model.open_task(tmp_path, "KerasHub", task, {}, NOTHING))
    told = {one.path: one for one in found}
    assert told[""].parameters == task.count_params()
    assert told[backbone.name].parameters == backbone.count_params()
    for layer in (one for one in backbone.layers if one.weights):
        one = told[f"{backbone.name}/{layer.name}"]
        assert (one.parameters, one.output_shape) == (layer.count_params(), output_of(layer))
    inner = told[f"{backbone.name}/transformer_layer_1/feedforward_output_dense"]
    width = tiny_keras_hub.WIDTH
    assert (inner.output_shape, inner.parameters) == ((-1, -1, width), 2 * width * width + width)


@pytest.mark.parametrize("kind", KINDS)
def test_layers_of_a_hugging_face_directory_are_its_tensors(kind: str, tmp_path: Path) -> None:
    directory = write_tiny_hf(tmp_path / kind, kind).directory
    opened = hf_model.open_model(directory)
    network = opened.root.network
    with safe_open(directory / "model.safetensors", "np") as file:
        sizes = {name: math.prod(file.get_slice(name).get_shape()) for name in file.keys()}  # noqa: SIM118
    for name in network.unused():
        sizes.pop(name, None)
    first, *parts = records_of(opened)
    assert first == LayerRecord("", network.family.architecture, (-1, network.classes), sum(sizes.values()))
    for one in parts:
        assert one.parameters == sum(n for name, n in sizes.items() if name.startswith(f"{one.path}.")), one
    assert {one.layer_class for one in parts} >= {"Linear", "LayerNorm", "Embedding"}
    assert parts[-1].output_shape == (-1, network.classes)
    # Every tensor belongs to a part.
    whole = [f"{one.path}." for one in parts]
    assert all(any(name.startswith(place) for place in whole) for name in sizes)


def test_a_graph_that_nobody_describes_has_no_layers(tmp_path: Path) -> None:
    made = plain.one_signature()(tmp_path)
    assert records_of(saved_model.open_model(made.source)) == ()


def test_what_a_file_says_of_itself_does_not_end_the_preparing(tmp_path: Path) -> None:
    """A name that is no text, numbers that are none, objects that are not there."""
    opened = saved_model.open_model(tm.save(tm.classifier(), tmp_path / "model"))
    strange = [
        Layer("root.nowhere.7", "half \ud800" * 99, "LSTM", {"units": True, "recurrent_dropout": "much"}),
        Layer("root.variables.99", "b", "Dense\udfff", {"units": 1 << 70}),
        Layer("root.__class__", "c", "InputLayer", {"batch_input_shape": ["x", None]}),
        Layer("root._kept", "d", "GRU", {"units": -3, "dropout": float("nan"), "recurrent_dropout": 9}),
    ]
    found = records_of(replace(opened, layers=(*opened.layers, *strange)))
    assert [(one.units, one.parameters, one.dropout, one.output_shape) for one in found[-4:]] == [
        (0, 0, None, ())
    ] * 4
    for one in found:
        assert len(f"{one.path} {one.layer_class}".encode()) < 1000
    assert records_of(opened) == found[:-4]


def test_shapes_that_cannot_be_inferred_are_not_told(tmp_path: Path) -> None:
    opened = saved_model.open_model(tm.save(tm.classifier(), tmp_path / "model"))
    node = next(node for node in opened.flat.nodes.values() if node.op == "MatMul")
    node.attr["transpose_b"].b = True  # contradicts the shapes of its inputs
    known = {one.path: one for one in records_of(opened)}
    assert known["output"].parameters == tf.size(opened.root.variables[-1]).numpy() + tm.WIDTH * 3
    assert known["output"].output_shape == ()
