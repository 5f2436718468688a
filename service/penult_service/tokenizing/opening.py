"""The tokenizer of a prepared model."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from penult_service.prepared import CALLER, LIBRARY, TOKENIZE, Manifest
from penult_service.tokenizing.table import TokenTable


class Tokenizer(Protocol):
    """As `embedder.Tokenizer`."""

    def tokenize(self, *texts: Sequence[str]) -> TokenTable:
        """Tokens of the rows, in order."""
        ...

    def brief(self, text: str) -> bool:
        """Whether this text alone takes less time than the way to another thread."""
        ...


def open_tokenizer(
    directory: Path, manifest: Manifest, functions: Callable[[], Mapping[str, Any]]
) -> Tokenizer:
    """What makes the tokens of a prepared model.

    Args:
        directory: The prepared model.
        manifest: Its manifest.
        functions: Gives TensorFlow's functions of it; called where one of them makes the tokens.

    Raises:
        InvalidInput: its `tokenizer.json` is no tokenizer that can be used (DAMAGED), or as `functions`.
    """
    if manifest.tokenizer == LIBRARY:
        from penult_service.tokenizing.library import library_tokenizer

        return library_tokenizer(directory, [token for token in manifest.inputs if token.role != "value"])
    if manifest.tokenizer != CALLER:
        signatures = functions()
        if TOKENIZE in signatures or not manifest.unread:
            from penult_service.tokenizing.graph import GraphTokenizer
            from penult_service.tokenizing.recognised import word_pieces
            from penult_service.tokenizing.short import with_short

            signature = signatures[TOKENIZE]
            return with_short(GraphTokenizer(signature, manifest), word_pieces(signature), manifest)
    from penult_service.tokenizing.absent import NoTokenizer

    return NoTokenizer(manifest.unread or "this model takes tokens or numbers; nothing makes them of texts")
