"""Embeddings, probabilities, outputs and tokens, against the fake engine asked directly, a text at a time."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from penult_service.embedder import Embedder, EmbedOptions, LoadedModel
from penult_service.engines.fake import POOLED, TOKENS
from penult_service.tokenizing.fake import word_id
from penult_service.tuned import Setting, Tuned
from sklearn.preprocessing import normalize
from support.fakes import fake_model

WORDS = [f"w{i}" for i in range(500)]
RANDOM = np.random.default_rng(3)
TEXTS = [" ".join(RANDOM.choice(WORDS, n)) for n in RANDOM.integers(0, 90, 60)] + ["", "  ", "naïve café"]

FEW = Tuned(Setting(token_budget=256, max_rows=8))


def alone(model: LoadedModel, text: str) -> tuple[np.ndarray, np.ndarray]:
    """Pooled embedding [d] and token outputs [length, d] of one text, without padding."""
    table = model.tokenizer.tokenize([text])
    length = int(table.lengths[0]) if model.manifest.trims else model.manifest.max_length
    inputs = {name: values[:, :length] for name, values in table.inputs.items()}
    readouts = model.engine.encode(inputs, [POOLED, TOKENS])
    return readouts[POOLED][0], readouts[TOKENS][0]


@pytest.mark.parametrize("trims", [True, False])
async def test_embeddings_are_those_of_each_text_alone(embedder: Embedder, trims: bool) -> None:
    model = fake_model(trims=trims)
    result = await embedder.embed(model, TEXTS)
    expected = np.stack([alone(model, text)[0] for text in TEXTS])
    np.testing.assert_allclose(result.vectors, expected, atol=1e-6)
    assert result.vectors.dtype == np.float32
    assert (result.layer, result.row_errors, result.probabilities) == (POOLED, {}, None)


async def test_a_model_that_needs_its_padding_gets_it(embedder: Embedder) -> None:
    model = replace(fake_model(trims=False), tuned=FEW)
    await embedder.embed(model, [f"{word} {i}" for i in range(3) for word in ("a", "b c")])
    assert model.engine.batches == [(2, 128)] * 3


async def test_batches_are_trimmed_to_their_longest_row(embedder: Embedder) -> None:
    model = replace(fake_model(), tuned=FEW)
    await embedder.embed(model, [*"abcdefg", *(f"a b {i}" for i in range(8))])
    assert model.engine.batches == [(8, 5), (7, 3)]


POOL = {"cls": lambda t: t[0], "mean": lambda t: t.mean(axis=0), "max": lambda t: t.max(axis=0)}


@pytest.mark.parametrize("pooling", POOL)
@pytest.mark.parametrize("mask_input", [True, False])
async def test_pooling_goes_over_the_tokens_without_padding(
    embedder: Embedder, pooling: str, mask_input: bool
) -> None:
    model = fake_model()
    if not mask_input:  # then the lengths tell
        inputs = tuple(
            replace(i, role="other" if i.role == "mask" else i.role) for i in model.manifest.inputs
        )
        model = replace(model, manifest=replace(model.manifest, inputs=inputs))
    result = await embedder.embed(model, TEXTS, EmbedOptions(pooling=pooling))
    expected = np.stack([POOL[pooling](alone(model, text)[1]) for text in TEXTS])
    np.testing.assert_allclose(result.vectors, expected, atol=1e-6)
    assert result.layer == TOKENS


async def test_normalised_rows(embedder: Embedder) -> None:
    plain = await embedder.embed(fake_model(), TEXTS)
    unit = await embedder.embed(fake_model(), TEXTS, EmbedOptions(normalize=True))
    np.testing.assert_allclose(unit.vectors, normalize(plain.vectors), atol=1e-6)
    assert unit.space != plain.space


@pytest.mark.parametrize("head", ["softmax", "sigmoid", "multilabel"])
async def test_probabilities_come_from_the_same_pass(embedder: Embedder, head: str) -> None:
    model = fake_model(head=head)
    result = await embedder.embed(model, TEXTS, EmbedOptions(pooling="mean"), probabilities=True)
    passes = len(model.engine.batches)
    plain = await embedder.embed(model, TEXTS, EmbedOptions(pooling="mean"))
    assert len(model.engine.batches) == 2 * passes
    np.testing.assert_array_equal(plain.vectors, result.vectors)
    classified = await embedder.classify(model, TEXTS)
    assert result.probabilities is not None
    np.testing.assert_allclose(result.probabilities, classified.probabilities, atol=1e-6)
    output = (await embedder.predict(model, TEXTS))["output"]
    expected = np.concatenate([1 - output, output], axis=1) if head == "sigmoid" else output
    np.testing.assert_allclose(result.probabilities, expected, atol=1e-6)
    assert len(classified.labels) == expected.shape[1]


@pytest.mark.parametrize("rank", [1, 2])
async def test_one_sigmoid_of_any_rank_gives_two_classes(embedder: Embedder, rank: int) -> None:
    model = fake_model(head="sigmoid")
    head = model.engine.head
    model.engine.head = lambda e, _: {"output": head(e)["output"].reshape((-1, 1)[:rank])}
    probabilities = (await embedder.classify(model, ["a", "b"])).probabilities
    assert probabilities.shape == (2, 2)
    np.testing.assert_allclose(probabilities.sum(axis=1), 1.0, atol=1e-6)


@pytest.mark.parametrize("dtype", ["float64", "float16", "bfloat16"])
async def test_other_precisions_become_float32(embedder: Embedder, dtype: str) -> None:
    if dtype == "bfloat16":
        dtype = pytest.importorskip("ml_dtypes").bfloat16
    model = fake_model()
    encode = model.engine.encode
    model.engine.encode = lambda *given, **how: {k: v.astype(dtype) for k, v in encode(*given, **how).items()}
    for pooling in ("pooled", "mean"):
        result = await embedder.embed(model, TEXTS, EmbedOptions(pooling=pooling), probabilities=True)
        right = await embedder.embed(fake_model(), TEXTS, EmbedOptions(pooling=pooling))
        assert result.vectors.dtype == np.float32
        assert result.probabilities is not None
        assert result.probabilities.dtype == np.float32
        np.testing.assert_allclose(result.vectors, right.vectors, atol=2e-2)


async def test_counts_and_truncations(embedder: Embedder) -> None:
    model = fake_model(max_length=8)
    texts = ["a b", "x " * 6, "x " * 7, ""]
    for result in (await embedder.embed(model, texts), await embedder.classify(model, texts)):
        assert result.token_counts.tolist() == [4, 8, 8, 2]
        assert list(result.truncations) == ["none", "none", "cut", "none"]


async def test_tokens_without_padding(embedder: Embedder) -> None:
    result = await embedder.tokenize(fake_model(max_length=4), ["Hello", "a b c d"])
    assert [ids.tolist() for ids in result.ids] == [
        [1, word_id("hello"), 2],
        [1, word_id("a"), word_id("b"), 2],
    ]
    assert list(result.truncations) == ["none", "cut"]


async def test_predict_gives_all_outputs_in_order(embedder: Embedder) -> None:
    model = fake_model()
    whole = model.engine.whole

    def several(inputs: Any) -> dict[str, np.ndarray]:
        texts = inputs["text"]
        lengths = np.array([len(text) for text in texts])
        return {
            **whole(inputs),
            "length": lengths,
            "text": np.array([t.encode() for t in texts], dtype=object),
        }

    model.engine.whole = several
    outputs = await embedder.predict(model, TEXTS)
    assert outputs["length"].tolist() == [len(text) for text in TEXTS]
    assert outputs["text"].tolist() == [text.encode() for text in TEXTS]
    one_by_one = np.concatenate([whole({"text": np.array([text], object)})["output"] for text in TEXTS])
    np.testing.assert_allclose(outputs["output"], one_by_one, atol=1e-6)
