"""The client as an embedding job sees it (`jobs.asking.Embedder`)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from penult_service.jobs.chunks import Problem

if TYPE_CHECKING:
    from penult_client import Client, Embeddings

PROBE = "penult"


class ClientEmbedder:
    """Embeds with fixed settings; after the first reply by one version of the model.

    Args:
        client: Connected.
        model: Its name; None: the only one there.
        settings: Of `Client.embed`.
        private: Whether the server is our own: one that does not answer has ended, and nobody starts it again.
    """

    def __init__(self, client: Client, model: str | None, settings: dict[str, Any], *, private: bool) -> None:
        self._client, self._model, self._settings, self._private = client, model, settings, private

    def probe(self) -> Embeddings:
        """One text, to learn what the model is."""
        reply = self._client.embed([PROBE], model=self._model, **self._settings)
        self._model = f"{reply.model}@{reply.version}"
        return reply

    def embed(self, texts: Sequence[str]) -> Embeddings:
        """Numbers of these texts, and row errors."""
        return self._client.embed(list(texts), model=self._model, on_row_error="report", **self._settings)

    def away(self, error: Exception) -> bool:
        """Not there, loading, full for longer than the client waits, or silent."""
        from penult_client import DeadlineError, ResourceExhaustedError, UnavailableError

        if self._private and isinstance(error, UnavailableError) and error.reason == error.code:
            return False
        return isinstance(error, UnavailableError | ResourceExhaustedError | DeadlineError)

    def at_fault(self, error: Exception) -> int | None:
        """The text that a request was refused for."""
        from penult_client import InvalidInputError

        return error.index if isinstance(error, InvalidInputError) else None

    def broke(self, error: Exception) -> bool:
        """Whether the model failed on the texts."""
        from penult_client import InternalError

        return isinstance(error, InternalError)

    def problem(self, error: Any) -> Problem:
        """The words of an error or row error. Its number counts the texts of a request: it is left out."""
        return Problem(error.message.replace(error.field or "\0", "the text"), error.reason)
