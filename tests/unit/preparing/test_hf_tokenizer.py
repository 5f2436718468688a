"""Tokens of a Hugging Face directory: the ids of the library itself, settings that count, files that contradict."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from penult_service.errors import ModelRefused
from penult_service.prepared import TokenInput
from penult_service.preparing.formats import hf_classifier, hf_tokenizer
from penult_service.preparing.formats.hf_tokenizer import HfTokenizer
from penult_service.tokenizing.library import LibraryTokenizer
from support.tiny_bert import VOCABULARY, sample_texts
from support.tiny_hf import POSITIONS, change_json, wordpieces, write_tiny_hf

INPUTS = (
    TokenInput("input_ids", "ids", "int32"),
    TokenInput("input_mask", "mask", "int32"),
    TokenInput("input_types", "types", "int32"),
)
_POOL = (
    "abc good film ABC é e\u0301 ñÅ Ⅸ ﬁ … ß İ ǅ \x00\x01\x85\u200b\u200d\ufeff\u2028\t\n "
    "日本語 العربية สวัสดี 👍🏽 .,!?'\"`` 0123 ½ ① "
    "[SEP] [CLS] [MASK] [PAD]"
)


def odd_texts(count: int) -> list[str]:
    rng = np.random.default_rng(7)
    pieces = [*_POOL, "[SEP]", "[CLS]", "[MASK]", "[UNK]", "good", "film", " "]
    return ["".join(rng.choice(pieces, size=rng.integers(1, 60))) for _ in range(count)]


TEXTS = ["", " ", *sample_texts(100, longest=70), *odd_texts(300)]


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    return write_tiny_hf(tmp_path / "model").directory


def read(directory: Path) -> HfTokenizer:
    return hf_tokenizer.read(directory, hf_classifier.read(directory).network)


def ids(found: HfTokenizer, texts: list[str] = TEXTS) -> list[list[int]]:
    table = LibraryTokenizer(found.text, INPUTS).tokenize(texts)
    return [
        row[:length].tolist() for row, length in zip(table.inputs["input_ids"], table.lengths, strict=True)
    ]


def words(rows: list[list[int]]) -> list[list[str]]:
    return [[VOCABULARY[number] for number in row] for row in rows]


def theirs(directory: Path, length: int = POSITIONS, **settings: Any) -> list[list[int]]:
    tokenizer = wordpieces(directory, **settings)
    tokenizer.add_special_tokens(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"])
    tokenizer.enable_truncation(length)
    return [encoding.ids for encoding in tokenizer.encode_batch(TEXTS)]


@pytest.mark.parametrize(
    ("said", "settings"),
    [
        ({"do_lower_case": True}, {"lowercase": True}),
        ({"do_lower_case": False}, {"lowercase": False}),
        ({"do_lower_case": True, "strip_accents": False}, {"lowercase": True, "strip_accents": False}),
        ({"do_lower_case": False, "strip_accents": True}, {"lowercase": False, "strip_accents": True}),
        ({"tokenize_chinese_chars": False}, {"handle_chinese_chars": False}),
    ],
)
def test_ids_of_a_vocabulary_are_those_of_the_library(
    directory: Path, said: dict[str, Any], settings: dict[str, Any]
) -> None:
    change_json(directory / "tokenizer_config.json", **said)
    found = read(directory)
    assert found.origin == "vocab.txt"
    assert ids(found) == theirs(directory, **settings)


def test_settings_change_ids(directory: Path) -> None:
    """The five cases above are different ones."""
    kinds = [{}, {"lowercase": False}, {"strip_accents": False}, {"handle_chinese_chars": False}]
    found = [json.dumps(theirs(directory, **kind)) for kind in kinds]
    assert len(set(found)) == len(kinds)


def test_a_saved_tokenizer_counts_as_it_is(directory: Path) -> None:
    expected = theirs(directory)
    (directory / "tokenizer_config.json").unlink()
    tokenizer = wordpieces(directory)
    tokenizer.add_special_tokens(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"])
    tokenizer.enable_truncation(7)  # as the last call in training left them
    tokenizer.enable_padding(length=9, direction="left")
    tokenizer.save(str(directory / "tokenizer.json"))
    (directory / "vocab.txt").unlink()
    found = read(directory)
    assert (found.origin, found.max_length) == ("tokenizer.json", POSITIONS)
    assert ids(found) == expected


@pytest.mark.parametrize(("said", "length"), [(10, 10), (1e30, POSITIONS), (POSITIONS + 1, POSITIONS)])
def test_longest_text(directory: Path, said: float, length: int) -> None:
    change_json(directory / "tokenizer_config.json", model_max_length=said)
    found = read(directory)
    assert found.max_length == length
    assert ids(found) == theirs(directory, length)


def test_roberta_has_fewer_positions_than_rows(tmp_path: Path) -> None:
    place = write_tiny_hf(tmp_path / "model", "roberta", pad_token_id=4).directory
    assert read(place).max_length == POSITIONS - 5


def test_cut_on_the_left(directory: Path) -> None:
    change_json(directory / "tokenizer_config.json", truncation_side="left", model_max_length=5)
    found = words(ids(read(directory), ["good bad film story", "good bad film"]))
    assert found == [["[CLS]", "bad", "film", "story", "[SEP]"], ["[CLS]", "good", "bad", "film", "[SEP]"]]


def test_types_are_given_where_the_model_was_trained_with_them(directory: Path, tmp_path: Path) -> None:
    assert read(directory).types
    change_json(directory / "tokenizer_config.json", model_input_names=["input_ids", "attention_mask"])
    assert not read(directory).types
    assert not read(write_tiny_hf(tmp_path / "distilbert", "distilbert").directory).types


Change = Callable[[Path], None]


def said(**settings: Any) -> Change:
    return lambda directory: change_json(directory / "tokenizer_config.json", **settings)


def saved(**changes: Any) -> Change:
    """A `tokenizer.json` of the vocabulary, with these parts replaced."""

    def apply(directory: Path) -> None:
        wordpieces(directory).save(str(directory / "tokenizer.json"))
        found = json.loads((directory / "tokenizer.json").read_text()) | changes
        (directory / "tokenizer.json").write_text(json.dumps(found))

    return apply


def both(*changes: Change) -> Change:
    return lambda directory: [change(directory) for change in changes] and None


def written(name: str, content: str) -> Change:
    return lambda directory: (directory / name).write_text(content) and None


EVIL = {"type": "Split", "pattern": {"Regex": "(a+)+$"}, "behavior": "Isolated", "invert": False}
REPLACE = {"type": "Replace", "pattern": {"Regex": "(a+)+$"}, "content": ""}
DEEP = {"type": "Sequence", "normalizers": [{"type": "Sequence", "normalizers": [REPLACE]}]}

REFUSED: list[tuple[str, Change, str, str]] = [
    ("nothing", lambda d: (d / "vocab.txt").unlink(), "FILE_MISSING", "tokenizer.json is missing"),
    ("another class", said(tokenizer_class="BertJapaneseTokenizer"), "FILE_MISSING", "BertJapaneseTokenizer"),
    ("no basic tokenizer", said(do_basic_tokenize=False), "TOKENIZER_UNSUPPORTED", "do_basic_tokenize"),
    ("no truth value", said(strip_accents="yes"), "TOKENIZER_UNSUPPORTED", "strip_accents"),
    ("side", said(truncation_side="middle"), "TOKENIZER_UNSUPPORTED", "truncation_side"),
    ("length", said(model_max_length=2), "TOKENIZER_UNSUPPORTED", "model_max_length is 2"),
    ("length of words", said(model_max_length="512"), "TOKENIZER_UNSUPPORTED", "model_max_length"),
    (
        "added",
        said(added_tokens_decoder={"999": {"content": "<user>"}}),
        "VOCABULARY_UNSUPPORTED",
        "vocab.txt lacks <user>",
    ),
    (
        "too many words",
        written("vocab.txt", "\n".join([*VOCABULARY, "more"])),
        "VOCABULARY_UNSUPPORTED",
        "rows",
    ),
    (
        "a word twice",
        written("vocab.txt", "\n".join([*VOCABULARY[:-1], "good"])),
        "VOCABULARY_UNSUPPORTED",
        "once",
    ),
    ("no [SEP]", said(sep_token="<end>"), "VOCABULARY_UNSUPPORTED", "lacks <end>"),
    (
        "contradiction",
        both(saved(), said(do_lower_case=False)),
        "TOKENIZER_UNSUPPORTED",
        "do_lower_case False, tok",
    ),
    (
        "accents",
        both(saved(), said(strip_accents=False)),
        "TOKENIZER_UNSUPPORTED",
        "says strip_accents False",
    ),
    (
        "another vocabulary",
        both(saved(), written("vocab.txt", "\n".join(VOCABULARY[:-1]))),
        "VOCABULARY_UNSUPPORTED",
        "hold different words",
    ),
    ("a part", saved(pre_tokenizer=EVIL), "TOKENIZER_UNSUPPORTED", "pre_tokenizer has the pattern"),
    ("a pattern", saved(normalizer=REPLACE), "TOKENIZER_UNSUPPORTED", "'(a+)+$'"),
    ("a pattern, deep inside", saved(normalizer=DEEP), "TOKENIZER_UNSUPPORTED", "'(a+)+$'"),
    ("a type that is a list", saved(normalizer={"type": ["NFC"]}), "TOKENIZER_UNSUPPORTED", "normalizer"),
    ("no [CLS]", saved(post_processor=None), "TOKENIZER_UNSUPPORTED", "puts no token"),
    (
        "no tokenizer",
        both(written("tokenizer.json", "{}"), said(do_lower_case=None)),
        "FILE_DAMAGED",
        "is no tokenizer",
    ),
    (
        "no unknown token",
        saved(
            model={"type": "Unigram", "vocab": [["[CLS]", 0.0], ["a", 0.0]], "unk_id": None},
            post_processor=None,
        ),
        "TOKENIZER_UNSUPPORTED",
        "characters that it does not know",
    ),
    ("not JSON", written("tokenizer.json", "{"), "FILE_DAMAGED", "tokenizer.json is not JSON"),
]


@pytest.mark.parametrize(
    ("change", "reason", "sentence"), [row[1:] for row in REFUSED], ids=[row[0] for row in REFUSED]
)
def test_refused_with_its_reason_and_what_is_wrong(
    directory: Path, change: Change, reason: str, sentence: str
) -> None:
    change(directory)
    with pytest.raises(ModelRefused) as caught:
        read(directory)
    assert caught.value.reason == reason
    assert sentence in caught.value.message
    assert caught.value.message.startswith(str(directory))
