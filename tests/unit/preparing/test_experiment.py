"""The proof by experiment: what counts as a difference, what is concluded about padding, and Keras as a witness."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given
from hypothesis import strategies as st
from penult_service.batching import Scheduler
from penult_service.embedder import Embedder, EmbedOptions, LoadedModel
from penult_service.engines.tensorflow import TensorFlowEngine, signatures
from penult_service.prepared import TOKENIZE, load_manifest
from penult_service.preparing import parts, pipeline, probe
from penult_service.preparing.formats.saved_model import open_model
from penult_service.preparing.proof import keras_oracle
from penult_service.preparing.proof.experiment import TOLERANCE, Outcome, Said, relative
from penult_service.preparing.seam.seams import find_seams
from penult_service.preparing.seam.survey import Survey
from penult_service.tokenizing.graph import GraphTokenizer
from support import seed_model as seeds
from support import text_models as tm

pytestmark = pytest.mark.tensorflow

NAN, INF = float("nan"), float("inf")
TEXTS = [*probe.MIXED, *tm.TEXTS]


def no_progress(stage: str, share: float) -> None:
    del stage, share


def loaded(directory: Path) -> LoadedModel:
    """A prepared model as the server holds it."""
    manifest, functions = load_manifest(directory), signatures(directory)
    engine = TensorFlowEngine(functions, manifest)
    return LoadedModel("it", 1, manifest, GraphTokenizer(functions[TOKENIZE], manifest), engine)


async def served(model: LoadedModel, texts: Sequence[str], options: EmbedOptions | None = None) -> Any:
    """Embeddings with probabilities, by the path of a request: sorted, packed, trimmed where that is allowed."""
    scheduler = Scheduler(token_budget=512, max_rows=8)
    embedder = Embedder(scheduler)
    try:
        return await embedder.embed(model, texts, options, probabilities=True)
    finally:
        embedder.close()
        scheduler.close(10.0)


def figures(directory: Path) -> dict[str, float]:
    return {figure.name: figure.value for figure in load_manifest(directory).proof.figures}


# What counts as a difference

numbers = st.floats(-1e6, 1e6, width=32)


@given(st.lists(st.tuples(numbers, numbers), min_size=1, max_size=8), st.floats(1e-8, 10))
def test_relative_is_at_most_t_when_every_difference_is_at_most_t_plus_t_x(
    pairs: list[tuple[float, float]], t: float
) -> None:
    found, expected = (np.array(column, np.float32) for column in zip(*pairs, strict=True))
    room = np.min(t + t * np.abs(np.float64(expected)) - np.abs(np.float64(found) - expected))
    if abs(room) > 1e-9:  # not on the edge, where rounding decides
        assert (relative(found, expected) <= t) == (room > 0)


@pytest.mark.parametrize(
    ("found", "expected", "difference"),
    [
        ([1.0, 2.0], [1.0, 2.0], 0.0),
        ([1.0, 3.5], [1.0, 2.0], 0.5),
        ([NAN, 1.0], [NAN, 1.0], 0.0),
        ([INF, -INF], [INF, -INF], 0.0),
        ([NAN, INF], [NAN, INF], 0.0),
        ([NAN, 1.0], [NAN, 2.0], 1 / 3),
        ([NAN, 1.0], [1.0, 1.0], INF),
        ([1.0, 1.0], [NAN, 1.0], INF),
        ([INF, 1.0], [-INF, 1.0], INF),
        ([INF, 1.0], [NAN, 1.0], INF),
        ([INF, 1.0], [1e30, 1.0], INF),
        ([1.0, 2.0], [1.0], INF),
        ([[1.0, 2.0]], [1.0, 2.0], INF),
        ([], [], 0.0),
        ([True, False], [True, True], 0.5),
        ([3, 4], [3, 4], 0.0),
    ],
    ids=repr,
)
def test_relative(found: list[Any], expected: list[Any], difference: float) -> None:
    assert relative(np.array(found), np.array(expected)) == pytest.approx(difference)


def test_nan_is_beyond_every_limit() -> None:
    outcome = Outcome()
    for name, value in (("nan", NAN), ("inf", INF), ("over", 1.1), ("on", 1.0), ("under", 0.0)):
        outcome.add(name, "", value, 1.0)
    assert [figure.name for figure in outcome.failed] == ["nan", "inf", "over"]


# Padding


@pytest.fixture(scope="module")
def masked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An average over the words alone, prepared."""
    place = tmp_path_factory.mktemp("masked")
    pipeline.prepare(tm.save(tm.classifier(), place / "model"), place / "prepared", None, no_progress)
    return place / "prepared"


def test_a_masked_average_is_trimmed(masked: Path) -> None:
    manifest = load_manifest(masked)
    assert manifest.trims
    assert manifest.max_length == tm.LENGTH
    assert manifest.proof.proven
    assert figures(masked).keys() >= {"trimmed_vs_padded", "companions", "repeats", "prediction_vs_model"}
    assert all(figure.value <= figure.limit for figure in manifest.proof.figures)


def test_texts_without_a_finite_embedding_are_counted(masked: Path) -> None:
    """Of the empty text there is no average; that is the model's own answer, and no reason to refuse it."""
    assert figures(masked)["not_finite"] == 1


def test_keras_is_not_asked_about_classes_that_might_bring_code(masked: Path) -> None:
    assert "prediction_vs_keras" not in figures(masked)
    assert any("Keras was not asked" in line for line in load_manifest(masked).proof.findings)


