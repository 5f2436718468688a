"""Rows of csv, tsv, jsonl, txt and parquet files, a chunk at a time: every row comes out, good or bad.

Text files have no types worth trusting: csv columns stay texts ("007" stays "007", "NA" stays "NA"), json lines
keep numbers, truth values and texts, and nested values as JSON text.
"""

from __future__ import annotations

import io
import json
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from penult_service.cli import records
from penult_service.cli.records import Record
from penult_service.cli.row_columns import Columns, numbers_in
from penult_service.errors import InvalidInput, NotFound
from penult_service.jobs.chunks import Chunk, Problem, Row, Source, names_of

if TYPE_CHECKING:
    import pyarrow as pa

TEXT_ENDINGS = (".csv", ".tsv", ".jsonl", ".ndjson", ".txt")
PARQUET_ENDING = ".parquet"


def open_rows(path: Path, column: str) -> Source:
    """The texts of one file, by the end of its name.

    Raises:
        NotFound: no such file.
        InvalidInput: an unknown ending, no such column, no rows, or not a file of that kind.
    """
    return open_inputs([path], Columns.text(column))


def open_inputs(paths: Sequence[Path], columns: Columns, encoding: str | None = None) -> Source:
    """The rows of several files, one after the other; the columns are those of all of them.

    Args:
        paths: Text files (any of `TEXT_ENDINGS`), or parquet files.
        columns: Those that make a row.
        encoding: Of text files; None: UTF-8.

    Raises:
        NotFound: no such file.
        InvalidInput: as of `open_rows`; text files and parquet files together; no such encoding.
    """
    if PARQUET_ENDING in check_kinds(paths, encoding):
        from penult_service.cli.parquet_rows import ParquetRows

        source: Source = ParquetRows(paths, columns)
    else:
        source = TextRows(paths, columns, encoding)
    if source.rows == 0:
        names = str(paths[0]) if len(paths) == 1 else f"{paths[0]} and the other {len(paths) - 1} files"
        raise InvalidInput(f"{names} {'has' if len(paths) == 1 else 'have'} no rows", reason="NO_ROWS")
    return source


def check_kinds(paths: Sequence[Path], encoding: str | None = None) -> set[str]:
    """The endings of the files; raises as `open_inputs`, without opening one."""
    endings = {_checked_ending(path) for path in paths}
    _check_encoding(encoding)
    if PARQUET_ENDING in endings and len(endings) > 1:
        raise InvalidInput(
            "text files and parquet files do not go into one output; embed them apart", reason="FILE_TYPE"
        )
    if PARQUET_ENDING in endings and encoding:
        raise InvalidInput("the texts of parquet files are UTF-8; --encoding is for text files")
    return endings


