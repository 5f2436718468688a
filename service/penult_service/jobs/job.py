"""A job: what it is asked to do, how far it is, and its way from the first row to the output in its place."""

from __future__ import annotations

import errno
import json
import os
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Protocol

from penult_service.errors import InvalidInput, PreconditionFailed
from penult_service.files import sha256_file
from penult_service.jobs import columns, durable, finishing, sinks
from penult_service.jobs.asking import Asking
from penult_service.jobs.chunks import Chunk, Source
from penult_service.jobs.columns import Answer
from penult_service.jobs.folder import JobFolder, Shard
from penult_service.jobs.manifest import Manifest

# Full, over a quota, or over the size that a file may have.
_DISK = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
# Chunks that are read ahead of the one that is computed.
AHEAD = 2


class Report(Protocol):
    """Told how a job gets on."""

    def begin(self, done: int, total: int, bad: int) -> None:
        """So many of all rows were done before."""
        ...

    def advance(self, rows: int, bad: int) -> None:
        """So many rows more, of which some are bad."""
        ...


@dataclass(frozen=True)
class Work:
    """A job, ready to run.

    `check_inputs` raises when somebody writes to the inputs; `facts` go into the output's metadata; `measures` are the
    columns of numbers that `asking` brings beside the embedding.
    """

    folder: JobFolder
    manifest: Manifest
    source: Source
    asking: Asking
    check_inputs: Callable[[], None]
    report: Report
    facts: Mapping[str, Any]
    batch_size: int
    shard_rows: int
    kind: str
    keep_shards: bool
    measures: tuple[str, ...] = ()

    @property
    def shard_kind(self) -> str:
        """How shards are written: as the output when they are it, else as streams."""
        return self.kind if self.keep_shards else sinks.STREAM


@dataclass(frozen=True)
class Summary:
    """What has become of a job: rows in all, rows that have numbers, rows in the errors file; `what` they hold."""

    rows: int
    good: int
    listed: int
    what: str


def run(work: Work) -> Summary:
    """Compute what is missing, put the output together and into its place.

    Raises:
        InvalidInput: no row has numbers (NO_GOOD_ROWS).
        PreconditionFailed: the disk is full, or takes no files of that size (DISK_FULL); an input was changed.
    """
    with _disk_errors():
        shards = work.folder.usable()
        done = sum(shard.rows for shard in shards)
        work.report.begin(done, work.source.rows, done - sum(shard.good for shard in shards))
        if done < work.source.rows:
            _compute(work, shards, done)
        work.check_inputs()
        good = sum(shard.good for shard in shards)
        if not good:
            work.folder.clear()
            raise InvalidInput(
                f"none of the {work.source.rows} rows has a text that can be embedded", reason="NO_GOOD_ROWS"
            )
        finishing.assemble(work.folder, shards, work.kind, _schema(work), work.facts, work.keep_shards)
        return finish(work.folder)


def finish(folder: JobFolder) -> Summary:
    """Move a whole output into its place, and remove the folder."""
    with _disk_errors():
        return Summary(**finishing.place(folder))


def _schema(work: Work) -> Any:
    return columns.full_schema(work.source.schema, work.facts, work.measures)


def _compute(work: Work, shards: list[Shard], done: int) -> None:
    schema = _schema(work)
    answers = _answers(work, done)
    try:
        for group in _groups(answers, work.shard_rows):
            shards.append(_write_shard(work, len(shards), group, schema))
    finally:
        answers.close()


def _answers(work: Work, start: int) -> Any:
    """Answers in order: the next chunks are read while one is computed in a thread of its own."""
    flying: deque[tuple[Chunk, Future[Answer]]] = deque()
    pool = ThreadPoolExecutor(1, thread_name_prefix="penult-embed")
    try:
        for chunk in work.source.chunks(work.batch_size, start):
            flying.append((chunk, pool.submit(work.asking.answer, chunk)))
            if len(flying) > AHEAD:
                yield flying.popleft()[1].result()
        while flying:
            yield flying.popleft()[1].result()
    finally:
        work.asking.stop()
        pool.shutdown(wait=False, cancel_futures=True)


def _groups(answers: Iterator[Answer], rows: int) -> Iterator[Iterator[Answer]]:
    """The answers of a shard at a time, as they come: at least `rows` rows each, and whole answers."""
    for first in answers:
        yield _group(first, answers, rows)


def _group(first: Answer, answers: Iterator[Answer], rows: int) -> Iterator[Answer]:
    yield first
    held = len(first.vectors)
    while held < rows:
        answer = next(answers, None)
        if answer is None:
            return
        yield answer
        held += len(answer.vectors)


def _write_shard(work: Work, number: int, answers: Iterator[Answer], schema: Any) -> Shard:
    """The rows of a shard, written as they come, and its errors; listed when both are whole."""
    name = f"part-{number:06d}{work.shard_kind}"
    place, errors = work.folder.shards / name, work.folder.errors_file(name)
    labels = list(work.facts["labels"])
    first, rows, good, bad_rows = 0, 0, 0, list[dict[str, Any]]()
    with durable.whole(place) as draft, sinks.opened(draft, work.shard_kind, schema) as write:
        for answer in answers:
            write(columns.batch(answer, schema, labels))
            first = answer.chunk.first if not rows else first
            rows += len(answer.vectors)
            good += len(answer.vectors) - len(answer.errors)
            bad_rows += columns.listed(answer, work.source.counted)
            work.report.advance(len(answer.vectors), len(answer.errors))
    if bad_rows:
        with durable.whole(errors) as draft:
            draft.write_text("".join(_json(row) for row in bad_rows), encoding="utf-8")
    work.check_inputs()
    shard = Shard(
        name, first, rows, good, len(bad_rows), sha256_file(place), sha256_file(errors) if bad_rows else ""
    )
    work.folder.add(shard)
    return shard


def _json(row: dict[str, Any]) -> str:
    return json.dumps(row, ensure_ascii=False) + "\n"


@contextmanager
def _disk_errors() -> Iterator[None]:
    """What the disk refuses, in words that say how to go on."""
    try:
        yield
    except OSError as error:
        if error.errno not in _DISK:
            raise
        raise PreconditionFailed(
            f"the output cannot be written: {os.strerror(error.errno)}. Make room, and the same command with "
            "--resume goes on",
            reason="DISK_FULL",
        ) from error
