"""Runs one job in the child process that prepares, and watches it: time, memory, disk, processes.

A model that crashes, hangs or eats what is there ends its child, and the caller gets an error with the reason.
"""

from __future__ import annotations

import json
import logging
import math
import os
import selectors
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

import psutil

from penult_service import errors
from penult_service.errors import InvalidInput, ModelRefused
from penult_service.preparing.child import LOOKING
from penult_service.preparing.confined import bytecode, confine, usage

_log = logging.getLogger(__name__)

Progress = Callable[[str, float], None]
CONFINED = "confined"
_COMMAND = (sys.executable, "-P", "-m", "penult_service.preparing.child")
_LOOK, _LOOK_RATE = (
    120.0,
    16 << 20,
)  # seconds for looking at files, and bytes of them that take another second
_POLL = 0.25  # seconds between looks at the child
_TO_END = 5.0  # seconds that it has to end when it has nothing more to say
_SPARE = 256 << 20  # bytes of free memory that a child leaves to others
_BEYOND = 1 << 30  # bytes that the kernel allows beyond the watched memory: reserved, never touched
_STACKS = 64 << 20  # the same for the threads of each processor
_DISK, _TIMES = 1 << 30, 4  # bytes that it may write: this, and so many times the model's size
_FILES = 20_000
_THREADS, _PROCESSES = 1024, 8
_SAID = 1 << 20  # bytes of answers; a few thousand are usual
_SHOWN = 2000  # characters of a message
_said: set[str] = set()


@dataclass(frozen=True)
class Allowed:
    """What a child may use: seconds, bytes resident (None: what is free now, less a little)."""

    seconds: float
    memory: int | None = None


@dataclass
class _Watched:
    """A child, and everything that is looked at while it runs.

    `parts` is what it first said of being confined, `began` the processes that it was seen to have. `look` is how many
    seconds it may look at the files: the HDF5 library does not end on some damaged ones. None: it is done with that.
    """

    child: subprocess.Popen[bytes]
    source: str
    deadline: float
    seconds: float
    memory: int
    disk: int
    places: tuple[Path, ...]
    stderr: IO[bytes]
    began: list[psutil.Process]
    look: float | None = None
    parts: dict[str, str] | None = None
    since: float = field(default_factory=time.monotonic)


def run(job: dict[str, Any], allowed: Allowed, progress: Progress | None) -> dict[str, Any]:
    """Runs the job: its answer, with how it was confined as CONFINED; or its error, or the error that ended it.

    Args:
        job: `what`, `source` and what else `child` reads; `target`, when it writes one, in an existing directory;
            `readable`, files and directories beside the source.
        allowed: The most that it may use.
        progress: Called with the stage and the share done.

    Raises:
        PenultError: the child's own, or ModelRefused: PREPARE_TIMEOUT, OUT_OF_MEMORY, TOO_MUCH_WRITTEN,
            TOO_MANY_PROCESSES, PREPARE_CRASHED; or InvalidInput: DAMAGED, looking at the files did not end.
    """
    bytecode.make_once()
    memory = allowed.memory or max(psutil.virtual_memory().available - _SPARE, _SPARE)
    source = Path(job["source"])
    read = usage.size([source, *map(Path, job.get("readable", ()))], _FILES)[0]
    disk = _DISK + _TIMES * read
    with tempfile.TemporaryDirectory(prefix="penult-prepare-", ignore_cleanup_errors=True) as scratch:
        writable = [Path(scratch).resolve()]
        if "target" in job:
            writable.append(Path(job["target"]).parent.resolve())
        job = {**job, "confine": _rules(writable, memory, disk, allowed.seconds)}
        with _started(scratch) as (child, stderr, began):
            until = time.monotonic() + allowed.seconds
            watched = _Watched(
                child, job["source"], until, allowed.seconds, memory, disk, tuple(writable), stderr, began
            )
            if job["what"] == "prepare":
                watched.look = _LOOK + read / _LOOK_RATE
            return _answer(watched, job, progress)


def _rules(writable: list[Path], memory: int, disk: int, seconds: float) -> dict[str, Any]:
    cores = os.cpu_count() or 1
    return {
        "writable": [str(path) for path in writable],
        "memory": memory + _BEYOND + cores * _STACKS,
        "file": disk,
        "processor": math.ceil((seconds + 60) * cores),
    }


@contextmanager
def _started(scratch: str) -> Iterator[tuple[subprocess.Popen[bytes], IO[bytes], list[psutil.Process]]]:
    """The child, the file of its standard error, and a list for what it begins: all is ended afterwards."""
    began: list[psutil.Process] = []
    with tempfile.TemporaryFile() as stderr:
        child = subprocess.Popen(
            _COMMAND,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=stderr,
            start_new_session=True,
            cwd=scratch,
            env=confine.environment(Path(scratch)),
        )
        try:
            yield child, stderr, began
        finally:
            _end(child, began)
            for pipe in (child.stdin, child.stdout):
                assert pipe is not None
                with suppress(BrokenPipeError):  # what a child that has ended did not read
                    pipe.close()


def _end(child: subprocess.Popen[bytes], began: list[psutil.Process]) -> None:
    """Ends the child, its group and its own children, also those whose parent has ended."""
    if child.returncode is None:  # not waited for: its number is nobody else's
        began = [*began, *usage.children(child.pid)]
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(child.pid, signal.SIGKILL)
        child.kill()
        child.wait()
    for process in began:
        with suppress(psutil.Error):  # psutil tells one of the same number apart by when it began
            process.kill()


