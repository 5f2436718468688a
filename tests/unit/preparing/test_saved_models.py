"""SavedModels of every origin: which graph, which function, which inputs are the model; between two, nobody guesses."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytestmark = pytest.mark.tensorflow

tf = pytest.importorskip("tensorflow")

from penult_service.errors import InvalidInput, ModelRefused  # noqa: E402
from penult_service.preparing import parts, pipeline  # noqa: E402
from penult_service.preparing.declarations.declaration import Declaration  # noqa: E402
from penult_service.preparing.formats.saved_model import open_model  # noqa: E402
from penult_service.preparing.sampling.putting import Plan  # noqa: E402
from penult_service.preparing.seam.seams import find_seams  # noqa: E402
from penult_service.preparing.seam.survey import Survey  # noqa: E402
from support import old_graphs as old  # noqa: E402
from support.formats import plain  # noqa: E402

TEXT = tf.TensorSpec([None], tf.string, name="text")


class Words(tf.Module):
    """Takes texts, and numbers beside them, in whatever way a test wants."""

    def __init__(self) -> None:
        super().__init__()
        self.weights = tf.Variable(np.random.default_rng(3).normal(size=(50, 4)).astype(np.float32))

    def of(self, text: Any) -> Any:
        return tf.gather(self.weights, tf.strings.to_hash_bucket_fast(text, 50))


def saved(module: Any, place: Path, **signatures: Any) -> Path:
    tf.saved_model.save(module, str(place / "model"), **({"signatures": signatures} if signatures else {}))
    return place / "model"


def function(call: Callable[..., Any], *specs: Any) -> Any:
    return tf.function(call, input_signature=specs or (TEXT,))


def refusal(model: Path, declared: Declaration | None = None) -> ModelRefused:
    with pytest.raises(ModelRefused) as caught:
        open_model(model, declared or Declaration())
    return caught.value


# Which function


def with_call(module: Words, call: Callable[..., Any], **options: Any) -> Words:
    module.__class__ = type("Called", (Words,), {"__call__": tf.function(call, **options)})
    return module


def test_a_call_traced_for_inference_and_for_training(tmp_path: Path) -> None:
    """Only the one for inference is the model, whatever the order."""

    def call(self: Any, text: Any, training: bool = False) -> Any:
        return self.of(text) * (7.0 if training else 1.0)

    module = with_call(Words(), call)
    for training in (True, False):
        module.__call__.get_concrete_function(TEXT, training=training)
    opened = open_model(saved(module, tmp_path))
    assert opened.signature == "__call__"
    texts = tf.constant(["a", "b"])
    np.testing.assert_array_equal(opened.function(texts)["output_0"], module.of(texts))


def test_a_call_of_one_text_among_others(tmp_path: Path) -> None:
    def call(self: Any, given: Any) -> Any:
        return self.of(given) if given.dtype == tf.string else tf.gather(self.weights, given)

    module = with_call(Words(), call)
    module.__call__.get_concrete_function(tf.TensorSpec([None], tf.int32))
    module.__call__.get_concrete_function(TEXT)
    opened = open_model(saved(module, tmp_path))
    assert [one.is_text for one in opened.inputs] == [True]


def test_two_calls_of_one_text_each(tmp_path: Path) -> None:
    def call(self: Any, text: Any, sharper: str = "no") -> Any:
        return self.of(text) ** (2 if sharper == "yes" else 1)

    module = with_call(Words(), call)
    for sharper in ("yes", "no"):
        module.__call__.get_concrete_function(TEXT, sharper)
    error = refusal(saved(module, tmp_path))
    assert error.reason == "AMBIGUOUS_SIGNATURE"
    assert "__call__(text: string [n], 'yes') -> " in error.message
    assert "__call__(text: string [n], 'no') -> " in error.message


def test_structures_go_in_and_out_by_name(tmp_path: Path) -> None:
    def call(self: Any, given: Any) -> Any:
        vectors = self.of(given["review"]) + given["stars"]
        return {"first": vectors, "both": (vectors, -vectors)}

    module = with_call(Words(), call)
    stars = tf.TensorSpec([None, 1], tf.float32)
    module.__call__.get_concrete_function({"review": tf.TensorSpec([None], tf.string), "stars": stars})
    opened = open_model(saved(module, tmp_path))
    given = {"review": tf.constant(["a", "b"]), "stars": tf.constant([[1.0], [2.0]])}
    assert {one.name: one.shape for one in opened.inputs} == {"review": (None,), "stars": (None, 1)}
    found = opened.function(*(given[one.name] for one in opened.inputs))
    wanted = module.of(given["review"]) + given["stars"]
    assert list(opened.flat.outputs) == ["both_0", "both_1", "first"] == sorted(found)
    for name, sign in {"first": 1, "both_0": 1, "both_1": -1}.items():
        np.testing.assert_array_equal(found[name], sign * wanted)


def test_the_order_of_arguments_is_that_of_the_function(tmp_path: Path) -> None:
    """TensorFlow itself sorts the names in a signature."""
    module = Words()
    specs = [tf.TensorSpec([None], tf.string, name=name) for name in ("title", "body")]
    module.both = function(lambda title, body: module.of(title) - 2 * module.of(body), *specs)
    opened = open_model(saved(module, tmp_path, serving_default=module.both))
    assert [one.name for one in opened.inputs] == ["title", "body"]
    texts = tf.constant(["a"]), tf.constant(["b"])
    np.testing.assert_array_equal(
        opened.function(*texts)["output_0"], module.of(texts[0]) - 2 * module.of(texts[1])
    )


def test_one_that_is_declared_before_the_default(tmp_path: Path) -> None:
    module = Words()
    functions = {"serving_default": function(module.of), "twice": function(lambda text: 2 * module.of(text))}
    model = saved(module, tmp_path, **functions)
    assert open_model(model).signature == "serving_default"
    opened = open_model(model, Declaration(signature="twice"))
    np.testing.assert_array_equal(
        opened.function(tf.constant(["a"]))["output_0"], 2 * module.of(tf.constant(["a"]))
    )
    error = refusal(model, Declaration(signature="thrice"))
    assert error.reason == "NO_SIGNATURE"
    assert "'thrice'" in error.message
    assert "twice(text: string [n]) -> output_0: float32 [n, 4]" in error.message


# Inputs


@pytest.mark.parametrize(
    ("spec", "takes"),
    [
        (tf.TensorSpec([3], tf.string, name="text"), "exactly 3 rows"),
        (tf.TensorSpec([], tf.string, name="text"), "one value"),
    ],
    ids=["three rows", "one text"],
)
def test_a_fixed_number_of_rows(tmp_path: Path, spec: Any, takes: str) -> None:
    module = Words()
    error = refusal(saved(module, tmp_path, serving_default=function(module.of, spec)))
    assert error.reason == "NO_BATCH"
    assert takes in error.message


def test_a_model_without_variables(tmp_path: Path) -> None:
    """Not every writer leaves a directory of nothing for them."""
    module = tf.Module()
    model = saved(module, tmp_path, serving_default=function(lambda text: tf.strings.length(text)))
    for file in sorted((model / "variables").iterdir()):
        file.unlink()
    (model / "variables").rmdir()
    opened = open_model(model)
    assert opened.function(tf.constant(["abc"]))["output_0"].numpy().tolist() == [3]


# Outputs


def test_a_variable_that_the_checkpoint_lacks(tmp_path: Path) -> None:
    """The variables of another model: with fewer the rest would keep what it is initialised with."""

    def model(count: int) -> Any:
        module = tf.Module()
        module.weights = [tf.Variable(tf.ones([2, 2])) for _ in range(count)]

        @tf.function(input_signature=[tf.TensorSpec([None, 2], tf.float32, name="numbers")])
        def call(numbers: Any) -> Any:
            return {"output": tf.linalg.matmul(numbers, tf.add_n(module.weights))}

        return saved(module, tmp_path / f"of_{count}", serving_default=call)

    larger, smaller = model(2), model(1)
    shutil.rmtree(larger / "variables")
    shutil.copytree(smaller / "variables", larger / "variables")
    with pytest.raises(InvalidInput, match="copy it again") as refused:
        open_model(larger)
    assert refused.value.reason == "DAMAGED"


def test_names_of_classes_among_the_outputs(tmp_path: Path) -> None:
    """As functions for serving give them: text is compared, and predicted, as text."""
    module = plain.classifier()
    names = tf.constant(["calm", "cross", "glad"])

    def serve(text: Any) -> Any:
        found = module.predict(text)
        return {"scores": found, "label": tf.gather(names, tf.argmax(found, 1))}

    model = saved(module, tmp_path, serving_default=function(serve))
    wanted = serve(tf.constant(plain.texts()))
    manifest = pipeline.prepare(
        model, tmp_path / "prepared", None, lambda *_: None, declared=Declaration(output="scores")
    )
    assert (manifest.unread, manifest.head.kind) == ("", "softmax")
    whole = tf.saved_model.load(str(tmp_path / "prepared")).signatures["whole"]
    found = whole(text=tf.constant(plain.texts()))
    np.testing.assert_array_equal(found["label"], wanted["label"])
    np.testing.assert_allclose(found["scores"], wanted["scores"], atol=1e-6)


# TensorFlow 1


def phase(graph: old.Old) -> Any:
    """A dropout behind a branch that `keras_learning_phase` opens; its default is inference."""
    phase = old.v1.placeholder_with_default(False, [], name="keras_learning_phase")
    features = old.v1.cond(
        phase, lambda: tf.nn.dropout(graph.features, 0.5), lambda: tf.identity(graph.features)
    )
    return graph.outputs(tf.identity(features, name="dropout/Identity"))


def by_input(graph: old.Old) -> Any:
    first = tf.equal(graph.text[0], "now")
    return graph.outputs(old.v1.cond(first, lambda: -graph.features, lambda: 2 * graph.features))


@pytest.fixture
def switches() -> Any:
    """Branches as TensorFlow 1 made them."""
    old.v1.disable_control_flow_v2()
    yield
    old.v1.enable_control_flow_v2()


@pytest.mark.parametrize("resource", [False, True], ids=["reference variables", "resource variables"])
@pytest.mark.parametrize("file", [None, "words.txt"], ids=["words in the graph", "words in a file"])
@pytest.mark.usefixtures("switches")
def test_a_branch_that_a_default_decides(tmp_path: Path, resource: bool, file: str | None) -> None:
    """Read in front of the dropout; saved again, its variables and tables come along."""
    words = tmp_path / file if file else None
    said = old.save(tmp_path / "model", phase, resource=resource, words_file=words)
    opened = open_model(tmp_path / "model")
    assert not {"Switch", "Merge", "VariableV2", "HashTableV2"} & {
        node.op for node in opened.flat.nodes.values()
    }
    survey = Survey(opened)
    seams = find_seams(survey)
    assert seams.unread == ""
    texts = tf.constant(old.TEXTS)
    found = parts.references(opened, [seams.before])(texts)[seams.before]
    np.testing.assert_allclose(found, said["features"], atol=1e-6)
    names = {("dropout",): "encode_0"} | {(readout.layer,): "encode_0" for readout, _ in seams.read[:1]}
    parts.save(parts.build(opened, seams, names, Plan(())), opened, tmp_path / "again")
    again = tf.saved_model.load(str(tmp_path / "again")).signatures["whole"]
    np.testing.assert_allclose(again(text=texts)["output"], said["output"], atol=1e-6)


@pytest.mark.usefixtures("switches")
def test_a_branch_that_an_input_decides(tmp_path: Path) -> None:
    old.save(tmp_path / "model", by_input)
    error = refusal(tmp_path / "model")
    assert error.reason == "TF1_CONTROL_FLOW"


TAG_SETS: dict[str, tuple[tuple[tuple[str, ...], ...], tuple[str, ...], str]] = {
    "serve is the default": ((("serve",), ("serve", "other")), (), ""),
    "one for training": (((), ("train",)), (), ""),
    "declared": ((("serve", "a"), ("serve", "b")), ("b", "serve"), ""),
    "two that are alike": ((("serve", "a"), ("serve", "b")), (), "AMBIGUOUS_TAGS"),
    "declared, but not there": ((("serve", "a"), ("serve", "b")), ("serve",), "NO_TAGS"),
}


@pytest.mark.parametrize(("there", "declared", "reason"), TAG_SETS.values(), ids=TAG_SETS.keys())
def test_several_graphs_in_a_file(
    tmp_path: Path, there: tuple[tuple[str, ...], ...], declared: tuple[str, ...], reason: str
) -> None:
    made = plain.session_graph(tag_sets=there, signature="default")(tmp_path)
    if reason:
        error = refusal(made.source, Declaration(tags=declared))
        assert error.reason == reason
        assert "[a, serve]; [b, serve]" in error.message
        return
    opened = open_model(made.source, Declaration(tags=declared))
    np.testing.assert_allclose(
        opened.function(tf.constant(made.given["text"]))["output"], made.outputs["output"], atol=1e-6
    )
