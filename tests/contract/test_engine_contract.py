"""What every tokenizer and engine must do, whatever it is made of: one suite over all of them.

To add one, add a function that gives a `LoadedModel` to MODELS.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
from penult_service.embedder import CUT, NONE, UNKNOWN, LoadedModel, TokenTable
from penult_service.embedder.passes import class_probabilities
from penult_service.masks import Draw, dropped, keys_of
from penult_service.tuned import BFLOAT16, FLOAT32, OPENVINO, TENSORFLOW
from support.engines import seed_model_on
from support.fakes import fake_model

MODELS: dict[str, Callable[[], LoadedModel]] = {
    "fake": fake_model,
    "fake-sigmoid": lambda: fake_model(head="sigmoid"),
    "fake-untrimmed": lambda: fake_model(trims=False),
    "fake-pooled-only": lambda: fake_model(tokens=False, max_length=48),
    "fake-logits": lambda: fake_model(head="logits"),
    "fake-file": lambda: fake_model(takes="file"),
    "fake-cannot-tell": lambda: fake_model(tells_cuts=False, head="multilabel"),
    "tensorflow": lambda: seed_model_on(TENSORFLOW),
    "tensorflow-bfloat16": lambda: seed_model_on(TENSORFLOW, BFLOAT16),
    "openvino": lambda: seed_model_on(OPENVINO),
    "openvino-bfloat16": lambda: seed_model_on(OPENVINO, BFLOAT16),
}

SHORT = [
    "a film that i will not forget",
    "dull",
    "the plot is thin , but the actors save it , and the music stays with you for days",
    "naïve café",
    "שלום עולם",
    "👍🏽 great",
    "a\tb\nc",
    "UPPER lower",
]
STRANGE = ["", "   ", "\x00", "!!!", "\u200b", "e\u0301", "x" * 3000]
LONG = ["word " * 3000]
TEXTS = SHORT + STRANGE + LONG

# What trimming and companions may change: measured 3e-7 for pooled outputs, 3e-6 for token outputs.
CLOSE = {"rtol": 1e-5, "atol": 1e-5}
# The same in bfloat16, of a row's length. It has 8 bits, so every product rounds by up to 0.4 %, and one of another
# shape may round elsewhere; measured 0.02.
CLOSE_ROWS = 0.05


def assert_close(model: LoadedModel, found: np.ndarray, expected: np.ndarray) -> None:
    """Equal but for rounding, at the model's precision."""
    if model.engine.precision == FLOAT32:
        np.testing.assert_allclose(found, expected, **CLOSE)
        return
    assert found.shape == expected.shape
    apart = np.linalg.norm(np.asarray(found) - expected, axis=-1)
    assert (apart <= CLOSE_ROWS * np.linalg.norm(expected, axis=-1)).all()


@pytest.fixture(scope="module", params=MODELS)
def model(request: pytest.FixtureRequest) -> LoadedModel:
    return MODELS[request.param]()


@pytest.fixture(scope="module")
def table(model: LoadedModel) -> TokenTable:
    return model.tokenizer.tokenize(TEXTS)


def inputs_of(table: TokenTable, rows: Any = slice(None), width: int | None = None) -> dict[str, np.ndarray]:
    return {name: np.ascontiguousarray(values[rows, :width]) for name, values in table.inputs.items()}


def seam_of(model: LoadedModel, table: TokenTable, rows: Any = slice(None)) -> np.ndarray:
    seam = model.manifest.seam
    return model.engine.encode(inputs_of(table, rows), [seam])[seam]


# Tokenizers


def test_the_inputs_are_those_of_the_manifest(model: LoadedModel, table: TokenTable) -> None:
    assert set(table.inputs) == {i.name for i in model.manifest.inputs}
    for wanted in model.manifest.inputs:
        assert table.inputs[wanted.name].shape == (len(TEXTS), model.manifest.max_length)
        assert table.inputs[wanted.name].dtype == wanted.dtype
    assert sum(i.role == "ids" for i in model.manifest.inputs) == 1


def test_lengths_count_the_tokens_without_padding(model: LoadedModel, table: TokenTable) -> None:
    assert table.lengths.dtype == np.int32
    assert table.lengths.shape == (len(TEXTS),)
    assert table.lengths.min() >= 0
    assert table.lengths.max() <= model.manifest.max_length
    for wanted in model.manifest.inputs:
        if wanted.role == "mask":
            expected = np.arange(model.manifest.max_length) < table.lengths[:, None]
            np.testing.assert_array_equal(table.inputs[wanted.name], expected)


def test_texts_that_fit_were_not_cut(model: LoadedModel, table: TokenTable) -> None:
    assert len(table.truncations) == len(TEXTS)
    for length, truncation in zip(table.lengths, table.truncations, strict=True):
        assert truncation in (NONE, CUT, UNKNOWN)
        if length < model.manifest.max_length:
            assert truncation == NONE


def test_a_long_text_fills_the_length_and_is_not_said_to_be_whole(model: LoadedModel) -> None:
    table = model.tokenizer.tokenize(LONG)
    assert table.lengths.tolist() == [model.manifest.max_length]
    assert table.truncations[0] in (CUT, UNKNOWN)