def _answer(watched: _Watched, job: dict[str, Any], progress: Progress | None) -> dict[str, Any]:
    child = watched.child
    assert child.stdin is not None
    with suppress(BrokenPipeError):  # it died at once; how is said below
        child.stdin.write(json.dumps(job).encode() + b"\n")
        child.stdin.flush()
    for line in _lines(watched):
        told = _told(line, watched)
        if "done" in told:
            return {**told["done"], CONFINED: confine.described(watched.parts or {})}
        if "error" in told:
            raise told["error"]
        if "confined" in told:
            watched.parts = watched.parts or told["confined"]
            _say_once(confine.described(told["confined"]))
        else:
            if told["progress"][0] != LOOKING:
                watched.look = None
            if progress is not None:
                progress(*told["progress"])
    raise _crashed(watched)


def _lines(watched: _Watched) -> Iterator[bytes]:
    """What the child says, line by line; in between it is looked at."""
    pipe = watched.child.stdout
    assert pipe is not None
    waiting, said, looked = b"", 0, 0.0
    with selectors.DefaultSelector() as selector:
        selector.register(pipe, selectors.EVENT_READ)
        while True:
            if time.monotonic() - looked >= _POLL:
                _watch(watched)
                looked = time.monotonic()
            if not selector.select(_POLL):
                continue
            piece = os.read(pipe.fileno(), 1 << 16)
            if not piece:
                return
            said += len(piece)
            if said > _SAID:
                raise _not_an_answer(watched)
            *lines, waiting = (waiting + piece).split(b"\n")
            yield from lines


def _told(line: bytes, watched: _Watched) -> dict[str, Any]:
    """A line of the child, read; what is none is the doing of a model, which may write there whatever it likes."""
    try:
        told = json.loads(line)
        if "error" in told:
            error = told["error"]
            return {"error": errors.from_json({**error, "message": _printable(error["message"])})}
        if "progress" in told:
            stage, share = told["progress"]
            return {"progress": (_printable(stage), float(share))}
        if "confined" in told:
            return {"confined": {part: _printable(told["confined"][part]) for part in confine.PARTS}}
        return {"done": dict(told["done"])}
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise _not_an_answer(watched) from error


def _printable(text: str) -> str:
    """Without what a terminal would obey, and of bearable length."""
    return "".join(c if c.isprintable() else " " for c in text[:_SHOWN])


def _not_an_answer(watched: _Watched) -> ModelRefused:
    return ModelRefused(
        f"the process that prepared {watched.source} said something else than an answer, and was ended; look at "
        "what the model does when it is loaded",
        reason="PREPARE_CRASHED",
    )


def _say_once(line: str) -> None:
    if line not in _said:
        _said.add(line)
        _log.info("models are prepared in a process of their own: %s", line)


def _watch(watched: _Watched) -> None:
    """Looks at what the child uses. Raises ModelRefused, or InvalidInput, when that is too much."""
    now = time.monotonic()
    if watched.look is not None and now > watched.since + watched.look:
        raise InvalidInput(
            f"{watched.source} is damaged: looking at it had not ended after {watched.look:.0f} s; copy it again",
            reason="DAMAGED",
        )
    if now > watched.deadline:
        raise ModelRefused(
            f"preparing {watched.source} took longer than {watched.seconds:g} s and was ended; allow more time "
            "(PENULT_PREPARE_TIMEOUT), or look at what the model does when it is loaded",
            reason="PREPARE_TIMEOUT",
        )
    try:
        process = psutil.Process(watched.child.pid)
        resident, threads = process.memory_info().rss, process.num_threads()
    except psutil.Error:
        return
    if resident > watched.memory:
        raise _out_of_memory(watched)
    written, files = usage.size(watched.places, _FILES)
    written += os.fstat(watched.stderr.fileno()).st_size
    written = max(written, usage.written(process))
    if written > watched.disk or files > _FILES:
        raise _too_much_written(watched)
    alone = watched.parts is not None and not watched.parts[confine.PROCESSES]  # the kernel sees to it
    if not alone:
        watched.began[:] = usage.children(watched.child.pid)
    if threads > _THREADS or len(watched.began) > _PROCESSES:
        raise ModelRefused(
            f"preparing {watched.source} began {threads} threads and {len(watched.began)} processes, more than a model "
            "has use for, and was ended; look at what the model does when it is loaded",
            reason="TOO_MANY_PROCESSES",
        )


def _crashed(watched: _Watched) -> ModelRefused:
    try:
        code = watched.child.wait(_TO_END)
    except subprocess.TimeoutExpired:
        return _not_an_answer(watched)  # it has closed its answers and goes on
    how = f"was ended by {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"
    watched.stderr.seek(max(os.fstat(watched.stderr.fileno()).st_size - 4096, 0))
    said = watched.stderr.read().decode(errors="replace").strip().splitlines()
    if any("bad_alloc" in line or "MemoryError" in line for line in said[-3:]):
        return _out_of_memory(watched)
    last = f"; its last words: {_printable(said[-1][:200])}" if said else ""
    return ModelRefused(f"the process that prepared {watched.source} {how}{last}", reason="PREPARE_CRASHED")


def _out_of_memory(watched: _Watched) -> ModelRefused:
    return ModelRefused(
        f"preparing {watched.source} needed more than {watched.memory / 2**30:.1f} GiB of memory and was ended; "
        "allow more (PENULT_PREPARE_MEMORY, in GiB), or look at what the model does when it is loaded",
        reason="OUT_OF_MEMORY",
    )


def _too_much_written(watched: _Watched) -> ModelRefused:
    return ModelRefused(
        f"preparing {watched.source} wrote more than {watched.disk / 2**30:.1f} GiB or {_FILES:,} files and was "
        "ended; a prepared model is as large as its source, so look at what the model does when it is loaded",
        reason="TOO_MUCH_WRITTEN",
    )
