"""The client as an embedding job sees it (`jobs.asking.Embedder`)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from penult_service.cli import outputs
from penult_service.cli.sampling.asked import Sampling, facts_of, sample
from penult_service.errors import PreconditionFailed
from penult_service.jobs.chunks import Problem, Row

if TYPE_CHECKING:
    from penult_client import Client, Embeddings, ModelInput, RowError

    from penult_service.cli.sampling.asked import Sampled

PROBE = "penult"
# The columns of `penult embed --uncertainty`.
UNCERTAINTY, INFORMATION = "uncertainty", "mutual_information"
MEASURES = (UNCERTAINTY, INFORMATION)


@dataclass(frozen=True, eq=False)
class Reply:
    """A `jobs.asking.Reply`: embeddings, and where they were asked for, measures from samples with dropout put back."""

    embeddings: Embeddings
    row_errors: Sequence[RowError]
    measures: Mapping[str, NDArray[np.float32]] = field(default_factory=dict)
    sampling: Mapping[str, Any] | None = None

    @property
    def vectors(self) -> NDArray[np.float32]:
        """As of `Embeddings`, and the others below."""
        return self.embeddings.vectors

    @property
    def probabilities(self) -> NDArray[np.float32] | None:
        return self.embeddings.probabilities

    @property
    def token_counts(self) -> NDArray[np.int32]:
        return self.embeddings.token_counts

    @property
    def truncated(self) -> NDArray[np.str_]:
        return self.embeddings.truncated

    def provenance(self) -> dict[str, Any]:
        """Where the numbers came from."""
        told = outputs.provenance(self.embeddings)
        return told if self.sampling is None else {**told, UNCERTAINTY: dict(self.sampling)}


class ClientEmbedder:
    """Embeds with fixed settings; after the first reply by one version of the model.

    Args:
        client: Connected.
        model: Its name; None: the only one there.
        settings: Of `Client.embed`.
        private: Whether the server is our own: one that does not answer has ended, and nobody starts it again.
        sampling: How dropout is put back, for measures of uncertainty; None: none are wanted.
    """

    def __init__(
        self,
        client: Client,
        model: str | None,
        settings: dict[str, Any],
        *,
        private: bool,
        sampling: Sampling | None = None,
    ) -> None:
        self._client, self._model, self._settings, self._private = client, model, settings, private
        self._sampling = sampling

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

    def probe(self, rows: Sequence[Row]) -> Reply:
        """The first of these rows that the model takes, to learn what it is.

        Raises:
            InvalidInputError: of the first, when it takes none.
            PreconditionError: its dropouts cannot be put back, where that is asked for.
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
                return self._measured(reply, [row], [0])
        assert refused is not None, "there is a row"
        raise refused

    def embed(self, rows: Sequence[Row], numbers: Sequence[int]) -> Reply:
        """Numbers of these rows, and row errors; a row's measures depend on its number."""
        reply = self._client.embed(list(rows), model=self._model, on_row_error="report", **self._settings)
        return self._measured(reply, rows, numbers)

    def _measured(self, reply: Embeddings, rows: Sequence[Row], numbers: Sequence[int]) -> Reply:
        """The embeddings, with measures from samples of the rows that have one."""
        errors = {error.index: error for error in reply.row_errors}
        good = [place for place in range(len(rows)) if place not in errors]
        if self._sampling is None or not good:
            return Reply(reply, reply.row_errors)
        found = sample(
            self._client,
            self._model,
            [rows[place] for place in good],
            [numbers[place] for place in good],
            self._sampling,
            self._settings["truncate"],
        )
        errors |= {good[error.index]: replace(error, index=good[error.index]) for error in found.row_errors}
        listed = tuple(errors[place] for place in sorted(errors))
        if found.first is None:
            return Reply(reply, listed)
        if found.first.digest != reply.digest:
            raise PreconditionFailed(
                f"the server changed {self._model} between embedding rows and sampling them",
                reason="MODEL_CHANGED",
            )
        measures = {}
        for name, values in _measures(found).items():
            measures[name] = np.full(len(rows), np.nan, np.float32)
            measures[name][good] = values
        what = "entropy" if found.first.classifier else "std"
        return Reply(reply, listed, measures, {"measure": what, **facts_of(found.first, self._sampling)})

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


def _measures(found: Sampled) -> dict[str, NDArray[np.float32]]:
    """What `MEASURES` hold: of a model that is no classifier the standard deviation alone."""
    assert found.first is not None
    if not found.first.classifier:
        return {UNCERTAINTY: found.spread}
    return {UNCERTAINTY: found.entropy, INFORMATION: found.mutual_information}
