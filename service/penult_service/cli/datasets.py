"""`penult datasets` and `penult upload`: the sets that a server keeps."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
import typer
from numpy.typing import NDArray

from penult_service.cli import options
from penult_service.cli.console import note, print_table, progress
from penult_service.errors import InvalidInput

if TYPE_CHECKING:
    from penult_client import DatasetInfo

    from penult_service.cli.scores.sides import Side

_ID = "id"
_Names = Annotated[list[str], typer.Argument(metavar="NAME...", help="Names of sets.", show_default=False)]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command("upload")(_upload)
    sets = typer.Typer(no_args_is_help=True, rich_markup_mode=None)
    sets.command("list")(_list)
    sets.command("show")(_show)
    sets.command("delete")(_delete)
    app.add_typer(sets, name="datasets", help="The sets of embeddings that a server keeps.")


def _list(server: options.RunningServer = options.DEFAULT_SERVER, as_json: options.Json = False) -> None:
    """All sets, by name."""
    with options.connected(None, server) as (client, _):
        found = client.datasets()
    if as_json:
        _print_json([_facts(each) for each in found])
        return
    if not found:
        print(f"{server} has no sets")
        return
    headings = ("name", "rows", "dimension", "model", "columns", "updated", "kept")
    print_table(headings, [_row(each) for each in found], right=(1, 2))
    for each in found:
        if each.problem:
            print(f"{each.name}: {each.problem}")


def _show(
    names: _Names, server: options.RunningServer = options.DEFAULT_SERVER, as_json: options.Json = False
) -> None:
    """What is known of sets."""
    with options.connected(None, server) as (client, _):
        found = [client.dataset(name) for name in names]
    if as_json:
        _print_json([_facts(each) for each in found])
        return
    for each in found:
        print_table(("", ""), [(name, str(value)) for name, value in _facts(each).items() if value != ""])


def _delete(names: _Names, server: options.RunningServer = options.DEFAULT_SERVER) -> None:
    """Delete sets."""
    with options.connected(None, server) as (client, _):
        for name in names:
            client.delete_dataset(name)
            print(f"{name} is deleted")


def _upload(
    file: Annotated[
        Path,
        typer.Argument(
            help="An output of penult embed (.parquet, .arrow, .npy), or texts: .csv, .tsv, .jsonl, .txt, .parquet."
        ),
    ],
    name: Annotated[str, typer.Option(help="What to call the set: a to z, 0 to 9, - and _.")],
    server: options.RunningServer = options.DEFAULT_SERVER,
    text_column: options.TextColumn = "text",
    id_column: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Tells the rows apart. [default: id, else the rows' numbers]"),
    ] = None,
    model: Annotated[
        str | None, typer.Option(metavar="NAME", help="What embeds texts; default: the only one there.")
    ] = None,
    pooling: options.Pooling = "pooled",
    layer: options.Layer = None,
    normalize: options.Normalize = False,
    truncate: options.Truncate = "right",
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Take the place of a set.")] = False,
    as_json: options.Json = False,
) -> None:
    """Make a set of the rows of a file, with its other columns.

    The same command again, after a break, goes on. Rows without an embedding are left out.
    """
    from penult_service.cli.scores.sides import of_file

    side = of_file(file, text_column, _unembedded, keep=True)
    chosen: dict[str, Any] = {"model": model, "pooling": pooling, "layer": layer}
    chosen.update(normalize=normalize, truncate=truncate)
    rows = np.arange(len(side.vectors)) if _is_texts(side) else side.good()
    if len(rows) < len(side.vectors):
        note(f"{len(side.vectors) - len(rows)} rows have no embedding and are left out")
    ids, columns = _columns(side, rows, text_column, id_column)
    texts = None if side.texts is None else [side.texts[row] for row in rows.tolist()]
    with options.connected(None, server) as (client, _), progress("uploading", len(rows)) as advance:
        report = _Report(advance)
        if _is_texts(side):
            made = client.upload(name, texts, None, columns, ids, overwrite, progress=report, **chosen)
        else:
            made = client.upload(
                name, side.vectors[rows], texts, columns, ids, overwrite, space=side.space, progress=report
            )
    if as_json:
        _print_json(_facts(made))
        return
    print(
        f"{made.name}: {made.rows} rows of {made.dimension}{'' if made.durable else ', gone with the server'}"
    )


class _Report:
    """Progress as the client tells it (done, total) for a bar that wants what is new."""

    def __init__(self, advance: Any) -> None:
        self._advance, self._done = advance, 0

    def __call__(self, done: int, total: int) -> None:
        del total
        self._advance(done - self._done)
        self._done = done


def _unembedded(texts: Sequence[str]) -> tuple[NDArray[np.float32], dict[str, Any]]:
    """Nothing is embedded here: the server does it, as the set says."""
    return np.empty((len(texts), 0), np.float32), {}


def _is_texts(side: Side) -> bool:
    return side.vectors.shape[1] == 0


def _columns(
    side: Side, rows: NDArray[np.intp], text_column: str, id_column: str | None
) -> tuple[list[Any], Any]:
    """Ids and further columns of these rows; ids are the rows' numbers where the file has none."""
    there = side.table.column_names if side.table is not None else []
    if id_column is not None and id_column not in there:
        names = ", ".join(map(repr, there)) or "none"
        raise InvalidInput(
            f"the input has no column {id_column!r}; there are {names}", reason="COLUMN_MISSING"
        )
    key = id_column or (_ID if _ID in there else None)
    if side.table is None:
        return rows.tolist(), None
    table = side.table.take(rows)
    ids = table.column(key).to_pylist() if key else rows.tolist()
    return ids, table.select([name for name in there if name not in (key, text_column, "embedding")])


def _facts(info: DatasetInfo) -> dict[str, Any]:
    facts = asdict(info)
    for name in ("created", "updated"):
        facts[name] = facts[name].isoformat() if facts[name] else ""
    return facts


def _row(info: DatasetInfo) -> tuple[str, ...]:
    return (
        info.name,
        f"{info.rows:,}",
        str(info.dimension or "-"),
        info.model or "-",
        ", ".join(info.columns) or "-",
        info.updated.strftime("%Y-%m-%d %H:%M") if info.updated else "-",
        "damaged" if info.problem else "yes" if info.durable else "until the server ends",
    )


def _print_json(told: Any) -> None:
    print(json.dumps(told, indent=1, ensure_ascii=False))
