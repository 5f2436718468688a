"""What `penult embed` writes: parquet with the input's columns, or a .npy matrix with a sidecar of facts.

Written beside its place and renamed when whole: an output is never half there.
"""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from penult_service import __version__
from penult_service.cli.rows import Chunk
from penult_service.errors import InvalidInput

if TYPE_CHECKING:
    import pyarrow as pa
    from penult_client import Embeddings

ENDINGS = (".npy", ".parquet")
ADDED = ("embedding", "token_count", "truncation", "error")
ADDED_WITH_CLASSES = ("probabilities", "predicted")


@dataclass(frozen=True)
class Answer:
    """A chunk with its numbers, one row a row of the chunk: NaN and -1 where `errors` says why.

    `vectors` float32 [n, d], `probabilities` float32 [n, classes] or None, `token_counts` int32 [n].
    """

    chunk: Chunk
    vectors: NDArray[np.float32]
    probabilities: NDArray[np.float32] | None
    token_counts: NDArray[np.int32]
    truncations: list[str]
    errors: list[str | None]


class Output(Protocol):
    """Takes answers in order."""

    def write(self, answer: Answer) -> None:
        """Append the rows of one chunk."""
        ...


def check_place(path: Path, source: Path, overwrite: bool) -> None:
    """Refuse, before any work, a place that cannot or must not be written.

    Raises:
        InvalidInput: another ending, no such directory, the input itself, or a file that is there already.
    """
    if path.suffix.lower() not in ENDINGS:
        raise InvalidInput(f"{path}: the name of the output ends in .parquet or .npy", reason="FILE_TYPE")
    if not path.parent.is_dir():
        raise InvalidInput(f"{path}: there is no directory {path.parent}", reason="NO_DIRECTORY")
    for place in (path, sidecar(path)) if path.suffix.lower() == ".npy" else (path,):
        if place.exists() and source.exists() and place.samefile(source):
            raise InvalidInput(f"{place} is the input; name another output", reason="OUTPUT_IS_INPUT")
        if place.exists() and not overwrite:
            raise InvalidInput(f"{place} is there already; --overwrite replaces it", reason="OUTPUT_EXISTS")


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
        "labels": list(first.labels),
        "dimension": first.vectors.shape[1],
        "classes": 0 if first.probabilities is None else first.probabilities.shape[1],
        "penult": __version__,
    }


@contextmanager
def drafts(*places: Path) -> Iterator[list[Path]]:
    """Files to write beside their places: renamed to them when the block ends, removed when it fails."""
    made: list[Path] = []
    try:
        for place in places:
            handle, name = tempfile.mkstemp(prefix=f".{place.name}.", suffix=".partial", dir=place.parent)
            os.close(handle)
            made.append(Path(name))
        yield made
        umask = os.umask(0)
        os.umask(umask)
        for draft, place in zip(made, places, strict=True):
            draft.chmod(0o666 & ~umask)
            draft.replace(place)
    except BaseException:
        for draft in made:
            draft.unlink(missing_ok=True)
        raise


@contextmanager
def opened(path: Path, rows: int, schema: pa.Schema, facts: Mapping[str, Any]) -> Iterator[Output]:
    """The output for the ending of `path`, whole when the block ends well."""
    if path.suffix.lower() == ".parquet":
        with drafts(path) as (draft,), parquet_output(draft, schema, facts) as table:
            yield table
        return
    with drafts(sidecar(path), path) as (facts_draft, draft):
        matrix = NpyOutput(draft, rows, int(facts["dimension"]))
        yield matrix
        matrix.values.flush()
        text = json.dumps({**facts, "rows": rows, "bad_rows": matrix.bad}, indent=1, ensure_ascii=False)
        facts_draft.write_text(text + "\n", encoding="utf-8")


class NpyOutput:
    """A float32 [rows, d] file, filled in place; `bad` collects row numbers and reasons."""

    def __init__(self, path: Path, rows: int, dimension: int) -> None:
        self.values = np.lib.format.open_memmap(path, mode="w+", dtype=np.float32, shape=(rows, dimension))
        self.bad: list[dict[str, Any]] = []

    def write(self, answer: Answer) -> None:
        """Put the rows into their places."""
        first = answer.chunk.first
        self.values[first : first + len(answer.vectors)] = answer.vectors
        self.bad += [{"row": first + i, "reason": why} for i, why in enumerate(answer.errors) if why]


@contextmanager
def parquet_output(path: Path, schema: pa.Schema, facts: Mapping[str, Any]) -> Iterator[Output]:
    """A parquet file: the input's columns, then ours; the facts as metadata `penult.*`."""
    import pyarrow.parquet as pq

    full = _full_schema(schema, facts)
    with pq.ParquetWriter(path, full, compression="zstd") as writer:
        yield _ParquetOutput(writer, full, facts["labels"])


@dataclass(frozen=True)
class _ParquetOutput:
    writer: Any
    schema: pa.Schema
    labels: list[str]

    def write(self, answer: Answer) -> None:
        """Append the rows as a row group."""
        import pyarrow as pa

        bad = np.array([why is not None for why in answer.errors])
        ours: dict[str, Any] = {
            "embedding": _matrix(answer.vectors, bad),
            "token_count": pa.array(answer.token_counts, pa.int32(), mask=bad),
            "truncation": pa.array(answer.truncations, pa.string(), mask=bad),
            "error": pa.array(answer.errors, pa.string()),
        }
        if answer.probabilities is not None:
            ours["probabilities"] = _matrix(answer.probabilities, bad)
            ours["predicted"] = _predicted(answer.probabilities, bad, self.labels)
        columns = list(answer.chunk.cells.columns)
        columns += [ours[name] for name in self.schema.names[len(columns) :]]
        self.writer.write_batch(pa.RecordBatch.from_arrays(columns, schema=self.schema))


def _full_schema(schema: pa.Schema, facts: Mapping[str, Any]) -> pa.Schema:
    import pyarrow as pa

    added = [pa.field("embedding", pa.list_(pa.float32(), facts["dimension"]))]
    if facts["classes"]:
        added.append(pa.field("probabilities", pa.list_(pa.float32(), facts["classes"])))
        added.append(pa.field("predicted", pa.string() if facts["labels"] else pa.int32()))
    added.append(pa.field("token_count", pa.int32()))
    added += [pa.field(name, pa.string()) for name in ("truncation", "error")]
    told = {
        f"penult.{name}".encode(): (value if isinstance(value, str) else json.dumps(value)).encode()
        for name, value in facts.items()
    }
    return pa.schema([*schema, *added], metadata={**(schema.metadata or {}), **told})


def _matrix(values: NDArray[np.float32], bad: NDArray[np.bool_]) -> pa.Array:
    """Float32 [n, d] as fixed-size lists, null in bad rows."""
    import pyarrow as pa

    flat = pa.array(np.ascontiguousarray(values).reshape(-1))
    return pa.FixedSizeListArray.from_arrays(flat, values.shape[1], mask=pa.array(bad))


def _predicted(probabilities: NDArray[np.float32], bad: NDArray[np.bool_], labels: list[str]) -> pa.Array:
    import pyarrow as pa

    best = np.nan_to_num(probabilities).argmax(axis=1)
    values = [labels[i] for i in best] if labels else best.astype(np.int32)
    return pa.array(values, pa.string() if labels else pa.int32(), mask=bad)
