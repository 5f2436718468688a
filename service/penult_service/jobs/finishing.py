"""The end of a job: shards become one output (or are it), and it goes into its place."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa

from penult_service.files import sync
from penult_service.jobs import durable, sinks
from penult_service.jobs.folder import JobFolder, Shard, errors_place, facts_place


def assemble(
    folder: JobFolder,
    shards: list[Shard],
    kind: str,
    schema: pa.Schema,
    facts: Mapping[str, Any],
    keep_shards: bool,
) -> None:
    """Make the output and its companions in the folder's `final`, whole and synced, and note that it is there.

    A shard becomes a row group (or as many batches as it has): one is held in memory at a time.
    """
    output = folder.output
    if keep_shards:
        for shard in shards:
            sync(folder.shards / shard.name)
        sync(folder.shards)
    else:
        with (
            durable.whole(folder.final / output.name) as draft,
            sinks.opened(draft, kind, schema) as write,
        ):
            for shard in shards:
                for batch in _row_groups(folder.shards / shard.name, kind):
                    write(batch)
    if any(shard.listed for shard in shards):
        with durable.whole(folder.final / errors_place(output).name) as draft, draft.open("wb") as file:
            for shard in shards:
                if shard.errors_sha256:
                    file.write(folder.errors_file(shard.name).read_bytes())
    rows, good = sum(shard.rows for shard in shards), sum(shard.good for shard in shards)
    if kind == ".npy":
        _write_facts(folder, shards, {**facts, "rows": rows})
    folder.finish(
        {
            "rows": rows,
            "good": good,
            "listed": sum(shard.listed for shard in shards),
            "what": "{dimension} numbers a row, {layer} of {model}@{version}".format(**facts),
            "shards": keep_shards,
        }
    )


def place(folder: JobFolder) -> dict[str, Any]:
    """Move what `assemble` made to where it belongs; what has been moved before is left there.

    Returns:
        Rows, rows with numbers (good), rows in the errors file (listed), and what they hold.
    """
    facts = json.loads(folder.finished_file.read_text(encoding="utf-8"))
    output = folder.path.parent / folder.output.name
    if facts.pop("shards"):
        _move_directory(folder, folder.shards, output)
    for draft in sorted(folder.final.iterdir()) if folder.final.is_dir() else ():
        target = output.with_name(draft.name)
        if target.is_dir():
            _set_aside(folder, target)
        durable.replace(draft, target)
    if not facts["listed"]:
        errors_place(output).unlink(missing_ok=True)
    folder.remove()
    return dict(facts)


def _row_groups(path: Path, kind: str) -> Iterator[pa.RecordBatch]:
    """The batches of a shard: all in one for parquet, whose row groups are read as a whole."""
    if kind != ".parquet":
        yield from sinks.shard_batches(path)
        return
    batches = list(sinks.shard_batches(path))
    yield from pa.Table.from_batches(batches).combine_chunks().to_batches()


def _write_facts(folder: JobFolder, shards: list[Shard], facts: Mapping[str, Any]) -> None:
    """The facts about a .npy as JSON, with the rows that are NaN: written as they are read."""
    head = json.dumps(facts, indent=1, ensure_ascii=False).removesuffix("\n}")
    place = folder.final / facts_place(folder.output).name
    with durable.whole(place) as draft, draft.open("w", encoding="utf-8") as file:
        file.write(f'{head},\n "bad_rows": [')
        separator = "\n"
        for shard in shards:
            for bad in _bad_rows(folder, shard):
                file.write(f"{separator}  {json.dumps(bad, ensure_ascii=False)}")
                separator = ",\n"
        file.write("\n ]\n}\n")


def _bad_rows(folder: JobFolder, shard: Shard) -> Iterator[dict[str, Any]]:
    if not shard.errors_sha256:
        return
    with folder.errors_file(shard.name).open(encoding="utf-8") as lines:
        for row in map(json.loads, lines):
            if not row["embedded"]:
                yield {"row": row["row"], "reason": row["message"]}


def _move_directory(folder: JobFolder, draft: Path, target: Path) -> None:
    """Rename a directory to its place; what is there is set aside first, and removed with the folder."""
    if not draft.is_dir():
        return
    if target.exists():
        _set_aside(folder, target)
    durable.replace(draft, target)


def _set_aside(folder: JobFolder, target: Path) -> None:
    aside = folder.path / "replaced"
    shutil.rmtree(aside, ignore_errors=True)
    target.rename(aside)
