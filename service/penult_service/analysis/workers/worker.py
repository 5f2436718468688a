"""The process that analyses: calls as JSON lines on standard input, answers as JSON lines on standard output.

First comes a line of settings: `{"memory_limit": bytes | null, "numba_cache": path | null, "fallback": path}`. It is
answered with `{"ready": {"seconds": ..., "speeds": {...} | null}}` when everything is imported and compiled, or with
`{"failed": {...}}`.
After that each line is a run, `{"call": {...}, "directory": path, "progress": whether to tell}`, and the answer first
`{"begun": true}`, then one of

    {"done": {...}}             the result; its arrays lie in the directory
    {"error": {...}}            an error of ours, for the caller
    {"fault": {...}}            any other exception: its type, and where it was raised
    {"out_of_memory": true}     and the process ends

In between come `{"log": [level, message]}`, and `{"progress": [stage, done, total]}` where asked for. It ends when
its standard input closes, in the middle of a run too. Run with `python -P -m penult_service.analysis.workers.worker`.
"""

from __future__ import annotations

import contextlib
import ctypes
import dataclasses
import json
import logging
import os
import queue
import resource
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from penult_service import errors
from penult_service.analysis.progress import Progress, telling
from penult_service.errors import PenultError, PreconditionFailed

# A tenth of the share of who serves: at 19 an analysis stands still for minutes while embedding takes every processor.
_NICE = 10
_ENDED_WITH_STDIN = 3
_PR_SET_PDEATHSIG = 1
_BETWEEN_REPORTS = 0.1  # seconds between two reports of one stage

Say = Callable[..., None]


class _Input:
    """Lines of standard input, read on a thread: its end ends the process, at once when it is busy."""

    def __init__(self) -> None:
        self._lines: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        self._busy = threading.Lock()
        self._busy.acquire()
        threading.Thread(target=self._read, name="penult-stdin", daemon=True).start()

    def next(self) -> str | None:
        """The next line, None when there is none any more."""
        self._busy.release()
        line = self._lines.get()
        self._busy.acquire()
        return line

    def _read(self) -> None:
        for line in iter(sys.stdin.readline, ""):
            self._lines.put(line)
        if not self._busy.acquire(blocking=False):
            os._exit(_ENDED_WITH_STDIN)
        self._busy.release()
        self._lines.put(None)


class _Told(logging.Handler):
    """Sends our own log lines to the server, which has the log."""

    def __init__(self, say: Say) -> None:
        super().__init__()
        self._say = say

    def emit(self, record: logging.LogRecord) -> None:
        """One record; the traceback below it, if there is one."""
        self._say(log=[record.levelname, self.format(record)])


def main() -> None:
    """Gets warm, then runs what it is told, until standard input closes."""
    out = os.fdopen(os.dup(sys.stdout.fileno()), "w", encoding="utf-8", buffering=1)
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # whatever a library prints is not part of the answer
    _end_with_parent()
    _step_back()

    def say(**line: Any) -> None:
        out.write(json.dumps(line) + "\n")

    logging.getLogger("penult_service").addHandler(_Told(say))
    logging.getLogger("penult_service").setLevel(logging.INFO)
    settings = json.loads(sys.stdin.readline())
    lines = _Input()
    try:
        say(ready=_warm(settings))
    except BaseException as error:  # noqa: BLE001 - whatever it is, it is why there is no worker
        traceback.print_exc()
        say(failed=errors.to_json(_failed(error)))
        os._exit(1)  # an ordinary end would trip over the thread that reads
    while (line := lines.next()) is not None:
        if not _run(json.loads(line), say):
            os._exit(0)  # what is left may be anything


def _warm(settings: dict[str, Any]) -> dict[str, Any]:
    """Imports and compiles everything, and measures the machine, unless it is known; then the memory is limited."""
    # umap wants it for a part that is not used, at the price of 5 s and 0.5 GB.
    sys.modules["tensorflow"] = None  # type: ignore[assignment]
    from penult_service.analysis.workers import warming

    started = time.monotonic()
    cache = settings["numba_cache"]
    warming.use_numba_cache(None if cache is None else Path(cache), Path(settings["fallback"]))
    warming.cache_umap()
    warming.warm()
    from penult_service.analysis.measuring import known_or_measured

    speeds = known_or_measured(Path(os.environ["NUMBA_CACHE_DIR"]))
    if settings["memory_limit"] is not None:
        _limit_memory(settings["memory_limit"])
    return {
        "seconds": time.monotonic() - started,
        "speeds": None if speeds is None else dataclasses.asdict(speeds),
    }


