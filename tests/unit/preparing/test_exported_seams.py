"""Where exported graphs are read: in front of the last dropout, or nowhere, and then what can be read is listed.

An export of Keras 3 keeps no operation of a dropout. What it does keep is held against models that it could also be of.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytestmark = pytest.mark.tensorflow

tf = pytest.importorskip("tensorflow")

from penult_service.preparing import parts  # noqa: E402
from penult_service.preparing.declarations.declaration import Declaration  # noqa: E402
from penult_service.preparing.formats.saved_model import open_model  # noqa: E402
from penult_service.preparing.seam.seams import find_seams  # noqa: E402
from penult_service.preparing.seam.survey import Survey  # noqa: E402
from support.formats import shapes  # noqa: E402
from support.formats.keras_formats import EXPORT, save  # noqa: E402
from support.formats.kit import KERAS, Kit, Network, by_hand  # noqa: E402

Shape = Callable[[Kit], Network]


def exported(shape: Shape, place: Path) -> tuple[Survey, Network]:
    network = shape(Kit(KERAS))
    if hasattr(network.model, "vector"):  # the author's own: Keras would take its input for numbers
        text = tf.TensorSpec([None], tf.string, name="text")
        network.model.export(str(place / "model"), input_signature=[text], verbose=False)
        return Survey(open_model(place / "model")), network
    return Survey(open_model(save(network.model, place, EXPORT))), network


def at(survey: Survey, ref: str, network: Network) -> np.ndarray:
    """That tensor of the exported graph, for what the live model is asked."""
    given = [tf.constant(network.given[one.name]) for one in survey.opened.inputs]
    return np.asarray(tf.cast(parts.references(survey.opened, [ref])(*given)[ref], tf.float32))


def dense_in_front(kit: Kit) -> Network:
    """Dense, tanh, dropout, dense: bias and tanh are of one layer, and no dropout stands between them."""
    return shapes._headed(
        kit, lambda x: (y := kit.dense(6, "hidden", "tanh")(x), kit.dense(2)(kit.dropout()(y)))
    )


DECIDED: dict[str, Shape] = {
    "dropout": shapes.plain(),
    "dense in front": dense_in_front,
    "several dropouts": shapes.several_dropouts,
    "several outputs": shapes.several_outputs,
    "a dropout each": shapes.several_dropped_outputs,
    "norm before": shapes.batch_norm_before,
    "no dropout": shapes.no_dropout,
    "Sequential": shapes.sequential,
    "Sequential head with a name": shapes.sequential_head,
    "LSTM": shapes.recurrent,
    "numbers alone": shapes.numbers_alone,
    "float16": shapes.half("mixed_float16"),
}


WHY = (
    "by the order of the variables",
    "the input of the last trained layer, output",
    "no other tensor is passed on",
)


FULL = (
    {
        "Sequential",
        "numbers alone",
        "several dropouts",
        "norm before",
        "a dropout each",
        "Sequential head with a name",
    }
    | {"numbers in front", "numbers behind", "shared encoder", "own model", "a named model", "rate 0"}
    | {"activation behind", "norm between two calls"}
)


def cases(shapes: dict[str, Shape]) -> list[Any]:
    """As parameters; some run with `--full` only."""
    return [
        pytest.param(shape, id=name, marks=[pytest.mark.full] if name in FULL else [])
        for name, shape in shapes.items()
    ]


@pytest.mark.parametrize("shape", cases(DECIDED))
def test_where_every_model_that_fits_is_read_at_one_tensor(tmp_path: Path, shape: Shape) -> None:
    survey, network = exported(shape, tmp_path)
    seams = find_seams(survey)
    assert seams.unread == ""
    close = 4e-3 if shape is DECIDED["float16"] else 1e-5
    np.testing.assert_allclose(
        at(survey, seams.before, network), by_hand(network, network.features), atol=close, rtol=close
    )
    assert any(why in seams.notes[0] for why in WHY)


# Each with the model that it cannot be told from


def rate_of_nothing(kit: Kit) -> Network:
    """The last dropout has rate 0 and no state: the state in front of the hidden layer is not the last dropout's."""

    def head(x: Any) -> tuple[Any, Any]:
        hidden = kit.dense(6, "hidden", "tanh")(kit.dropout(0.2, "first")(x))
        return hidden, kit.dense(2)(kit.dropout(0.0, "nothing")(hidden))

    return shapes._headed(kit, head)


def norm_between_two_calls(kit: Kit) -> Network:
    """One dropout layer, called on both sides of a normalisation."""

    def head(x: Any) -> tuple[Any, Any]:
        dropout = kit.dropout()
        normal = kit.layers.LayerNormalization(name="norm")(dropout(kit.dense(6, "hidden")(x)))
        return normal, kit.dense(2)(dropout(normal))

    return shapes._headed(kit, head)


