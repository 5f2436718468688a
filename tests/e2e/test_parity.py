"""The same numbers as Keras, on 500 real texts over the wire; and the published figure of the STS benchmark."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from penult_client import Client
from support.keras_original import KerasOriginal, Matrix
from support.pretrained import shared_data

pytestmark = [pytest.mark.weights, pytest.mark.tensorflow]

LIMIT = 1e-5


def largest(what: str, found: Matrix, wanted: NDArray[np.floating]) -> None:
    """Print and check the largest difference."""
    assert found.shape == wanted.shape
    difference = float(np.abs(found.astype(np.float64) - wanted).max())
    print(f"{what}, {len(found)} texts: largest difference from Keras {difference:.2e}")
    assert difference <= LIMIT


def pooled(pooling: str, tokens: Matrix, mask: NDArray[np.int32]) -> NDArray[np.float64]:
    """Token outputs [n, length, d] pooled by NumPy in float64."""
    values, real = tokens.astype(np.float64), mask[:, :, None] == 1
    if pooling == "cls":
        return values[:, 0]
    if pooling == "mean":
        return (values * real).sum(axis=1) / real.sum(axis=1)
    return np.where(real, values, -np.inf).max(axis=1)


def test_embeddings_and_probabilities(client: Client, reference) -> None:
    found = client.embed(reference.texts, probabilities=True)
    largest("embedding in front of the dropout", found.vectors, reference.before)
    largest("embedding behind the dropout", found.vectors, reference.after)
    largest("probability", found.probabilities, reference.outputs)
    # Texts differ from each other by far more than what is accepted.
    assert min(reference.before.std(axis=0).mean(), reference.outputs.std(axis=0).min()) > 1000 * LIMIT
    assert found.labels == ("film", "newspaper", "product", "tweet")
    assert found.token_counts.tolist() == reference.mask.sum(axis=1).tolist()


@pytest.mark.parametrize("pooling", ["cls", "mean", "max"])
def test_poolings(pooling: str, client: Client, reference) -> None:
    some = slice(0, 250)
    found = client.embed(reference.texts[some], pooling=pooling)
    largest(
        f"pooling {pooling}", found.vectors, pooled(pooling, reference.tokens[some], reference.mask[some])
    )


def test_one_pass_gives_what_classify_and_predict_give(
    client: Client, original: KerasOriginal, reference
) -> None:
    texts = reference.texts[:64]
    predicted = original.predict(texts)
    classified = client.classify(texts)
    (output,) = client.predict(texts).outputs.values()
    largest("predict", output, predicted)
    for pooling in ("pooled", "mean"):
        found = client.embed(texts, pooling=pooling, probabilities=True).probabilities
        np.testing.assert_allclose(found, classified.probabilities, rtol=0, atol=1e-6)
        np.testing.assert_allclose(found, output, rtol=0, atol=LIMIT)
    best = predicted.argmax(axis=1)
    assert classified.predicted.tolist() == best.tolist()
    assert classified.labels.tolist() == [classified.classes[i] for i in best]


@pytest.mark.full
def test_sts_benchmark_over_the_wire(weights: Path, tmp_path: Path) -> None:
    """The encoder's own weights, untrained under a head: mean pooling scores the published 82.03."""
    from scipy.stats import spearmanr

    with shared_data("stsb_test.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    save_untrained(weights, tmp_path)
    with Client.open(tmp_path / "model", data=tmp_path / "data", timeout=600) as client:
        a, b = (
            client.embed([row[side] for row in rows], pooling="mean", normalize=True).vectors
            for side in ("sentence1", "sentence2")
        )
    rank = 100 * spearmanr((a * b).sum(axis=1), [float(row["score"]) for row in rows]).statistic
    print(f"STS benchmark, {len(rows)} pairs, mean pooling over the wire: Spearman {rank:.2f}")
    assert rank == pytest.approx(82.03, abs=0.02)


def save_untrained(weights: Path, folder: Path) -> None:
    """`folder`/model: the pretrained encoder, a dropout, and an output layer that nobody trained."""
    import tensorflow as tf
    import tensorflow_hub as hub
    import tensorflow_text  # noqa: F401
    import tf_keras
    from penult_service.preparing.convert import convert

    made = convert(weights, folder / "hub")
    text = tf_keras.layers.Input(shape=(), dtype=tf.string, name="text")
    tokens = hub.KerasLayer(str(made.preprocessor), name="preprocessing")(text)
    encoded = hub.KerasLayer(str(made.encoder), trainable=True, name="BERT_encoder")(tokens)
    dropped = tf_keras.layers.Dropout(0.1)(encoded["pooled_output"])
    outputs = tf_keras.layers.Dense(1, activation="sigmoid")(dropped)
    tf_keras.Model(text, outputs).save(str(folder / "model"))
