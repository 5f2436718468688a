"""`penult uncertainty` and `penult embed --uncertainty` on a model that Keras saved: every mask made by hand."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from numpy.typing import NDArray
from penult_client import Client
from penult_service.cli.app import main
from penult_service.masks import dropped, keys_of
from support import text_models
from support.embedding import loaded
from support.serving import serving

pytestmark = pytest.mark.tensorflow

RATE, SAMPLES, SEED = 0.3, 40, 7
TEXTS = [*text_models.TEXTS, None, *text_models.TEXTS]


@dataclass(frozen=True)
class Original:
    """A server of the model, and what Keras says of `TEXTS` in front of its dropout; the weights behind it."""

    address: str
    pooled: NDArray[np.float32]
    kernel: NDArray[np.float32]
    bias: NDArray[np.float32]

    def samples(self) -> NDArray[np.float64]:
        """Class probabilities float64 [rows, SAMPLES, 3] with the masks of row and sample."""
        rows, samples = (each.ravel() for each in np.indices((len(self.pooled), SAMPLES)))
        keys, _ = keys_of(SEED, samples.astype(np.int64), rows.astype(np.int64))
        seen = dropped(np.repeat(self.pooled, SAMPLES, axis=0), keys, 0, RATE).astype(np.float64)
        logits = seen @ self.kernel + self.bias
        found = np.exp(logits - logits.max(axis=1, keepdims=True))
        return (found / found.sum(axis=1, keepdims=True)).reshape(len(self.pooled), SAMPLES, -1)


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Original]:
    import tensorflow as tf

    folder = tmp_path_factory.mktemp("model")
    model = text_models.classifier(rate=RATE)
    before = type(model)(model.inputs, model.get_layer("dropout").input)
    pooled = before(tf.constant([text or "" for text in TEXTS]), training=False).numpy()
    kernel, bias = (weight.numpy() for weight in model.get_layer("output").weights)
    path = text_models.save(model, folder / "model" / "1")
    with serving(loaded(path, folder / "data")) as server:
        yield Original(server.address, pooled, kernel, bias)


def entropy(probabilities: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(-(probabilities * np.log(probabilities)).sum(axis=-1))


def test_samples_are_those_of_the_masks(
    original: Original, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Of a row in the file: its number makes them, whatever stands beside it and whichever request it is in."""
    source, out, embedded = (tmp_path / f"{name}.parquet" for name in ("in", "out", "embedded"))
    pq.write_table(pa.table({"text": TEXTS}), source)
    words = [str(source), "--server", original.address, "--samples", str(SAMPLES), "--seed", str(SEED)]
    assert main(["uncertainty", *words, "-o", str(out)]) == 3
    assert f"dropout on: dropout (rate {RATE})" in capsys.readouterr().out
    assert main(["embed", *words, "-o", str(embedded), "--uncertainty", "--batch-size", "5"]) == 3
    good = [row for row, text in enumerate(TEXTS) if text is not None]
    samples = original.samples()[good]
    table = pq.read_table(out).take(good)
    mean, information = samples.mean(axis=1), entropy(samples.mean(axis=1)) - entropy(samples).mean(axis=1)
    np.testing.assert_allclose(np.stack(table["probabilities"].to_numpy()), mean, atol=2e-6)
    np.testing.assert_allclose(np.stack(table["std"].to_numpy()), samples.std(axis=1), atol=2e-6)
    np.testing.assert_allclose(table["entropy"].to_numpy(), entropy(mean), atol=5e-6)
    np.testing.assert_allclose(table["mutual_information"].to_numpy(), information, atol=5e-6)
    assert table["mutual_information"].to_numpy().max() > 0.01
    other = pq.read_table(embedded).take(good)
    np.testing.assert_allclose(other["uncertainty"].to_numpy(), entropy(mean), atol=5e-6)
    np.testing.assert_allclose(other["mutual_information"].to_numpy(), information, atol=5e-6)
    # The embedding itself is the one without dropout.
    np.testing.assert_allclose(np.stack(other["embedding"].to_numpy()), original.pooled[good], atol=1e-6)


def test_what_is_clean_is_the_models_own_answer(original: Original, tmp_path: Path) -> None:
    (tmp_path / "in.txt").write_text("\n".join(text_models.TEXTS) + "\n")
    out = tmp_path / "out.parquet"
    assert main(["uncertainty", str(tmp_path / "in.txt"), "--server", original.address, "-o", str(out)]) == 0
    with Client(original.address) as client:
        predicted = client.classify(list(text_models.TEXTS)).predicted
    assert pq.read_table(out)["clean"].to_pylist() == predicted.tolist()
