"""Words and word pieces of plain text, in Python alone: of one short text sooner than a graph is called."""

from __future__ import annotations

import re
from collections.abc import Mapping

# Printable ASCII and the blanks of a text with several lines.
_PLAIN = re.compile(r"[\t\n\r -~]*")
# Of plain text what is left by blanks: letters and digits together, each mark of punctuation alone.
_WORDS = re.compile(r"[0-9A-Za-z]+|[!-/:-@\[-`{-~]")


def is_plain(text: str) -> bool:
    """Whether `WordPieces` knows its characters."""
    return text.isascii() and _PLAIN.fullmatch(text) is not None


class WordPieces:
    """Cuts plain texts as BERT's own tokenizer does: the longest piece first, a word that lacks one is unknown.

    Args:
        vocabulary: Pieces and their ids.
        unknown: The id of a word that cannot be cut, or is longer than `longest` characters.
        lower: Whether texts are put into lower case.
        inner: What stands in front of a piece that begins no word.
        longest: Characters of a word that is cut.

    Attributes:
        plain: The pieces that plain texts may have.
    """

    def __init__(
        self,
        vocabulary: Mapping[str, int],
        unknown: int,
        *,
        lower: bool,
        inner: str = "##",
        longest: int = 100,
    ) -> None:
        plain = {piece: id_ for piece, id_ in vocabulary.items() if is_plain(piece)}
        self.plain = tuple(plain)
        self._first = {piece: id_ for piece, id_ in plain.items() if len(piece) <= longest}
        self._inner = {piece[len(inner) :]: id_ for piece, id_ in plain.items() if piece.startswith(inner)}
        self._unknown, self._lower, self._longest = unknown, lower, longest
        self._most = max(map(len, plain), default=0)

    def ids(self, text: str) -> list[int]:
        """Of all pieces of a plain text, in order."""
        found: list[int] = []
        for word in _WORDS.findall(text.lower() if self._lower else text):
            id_ = self._first.get(word)
            if id_ is None:
                found += self._cut(word)
            else:
                found.append(id_)
        return found

    def more_than(self, most: int, text: str) -> bool:
        """Whether a plain text has so many pieces; sooner told than `ids` where it has as many words."""
        return len(_WORDS.findall(text)) > most or len(self.ids(text)) > most

    def _cut(self, word: str) -> list[int]:
        if len(word) > self._longest:
            return [self._unknown]
        found: list[int] = []
        start, known = 0, self._first
        while start < len(word):
            for end in range(min(len(word), start + self._most), start, -1):
                id_ = known.get(word[start:end])
                if id_ is not None:
                    break
            else:
                return [self._unknown]
            found.append(id_)
            start, known = end, self._inner
        return found
