"""Heads of tf_keras models, each with the tensor in front of the dropout that Keras itself would name."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
from penult_service.preparing import parts
from penult_service.preparing.places import Seams
from penult_service.preparing.seam.survey import Survey
from support import seed_model as seeds
from support import text_models as tm

Head = Callable[[Any, Any], tuple[Any, Any]]
"""`tf_keras.layers`, the pooled text → the outputs, and the tensor in front of the dropout wanted."""


def plain(layers: Any, x: Any) -> tuple[Any, Any]:
    return tm.dense(2, "output")(layers.Dropout(0.1, name="dropout")(x)), x


def two_dropouts(layers: Any, x: Any) -> tuple[Any, Any]:
    before = tm.dense(6, "hidden", "relu")(layers.Dropout(0.1, name="first")(x))
    return tm.dense(2, "output")(layers.Dropout(0.2, name="second")(before)), before


def called_twice(layers: Any, x: Any) -> tuple[Any, Any]:
    dropout = layers.Dropout(0.1, name="dropout")
    before = tm.dense(6, "hidden", "relu")(dropout(x))
    return tm.dense(2, "output")(dropout(before)), before


def mlp(layers: Any, x: Any) -> tuple[Any, Any]:
    before = layers.ReLU(name="relu")(tm.dense(6, "hidden")(x))
    return tm.dense(2, "output", "sigmoid")(layers.Dropout(0.1, name="dropout")(before)), before


def mlp_behind_the_dropout(layers: Any, x: Any) -> tuple[Any, Any]:
    hidden = tm.dense(6, "hidden", "relu")(layers.Dropout(0.1, name="dropout")(x))
    return tm.dense(2, "output")(hidden), x


def norm_before(layers: Any, x: Any) -> tuple[Any, Any]:
    before = norm(layers)(x)
    return tm.dense(2, "output")(layers.Dropout(0.1, name="dropout")(before)), before


def norm_after(layers: Any, x: Any) -> tuple[Any, Any]:
    return tm.dense(2, "output")(norm(layers)(layers.Dropout(0.1, name="dropout")(x))), x


def norm(layers: Any) -> Any:
    """A BatchNormalization with statistics that do something."""
    return layers.BatchNormalization(
        name="norm", moving_mean_initializer=tm.normal(4), gamma_initializer=tm.normal(5)
    )


def nested_functional(layers: Any, x: Any) -> tuple[Any, Any]:
    inner_input = layers.Input(shape=(tm.WIDTH,))
    hidden = tm.dense(6, "hidden", "relu")(inner_input)
    dropped = layers.Dropout(0.1, name="inner_dropout")(hidden)
    model = seeds.keras().Model
    inner = model(inner_input, tm.dense(2, "inner_output")(dropped), name="head")
    return inner(x), model(inner_input, hidden)(x)


def sequential(layers: Any, x: Any) -> tuple[Any, Any]:
    dropout = layers.Dropout(0.1, name="dropout")
    return seeds.keras().Sequential([dropout, tm.dense(2, "last", "softmax")], name="head")(x), x


def several_outputs(layers: Any, x: Any) -> tuple[Any, Any]:
    dropped = layers.Dropout(0.1, name="dropout")(x)
    return {"zone": tm.dense(2, "zone")(dropped), "age": tm.dense(1, "age")(dropped)}, x


def identity_behind(layers: Any, x: Any) -> tuple[Any, Any]:
    dropped = layers.Dropout(0.1, name="dropout")(x)
    same = layers.Lambda(lambda y: tf.identity(y), name="same")(tm.dense(6, "hidden")(dropped))
    return tm.dense(2, "output")(same), x


def gaussian_noise(layers: Any, x: Any) -> tuple[Any, Any]:
    return tm.dense(2, "output")(layers.GaussianNoise(0.4, name="noise")(x)), x


def shared_noise_shape(layers: Any, x: Any) -> tuple[Any, Any]:
    dropout = layers.Dropout(0.1, noise_shape=(None, 1), name="dropout")
    return tm.dense(2, "output")(dropout(x)), x


def samples(layers: Any, x: Any) -> tuple[Any, Any]:
    """Several draws of one vector, and their average."""
    output = tm.dense(2, "output")
    drawn = [output(layers.Dropout(0.1 * n, name=f"sample_{n}")(x)) for n in (1, 2, 3)]
    return layers.Average(name="averaged")(drawn), x


def a_dropout_each(layers: Any, x: Any) -> tuple[Any, Any]:
    outputs = {"zone": tm.dense(2, "zone"), "age": tm.dense(1, "age")}
    return {name: made(layers.Dropout(0.1, name=f"drop_{name}")(x)) for name, made in outputs.items()}, x


def one_behind_the_other(layers: Any, x: Any) -> tuple[Any, Any]:
    """One output is taken behind the first dropout, the other behind a second one."""
    hidden = tm.dense(6, "hidden", "tanh")(layers.Dropout(0.1, name="first")(x))
    deep = tm.dense(1, "deep")(layers.Dropout(0.2, name="second")(hidden))
    return {"deep": deep, "plain": tm.dense(2, "plain")(hidden)}, x


def bilinear(layers: Any, x: Any) -> tuple[Any, Any]:
    dropped = layers.Dropout(0.1, name="dropout")(x)
    return layers.Multiply(name="output")([tm.dense(2, "left")(dropped), tm.dense(2, "right")(dropped)]), x


def saved(place: Path, head: Head) -> tuple[Path, np.ndarray]:
    """A model with that head; what Keras says stands in front of the dropout, of `tm.TEXTS`."""
    model = seeds.keras().Model
    text = tm.text_input()
    outputs, before = head(tm.layers(), tm.pooled(text))
    directory = tm.save(model(text, outputs), place / "model")
    return directory, tm.answers(model(text, before))


def tensors(survey: Survey, seams: Seams) -> list[np.ndarray]:
    """The tensors of the saved graph on both sides of the dropout found."""
    found = parts.references(survey.opened, {seams.before, seams.after})(tf.constant(tm.TEXTS))
    return [found[ref].numpy() for ref in (seams.before, seams.after)]
