"""In the place of a tokenizer, for a model of which no tokens can be made."""

from __future__ import annotations

from collections.abc import Sequence

from penult_service.errors import PreconditionFailed
from penult_service.tokenizing.table import TokenTable


class NoTokenizer:
    """Fulfils `embedder.Tokenizer`: refuses.

    Args:
        why: A sentence for the caller.
    """

    def __init__(self, why: str) -> None:
        self._why = why

    def tokenize(self, *texts: Sequence[str]) -> TokenTable:  # noqa: ARG002
        """Raises PreconditionFailed (NO_TOKENIZER)."""
        raise PreconditionFailed(self._why, reason="NO_TOKENIZER")

    def brief(self, text: str) -> bool:  # noqa: ARG002
        """Nothing is done."""
        return True
