"""Shapes of classifiers, as functions of a kit: each is saved in every format that can hold it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from support.formats.kit import Kit, Network, texts

Shape = Callable[[Kit], Network]


def _read(kit: Kit, *, masked: bool = True, length: int | None = 16, **options: Any) -> tuple[Any, Any, Any]:
    """The text, its word ids, and the average of its word vectors."""
    text = kit.text()
    ids = kit.words(length, **options)(text)
    return text, ids, kit.average()(kit.table(masked=masked)(ids))


def _headed(kit: Kit, head: Callable[[Any], tuple[Any, Any]], **options: Any) -> Network:
    """A model whose head gives what is read and what it predicts."""
    text, ids, pooled = _read(kit, **options)
    features, outputs = head(pooled)
    return Network(kit, kit.model(text, outputs), features, ids)


def plain(units: int = 3, activation: str | None = "softmax", **options: Any) -> Shape:
    """Average, `Dropout`, `Dense`."""
    return lambda kit: _headed(
        kit, lambda x: (x, kit.dense(units, activation=activation)(kit.dropout()(x))), **options
    )


def several_dropouts(kit: Kit) -> Network:
    """Three, with layers between."""

    def head(x: Any) -> tuple[Any, Any]:
        x = kit.dense(7, "hidden_1", "tanh")(kit.dropout(0.1, "dropout_a")(x))
        x = kit.dense(6, "hidden_2", "tanh")(kit.dropout(0.2, "dropout_b")(x))
        return x, kit.dense(3, activation="softmax")(kit.dropout(0.3, "dropout_c")(x))

    return _headed(kit, head)


def sequential_head(kit: Kit) -> Network:
    """A `Sequential` of a dropout and a dense layer behind the pooling."""

    def head(x: Any) -> tuple[Any, Any]:
        stack = [kit.dropout(), kit.dense(3, activation="softmax")]
        return x, kit.keras.Sequential(stack, name="head")(x)

    return _headed(kit, head)


def sequential(kit: Kit) -> Network:
    """All of it in one `Sequential`."""
    words, table, average = kit.words(), kit.table(), kit.average()
    stack = [kit.text(), words, table, average, kit.dropout(), kit.dense(3, activation="softmax")]
    model = kit.keras.Sequential(stack)
    return Network(kit, model, lambda text: average(table(words(text))), words)


def nested(kit: Kit) -> Network:
    """The dropout stands three models deep, a dense layer in front of it at each level."""

    def head(x: Any) -> tuple[Any, Any]:
        fronts = [kit.dense(8 - level, f"front_{level}", "tanh") for level in range(3)]
        model: Any = None
        for level in (2, 1, 0):
            inner = kit.layers.Input((x.shape[-1] if level == 0 else 9 - level,))
            y = fronts[level](inner)
            out = kit.dense(3, activation="softmax")(kit.dropout()(y)) if model is None else model(y)
            model = kit.model(inner, out, name=f"level_{level}")
        outputs = model(x)
        for front in fronts:
            x = front(x)
        return x, outputs

    return _headed(kit, head)


def called_twice(kit: Kit) -> Network:
    """One dropout layer, called in front of the hidden layer and behind it."""

    def head(x: Any) -> tuple[Any, Any]:
        dropout = kit.dropout()
        hidden = kit.dense(6, "hidden", "tanh")(dropout(x))
        return hidden, kit.dense(3, activation="softmax")(dropout(hidden))

    return _headed(kit, head)


def mlp_head(kit: Kit) -> Network:
    """The only dropout stands in front of the first of two dense layers."""

    def head(x: Any) -> tuple[Any, Any]:
        hidden = kit.dense(6, "hidden", "relu")(kit.dropout()(x))
        return x, kit.dense(3, activation="softmax")(hidden)

    return _headed(kit, head)


def activation_after(kit: Kit) -> Network:
    """A layer without weights between the dropout and the output."""

    def head(x: Any) -> tuple[Any, Any]:
        bent = kit.layers.Activation("tanh", name="bent")(kit.dropout()(x))
        return x, kit.dense(3, activation="softmax")(bent)

    return _headed(kit, head)


def batch_norm_after(kit: Kit) -> Network:
    """Dropout, then `BatchNormalization`, after a step of training."""

    def head(x: Any) -> tuple[Any, Any]:
        norm = kit.layers.BatchNormalization(momentum=0.5, name="norm")
        return x, kit.dense(3, activation="softmax")(norm(kit.dropout()(x)))

    return _headed(kit, head).fitted()


def batch_norm_before(kit: Kit) -> Network:
    """`BatchNormalization`, then dropout, after a step of training."""

    def head(x: Any) -> tuple[Any, Any]:
        x = kit.layers.BatchNormalization(momentum=0.5, name="norm")(x)
        return x, kit.dense(3, activation="softmax")(kit.dropout()(x))

    return _headed(kit, head).fitted()


def several_outputs(kit: Kit) -> Network:
    """Two heads behind one dropout."""

    def head(x: Any) -> tuple[Any, Any]:
        dropped = kit.dropout()(x)
        outputs = [kit.dense(3, "topic", "softmax")(dropped), kit.dense(1, "spam", "sigmoid")(dropped)]
        return x, outputs

    return _headed(kit, head)


def several_dropped_outputs(kit: Kit) -> Network:
    """Two heads on one vector, a dropout in front of each."""

    def head(x: Any) -> tuple[Any, Any]:
        topic = kit.dense(3, "topic", "softmax")(kit.dropout(0.2, "topic_dropout")(x))
        return x, [topic, kit.dense(1, "spam", "sigmoid")(kit.dropout(0.4, "spam_dropout")(x))]

    return _headed(kit, head)


def multi_sample_dropout(kit: Kit) -> Network:
    """Three dropouts side by side on one vector, one dense layer behind each, the average of their logits."""

    def head(x: Any) -> tuple[Any, Any]:
        dense = kit.dense(3, "logits")
        samples = [dense(kit.dropout(0.1 * number, f"dropout_{number}")(x)) for number in (1, 2, 3)]
        return x, kit.layers.Activation("softmax", name="output")(kit.layers.Average(name="mean")(samples))

    return _headed(kit, head)


def no_dropout(kit: Kit) -> Network:
    """Average, `Dense`: what is read is the input of the last layer with weights."""
    return _headed(kit, lambda x: (x, kit.dense(3, activation="softmax")(x)))


def no_seam(kit: Kit) -> Network:
    """Two ways from the text to the output, each with its dropout: no tensor lies on both but the output's own."""
    text = kit.text()
    ids = kit.words()(text)
    ways = []
    for name, pool in (("average", kit.average()), ("most", kit.layers.GlobalMaxPooling1D(name="most"))):
        vectors = kit.table(masked=False, name=f"vectors_{name}")(ids)
        dropped = kit.dropout(name=f"dropout_{name}")(pool(vectors))
        ways.append(kit.dense(3, f"logits_{name}")(dropped))
    outputs = kit.layers.Activation("softmax", name="output")(kit.layers.Add(name="sum")(ways))
    return Network(kit, kit.model(text, outputs), None, ids)


