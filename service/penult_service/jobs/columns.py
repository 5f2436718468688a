"""The rows of an output: the input's columns, then ours."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from penult_service.jobs.chunks import Chunk, Problem

ADDED = ("embedding", "token_count", "truncation", "error")
ADDED_WITH_CLASSES = ("probabilities", "predicted")


@dataclass(frozen=True)
class Answer:
    """A chunk with its numbers, one row a row of the chunk; rows that `errors` names have none.

    `vectors` float32 [n, d], `probabilities` float32 [n, classes] or None, `token_counts` int32 [n], `measures`
    float32 [n] each, by the names of their columns.
    """

    chunk: Chunk
    vectors: NDArray[np.float32]
    probabilities: NDArray[np.float32] | None
    token_counts: NDArray[np.int32]
    truncations: list[str]
    errors: dict[int, Problem] = field(default_factory=dict)
    measures: Mapping[str, NDArray[np.float32]] = field(default_factory=dict)

    @classmethod
    def empty(cls, chunk: Chunk, dimension: int, classes: int, measures: Sequence[str] = ()) -> Answer:
        """No numbers yet, and the chunk's own problems."""
        n = len(chunk.rows)
        return cls(
            chunk,
            np.full((n, dimension), np.nan, np.float32),
            np.full((n, classes), np.nan, np.float32) if classes else None,
            np.zeros(n, np.int32),
            ["unknown"] * n,
            dict(chunk.problems),
            {name: np.full(n, np.nan, np.float32) for name in measures},
        )


def full_schema(cells: pa.Schema, facts: Mapping[str, Any], measures: Sequence[str] = ()) -> pa.Schema:
    """The columns of the input and ours, with the facts as metadata `penult.*`.

    `facts` has at least dimension, classes (0: no probabilities) and labels.
    """
    added = [pa.field("embedding", pa.list_(pa.float32(), facts["dimension"]))]
    if facts["classes"]:
        added.append(pa.field("probabilities", pa.list_(pa.float32(), facts["classes"])))
        added.append(pa.field("predicted", pa.string() if facts["labels"] else pa.int32()))
    added += [pa.field(name, pa.float32()) for name in measures]
    added.append(pa.field("token_count", pa.int32()))
    added += [pa.field(name, pa.string()) for name in ("truncation", "error")]
    told = {
        f"penult.{name}".encode(): (value if isinstance(value, str) else json.dumps(value)).encode()
        for name, value in facts.items()
    }
    return pa.schema([*cells, *added], metadata={**(cells.metadata or {}), **told})


def batch(answer: Answer, schema: pa.Schema, labels: list[str]) -> pa.RecordBatch:
    """The answer as rows of the full schema; ours are null in rows without numbers."""
    n = len(answer.vectors)
    bad = np.zeros(n, bool)
    bad[list(answer.errors)] = True
    ours: dict[str, Any] = {
        "embedding": matrix(answer.vectors, bad),
        "token_count": pa.array(answer.token_counts, pa.int32(), mask=bad),
        "truncation": pa.array(answer.truncations, pa.string(), mask=bad),
        "error": pa.array([_plain(answer.errors.get(place)) for place in range(n)], pa.string()),
        **{name: pa.array(values, pa.float32(), mask=bad) for name, values in answer.measures.items()},
    }
    if answer.probabilities is not None:
        ours["probabilities"] = matrix(answer.probabilities, bad)
        ours["predicted"] = _predicted(answer.probabilities, bad, labels)
    columns = list(answer.chunk.cells.columns)
    columns += [ours[name] for name in schema.names[len(columns) :]]
    return pa.RecordBatch.from_arrays(columns, schema=schema)


def listed(answer: Answer, counted: str) -> list[dict[str, Any]]:
    """The rows of an errors file: those without numbers, and those with a cell that could not be kept."""
    rows: list[dict[str, Any]] = []
    for place in sorted({*answer.errors, *answer.chunk.damaged}):
        problem = answer.errors.get(place) or answer.chunk.damaged[place]
        row: dict[str, Any] = {"row": answer.chunk.first + place}
        if answer.chunk.places:
            row["file"], row[counted] = answer.chunk.places[place]
        row |= {"embedded": place not in answer.errors, "reason": problem.reason, "message": str(problem)}
        rows.append(row)
    return rows


def _plain(problem: Problem | None) -> str | None:
    return None if problem is None else str(problem)


def matrix(values: NDArray[np.float32], bad: NDArray[np.bool_]) -> pa.Array:
    """Float32 [n, d] as fixed-size lists, null in bad rows."""
    flat = pa.array(np.ascontiguousarray(values).reshape(-1))
    return pa.FixedSizeListArray.from_arrays(flat, values.shape[1], mask=pa.array(bad))


def _predicted(probabilities: NDArray[np.float32], bad: NDArray[np.bool_], labels: list[str]) -> pa.Array:
    best = np.nan_to_num(probabilities).argmax(axis=1)
    values = [labels[i] for i in best] if labels else best.astype(np.int32)
    return pa.array(values, pa.string() if labels else pa.int32(), mask=bad)
