"""What Keras itself says: the original model's tensors on both sides of its dropout, and its prediction.

Keras builds layers from their configs, and a config may hold code; so it is asked only where the reader says that it
may be (`Opened.keras`), and only for comparison. Both Keras versions; the layer may stand in models within the model.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from penult_service.errors import ModelRefused
from penult_service.prepared import Site
from penult_service.preparing.formats.keras_marks import Placed, is_noise, layers_of, noted
from penult_service.preparing.formats.keras_trace import arguments_of, given_to, named_outputs
from penult_service.preparing.graph import node_of
from penult_service.preparing.opened import Opened
from penult_service.preparing.proof.experiment import TOLERANCE, Outcome, Said, relative

# Eight steps of half precision at 1: graphs that fuse other operations round in other places.
_HALVES = {tf.bfloat16: 2.0**-5, tf.float16: 2.0**-8}


def compare(outcome: Outcome, opened: Opened, site: Site | None, said: Said) -> None:
    """Adds the figures, or a note that says why Keras was not asked.

    Args:
        outcome: What the figures are added to.
        opened: The model.
        site: The dropout at the seam.
        said: What ours said of the rows of the experiment.
    """
    if opened.keras is None:
        if opened.layers:  # else it is no file of Keras
            outcome.notes.append(
                "Keras was not asked to load the file: it names classes that might bring code along"
            )
        return
    try:
        model = opened.keras()
        fed = _fed(opened, model, said.given)
    except Exception as error:  # noqa: BLE001  (Keras is a witness only: whatever stops it does not stop the proof)
        outcome.notes.append(
            f"Keras could not load the file ({type(error).__name__}), so it was not compared with"
        )
        return
    predicted = named_outputs(model, model.predict(fed, batch_size=len(said.embedding), verbose=0))
    limit = _limit(opened)
    _predictions(outcome, said.outputs, predicted, limit)
    if site is None:
        outcome.notes.append("no dropout stands at the seam: of Keras, only its predictions were compared")
        return
    sides = _sides(opened, model, site, fed)
    if sides is None:
        outcome.notes.append("Keras shows no such layer of this model, so its tensors were not compared")
        return
    for side, tensor in zip(("before", "after"), sides, strict=True):
        where = "in front of" if side == "before" else "behind"
        # A dropout in half precision is handed rounded numbers.
        ours_there = tf.cast(said.embedding, tensor.dtype)
        outcome.add(
            f"embedding_vs_keras_{side}",
            f"ours against Keras' tensor {where} the dropout, |d| / (1 + |x|)",
            relative(_float32(ours_there), _float32(tensor)),
            limit,
        )


def _limit(opened: Opened) -> float:
    """The largest difference accepted: that of the coarsest type that the model computes in."""
    types = {attr.type for node in opened.flat.nodes.values() for attr in node.attr.values()}
    halves = [limit for dtype, limit in _HALVES.items() if dtype.as_datatype_enum in types]
    return max([TOLERANCE, *halves])


def _predictions(
    outcome: Outcome, ours: Mapping[str, Any], predicted: Mapping[str, Any], limit: float
) -> None:
    """Output by output; a graph that was saved may call its only one otherwise."""
    if len(ours) == len(predicted) == 1:
        pairs = list(zip(ours.values(), predicted.values(), strict=True))
    elif set(ours) == set(predicted):
        pairs = [(ours[name], predicted[name]) for name in ours]
    else:
        outcome.notes.append(
            f"Keras calls the outputs {', '.join(predicted)}, the graph {', '.join(ours)}: its predict was not compared"
        )
        return
    worst = max(relative(found, expected) for found, expected in pairs)
    outcome.add("prediction_vs_keras", "ours against Keras' predict, |d| / (1 + |x|)", worst, limit)


def _fed(opened: Opened, model: Any, given: Sequence[tf.Tensor]) -> Any:
    """The rows in the structure that Keras takes: inputs by their names, else in order."""
    try:
        arguments = arguments_of(str(opened.source), model)
    except ModelRefused:  # one that was saved as a graph, and shows no inputs
        return given[0] if len(given) == 1 else list(given)
    rows = {one.name: tensor for one, tensor in zip(opened.inputs, given, strict=True)}
    in_order = (
        [rows[one.name] for one in arguments] if set(rows) == {one.name for one in arguments} else given
    )
    return given_to(model, arguments, in_order)


def _sides(opened: Opened, model: Any, site: Site, fed: Any) -> tuple[tf.Tensor, tf.Tensor] | None:
    """Keras' tensors in front of and behind the dropout; None when it has no such layer, or which call is not clear."""
    found = _layer(opened, model, site)
    if found is None:
        return None
    placed, call = found

    # In a graph, as `predict` runs it: one operation after the other rounds half precision otherwise.
    @tf.function(autograph=False)
    def around(rows: Any) -> list[tuple[Any, Any]]:
        calls: list[tuple[Any, Any]] = []
        with noted(placed, lambda before, after: calls.append((before, after))):
            model(rows, training=False)
        return calls

    calls = around(fed)
    if call is None and len(calls) != 1:
        return None
    number = (call or 1) - 1
    if number >= len(calls):
        return None
    before, after = calls[number]
    return tf.convert_to_tensor(before), tf.convert_to_tensor(after)


def _layer(opened: Opened, model: Any, site: Site) -> tuple[Placed, int | None] | None:
    """The layer of the site, and which call of it; None: it is called once, or not clear."""
    placed = layers_of(model)
    for mark in opened.marks or ():
        if node_of(mark.after) == site.tensor:
            layer = next((one for one in placed if one.record.path == mark.layer.path), None)
            return None if layer is None else (layer, mark.call)
    name = site.path.rpartition("/")[2].partition("#")[0]
    named = [one for one in placed if one.path[-1] == name and is_noise(one.layer)]
    if len(named) != 1:
        return None
    return named[0], _call_by_scope(name, site.tensor) if len(named[0].path) == 1 else None


def _call_by_scope(name: str, tensor: str) -> int | None:
    """`dropout/Identity_1` is the second call of `dropout`, and `dropout_1/Identity` where scopes are numbered."""
    *_, scope, last = ["", *tensor.split("/")]
    match = re.fullmatch(rf"{re.escape(name)}(?:_(\d+))?/Identity(?:_(\d+))?", f"{scope}/{last}")
    if match is None or (match[1] and match[2]):
        return None
    return int(match[1] or match[2] or 0) + 1


def _float32(tensor: Any) -> NDArray[np.float32]:
    return np.asarray(tf.cast(tensor, tf.float32))
