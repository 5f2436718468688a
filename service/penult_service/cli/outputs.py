"""Where commands write, and what they say about where numbers came from.

Written beside its place and renamed when whole: an output is never half there.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from penult_service import __version__
from penult_service.errors import InvalidInput

if TYPE_CHECKING:
    from penult_client import Embeddings

ENDINGS = (".parquet", ".arrow", ".npy")
DRAFT = ".partial"


def check_place(path: Path, sources: Sequence[Path], overwrite: bool) -> None:
    """Refuse, before any work, a place that cannot or must not be written.

    Raises:
        InvalidInput: another ending, no such directory, an input, or a file that is there already.
    """
    if path.suffix.lower() not in ENDINGS:
        raise InvalidInput(
            f"{path}: the name of the output ends in {', '.join(ENDINGS[:-1])} or {ENDINGS[-1]}",
            reason="FILE_TYPE",
        )
    if not path.parent.is_dir():
        raise InvalidInput(f"{path}: there is no directory {path.parent}", reason="NO_DIRECTORY")
    for place in (path, *companions(path)):
        if place.exists() and any(source.exists() and place.samefile(source) for source in sources):
            raise InvalidInput(f"{place} is the input; name another output", reason="OUTPUT_IS_INPUT")
        if place.exists() and not overwrite:
            raise InvalidInput(f"{place} is there already; --overwrite replaces it", reason="OUTPUT_EXISTS")


def companions(path: Path) -> list[Path]:
    """What may be written beside an output: the list of bad rows, and the facts about a .npy."""
    from penult_service.jobs.folder import errors_place

    return [errors_place(path), *([sidecar(path)] if path.suffix.lower() == ".npy" else [])]


def sidecar(path: Path) -> Path:
    """Where the facts about a .npy stand."""
    return path.with_suffix(".json")


def provenance(first: Embeddings) -> dict[str, Any]:
    """Where numbers came from, for metadata and sidecar."""
    return {
        "model": first.model,
        "version": first.version,
        "model_digest": first.digest,
        "embedding_space": first.space,
        "layer": first.layer,
        "pooling": first.pooling,
        "normalized": first.normalized,
        "engine": first.engine,
        "precision": first.precision,
        "dropout_proven_inactive": first.dropout_proven,
        **({"warnings": list(first.warnings)} if first.warnings else {}),
        "labels": list(first.labels),
        "dimension": first.vectors.shape[1],
        "classes": 0 if first.probabilities is None else first.probabilities.shape[1],
        "penult": __version__,
    }


@contextmanager
def drafts(*places: Path) -> Iterator[list[Path]]:
    """Files to write beside their places: renamed to them when the block ends, removed when it fails.

    What the disk says is told of a place, whose name people know.
    """
    made: list[Path] = []
    try:
        for place in places:
            handle, name = tempfile.mkstemp(prefix=f".{place.name}.", suffix=DRAFT, dir=place.parent)
            os.close(handle)
            made.append(Path(name))
        yield made
        umask = os.umask(0)
        os.umask(umask)
        for draft, place in zip(made, places, strict=True):
            draft.chmod(0o666 & ~umask)
            draft.replace(place)
    except BaseException as error:
        for draft in made:
            draft.unlink(missing_ok=True)
        if isinstance(error, OSError) and error.errno and _of_draft(error.filename):
            error.filename = str(places[-1])
        raise


def _of_draft(name: object) -> bool:
    """Whether an error names a file that nobody has heard of, or none."""
    return name is None or str(name).endswith(DRAFT)
