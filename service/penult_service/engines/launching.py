"""Asks the child process of engines (`child`) to do a job: what it says, or why it could not."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import IO, Any

from penult_service import errors
from penult_service.errors import ModelRefused

Progress = Callable[[str, float], None]

CRASHED = "ENGINE_CRASHED"
_COMMAND = (sys.executable, "-P", "-m", "penult_service.engines.child")
_THREADS = ("TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS", "OMP_NUM_THREADS")
_SHOWN = 300  # characters of its last words


def ask(
    job: Mapping[str, Any], *, threads: int, seconds: float, progress: Progress | None = None
) -> dict[str, Any]:
    """Runs a job in a child process, which ends with this call.

    Args:
        job: As `child` reads it.
        threads: That TensorFlow has there, and what else is told by the environment.
        seconds: It is ended after so long.
        progress: Called with the stage and the share done.

    Raises:
        PenultError: the child's own; or ModelRefused (ENGINE_CRASHED): it ended without an answer, or took too long.
    """
    environment = {**os.environ, **dict.fromkeys(_THREADS, str(threads))}
    environment.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    with tempfile.TemporaryFile() as stderr:
        child = subprocess.Popen(
            _COMMAND,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=stderr,
            start_new_session=True,  # the interrupt key is ours to answer
            env=environment,
        )
        late = threading.Event()
        timer = threading.Timer(seconds, _end, (child, late))
        timer.daemon = True
        timer.start()
        try:
            return _answer(child, job, progress, stderr, late, seconds)
        finally:
            timer.cancel()
            child.kill()
            child.wait()
            for pipe in (child.stdin, child.stdout):
                with suppress(OSError):
                    pipe.close()  # type: ignore[union-attr]


def _end(child: subprocess.Popen[bytes], late: threading.Event) -> None:
    late.set()
    child.kill()


def _answer(
    child: subprocess.Popen[bytes],
    job: Mapping[str, Any],
    progress: Progress | None,
    stderr: IO[bytes],
    late: threading.Event,
    seconds: float,
) -> dict[str, Any]:
    assert child.stdin is not None
    assert child.stdout is not None
    with suppress(BrokenPipeError):  # it died at once; how is said below
        child.stdin.write(json.dumps(job).encode() + b"\n")
        child.stdin.flush()
    for line in child.stdout:
        try:
            told = json.loads(line)
        except ValueError:
            break  # it was ended in the middle of a line
        if "done" in told:
            return dict(told["done"])
        if "error" in told:
            raise errors.from_json(told["error"])
        if progress is not None and "progress" in told:
            progress(*told["progress"])
    if late.is_set():
        raise ModelRefused(f"it took longer than {seconds:g} s and was ended", reason=CRASHED)
    raise ModelRefused(_crash(child, stderr), reason=CRASHED)


def _crash(child: subprocess.Popen[bytes], stderr: IO[bytes]) -> str:
    code = child.wait()
    how = f"was ended by {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"
    stderr.seek(max(os.fstat(stderr.fileno()).st_size - 4096, 0))
    said = stderr.read().decode(errors="replace").strip().splitlines()
    return f"its process {how}" + (f"; its last words: {said[-1].strip()[:_SHOWN]}" if said else "")
