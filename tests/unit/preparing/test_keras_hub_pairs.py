"""KerasHub's byte pairs by the `tokenizers` library: the ids of the tokenizer itself, or a refusal."""

from __future__ import annotations

import json
import random
import unicodedata
from collections.abc import Sequence
from functools import cache
from typing import Any

import pytest
from penult_service.errors import ModelRefused
from penult_service.tokenizing import byte_pairs
from penult_service.tokenizing.parts import refuse_unknown_parts
from support import tiny_keras_hub as hub
from support.tiny_bert import sample_texts

pytestmark = pytest.mark.tensorflow
SPECIAL = ("<s>", "</s>", "<pad>", "<mask>")
ALPHABET = (
    *(
        " ",
        "  ",
        "\t",
        "\n",
        "\r\n",
        "\f",
        "\v",
        "\u00a0",
        "\u2009",
        "\u202f",
        "\u3000",
        "\u1680",
        "\u2028",
        "\x85",
    ),
    *(
        "\x00",
        "\x01",
        "\u200b",
        "\u200d",
        "\ufeff",
        byte_pairs.MARK,
        "'",
        "s",
        "t",
        "re",
        "'ll",
        "'LL",
        "d'",
        "good",
    ),
    *(
        "Film",
        "1",
        "12",
        "٣",
        "²",
        "½",
        "Ⅷ",
        "!",
        "...",
        "_",
        "é",
        "e\u0301",
        "ß",
        "ŉ",
        "日本",
        "한",
        "👍🏽",
        "ﬁ",
    ),
    *(
        "\u0378",
        "\ue000",
        "\U0010ffff",
        "\u1c89",
        "\U00010d40",
        "\U0001f1e9\U0001f1ea",
        "<",
        ">",
        "s>",
        *SPECIAL,
    ),
)


def library(tokenizer: Any, length: int = 64) -> Any:
    """The library's tokenizer of the file, without what is put around texts."""
    from penult_service.preparing.formats.keras_hub_pairs import library_file
    from tokenizers import Tokenizer

    raw = json.loads(library_file("a model", tokenizer, length))
    refuse_unknown_parts(raw)
    return Tokenizer.from_str(json.dumps(raw | {"truncation": None, "padding": None, "post_processor": None}))


@cache
def traced() -> Any:
    """The tokenizer inside a function of TensorFlow, where `fit` and `predict` call it."""
    import tensorflow as tf

    signature = [tf.TensorSpec([None], tf.string)]
    return tf.function(hub.made_tokenizer("roberta"), input_signature=signature)


def own_ids(texts: Sequence[str]) -> list[list[int]]:
    """What the tokenizer itself makes."""
    import tensorflow as tf

    return [list(row) for row in traced()(tf.constant(list(texts))).to_list()]


@pytest.fixture(scope="module")
def tokenizer() -> Any:
    return hub.made_tokenizer("roberta")


def odd_texts(count: int, seed: int) -> list[str]:
    generator = random.Random(seed)
    return ["".join(generator.choices(ALPHABET, k=generator.randrange(14))) for _ in range(count)]


def test_odd_texts_get_the_ids_of_the_tokenizer(tokenizer: Any) -> None:
    ends = [
        " \u00a0\u2009\u202f\u3000",
        "a\n\u00a0\u2009\u202f\u3000",
        " \u00a0\u2009\u202f\u3000<s>",
        "a  ",
        " a",
    ]
    texts = [*hub.TEXTS, *ALPHABET, *ends, *odd_texts(3000, seed=3)]
    found = [encoding.ids for encoding in library(tokenizer).encode_batch(texts)]
    different = [text for text, one, other in zip(texts, found, own_ids(texts), strict=True) if one != other]
    assert different == []


