"""The client as an embedding job sees it (`jobs.asking.Embedder`)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from penult_service.jobs.chunks import Problem, Row

if TYPE_CHECKING:
    from penult_client import Client, Embeddings, ModelInput

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

    def inputs(self) -> tuple[ModelInput, ...]:
        """What the model takes.

        Raises:
            UnavailableError: it is not known yet (MODEL_LOADING).
        """
        from penult_client import UnavailableError

        model = self._client.model(self._model)
        if model.state == "loading":
            raise UnavailableError(f"{model.id} is loading", reason="MODEL_LOADING")
        return model.inputs

    def probe(self, rows: Sequence[Row]) -> Embeddings:
        """The first of these rows that the model takes, to learn what it is.

        Raises:
            InvalidInputError: of the first, when it takes none.
        """
        from penult_client import InvalidInputError

        refused: InvalidInputError | None = None
        for row in rows:
            try:
                reply = self._client.embed([row], model=self._model, on_row_error="report", **self._settings)
            except InvalidInputError as error:
                refused = refused or error
            else:
                self._model = f"{reply.model}@{reply.version}"
                return reply
        assert refused is not None, "there is a row"
        raise refused

    def embed(self, rows: Sequence[Row]) -> Embeddings:
        """Numbers of these rows, and row errors."""
        return self._client.embed(list(rows), model=self._model, on_row_error="report", **self._settings)

    def away(self, error: Exception) -> bool:
        """Not there, loading, full for longer than the client waits, or silent."""
        from penult_client import DeadlineError, ResourceExhaustedError, UnavailableError

        if self._private and isinstance(error, UnavailableError) and error.reason == error.code:
            return False
        return isinstance(error, UnavailableError | ResourceExhaustedError | DeadlineError)

    def at_fault(self, error: Exception) -> int | None:
        """The row that a request was refused for."""
        from penult_client import InvalidInputError

        return error.index if isinstance(error, InvalidInputError) else None

    def broke(self, error: Exception) -> bool:
        """Whether the model failed on the rows."""
        from penult_client import InternalError

        return isinstance(error, InternalError)

    def problem(self, error: Any) -> Problem:
        """The words of an error or row error. Its number counts the rows of a request: it is left out."""
        row, _, name = (error.field or "\0").partition("].")
        called = f"input {name!r}" if name else "the text" if row.startswith("texts") else "the row"
        return Problem(error.message.replace(error.field or "\0", called), error.reason)
