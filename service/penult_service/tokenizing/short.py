"""One short plain text without the graph: calling its many small operations takes longer than to cut the text here."""

from __future__ import annotations

import logging
import random
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from penult_service.prepared import Manifest
from penult_service.tokenizing.table import CUT, NONE, UNKNOWN, TokenTable
from penult_service.tokenizing.wordpieces import WordPieces, is_plain

_log = logging.getLogger(__name__)

# Characters of a text that is cut here: it takes 0.05 ms.
_SHORT = 500
_PLAIN = "\t\n\r" + "".join(map(chr, range(0x20, 0x7F)))
_ROLES = frozenset({"ids", "mask", "types"})


class _Graph(Protocol):
    pieces: WordPieces | None

    def tokenize(self, *texts: Sequence[str]) -> TokenTable:
        """As of `GraphTokenizer`."""
        ...

    def brief(self, text: str) -> bool:
        """The same."""
        ...


class ShortTokenizer:
    """Fulfils `embedder.Tokenizer`: one short plain text is cut by `pieces`, all else by the graph.

    Args:
        graph: Cuts texts as the model was trained with, and pads them to `empty`'s width.
        pieces: The same word pieces of plain texts.
        empty: The graph's table of an empty text.
        manifest: What the model takes.
    """

    def __init__(self, graph: _Graph, pieces: WordPieces, empty: TokenTable, manifest: Manifest) -> None:
        self._graph, self._pieces, self._manifest = graph, pieces, manifest
        by_role = {token.role: token.name for token in manifest.inputs if token.role in _ROLES}
        self._ids, self._mask = by_role["ids"], by_role["mask"]
        self._empty = dict(empty.inputs)
        self._width = empty.inputs[self._ids].shape[1]
        self._first, self._last = (int(id_) for id_ in empty.inputs[self._ids][0, :2])

    def tokenize(self, *texts: Sequence[str]) -> TokenTable:
        """Tokens of the rows, in order, padded as the graph pads."""
        if len(texts) == 1 and len(texts[0]) == 1 and self.brief(texts[0][0]):
            return self._table(texts[0][0])
        return self._graph.tokenize(*texts)

    def brief(self, text: str) -> bool:
        """Whether it is cut here."""
        return len(text) <= _SHORT and is_plain(text)

    def _table(self, text: str) -> TokenTable:
        ids = self._pieces.ids(text)
        kept = ids[: self._width - 2]
        length = len(kept) + 2
        inputs = {name: array.copy() for name, array in self._empty.items()}
        inputs[self._ids][0, :length] = [self._first, *kept, self._last]
        inputs[self._mask][0, :length] = 1
        return TokenTable(inputs, np.array([length], np.int32), [self._truncation(len(ids), length)])

    def _truncation(self, pieces: int, length: int) -> str:
        """As the graph tells it."""
        if length < self._manifest.max_length:
            return NONE
        if not self._manifest.counts_wordpieces:
            return UNKNOWN
        return CUT if pieces > length - 2 else NONE


def with_short(graph: _Graph, pieces: WordPieces | None, manifest: Manifest) -> _Graph | ShortTokenizer:
    """The graph's tokenizer, with that of short texts in front of it where both give the same.

    Tried are every plain character, every word of the vocabulary, texts of every length that the model reads and more,
    and texts of random characters.
    """
    if pieces is None or not _usual(manifest):
        return graph
    empty = graph.tokenize([""])
    ids = empty.inputs[next(token.name for token in manifest.inputs if token.role == "ids")]
    if int(empty.lengths[0]) != 2 or ids.shape[1] != manifest.max_length:
        return graph
    short = ShortTokenizer(graph, pieces, empty, manifest)
    if _same(graph, short, trial_texts(pieces, manifest.max_length)):
        graph.pieces = pieces
        return short
    _log.warning("short texts are tokenized by the graph: what it was recognised as gives other tokens")
    return graph


def trial_texts(pieces: WordPieces, longest: int) -> list[str]:
    """Texts on which the two are compared; all are plain, and the same each time."""
    drawn = random.Random(0)
    words = [word for word in pieces.plain if word]
    texts = [part for one in _PLAIN for part in (one, f"a{one}B", f"1{one * 2}z{one}")]
    texts += _uncut(words, pieces, longest)
    texts += [" ".join(drawn.choices(words or ["a"], k=n)) for n in range(longest + 3)]
    texts += ["".join(drawn.choices(_PLAIN, k=n)) for n in range(0, 240, 2)]
    few = "abcdefghij XYZ.,'#[]0189"
    texts += ["".join(drawn.choices(few, k=n)) for n in range(0, 240, 2)]
    return [*texts, *("a" * n for n in (99, 100, 101, 250)), "[UNK] [CLS] [SEP] [PAD] [MASK] ##a [unused1]"]


def _uncut(words: Iterable[str], pieces: WordPieces, longest: int) -> Iterator[str]:
    """All words, as many in a text as leave room for one piece more: what is cut off would not be compared."""
    text: list[str] = []
    room = most = longest - 3  # the first token, the last, and one more
    for word in words:
        needed = len(pieces.ids(word))
        if text and needed > room:
            yield " ".join(text)
            text, room = [], most
        text.append(word)
        room -= needed
    if text:
        yield " ".join(text)


def _usual(manifest: Manifest) -> bool:
    """Whether the tokens of one text are ids and a mask, and types or none."""
    tokens = [token for token in manifest.inputs if token.role != "value"]
    roles = [token.role for token in tokens]
    made = not any(token.field for token in tokens) and len(manifest.texts) == 1
    return made and {"ids", "mask"} <= set(roles) <= _ROLES and len(roles) == len(set(roles))


def _same(graph: _Graph, short: ShortTokenizer, texts: Sequence[str]) -> bool:
    expected = graph.tokenize(texts)
    for row, text in enumerate(texts):
        table = short._table(text)  # of any length: longer ones than are cut here as well
        if table.lengths[0] != expected.lengths[row] or table.truncations[0] != expected.truncations[row]:
            return False
        if any(
            not _equal(table.inputs[name][0], of_graph[row]) for name, of_graph in expected.inputs.items()
        ):
            return False
    return True


def _equal(one: NDArray[Any], other: NDArray[Any]) -> bool:
    return one.dtype == other.dtype and np.array_equal(one, other)