@pytest.mark.full
def test_every_character_gets_the_ids_of_the_tokenizer(tokenizer: Any) -> None:
    """Of the large blocks that are all alike, one in fifty."""
    points = [point for point in range(0x110000) if not 0xD800 <= point <= 0xDFFF]
    alike = {point for point in points if unicodedata.category(chr(point)) in ("Lo", "Co", "Cn")}
    taken = [point for point in points if point not in alike or point % 50 == 0]
    texts = [f"a{chr(point)}b {chr(point)} 1{chr(point)}" for point in taken]
    assert len(texts) > 30_000
    assert [encoding.ids for encoding in library(tokenizer).encode_batch_fast(texts)] == own_ids(texts)


def test_a_text_is_cut_and_padded_as_by_the_preprocessor(tokenizer: Any) -> None:
    from penult_service.prepared import TokenInput
    from penult_service.preparing.formats.keras_hub_pairs import library_file
    from penult_service.tokenizing.library import LibraryTokenizer

    inputs = [TokenInput("ids", "ids", "int32"), TokenInput("mask", "mask", "int32")]
    made = LibraryTokenizer(library_file("a model", tokenizer, hub.LENGTH), inputs).tokenize(list(hub.TEXTS))
    own = hub.tokens(hub.classifier("roberta"), hub.TEXTS)
    width = made.inputs["ids"].shape[1]
    assert width == hub.LENGTH
    assert made.inputs["ids"].tolist() == own["token_ids"].tolist()
    assert made.inputs["mask"].astype(bool).tolist() == own["padding_mask"].tolist()
    assert made.lengths.tolist() == own["padding_mask"].sum(axis=1).tolist()
    assert set(made.truncations) == {"cut", "none"}


@pytest.mark.parametrize(
    ("length", "truncate", "taken"),
    [(24, "round_robin", True), (25, "round_robin", False), (24, "waterfall", False)],
)
def test_pairs_are_cut_as_by_the_preprocessor_or_refused(
    tokenizer: Any, length: int, truncate: str, taken: bool
) -> None:
    import tensorflow as tf
    from penult_service.errors import InvalidInput
    from penult_service.prepared import TokenInput
    from penult_service.preparing.formats.keras_hub_pairs import library_file
    from penult_service.tokenizing.library import LibraryTokenizer

    file = library_file("a model", tokenizer, length, truncate)
    library_tokenizer = LibraryTokenizer(file, [TokenInput("ids", "ids", "int32")])
    first, second = (sample_texts(60, seed=seed, shortest=1, longest=40) for seed in (1, 2))
    if not taken:
        with pytest.raises(InvalidInput, match="cuts a pair of texts in a way") as caught:
            library_tokenizer.tokenize(first, second)
        assert caught.value.reason == "PAIRS_UNKNOWN"
        assert library_tokenizer.tokenize(first).lengths.max() == length
        return
    made = hub.models().RobertaTextClassifierPreprocessor(
        tokenizer, sequence_length=length, truncate=truncate
    )
    own = tf.function(lambda a, b: made((a, b), None, None))(tf.constant(first), tf.constant(second))
    assert (
        library_tokenizer.tokenize(first, second).inputs["ids"].tolist() == own["token_ids"].numpy().tolist()
    )


def test_another_version_of_unicode_changes_nothing() -> None:
    """Letters that the library knows and TensorFlow does not: the file says which are meant."""
    from penult_service.preparing.formats import keras_hub_pairs

    letters, numbers = keras_hub_pairs._classes()
    assert letters.startswith(r"\x{41}-\x{5a}\x{61}-\x{7a}")
    assert numbers.startswith(r"\x{30}-\x{39}")
    assert r"\x{1c89}" not in letters  # of Unicode 16


def changed(**settings: Any) -> Any:
    vocabulary, merges = hub.byte_pairs()
    settings = {"vocabulary": dict(vocabulary), "merges": list(merges)} | settings
    return hub.models().RobertaTokenizer(settings.pop("vocabulary"), settings.pop("merges"), **settings)


def without_a_byte() -> Any:
    vocabulary, merges = hub.byte_pairs()
    return changed(
        vocabulary={token: number for token, number in vocabulary.items() if token != "Ā"},
        merges=[merge for merge in merges if "Ā" not in merge],
    )


