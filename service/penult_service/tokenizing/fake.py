"""A tokenizer for tests: words split at white space, ids by hash."""

from __future__ import annotations

import zlib
from collections.abc import Sequence

import numpy as np

from penult_service.tokenizing.table import CUT, NONE, UNKNOWN, TokenTable

PADDING, CLS, SEP = 0, 1, 2
VOCABULARY = 30_000


def word_id(word: str) -> int:
    """The id of a word, case apart: 3 to 29,999."""
    return 3 + zlib.crc32(word.lower().encode()) % (VOCABULARY - 3)


class FakeTokenizer:
    """[CLS] words [SEP], of a pair [CLS] words [SEP] words [SEP], padded to `max_length`.

    It tells whether a text was cut, unless told not to.
    """

    def __init__(self, max_length: int = 128, *, tells_cuts: bool = True) -> None:
        self._max_length, self._tells_cuts = max_length, tells_cuts

    def tokenize(self, *texts: Sequence[str]) -> TokenTable:
        """Inputs ``ids`` and ``mask``, int32 [n, max_length]."""
        ids = np.full((len(texts[0]), self._max_length), PADDING, dtype=np.int32)
        truncations = []
        for row, of_row in zip(ids, zip(*texts, strict=True), strict=True):
            words = [id_ for text in of_row for id_ in (SEP, *(word_id(word) for word in text.split()))][1:]
            kept = words[: self._max_length - 2]
            row[: len(kept) + 2] = [CLS, *kept, SEP]
            truncations.append(self._truncation(len(words) + 2))
        mask = (ids != PADDING).astype(np.int32)
        return TokenTable({"ids": ids, "mask": mask}, mask.sum(axis=1, dtype=np.int32), truncations)

    def brief(self, text: str) -> bool:  # noqa: ARG002
        """No: as a graph."""
        return False

    def _truncation(self, length: int) -> str:
        if length < self._max_length:
            return NONE
        if not self._tells_cuts:
            return UNKNOWN
        return CUT if length > self._max_length else NONE
