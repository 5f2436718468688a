"""The layers of a model as a person knows them: what each gives, how many numbers it was trained to.

Of a file that Keras loads, the layers tell it themselves; of a SavedModel of tf_keras, its `keras_metadata.pb`, the
variables that its objects track and the graph; of a Hugging Face directory, the shapes that `config.json` asks for. A
graph that nobody describes has no layers.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, TypeGuard

import tensorflow as tf

from penult_service.prepared import LayerRecord
from penult_service.preparing.formats.hf_network import Network, Part
from penult_service.preparing.formats.keras_marks import layers_of, records
from penult_service.preparing.hf_graph import HfNetwork
from penult_service.preparing.layer_shapes import Shape, as_shape, shapes_of
from penult_service.preparing.opened import Layer, Opened

Told = tuple[Layer, LayerRecord]
"""A layer as the survey knows it, and what is told of it but for names."""
_ROOT = "root"
_MOST, _LONGEST = 10_000, 200  # layers, and characters of a name: more than anybody reads
_LARGEST = 1 << 31
# What transformers calls the layers of the encoders that are read here.
_HF_LAYERS = {"distilbert": "TransformerBlock", "bert": "BertLayer", "electra": "ElectraLayer"} | {
    "roberta": "RobertaLayer",
    "albert": "AlbertLayer",
}


def records_of(opened: Opened) -> tuple[LayerRecord, ...]:
    """The model itself, of path "", and the layers inside it, outer ones in front of theirs; empty when not known."""
    if isinstance(opened.root, HfNetwork):
        return _of_network(opened.root.network)
    told = _of_keras(opened.root.model) if opened.marks is not None else _of_saved(opened)
    if not told:
        return ()
    layers = [layer for layer, _ in told]
    shapes, paths = shapes_of(opened, layers), _paths(layers)
    found = [
        replace(
            record,
            path=paths[layer.path],
            layer_class=_name(layer.class_name),
            output_shape=record.output_shape or shapes.get(layer.path, ()),
        )
        for layer, record in _inner_behind_outer(told)
    ]
    cells = _own_cells(found)
    return tuple(one for one in found if one.path not in cells)


def _of_keras(model: Any) -> list[Told]:
    """What the layers that Keras built say."""
    placed = layers_of(model)[: _MOST - 1]
    live = [model, *(one.layer for one in placed)]
    return [(known, _of_layer(layer)) for known, layer in zip(records(model, placed), live, strict=True)]


def _of_layer(layer: Any) -> LayerRecord:
    settings = {name: getattr(layer, name, None) for name in ("units", "dropout", "recurrent_dropout")}
    return _recorded(_count(layer.weights), settings, _output_of(layer))


def _output_of(layer: Any) -> Shape:
    """Of its one output; empty: it has several, or was called at several places, or inside of another layer alone."""
    try:
        output = layer.output
    except (AttributeError, RuntimeError, ValueError):
        return ()
    return as_shape(getattr(output, "shape", None))


def _of_saved(opened: Opened) -> list[Told]:
    """What the file says of its layers, and what the objects at their places track."""
    return [
        (layer, _recorded(_count(_tracked(opened.root, layer.path)), layer.config, _asked(layer)))
        for layer in opened.layers[:_MOST]
    ]


def _asked(layer: Layer) -> Shape:
    """Shape of an input, as the file says it."""
    shape = layer.config.get("batch_input_shape") if layer.class_name == "InputLayer" else None
    shape = shape.get("items") if isinstance(shape, dict) else shape  # a tuple, as Keras writes it
    known = _is_list(shape) and all(one is None or _is_whole(one) for one in shape)
    return as_shape(shape) if known else ()


def _tracked(root: Any, path: str) -> Sequence[Any]:
    """The variables of the object there."""
    found = root
    for part in path.split(".")[1:]:
        try:
            found = found[int(part)] if part.isdigit() else getattr(found, part)
        except (AttributeError, LookupError, TypeError):
            return ()
    variables = getattr(found, "variables", ())
    # Whole numbers are no weights: the states of the generators that a hub layer's dropouts draw from.
    return [one for one in variables if _is_weight(one)] if _is_list(variables) else ()


def _is_weight(value: Any) -> bool:
    return isinstance(value, tf.Variable) and value.dtype.is_floating


def _recorded(parameters: int, settings: Mapping[str, Any], output: Shape = ()) -> LayerRecord:
    units = settings.get("units")
    recurrent = _rate(settings.get("recurrent_dropout"))
    return LayerRecord(
        path="",
        layer_class="",
        output_shape=output,
        parameters=parameters,
        units=units if _is_whole(units) else 0,
        # An attention layer has a `dropout` too, of another meaning: a site of its own.
        dropout=None if recurrent is None else _rate(settings.get("dropout")),
        recurrent_dropout=recurrent,
    )


def _rate(value: Any) -> float | None:
    known = isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= 1
    return float(value) if known else None


def _count(variables: Iterable[Any]) -> int:
    """Numbers in variables of Keras or TensorFlow, each counted once."""
    once = {id(one): one for one in variables}
    return sum(math.prod(shape) for one in once.values() if None not in (shape := tuple(one.shape)))


def _is_whole(value: Any) -> TypeGuard[int]:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < _LARGEST


def _is_list(value: Any) -> TypeGuard[Sequence[Any]]:
    return isinstance(value, Sequence) and not isinstance(value, str | bytes)


def _paths(layers: Iterable[Layer]) -> dict[str, str]:
    """Path among the objects -> the names of the layers around it and its own, as of a `Site`."""
    names = {layer.path: layer.name for layer in layers if layer.path != _ROOT}
    found = {_ROOT: ""}
    for path, name in names.items():
        parts = path.split(".")
        around = (names.get(".".join(parts[:count]), "") for count in range(1, len(parts)))
        found[path] = "/".join(_name(one) for one in (*filter(None, around), name))
    return found


def _name(name: str) -> str:
    """As it can be written: half of a surrogate pair is no text."""
    return name[:_LONGEST].encode("utf-8", "replace").decode("utf-8")


def _inner_behind_outer(told: Sequence[Told]) -> list[Told]:
    """Each layer in front of those inside it, else in their order."""
    order = {layer.path: number for number, (layer, _) in enumerate(told)}

    def key(one: Told) -> list[int]:
        parts = one[0].path.split(".")
        ways = (".".join(parts[:count]) for count in range(1, len(parts) + 1))
        return [order[way] for way in ways if way in order]

    return sorted(told, key=key)


def _own_cells(found: Sequence[LayerRecord]) -> set[str]:
    """Paths of the cells of recurrent layers that are nothing but their cell, such as that of an `LSTM`."""
    classes = {one.path: one.layer_class for one in found}
    return {
        path
        for path, name in classes.items()
        if name.endswith("Cell") and classes.get(path.rpartition("/")[0]) == name.removesuffix("Cell")
    }


def _of_network(network: Network) -> tuple[LayerRecord, ...]:
    """The parts of a Hugging Face model that have weights, by the classes that transformers makes of them."""
    family = network.family
    blocks: list[LayerRecord] = []
    for path in dict.fromkeys(network.layers):  # layers that share weights are one
        parts = [_of_part(part, (-1, -1)) for part in network.layer(path).values()]
        total = sum(one.parameters for one in parts)
        kind = _HF_LAYERS.get(family.model_type, "")
        blocks += [LayerRecord(path, kind, (-1, -1, network.encoder.width), total), *parts]
    embeddings = [_of_part(part, (-1, -1)) for part in network.embeddings().values()]
    head = [_of_part(part, (-1,)) for part in network.head().values()]
    total = sum(math.prod(shape) for shape in network.tensors().values())
    whole = LayerRecord("", family.architecture, (-1, network.classes), total)
    return (whole, *embeddings, *blocks, *head)


def _of_part(part: Part, rows: tuple[int, ...]) -> LayerRecord:
    """A table, a norm, or a dense layer whose weight is [outputs, inputs]."""
    parameters = sum(math.prod(shape) for shape in part.tensors.values())
    if len(part.shape) == 1:
        return LayerRecord(part.path, "LayerNorm", (*rows, part.shape[0]), parameters)
    if not part.bias:
        return LayerRecord(part.path, "Embedding", (*rows, part.shape[1]), parameters)
    return LayerRecord(part.path, "Linear", (*rows, part.shape[0]), parameters, part.shape[0])
