"""Labelled texts from csv, jsonl and parquet files. Every error names the file, the row and the column."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from penult_service.errors import InvalidInput, NotFound
from penult_service.files import sha256_file

MAX_CELL = 16 * 1024 * 1024
"""The longest cell of a csv file, in characters (Python's own limit, 128 KiB, is below a long document)."""

Row = tuple[str, Mapping[str, Any]]
"""Where the row stands ("line 17", "row 3") and its cells."""


@dataclass(frozen=True)
class Columns:
    """The names of the columns to read. `group` rows belong together (one document) and are never split."""

    text: str = "text"
    label: str = "label"
    group: str | None = None


@dataclass(frozen=True)
class LabelledTexts:
    """The rows of one file, in its order; `groups` is None when no group column was asked for."""

    source: str
    sha256: str
    texts: tuple[str, ...]
    labels: tuple[str, ...]
    groups: tuple[str, ...] | None

    def __len__(self) -> int:
        return len(self.texts)


def read(path: Path, columns: Columns) -> LabelledTexts:
    """Reads a .csv, .jsonl or .parquet file. Labels may be texts or whole numbers; they come as texts.

    Raises:
        NotFound: There is no such file.
        InvalidInput: The file, or the cell that the message names, cannot be used.
    """
    texts, labels, groups = [], [], []
    for where, row in rows(path):
        texts.append(_text(path, where, columns.text, row))
        labels.append(_name(path, where, columns.label, row))
        if columns.group is not None:
            groups.append(_name(path, where, columns.group, row))
    if not texts:
        raise _bad(path, "there are no rows", "NO_ROWS")
    found = tuple(groups) if columns.group is not None else None
    return LabelledTexts(path.name, sha256_file(path), tuple(texts), tuple(labels), found)


def rows(path: Path) -> Iterator[Row]:
    """The rows of a .csv, .jsonl or .parquet file, and where each stands in it.

    Raises:
        NotFound: There is no such file.
        InvalidInput: It cannot be read; the message names the line.
    """
    if not path.is_file():
        raise NotFound(f"{path} is not a file", reason="FILE_NOT_FOUND")
    readers = {".csv": _csv_rows, ".jsonl": _json_rows, ".parquet": _parquet_rows}
    reader = readers.get(path.suffix.lower())
    if reader is None:
        raise _bad(path, f"the name must end in one of {', '.join(readers)}", "FILE_TYPE")
    yield from reader(path)


def sorted_labels(labels: tuple[str, ...]) -> tuple[str, ...]:
    """The distinct labels in the order of the model's outputs: by value when all are whole numbers."""
    distinct = set(labels)
    if all(label.removeprefix("-").isdecimal() for label in distinct):
        return tuple(sorted(distinct, key=int))
    return tuple(sorted(distinct))


def _bad(path: Path, what: str, reason: str, column: str = "") -> InvalidInput:
    return InvalidInput(f"{path}: {what}", reason=reason, field=column)


def _csv_rows(path: Path) -> Iterator[Row]:
    csv.field_size_limit(MAX_CELL)
    reader = csv.DictReader(io.StringIO(_decode(path), newline=""), strict=True)
    try:
        names = reader.fieldnames or []
        twice = [name for index, name in enumerate(names) if name in names[:index]]
        if twice:
            raise _bad(path, f"the header names {twice[0]!r} more than once", "COLUMN_TWICE", twice[0])
        for row in reader:
            where = f"line {reader.line_num}"
            if None in row:
                raise _bad(path, f"{where} has more cells than the header", "ROW_LENGTH")
            yield where, row
    except csv.Error as error:
        raise _bad(path, f"after line {reader.line_num}: {error}", "NOT_CSV") from error


def _json_rows(path: Path) -> Iterator[Row]:
    for number, line in enumerate(_decode(path).split("\n"), start=1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except ValueError as error:
            raise _bad(path, f"line {number} is not JSON ({error})", "NOT_JSON") from error
        if not isinstance(row, dict):
            raise _bad(path, f"line {number} holds no JSON object", "NOT_JSON")
        yield f"line {number}", row


def _parquet_rows(path: Path) -> Iterator[Row]:
    import pyarrow
    import pyarrow.parquet

    try:
        file = pyarrow.parquet.ParquetFile(path)
        number = 0
        for batch in file.iter_batches():
            for row in batch.to_pylist():
                number += 1
                yield f"row {number}", row
    except pyarrow.ArrowException as error:
        raise _bad(path, f"is not a parquet file, or is damaged ({error})", "NOT_PARQUET") from error


def _decode(path: Path) -> str:
    data = path.read_bytes()
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        what = f"line {line} is not UTF-8 (byte {error.start} of the file)"
        raise _bad(path, what, "NOT_UTF8") from error


def _cell(path: Path, where: str, column: str, row: Mapping[str, Any]) -> Any:
    if column not in row:
        there = ", ".join(repr(name) for name in row) or "none"
        raise _bad(path, f"{where} has no column {column!r}; there are {there}", "COLUMN_MISSING", column)
    return row[column]


def _text(path: Path, where: str, column: str, row: Mapping[str, Any]) -> str:
    value = _cell(path, where, column, row)
    if not isinstance(value, str):
        raise _bad(path, f"{where}, column {column!r}: {value!r} is not a text", "NOT_A_TEXT", column)
    if not value.strip():
        raise _bad(path, f"{where}, column {column!r}: the text is empty", "EMPTY_TEXT", column)
    try:
        value.encode()
    except UnicodeEncodeError as error:
        what = f"{where}, column {column!r}: a lone surrogate at character {error.start}"
        raise _bad(path, what, "NOT_UTF8", column) from error
    return value


def _name(path: Path, where: str, column: str, row: Mapping[str, Any]) -> str:
    """A label or group: a text, a whole number or a truth value."""
    value = _cell(path, where, column, row)
    if isinstance(value, float) and value.is_integer():
        value = int(value)  # whole numbers beside missing ones are floats in many writers
    if isinstance(value, float) or not isinstance(value, str | int):
        what = f"{where}, column {column!r}: {value!r} is neither a text nor a whole number"
        raise _bad(path, what, "NOT_A_LABEL", column)
    name = str(value).strip()
    if not name:
        raise _bad(path, f"{where}, column {column!r}: the cell is empty", "EMPTY_LABEL", column)
    return name
