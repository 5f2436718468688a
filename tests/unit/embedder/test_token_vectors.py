"""One row a token instead of one a text; and what is read when nobody says."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import numpy as np
import pytest
from penult_service.embedder import Embedder, EmbedOptions, choose_readout
from penult_service.errors import InvalidInput, PreconditionFailed
from penult_service.prepared import Readout
from support.fakes import fake_model

TEXTS = ["a film", "", "one two three four", "again", "x " * 40]
TOKENS = EmbedOptions(pooling="tokens")


def token_vectors(texts: list[str]) -> list[np.ndarray]:
    """Of each text [tokens, d]: by the engine itself, one text at a time, untrimmed."""
    model = fake_model()
    tables = [model.tokenizer.tokenize([text]) for text in texts]
    layer = "sequence_output"
    found = [model.engine.encode(table.inputs, [layer])[layer][0] for table in tables]
    return [row[: int(table.lengths[0])] for row, table in zip(found, tables, strict=True)]


@pytest.mark.parametrize("normalize", [False, True])
async def test_the_tokens_of_each_text_one_after_the_other(embedder: Embedder, normalize: bool) -> None:
    expected = np.concatenate(token_vectors(TEXTS))
    if normalize:
        expected = expected / np.linalg.norm(expected, axis=1, keepdims=True)
    result = await embedder.embed(
        fake_model(), TEXTS, replace(TOKENS, normalize=normalize), probabilities=True
    )
    assert result.token_counts.tolist() == [4, 2, 6, 3, 42]
    assert result.vectors.dtype == np.float32
    np.testing.assert_allclose(result.vectors, expected, atol=1e-6)
    assert (result.layer, result.pooling) == ("sequence_output", "tokens")
    assert result.probabilities is not None
    assert result.probabilities.shape == (5, 3)
    named = await embedder.embed(fake_model(), TEXTS, replace(TOKENS, layer="sequence_output"))
    assert named.space == (await embedder.embed(fake_model(), ["a"], TOKENS)).space
    other = await embedder.embed(fake_model(), ["a"], EmbedOptions(pooling="mean"))
    assert named.space != other.space


async def test_tokens_of_many_callers(embedder: Embedder) -> None:
    model = fake_model()
    found = await asyncio.gather(*(embedder.embed(model, [text], TOKENS) for text in TEXTS))
    for result, expected in zip(found, token_vectors(TEXTS), strict=True):
        np.testing.assert_allclose(result.vectors, expected, atol=1e-6)


async def test_texts_that_fail_keep_their_rows(embedder: Embedder) -> None:
    model = fake_model(max_length=8, nan_on="poison")
    texts = ["a b", "x " * 9, "poison c", "d"]
    result = await embedder.embed(model, texts, replace(TOKENS, truncate="error"))
    assert [(i, error.reason) for i, error in result.row_errors.items()] == [
        (1, "TEXT_TOO_LONG"),
        (2, "NOT_FINITE"),
    ]
    assert result.token_counts.tolist() == [4, 8, 4, 3]
    parts = np.split(result.vectors, np.cumsum(result.token_counts)[:-1])
    assert [bool(np.isnan(part).all()) for part in parts] == [False, True, True, False]
    assert np.isfinite(parts[0]).all()
    assert np.isfinite(parts[3]).all()


async def test_the_caller_sees_the_counts_before_anything_is_computed(embedder: Embedder) -> None:
    model = fake_model()
    seen = []

    def check(counts: np.ndarray) -> None:
        seen.append(counts.tolist())
        raise InvalidInput("too much")

    with pytest.raises(InvalidInput, match="too much"):
        await embedder.embed(model, TEXTS, TOKENS, check=check)
    assert seen == [[4, 2, 6, 3, 42]]
    assert model.engine.batches == []


async def test_the_models_own_pooling_is_taken_when_none_is_said(embedder: Embedder) -> None:
    model = fake_model(pooling="mean")
    result = await embedder.embed(model, TEXTS)
    named = await embedder.embed(fake_model(), TEXTS, EmbedOptions(pooling="mean"))
    np.testing.assert_array_equal(result.vectors, named.vectors)
    assert (result.pooling, result.space) == ("mean", named.space)
    said = await embedder.embed(model, TEXTS, EmbedOptions(pooling="pooled"))
    assert said.pooling == "pooled"


@pytest.mark.parametrize(
    ("default", "layer", "expected"),
    [
        ("mean", "sequence_output", "mean"),
        ("mean", "dense", "pooled"),
        ("mean", None, "mean"),
        ("pooled", "dense", "pooled"),
        ("tokens", "sequence_output", "tokens"),
    ],
)
def test_the_default_of_a_layer(default: str, layer: str | None, expected: str) -> None:
    manifest = fake_model(pooling=default).manifest
    manifest = replace(manifest, readouts=(*manifest.readouts, Readout("dense", 4, "other")))
    assert EmbedOptions(layer).on(manifest).pooling == expected
    assert choose_readout(manifest, EmbedOptions(layer)).layer == layer or layer is None


def test_a_layer_of_tokens_has_no_default_where_the_model_declares_none() -> None:
    with pytest.raises(PreconditionFailed, match="possible: cls, mean, max, tokens"):
        choose_readout(fake_model().manifest, EmbedOptions("sequence_output"))


@pytest.mark.parametrize("manifest", [fake_model().manifest, fake_model(pooling="tokens").manifest])
def test_where_a_text_has_one_row_tokens_are_refused(manifest: object) -> None:
    options = EmbedOptions(pooling="tokens" if manifest.pooling == "pooled" else None)
    with pytest.raises(InvalidInput, match="one row a token") as refused:
        choose_readout(manifest, options, row_a_text=True)
    assert (refused.value.reason, refused.value.field) == ("ROW_A_TOKEN", "options.pooling")
    assert choose_readout(manifest, options).kind == "tokens"
