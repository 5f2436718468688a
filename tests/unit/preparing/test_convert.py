"""The converted encoder against a NumPy BERT, the preprocessor against Hugging Face's own tokenizer."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from penult_service.errors import InvalidInput
from penult_service.preparing.convert import ConvertReport, build_encoder, convert, save_preprocessor
from penult_service.preparing.formats import hf_bert
from support.numpy_bert import NumpyBert
from support.pretrained import pretrained_bert, shared_data
from support.tiny_bert import VOCABULARY, sample_texts, write_tiny_bert

pytestmark = pytest.mark.tensorflow

MAX_LENGTH = 24


@pytest.fixture(scope="module")
def hf_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_bert(tmp_path_factory.mktemp("hf") / "bert")


@pytest.fixture(scope="module")
def steps() -> list[tuple[str, int, int]]:
    """What `report`'s conversion told its progress callback."""
    return []


@pytest.fixture(scope="module")
def report(
    hf_dir: Path, tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[str, int, int]]
) -> ConvertReport:
    output = tmp_path_factory.mktemp("hub") / "tiny"
    return convert(hf_dir, output, max_length=MAX_LENGTH, progress=lambda *step: steps.append(step))


@pytest.fixture(scope="module")
def preprocessor(report: ConvertReport) -> Any:
    return load(report.preprocessor)


@pytest.fixture(scope="module")
def encoder(report: ConvertReport) -> Any:
    return load(report.encoder)


def load(path: Path) -> Any:
    import tensorflow as tf
    import tensorflow_text  # noqa: F401

    return tf.saved_model.load(str(path))


def random_inputs(rows: int, length: int) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(5)
    lengths = rng.integers(2, length + 1, size=rows)
    mask = (np.arange(length) < lengths[:, None]).astype(np.int32)
    ids = rng.integers(5, len(VOCABULARY), size=(rows, length), dtype=np.int32) * mask
    types = ((np.arange(length) > length // 2) & (mask == 1)).astype(np.int32)
    return {"input_word_ids": ids, "input_mask": mask, "input_type_ids": types}


def check_against_numpy(hf_dir: Path, inputs: dict[str, np.ndarray], found: Any) -> None:
    layers, pooled = NumpyBert(hf_dir)(*inputs.values())
    real = inputs["input_mask"] == 1  # what stands at padded places means nothing
    assert pooled.std() > 0.1
    np.testing.assert_allclose(found["pooled_output"], pooled, atol=1e-5)
    np.testing.assert_array_equal(found["default"], found["pooled_output"])
    np.testing.assert_array_equal(found["sequence_output"], found["encoder_outputs"][-1])
    assert len(found["encoder_outputs"]) == len(layers)
    for mine, theirs in zip(found["encoder_outputs"], layers, strict=True):
        np.testing.assert_allclose(mine.numpy()[real], theirs[real], atol=1e-5)


def changed(hf_dir: Path, **settings: Any) -> Path:
    path = hf_dir / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | settings))
    return hf_dir