def _run(job: dict[str, Any], say: Say) -> bool:
    """One run and its answer; whether the process can go on."""
    from penult_service.analysis import run
    from penult_service.analysis.workers import exchange, warming

    say(begun=True)
    directory = Path(job["directory"])
    try:
        with warming.noticing_compilation(), _telling(say) if job["progress"] else contextlib.nullcontext():
            result = run.run(exchange.call_from_json(job["call"]), exchange.map_arrays(directory / "in"))
        say(done=exchange.result_to_json(result, directory / "out"))
    except PenultError as error:
        say(error=errors.to_json(error))
    except MemoryError:
        say(out_of_memory=True)
        return False
    except Exception as error:  # noqa: BLE001 - the border: the process lives, and the caller gets an answer
        say(fault={"type": type(error).__name__, "places": "".join(traceback.format_tb(error.__traceback__))})
    return True


class _Reports:
    """A listener that says every change of stage, the end of each, and in between what is worth saying."""

    def __init__(self, say: Say) -> None:
        self._say = say
        self._last = Progress("")
        self._said, self._next = True, 0.0

    def __call__(self, progress: Progress) -> None:
        now = time.monotonic()
        changed = progress.stage != self._last.stage
        if changed:
            self.flush()
        self._last, self._said = progress, False
        if changed or now >= self._next:
            self.flush()
            self._next = now + _BETWEEN_REPORTS

    def flush(self) -> None:
        """Say what was told last, if it has not been."""
        if not self._said:
            self._say(progress=[self._last.stage, self._last.done, self._last.total])
            self._said = True


@contextlib.contextmanager
def _telling(say: Say) -> Iterator[None]:
    reports = _Reports(say)
    with telling(reports):
        yield
    reports.flush()


def _failed(error: BaseException) -> PenultError:
    """Why it did not get warm."""
    from penult_service.analysis.workers.warming import PACKAGES

    if isinstance(error, ImportError) and (error.name or "").partition(".")[0] in PACKAGES:
        return PreconditionFailed(
            f"this server has no {error.name}, which analysis needs: pip install 'penult[analysis]' on its machine,"
            " and start it again",
            reason="ANALYSIS_NOT_INSTALLED",
            metadata={"package": str(error.name)},
        )
    first = (str(error) or type(error).__name__).splitlines()[0][:300]
    return PreconditionFailed(
        f"the analysis workers of this server do not start ({type(error).__name__}: {first}); its log has more",
        reason="ANALYSIS_FAILED",
    )


def _end_with_parent() -> None:
    """End with the thread that started this process, even when a computation lets no other thread of ours run."""
    if sys.platform == "linux":
        with contextlib.suppress(OSError, AttributeError):
            ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def _step_back() -> None:
    """Serving comes first: the processor is ours when nobody else wants it."""
    with contextlib.suppress(OSError):
        os.nice(_NICE)


def _limit_memory(limit: int) -> None:
    """An allocation over the limit fails, instead of the machine. (The server watches the resident size as well.)

    What is reserved and not used by now, such as the stacks of threads, does not count.
    """
    if sys.platform != "linux":  # elsewhere nothing counts against RLIMIT_DATA
        return
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    facts = (line.partition(":") for line in lines)
    kib = {name: int(rest.split()[0]) for name, _, rest in facts if rest.endswith("kB")}
    reserved = max(0, kib.get("VmData", 0) - kib.get("RssAnon", 0)) << 10
    _, hard = resource.getrlimit(resource.RLIMIT_DATA)
    wanted = limit + reserved
    if hard == resource.RLIM_INFINITY or wanted <= hard:
        resource.setrlimit(resource.RLIMIT_DATA, (wanted, hard))


if __name__ == "__main__":
    main()
