"""What the analyses write: the columns of the input and theirs, as parquet, csv or json lines."""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from penult_service.cli.console import note
from penult_service.cli.scores.sides import Side
from penult_service.errors import InvalidInput

if TYPE_CHECKING:
    import pyarrow as pa

ENDINGS = (".parquet", ".csv", ".jsonl")
# Facts of a .npy that are not facts of its embeddings.
_OF_THE_FILE = ("rows", "bad_rows")


def check_places(
    places: Sequence[Path], inputs: Sequence[Path | None], overwrite: bool, endings: Sequence[str] = ENDINGS
) -> None:
    """Refuse, before any work, places that cannot or must not be written.

    Raises:
        InvalidInput: another ending, no such directory, an input, a file that is there already, or one place twice.
    """
    for number, place in enumerate(places):
        if place.suffix.lower() not in endings:
            known = ", ".join(endings)
            raise InvalidInput(f"{place}: the name of an output ends in one of {known}", reason="FILE_TYPE")
        if not place.parent.is_dir():
            raise InvalidInput(f"{place}: there is no directory {place.parent}", reason="NO_DIRECTORY")
        if place in places[:number]:
            raise InvalidInput(f"{place} is named twice", reason="OUTPUT_TWICE")
        if not place.exists():
            continue
        if any(path is not None and path.exists() and place.samefile(path) for path in inputs):
            raise InvalidInput(f"{place} is the input; name another output", reason="OUTPUT_IS_INPUT")
        if not overwrite:
            raise InvalidInput(f"{place} is there already; --overwrite replaces it", reason="OUTPUT_EXISTS")


def check_names(side: Side, added: Sequence[str]) -> None:
    """Refuse names of columns that the input has already.

    Raises:
        InvalidInput: one of `added` is taken.
    """
    there = side.table.column_names if side.table is not None else []
    taken = next((name for name in added if name in there), None)
    if taken:
        raise InvalidInput(
            f"the input has a column {taken!r} already, and the output adds one of that name; rename it first",
            reason="COLUMN_TAKEN",
        )


def column_of(side: Side, name: str, option: str) -> pa.ChunkedArray:
    """A column of the input.

    Raises:
        InvalidInput: there is no such column.
    """
    there = side.table.column_names if side.table is not None else []
    if there.count(name) != 1:
        names = ", ".join(repr(known) for known in there) or "none"
        raise InvalidInput(
            f"the input has no column {name!r}; there are {names}. Name the right one with {option}",
            reason="COLUMN_MISSING",
        )
    assert side.table is not None
    return side.table.column(name)


@dataclass(frozen=True)
class Columns:
    """What an input has to have (columns by the options that name them), and what it must not: those that are added."""

    wanted: Mapping[str, str]
    added: Sequence[str] = ()

    def check(self, side: Side) -> None:
        """Refuse an input that is otherwise.

        Raises:
            InvalidInput: as `column_of` and `check_names`.
        """
        check_names(side, self.added)
        for option, name in self.wanted.items():
            column_of(side, name, option)


def word(value: Any) -> str:
    """A cell as a label; "" where there is none."""
    if value is None or (isinstance(value, float) and np.isnan(value)):
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return value if isinstance(value, str) else str(value)


def extended(side: Side, added: Mapping[str, NDArray[Any]], rows: NDArray[np.intp]) -> pa.Table:
    """The input's columns (its row numbers when it has none), then `added`, which stand for `rows` alone.

    Args:
        side: The input, of n rows.
        added: Columns [m] each, of numbers or (object) of str.
        rows: Numbers of the m rows; the others are null.
    """
    import pyarrow as pa

    n = len(side.vectors)
    if side.table is not None:
        table = side.table
    else:
        names = {"row": pa.array(np.arange(n, dtype=np.int32))}
        table = pa.table(names if side.texts is None else {**names, "text": pa.array(side.texts)})
    missing = np.ones(n, bool)
    missing[rows] = False
    for name, values in added.items():
        full = np.zeros(n, values.dtype)
        full[rows] = values
        kind = pa.string() if values.dtype == object else None
        table = table.append_column(name, pa.array(full, kind, mask=missing))
    return table


def with_facts(table: pa.Table, side: Side, name: str, facts: Mapping[str, Any]) -> pa.Table:
    """The table with what is known of the embeddings and of the analysis `name` as metadata `penult.*`."""
    told = {
        f"penult.{key}": value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
        for key, value in {**side.facts, name: dict(facts)}.items()
        if key not in _OF_THE_FILE
    }
    return table.replace_schema_metadata({**(table.schema.metadata or {}), **told})


def write(path: Path, ending: str, table: pa.Table) -> None:
    """Write the table as the ending says. A .csv leaves out columns that are lists, and says so."""
    if ending == ".parquet":
        import pyarrow.parquet as pq

        pq.write_table(table, path, compression="zstd")
        return
    if ending == ".csv":
        table = _flat(table)
    names = table.column_names
    columns = [_cells(column) for column in table.columns]
    with path.open("w", encoding="utf-8", newline="") as file:
        if ending == ".csv":
            csv.writer(file).writerows([names, *zip(*columns, strict=True)])
            return
        for cells in zip(*columns, strict=True):
            row = dict(zip(names, cells, strict=True))
            file.write(json.dumps(row, ensure_ascii=False, default=str) + "\n")


def _flat(table: pa.Table) -> pa.Table:
    import pyarrow as pa

    nested = [item.name for item in table.schema if pa.types.is_nested(item.type)]
    if nested:
        note(f"note: a .csv has no room for {', '.join(nested)}; a .parquet or .jsonl has")
    return table.drop_columns(nested)


def _cells(column: pa.ChunkedArray) -> list[Any]:
    """Values for text files: float32 in as few digits as say it."""
    import pyarrow as pa

    if not pa.types.is_float32(column.type):
        return list(column.to_pylist())
    return [None if value is None else float(str(np.float32(value))) for value in column.to_pylist()]
