"""Rows of csv, tsv, jsonl, txt and parquet files, a chunk at a time: every row comes out, good or bad.

Text files have no types worth trusting: csv columns stay texts ("007" stays "007"), json lines keep numbers,
truth values and texts, and nested values as JSON text.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from penult_service.errors import InvalidInput, NotFound

if TYPE_CHECKING:
    import pyarrow as pa

# Of one cell: above any text that a server takes, below what csv can be told on every platform.
CELL_LIMIT = 2**31 - 1


@dataclass(frozen=True)
class Chunk:
    """Rows in a row of the file: `first` is the number of the first, from 0.

    `texts` has None where `problems` (by place in the chunk) says why; `cells` holds the input's columns.
    """

    first: int
    texts: list[str | None]
    problems: dict[int, str]
    cells: pa.RecordBatch


class Source(Protocol):
    """An input file: how many rows, which columns, and the rows themselves."""

    rows: int
    schema: pa.Schema

    def chunks(self, size: int) -> Iterator[Chunk]:
        """All rows, in order, at most `size` a chunk."""
        ...


@dataclass(frozen=True)
class Record:
    """One row of a text file. `problem` is why it cannot be read at all; then `cells` may be empty."""

    cells: dict[str, Any]
    line: int
    problem: str = ""


def open_rows(path: Path, column: str) -> Source:
    """The rows of a file, by the end of its name.

    Raises:
        NotFound: no such file.
        InvalidInput: an unknown ending, no such column, no rows, or not a file of that kind.
    """
    if not path.is_file():
        raise NotFound(f"{path} is not a file", reason="FILE_NOT_FOUND")
    readers = {".csv": CsvRows, ".tsv": CsvRows, ".jsonl": JsonRows, ".ndjson": JsonRows, ".txt": LineRows}
    ending = path.suffix.lower()
    if ending == ".parquet":
        from penult_service.cli.parquet_rows import ParquetRows

        source: Source = ParquetRows(path, column)
    elif ending in readers:
        source = readers[ending](path, column)
    else:
        known = ", ".join([*readers, ".parquet"])
        raise InvalidInput(f"{path}: the name of an input ends in one of {known}", reason="FILE_TYPE")
    if source.rows == 0:
        raise InvalidInput(f"{path} has no rows", reason="NO_ROWS")
    return source


def no_column(path: Path, column: str, there: list[str]) -> InvalidInput:
    """The error for a text column that is not there."""
    names = ", ".join(repr(name) for name in there) or "none"
    return InvalidInput(
        f"{path} has no column {column!r}; there are {names}. Name the right one with --text-column",
        reason="COLUMN_MISSING",
    )


def text_problem(value: Any) -> str:
    """Why a cell is not a text that can be sent; empty when it is one."""
    if value is None:
        return "the text is missing"
    if not isinstance(value, str):
        return f"the text is {json.dumps(value)[:40]}, not a string"
    try:
        value.encode()
    except UnicodeEncodeError as error:
        # Bytes that are not UTF-8 were read as surrogates U+DC80 to U+DCFF.
        point = ord(value[error.start])
        what = f"byte 0x{point - 0xDC00:02x}" if 0xDC80 <= point <= 0xDCFF else "a lone surrogate"
        return f"the text is not UTF-8 ({what} at character {error.start})"
    return ""


@dataclass
class _TextFile:
    """A file read line by line: once to learn its rows and columns, once for the rows."""

    path: Path
    column: str
    rows: int = field(init=False, default=0)
    schema: pa.Schema = field(init=False)

    def __post_init__(self) -> None:
        import pyarrow as pa

        kinds = self._learn()
        if self.rows and self.column not in kinds:
            raise no_column(self.path, self.column, list(kinds))
        kinds[self.column] = {str}
        self.schema = pa.schema([pa.field(name, _arrow_type(kind)) for name, kind in kinds.items()])

    def _learn(self) -> dict[str, set[type]]:
        """Count the rows and return the columns with the types of their values."""
        kinds: dict[str, set[type]] = {}
        for record in self._records():
            self.rows += 1
            for name, value in record.cells.items():
                seen = kinds.setdefault(name, set())
                if value is not None:
                    seen.add(_kind(value))
        return kinds

    def chunks(self, size: int) -> Iterator[Chunk]:
        import pyarrow as pa

        records, first = self._records(), 0
        while batch := list(islice(records, size)):
            problems = {
                place: found for place, record in enumerate(batch) if (found := self._problem(record))
            }
            texts = [None if place in problems else r.cells[self.column] for place, r in enumerate(batch)]
            arrays = [
                pa.array([_cell(record.cells.get(item.name), item.type) for record in batch], item.type)
                for item in self.schema
                if item.name != self.column
            ]
            arrays.insert(self.schema.get_field_index(self.column), pa.array(texts, pa.string()))
            yield Chunk(first, texts, problems, pa.RecordBatch.from_arrays(arrays, schema=self.schema))
            first += len(batch)

    def _problem(self, record: Record) -> str:
        found = record.problem or text_problem(record.cells.get(self.column))
        return f"{found} (line {record.line})" if found else ""

    def _records(self) -> Iterator[Record]:
        raise NotImplementedError


class CsvRows(_TextFile):
    """Comma- (.csv) or tab-separated (.tsv), with a header. Rows without any cell are not rows."""

    def _learn(self) -> dict[str, set[type]]:
        self.rows = sum(1 for _ in self._records())
        return {name: {str} for name in self._header}

    def _records(self) -> Iterator[Record]:
        csv.field_size_limit(CELL_LIMIT)
        delimiter = "\t" if self.path.suffix.lower() == ".tsv" else ","
        with self.path.open(encoding="utf-8-sig", errors="surrogateescape", newline="") as file:
            reader = csv.reader(file, delimiter=delimiter)
            try:
                self._header = _checked_header(self.path, next(reader, []))
                for cells in reader:
                    if cells:
                        yield self._record(cells, reader.line_num)
            except csv.Error as error:
                raise InvalidInput(
                    f"{self.path}, line {reader.line_num}: {error}", reason="NOT_CSV"
                ) from error

    def _record(self, cells: list[str], line: int) -> Record:
        problem = ""
        if len(cells) > len(self._header):
            problem = f"the row has {len(cells)} cells, the header {len(self._header)}"
        return Record(dict(zip(self._header, cells, strict=False)), line, problem)


class JsonRows(_TextFile):
    """JSON lines: an object a line. Blank lines are not rows."""

    def _records(self) -> Iterator[Record]:
        with self.path.open("rb") as file:
            for line, data in enumerate(file, start=1):
                if data.strip():
                    yield _json_record(data, line)


class LineRows(_TextFile):
    """A text a line; a blank line is an empty text."""

    def _learn(self) -> dict[str, set[type]]:
        self.rows = sum(1 for _ in self._records())
        return {self.column: {str}}

    def _records(self) -> Iterator[Record]:
        with self.path.open("rb") as file:
            for line, data in enumerate(file, start=1):
                bare = data.removesuffix(b"\n").removesuffix(b"\r")
                text = bare.removeprefix(b"\xef\xbb\xbf" if line == 1 else b"")
                yield Record({self.column: text.decode(errors="surrogateescape")}, line)


def _checked_header(path: Path, header: list[str]) -> list[str]:
    twice = next((name for name in header if header.count(name) > 1), None)
    if twice is not None:
        raise InvalidInput(f"{path} has two columns {twice!r}; rename one", reason="COLUMN_TWICE")
    if any(text_problem(name) for name in header):
        raise InvalidInput(f"{path}: the header is not UTF-8; save the file as UTF-8", reason="NOT_UTF8")
    return header


def _json_record(data: bytes, line: int) -> Record:
    try:
        text = data.decode("utf-8-sig" if line == 1 else "utf-8")
    except UnicodeDecodeError as error:
        return Record({}, line, f"the line is not UTF-8 (byte 0x{data[error.start]:02x} at {error.start})")
    try:
        row = json.loads(text)
    except (ValueError, RecursionError) as error:
        return Record({}, line, f"the line is not JSON ({error})")
    if not isinstance(row, dict):
        return Record({}, line, "the line holds no JSON object")
    return Record(row, line)


def _kind(value: Any) -> type:
    """The type that a value needs in a table; `object` is kept as JSON text."""
    if isinstance(value, int) and not isinstance(value, bool) and not -(2**63) <= value < 2**63:
        return object
    return type(value) if isinstance(value, str | bool | int | float) else object


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
        return text.encode(errors="replace").decode()
    return float(value) if pa.types.is_floating(kind) else value
