"""The recipe on a tiny BERT: what it learns, what it saves, and that a seed repeats it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from penult_service.errors import InvalidInput, ModelRefused, NotFound, Unavailable
from penult_service.preparing.convert import ConvertReport
from penult_service.recipes import saving
from penult_service.recipes.bert import train as recipe
from penult_service.recipes.bert.settings import BertSettings, Handles
from penult_service.recipes.data import LabelledTexts
from support.tiny_bert import sample_texts

pytestmark = pytest.mark.tensorflow

MARKS = ("good great", "bad awful", "rain snow")
SETTINGS = BertSettings(epochs=3, learning_rate=3e-3, max_length=32, batch_size=16)


def task(rows: int, classes: int, *, seed: int = 1) -> LabelledTexts:
    """Texts whose class is told by two words in them."""
    texts = sample_texts(rows, seed=seed, longest=6)
    texts = [f"{MARKS[index % classes]} {text}" for index, text in enumerate(texts)]
    labels = [f"class {index % classes}" for index in range(rows)]
    return LabelledTexts("task.csv", "0" * 64, tuple(texts), tuple(labels), None)


def handles(hub: ConvertReport) -> Handles:
    return Handles(str(hub.preprocessor), str(hub.encoder), {"weights": "tiny"})


def ignore(stage: str, done: int, total: int, note: str) -> None:
    del stage, done, total, note


@pytest.fixture(scope="module")
def output(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("models") / "tiny"


@pytest.fixture(scope="module")
def calls() -> list[tuple[str, int, int, str]]:
    return []


@pytest.fixture(scope="module")
def report(tiny_hub: ConvertReport, output: Path, calls: list[Any]) -> recipe.TrainingReport:
    valid = task(60, 2, seed=2)
    return recipe.train(
        task(200, 2), valid, handles(tiny_hub), output, SETTINGS, lambda *call: calls.append(call)
    )


@pytest.fixture(scope="module")
def saved(report: recipe.TrainingReport) -> Iterator[Any]:
    import tensorflow_text  # noqa: F401
    import tf_keras

    return tf_keras.models.load_model(str(report.path))


@pytest.fixture(scope="module")
def record(report: recipe.TrainingReport) -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads((report.path / "training.json").read_text())
    return loaded


def test_it_learns(report: recipe.TrainingReport) -> None:
    losses = [epoch["loss"] for epoch in report.curve]
    assert losses[-1] < 0.5 * losses[0]
    assert report.metrics.majority_accuracy == 0.5
    assert report.metrics.held_out_accuracy > 0.9


def test_the_saved_model_takes_strings_and_scores_what_was_reported(
    report: recipe.TrainingReport, saved: Any
) -> None:
    valid = task(60, 2, seed=2)
    probabilities = saved.predict(np.array(valid.texts), batch_size=7, verbose=0)
    assert probabilities.shape == (60, 1)
    chosen = [report.labels[int(p > 0.5)] for p in probabilities[:, 0]]
    right = np.mean([mine == theirs for mine, theirs in zip(chosen, valid.labels, strict=True)])
    assert right == pytest.approx(report.metrics.held_out_accuracy)


def test_the_saved_model_has_the_layers_of_the_recipe(saved: Any) -> None:
    names = [layer.name for layer in saved.layers]
    assert names == ["text", "preprocessing", "BERT_encoder", "dropout", "output"]
    assert saved.get_layer("dropout").rate == SETTINGS.dropout
    assert saved.get_layer("output").get_config()["activation"] == "sigmoid"
    assert saved.input_shape == (None,)


def test_the_version_directory(report: recipe.TrainingReport, output: Path, tiny_hub: ConvertReport) -> None:
    assert report.path == output / "1"
    assert [path.name for path in output.iterdir()] == ["1"]
    names = {path.name for path in report.path.iterdir()}
    assert names >= {"saved_model.pb", "keras_metadata.pb", "variables", "labels.json", "training.json"}
    assert json.loads((report.path / "labels.json").read_text()) == ["class 0", "class 1"]
    weights = report.path / "variables" / "variables.data-00000-of-00001"
    # An Adam optimizer keeps two more floats for each of the model's.
    assert weights.stat().st_size < 1.5 * 4 * tiny_hub.parameters


def test_what_training_json_says(report: recipe.TrainingReport, record: dict[str, Any]) -> None:
    assert record["data"]["train"] == {
        "file": "task.csv",
        "sha256": "0" * 64,
        "rows": 200,
        "rows_by_label": {"class 0": 100, "class 1": 100},
    }
    assert record["settings"]["learning_rate"] == SETTINGS.learning_rate
    assert record["metrics"]["held_out_accuracy"] == report.metrics.held_out_accuracy
    assert record["metrics"]["held_out_rows_by_label"] == {"class 0": 30, "class 1": 30}
    assert [epoch["epoch"] for epoch in record["curve"]] == [1, 2, 3]
    assert record["encoder"] == {"weights": "tiny"}
    assert record["seconds"] > 0
    assert set(record["versions"]) == {
        "penult",
        "tensorflow",
        "tensorflow-text",
        "tf_keras",
        "tensorflow-hub",
    }


def test_progress(report: recipe.TrainingReport, calls: list[tuple[str, int, int, str]]) -> None:
    assert list(dict.fromkeys(call[0] for call in calls)) == [
        "loading",
        "epoch 1",
        "epoch 2",
        "epoch 3",
        "saving",
    ]
    finished = {stage: note for stage, done, total, note in calls if done == total}
    assert f"held-out accuracy {report.metrics.held_out_accuracy:.3f}" in finished["epoch 3"]


def test_a_seed_repeats_the_training(
    tiny_hub: ConvertReport, tmp_path: Path, report: recipe.TrainingReport
) -> None:
    again = recipe.train(
        task(200, 2), task(60, 2, seed=2), handles(tiny_hub), tmp_path / "m", SETTINGS, ignore
    )
    for first, second in zip(report.curve, again.curve, strict=True):
        assert {**first, "seconds": 0} == {**second, "seconds": 0}
    weights = [run.path / "variables" / "variables.data-00000-of-00001" for run in (report, again)]
    assert weights[0].read_bytes() == weights[1].read_bytes()


def test_three_labels_a_shorter_length_and_another_seed(tiny_hub: ConvertReport, tmp_path: Path) -> None:
    import tf_keras

    rows = task(120, 3)
    rows = replace(rows, texts=(*rows.texts[:-4], *rows.texts[:4]))
    settings = replace(SETTINGS, max_length=8, epochs=1, seed=5)
    (tmp_path / "model" / "7").mkdir(parents=True)
    valid = replace(task(30, 3, seed=9), texts=(*rows.texts[:4], *task(30, 3, seed=9).texts[4:]))
    run = recipe.train(rows, valid, handles(tiny_hub), tmp_path / "model", settings, ignore)
    assert run.path.name == "8"
    assert run.labels == ("class 0", "class 1", "class 2")
    assert run.metrics.held_out_rows_also_in_training == 4
    model = tf_keras.models.load_model(str(run.path))
    same_start = ["good film of the sea and", "good film of the sea and nothing bad in it"]
    probabilities = model.predict(np.array([*same_start, "bad"]), verbose=0)
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, atol=1e-6)
    np.testing.assert_allclose(probabilities[0], probabilities[1], atol=1e-7)
    assert np.abs(probabilities[0] - probabilities[2]).max() > 1e-3


@pytest.fixture(scope="module")
def classifier(tiny_hub: ConvertReport) -> Any:
    from penult_service.recipes.bert.network import BertClassifier

    return BertClassifier(handles(tiny_hub), ("no", "yes"), SETTINGS)


def test_dropout_is_active_in_steps_and_not_in_measuring(classifier: Any) -> None:
    tokens = classifier.tokenize(sample_texts(16))
    classes = np.arange(16, dtype=np.int32) % 2
    batch = tokens.batch(np.arange(16))
    losses = {classifier.train_step(batch, classes, 0.0) for _ in range(4)}
    assert len(losses) == 4
    assert classifier.evaluate(tokens, classes) == classifier.evaluate(tokens, classes)


def test_batches_are_cut_to_their_longest_text(classifier: Any) -> None:
    tokens = classifier.tokenize(["good", "good film", "a good film of the sea"])
    assert tokens.lengths.tolist() == [3, 4, 8]
    assert {value.shape[1] for value in tokens.batch(np.array([0, 1])).values()} == {4}


def test_another_seed_draws_other_dropouts(classifier: Any) -> None:
    from penult_service.recipes.bert.network import _seed_dropouts

    tokens = classifier.tokenize(sample_texts(16)).batch(np.arange(16))

    def pooled(seed: int) -> np.ndarray:
        _seed_dropouts(classifier.encoder, seed)
        result: np.ndarray = classifier.encoder(tokens, training=True)["pooled_output"].numpy()
        return result

    np.testing.assert_array_equal(pooled(1), pooled(1))
    assert np.abs(pooled(1) - pooled(2)).max() > 0.1


def test_matrices_decay_and_biases_and_norms_do_not(tiny_hub: ConvertReport) -> None:
    """With gradients of zero a step of Adam changes nothing, so that what is left is the decay."""
    import tensorflow as tf
    from penult_service.recipes.bert.network import BertClassifier

    classifier = BertClassifier(handles(tiny_hub), ("no", "yes"), SETTINGS)
    variables, optimizer = classifier.variables, classifier.optimizer
    before = [variable.numpy() for variable in variables]
    optimizer.learning_rate.assign(1.0)
    optimizer.apply_gradients([(tf.zeros_like(variable), variable) for variable in variables])
    spared = 0
    for variable, start in zip(variables, before, strict=True):
        kept = any(name in variable.name for name in ("bias", "beta", "gamma"))
        spared += kept
        np.testing.assert_allclose(variable.numpy(), start if kept else 0.99 * start, rtol=1e-5)
    # A pair for each of 3 norms; a bias for each of 6 dense layers of the block, the pooler and the output.
    assert spared == 2 * 3 + 8


def test_layers_that_cannot_be_had(
    tiny_hub: ConvertReport, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TFHUB_CACHE_DIR", str(tmp_path / "cache"))
    preprocessor, encoder = str(tiny_hub.preprocessor), str(tiny_hub.encoder)
    url = "https://penult.invalid/bert/1"
    for changed, error, reason, words in [
        ((preprocessor, str(tmp_path / "none")), NotFound, "HANDLE_NOT_FOUND", "encoder .*none"),
        ((url, encoder), Unavailable, "HANDLE_UNREACHABLE", f"preprocessor {url} cannot be fetched"),
        ((preprocessor, preprocessor), ModelRefused, "NOT_A_BERT_ENCODER", "no 'pooled_output'"),
        ((encoder, encoder), ModelRefused, "NOT_A_PREPROCESSOR", "no 'input_mask'"),
    ]:
        with pytest.raises(error, match=words) as caught:
            recipe.train(task(20, 2), None, Handles(*changed, {}), tmp_path / "m", SETTINGS, ignore)
        assert caught.value.reason == reason
    assert not (tmp_path / "m").exists()


def test_labels_that_cannot_be_trained_on(tiny_hub: ConvertReport, tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="every row has the label 'class 0'"):
        recipe.train(task(20, 1), None, handles(tiny_hub), tmp_path / "m", SETTINGS, ignore)
    with pytest.raises(InvalidInput, match="the label 'class 2' does not occur in"):
        recipe.train(task(20, 2), task(20, 3), handles(tiny_hub), tmp_path / "m", SETTINGS, ignore)


def test_interrupted_while_saving_leaves_nothing(
    tmp_path: Path, saved: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(path: Path, _: Any) -> None:
        assert (path.parent / "saved_model.pb").exists()
        raise KeyboardInterrupt

    monkeypatch.setattr(saving, "_write_json", interrupt)
    with pytest.raises(KeyboardInterrupt):
        saving.save_version(saved, tmp_path / "m", ["a", "b"], {}, 0.0)
    assert not any((tmp_path / "m").iterdir())
