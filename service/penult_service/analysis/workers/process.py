"""One worker process, seen from the server's event loop: started, told what to run, watched, killed."""

from __future__ import annotations

import asyncio
import io
import json
import logging
import signal
import subprocess
import sys
import threading
import uuid
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil

from penult_service import errors
from penult_service.analysis.calls import Call
from penult_service.analysis.progress import Listener, Progress
from penult_service.analysis.speeds import Speeds, from_json
from penult_service.analysis.workers import exchange
from penult_service.errors import Internal, PenultError, PreconditionFailed

_COMMAND = (sys.executable, "-P", "-m", "penult_service.analysis.workers.worker")
_GIB = 1 << 30
_POLL = 0.25  # seconds between looks at a busy worker's memory
_FAREWELL = 2.0  # seconds that an idle one has to end by itself
_LAST_WORDS = 4096  # bytes kept of what its libraries print
_SIGNS_OF_NO_MEMORY = (b"bad_alloc", b"MemoryError", b"Cannot allocate memory", b"out of memory")
_CGROUP_LIMITS = (Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"))

_log = logging.getLogger(__name__)


def memory_share(workers: int) -> int:
    """Bytes that one of so many may take: half of what the machine, or its container, has, shared by them.

    Beside each of them an operation may run in a process of its own (`WorkerPool.run`, `apart`), so they share it
    with as many again: all of them together may take the half.
    """
    total = psutil.virtual_memory().total
    for path in _CGROUP_LIMITS:
        with suppress(OSError, ValueError):  # ValueError: "max"
            total = min(total, int(path.read_text(encoding="ascii")))
    return max(total // 2 // (2 * max(workers, 1)), _GIB)


class Gone(Exception):
    """The process had died before it took the call: another can."""


class WorkerProcess:
    """A process that runs one call at a time. Made in the event loop, ready after `warm`.

    It ends when this object's process does, however that happens: its standard input closes, and on Linux the
    kernel kills it with the thread that started it.

    Args:
        memory_limit: Bytes that it may take; None: no limit.
        numba_cache: Where compiled code is kept; None: nowhere.
        fallback: Where it is kept for the life of the pool, when `numba_cache` cannot be used.

    Raises:
        OSError: no process can be started.
    """

    def __init__(self, *, memory_limit: int | None, numba_cache: Path | None, fallback: Path) -> None:
        self._loop = asyncio.get_running_loop()
        self._limit = memory_limit
        self._answers: asyncio.Queue[dict[str, Any] | None] = asyncio.Queue()
        self._ended = asyncio.Event()
        self._last_words = b""
        self._over_limit = self._killed = False
        self._listener: Listener | None = None
        self._speeds: Speeds | None = None
        self._idle_bytes = 0
        # Not asyncio's own: there a signal that comes while the process dies makes its exit code 255.
        self._process = subprocess.Popen(
            _COMMAND,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            bufsize=0,
            # Ctrl-C is for the server, which lets it finish. Not a session of its own: where Linux shares the
            # processor by session, a low priority is one within the session only.
            process_group=0,
        )
        reading = [threading.Thread(target=self._keep_last_words, daemon=True)]
        reading.append(threading.Thread(target=self._read, args=(reading[0],), daemon=True))
        for thread in reading:
            thread.start()
        self._send(
            {
                "memory_limit": memory_limit,
                "numba_cache": None if numba_cache is None else str(numba_cache),
                "fallback": str(fallback),
            }
        )

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    @property
    def killed(self) -> bool:
        """Whether it was told to end at once."""
        return self._killed

    @property
    def alive(self) -> bool:
        """Whether it runs and will, as far as is known."""
        return not self._killed and not self._ended.is_set()

    @property
    def speeds(self) -> Speeds | None:
        """Those of this machine, once it is warm; None: it does not know."""
        return self._speeds

    @property
    def idle_bytes(self) -> int:
        """What it took when it had got warm; 0 before."""
        return self._idle_bytes

    async def warm(self) -> float:
        """Wait until it is ready; the seconds that it took.

        Raises:
            PreconditionFailed: it cannot get ready (ANALYSIS_NOT_INSTALLED, ANALYSIS_FAILED).
            PenultError: it died, as in `run`.
        """
        told = await self._answer()
        if "failed" in told:
            raise errors.from_json(told["failed"])
        with suppress(psutil.Error):
            self._idle_bytes = psutil.Process(self.pid).memory_info().rss
        speeds = told["ready"].get("speeds")
        self._speeds = None if speeds is None else from_json(speeds)
        return float(told["ready"]["seconds"])

    async def run(self, call: Call, directory: Path, listener: Listener | None = None) -> dict[str, Any]:
        """Run a call whose arrays lie in `directory`; its result, as in `exchange.result_from_json`.

        The listener is called in the event loop, at most about ten times a second and at each change of stage.
        Whoever cancels this must `kill`: what the process does then is nobody's any more.

        Raises:
            Gone: it had died before.
            PreconditionFailed: it ran out of memory (WORKER_OUT_OF_MEMORY), and has ended or will.
            Internal: it died (WORKER_DIED), or the analysis has a fault (ANALYSIS_FAULT).
            PenultError: what the analysis raised.
        """
        self._listener = listener
        wanted = {"directory": str(directory), "progress": listener is not None}
        self._send({"call": exchange.call_to_json(call), **wanted})
        try:
            if await self._answers.get() is None:  # else it has begun
                raise Gone
            told = await self._answer()
        finally:
            self._listener = None
        if "done" in told:
            return dict(told["done"])
        if "error" in told:
            raise errors.from_json(told["error"])
        if "out_of_memory" in told:
            self.kill()
            raise self._out_of_memory()
        raise _fault(call, told["fault"])

    def kill(self) -> None:
        """End it at once."""
        self._killed = True
        self._process.kill()

    async def ended(self) -> None:
        """Wait until it has ended."""
        await self._ended.wait()

    async def close(self) -> None:
        """End it: an idle one by itself, a busy one by force."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        with suppress(TimeoutError):
            await asyncio.wait_for(self.ended(), _FAREWELL)
        self.kill()
        await self.ended()

    def _send(self, line: dict[str, Any]) -> None:
        """A line fits into the pipe, whose other end is read at once."""
        assert self._process.stdin is not None
        with suppress(OSError, ValueError):  # it has died, or is closed; how, the answer says
            self._process.stdin.write(json.dumps(line).encode() + b"\n")

    async def _answer(self) -> dict[str, Any]:
        """The next answer, its memory watched meanwhile."""
        watching = asyncio.create_task(self._watch())
        try:
            told = await self._answers.get()
        finally:
            watching.cancel()
        if told is None:
            raise self.how_it_ended()
        return told

    async def _watch(self) -> None:
        while self._limit is not None:
            with suppress(psutil.Error):
                if psutil.Process(self.pid).memory_info().rss > self._limit:
                    self._over_limit = True
                    self.kill()
            await asyncio.sleep(_POLL)

    def _read(self, other: threading.Thread) -> None:
        """On a thread: what it says, until it ends."""
        assert self._process.stdout is not None
        with io.BufferedReader(self._process.stdout) as lines:  # type: ignore[type-var]
            for line in lines:
                self._from_thread(self._hear, json.loads(line))
        self._process.kill()  # one that closes its output is of no use
        self._process.wait()
        other.join()
        self._from_thread(self._end)

    def _keep_last_words(self) -> None:
        """On a thread: what its libraries print."""
        assert self._process.stderr is not None
        with self._process.stderr as stderr:
            while said := stderr.read(_LAST_WORDS):
                self._last_words = (self._last_words + said)[-_LAST_WORDS:]

    def _from_thread(self, function: Callable[..., None], *arguments: Any) -> None:
        with suppress(RuntimeError):  # the loop is closed: nobody waits any more
            self._loop.call_soon_threadsafe(function, *arguments)

    def _hear(self, told: dict[str, Any]) -> None:
        if "log" in told:
            level, message = told["log"]
            _log.log(logging.getLevelNamesMapping()[level], "analysis worker %d: %s", self.pid, message)
        elif "progress" in told:
            if self._listener is not None:
                self._listener(Progress(*told["progress"]))
        else:
            self._answers.put_nowait(told)

    def _end(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._ended.set()
        self._answers.put_nowait(None)

    def how_it_ended(self) -> PenultError:
        """The error of a run in a process that has ended."""
        code = self._process.returncode
        if self._over_limit or (
            code != -signal.SIGKILL and any(sign in self._last_words for sign in _SIGNS_OF_NO_MEMORY)
        ):
            return self._out_of_memory()
        how = f"was ended by {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"
        if code == -signal.SIGKILL:
            how += " from outside (by hand, or by a machine that had no memory left)"
        said = self._last_words.decode(errors="replace").strip().splitlines()
        _log.error("analysis worker %d %s%s", self.pid, how, f": {said[-1][:200]}" if said else "")
        return Internal(
            f"the process that worked on this {how}; another has taken its place, so try again",
            reason="WORKER_DIED",
            metadata={"signal": signal.Signals(-code).name} if code < 0 else {"exit_code": str(code)},
        )

    def _out_of_memory(self) -> PreconditionFailed:
        limit = "" if self._limit is None else f" than its limit of {self._limit / _GIB:.2g} GiB"
        _log.warning("analysis worker %d needed more memory%s", self.pid, limit)
        return PreconditionFailed(
            f"this needs more memory{limit}; send fewer rows, or give the server a larger --analysis-memory",
            reason="WORKER_OUT_OF_MEMORY",
            metadata={} if self._limit is None else {"limit_bytes": str(self._limit)},
        )


def _fault(call: Call, told: dict[str, str]) -> Internal:
    """An exception that nobody expected. What it says may quote what the caller sent, so it is not in the log."""
    error_id = uuid.uuid4().hex[:12]
    _log.error(
        "unexpected %s in the analysis %s, error id %s",
        told["type"],
        call.name,
        error_id,
        extra={"facts": {"error_id": error_id, "traceback": told["places"]}},
    )
    return Internal(
        f"a fault of the server (error id {error_id}); its log has the details",
        reason="ANALYSIS_FAULT",
        metadata={"error_id": error_id},
    )
