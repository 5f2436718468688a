"""Tokenizing by the `tokenizers` library: `tokenizer.json` of a prepared model. No TensorFlow."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from penult_service.errors import InvalidInput
from penult_service.prepared import TOKENIZER_FILE, TokenInput
from penult_service.tokenizing.parts import refuse_unknown_parts
from penult_service.tokenizing.table import CUT, NONE, TokenTable, token_lengths

# A key of our own in `tokenizer.json`: false where pairs of texts cannot be cut as the model's own tokenizer does.
PAIRS = "penult_pairs"
_ROWS = 4096  # texts a call of the library: its objects are many times the result
_SHORT = 500  # characters
# Role of an input -> what the library calls it.
_SAID = {"ids": "ids", "mask": "attention_mask", "types": "type_ids"}


class LibraryTokenizer:
    """Fulfils `embedder.Tokenizer`.

    Args:
        text: What `tokenizer.json` holds; its truncation and padding are the model's.
        inputs: The model's token inputs.

    Raises:
        ValueError: it cannot make these inputs, is no tokenizer, has parts that are not known, or lacks truncation or
            padding.
    """

    def __init__(self, text: str, inputs: Sequence[TokenInput]) -> None:
        strange = [token.role for token in inputs if token.role not in _SAID]
        if strange or not any(token.role == "ids" for token in inputs):
            raise ValueError(f"it cannot make inputs of role {', '.join(strange) or 'mask alone'}")
        raw = json.loads(text)
        if not isinstance(raw, dict):
            raise ValueError("it holds no JSON object")
        self._takes_pairs = bool(raw.pop(PAIRS, True))
        refuse_unknown_parts(raw)  # before it runs here; whoever wrote the prepared model
        try:
            self._tokenizer = tokenizer_of(raw)
        except Exception as error:  # the library raises nothing more special
            raise ValueError(str(error)[:200]) from error
        if self._tokenizer.truncation is None or self._tokenizer.padding is None:
            raise ValueError("it has no truncation or no padding")
        self.max_length = int(self._tokenizer.truncation["max_length"])
        self._padding = int(self._tokenizer.padding["pad_id"])
        self._inputs = tuple(inputs)

    def tokenize(self, *texts: Sequence[str]) -> TokenTable:
        """Tokens of the texts, or of pairs of them (two lists), in order, padded to the longest.

        Raises:
            InvalidInput: one text of a pair leaves no room for the other, and this tokenizer never cuts that one;
                PAIRS_UNKNOWN, how the model's own tokenizer cuts pairs is nothing that the library does.
        """
        if len(texts) > 1 and not self._takes_pairs:
            raise InvalidInput(
                "this model's own tokenizer cuts a pair of texts in a way that is not known here; give one text a "
                "record, or token ids",
                reason="PAIRS_UNKNOWN",
                field="records",
            )
        rows: Sequence[Any] = texts[0] if len(texts) == 1 else list(zip(*texts, strict=True))
        blocks, cuts = [], []
        for start in range(0, len(rows), _ROWS):
            encodings = self._encoded(rows[start : start + _ROWS], start)
            blocks.append({token.name: _matrix(encodings, token) for token in self._inputs})
            cuts += [CUT if encoding.overflowing else NONE for encoding in encodings]
        width = max(next(iter(block.values())).shape[1] for block in blocks)
        inputs = {
            token.name: np.concatenate([self._widened(block[token.name], width, token) for block in blocks])
            for token in self._inputs
        }
        filling = {token.name: self._padding for token in self._inputs if token.role == "ids"}
        return TokenTable(inputs, token_lengths(inputs, self._inputs), cuts, filling=filling)

    def brief(self, text: str) -> bool:
        """Whether it takes no time."""
        return len(text) <= _SHORT

    def _encoded(self, rows: Sequence[Any], start: int) -> list[Any]:
        try:
            return list(self._tokenizer.encode_batch_fast(list(rows)))
        except Exception as error:  # the library raises nothing more special
            if len(rows) > 1:  # which of them it is
                for i, row in enumerate(rows):
                    self._encoded([row], start + i)
            raise InvalidInput(
                f"records[{start}] cannot be tokenized: {str(error)[:200]}",
                reason="TEXT_TOO_LONG",
                field=f"records[{start}]",
            ) from error

    def _widened(self, matrix: NDArray[Any], width: int, token: TokenInput) -> NDArray[Any]:
        filling = self._padding if token.role == "ids" else 0
        return np.pad(matrix, ((0, 0), (0, width - matrix.shape[1])), constant_values=filling)


def tokenizer_of(raw: Mapping[str, Any]) -> Any:
    """The library's tokenizer, of what a `tokenizer.json` says.

    The library reads numbers of a file less exactly than they stand there, which decides between two ways to cut a word
    whose scores are equal; so those of a Unigram model are handed to it as numbers, as transformers does.

    Raises:
        Exception: it is none; the library raises nothing more special.
    """
    from tokenizers import Tokenizer, models

    tokenizer = Tokenizer.from_str(json.dumps(raw))
    model = raw.get("model") or {}
    if model.get("type") == "Unigram":
        pieces = [(str(piece), float(score)) for piece, score in model["vocab"]]
        tokenizer.model = models.Unigram(pieces, model.get("unk_id"), bool(model.get("byte_fallback")))
    return tokenizer


def library_tokenizer(directory: Path, inputs: Sequence[TokenInput]) -> LibraryTokenizer:
    """The tokenizer of a prepared model.

    Raises:
        InvalidInput: DAMAGED, the file is no tokenizer, or is not there.
    """
    file = directory / TOKENIZER_FILE
    try:
        return LibraryTokenizer(file.read_text(encoding="utf-8"), inputs)
    except (OSError, ValueError, RecursionError) as error:
        raise InvalidInput(
            f"{file} cannot be read ({error}); prepare the model again", reason="DAMAGED"
        ) from error


def _matrix(encodings: Sequence[Any], token: TokenInput) -> NDArray[Any]:
    """Int [n, length] of one input."""
    return np.array([getattr(encoding, _SAID[token.role]) for encoding in encodings], dtype=token.dtype)
