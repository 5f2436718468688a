"""Models unlike the question's, prepared and served as they are; and what is served must equal the model."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from numpy.typing import NDArray
from penult_service.engines.tensorflow import TensorFlowEngine, signatures
from penult_service.errors import ModelRefused, PenultError
from penult_service.prepared import NO_LIMIT, TOKENIZE, Manifest, Site, load_manifest
from penult_service.preparing import pipeline
from penult_service.preparing.formats.saved_model import open_model
from penult_service.preparing.proof import experiment, keras_oracle
from penult_service.preparing.proof.dropout import effect_of
from penult_service.preparing.proof.served import Served
from penult_service.tokenizing.graph import GraphTokenizer
from support import seed_model as seeds
from support import text_models as tm

pytestmark = pytest.mark.tensorflow

Head = Callable[[Any, Any], Any]
"""`tf_keras.layers`, the tensor behind the dropout → the outputs."""


def no_progress(stage: str, share: float) -> None:
    del stage, share


def model_of(head: Head, **pooling: Any) -> Any:
    """Text → pooled → `Dropout(name="dropout")` → `head`."""
    text = tm.text_input()
    dropped = tm.layers().Dropout(0.3, name="dropout")(tm.pooled(text, **pooling))
    return seeds.keras().Model(text, head(tm.layers(), dropped))


def softmax(_: Any, x: Any) -> Any:
    return tm.dense(2, "output", "softmax")(x)


def prepared(model: Any, place: Path) -> Manifest:
    """Saved and prepared: in `place/prepared`."""
    return pipeline.prepare(tm.save(model, place / "model"), place / "prepared", None, no_progress)


def refusal(model: Any, place: Path) -> PenultError:
    """The error of preparing it, which leaves nothing behind."""
    with pytest.raises(ModelRefused) as caught:
        prepared(model, place)
    assert [path.name for path in place.iterdir()] == ["model"]
    return caught.value


Outputs = dict[str, NDArray[Any]]


def run(place: Path, texts: list[str]) -> tuple[NDArray[Any], Outputs, Outputs]:
    """As it is served, at full length: embeddings, outputs of the head, outputs of the whole."""
    manifest, functions = load_manifest(place / "prepared"), signatures(place / "prepared")
    engine = TensorFlowEngine(functions, manifest)
    table = GraphTokenizer(functions[TOKENIZE], manifest).tokenize(texts)
    embedding = engine.encode(table.inputs, [manifest.seam])[manifest.seam]
    return embedding, engine.head(embedding), engine.whole({"text": np.array(texts, object)})


# Outputs of other shapes

OUTPUTS: dict[str, tuple[Head, tuple[str, str, int]]] = {
    "a softmax layer": (
        lambda layers, x: layers.Softmax(name="soft")(tm.dense(3, "output")(x)),
        ("softmax", "soft", 3),
    ),
    "a number a row": (
        lambda layers, x: layers.Reshape((), name="score")(tm.dense(1, "output")(x)),
        ("other", "score", 1),
    ),
    "two outputs": (
        lambda _, x: {"zone": tm.dense(2, "zone", "softmax")(x), "age": tm.dense(1, "age")(x)},
        ("other", "age", 1),
    ),
}


@pytest.mark.parametrize(("head", "expected"), OUTPUTS.values(), ids=OUTPUTS.keys())
def test_outputs_of_other_shapes(tmp_path: Path, head: Head, expected: tuple[str, str, int]) -> None:
    model = model_of(head)
    manifest = prepared(model, tmp_path)
    assert (manifest.head.kind, manifest.head.output, manifest.head.classes) == expected
    answers = model(tf.constant(tm.TEXTS), training=False)
    wanted = answers if isinstance(answers, dict) else {manifest.head.output: answers}
    _, by_parts, whole = run(tmp_path, tm.TEXTS)
    assert by_parts.keys() == whole.keys() == wanted.keys() == set(manifest.outputs)
    for name, value in wanted.items():
        np.testing.assert_allclose(by_parts[name], value, atol=1e-6)
        np.testing.assert_allclose(whole[name], value, atol=1e-6)
    # Measuring what dropout would do takes any of them.
    effect = effect_of(tmp_path / "prepared", tm.TEXTS)
    assert effect is not None
    assert (effect.rate, effect.texts, effect.neighbours) == (0.3, len(tm.TEXTS), len(tm.TEXTS) - 1)
    assert effect.mean_cosine == pytest.approx(effect.expected_cosine, abs=0.1)


# Of a number with 8 bits, the last is 2**-8 of it; Keras and the graph round at other places.
PRECISIONS = {"mixed_bfloat16": (np.float32, 2**-7), "float64": (np.float64, 1e-7)}


@pytest.mark.parametrize("policy", PRECISIONS)
def test_other_precisions_are_read_as_float32(tmp_path: Path, policy: str) -> None:
    precision = seeds.keras().mixed_precision
    precision.set_global_policy(policy)
    try:
        model = model_of(softmax)
    finally:
        precision.set_global_policy("float32")
    manifest = prepared(model, tmp_path)
    assert manifest.head.kind == "softmax"
    embedding, by_parts, whole = run(tmp_path, tm.TEXTS)
    dropout = model.get_layer("dropout")
    assert dropout.input.dtype != tf.float32
    both = seeds.keras().Model(model.inputs, [dropout.input, model.output])
    before, answer = (np.asarray(tf.cast(t, tf.float64)) for t in both(tf.constant(tm.TEXTS)))
    dtype, close = PRECISIONS[policy]
    assert embedding.dtype == np.float32
    assert by_parts["output"].dtype == whole["output"].dtype == dtype
    np.testing.assert_allclose(embedding, before, atol=close)
    np.testing.assert_allclose(by_parts["output"], answer, atol=close)
    np.testing.assert_allclose(by_parts["output"], whole["output"], atol=1e-7)


def test_a_recurrent_model_on_a_word_table(tmp_path: Path) -> None:
    text = tm.text_input()
    state = tm.layers().LSTM(6, recurrent_dropout=0.2, dropout=0.2, name="lstm")(tm.vectors(text))
    dropped = tm.layers().Dropout(0.2, name="dropout")(state)
    model = seeds.keras().Model(text, tm.dense(2, "output", "softmax")(dropped))
    manifest = prepared(model, tmp_path)
    assert (manifest.seam, manifest.readouts[0].dimension, manifest.trims) == ("lstm", 6, True)
    assert [token.role for token in manifest.inputs] == ["ids"]
    embedding, by_parts, _ = run(tmp_path, tm.TEXTS)
    np.testing.assert_allclose(embedding, tm.answers(seeds.keras().Model(text, state)), atol=1e-6)
    np.testing.assert_allclose(by_parts["output"], tm.answers(model), atol=1e-6)


# Lengths


@pytest.mark.parametrize(("length", "limit"), [(None, NO_LIMIT), (2500, 2500)], ids=["none", "a long one"])
def test_the_limit_of_texts(tmp_path: Path, length: int | None, limit: int) -> None:
    """A fixed length is a limit, also when it is beyond the longest text that is tried."""
    assert prepared(model_of(softmax, length=length), tmp_path).max_length == limit


def test_padding_to_the_longest_of_the_batch_below_a_limit(tmp_path: Path) -> None:
    """No text is longer than 12 words, and yet what is said of one depends on the others."""

    def words(texts: Any) -> Any:
        return (tf.strings.to_hash_bucket_fast(tf.strings.split(texts), 90)[:, :12] + 1).to_tensor(0)

    layers, text = tm.layers(), tm.text_input()
    table = layers.Embedding(91, tm.WIDTH, embeddings_initializer=tm.normal(1), name="vectors")
    vectors = table(layers.Lambda(words, name="words")(text))
    dropped = layers.Dropout(0.1, name="dropout")(layers.GlobalAveragePooling1D(name="average")(vectors))
    error = refusal(seeds.keras().Model(text, softmax(layers, dropped)), tmp_path)
    assert error.reason == "DEPENDS_ON_COMPANY"


# What is served must equal the model


def last_row_is_nan(found: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.concatenate([found[:-1], np.full_like(found[-1:], np.nan)])


FAULTS: dict[str, tuple[str, Callable[[Any], Any], set[str]]] = {
    "another embedding": (
        "encode",
        lambda found: found + np.float32(1e-3),
        {"embedding_vs_before_dropout", "prediction_vs_model"},
    ),
    "an embedding that is not a number": (
        "encode",
        last_row_is_nan,
        {"embedding_vs_before_dropout", "prediction_vs_model", "companions", "chunkings"},
    ),
    "another prediction": (
        "head",
        lambda found: {name: value * np.float32(1.01) for name, value in found.items()},
        {"prediction_vs_model"},
    ),
    "a prediction of another shape": (
        "whole",
        lambda found: {name: value[:, :1] for name, value in found.items()},
        {"whole_vs_model"},
    ),
}


@pytest.mark.parametrize(("method", "fault", "expected"), FAULTS.values(), ids=FAULTS.keys())
def test_what_is_served_differs_from_the_model(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    method: str,
    fault: Callable[[Any], Any],
    expected: set[str],
) -> None:
    right = getattr(Served, method)
    monkeypatch.setattr(Served, method, lambda self, *x: fault(right(self, *x)))
    error = refusal(model_of(softmax), tmp_path)
    assert error.reason == "PROOF_FAILED"
    assert set(error.metadata) == expected
    assert any(name in error.message for name in expected)


CHANGES: dict[str, Callable[[NDArray[np.float32]], NDArray[np.float32]]] = {
    "the last bit": lambda found: np.nextafter(found, np.float32(np.inf)),
    "not a number": lambda found: np.full_like(found, np.nan),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES.keys())
def test_a_batch_that_changes_from_run_to_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: Callable[[Any], Any]
) -> None:
    """Now and then, and by less than any tolerance: 20 runs of one batch must give the same bits."""
    right, calls = Served.encode, iter(range(1000))

    def encode(self: Any, inputs: Any) -> Any:
        found = right(self, inputs)
        return change(found) if next(calls) % 17 == 16 else found

    monkeypatch.setattr(Served, "encode", encode)
    error = refusal(model_of(softmax), tmp_path)
    assert error.reason == "PROOF_FAILED"
    assert "repeats" in error.metadata


# Where dropout's effect is not claimed


@pytest.mark.parametrize(
    "options", [{"rate": 0.0}, {"rate": 0.2, "noise_shape": (None, 1)}], ids=["rate 0", "noise shape"]
)
def test_no_effect_is_claimed_where_the_theory_is_another(tmp_path: Path, options: dict[str, Any]) -> None:
    text = tm.text_input()
    dropped = tm.layers().Dropout(**options, name="dropout")(tm.pooled(text))
    manifest = prepared(seeds.keras().Model(text, softmax(tm.layers(), dropped)), tmp_path)
    assert [site.place for site in manifest.sites] == ["at"]
    assert effect_of(tmp_path / "prepared", tm.TEXTS) is None


# Keras as a witness of such models


def test_keras_is_asked_for_the_tensors_of_a_model_with_two_outputs(tmp_path: Path) -> None:
    model = model_of(lambda _, x: {"zone": tm.dense(2, "zone")(x), "age": tm.dense(1, "age")(x)})
    opened = open_model(tm.save(model, tmp_path / "model"))
    site = Site("dropout", "Dropout", 0.3, None, "", "at")
    right = tm.answers(seeds.keras().Model(model.inputs, model.get_layer("dropout").input))
    said = model.predict(tf.constant(tm.TEXTS), verbose=0)
    outcome, wrong = experiment.Outcome(), experiment.Outcome()
    witness, given = (replace(opened, keras=lambda: model), site), [tf.constant(tm.TEXTS)]
    keras_oracle.compare(outcome, *witness, experiment.Said(given, right, said))
    assert [figure.name for figure in outcome.figures] == [
        "prediction_vs_keras",
        "embedding_vs_keras_before",
        "embedding_vs_keras_after",
    ]
    assert outcome.failed == []
    away = {**said, "zone": said["zone"] + 1e-3}
    keras_oracle.compare(wrong, *witness, experiment.Said(given, right, away))
    assert [figure.name for figure in wrong.failed] == ["prediction_vs_keras"]


def test_the_manifest_names_the_versions_that_made_it() -> None:
    assert pipeline._version("tensorflow") == tf.__version__
    assert pipeline._version("no-such-package-here") == "unknown"
