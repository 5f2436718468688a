"""What a job reads: rows a chunk at a time, good or bad, with the place where each stands."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    import pyarrow as pa

Row = str | Mapping[str, Any] | tuple[Any, ...]
"""What is embedded as one: a text; or values by the names of the model's inputs, or in their order: texts and numbers
(lists of them too)."""


class Problem(str):
    """What is wrong with a row, in words; `reason` is the same for machines."""

    __slots__ = ("reason",)
    reason: str

    def __new__(cls, words: str, reason: str) -> Problem:
        made = super().__new__(cls, words)
        made.reason = reason
        return made


@dataclass(frozen=True)
class Chunk:
    """Rows in a row of the inputs: `first` is the number of the first, from 0 over all of them.

    `rows` has None where `problems` (by place in the chunk) says why; `cells` holds the input's columns.
    `damaged` names rows that are good while another cell could not be kept as it was. `places` has a row's
    file and its line (text files) or its number in the file (parquet).
    """

    first: int
    rows: list[Row | None]
    problems: dict[int, Problem]
    cells: pa.RecordBatch
    damaged: dict[int, Problem] = field(default_factory=dict)
    places: Sequence[tuple[str, int]] = ()

    @property
    def texts(self) -> list[str | None]:
        """The rows, where they are texts."""
        return [None if row is None else str(row) for row in self.rows]


class Source(Protocol):
    """Inputs: how many rows, which columns, and the rows themselves.

    `counted` is what the second part of a row's place counts: ``line`` or ``file_row``.
    """

    rows: int
    schema: pa.Schema
    counted: str

    def chunks(self, size: int, start: int = 0) -> Iterator[Chunk]:
        """The rows from number `start` on, in order, `size` a chunk, fewer in the last."""
        ...


def names_of(paths: Sequence[Path]) -> list[str]:
    """What the files are called in outputs and messages: their names, or their paths where two names are the same."""
    names = [path.name for path in paths]
    return names if len(set(names)) == len(names) else [str(path) for path in paths]
