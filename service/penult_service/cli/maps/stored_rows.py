"""The rows that a kept map or clustering was made of: their texts and columns, from its set or from files."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from penult_service.cli import tables
from penult_service.cli.console import note
from penult_service.cli.kept import unembedded
from penult_service.cli.scores import sides
from penult_service.cli.scores.sides import Side
from penult_service.errors import InvalidInput

if TYPE_CHECKING:
    from penult_client import Client, Clusters, StoredInfo


@dataclass(frozen=True)
class StoredRows:
    """`texts` of the rows, in order, None where nobody knows them; `parts` are the files that they came from."""

    texts: Sequence[str] | None = None
    parts: tuple[tuple[Side, Any], ...] = ()

    def labels(self, column: str) -> list[str] | None:
        """A column of the files as labels; None where one of them has no such column."""
        found: list[str] = []
        for side, rows in self.parts:
            if side.table is None or side.table.column_names.count(column) != 1:
                return None
            cells = side.table.column(column).to_pylist()
            found += [tables.word(cells[row]) for row in rows.tolist()]
        return found if self.parts else None


def stored_rows(client: Client, stored: StoredInfo, files: Sequence[Path], text_column: str) -> StoredRows:
    """The rows that something kept was made of.

    Args:
        client: Of what keeps it.
        stored: What is kept.
        files: Those that it was made of, in the order in which their rows came; none: its set is read, if it has one.
        text_column: Of the files.

    Raises:
        InvalidInput: the files have other rows than it.
    """
    if not files:
        return StoredRows(_texts_of_set(client, stored))
    parts = [_part(path, text_column) for path in files]
    count = sum(len(rows) for _, rows in parts)
    if count != stored.rows:
        names = ", ".join(map(str, files))
        raise InvalidInput(
            f"{stored.name} was made of {stored.rows:,} rows, and {names} {'has' if len(files) == 1 else 'have'} "
            f"{count:,} with an embedding; name the files that it was made of, in that order",
            reason="OTHER_ROWS",
        )
    texts: list[str] | None = []
    for side, rows in parts:
        texts = (
            None
            if side.texts is None or texts is None
            else texts + [side.texts[row] for row in rows.tolist()]
        )
    return StoredRows(texts, tuple(parts))


def places_of(client: Client, found: Clusters, name: str) -> NDArray[np.float32]:
    """Places of the rows of kept clusters on a kept map, float32 [n, 2 or 3].

    Raises:
        InvalidInput: the map is of other rows.
    """
    there = client.projection(name)
    one, other = there.stored, found.stored
    same = one is None or other is None or one.id_digest == other.id_digest
    if len(there) != len(found) or not same:
        raise InvalidInput(
            f"map {name} is of {len(there):,} rows, and the clusters of {len(found):,}"
            f"{'' if len(there) != len(found) else ' others'}; name a map of the same rows",
            reason="OTHER_ROWS",
        )
    if one is None or not one.id_digest:
        note(
            f"note: map {name} and the clusters are of as many rows; nobody has checked that they are the same ones"
        )
    return there.coordinates


def _part(path: Path, text_column: str) -> tuple[Side, Any]:
    side = sides.of_file(path, text_column, unembedded, keep=True)
    # Of texts that a server embeds all have been taken.
    return side, np.arange(len(side.vectors)) if side.vectors.shape[1] == 0 else side.good()


def _texts_of_set(client: Client, stored: StoredInfo) -> list[str] | None:
    """The texts of the set, when it is still the one that was used, and has texts."""
    from penult_client import NotFoundError

    if not stored.dataset:
        return None
    try:
        there = client.dataset(stored.dataset)
    except NotFoundError:
        return None
    if there.generation != stored.generation or there.rows < stored.rows:
        return None
    texts = client.read(stored.dataset, ["text"]).texts
    return None if texts is None else [text or "" for text in texts[: stored.rows]]
