"""Where embeddings and analyses of the command line come from: a private server, this process, or a server.

Texts are embedded by the server named with --server, else by a private one that is started for a model's directory.
Analyses run on the server when one is named, else in this process: nobody else is served by it.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import asdict
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from penult_service.analysis import checks, costs, results, speeds
from penult_service.analysis.calls import Call, Cluster, Project, reduction_of
from penult_service.analysis.progress import Progress, telling
from penult_service.cli import options, outputs, remote
from penult_service.cli.console import note, stage_bar
from penult_service.cli.scores import sides
from penult_service.cli.scores.sides import Side
from penult_service.errors import InvalidInput
from penult_service.files import user_cache
from penult_service.plots.words import one_line

if TYPE_CHECKING:
    from penult_client import Client, Estimate

# What the analyses import, the first to be missed first.
PACKAGES = ("sklearn", "numba", "threadpoolctl", "umap")
_PLENTY = (1 << 20, 1 << 10)
SHOWN = 60


class Embedding:
    """A `sides.Embed` that connects when the first texts come: files of embeddings need no model.

    Args:
        model, server, data: As of `options.connected`.
        settings: Of `Client.embed`.
        dry_run: Of texts the first alone is embedded, to know how long a vector is.
    """

    def __init__(
        self,
        model: str | None,
        server: str | None,
        data: Path | None,
        settings: Mapping[str, Any],
        *,
        dry_run: bool = False,
    ) -> None:
        self._model, self._server, self._data = model, server, data
        self._settings, self._dry_run = settings, dry_run
        self._unembedded = 0
        self._stack = ExitStack()
        self._connected: tuple[Client, str | None] | None = None

    def __enter__(self) -> Embedding:
        return self

    def __exit__(self, *exception: object) -> None:
        self._stack.close()

    def __call__(self, texts: Sequence[str]) -> tuple[NDArray[np.float32], Mapping[str, Any]]:
        from penult_client import PenultError as ClientError

        client, name = self._client()
        asked = list(texts[:1] if self._dry_run else texts)
        try:
            reply = client.embed(asked, model=name, progress=sys.stderr.isatty(), **self._settings)
        except ClientError as error:
            if error.reason in ("MISSING_INPUT", "TEXTS_NOT_TAKEN"):
                advice = (
                    "`penult embed FILE -o OUT.parquet` reads them from columns; then analyse OUT.parquet"
                )
                error.message += f"; {advice}"
            raise
        facts = {**outputs.provenance(reply), "truncate": self._settings["truncate"]}
        if self._dry_run:
            self._unembedded = len(texts)
            return np.repeat(reply.vectors, len(texts), axis=0), facts
        return reply.vectors, facts

    def analyse(self, call: Call, arrays: Mapping[str, Any], labels: Sequence[str] | None) -> Any:
        """The result of a call, one of `analysis.results`. Ends a private server first: its memory is needed.

        Args:
            call: What to do, as `analysis.run` takes it.
            arrays: float32 [n, d] each, without the labels.
            labels: One a row of `source`, None without.

        Raises:
            InvalidInput: the call does not suit the arrays.
            PenultError: of ours or of the client, as the analysis says.
        """
        if self._server is not None:
            return remote.analyse(self._client()[0], call, arrays, labels)
        self._close()
        return _here(call, arrays, labels, self._data)

    def analyse_rows(
        self, call: Call, side: Side, rows: NDArray[np.intp], labels: Sequence[str] | None = None
    ) -> tuple[Any, Side]:
        """The result of a call about some rows of a side, and the side with what is known of it then. As `analyse`."""
        if self._server is not None:
            arrays: dict[str, Any] = {"source": sides.in_space(side.vectors[rows], side.space)}
        else:
            words = isinstance(call, Cluster) and call.keywords
            arrays = {"source": side.vectors[rows], **(texts_of(side, rows) if words else {})}
        return self.analyse(call, arrays, labels), side

    def estimate(
        self, call: Call, side: Side, rows: NDArray[np.intp], labels: Sequence[str] | None = None
    ) -> Estimate:
        """What `analyse_rows` would take in this process."""
        from penult_client import Estimate

        self._close()
        shapes: dict[str, tuple[int, ...]] = {"source": (len(rows), side.vectors.shape[1])}
        checks.check(call, shapes if labels is None else {**shapes, "labels": (len(rows),)})
        known = speeds.read(numba_cache(self._data))
        cost = costs.cost(call, shapes, known)
        return Estimate(
            seconds=cost.seconds,
            bytes=cost.bytes,
            way="call",
            load=os.getloadavg()[0],
            processors=speeds.processors(),
            measured_here=known is not None,
            rows_to_embed=self._unembedded,
        )

    def _close(self) -> None:
        """Ends a private server."""
        self._stack.close()
        self._connected = None

    def check(self, call: Call, arrays: Sequence[str], *, labelled: bool = False) -> None:
        """Refuse what no rows could mend, and what is not installed, before anything is embedded.

        Raises:
            InvalidInput: a parameter that is wrong by itself.
            ModuleNotFoundError: the analysis would run here, and its packages are not there.
        """
        check_alone(call, arrays, labelled)
        if self._server is None and not self._dry_run:
            require(*PACKAGES)

    def _client(self) -> tuple[Client, str | None]:
        if self._connected is None:
            self._connected = self._stack.enter_context(self._open())
        return self._connected

    def _open(self) -> AbstractContextManager[tuple[Client, str | None]]:
        # A private server only embeds: its analysis workers would take a minute and a gigabyte.
        return options.connected(self._model, self._server, self._data, analysis_workers=0)


def check_alone(call: Call, arrays: Sequence[str], labelled: bool) -> None:
    """Refuse what no rows could mend.

    Raises:
        InvalidInput: a parameter that is wrong by itself.
    """
    shapes: dict[str, tuple[int, ...]] = dict.fromkeys(arrays, _PLENTY)
    checks.check(call, {**shapes, "labels": _PLENTY[:1]} if labelled else shapes)


def require(*modules: str) -> None:
    """Raise ModuleNotFoundError, as importing would, for the first that is not installed."""
    for module in modules:
        if find_spec(module) is None:
            raise ModuleNotFoundError(f"No module named {module!r}", name=module)


def texts_of(side: Side, rows: NDArray[np.intp]) -> dict[str, NDArray[Any]]:
    """The texts of some rows as `analysis.calls` names them; empty without."""
    if side.texts is None:
        return {}
    given, ends = encoded([side.texts[row] for row in rows])
    return {"text_bytes": given, "text_ends": ends}


def encoded(texts: Sequence[str]) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Texts in UTF-8, one after the other, and where each ends."""
    each = [text.encode("utf-8", "replace") for text in texts]
    return np.frombuffer(b"".join(each), np.uint8), np.cumsum([len(one) for one in each], dtype=np.int64)