def dropped_in_two_ways(kit: Kit) -> Network:
    """Two texts, a dropout on each vector before they are put together: no single tensor is in front of both."""
    encoder = shapes.shared_encoder(kit).model.get_layer("encoder")
    texts = [kit.text("first"), kit.text("second")]
    both = kit.layers.Concatenate(name="both")(
        [kit.dropout(0.2, f"drop_{t.name}")(encoder(t)) for t in texts]
    )
    given = {"first": shapes.texts(), "second": shapes.texts(8)}
    return Network(kit, kit.model(texts, kit.dense(2)(both)), None, None, given)


def named_model(kit: Kit) -> Network:
    """A functional model with a name of its own: a class of the author's may be called so, too."""
    network = dense_in_front(kit)
    return Network(kit, kit.model(network.model.inputs, network.model.outputs, name="mine"), network.features)


def own_model(*, built: bool) -> Shape:
    """A class of the author's own whose layers were made in another order than they are called in."""

    def shape(kit: Kit) -> Network:
        class Mine(kit.keras.Model):  # type: ignore[misc, name-defined]
            def __init__(self) -> None:
                super().__init__()
                self.words, self.table, self.average = kit.words(), kit.table(), kit.average()
                self.hidden, self.dropped, self.out = (
                    kit.dense(6, "hidden", "tanh"),
                    kit.dropout(),
                    kit.dense(2),
                )
                if built:
                    self.table.build((None, None)), self.hidden.build((None, 8)), self.out.build((None, 6))

            def vector(self, text: Any) -> Any:
                return self.average(self.table(self.words(text)))

            def call(self, text: Any, training: bool = False) -> Any:
                return self.out(self.hidden(self.dropped(self.vector(text), training=training)))

        model = Mine()
        network = Network(kit, model, model.vector)
        model(tf.constant(network.given["text"]))
        return network

    return shape


def own_head(kit: Kit) -> Network:
    """A layer of the author's own around the dropout, called after the layer that it was made behind."""

    class Head(kit.layers.Layer):  # type: ignore[misc, name-defined]
        def __init__(self) -> None:
            super().__init__(name="head")
            self.hidden, self.dropped, self.out = kit.dense(6, "hidden", "tanh"), kit.dropout(), kit.dense(2)

        def build(self, shape: Any) -> None:
            self.hidden.build((None, shape[-1]))
            self.out.build((None, 6))

        def call(self, x: Any, training: bool = False) -> Any:
            return self.out(self.hidden(self.dropped(x, training=training)))

    return shapes._headed(kit, lambda x: (x, Head()(x)))


ASKED: dict[str, Shape] = {
    "MLP head": shapes.mlp_head,
    "called twice": shapes.called_twice,
    "activation behind": shapes.activation_after,
    "norm behind": shapes.batch_norm_after,
    "norm between two calls": norm_between_two_calls,
    "rate 0": rate_of_nothing,
    "numbers in front": shapes.text_and_numbers,
    "numbers behind": shapes.numbers_behind,
    "shared encoder": shapes.shared_encoder,
    "dropped in two ways": dropped_in_two_ways,
    "a named model": named_model,
    "own model": own_model(built=False),
    "own model, its layers built": own_model(built=True),
    "own head": own_head,
}


@pytest.mark.parametrize("shape", cases(ASKED))
def test_where_another_model_fits_too_it_is_asked_for(tmp_path: Path, shape: Shape) -> None:
    """And what is right is among what is listed."""
    survey, network = exported(shape, tmp_path)
    seams = find_seams(survey)
    assert (seams.read, seams.seam) == ((), "")
    assert "the graph does not tell where its last dropout stands" in seams.unread
    listed = [part.split(" (")[0] for part in seams.unread.partition("It can be: ")[2].split("), ")]
    assert listed
    if network.features is None:
        return
    wanted, right = by_hand(network, network.features), []
    for name in listed:
        asked = find_seams(survey, declared=Declaration(readouts=(name,)))
        assert asked.seam == asked.read[0][0].layer == name
        found = at(survey, asked.before, network)
        right += [name] if found.shape == wanted.shape and np.allclose(found, wanted, atol=1e-5) else []
    assert right


def test_rates_can_be_declared(tmp_path: Path) -> None:
    survey, _ = exported(shapes.plain(), tmp_path)
    assert find_seams(survey).sites == ()
    (site,) = find_seams(survey, declared=Declaration(dropout={"head": 0.3})).sites
    assert (site.path, site.layer_class, site.rate, site.place) == ("head", "Dropout", 0.3, "at")
