"""Records of text files: what stands in a row, on which line it begins, and why it cannot be read."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from penult_service.errors import InvalidInput
from penult_service.jobs.chunks import Problem

# Of one cell, in characters: above any text that a server takes, and the end of a quote that nobody closed.
CELL_LIMIT = 2**26


@dataclass(frozen=True, slots=True)
class Record:
    """One row of a text file. `problem` is why it cannot be read at all; then `cells` may be empty."""

    cells: dict[str, Any]
    line: int
    problem: Problem | None = None

    def damaged(self, encoding: str | None) -> Problem | None:
        """Which cell has bytes that are no characters; they are kept as question marks."""
        for name, value in self.cells.items():
            if (
                isinstance(value, str)
                and not value.isascii()
                and (point := _bad_character(value)) is not None
            ):
                return Problem(
                    f"column {name!r} is not {_called(encoding)} ({_bad_byte(value, point)}): kept as '?'",
                    "CELL_NOT_UTF8",
                )
        return None


def columns(path: Path, column: str, encoding: str | None) -> tuple[dict[str, set[type]], int]:
    """The columns of a file with the types of their values, and how many rows there are."""
    kinds: dict[str, set[type]] = {}
    rows = 0
    if path.suffix.lower() in (".csv", ".tsv"):
        with _refused(path, encoding):
            return _csv_columns(path, encoding)
    for record in read(path, column, encoding):
        rows += 1
        for name, value in record.cells.items():
            seen = kinds.setdefault(name, set())
            if value is not None:
                seen.add(_kind(value))
    return kinds, rows


def read(path: Path, column: str, encoding: str | None) -> Iterator[Record]:
    """The rows of a file, by the end of its name.

    Raises:
        InvalidInput: it is not a file of that kind, or of another encoding altogether.
    """
    ending = path.suffix.lower()
    with _refused(path, encoding):
        if ending in (".csv", ".tsv"):
            yield from _csv(path, encoding)
        elif ending == ".txt":
            yield from _lines(path, column, encoding)
        else:
            yield from _json_lines(path, encoding)


def text_problem(value: Any, encoding: str | None = None) -> Problem | None:
    """Why a cell is not a text that can be sent; None when it is one."""
    if value is None:
        return Problem("the text is missing", "TEXT_MISSING")
    if not isinstance(value, str):
        return Problem(f"the text is {json.dumps(value)[:40]}, not a string", "NOT_A_TEXT")
    if value.isascii() or (point := _bad_character(value)) is None:
        return None
    return Problem(f"the text is not {_called(encoding)} ({_bad_byte(value, point)})", "NOT_UTF8")


@contextmanager
def _refused(path: Path, encoding: str | None) -> Iterator[None]:
    """For encodings whose wrong bytes cannot be set aside, such as UTF-16."""
    try:
        yield
    except UnicodeError as error:
        raise InvalidInput(f"{path} is not {_called(encoding)} ({error})", reason="NOT_UTF8") from error


def _open(path: Path, encoding: str | None, newline: str) -> Any:
    """The file as text; bytes that are not of the encoding become surrogates U+DC80 to U+DCFF."""
    if encoding is None:
        with path.open("rb") as file:
            start = file.read(2)
        if start in (b"\xff\xfe", b"\xfe\xff"):
            raise InvalidInput(f"{path} is UTF-16, not UTF-8; say --encoding utf-16", reason="NOT_UTF8")
    plain = encoding is None or encoding.lower().replace("_", "-") in ("utf-8", "utf8")
    return path.open(encoding="utf-8-sig" if plain else encoding, errors="surrogateescape", newline=newline)


class _Watched:
    """The lines of a file; `ended` once somebody asked for one more than there are."""

    def __init__(self, file: Any) -> None:
        self._file, self.ended = file, False

    def __iter__(self) -> Iterator[str]:
        yield from self._file
        self.ended = True


def _csv_columns(path: Path, encoding: str | None) -> tuple[dict[str, set[type]], int]:
    """As `columns`: all are texts, so that rows need only be counted."""
    with _open(path, encoding, "") as file:
        reader = _csv_reader(path, file)
        kinds: dict[str, set[type]] = {name: {str} for name in _header(path, reader, encoding)}
        try:
            return kinds, sum(1 for cells in reader if cells)
        except csv.Error as error:
            raise _not_csv(path, reader, error) from error


def _header(path: Path, reader: Any, encoding: str | None) -> list[str]:
    try:
        header: list[str] = next(reader, [])
    except csv.Error as error:
        raise _not_csv(path, reader, error) from error
    twice = next((name for name in header if header.count(name) > 1), None)
    if twice is not None:
        raise InvalidInput(f"{path} has two columns {twice!r}; rename one", reason="COLUMN_TWICE")
    if any(text_problem(name) for name in header):
        raise InvalidInput(
            f"{path}, line 1: the header is not {_called(encoding)}; save the file as UTF-8, or name its encoding "
            "with --encoding",
            reason="NOT_UTF8",
        )
    return header


def _csv_reader(path: Path, lines: Any) -> Any:
    csv.field_size_limit(CELL_LIMIT)
    return csv.reader(lines, delimiter="\t" if path.suffix.lower() == ".tsv" else ",")


def _not_csv(path: Path, reader: Any, error: Exception) -> InvalidInput:
    hint = ": is a quote opened before it and never closed?" if "limit" in str(error) else ""
    return InvalidInput(f"{path}, line {reader.line_num}: {error}{hint}", reason="NOT_CSV")


def _csv(path: Path, encoding: str | None) -> Iterator[Record]:
    """Comma- (.csv) or tab-separated (.tsv), with a header. Rows without any cell are not rows."""
    with _open(path, encoding, "") as file:
        watched = _Watched(file)
        reader = _csv_reader(path, watched)
        header = _header(path, reader, encoding)
        width, line = len(header), reader.line_num + 1
        try:
            for cells in reader:
                if cells:
                    problem = None
                    if watched.ended:  # the reader wanted more lines: it was inside a quote
                        problem = Problem("a quote in this row is never closed", "QUOTE_NOT_CLOSED")
                    elif len(cells) > width:
                        words = f"the row has {len(cells)} cells, the header {width}"
                        problem = Problem(words, "TOO_MANY_CELLS")
                    yield Record(dict(zip(header, cells, strict=False)), line, problem)
                line = reader.line_num + 1
        except csv.Error as error:
            raise _not_csv(path, reader, error) from error


def _json_lines(path: Path, encoding: str | None) -> Iterator[Record]:
    """JSON lines: an object a line. Blank lines are not rows."""
    with _open(path, encoding, "\n") as file:
        for number, line in enumerate(file, start=1):
            if line.strip():
                yield _json_record(line, number, encoding)


def _json_record(text: str, line: int, encoding: str | None) -> Record:
    if not text.isascii() and (point := _bad_character(text)) is not None:
        byte = ord(text[point]) - 0xDC00
        place = len(text[:point].encode())
        words = f"the line is not {_called(encoding)} (byte 0x{byte:02x} at {place})"
        return Record({}, line, Problem(words, "NOT_UTF8"))
    try:
        row = json.loads(text)
    except (ValueError, RecursionError) as error:
        return Record({}, line, Problem(f"the line is not JSON ({error})", "NOT_JSON"))
    if not isinstance(row, dict):
        return Record({}, line, Problem("the line holds no JSON object", "NOT_JSON"))
    return Record(row, line)


def _lines(path: Path, column: str, encoding: str | None) -> Iterator[Record]:
    """A text a line; a blank line is an empty text."""
    with _open(path, encoding, "\n") as file:
        for number, line in enumerate(file, start=1):
            yield Record({column: line.removesuffix("\n").removesuffix("\r")}, number)


def _bad_character(text: str) -> int | None:
    """The place of the first character that UTF-8 cannot hold."""
    try:
        text.encode()
    except UnicodeEncodeError as error:
        return error.start
    return None


def _bad_byte(text: str, place: int) -> str:
    point = ord(text[place])
    what = f"byte 0x{point - 0xDC00:02x}" if 0xDC80 <= point <= 0xDCFF else "a lone surrogate"
    return f"{what} at character {place}"


def _called(encoding: str | None) -> str:
    return encoding or "UTF-8"


def _kind(value: Any) -> type:
    """The type that a value needs in a table; `object` is kept as JSON text."""
    if isinstance(value, int) and not isinstance(value, bool) and not -(2**63) <= value < 2**63:
        return object
    return type(value) if isinstance(value, str | bool | int | float) else object


def no_column(path: Path, column: str, there: Iterable[str], option: str = "--text-column") -> InvalidInput:
    """The error for a column that is not there; `option` names it."""
    names = ", ".join(repr(name) for name in there) or "none"
    return InvalidInput(
        f"{path} has no column {column!r}; there are {names}. Name the right one with {option}",
        reason="COLUMN_MISSING",
    )