async def test_an_unmasked_average_is_served_untrimmed_and_equals_keras(tmp_path: Path) -> None:
    tf_keras = seeds.keras()
    preprocess, encoder = seeds.hub_layers()
    text = tm.text_input()
    average = tm.layers().GlobalAveragePooling1D(name="average")(encoder(preprocess(text))["sequence_output"])
    dropped = tm.layers().Dropout(0.1, name="dropout")(average)
    model = tf_keras.Model(text, tm.dense(3, "output", "softmax")(dropped))
    manifest = pipeline.prepare(tm.save(model, tmp_path / "m"), tmp_path / "p", None, no_progress)

    assert not manifest.trims
    assert any("needs its padding" in line for line in manifest.proof.findings)
    assert "trimmed_vs_padded" not in figures(tmp_path / "p")
    assert figures(tmp_path / "p")["embedding_vs_keras_before"] <= TOLERANCE
    result = await served(loaded(tmp_path / "p"), TEXTS)
    np.testing.assert_allclose(
        result.vectors, tm.answers(tf_keras.Model(text, average), TEXTS), rtol=1e-5, atol=1e-5
    )
    np.testing.assert_allclose(result.probabilities, tm.answers(model, TEXTS), rtol=1e-5, atol=1e-5)


def test_a_fixed_length_inside_is_served_with_its_padding(tmp_path: Path) -> None:
    text = tm.text_input()
    flat = tm.layers().Reshape((tm.LENGTH * tm.WIDTH,), name="flat")(tm.vectors(text, masked=False))
    dropped = tm.layers().Dropout(0.1, name="dropout")(flat)
    model = seeds.keras().Model(text, tm.dense(2, "output")(dropped))
    manifest = pipeline.prepare(tm.save(model, tmp_path / "m"), tmp_path / "p", None, no_progress)
    assert not manifest.trims
    assert any("fixed length inside" in line for line in manifest.proof.findings)
    prepared = loaded(tmp_path / "p")
    inputs = prepared.tokenizer.tokenize(TEXTS).inputs
    found = prepared.engine.encode(inputs, [manifest.seam])[manifest.seam]
    np.testing.assert_allclose(found, tm.answers(seeds.keras().Model(text, flat), TEXTS), atol=1e-6)


# The model of the question after training


async def test_the_model_of_the_question_after_compile_and_fit(tmp_path: Path) -> None:
    tf_keras = seeds.keras()
    model = tf_keras.models.load_model(str(seeds.seed_model()))
    # Eagerly: tracing the training step would take longer than the step.
    model.compile(optimizer="adam", loss="binary_crossentropy", metrics=["accuracy"], run_eagerly=True)
    before = model.get_layer("output").get_weights()[0]
    model.fit(tf.constant(tm.TEXTS), np.arange(len(tm.TEXTS)) % 2, epochs=1, verbose=0)
    assert not np.array_equal(before, model.get_layer("output").get_weights()[0])
    model.save(str(tmp_path / "m"))
    manifest = pipeline.prepare(tmp_path / "m", tmp_path / "p", None, no_progress)
    assert manifest.trims
    *inside, head = manifest.sites
    assert (head.path, head.rate, head.place) == ("dropout", 0.1, "at")
    assert {(site.path.partition("/")[0], site.place) for site in inside} == {("BERT_encoder", "before")}
    dropout = model.get_layer("dropout")
    result = await served(loaded(tmp_path / "p"), TEXTS)
    for tensor in (dropout.input, dropout.output):
        keras = tm.answers(tf_keras.Model(model.inputs, tensor), TEXTS)
        np.testing.assert_allclose(result.vectors, keras, rtol=1e-5, atol=1e-5)
    positive = result.probabilities[:, 1:]
    np.testing.assert_allclose(positive, tm.answers(model, TEXTS), rtol=1e-5, atol=1e-5)


# Keras as a witness


def test_keras_contradicts_other_numbers_and_says_when_it_has_no_such_layer(
    seed_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened, models = open_model(seed_model), seeds.keras().models
    once = models.load_model(str(seed_model), compile=False)
    monkeypatch.setattr(models, "load_model", lambda *_, **__: once)
    seams = find_seams(Survey(opened))
    (site,) = seams.sites
    texts = [tf.constant(probe.MIXED)]
    embedding = parts.references(opened, [seams.before])(*texts)[seams.before].numpy()
    outputs = opened.function(*texts)["output"].numpy()
    said = Said(texts, embedding, {"output": outputs})

    wrong = Outcome()
    keras_oracle.compare(wrong, opened, site, Said(texts, embedding + 1e-3, {"output": outputs + 1e-3}))
    assert {figure.name for figure in wrong.failed} == {
        "prediction_vs_keras",
        "embedding_vs_keras_before",
        "embedding_vs_keras_after",
    }
    elsewhere = Outcome()
    keras_oracle.compare(elsewhere, opened, replace(site, path="inside"), said)
    assert [figure.name for figure in elsewhere.figures] == ["prediction_vs_keras"]
    assert elsewhere.failed == []
    assert "no such layer of this model" in elsewhere.notes[0]

    def broken(*_: object, **__: object) -> None:
        raise TypeError("unknown argument")

    monkeypatch.setattr(models, "load_model", broken)
    silent = Outcome()
    keras_oracle.compare(silent, opened, site, said)
    assert silent.figures == []
    assert "could not load the file (TypeError)" in silent.notes[0]
