"""Rows of parquet files: columns pass through as they are, texts are looked at byte by byte."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from penult_service.cli.row_columns import Columns, numbers_in
from penult_service.errors import InvalidInput
from penult_service.jobs.chunks import Chunk, Problem, Row, names_of

# Read a column of a row group in pieces of this many bytes: row groups may be larger than the memory.
BUFFER_BYTES = 1 << 20


class ParquetRows:
    """A `jobs.chunks.Source`. Columns of text hold strings, or bytes that are read as UTF-8.

    Of several files, a column that one of them lacks is null there; no two may give it different types.
    """

    counted = "file_row"

    def __init__(self, paths: Sequence[Path], columns: Columns) -> None:
        self._paths, self._columns = list(paths), columns
        self.rows, schemas = 0, []
        for path in self._paths:
            rows, schema = _learn(path, columns)
            self.rows += rows
            schemas.append(schema)
        self.schema: pa.Schema = schemas[0] if len(schemas) == 1 else _joined(self._paths, schemas)

    def chunks(self, size: int, start: int = 0) -> Iterator[Chunk]:
        """All rows from `start` on, in order, `size` a chunk."""
        first = 0
        for places, batch in _regrouped(self._pieces(size), size):
            if first >= start:
                rows, problems = self._rows(batch)
                yield Chunk(first, rows, problems, self._readable(batch, problems), places=places)
            first += batch.num_rows

    def _pieces(self, size: int) -> Iterator[tuple[str, int, pa.RecordBatch]]:
        """Batches as the files have them: name of the file, number of the first row in it, rows."""
        for path, name in zip(self._paths, names_of(self._paths), strict=True):
            first = 0
            try:
                with pq.ParquetFile(path, pre_buffer=False, buffer_size=BUFFER_BYTES) as file:
                    for batch in file.iter_batches(batch_size=size):
                        yield name, first, self._conformed(batch)
                        first += batch.num_rows
            except (pa.ArrowException, OSError) as error:
                raise InvalidInput(f"{path} is damaged ({error})", reason="NOT_PARQUET") from error

    def _rows(self, batch: pa.RecordBatch) -> tuple[list[Row | None], dict[int, Problem]]:
        problems: dict[int, Problem] = {}
        values: list[Sequence[Any]] = []
        for column in self._columns.each:
            cells = batch.column(column.name)
            found = [numbers_in(cell) for cell in cells.to_pylist()] if column.numbers else _texts(cells)
            values.append(found)
            for place, value in enumerate(found):
                if isinstance(value, Problem):
                    problems.setdefault(place, self._columns.told(value, column))
        rows = [
            None if place in problems else self._columns.row(row)
            for place, row in enumerate(zip(*values, strict=True))
        ]
        return rows, problems

    def _readable(self, batch: pa.RecordBatch, problems: dict[int, Problem]) -> pa.RecordBatch:
        """Strings that are not UTF-8 become null: with them, hardly any program could read the output."""
        if not any(problem.reason == "NOT_UTF8" for problem in problems.values()):
            return batch
        columns = list(batch.columns)
        for name in self._columns.texts:
            place = batch.schema.get_field_index(name)
            kind = batch.schema.field(place).type
            if pa.types.is_string(kind) or pa.types.is_large_string(kind):
                bad = [
                    isinstance(text, Problem) and text.reason == "NOT_UTF8" for text in _texts(columns[place])
                ]
                columns[place] = pc.if_else(pa.array(bad), pa.scalar(None, kind), columns[place])
        return pa.RecordBatch.from_arrays(columns, schema=batch.schema)

    def _conformed(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        if len(self._paths) == 1:
            return batch
        there = set(batch.schema.names)
        arrays = [
            batch.column(item.name) if item.name in there else pa.nulls(batch.num_rows, item.type)
            for item in self.schema
        ]
        return pa.RecordBatch.from_arrays(arrays, schema=self.schema)


def _learn(path: Path, columns: Columns) -> tuple[int, pa.Schema]:
    """The number of rows and the schema, from the end of the file."""
    try:
        with pq.ParquetFile(path) as file:
            rows, schema = file.metadata.num_rows, file.schema_arrow
    except (pa.ArrowException, OSError) as error:
        raise InvalidInput(
            f"{path} is not a parquet file, or is damaged ({error})", reason="NOT_PARQUET"
        ) from error
    columns.check_there(path, schema.names)
    for column in columns.each:
        kind = schema.field(column.name).type
        if not (_holds_numbers(kind) if column.numbers else _holds_text(kind)):
            what, reason = ("numbers", "NOT_A_NUMBER") if column.numbers else ("texts", "NOT_A_TEXT")
            raise InvalidInput(f"{path}: column {column.name!r} holds {kind}, not {what}", reason=reason)
    return rows, schema


def _joined(paths: list[Path], schemas: list[pa.Schema]) -> pa.Schema:
    """The columns of all files. What pandas noted about one of them (its index) is not kept."""
    fields: dict[str, pa.Field] = {}
    for path, schema in zip(paths, schemas, strict=True):
        for item in schema:
            known = fields.setdefault(item.name, item.with_nullable(True))
            if known.type != item.type or schema.names.count(item.name) > 1:
                raise InvalidInput(
                    f"{path}: column {item.name!r} holds {item.type}, in another file {known.type}, or is there "
                    "twice; embed them apart",
                    reason="DIFFERENT_COLUMNS",
                )
    return pa.schema(list(fields.values()))


def _regrouped(
    pieces: Iterator[tuple[str, int, pa.RecordBatch]], size: int
) -> Iterator[tuple[list[tuple[str, int]], pa.RecordBatch]]:
    """The rows of the pieces, `size` at a time, with the place of each."""
    places: list[tuple[str, int]] = []
    held: list[pa.RecordBatch] = []
    for name, first, piece in pieces:
        start = 0
        while start < piece.num_rows:
            part = piece.slice(start, size - len(places))
            held.append(part)
            places += [(name, first + start + i) for i in range(part.num_rows)]
            start += part.num_rows
            if len(places) == size:
                yield places, _one(held)
                places, held = [], []
    if held:
        yield places, _one(held)


def _one(batches: list[pa.RecordBatch]) -> pa.RecordBatch:
    if len(batches) == 1:
        return batches[0]
    return pa.Table.from_batches(batches).combine_chunks().to_batches()[0]


def _holds_text(kind: pa.DataType) -> bool:
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    tests = (pa.types.is_string, pa.types.is_large_string, pa.types.is_binary, pa.types.is_large_binary)
    return any(test(kind) for test in tests)


def _holds_numbers(kind: pa.DataType) -> bool:
    while pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind):
        kind = kind.value_type
    return pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_boolean(kind)


def _texts(column: pa.Array) -> list[str | Problem]:
    """Texts, or why there is none. Strings are read as bytes: they may not be UTF-8."""
    if pa.types.is_dictionary(column.type):
        column = column.dictionary_decode()
    texts: list[str | Problem] = []
    for data in column.cast(pa.large_binary()).to_pylist():
        if data is None:
            texts.append(Problem("the text is missing", "TEXT_MISSING"))
            continue
        try:
            texts.append(data.decode())
        except UnicodeDecodeError as error:
            words = f"the text is not UTF-8 (byte 0x{data[error.start]:02x} at byte {error.start})"
            texts.append(Problem(words, "NOT_UTF8"))
    return texts
