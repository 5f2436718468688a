"""What a model's output is taken for: by its graph, by the loss of its training, by what is declared."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from penult_service.errors import ModelRefused
from penult_service.prepared import Head
from penult_service.preparing.declarations.declaration import Declaration
from penult_service.preparing.heads import head_of
from penult_service.preparing.opened import Opened
from penult_service.preparing.places import Known
from penult_service.preparing.seam.survey import Survey
from support import text_models as tm

pytestmark = pytest.mark.tensorflow

Last = Callable[[Any], Any]


def model(columns: int = 3, last: Last = lambda x: x, **more: Last) -> Opened:
    """A function whose output `scores` is `last` of a dense layer; `more` are further outputs."""
    chance = np.random.default_rng(1)
    weights = tf.Variable(chance.normal(size=(2, columns)), dtype=tf.float32)
    bias = tf.Variable(chance.normal(size=columns), dtype=tf.float32)

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name="text")])
    def function(text: Any) -> dict[str, Any]:
        length = tf.cast(tf.strings.length(text), tf.float32)
        features = tf.stack([length, tf.sin(length)], axis=1)
        logits = tf.nn.bias_add(tf.matmul(features, weights), bias)
        return {name: tf.identity(one(logits)) for name, one in {"scores": last, **more}.items()}

    return replace(tm.opened(function), labels=())


def found(opened: Opened, **declared: Any) -> Head:
    return head_of(opened, Survey(opened), Declaration(**declared))


def refused(opened: Opened, **declared: Any) -> str:
    with pytest.raises(ModelRefused) as caught:
        found(opened, **declared)
    assert caught.value.reason == "BAD_DECLARATION"
    assert str(opened.source) in caught.value.message
    return caught.value.message


# What the graph says

SEEN: dict[str, tuple[int, Last, str, int]] = {
    "one sigmoid": (1, tf.sigmoid, "sigmoid", 2),
    "one sigmoid, a number a row": (1, lambda x: tf.squeeze(tf.sigmoid(x), 1), "sigmoid", 2),
    "several": (3, tf.sigmoid, "multilabel", 3),
    "softmax": (3, tf.nn.softmax, "softmax", 3),
    "softmax in half precision": (
        3,
        lambda x: tf.cast(tf.nn.softmax(tf.cast(x, tf.bfloat16)), tf.float32),
        "softmax",
        3,
    ),
    "linear": (3, lambda x: x, "other", 3),
    "one number": (1, lambda x: x, "other", 1),
    "what sums to one": (3, lambda x: tf.exp(x) / tf.reduce_sum(tf.exp(x), 1, keepdims=True), "other", 3),
    "a softmax of something else": (3, lambda x: tf.nn.softmax(x) * 2.0, "other", 3),
    "classes, not scores": (3, lambda x: tf.argmax(x, 1), "other", 0),
    "softmaxes side by side": (
        4,
        lambda x: tf.reshape(tf.nn.softmax(tf.reshape(x, [-1, 2, 2])), [-1, 4]),
        "other",
        4,
    ),
    "a matrix a row": (4, lambda x: tf.reshape(x, [-1, 2, 2]), "other", 0),
}


@pytest.mark.parametrize(("columns", "last", "kind", "classes"), SEEN.values(), ids=SEEN.keys())
def test_by_the_graph(columns: int, last: Last, kind: str, classes: int) -> None:
    assert found(model(columns, last)) == Head(kind, "scores", classes)


def test_of_several_outputs_none_is_the_head() -> None:
    opened = model(3, tf.nn.softmax, certainty=lambda x: tf.reduce_max(x, 1, keepdims=True))
    assert found(opened).kind == "other"
    message = refused(opened, head="softmax")
    assert "add output = one of 'certainty', 'scores'" in message
    assert found(opened, output="scores") == Head("softmax", "scores", 3)
    assert found(opened, output="certainty", head="regression") == Head("regression", "certainty", 1)
    assert "there is 'scores'" in refused(opened, output="score")
    assert "there is 'certainty', 'scores'" in refused(opened, output="x")


# What the loss says

LOSSES = [
    ("softmax", 3, Head("softmax", "scores", 3, activation="softmax")),
    ("softmax", 1, Head("other", "scores", 1)),
    ("sigmoid", 1, Head("sigmoid", "scores", 2, activation="sigmoid")),
    ("sigmoid", 3, Head("multilabel", "scores", 3, activation="sigmoid")),
    ("regression", 1, Head("regression", "scores", 1)),
    ("regression", 3, Head("regression", "scores", 3)),
]


@pytest.mark.parametrize(("loss", "columns", "head"), LOSSES)
def test_by_the_loss_of_a_linear_output(loss: str, columns: int, head: Head) -> None:
    assert found(replace(model(columns), loss={"scores": loss})) == head
    assert found(replace(model(columns), loss={"other": loss})).kind == "other"


def test_a_loss_does_not_make_probabilities_of_probabilities() -> None:
    opened = replace(model(3, tf.nn.softmax), loss={"scores": "softmax"})
    assert found(opened) == Head("softmax", "scores", 3)


# What is declared

LINEAR = [
    ("logits", 1, Head("sigmoid", "scores", 2, activation="sigmoid")),
    ("logits", 3, Head("softmax", "scores", 3, activation="softmax")),
    ("sigmoid", 1, Head("sigmoid", "scores", 2, activation="sigmoid")),
    ("softmax", 3, Head("softmax", "scores", 3, activation="softmax")),
    ("multi-label", 3, Head("multilabel", "scores", 3, activation="sigmoid")),
    ("multi-label", 1, Head("multilabel", "scores", 1, activation="sigmoid")),
    ("regression", 1, Head("regression", "scores", 1)),
]


@pytest.mark.parametrize(("said", "columns", "head"), LINEAR)
@pytest.mark.parametrize("scale", [1.0, 1e-4], ids=["as it is", "all between 0 and 1"])
def test_of_a_linear_output(said: str, columns: int, head: Head, scale: float) -> None:
    opened = model(columns, lambda x: tf.matmul(x, tf.eye(columns) * scale) + 0.5)
    assert found(opened, head=said) == head
    contradicted = replace(opened, loss={"scores": "regression"})
    assert found(contradicted, head=said) == head  # a person is asked last, and knows


OF_PROBABILITIES: dict[str, tuple[str, int, Last, str]] = {
    "a sigmoid": ("sigmoid", 1, tf.sigmoid, "sigmoid"),
    "a sigmoid by hand": ("sigmoid", 1, lambda x: 1 / (1 + tf.exp(-x)), "sigmoid"),
    "several": ("multi-label", 3, tf.sigmoid, "multilabel"),
    "several by hand": ("multi-label", 3, lambda x: 0.5 + 0.5 * tf.tanh(x), "multilabel"),
    "a softmax": ("softmax", 3, tf.nn.softmax, "softmax"),
    "a softmax by hand": (
        "softmax",
        3,
        lambda x: tf.exp(x) / tf.reduce_sum(tf.exp(x), 1, keepdims=True),
        "softmax",
    ),
    "both of two": ("softmax", 1, lambda x: tf.concat([1 - tf.sigmoid(x), tf.sigmoid(x)], 1), "softmax"),
}


@pytest.mark.parametrize(
    ("said", "columns", "last", "kind"), OF_PROBABILITIES.values(), ids=OF_PROBABILITIES.keys()
)
def test_probabilities_are_left_as_they_are(said: str, columns: int, last: Last, kind: str) -> None:
    head = found(model(columns, last), head=said)
    assert (head.kind, head.activation) == (kind, "")


def test_logits_that_are_scaled_are_no_probabilities() -> None:
    head = found(model(3, lambda x: x / 2.5), head="softmax")
    assert (head.kind, head.activation) == ("softmax", "softmax")


CONTRADICTED: dict[str, tuple[str, int, Last, str]] = {
    "logits of a softmax": ("logits", 3, tf.nn.softmax, "is a softmax already"),
    "logits of a sigmoid": ("logits", 1, tf.sigmoid, "is a sigmoid already"),
    "a softmax of sigmoids": ("softmax", 3, tf.sigmoid, "is a sigmoid"),
    "a multi-label softmax": ("multi-label", 3, tf.nn.softmax, "is a softmax"),
    "a sigmoid of three": ("sigmoid", 3, lambda x: x, "has 3 columns; several are multi-label"),
    "a softmax of one": ("softmax", 1, lambda x: x, "has one column; that is a sigmoid"),
    "of a matrix": ("softmax", 4, lambda x: tf.reshape(x, [-1, 2, 2]), "no matrix of numbers a row"),
}


@pytest.mark.parametrize(("said", "columns", "last", "says"), CONTRADICTED.values(), ids=CONTRADICTED.keys())
def test_what_the_graph_contradicts(said: str, columns: int, last: Last, says: str) -> None:
    assert says in refused(model(columns, last), head=said)


# A model whose own files say it


def known(kind: str) -> Opened:
    return replace(model(), known=Known(None, Head(kind, "scores", 3, ("a", "b", "c"))))  # type: ignore[arg-type]


def test_of_a_model_whose_files_say_it() -> None:
    opened = known("softmax")
    for said in ("", "softmax", "logits"):
        assert head_of(opened, None, Declaration(head=said)) == opened.known.head  # type: ignore[union-attr]
    assert head_of(opened, None, Declaration(labels=("x", "y", "z"))).labels == ("x", "y", "z")
    assert head_of(known("other"), None, Declaration(head="regression")).kind == "regression"
    for declared in (Declaration(head="multi-label"), Declaration(output="x")):
        with pytest.raises(ModelRefused) as caught:
            head_of(opened, None, declared)
        assert caught.value.reason == "BAD_DECLARATION"


# Names of classes


def test_names_are_those_declared_else_those_found() -> None:
    opened = replace(model(3, tf.nn.softmax), labels=("a", "b", "c"))
    assert found(opened).labels == ("a", "b", "c")
    assert found(opened, labels=("x", "y", "z")).labels == ("x", "y", "z")
    assert found(replace(model(1, tf.sigmoid), labels=("no", "yes"))).labels == ("no", "yes")
    assert found(opened, head="regression").labels == ()


@pytest.mark.parametrize("declared", [True, False])
def test_as_many_names_as_classes(declared: bool) -> None:
    opened = model(3, tf.nn.softmax)
    with pytest.raises(ModelRefused) as caught:
        found(opened, labels=("a", "b")) if declared else found(replace(opened, labels=("a", "b")))
    assert caught.value.reason == "BAD_LABELS"
    whence = "penult.toml" if declared else "labels.json"
    assert f"{whence} names 2 classes, the model has 3" in caught.value.message
