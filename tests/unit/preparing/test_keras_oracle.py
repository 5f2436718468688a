"""What Keras itself says beside ours: in both versions, in nested models, at the right call, of several outputs."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from numpy.typing import NDArray
from penult_service.prepared import Site
from penult_service.preparing import parts
from penult_service.preparing.declarations.declaration import NOTHING
from penult_service.preparing.formats import keras_file, saved_model
from penult_service.preparing.graph import node_of
from penult_service.preparing.opened import Opened
from penult_service.preparing.proof import keras_oracle
from penult_service.preparing.proof.experiment import Outcome, Said
from support.formats import shapes
from support.formats.kit import KERAS, TF_KERAS, Kit, Network, by_hand, predicted

pytestmark = pytest.mark.tensorflow

Array = NDArray[Any]
SIDES = ["embedding_vs_keras_before", "embedding_vs_keras_after"]
FLAVOURS = pytest.mark.parametrize("flavour", [TF_KERAS, KERAS])


def read(network: Network, place: Path, ending: str = ".keras") -> Opened:
    network.model.save(str(place / f"model{ending}"))
    return keras_file.open_file(place / f"model{ending}")


def site(opened: Opened, number: int = -1) -> Site:
    """That dropout, as if it were the one at the seam."""
    mark = (opened.marks or ())[number]
    return Site(mark.layer.name, mark.layer.class_name, 0.3, None, node_of(mark.after), "at")


def told(
    opened: Opened, network: Network, at: Site | None, embedding: Array, outputs: dict[str, Array]
) -> Outcome:
    outcome = Outcome()
    given = [tf.constant(network.given[one.name]) for one in opened.inputs]
    keras_oracle.compare(outcome, opened, at, Said(given, embedding.astype(np.float32), outputs))
    return outcome


def names(outcome: Outcome) -> list[str]:
    return [figure.name for figure in outcome.figures]


@FLAVOURS
@pytest.mark.parametrize("ending", [".keras", ".h5"])
@pytest.mark.parametrize(
    "shape", [shapes.nested, shapes.called_twice, shapes.several_outputs, shapes.text_and_numbers]
)
def test_the_truth_agrees_and_anything_else_does_not(
    tmp_path: Path, flavour: str, ending: str, shape: Any
) -> None:
    network = shape(Kit(flavour))
    features, outputs = by_hand(network, network.features), predicted(network)
    opened = read(network, tmp_path, ending)
    right = told(opened, network, site(opened), features, outputs)
    assert names(right) == ["prediction_vs_keras", *SIDES]
    assert not right.failed
    assert not right.notes

    assert [
        figure.name for figure in told(opened, network, site(opened), features + 1e-3, outputs).failed
    ] == SIDES
    wrong = {name: value + 1e-3 for name, value in outputs.items()}
    failed = told(opened, network, site(opened), features, wrong).failed
    assert [figure.name for figure in failed] == ["prediction_vs_keras"]


@FLAVOURS
def test_the_first_of_two_calls_is_another_tensor(tmp_path: Path, flavour: str) -> None:
    network = shapes.called_twice(Kit(flavour))
    opened = read(network, tmp_path)
    inner = network.model.get_layer("average").output
    features, outputs = by_hand(network, inner), predicted(network)
    assert not told(opened, network, site(opened, 0), features, outputs).failed
    assert told(opened, network, site(opened, 1), features, outputs).failed


@FLAVOURS
def test_an_output_that_is_swapped_is_seen(tmp_path: Path, flavour: str) -> None:
    """Two outputs of one shape: each is compared with its own."""
    kit = Kit(flavour)
    text = kit.text()
    pooled = kit.dropout()(kit.average()(kit.table()(kit.words()(text))))
    outputs_of_model = [kit.dense(2, "z")(pooled), kit.dense(2, "a")(pooled)]
    network = Network(kit, kit.model(text, outputs_of_model), pooled)
    opened = read(network, tmp_path)
    features, outputs = by_hand(network, network.features), predicted(network)
    assert not told(opened, network, site(opened), features, outputs).failed
    swapped = {"a": outputs["z"], "z": outputs["a"]}
    failed = told(opened, network, site(opened), features, swapped).failed
    assert [figure.name for figure in failed] == ["prediction_vs_keras"]


@FLAVOURS
@pytest.mark.parametrize(("policy", "limit"), [("mixed_float16", 2.0**-8), ("mixed_bfloat16", 2.0**-5)])
def test_half_precision_has_a_limit_of_its_own(
    tmp_path: Path, flavour: str, policy: str, limit: float
) -> None:
    network = shapes.half(policy)(Kit(flavour))
    opened = read(network, tmp_path)
    mark = (opened.marks or ())[-1]
    given = tf.constant(network.given["text"])
    features = parts.references(opened, {mark.before})(given)[mark.before]
    outputs = {name: value.numpy() for name, value in opened.function(given).items()}
    outcome = told(opened, network, site(opened), tf.cast(features, tf.float32).numpy(), outputs)
    assert names(outcome) == ["prediction_vs_keras", *SIDES]
    assert not outcome.failed
    assert {figure.limit for figure in outcome.figures} == {limit}


def test_a_saved_model_by_the_names_of_its_scopes(tmp_path: Path) -> None:
    """A SavedModel has no marks: the layer by its name, its second call by the number of its `Identity`."""
    kit = Kit(TF_KERAS)
    numbers = kit.layers.Input((6,), name="numbers")
    dropout = kit.dropout()
    hidden = kit.dense(5, "hidden", "tanh")(dropout(numbers))
    given = {"numbers": np.random.default_rng(4).normal(size=(7, 6)).astype(np.float32)}
    network = Network(kit, kit.model(numbers, kit.dense(2)(dropout(hidden))), hidden, None, given)
    features, outputs = by_hand(network, network.features), predicted(network)
    network.model.save(str(tmp_path / "model"))
    opened = saved_model.open_model(tmp_path / "model", NOTHING)
    assert opened.marks is None
    marks = [name for name, node in opened.flat.nodes.items() if node.op == "Identity" and "dropout" in name]
    sites = [Site("dropout", "Dropout", 0.3, None, name, "at") for name in marks]
    found = [told(opened, network, one, features, outputs) for one in sites]
    assert [names(outcome) for outcome in found] == [["prediction_vs_keras", *SIDES]] * 2
    assert [bool(outcome.failed) for outcome in found] == [True, False]


def test_where_keras_is_not_asked_or_shows_no_such_layer(tmp_path: Path) -> None:
    network = shapes.plain()(Kit(KERAS))
    features, outputs = by_hand(network, network.features), predicted(network)
    opened = read(network, tmp_path)
    silent = told(replace(opened, keras=None), network, site(opened), features, outputs)
    assert not silent.figures
    assert "was not asked" in silent.notes[0]

    def fails() -> Any:
        raise ValueError("no")

    broken = told(replace(opened, keras=fails), network, site(opened), features, outputs)
    assert not broken.figures
    assert "ValueError" in broken.notes[0]
    elsewhere = Site("other", "Dropout", 0.3, None, "other/Identity", "at")
    for at, why in ((None, "no dropout stands at the seam"), (elsewhere, "no such layer")):
        outcome = told(opened, network, at, features, outputs)
        assert names(outcome) == ["prediction_vs_keras"]
        assert why in outcome.notes[0]
        assert [figure.limit for figure in outcome.figures] == [1e-5]
