"""A Hugging Face directory, prepared by a child, loaded and asked as a server does it, against NumPy; and verified."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from penult_service.embedder import LoadedModel
from penult_service.errors import InvalidInput
from penult_service.prepared import load_manifest
from support.embedding import loaded, with_embedder
from support.tiny_bert import sample_texts
from support.tiny_hf import LAYERS, POSITIONS, WIDTH, TinyHf, wordpieces, write_tiny_hf

pytestmark = pytest.mark.tensorflow

TEXTS = ["", "good film", "naïve CAFÉ", *sample_texts(30, longest=30), "word " * 90]
NAMES = ("bad", "so so", "good")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> TinyHf:
    named = {str(number): name for number, name in enumerate(NAMES)}
    return write_tiny_hf(tmp_path_factory.mktemp("hf") / "reviews", id2label=named)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("data")


@pytest.fixture(scope="module")
def model(made: TinyHf, data: Path) -> LoadedModel:
    return loaded(made.directory, data)


@pytest.fixture(scope="module")
def expected(made: TinyHf) -> dict[str, Any]:
    """Each text alone, with the library's own ids."""
    tokenizer = wordpieces(made.directory)
    tokenizer.enable_truncation(POSITIONS)
    ids = [encoding.ids for encoding in tokenizer.encode_batch(TEXTS)]
    rows = []
    for row in (np.array([row]) for row in ids):
        rows.append(made.oracle.outputs(row, np.ones_like(row), np.zeros_like(row)))
    means = [tokens[0].mean(axis=0) for tokens, _, _ in rows]
    logits = np.concatenate([logits for _, _, logits in rows])
    shares = np.exp(logits - logits.max(axis=1, keepdims=True))
    return {
        "ids": ids,
        "mean": np.stack(means),
        "pooled": np.concatenate([embedding for _, embedding, _ in rows]),
        "logits": logits,
        "probabilities": shares / shares.sum(axis=1, keepdims=True),
    }


def close(found: Any, wanted: Any) -> None:
    np.testing.assert_allclose(found, wanted, rtol=1e-5, atol=1e-5)


def test_answers_equal_numpy(model: LoadedModel, expected: dict[str, Any]) -> None:
    from penult_service.embedder import EmbedOptions

    async def ask(embedder: Any) -> tuple[Any, ...]:
        embedded = await embedder.embed(model, TEXTS, probabilities=True)
        mean = await embedder.embed(model, TEXTS, EmbedOptions(pooling="mean"))
        classified = await embedder.classify(model, TEXTS)
        return (
            embedded,
            mean,
            classified,
            await embedder.predict(model, TEXTS),
            await embedder.tokenize(model, TEXTS),
        )

    embedded, mean, classified, predicted, tokens = with_embedder(ask)
    assert [row.tolist() for row in tokens.ids] == expected["ids"]
    close(embedded.vectors, expected["pooled"])
    close(embedded.probabilities, expected["probabilities"])
    close(classified.probabilities, expected["probabilities"])
    close(mean.vectors, expected["mean"])
    close(predicted["logits"], expected["logits"])
    close(predicted["probabilities"], expected["probabilities"])
    assert classified.labels == NAMES
    assert list(embedded.token_counts) == [len(row) for row in expected["ids"]]
    assert embedded.truncations == ["none"] * (len(TEXTS) - 1) + ["cut"]


def test_the_manifest_says_what_it_is(model: LoadedModel) -> None:
    manifest = model.manifest
    assert manifest.source_format == "Hugging Face BertForSequenceClassification"
    assert (manifest.tokenizer, manifest.max_length, manifest.trims) == ("tokenizers", POSITIONS, True)
    assert [(r.layer, r.dimension, r.kind) for r in manifest.readouts] == [
        ("pooler_output", WIDTH, "pooled"),
        ("last_hidden_state", WIDTH, "tokens"),
    ]
    assert manifest.head.labels == NAMES
    assert len(manifest.sites) == 2 + 3 * LAYERS
    assert manifest.proof.proven
    assert "tokenizer.json" in manifest.files


def test_a_changed_tokenizer_is_noticed(data: Path, model: LoadedModel, tmp_path: Path) -> None:
    place = tmp_path / "prepared"
    shutil.copytree(next((data / "prepared").iterdir()), place)
    assert load_manifest(place) == model.manifest
    file = place / "tokenizer.json"
    file.write_text(file.read_text().replace("film", "tree"))
    with pytest.raises(InvalidInput, match=r"tokenizer\.json is altered"):
        load_manifest(place)


def test_verify_measures_what_dropout_would_do(made: TinyHf, data: Path, model: LoadedModel) -> None:
    from penult_service.preparing import launch

    found = launch.verify(made.directory, cache=data / "prepared")
    assert found.manifest == model.manifest
    assert found.effect is not None
    assert found.effect.rate == 0.1
    assert found.effect.mean_cosine == pytest.approx(0.9**0.5, abs=0.02)


def test_another_layer_is_refused_by_the_names_of_those_there_are(made: TinyHf, tmp_path: Path) -> None:
    from penult_service.errors import ModelRefused
    from penult_service.preparing.pipeline import prepare

    with pytest.raises(ModelRefused, match="this one can: pooler_output") as caught:
        prepare(made.directory, tmp_path / "prepared", "encoder", lambda *_: None)
    assert caught.value.reason == "NO_SUCH_LAYER"
