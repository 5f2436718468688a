"""The rows of files that a model is to be asked about as a whole, with their labels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from penult_service.cli import tables
from penult_service.cli.records import no_column
from penult_service.cli.rows import open_inputs
from penult_service.errors import InvalidInput
from penult_service.jobs.chunks import Problem, Row, names_of

if TYPE_CHECKING:
    import pyarrow as pa

    from penult_service.cli.row_columns import Columns

READ_ROWS = 4096
LABEL_COLUMN = "--label-column"
OTHER_ENCODING = "--encoding NAME reads another encoding, such as latin-1 or cp1252"


@dataclass(frozen=True)
class Rows:
    """All rows of some files, in their order.

    `rows` has None where `problems` says why; `files` has the name of the file of each; `table` are the columns of the
    files; `labels` are words, "" where a row has none, None where no column is named; `damaged` are rows with another
    cell that could not be kept as it was.
    """

    names: list[str]
    rows: list[Row | None]
    problems: dict[int, Problem]
    files: list[str]
    table: pa.Table
    labels: list[str] | None = None
    damaged: list[int] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def source(self) -> str:
        """What the files are called together."""
        return self.names[0] if len(self.names) == 1 else f"{self.names[0]} and {len(self.names) - 1} more"

    @property
    def good(self) -> list[int]:
        """Numbers of the rows that can be sent."""
        return [number for number, row in enumerate(self.rows) if row is not None]

    def called(self, number: int) -> str:
        """The row by its number, and by its file where there are several."""
        return f"row {number}" + (f" ({self.files[number]})" if len(self.names) > 1 else "")

    def text(self, number: int) -> str:
        """The row for people."""
        row = self.rows[number]
        if row is None or isinstance(row, str):
            return row or ""
        return " | ".join(str(value) for value in (row.values() if isinstance(row, dict) else row))


def read(
    paths: Sequence[Path], columns: Columns, encoding: str | None, label_column: str | None = None
) -> Rows:
    """All rows of the files.

    Raises:
        NotFound, InvalidInput: as of `open_inputs`; no column of that name; no row that can be sent
            (NO_GOOD_ROWS), or that has a label (NO_LABEL).
    """
    import pyarrow as pa

    source = open_inputs(paths, columns, encoding)
    if label_column is not None and source.schema.names.count(label_column) != 1:
        raise no_column(paths[0], label_column, source.schema.names, LABEL_COLUMN)
    rows: list[Row | None] = []
    problems: dict[int, Problem] = {}
    damaged: list[int] = []
    files: list[str] = []
    cells: list[pa.RecordBatch] = []
    for chunk in source.chunks(READ_ROWS):
        rows += chunk.rows
        problems |= {chunk.first + place: problem for place, problem in chunk.problems.items()}
        damaged += [chunk.first + place for place in chunk.damaged]
        files += [name for name, _ in chunk.places]
        cells.append(chunk.cells)
    if len(problems) == len(rows):
        other = "" if encoding or problems[0].reason != "NOT_UTF8" else f"; {OTHER_ENCODING}"
        raise InvalidInput(
            f"none of the {len(rows):,} rows can be sent; the first cannot: {problems[0]}{other}",
            reason="NO_GOOD_ROWS",
        )
    table = pa.Table.from_batches(cells, schema=source.schema)
    labels = None if label_column is None else _words(table, label_column)
    if labels is not None and not any(labels):
        raise InvalidInput(f"no row has a label in column {label_column!r}", reason="NO_LABEL")
    return Rows(names_of(paths), rows, problems, files, table, labels, damaged)


def _words(table: Any, name: str) -> list[str]:
    import pyarrow as pa

    column = table.column(name)
    if pa.types.is_nested(column.type):
        raise InvalidInput(f"column {name!r} holds {column.type}, which is no label", reason="NOT_A_LABEL")
    return [tables.word(cell) for cell in column.to_pylist()]
