"""Rows of two texts: by the model's own graph, and by the tokenizers library."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from penult_service.embedder import CUT, NONE, UNKNOWN
from penult_service.engines.fake import Traits, fake_manifest
from penult_service.errors import InvalidInput, PreconditionFailed
from penult_service.prepared import WORDPIECES, TokenInput
from penult_service.tokenizing import library
from penult_service.tokenizing.absent import NoTokenizer
from penult_service.tokenizing.graph import GraphTokenizer
from penult_service.tokenizing.library import LibraryTokenizer
from support.tiny_bert import VOCABULARY, WORDS, sample_texts

ROOM = 4  # words of each text that the graph below keeps
INPUTS = (
    TokenInput("ids", "ids", "int32"),
    TokenInput("mask", "mask", "int32"),
    TokenInput("types", "types", "int32"),
)


class Packing:
    """As a saved `tokenize`: 1, the first text's words, 2, the second's, 2; each text cut by itself."""

    def __init__(self) -> None:
        self.calls = 0

    def __call__(self, premise: Any, hypothesis: Any) -> dict[str, Any]:
        import tensorflow as tf

        self.calls += 1
        columns = [[t.decode().split() for t in c.numpy().tolist()] for c in (premise, hypothesis)]
        ids = np.zeros((len(columns[0]), 2 * ROOM + 3), np.int32)
        for row, (a, b) in zip(ids, zip(*columns, strict=True), strict=True):
            found = [1, *(len(w) + 10 for w in a[:ROOM]), 2, *(len(w) + 10 for w in b[:ROOM]), 2]
            row[: len(found)] = found
        pieces = sum(len(words) for column in columns for words in column)
        return {
            "ids": tf.constant(ids),
            "mask": tf.constant(np.int32(ids > 0)),
            WORDPIECES: tf.constant(pieces),
        }


def graph_tokenizer(signature: Packing, *, counts: bool = True) -> GraphTokenizer:
    manifest = fake_manifest(traits=Traits(takes="pair", max_length=2 * ROOM + 3))
    return GraphTokenizer(signature, replace(manifest, counts_wordpieces=counts))


def test_a_graph_takes_each_text_by_its_own_name() -> None:
    table = graph_tokenizer(Packing()).tokenize(["aa b", ""], ["c", "dddd"])
    assert table.inputs["ids"][:, :6].tolist() == [[1, 12, 11, 2, 11, 2], [1, 2, 14, 2, 0, 0]]
    assert table.lengths.tolist() == [6, 4]


@pytest.mark.parametrize("cut", [set(), {0}, {7}, {3, 4}, {0, 2, 9}, set(range(10))])
def test_which_pairs_of_a_graph_were_cut(cut: set[int]) -> None:
    """A row with room at its end may have been cut all the same: each text has a length of its own."""
    a = ["x " * (ROOM + 1 if i in cut else i % ROOM) for i in range(10)]
    signature = Packing()
    truncations = graph_tokenizer(signature).tokenize(a, ["y"] * 10).truncations
    assert truncations == [CUT if i in cut else NONE for i in range(10)]
    if not cut:
        assert signature.calls == 3  # the rows, their word pieces, the special tokens
    assert set(graph_tokenizer(Packing(), counts=False).tokenize(a, ["y"] * 10).truncations) == {UNKNOWN}


def bert_tokenizer(strategy: str = "longest_first", length: int = 12) -> Any:
    from tokenizers import Tokenizer, models, pre_tokenizers, processors

    words = {token: number for number, token in enumerate(VOCABULARY)}
    made = Tokenizer(models.WordPiece(words, unk_token="[UNK]"))
    made.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    made.post_processor = processors.BertProcessing(("[SEP]", words["[SEP]"]), ("[CLS]", words["[CLS]"]))
    made.enable_padding()
    made.enable_truncation(length, strategy=strategy)
    return made


def test_the_library_packs_pairs_with_their_segments() -> None:
    made = bert_tokenizer()
    a, b = sample_texts(40, seed=1, longest=9), sample_texts(40, seed=2, longest=9)
    table = LibraryTokenizer(made.to_str(), INPUTS).tokenize(a, b)
    for i, pair in enumerate(zip(a, b, strict=True)):
        alone = made.encode(*pair)
        n = len(alone.ids)
        assert table.inputs["ids"][i, :n].tolist() == alone.ids
        assert table.inputs["types"][i, :n].tolist() == alone.type_ids
        assert (table.lengths[i], table.truncations[i]) == (n, CUT if alone.overflowing else NONE)
    assert {CUT, NONE} == set(table.truncations)
    assert table.inputs["types"].max() == 1


def test_a_pair_that_the_library_cannot_cut_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(library, "_ROWS", 2)
    made = LibraryTokenizer(bert_tokenizer("only_second", 8).to_str(), INPUTS)
    short, long = WORDS[0], " ".join(WORDS[:12])
    with pytest.raises(InvalidInput, match=r"records\[3\]") as refused:
        made.tokenize([short, short, short, long], [short, long, short, short])
    assert (refused.value.reason, refused.value.field) == ("TEXT_TOO_LONG", "records[3]")


def test_rows_of_the_library_are_filled_up_with_its_own_padding() -> None:
    made = bert_tokenizer()
    made.enable_padding(pad_id=4, pad_token=VOCABULARY[4])
    assert LibraryTokenizer(made.to_str(), INPUTS).tokenize(["a"]).filling == {"ids": 4}


def test_no_tokenizer_says_why() -> None:
    with pytest.raises(PreconditionFailed, match="nothing makes them") as refused:
        NoTokenizer("nothing makes them").tokenize(["a"])
    assert refused.value.reason == "NO_TOKENIZER"
