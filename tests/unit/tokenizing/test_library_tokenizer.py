"""The tokenizers library behind the room's protocol: padding, lengths, blocks, and which texts were cut."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from penult_service.embedder import CUT, NONE
from penult_service.errors import InvalidInput
from penult_service.prepared import TOKENIZER_FILE, TokenInput
from penult_service.tokenizing import library
from penult_service.tokenizing.library import LibraryTokenizer, library_tokenizer
from support.tiny_bert import VOCABULARY, sample_texts

LENGTH, PADDING = 6, 4
INPUTS = (TokenInput("input_ids", "ids", "int32"), TokenInput("input_mask", "mask", "int64"))


def tokenizer_text(*, truncation: bool = True) -> str:
    from tokenizers import Tokenizer, models, pre_tokenizers, processors

    words = {token: number for number, token in enumerate(VOCABULARY)}
    made = Tokenizer(models.WordPiece(words, unk_token="[UNK]"))
    made.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    made.post_processor = processors.BertProcessing(("[SEP]", words["[SEP]"]), ("[CLS]", words["[CLS]"]))
    made.enable_padding(pad_id=PADDING, pad_token="[MASK]")
    if truncation:
        made.enable_truncation(LENGTH)
    return made.to_str()


@pytest.fixture
def tokenizer() -> LibraryTokenizer:
    return LibraryTokenizer(tokenizer_text(), INPUTS)


def rows(tokenizer: LibraryTokenizer, texts: list[str]) -> list[str]:
    return [" ".join(VOCABULARY[n] for n in row) for row in tokenizer.tokenize(texts).inputs["input_ids"]]


def test_rows_are_padded_to_the_longest_with_the_models_own_padding(tokenizer: LibraryTokenizer) -> None:
    table = tokenizer.tokenize(["good film", "good", ""])
    assert rows(tokenizer, ["good film", "good", ""]) == [
        "[CLS] good film [SEP]",
        "[CLS] good [SEP] [MASK]",
        "[CLS] [SEP] [MASK] [MASK]",
    ]
    assert table.lengths.tolist() == [4, 3, 2]
    assert table.inputs["input_mask"].tolist() == [[1, 1, 1, 1], [1, 1, 1, 0], [1, 1, 0, 0]]
    assert {name: value.dtype for name, value in table.inputs.items()} == {
        "input_ids": np.dtype(np.int32),
        "input_mask": np.dtype(np.int64),
    }


@pytest.mark.parametrize(("count", "truncation"), [(3, NONE), (4, NONE), (5, CUT), (90, CUT)])
def test_a_text_was_cut_when_its_pieces_do_not_fit(
    tokenizer: LibraryTokenizer, count: int, truncation: str
) -> None:
    table = tokenizer.tokenize(["good " * count, "good", "x" * count])
    assert table.truncations == [truncation, NONE, truncation]
    assert table.lengths[0] == min(count + 2, LENGTH)


def test_padding_in_a_text_is_a_token_of_it() -> None:
    made = LibraryTokenizer(tokenizer_text(), INPUTS)
    made._tokenizer.add_special_tokens(["[MASK]"])
    table = made.tokenize(["good [MASK]", "good film book"])
    assert table.lengths.tolist() == [4, 5]


def test_blocks_are_joined(tokenizer: LibraryTokenizer, monkeypatch: pytest.MonkeyPatch) -> None:
    texts = ["good", "", "good bad film", "good bad", "good " * 9, "film", "book"]
    whole = tokenizer.tokenize(texts)
    monkeypatch.setattr(library, "_ROWS", 2)
    parts = tokenizer.tokenize(texts)
    for name, value in whole.inputs.items():
        np.testing.assert_array_equal(parts.inputs[name], value)
    assert parts.truncations == whole.truncations
    assert parts.lengths.tolist() == whole.lengths.tolist()


def test_many_threads_at_once_get_what_one_gets(tokenizer: LibraryTokenizer) -> None:
    parts = [[" ".join(sample_texts(2, seed=seed)), "", "good film"] * 50 for seed in range(16)]
    expected = [tokenizer.tokenize(texts).inputs["input_ids"] for texts in parts]
    with ThreadPoolExecutor(8) as threads:
        found = list(threads.map(tokenizer.tokenize, parts * 4))
    for number, table in enumerate(found):
        np.testing.assert_array_equal(table.inputs["input_ids"], expected[number % len(parts)])


@pytest.mark.parametrize("role", ["other", "mask"])
def test_inputs_that_it_cannot_make(role: str) -> None:
    with pytest.raises(ValueError, match="cannot make inputs"):
        LibraryTokenizer(tokenizer_text(), [TokenInput("input", role, "int32")])


def test_a_file_that_is_no_tokenizer(tmp_path: Path) -> None:
    strange = json.loads(tokenizer_text()) | {"normalizer": {"pattern": {"Regex": "(a+)+$"}, "content": ""}}
    for text in ("{}", "", "[]", "[" * 100_000, tokenizer_text(truncation=False), json.dumps(strange)):
        (tmp_path / TOKENIZER_FILE).write_text(text)
        with pytest.raises(InvalidInput, match="prepare the model again") as caught:
            library_tokenizer(tmp_path, INPUTS)
        assert caught.value.reason == "DAMAGED"
    (tmp_path / TOKENIZER_FILE).unlink()
    with pytest.raises(InvalidInput):
        library_tokenizer(tmp_path, INPUTS)
    (tmp_path / TOKENIZER_FILE).write_text(tokenizer_text())
    assert library_tokenizer(tmp_path, INPUTS).max_length == LENGTH


def test_scores_are_those_that_stand_in_the_file() -> None:
    """Read a bit off, they cut words of equal scores in another order."""
    import random

    from penult_service.tokenizing.library import tokenizer_of
    from tokenizers import Tokenizer, models

    draws, read_otherwise = random.Random(0), 0
    words = ["x" * count for count in range(1, 40)]
    for _ in range(60):
        pieces = [("<unk>", 0.0), *(("x" * count, -draws.uniform(3, 8)) for count in (1, 2, 3, 5, 6))]
        trained = Tokenizer(models.Unigram(pieces, 0))
        text = trained.to_str()
        expected = [trained.encode(word).ids for word in words]
        assert [tokenizer_of(json.loads(text)).encode(word).ids for word in words] == expected
        read_otherwise += [Tokenizer.from_str(text).encode(word).ids for word in words] != expected
    assert read_otherwise  # else the library reads them exactly now, and needs no help