def half(policy: str) -> Shape:
    """Mixed precision: the layers compute in half, the output layer in float32."""

    def shape(kit: Kit) -> Network:
        with kit.policy(policy):
            text, ids, pooled = _read(kit)
            hidden = kit.dense(8, "hidden", "tanh")(pooled)
            dropped = kit.dropout()(hidden)
            outputs = kit.dense(3, activation="softmax", dtype="float32")(dropped)
            return Network(kit, kit.model(text, outputs), hidden, ids)

    return shape


def ragged_inside(kit: Kit) -> Network:
    """The word ids are a ragged tensor."""
    text = kit.text()
    ids = kit.words(None, ragged=True)(text)
    pooled = kit.average()(kit.table(masked=False)(ids))
    return Network(
        kit, kit.model(text, kit.dense(3, activation="softmax")(kit.dropout()(pooled))), pooled, ids
    )


def recurrent(kit: Kit) -> Network:
    """An LSTM with its own dropouts."""
    text = kit.text()
    ids = kit.words()(text)
    cell = kit.layers.LSTM(6, dropout=0.1, recurrent_dropout=0.1, name="lstm")
    state = cell(kit.table()(ids))
    return Network(kit, kit.model(text, kit.dense(3, activation="softmax")(kit.dropout()(state))), state, ids)


def shared_encoder(kit: Kit) -> Network:
    """Two texts through one encoder: both vectors, and how far apart they are."""
    text, _, pooled = _read(kit)
    encoder = kit.model(text, pooled, name="encoder")
    first, second = kit.text("first"), kit.text("second")
    a, b = encoder(first), encoder(second)
    away = kit.layers.Subtract(name="away")([a, b])
    both = kit.layers.Concatenate(name="both")([a, b, kit.layers.Multiply(name="product")([away, away])])
    outputs = kit.dense(3, activation="softmax")(kit.dropout()(both))
    given = {"first": texts(), "second": texts(8)}
    return Network(kit, kit.model([first, second], outputs), both, None, given)


def text_and_numbers(kit: Kit) -> Network:
    """Numbers join the vector in front of the dropout."""
    text, ids, pooled = _read(kit)
    numbers = kit.layers.Input((3,), dtype="float32", name="numbers")
    joined = kit.layers.Concatenate(name="joined")([pooled, numbers])
    outputs = kit.dense(3, activation="softmax")(kit.dropout()(joined))
    return Network(kit, kit.model([text, numbers], outputs), joined, ids, _with_numbers())


def numbers_behind(kit: Kit) -> Network:
    """Numbers join behind the dropout: the head takes them."""
    text, ids, pooled = _read(kit)
    numbers = kit.layers.Input((3,), dtype="float32", name="numbers")
    joined = kit.layers.Concatenate(name="joined")([kit.dropout()(pooled), numbers])
    outputs = kit.dense(3, activation="softmax")(joined)
    return Network(kit, kit.model([text, numbers], outputs), pooled, ids, _with_numbers())


def _with_numbers() -> dict[str, Any]:
    numbers = np.random.default_rng(11).normal(size=(len(texts()), 3)).astype(np.float32)
    return {"text": texts(), "numbers": numbers}


def numbers_alone(kit: Kit) -> Network:
    """No text at all."""
    numbers = kit.layers.Input((5,), dtype="float32", name="numbers")
    hidden = kit.dense(6, "hidden", "tanh")(numbers)
    outputs = kit.dense(3, activation="softmax")(kit.dropout()(hidden))
    given = {"numbers": np.random.default_rng(29).normal(size=(8, 5)).astype(np.float32)}
    return Network(kit, kit.model(numbers, outputs), hidden, None, given)