class TextRows:
    """Files read line by line: once to learn their rows and columns, once for the rows."""

    counted = "line"

    def __init__(self, paths: Sequence[Path], columns: Columns, encoding: str | None = None) -> None:
        import pyarrow as pa

        self._paths, self._columns, self._encoding = list(paths), columns, encoding
        self.rows = 0
        kinds: dict[str, set[type]] = {}
        for path in self._paths:
            self._learn(path, kinds)
        for name in columns.texts:
            kinds[name] = {str}
        self.schema = pa.schema([pa.field(name, _arrow_type(kind)) for name, kind in kinds.items()])

    def chunks(self, size: int, start: int = 0) -> Iterator[Chunk]:
        """All rows from `start` on, in order, `size` a chunk."""
        rows, first = islice(self._records(), start, None), start
        while batch := list(islice(rows, size)):
            yield self._chunk(first, batch)
            first += len(batch)

    def _learn(self, path: Path, kinds: dict[str, set[type]]) -> None:
        """Count the rows of a file, and add its columns with the types of their values."""
        self._columns.check_lines(path)
        found, rows = records.columns(path, self._columns.each[0].name, self._encoding)
        if rows:
            self._columns.check_there(path, list(found))
        for name, seen in found.items():
            kinds.setdefault(name, set()).update(seen)
        self.rows += rows

    def _records(self) -> Iterator[tuple[str, Record]]:
        for path, name in zip(self._paths, names_of(self._paths), strict=True):
            for record in records.read(path, self._columns.each[0].name, self._encoding):
                yield name, record

    def _chunk(self, first: int, batch: list[tuple[str, Record]]) -> Chunk:
        import pyarrow as pa

        problems: dict[int, Problem] = {}
        damaged: dict[int, Problem] = {}
        rows: list[Row | None] = []
        texts: dict[str, list[str | None]] = {name: [] for name in self._columns.texts}
        for place, (_, record) in enumerate(batch):
            values, found = self._values(record)
            if found:
                problems[place] = Problem(f"{found} (line {record.line})", found.reason)
            elif bad := record.damaged(self._encoding):
                damaged[place] = Problem(f"{bad} (line {record.line})", bad.reason)
            rows.append(None if found else self._columns.row(values))
            for name, cells in texts.items():
                cells.append(self._text(record, name) if found else record.cells[name])
        arrays = [
            pa.array(texts[item.name], pa.string())
            if item.name in texts
            else pa.array([_cell(record.cells.get(item.name), item.type) for _, record in batch], item.type)
            for item in self.schema
        ]
        cells = pa.RecordBatch.from_arrays(arrays, schema=self.schema)
        return Chunk(first, rows, problems, cells, damaged, [(name, r.line) for name, r in batch])

    def _values(self, record: Record) -> tuple[list[Any], Problem | None]:
        """A value a column, or why there is no such row."""
        values: list[Any] = []
        if record.problem:
            return values, record.problem
        for column in self._columns.each:
            value = record.cells.get(column.name)
            if column.numbers:
                value = numbers_in(value)
                problem = value if isinstance(value, Problem) else None
            else:
                problem = records.text_problem(value, self._encoding)
            if problem:
                return values, self._columns.told(problem, column)
            values.append(value)
        return values, None

    def _text(self, record: Record, name: str) -> str | None:
        """The text of a row that is not good, None where that is what is bad."""
        cell = record.cells.get(name)
        return None if record.problem or records.text_problem(cell, self._encoding) else cell


def _checked_ending(path: Path) -> str:
    if path.is_dir():
        raise InvalidInput(
            f"{path} is a directory; name its files, such as '{path}/*.csv'", reason="FILE_TYPE"
        )
    if not path.is_file():
        raise NotFound(f"{path} is not a file", reason="FILE_NOT_FOUND")
    ending = path.suffix.lower()
    if ending not in (*TEXT_ENDINGS, PARQUET_ENDING):
        known = ", ".join([*TEXT_ENDINGS, PARQUET_ENDING])
        message = f"{path}: the name of a file of texts ends in one of {known}"
        raise InvalidInput(message, reason="FILE_TYPE")
    return ending


def _check_encoding(encoding: str | None) -> None:
    try:
        io.TextIOWrapper(io.BytesIO(), encoding=encoding or "utf-8")
    except LookupError:
        raise InvalidInput(
            f"there is no encoding {encoding!r}; such as utf-8, latin-1, cp1252, utf-16, shift_jis",
            reason="NO_ENCODING",
        ) from None


def _arrow_type(kinds: set[type]) -> pa.DataType:
    import pyarrow as pa

    plain = {bool: pa.bool_(), int: pa.int64(), float: pa.float64()}
    if kinds == {int, float}:
        return plain[float]
    return plain.get(next(iter(kinds)), pa.string()) if len(kinds) == 1 else pa.string()


def _cell(value: Any, kind: pa.DataType) -> Any:
    """The value as its column holds it."""
    import pyarrow as pa

    if value is None:
        return None
    if pa.types.is_string(kind):
        text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
        return text if text.isascii() else text.encode(errors="replace").decode()
    return float(value) if pa.types.is_floating(kind) else value
