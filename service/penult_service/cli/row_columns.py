"""Which columns of a file make a row for the model, and the cells of one row as the client takes them."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from shlex import quote
from typing import Any

from penult_service.cli.records import no_column
from penult_service.errors import InvalidInput
from penult_service.jobs.chunks import Problem, Row


@dataclass(frozen=True)
class Column:
    """A column, and the input of the model that it holds; empty: the next in order. `numbers`: it is no text."""

    name: str
    input: str = ""
    numbers: bool = False


@dataclass(frozen=True)
class Columns:
    """The columns of a row. One without an input is the text itself; several without are a tuple, others a dict."""

    each: tuple[Column, ...]

    @classmethod
    def text(cls, name: str) -> Columns:
        """The column that holds the texts."""
        return cls((Column(name),))

    @property
    def plain(self) -> bool:
        """Whether a row is a text, and nothing else."""
        return len(self.each) == 1 and not self.each[0].input

    @property
    def texts(self) -> list[str]:
        """Names of the columns of text."""
        return list(dict.fromkeys(column.name for column in self.each if not column.numbers))

    def row(self, values: Sequence[Any]) -> Row:
        """The row of these values, one a column."""
        if self.plain:
            text: str = values[0]
            return text
        if not self.each[0].input:
            return tuple(values)
        return {column.input: value for column, value in zip(self.each, values, strict=True)}

    def told(self, problem: Problem, column: Column) -> Problem:
        """The problem of a cell, with its column where there are several."""
        return problem if self.plain else Problem(f"column {column.name!r}: {problem}", problem.reason)

    def check_there(self, path: Path, there: Sequence[str]) -> None:
        """Raises InvalidInput when one of them is not among the columns that are `there`, once."""
        for column in self.each:
            if there.count(column.name) != 1:
                hint = f"--column {quote(f'{column.input}=NAME')}" if column.input else "--text-column"
                raise no_column(path, column.name, there, hint)

    def check_lines(self, path: Path) -> None:
        """Raises InvalidInput for a file of one text a line when there is more than that to a row."""
        if path.suffix.lower() == ".txt" and len(self.each) > 1:
            names = ", ".join(repr(column.name) for column in self.each)
            raise InvalidInput(
                f"{path} has one text a line, and the model takes {names}; use a .csv, .jsonl or .parquet",
                reason="COLUMN_MISSING",
            )


def numbers_in(cell: Any) -> Any:
    """The numbers of a cell, as they are or written down (``3``, ``2.5``, ``true``, ``[1, 2]``); a Problem when it
    holds none."""
    if cell is None or (isinstance(cell, str) and not cell.strip()):
        return Problem("there is no number", "NUMBER_MISSING")
    found = _parsed(cell) if isinstance(cell, str) else cell
    leaves = list(_leaves(found))
    if any(not isinstance(leaf, int | float) for leaf in leaves):
        return Problem(
            f"{json.dumps(cell, ensure_ascii=False, default=str):.40} is no number", "NOT_A_NUMBER"
        )
    if not all(math.isfinite(leaf) for leaf in leaves):
        return Problem("the number is not finite", "NOT_FINITE")
    return found


def _parsed(text: str) -> Any:
    """The numbers that a text says, or the text."""
    for read in (int, float, lambda words: json.loads(words.lower())):
        try:
            return read(text)
        except (ValueError, RecursionError):
            continue
    return text


def _leaves(value: Any) -> Iterator[Any]:
    if isinstance(value, list):
        for item in value:
            yield from _leaves(item)
    else:
        yield value