def test_a_tokenizer_that_counts_word_pieces_tells_of_a_single_text_whether_it_was_cut(
    model: LoadedModel,
) -> None:
    if not model.manifest.counts_wordpieces:
        pytest.skip("its manifest says that it does not count them")
    for text in TEXTS:
        assert UNKNOWN not in model.tokenizer.tokenize([text]).truncations


def test_a_text_is_tokenized_the_same_alone_and_in_company(model: LoadedModel, table: TokenTable) -> None:
    for row, text in enumerate(TEXTS):
        alone = model.tokenizer.tokenize([text])
        assert alone.lengths[0] == table.lengths[row]
        for name, values in alone.inputs.items():
            np.testing.assert_array_equal(values[0], table.inputs[name][row])


def test_tokenizing_from_many_threads_at_once(model: LoadedModel, table: TokenTable) -> None:
    orders = [np.random.default_rng(seed).permutation(len(TEXTS)) for seed in range(12)]
    with ThreadPoolExecutor(4) as threads:
        tables = list(threads.map(lambda order: model.tokenizer.tokenize([TEXTS[i] for i in order]), orders))
    for order, other in zip(orders, tables, strict=True):
        np.testing.assert_array_equal(other.lengths, table.lengths[order])
        for name, values in other.inputs.items():
            np.testing.assert_array_equal(values, table.inputs[name][order])


# Engines


def test_it_says_what_it_is(model: LoadedModel) -> None:
    setting = model.tuned.setting
    assert model.engine.name in ("fake", setting.engine)
    assert model.engine.precision == setting.precision


def test_every_set_of_readouts_gives_the_same_numbers(model: LoadedModel, table: TokenTable) -> None:
    readouts = model.manifest.readouts
    layers = [r.layer for r in readouts]
    everything = model.engine.encode(inputs_of(table), layers)
    sets = [c for n in range(1, len(layers) + 1) for c in itertools.combinations(layers, n)]
    for asked in sets:
        got = model.engine.encode(inputs_of(table), asked)
        assert set(got) == set(asked)
        for layer in asked:
            assert_close(model, got[layer], everything[layer])
    for readout in readouts:
        length = (model.manifest.max_length,) if readout.kind == "tokens" else ()
        assert everything[readout.layer].shape == (len(TEXTS), *length, readout.dimension)
        assert np.isfinite(everything[readout.layer]).all()


def test_the_same_batch_gives_the_same_bits(model: LoadedModel, table: TokenTable) -> None:
    first = seam_of(model, table)
    for _ in range(5):
        np.testing.assert_array_equal(seam_of(model, table), first)


def test_companions_and_order_change_nothing(model: LoadedModel, table: TokenTable) -> None:
    together = seam_of(model, table)
    alone = np.concatenate([seam_of(model, table, [i]) for i in range(len(TEXTS))])
    assert_close(model, alone, together)
    assert_close(model, seam_of(model, table, slice(None, None, -1))[::-1], together)


def test_different_texts_have_different_embeddings(model: LoadedModel, table: TokenTable) -> None:
    embeddings = seam_of(model, table, slice(len(SHORT)))
    distances = np.linalg.norm(embeddings[:, None] - embeddings[None], axis=2)
    assert distances[~np.eye(len(SHORT), dtype=bool)].min() > 1e-4


def test_where_the_manifest_says_so_trimming_changes_nothing(model: LoadedModel, table: TokenTable) -> None:
    if not model.manifest.trims:
        pytest.skip("its manifest says that it needs its padding")
    rows, width = slice(len(SHORT)), int(table.lengths[: len(SHORT)].max())
    assert width < model.manifest.max_length
    layers = [r.layer for r in model.manifest.readouts]
    full = model.engine.encode(inputs_of(table, rows), layers)
    trimmed = model.engine.encode(inputs_of(table, rows, width), layers)
    tokens = np.arange(width) < table.lengths[rows, None]
    for readout in model.manifest.readouts:
        a, b = full[readout.layer], trimmed[readout.layer]
        if readout.kind == "tokens":
            a, b = a[:, :width][tokens], b[tokens]
        assert_close(model, b, a)


def test_the_head_gives_the_outputs_of_the_manifest(model: LoadedModel, table: TokenTable) -> None:
    outputs = model.engine.head(seam_of(model, table))
    assert set(outputs) == set(model.manifest.outputs)
    assert model.manifest.head.output in outputs
    assert all(len(output) == len(TEXTS) for output in outputs.values())


def test_class_probabilities_are_probabilities(model: LoadedModel, table: TokenTable) -> None:
    head = model.manifest.head
    outputs = model.engine.head(seam_of(model, table))
    probabilities = class_probabilities(head, outputs[head.output])
    assert probabilities.shape == (len(TEXTS), head.classes)
    assert ((probabilities >= 0) & (probabilities <= 1)).all()
    assert len(head.labels) in (0, head.classes)
    if head.kind in ("softmax", "sigmoid"):
        np.testing.assert_allclose(probabilities.sum(axis=1), 1.0, atol=1e-5)


