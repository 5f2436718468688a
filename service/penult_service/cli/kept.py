"""Where maps and clusters are kept: a server, or the directory of `penult serve --data`, by a private server."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from penult_service.analysis.calls import Call
from penult_service.cli import options, remote
from penult_service.cli.analyses import Embedding, check_alone, tell_adjustments, tell_missing, tell_rows
from penult_service.cli.console import note, status
from penult_service.cli.scores import sides
from penult_service.cli.scores.sides import Side
from penult_service.errors import InvalidInput, NotFound

if TYPE_CHECKING:
    from penult_client import Client, Estimate, StoredInfo

# A model that costs nothing, for a private server that has none to serve.
_NO_MODEL = "fake:none"
NOWHERE = (
    "name where maps and clusters are kept: a running server with --server HOST:PORT, or the directory of "
    "`penult serve --data` with --data DIR"
)

BOTH = "--server has directories of its own; leave --data out, or --server"


@contextmanager
def keeper(
    model: str | None, server: str | None, data: Path | None, *, new: bool = False
) -> Iterator[tuple[Client, str | None]]:
    """A client of what keeps maps and clusters, and the name to call the model by (None: it is not named).

    Args:
        model: With `server` a name; else a path, None when no text is to be embedded.
        server: Its address.
        data: Without a server: the directory of ``penult serve --data``, which no other server has open.
        new: Whether the directory may be one that is not there yet.

    Raises:
        InvalidInput: neither a server nor a directory is named, or both are.
        NotFound: there is no such model or directory.
        PenultError: of the client; another server has the directory open (DATA_IN_USE), or the model is refused.
    """
    if server and data is not None:
        raise InvalidInput(BOTH, reason="WRONG_COMBINATION", field="--data")
    if server:
        with options.connected(model, server) as connected:
            yield connected
        return
    if data is None:
        raise InvalidInput(NOWHERE, reason="NOWHERE_TO_KEEP")
    if not new and not data.is_dir():
        raise NotFound(f"there is no directory {data}", reason="NO_DIRECTORY")
    if model is not None and not Path(model).exists():
        raise NotFound(f"there is no {model}; a model by name needs --server HOST:PORT as well")
    from penult_client import Client
    from penult_client import PenultError as ClientError

    with status(f"opening {data}"):
        private = Client.open(model or _NO_MODEL, timeout=options.TIMEOUT, data=data, analysis_workers=1)
    with private as client:
        try:
            yield client, None
        except ClientError as error:
            if error.reason == "DATA_IN_USE":
                holder = error.metadata.get("process", "unknown")
                advice = "name that one with --server HOST:PORT, or try again when it has ended"
                error.message = f"{data} is open in another server (process {holder}); {advice}"
            raise


def unembedded(texts: Sequence[str]) -> tuple[NDArray[np.float32], dict[str, Any]]:
    """Texts that the server embeds: a side of rows without numbers."""
    return np.empty((len(texts), 0), np.float32), {}


def is_texts(side: Side) -> bool:
    """Whether the server has to embed the side."""
    return side.vectors.shape[1] == 0


def new_rows(
    path: Path, text_column: str, model: str | None, server: str | None, data: Path | None
) -> tuple[Side, NDArray[np.intp]]:
    """A file of new rows, and the numbers of those that can be sent; `model`, `server`, `data` as of `keeper`.

    Raises:
        InvalidInput: as `sides.of_file` and `keeper`; it is of texts, and a private server has no model to embed them.
    """
    if server is None and data is None:
        raise InvalidInput(NOWHERE, reason="NOWHERE_TO_KEEP")
    if server is not None and data is not None:
        raise InvalidInput(BOTH, reason="WRONG_COMBINATION", field="--data")
    side = sides.of_file(path, text_column, unembedded, keep=True)
    if is_texts(side) and model is None and server is None:
        raise InvalidInput(
            f"{path} is of texts; name the model that embeds them with --model PATH", reason="NO_MODEL"
        )
    tell_missing(side)
    return side, side.good()


def given(side: Side, rows: NDArray[np.intp]) -> Any:
    """Some rows of a side, as a client takes them: texts, or vectors with the space that they stand in."""
    if is_texts(side):
        assert side.texts is not None
        return [side.texts[row] for row in rows.tolist()]
    return sides.in_space(side.vectors[rows], side.space)


def told(side: Side, reply: Any) -> Side:
    """The side, with what the reply says of how its texts were embedded."""
    if not is_texts(side) or not reply.space:
        return side
    facts = {
        "model": reply.model,
        "version": reply.version,
        "model_digest": reply.digest,
        "embedding_space": reply.space,
    }
    return replace(side, space=reply.space, facts={**side.facts, **facts})


def tell(embedding: Embedding) -> None:
    """A note that says where a result is kept; nothing when it is not."""
    stored = embedding.stored if isinstance(embedding, Keeping) else None
    if stored is not None:
        ends = "" if stored.durable else "; the server was started without --data, and forgets it at its end"
        note(f"kept as {stored.name}: {stored.rows:,} rows{ends}")


def far_words(found: Any) -> str:
    """How many new rows are far, and what that means."""
    if found.far_distance is None:
        return "too few rows to say which are far"
    return f"{len(found.far_rows):,} are far (beyond {found.far_distance:.4f})"


def tell_new(found: Any, rows: NDArray[np.intp], zero: str, far: str) -> None:
    """Notes on new rows: that nobody has checked their space, and which have no direction or are far."""
    if not found.space_checked:
        note(
            "note: the INPUT or what is kept does not say its embedding space, so nobody has checked that they match"
        )
    tell_adjustments(remote.adjustments(found.adjustments))
    tell_rows(f"with zeros alone (no direction: {zero})", rows[found.zero_rows])
    tell_rows(f"far from all that it was made of ({far})", rows[found.far_rows])


class Keeping(Embedding):
    """Asks for maps and clusters that are kept under a name, or turned onto one that is: texts go as they are.

    Args:
        model, server, data: As of `keeper`.
        settings: Of `Client.embed`, for texts.
        more: Of the client's method, such as `name`.
    """

    def __init__(
        self,
        model: str | None,
        server: str | None,
        data: Path | None,
        settings: Mapping[str, Any],
        more: Mapping[str, Any],
    ) -> None:
        super().__init__(model, server, data, settings)
        self._more = more
        self.stored: StoredInfo | None = None

    def check(self, call: Call, arrays: Sequence[str], *, labelled: bool = False) -> None:
        """Refuse what no rows could mend; nothing is computed in this process."""
        check_alone(call, arrays, labelled)

    def __call__(self, texts: Sequence[str]) -> tuple[NDArray[np.float32], Mapping[str, Any]]:
        if self._model is None and self._server is None:
            raise InvalidInput(
                "the INPUT is of texts; name the model that embeds them with --model PATH", reason="NO_MODEL"
            )
        return unembedded(texts)

    def analyse_rows(
        self, call: Call, side: Side, rows: NDArray[np.intp], labels: Sequence[str] | None = None
    ) -> tuple[Any, Side]:
        """The result, and the side with what is known of it then. Raises as `keeper` and the client say."""
        reply = self._ask(call, side, rows, labels)
        self.stored = getattr(reply, "stored", None)
        return remote.result_of(reply, labels), told(side, reply)

    def estimate(
        self, call: Call, side: Side, rows: NDArray[np.intp], labels: Sequence[str] | None = None
    ) -> Estimate:
        """What it would take there."""
        estimate: Estimate = self._ask(call, side, rows, labels, dry_run=True)
        return estimate

    def _ask(
        self, call: Call, side: Side, rows: NDArray[np.intp], labels: Sequence[str] | None, **more: Any
    ) -> Any:
        client, name = self._client()
        how = {**self._settings, "model": name} if is_texts(side) else {}
        arrays = {"source": given(side, rows)}
        return remote.ask(client, call, arrays, labels, **how, **self._more, **more)

    def _open(self) -> AbstractContextManager[tuple[Client, str | None]]:
        return keeper(self._model, self._server, self._data, new=True)


def opened(
    model: str | None,
    server: str | None,
    data: Path | None,
    settings: Mapping[str, Any],
    more: Mapping[str, Any] | None = None,
    *,
    dry_run: bool = False,
) -> Embedding:
    """What answers a command: with `more` (those that are given), or for a dry run on a server, `Keeping`.

    Raises:
        InvalidInput: there is more, and nowhere to keep it.
    """
    asked = {name: value for name, value in (more or {}).items() if value}
    if asked and server is None and data is None:
        raise InvalidInput(NOWHERE, reason="NOWHERE_TO_KEEP")
    if asked or (dry_run and server is not None):
        return Keeping(model, server, data, settings, asked)
    return Embedding(model, server, data, settings, dry_run=dry_run)
