"""Tokenizing by the model's graph, against the preprocessing SavedModel that the graph was made with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from penult_service.embedder import CUT, NONE, UNKNOWN
from penult_service.prepared import TEXT, TOKENIZE, Manifest, load_manifest
from penult_service.preparing import convert
from support import seed_model as seeds
from support.tiny_bert import WORDS, sample_texts

if TYPE_CHECKING:
    from penult_service.tokenizing.graph import GraphTokenizer

pytestmark = pytest.mark.tensorflow

# The preprocessor's names for what the manifest names by role.
ROLES = {"ids": "input_word_ids", "mask": "input_mask", "types": "input_type_ids"}
ROOM = seeds.MAX_LENGTH - 2  # word pieces between [CLS] and [SEP]

STRANGE = [
    "",
    "   ",
    "\x00",
    "!!!",
    "naïve café",
    "שלום עולם",
    "👍🏽 great",
    "a\tb\nc",
    "UPPER",
    "x" * 3000,
    "…ﬁ",
]


def tokenizer_of(signature: Any, manifest: Manifest) -> GraphTokenizer:
    from penult_service.tokenizing.graph import GraphTokenizer

    return GraphTokenizer(signature, manifest)


class Counted:
    """A signature, and the texts of each call."""

    def __init__(self, signature: Any) -> None:
        self.signature = signature
        self.calls: list[int] = []

    def __call__(self, **arguments: Any) -> Mapping[str, Any]:
        self.calls.append(len(arguments[TEXT]))
        return dict(self.signature(**arguments))


@pytest.fixture(scope="module")
def manifest() -> Manifest:
    return load_manifest(seeds.prepared_seed_model())


@pytest.fixture(scope="module")
def signature() -> Any:
    from penult_service.engines.tensorflow import signatures

    kept = signatures(seeds.prepared_seed_model())
    return lambda **arguments: kept[TOKENIZE](**arguments)


@pytest.fixture(scope="module")
def tokenizer(signature: Any, manifest: Manifest) -> GraphTokenizer:
    return tokenizer_of(signature, manifest)


@pytest.fixture(scope="module")
def preprocessor() -> Any:
    import tensorflow as tf
    import tensorflow_text  # noqa: F401

    return tf.saved_model.load(str(seeds.converted() / convert.PREPROCESSOR))


def expected(preprocessor: Any, texts: Sequence[str]) -> dict[str, np.ndarray]:
    import tensorflow as tf

    return {name: value.numpy() for name, value in preprocessor(tf.constant(list(texts))).items()}


def assert_equal(tokenizer: GraphTokenizer, manifest: Manifest, preprocessor: Any, texts: list[str]) -> None:
    table, oracle = tokenizer.tokenize(texts), expected(preprocessor, texts)
    assert [token.role for token in manifest.inputs] == list(ROLES)
    for token in manifest.inputs:
        np.testing.assert_array_equal(table.inputs[token.name], oracle[ROLES[token.role]])
        assert table.inputs[token.name].dtype == token.dtype
    np.testing.assert_array_equal(table.lengths, oracle["input_mask"].sum(axis=1))
    assert table.lengths.dtype == np.int32


def pieces_of(count: int) -> str:
    """A text of exactly so many word pieces: words of the vocabulary."""
    return " ".join(WORDS[i % len(WORDS)] for i in range(count))


def test_the_tokens_are_the_preprocessors_own(
    tokenizer: GraphTokenizer, manifest: Manifest, preprocessor: Any
) -> None:
    texts = STRANGE + sample_texts(200, longest=150)
    assert_equal(tokenizer, manifest, preprocessor, texts)


def test_more_texts_than_one_call_takes(signature: Any, manifest: Manifest, preprocessor: Any) -> None:
    texts = sample_texts(4100, longest=6)
    texts[4096] = pieces_of(300)
    counted = Counted(signature)
    assert_equal(tokenizer_of(counted, manifest), manifest, preprocessor, texts)
    assert counted.calls[:2] == [4096, 4]


def test_an_empty_text_is_two_special_tokens(tokenizer: GraphTokenizer) -> None:
    table = tokenizer.tokenize([""])
    assert table.lengths.tolist() == [2]
    assert table.truncations == [NONE]


@pytest.mark.parametrize("count", [1, 2, 60, ROOM - 1, ROOM, ROOM + 1, ROOM + 2, 400])
def test_a_text_was_cut_when_its_word_pieces_do_not_fit(tokenizer: GraphTokenizer, count: int) -> None:
    table = tokenizer.tokenize([pieces_of(count)])
    assert table.lengths.tolist() == [min(count, ROOM) + 2]
    assert table.truncations == [CUT if count > ROOM else NONE]


def test_what_counts_is_word_pieces_not_words(tokenizer: GraphTokenizer) -> None:
    halves = " ".join(["films"] * (ROOM // 2))  # film ##s
    table = tokenizer.tokenize([halves, halves + "s", "films " * ROOM, "x" * 90])
    assert table.lengths.tolist() == [ROOM + 2, ROOM + 2, ROOM + 2, 92]
    assert table.truncations == [NONE, CUT, CUT, NONE]


def test_each_text_is_judged_by_itself(tokenizer: GraphTokenizer) -> None:
    texts = [pieces_of(n) for n in (ROOM, 3, ROOM + 1, ROOM, 500, 0)]
    assert tokenizer.tokenize(texts).truncations == [NONE, NONE, CUT, NONE, CUT, NONE]


def test_only_texts_that_fill_the_length_are_counted(signature: Any, manifest: Manifest) -> None:
    counted = Counted(signature)
    tokenizer_of(counted, manifest).tokenize([pieces_of(n) for n in (5, ROOM, 7, ROOM - 1, 0)])
    assert counted.calls == [5, 1, 1]  # all, the full one, and the empty text for the special tokens


def test_without_a_count_a_full_text_is_unknown(signature: Any, manifest: Manifest) -> None:
    blind = tokenizer_of(signature, replace(manifest, counts_wordpieces=False))
    assert blind.tokenize([pieces_of(5), pieces_of(ROOM), pieces_of(400)]).truncations == [
        NONE,
        UNKNOWN,
        UNKNOWN,
    ]


def test_blocks_of_different_widths_are_padded_to_the_widest(manifest: Manifest) -> None:
    """A graph without a fixed length pads each call to the longest of its texts."""
    import tensorflow as tf

    def ragged(**arguments: Any) -> dict[str, Any]:
        counts = [int(text) for text in arguments[TEXT].numpy()]
        rows = np.arange(max(counts)) < np.array(counts)[:, None]
        return {token.name: tf.constant(rows.astype(np.int32)) for token in manifest.inputs}

    table = tokenizer_of(ragged, manifest).tokenize(["3"] * 4096 + ["5", "1"])
    assert table.lengths.tolist() == [3] * 4096 + [5, 1]
    for token in manifest.inputs:
        np.testing.assert_array_equal(table.inputs[token.name], np.arange(5) < table.lengths[:, None])


def test_nothing_but_empty_texts_where_texts_are_padded_to_the_longest(manifest: Manifest) -> None:
    """Such a graph gives no column at all; an empty text has one cell of padding, as it has in company."""
    import tensorflow as tf

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name=TEXT)])
    def words(text: Any) -> dict[str, Any]:
        ids = tf.cast(tf.strings.to_hash_bucket_fast(tf.strings.split(text), 90) + 1, tf.int32).to_tensor()
        return {"input_ids": ids}

    (ids,) = (token for token in manifest.inputs if token.role == "ids")
    alone = replace(manifest, inputs=(replace(ids, name="input_ids"),))
    table = tokenizer_of(words, alone).tokenize(["", ""])
    assert table.inputs["input_ids"].tolist() == [[0], [0]]
    assert table.lengths.tolist() == [1, 1]