def test_the_parts_together_equal_the_whole(model: LoadedModel, table: TokenTable) -> None:
    parts = model.engine.head(seam_of(model, table))
    whole = model.engine.whole({"text": np.array(TEXTS, object)})
    assert set(whole) == set(model.manifest.outputs)
    for name, output in whole.items():
        assert_close(model, parts[name], output)


# Dropout put back


def draw_of(
    model: LoadedModel, rows: Any, *, rate: float = 0.0, site: int | None = None, sample: int = 0
) -> Draw:
    """The keys of rows by their numbers, and one site's rate (None: that of the embedding itself)."""
    numbers = np.arange(len(TEXTS))[rows]
    own, shared = keys_of(11, np.full(len(numbers), sample), numbers)
    rates = np.zeros(len(model.manifest.sites) + 1, np.float32)
    rates[-1 if site is None else site] = rate
    return Draw(own, shared, rates)


def sampled_sites(model: LoadedModel, *places: str) -> list[int]:
    sites = model.manifest.sites
    found = [i for i, site in enumerate(sites) if site.sampled and site.place in places]
    if model.manifest.unsampled or not found:
        pytest.skip(model.manifest.unsampled or f"no dropout {' or '.join(places)} the seam can be put back")
    return found


def outputs_of(model: LoadedModel, seam: np.ndarray, draw: Draw) -> np.ndarray:
    return model.engine.sample_head(seam, {}, draw)[model.manifest.head.output]


def test_at_rate_0_a_sample_is_what_is_served(model: LoadedModel, table: TokenTable) -> None:
    sampled_sites(model, "at", "after")
    seam, draw = seam_of(model, table), draw_of(model, slice(None))
    outputs = model.engine.sample_head(seam, {}, draw)
    assert set(outputs) == set(model.manifest.outputs)
    for name, output in model.engine.head(seam).items():
        assert_close(model, outputs[name], output)
    if model.manifest.samples_inside:
        assert_close(model, model.engine.sample_encode(inputs_of(table), draw), seam)


def test_dropout_at_the_seam_is_the_head_of_the_masked_embedding(
    model: LoadedModel, table: TokenTable
) -> None:
    (number, *_) = sampled_sites(model, "at")
    seam = seam_of(model, table)
    for site, drops in ((number, number), (None, len(model.manifest.sites))):
        draw = draw_of(model, slice(None), rate=0.4, site=site)
        masked = dropped(seam, draw.row_keys, drops, 0.4)
        assert 0.3 < (masked == 0).mean() < 0.5
        expected = model.engine.head(masked)[model.manifest.head.output]
        assert_close(model, outputs_of(model, seam, draw), expected)


def test_samples_of_the_same_keys_have_the_same_bits_and_others_differ(
    model: LoadedModel, table: TokenTable
) -> None:
    site = sampled_sites(model, "at", "after")[0]
    seam = seam_of(model, table)
    first, other = (
        outputs_of(model, seam, draw_of(model, slice(None), rate=0.5, site=site, sample=sample))
        for sample in (0, 1)
    )
    for _ in range(3):
        again = outputs_of(model, seam, draw_of(model, slice(None), rate=0.5, site=site))
        np.testing.assert_array_equal(again, first)
    assert (first != other).any(axis=tuple(range(1, first.ndim))).all()


@pytest.mark.parametrize("rows", [slice(None, None, -1), slice(3, 7), [5]])
def test_the_masks_of_a_row_do_not_know_its_company(model: LoadedModel, table: TokenTable, rows: Any) -> None:
    site = sampled_sites(model, "at", "after")[0]
    seam = seam_of(model, table)
    together = outputs_of(model, seam, draw_of(model, slice(None), rate=0.5, site=site))
    apart = outputs_of(model, seam[rows], draw_of(model, rows, rate=0.5, site=site))
    assert_close(model, apart, together[rows])


@pytest.mark.parametrize("rows", [slice(None, None, -1), slice(3, 7), [5]])
def test_inside_the_encoder_neither(model: LoadedModel, table: TokenTable, rows: Any) -> None:
    for site in sampled_sites(model, "before"):
        together = model.engine.sample_encode(
            inputs_of(table), draw_of(model, slice(None), rate=0.5, site=site)
        )
        assert (np.abs(together - seam_of(model, table)).max(axis=1) > 1e-4).all()
        draw = draw_of(model, rows, rate=0.5, site=site)
        apart = model.engine.sample_encode(inputs_of(table, rows), draw)
        assert_close(model, apart, together[rows])


def test_inside_the_encoder_padding_changes_no_mask(model: LoadedModel, table: TokenTable) -> None:
    sites = sampled_sites(model, "before")
    if not model.manifest.trims:
        pytest.skip("its manifest says that it needs its padding")
    rows, width = slice(len(SHORT)), int(table.lengths[: len(SHORT)].max())
    for site in sites:
        draw = draw_of(model, rows, rate=0.5, site=site)
        full = model.engine.sample_encode(inputs_of(table, rows), draw)
        trimmed = model.engine.sample_encode(inputs_of(table, rows, width), draw)
        assert_close(model, trimmed, full)
