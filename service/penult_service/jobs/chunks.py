"""What a job reads: rows a chunk at a time, good or bad, with the place where each stands."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    import pyarrow as pa


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

    `texts` has None where `problems` (by place in the chunk) says why; `cells` holds the input's columns.
    `damaged` names rows whose text is good while another cell could not be kept as it was. `places` has a row's
    file and its line (text files) or its number in the file (parquet).
    """

    first: int
    texts: list[str | None]
    problems: dict[int, Problem]
    cells: pa.RecordBatch
    damaged: dict[int, Problem] = field(default_factory=dict)
    places: Sequence[tuple[str, int]] = ()


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