def short(text: str, longest: int = SHOWN) -> str:
    """The text in one line that changes nothing of a screen, cut where it is longer."""
    line = one_line(text)
    return line if len(line) <= longest else line[: longest - 3] + "..."


def tell_adjustments(adjustments: Sequence[results.Adjustment]) -> None:
    """A note for each parameter that was not used as asked."""
    for adjustment in adjustments:
        name, used, asked = adjustment.parameter, adjustment.used, adjustment.asked
        note(f"note: {name} is {used}, not {asked}: {adjustment.why}")


def tell_missing(side: Side, where: str = "") -> None:
    """A note that names rows without an embedding.

    Raises:
        InvalidInput: there is no other row.
    """
    good = side.good()
    if not len(good):
        raise InvalidInput(f"none of the {len(side.vectors):,} rows has an embedding", reason="NO_GOOD_ROWS")
    missing = np.setdiff1d(np.arange(len(side.vectors)), good)
    tell_rows(" ".join(filter(None, (where, "without an embedding left out"))), missing)


def plain(adjustments: Sequence[results.Adjustment]) -> list[dict[str, str]]:
    """Adjustments as JSON has them."""
    return [asdict(adjustment) for adjustment in adjustments]


def in_words(used: Mapping[str, Any]) -> str:
    """Parameters as a person reads them: the method, then names and values."""
    rest = [f"{name} {_value(value)}" for name, value in used.items() if name not in ("method", "metric")]
    first = [str(used[name]) for name in ("method", "metric") if name in used]
    return ", ".join(first + rest)


def _value(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


def tell_rows(what: str, rows: Sequence[int] | NDArray[np.integer[Any]]) -> None:
    """A note that names the first of some rows; nothing when there are none."""
    if len(rows):
        shown = ", ".join(str(row) for row in list(rows)[:10]) + (", ..." if len(rows) > 10 else "")
        note(f"note: {len(rows):,} row{'s' if len(rows) > 1 else ''} {what}: {shown}")


def numba_cache(data: Path | None) -> Path:
    """Where compiled code is kept: as `penult serve` does (`ServeConfig.numba_cache`), without its packages."""
    return (data or user_cache()) / "numba"


def codes_of(labels: Sequence[str]) -> NDArray[np.int32]:
    """Labels as int32 [n] numbers, in the order of the labels; -1: an empty one, which is not known."""
    words = np.asarray(labels, dtype=object).astype(str)
    known = words != ""
    codes = np.full(len(words), -1, np.int32)
    codes[known] = np.unique(words[known], return_inverse=True)[1]
    return codes


def _here(
    call: Call, arrays: Mapping[str, NDArray[Any]], labels: Sequence[str] | None, data: Path | None
) -> Any:
    given = dict(arrays) if labels is None else {**arrays, "labels": codes_of(labels)}
    checks.check(call, {name: array.shape for name, array in given.items()})
    from penult_service.analysis import run
    from penult_service.analysis.workers import warming

    warming.use_numba_cache(numba_cache(data))
    with stage_bar() as show, telling(lambda one: show(*_shown(one))), _without_tensorflow():
        if _takes_umap(call):
            warming.cache_umap()
        return run.run(call, given)


def _shown(progress: Progress) -> tuple[str, float | None]:
    """A stage and the share of it that is done, None where that is not known."""
    return progress.stage, progress.done / progress.total if progress.total else None


def _takes_umap(call: Call) -> bool:
    if isinstance(call, Cluster):
        return reduction_of(call) == "umap"
    return isinstance(call, Project) and call.method == "umap"


@contextmanager
def _without_tensorflow() -> Iterator[None]:
    """umap-learn imports TensorFlow where it can, for a part that is not used, at the price of 5 s and 0.5 GB."""
    hidden = "tensorflow" not in sys.modules
    if hidden:
        sys.modules["tensorflow"] = None  # type: ignore[assignment]
    try:
        yield
    finally:
        if hidden:
            del sys.modules["tensorflow"]
