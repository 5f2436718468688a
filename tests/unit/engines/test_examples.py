"""Rows to measure with, for every kind of model that there is."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from penult_service.embedder.protocols import LoadedModel
from penult_service.engines import machine, pricing
from penult_service.engines.examples import of_lengths, of_texts
from penult_service.engines.texts import SENTENCES, TEXTS
from penult_service.prepared import TokenInput
from support.fakes import fake_model

KINDS = ("text", "pair", "numbers", "ids", "file")


def model_of(takes: str) -> LoadedModel:
    return fake_model(takes=takes, max_length=64)


@pytest.mark.parametrize("takes", KINDS)
@pytest.mark.parametrize("made", ["of texts", "of lengths"])
def test_the_model_takes_them(takes: str, made: str) -> None:
    model = model_of(takes)
    texts = ["one", "", "a few words more than that", "x " * 200]
    examples = (
        of_texts(model.manifest, model.tokenizer, texts)
        if made == "of texts"
        else of_lengths(model.manifest, [3, 1, 20, 1000])
    )
    assert len(examples.lengths) == 4
    assert 1 <= examples.lengths.min() <= examples.lengths.max() <= 64
    found = pricing.read(model.engine, model.manifest, examples)
    assert np.isfinite(found.embeddings).all()
    assert found.embeddings.shape[0] == 4
    again = of_lengths(model.manifest, [3, 1, 20, 1000])
    if made == "of lengths":
        np.testing.assert_array_equal(
            found.embeddings, pricing.read(model.engine, model.manifest, again).embeddings
        )


def test_texts_are_tokenized_as_the_model_does_and_pairs_are_shifted() -> None:
    one, two = model_of("text"), model_of("pair")
    texts = ["one", "two words", "three words here"]
    table = one.tokenizer.tokenize(texts)
    np.testing.assert_array_equal(
        of_texts(one.manifest, one.tokenizer, texts).tokens["ids"], table.inputs["ids"]
    )
    pairs = two.tokenizer.tokenize(texts, [*texts[1:], texts[0]])
    np.testing.assert_array_equal(
        of_texts(two.manifest, two.tokenizer, texts).tokens["ids"], pairs.inputs["ids"]
    )


def test_batches_are_cut_to_their_longest_row_where_the_model_allows_it() -> None:
    trimmed = of_lengths(model_of("text").manifest, [5, 9, 30])
    assert trimmed.batch([0, 1])["ids"].shape == (2, 9)
    assert trimmed.costs.tolist() == [5, 9, 30]
    whole = of_lengths(fake_model(trims=False, max_length=64).manifest, [5, 9, 30])
    assert whole.batch([0, 1])["ids"].shape == (2, 64)
    assert whole.costs.tolist() == [64, 64, 64]


@pytest.mark.parametrize("shape", [(-1,), (-1, 2)])
def test_numbers_for_each_token_are_not_all_alike(shape: tuple[int, ...]) -> None:
    """Engines that agree on zeros alone may not on what comes."""
    manifest = fake_model(takes="ids", max_length=64).manifest
    minutes = TokenInput("minutes", "steps", "float32", "minutes", shape)
    found = of_lengths(replace(manifest, inputs=(*manifest.inputs, minutes)), [5, 9]).tokens["minutes"]
    assert found.shape == (2, 9, *shape[1:])
    assert not found[0, 5:].any()
    used = np.concatenate([found[0, :5].ravel(), found[1].ravel()])
    assert (used > 0).all()
    assert len(set(used.tolist())) == used.size


def test_the_built_in_texts_are_many_and_all_different() -> None:
    assert len(set(TEXTS)) == len(TEXTS) == 506
    assert len(SENTENCES) == 500


def test_the_machine() -> None:
    assert machine.processor()
    assert machine.cores() >= 1
    assert machine.load() >= 0.0
