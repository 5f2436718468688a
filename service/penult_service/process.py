"""The server as a process: signals, standard input, the address file, and how models are prepared and loaded."""

from __future__ import annotations

import asyncio
import ctypes
import gc
import logging
import os
import signal
import tempfile
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from penult_service import logs
from penult_service.config import ServeConfig
from penult_service.embedder import LoadedModel
from penult_service.prepared import load_manifest
from penult_service.preparing.cached import private
from penult_service.repository.repository import prepare_and_load
from penult_service.repository.sources import Source, from_directory, from_paths
from penult_service.server import Server, run
from penult_service.tokenizing.opening import open_tokenizer
from penult_service.tuned import Setting, Tuned, described

_log = logging.getLogger(__name__)
_ARENA_MAX, _ARENAS = -8, 2  # glibc's number of that option, in malloc.h
_ARENA_TUNABLE = "glibc.malloc.arena_max"


def serve(config: ServeConfig) -> int:
    """Serve until a signal (or the end of standard input) ends it; the exit code.

    Raises:
        InvalidInput: the models are named wrongly.
        Unavailable: the port is taken.
    """
    logs.configure(config.log)
    _share_heaps()
    sources = from_directory(config.models) if config.models else from_paths(config.paths)
    if config.threads:
        _limit_threads(config.threads)

    def started(server: Server, address: str) -> None:
        _end_on_signals(server)
        if config.exit_with_stdin:
            _end_with_stdin(server)
        if config.address_file:
            _write_atomically(config.address_file, f"{address}\n")

    with asyncio.Runner(loop_factory=new_loop()) as runner:
        return runner.run(run(config, sources, loader(config), started, loaded=_leave_be))


def new_loop() -> Callable[[], asyncio.AbstractEventLoop] | None:
    """Of libuv, where it is installed: a call takes it a tenth less of the processor. None: asyncio's own."""
    try:
        from uvloop import new_event_loop
    except ImportError:
        return None
    return new_event_loop


def loader(config: ServeConfig) -> Callable[[Source], LoadedModel]:
    """How this process turns a source into a model. TensorFlow is imported when one needs it."""

    def prepare(source: Path) -> Path:
        from penult_service.preparing.launch import prepare

        said = ""

        def progress(stage: str, _: float) -> None:
            nonlocal said
            if stage != said:
                _log.info("preparing %s: %s", source, stage)
            said = stage

        return prepare(
            source,
            cache=config.cache,
            allow_ops=config.allowed_ops,
            allow_stochastic=config.allow_stochastic,
            timeout=config.prepare_timeout,
            memory_limit=config.prepare_memory_bytes,
            progress=progress,
        )

    def load(directory: Path, name: str, version: int) -> LoadedModel:
        from penult_service.engines.choosing import choose
        from penult_service.engines.opening import open_engine
        from penult_service.engines.wishes import wish_of

        manifest = load_manifest(directory)
        for warning in manifest.warnings:
            _log.warning("%s: %s", name, warning)
        wish = wish_of(config, manifest)
        chosen = choose(directory, manifest, wish, lambda: private(config.engines_cache))
        _log.info("%s: %s", name, described(chosen.tuned))
        engine, functions = open_engine(
            directory, manifest, chosen.tuned.setting, ir=chosen.ir, allow_ops=wish.allow_ops
        )
        tokenizer = open_tokenizer(directory, manifest, lambda: functions)
        return LoadedModel(name, version, manifest, tokenizer, engine, chosen.tuned)

    return prepare_and_load(prepare, load, _fake)


def _fake(name: str) -> LoadedModel:
    from penult_service.engines.fake import FakeEngine, fake_manifest
    from penult_service.tokenizing.fake import FakeTokenizer

    manifest = fake_manifest()
    tokenizer = FakeTokenizer(manifest.max_length)
    return LoadedModel(name, 1, manifest, tokenizer, FakeEngine(tokenizer), Tuned(Setting("fake")))


def _leave_be() -> None:
    """The garbage collector does not look again through what is there by now.

    With TensorFlow these are 400,000 objects, and a look takes 0.2 s, in which nobody is answered.
    """
    gc.collect()  # what loading left behind would stay too
    gc.freeze()


def _share_heaps() -> None:
    """Few heaps for all threads, where malloc is glibc's: with one for each the gaps in them grow for hours.

    Unless the environment says how many.
    """
    said = "MALLOC_ARENA_MAX" in os.environ or _ARENA_TUNABLE in os.environ.get("GLIBC_TUNABLES", "")
    if not said:
        with suppress(OSError, AttributeError, TypeError):  # there is no such library, or function
            ctypes.CDLL(None).mallopt(_ARENA_MAX, _ARENAS)


def _limit_threads(threads: int) -> None:
    """TensorFlow and its kernels read these when they are imported; the analysis workers inherit them."""
    names = ("TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS", "OMP_NUM_THREADS", "NUMBA_NUM_THREADS")
    for name in names:
        os.environ[name] = str(threads)


def _end_on_signals(server: Server) -> None:
    """The first SIGTERM or SIGINT drains, the second ends at once."""
    loop = asyncio.get_running_loop()
    received: list[int] = []

    def on_signal(number: int) -> None:
        if received:
            os._exit(128 + number)
        received.append(number)
        _log.info("%s: finishing what runs; once more ends at once", signal.Signals(number).name)
        server.end()

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, on_signal, number)


def _end_with_stdin(server: Server) -> None:
    """End when standard input closes: the process that started this one has ended, however."""
    loop = asyncio.get_running_loop()

    def wait() -> None:
        # Not sys.stdin: a thread that holds its lock would crash the interpreter's shutdown.
        while os.read(0, 4096):
            pass
        loop.call_soon_threadsafe(server.end)

    threading.Thread(target=wait, name="penult-stdin", daemon=True).start()


def _write_atomically(path: Path, text: str) -> None:
    """Readers see the whole text or no file."""
    with tempfile.NamedTemporaryFile("w", dir=path.parent, prefix=f".{path.name}.", delete=False) as draft:
        draft.write(text)
    Path(draft.name).chmod(0o644)
    Path(draft.name).replace(path)