@pytest.mark.parametrize(
    ("made", "why"),
    [
        (lambda: changed(add_prefix_space=True), "add_prefix_space is not known here"),
        (lambda: changed(unsplittable_tokens=["<s>", "s>"]), "overlap"),
        (lambda: changed(unsplittable_tokens=["<s>", "nowhere"]), "is not in its vocabulary"),
        (lambda: changed(sequence_length=9), "pads texts itself"),
        (without_a_byte, "lacks 1 of the 256 bytes"),
    ],
)
def test_what_is_not_known_is_refused(made: Any, why: str) -> None:
    from penult_service.preparing.formats.keras_hub_pairs import library_file

    with pytest.raises(ModelRefused, match=why) as caught:
        library_file("a model", made(), 64)
    assert caught.value.reason == "TOKENIZER_UNSUPPORTED"
    assert caught.value.message.startswith("a model: its RobertaTokenizer cannot be served")


def test_a_difference_is_refused_and_shown(tokenizer: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Letters taken for something else: the check of the ids fails, and says where."""
    from penult_service.preparing.formats import keras_hub_pairs

    monkeypatch.setattr(keras_hub_pairs, "_classes", lambda: (r"\x{61}-\x{7a}", r"\x{30}-\x{39}"))
    with pytest.raises(ModelRefused, match=r"cuts \d+ of \d+ texts otherwise, such as") as caught:
        keras_hub_pairs.library_file("a model", tokenizer, 64)
    assert caught.value.reason == "TOKENIZER_UNSUPPORTED"


def test_merges_with_a_line_of_their_version() -> None:
    vocabulary, merges = hub.byte_pairs()
    versioned = hub.models().RobertaTokenizer(dict(vocabulary), ["#version: 0.2", *merges])
    texts = list(hub.TEXTS)
    assert [e.ids for e in library(versioned).encode_batch(texts)] == own_ids(texts)


# The patterns, which a `tokenizer.json` of a stranger may hold as well


def patterns(part: Any) -> list[str]:
    if isinstance(part, list):
        return [found for item in part for found in patterns(item)]
    if not isinstance(part, dict):
        return []
    own = [part["Regex"]] if "Regex" in part else []
    return own + [found for item in part.values() for found in patterns(item)]


def test_the_patterns_are_known_and_no_others() -> None:
    parts = [byte_pairs.normalizer(), byte_pairs.pre_tokenizer(r"\x{41}-\x{5a}", r"\x{30}-\x{39}")]
    known = patterns(parts)
    assert len(known) == 6
    for pattern in known:
        assert byte_pairs.is_known(pattern)
        for other in (f"(?:{pattern})+", pattern + "+", f"{pattern}(a+)+b", f"{pattern}|.*"):
            assert not byte_pairs.is_known(other)
    words = max(known, key=len)
    assert not byte_pairs.is_known(words.replace(r"\x{30}-\x{39}", r"\x{31}-\x{39}", 1))
    assert not byte_pairs.is_known(words.replace("(?<!", "(?<=", 1))


def test_a_part_with_another_pattern_is_refused() -> None:
    split = {"type": "Split", "pattern": {"Regex": "(a+)+$"}, "behavior": "Isolated", "invert": False}
    for strange in ("(a+)+$", ["(a+)+$"], {"a": 1}):
        with pytest.raises(ValueError, match="has the pattern"):
            refuse_unknown_parts({"pre_tokenizer": split | {"pattern": {"Regex": strange}}})
    refuse_unknown_parts({"pre_tokenizer": split | {"pattern": {"String": "a"}}})


def test_long_runs_of_blanks_are_cut_like_short_ones(tokenizer: Any) -> None:
    """The pattern may begin in front of a run alone; that changes no piece."""
    texts = [f"{start}{blank * count}{end}" for start in ("", "a") for blank in (" ", "\n", " \n", "\t ", "\u3000")
             for count in (1, 2, 5, 40) for end in ("", "a", "\n", " b", "<s>")]  # fmt: skip
    assert [e.ids for e in library(tokenizer).encode_batch(texts)] == own_ids(texts)