def keras_names(inputs: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    ids, mask, types = inputs.values()
    return {"token_ids": ids, "padding_mask": mask, "segment_ids": types}


def test_encoder_equals_a_numpy_bert(hf_dir: Path, encoder: Any) -> None:
    inputs = random_inputs(rows=7, length=19)
    check_against_numpy(hf_dir, inputs, encoder(inputs, training=False))


@pytest.mark.parametrize("activation", ["gelu_new", "relu"])
def test_settings_of_the_directory_are_obeyed(tmp_path: Path, activation: str) -> None:
    hf_dir = write_tiny_bert(tmp_path / "bert", layers=1, heads=4, max_positions=32)
    changed(hf_dir, hidden_act=activation, layer_norm_eps=1e-2)
    inputs = random_inputs(rows=7, length=19)
    check_against_numpy(hf_dir, inputs, build_encoder(hf_bert.read(hf_dir))(keras_names(inputs)))


@pytest.mark.filterwarnings("ignore:You are using a softmax over axis 3")
@pytest.mark.parametrize(("hidden", "attention"), [(0.0, 0.5), (0.5, 0.0)])
def test_both_dropout_rates_are_obeyed(tmp_path: Path, hidden: float, attention: float) -> None:
    hf_dir = write_tiny_bert(tmp_path / "bert", layers=1)
    changed(hf_dir, hidden_dropout_prob=hidden, attention_probs_dropout_prob=attention)
    model = build_encoder(hf_bert.read(hf_dir))
    # Texts of one token attend to that token alone, whose share is kept or dropped: two outcomes for each head.
    inputs = {name: np.full((200, 1), name != "input_type_ids", np.int32) for name in random_inputs(1, 2)}
    pooled = model(keras_names(inputs), training=True)["pooled_output"].numpy()
    outcomes = len(np.unique(pooled.round(5), axis=0))
    assert outcomes == 4 if attention else outcomes > 150


def test_padding_changes_nothing(encoder: Any) -> None:
    inputs = random_inputs(rows=5, length=12)
    padded = {name: np.pad(value, ((0, 0), (0, 9))) for name, value in inputs.items()}
    short, long = (encoder(batch, training=False)["pooled_output"] for batch in (inputs, padded))
    np.testing.assert_allclose(short, long, atol=1e-6)


def test_dropout_is_active_in_training_and_only_there(encoder: Any) -> None:
    inputs = random_inputs(rows=5, length=12)
    draws = [encoder(inputs, training=True)["pooled_output"].numpy() for _ in range(2)]
    quiet = [encoder(inputs, training=False)["pooled_output"].numpy() for _ in range(2)]
    assert np.abs(draws[0] - draws[1]).max() > 0.1
    np.testing.assert_array_equal(*quiet)


def test_encoder_trains_inside_tf_keras(report: ConvertReport) -> None:
    import tensorflow as tf
    import tensorflow_hub as hub
    import tf_keras

    encoder = hub.KerasLayer(str(report.encoder), trainable=True)
    text = tf_keras.layers.Input(shape=(), dtype=tf.string)
    outputs = encoder(hub.KerasLayer(str(report.preprocessor))(text))
    assert outputs["pooled_output"].shape == (None, report.width)
    assert outputs["sequence_output"].shape == (None, MAX_LENGTH, report.width)
    assert sum(weight.shape.num_elements() for weight in encoder.trainable_weights) == report.parameters
    model = tf_keras.Model(text, outputs["pooled_output"])
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(model(tf.constant(sample_texts(3)), training=True) ** 2)
    gradients = tape.gradient(loss, encoder.trainable_weights)
    assert all(float(tf.norm(tf.convert_to_tensor(gradient))) > 0 for gradient in gradients)


def test_preprocessor_equals_the_tokenizers_library(hf_dir: Path, preprocessor: Any) -> None:
    tokenizers = pytest.importorskip("tokenizers")
    theirs = tokenizers.BertWordPieceTokenizer(str(hf_dir / "vocab.txt"), lowercase=True)
    theirs.enable_truncation(MAX_LENGTH)
    theirs.enable_padding(length=MAX_LENGTH)
    awkward = [
        "",
        "   ",
        "Good-films, really!?",
        "naïve CAFÉ",
        "日本 word",
        "zyzzyva 12",
        "a\tb\nc",
        "x" * 150,
    ]
    texts = [*awkward, *sample_texts(40, longest=60)]
    expected = theirs.encode_batch(texts)
    found = preprocessor(texts)
    assert {name: value.shape for name, value in found.items()} == dict.fromkeys(
        ("input_word_ids", "input_mask", "input_type_ids"), (len(texts), MAX_LENGTH)
    )
    np.testing.assert_array_equal(found["input_word_ids"], [row.ids for row in expected])
    np.testing.assert_array_equal(found["input_mask"], [row.attention_mask for row in expected])
    assert not found["input_type_ids"].numpy().any()


def test_cased_vocabulary_with_windows_line_ends(tmp_path: Path) -> None:
    hf_dir = write_tiny_bert(tmp_path / "bert", lower_case=False, layers=1)
    path = hf_dir / "vocab.txt"
    path.write_bytes(path.read_bytes().replace(b"\n", b"\r\n"))
    bert = hf_bert.read(hf_dir)
    assert not bert.lower_case
    save_preprocessor(bert, 8, tmp_path / "preprocessor")
    ids = load(tmp_path / "preprocessor")(["good Good"])["input_word_ids"].numpy()[0, :4]
    assert [VOCABULARY[index] for index in ids] == ["[CLS]", "good", "[UNK]", "[SEP]"]


def test_parts_of_the_preprocessor_as_tf_hub_documents_them(preprocessor: Any) -> None:
    import tensorflow as tf
    import tensorflow_hub as hub

    first, second = (preprocessor.tokenize(tf.constant(texts)) for texts in (["good film"], ["bad book"]))
    packed = hub.KerasLayer(preprocessor.bert_pack_inputs, arguments={"seq_length": 9})([first, second])
    words = [VOCABULARY[index] for index in packed["input_word_ids"].numpy()[0]]
    assert words == ["[CLS]", "good", "film", "[SEP]", "bad", "book", "[SEP]", "[PAD]", "[PAD]"]
    assert packed["input_type_ids"].numpy()[0].tolist() == [0, 0, 0, 0, 1, 1, 1, 0, 0]
    alone = preprocessor.bert_pack_inputs([first])
    np.testing.assert_array_equal(alone["input_word_ids"], preprocessor(["good film"])["input_word_ids"])


def test_report_and_progress(report: ConvertReport, steps: list[tuple[str, int, int]]) -> None:
    assert [(done, total) for _, done, total in steps] == [(done, 4) for done in range(5)]
    assert (report.layers, report.width, report.max_length) == (2, 32, MAX_LENGTH)
    assert sorted(report.encoder.parent.iterdir()) == [report.encoder, report.preprocessor]


def test_output_that_is_there_is_left_alone(hf_dir: Path, tmp_path: Path) -> None:
    (tmp_path / "note.txt").write_text("mine")
    with pytest.raises(InvalidInput) as caught:
        convert(hf_dir, tmp_path)
    assert caught.value.reason == "OUTPUT_EXISTS"
    assert [path.name for path in tmp_path.iterdir()] == ["note.txt"]


@pytest.mark.parametrize("max_length", [2, 513])
def test_lengths_the_model_cannot_take(hf_dir: Path, tmp_path: Path, max_length: int) -> None:
    with pytest.raises(InvalidInput, match="3 to 512") as caught:
        convert(hf_dir, tmp_path / "hub", max_length=max_length)
    assert caught.value.field == "max_length"
    assert not any(tmp_path.iterdir())


def test_an_end_halfway_leaves_nothing(hf_dir: Path, tmp_path: Path) -> None:
    def stop(step: str, done: int, total: int) -> None:
        del step, total
        if done == 1:
            assert [path.name for path in tmp_path.iterdir()] != []
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        convert(hf_dir, tmp_path / "hub", progress=stop)
    assert not any(tmp_path.iterdir())


@pytest.mark.full
@pytest.mark.weights
def test_published_score_on_the_sts_benchmark(tmp_path: Path) -> None:
    """Mean pooling of all-MiniLM-L6-v2 scores Spearman 82.03 on the test set."""
    stats = pytest.importorskip("scipy.stats")
    with shared_data("stsb_test.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    report = convert(pretrained_bert(), tmp_path / "hub")
    preprocess, encode = load(report.preprocessor), load(report.encoder)

    def embed(texts: list[str]) -> np.ndarray:
        parts = []
        for start in range(0, len(texts), 64):
            inputs = preprocess(texts[start : start + 64])
            longest = int(inputs["input_mask"].numpy().sum(axis=1).max())
            inputs = {name: value[:, :longest] for name, value in inputs.items()}
            tokens = encode(inputs, training=False)["sequence_output"].numpy()
            mask = inputs["input_mask"].numpy()[:, :, None]
            parts.append((tokens * mask).sum(axis=1) / mask.sum(axis=1))
        vectors = np.concatenate(parts)
        return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)

    cosines = (embed([row["sentence1"] for row in rows]) * embed([row["sentence2"] for row in rows])).sum(
        axis=1
    )
    score = stats.spearmanr(cosines, [float(row["score"]) for row in rows]).statistic
    assert 100 * score == pytest.approx(82.03, abs=0.01)
