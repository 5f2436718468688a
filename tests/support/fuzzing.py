"""Damaged models: which files are damaged, what then reads them, and how each of many turns out.

Nothing of TensorFlow's runtime may have begun in the process that calls `run`: it forks, for every few mutations a
child with everything imported. What ends a child is told from what it refuses.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import resource
import select
import shutil
import signal
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
from penult_service.errors import PenultError
from penult_service.prepared import MANIFEST_NAME, load_manifest
from penult_service.preparing import child
from penult_service.preparing.inspecting.inspection import inspect
from penult_service.preparing.sources import located
from support import mutations

MEMORY = 8 << 30  # bytes of private memory that a child may have: beyond, it fails as on a full machine
HANGS = 60.0  # seconds
TEXTS = ["a good film", "the plot , and the music", ""]


@dataclass(frozen=True)
class Target:
    """A file of a model, the way to damage it, and what then reads the model; `share` of all mutations."""

    model: str
    file: str
    damage: mutations.Mutation
    read: str
    share: float

    @property
    def name(self) -> str:
        """For tables."""
        return f"{self.read}: {self.model}/{self.file}".removesuffix("/")

    @property
    def in_server(self) -> bool:
        """Whether the server itself reads it, or else the child that prepares."""
        return self.read in ("manifest", "guard", "serve")

    @property
    def quick(self) -> bool:
        """Whether no model is loaded by TensorFlow."""
        return self.read in ("manifest", "guard", "inspect")


@dataclass(frozen=True)
class Outcome:
    """`reason`: of the refusal, or "accepted", or what should not be: "crash: ...", "hang", "error: ..."."""

    target: Target
    number: int
    reason: str
    message: str
    seconds: float
    peak: int

    @property
    def bad(self) -> bool:
        """Whether a person would have seen a traceback, or a server had ended or hung.

        What hangs or crashes in the child that prepares is ended and told in a line, whatever it is.
        """
        faults = ("error", "message", *(("crash", "hang") if self.target.in_server else ()))
        return self.reason.startswith(faults)


WEIGHTS = "variables/variables.data-00000-of-00001"
INDEX = "variables/variables.index"
GRAPH = "saved_model.pb"
TARGETS = (
    # Quick: nothing of TensorFlow runs.
    Target("prepared", MANIFEST_NAME, mutations.of_json, "manifest", 0.18),
    Target("prepared", GRAPH, mutations.of_bytes, "manifest", 0.02),
    Target("prepared", GRAPH, mutations.of_graph, "guard", 0.12),
    Target("prepared", INDEX, mutations.of_bytes, "guard", 0.05),
    Target("saved", GRAPH, mutations.of_graph, "inspect", 0.18),
    Target("saved", INDEX, mutations.of_bytes, "inspect", 0.05),
    Target("file.h5", "", mutations.of_hdf5, "inspect", 0.08),
    Target("file.keras", "", mutations.of_archive, "inspect", 0.08),
    # TensorFlow loads them: in the server what is prepared, in the child what is not.
    Target("prepared", GRAPH, mutations.of_graph, "serve", 0.04),
    Target("prepared", INDEX, mutations.of_bytes, "serve", 0.02),
    Target("prepared", WEIGHTS, mutations.of_bytes, "serve", 0.01),
    Target("saved", GRAPH, mutations.of_graph, "open", 0.04),
    Target("saved", INDEX, mutations.of_bytes, "open", 0.02),
    Target("saved", WEIGHTS, mutations.of_bytes, "open", 0.01),
    Target("saved", "keras_metadata.pb", mutations.of_keras_metadata, "open", 0.03),
    Target("saved", "labels.json", mutations.of_json, "open", 0.01),
    Target("file.h5", "", mutations.of_hdf5, "open", 0.03),
    Target("file.keras", "", mutations.of_archive, "open", 0.03),
    Target("saved", GRAPH, mutations.of_graph, "prepare", 0.008),
    Target("saved", "keras_metadata.pb", mutations.of_keras_metadata, "prepare", 0.008),
    Target("saved", WEIGHTS, mutations.of_bytes, "prepare", 0.004),
)


def make_models(home: Path) -> None:
    """`saved`, `prepared`, `file.h5`, `file.keras`, made in a process of their own."""
    process = multiprocessing.get_context("fork").Process(target=_make_models, args=(home,))
    process.start()
    process.join()
    assert process.exitcode == 0


def _make_models(home: Path) -> None:
    from penult_service.preparing import pipeline
    from support import seed_model as seeds
    from support import text_models

    model = text_models.classifier()
    text_models.save(model, home / "saved")
    (home / "saved" / "labels.json").write_text('["bad", "good", "neither"]')
    pipeline.prepare(home / "saved", home / "prepared", None, lambda *_: None)
    numbers = seeds.keras().layers.Input(shape=(4,))
    plain = seeds.keras().Model(numbers, text_models.dense(2, "output")(numbers))
    for name in ("file.h5", "file.keras"):
        plain.save(home / name)


def run(home: Path, targets: tuple[Target, ...], count: int, seed: int) -> Iterator[Outcome]:
    """The outcomes of about `count` mutations of the models in `home`, in the order of the targets."""
    for target in targets:
        numbers = list(range(max(1, round(count * target.share))))
        most = 50 if target.quick else 10
        while numbers:
            yield from _some(home, target, numbers, most, seed)


def _some(home: Path, target: Target, numbers: list[int], most: int, seed: int) -> Iterator[Outcome]:
    """Up to `most` of the numbers, in one child; those done are removed."""
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        _in_child(home, target, numbers[:most], seed, writing)
    os.close(writing)
    waiting = b""
    try:
        for _ in numbers[:most]:
            while b"\n" not in waiting:
                ready = select.select([reading], [], [], HANGS)[0]
                piece = os.read(reading, 1 << 16) if ready else b""
                if not piece:
                    how = _ended(pid) if ready else "hang"
                    yield Outcome(target, numbers.pop(0), how, "", HANGS, 0)
                    return
                waiting += piece
            line, _, waiting = waiting.partition(b"\n")
            told = json.loads(line)
            numbers.pop(0)
            yield Outcome(target, *told)
    finally:
        os.close(reading)
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)


def _ended(pid: int) -> str:
    """How the child ended, without reaping it."""
    found = os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
    assert found is not None
    killed = found.si_code in (os.CLD_KILLED, os.CLD_DUMPED)
    return f"crash: {signal.Signals(found.si_status).name}" if killed else f"crash: exit {found.si_status}"


def _in_child(home: Path, target: Target, numbers: list[int], seed: int, writing: int) -> None:
    resource.setrlimit(resource.RLIMIT_DATA, (MEMORY, MEMORY))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for descriptor in (1, 2):
        os.dup2(nowhere, descriptor)
    place = home / "work"
    for number in numbers:
        shutil.rmtree(place, ignore_errors=True)
        place.mkdir()
        model = _damaged(home, place, target, Random(f"{seed} {target.name} {number}"))
        started = time.monotonic()
        reason, message = _outcome(READERS[target.read], model)
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
        line = [number, reason, message[:300], time.monotonic() - started, peak]
        os.write(writing, json.dumps(line).encode() + b"\n")
    os._exit(0)


def _damaged(home: Path, place: Path, target: Target, random: Random) -> Path:
    original, model = home / target.model, place / target.model
    shutil.copytree(original, model) if original.is_dir() else shutil.copyfile(original, model)
    file = model / target.file if target.file else model
    file.write_bytes(target.damage(file.read_bytes(), random))
    return model


def _outcome(read: Callable[[Path], None], model: Path) -> tuple[str, str]:
    try:
        read(model)
    except PenultError as error:
        one_line = (
            bool(error.message) and error.message.isprintable()
        )  # nothing that a terminal would obey either
        return error.reason if one_line else "message that is no line", error.message
    except BaseException as error:  # noqa: BLE001 - that is what is looked for
        last = traceback.extract_tb(error.__traceback__)[-1]
        return f"error: {type(error).__name__}", f"{Path(last.filename).name}:{last.lineno}: {error}"
    return "accepted", ""


# What reads a damaged model, as the program does.


def _manifest(model: Path) -> None:
    load_manifest(model)


def _guard(model: Path) -> None:
    """As the server looks at a prepared model whose hashes fit."""
    from penult_service.guard import prepared

    _rehash(model)
    load_manifest(model)
    prepared.check(model)


def _serve(model: Path) -> None:
    """As the server loads it, and one call."""
    from penult_service.config import serve_config
    from penult_service.process import loader
    from penult_service.repository.sources import Source

    _rehash(model)
    config = serve_config(paths=(str(model),), data=model.parent / "data")
    loaded = loader(config)(Source("model", 1, model))
    with suppress(
        Exception
    ):  # an error of TensorFlow is told to the caller; what must not be is the server's end
        tokens = loaded.tokenizer.tokenize(TEXTS)
        loaded.engine.encode(tokens.inputs, [loaded.manifest.seam])
        loaded.engine.whole({"text": np.array(TEXTS, object)})


def _rehash(model: Path) -> None:
    from support.saved_graphs import rehashed

    rehashed(model)


def _inspect(model: Path) -> None:
    """As `launch` and the child look at what a person names, before anything reads it."""
    inspect(located(model))


def _open(model: Path) -> None:
    from penult_service.preparing.audit import audit
    from penult_service.preparing.declarations.declaration import NOTHING
    from penult_service.preparing.opening import open_model

    _inspect(model)
    with _as_the_child_tells(model):
        audit(open_model(model, None, NOTHING).flat)


def _prepare(model: Path) -> None:
    from penult_service.preparing import pipeline

    with _as_the_child_tells(model):
        pipeline.prepare(model, model.parent / "made", None, lambda *_: None)


class _as_the_child_tells:  # noqa: N801
    """What is no refusal becomes one, as in the child that prepares."""

    def __init__(self, model: Path) -> None:
        self._model = model

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: Any, error: BaseException | None, _: object) -> None:
        if isinstance(error, Exception) and not isinstance(error, PenultError):
            told = child._refusal(str(self._model), error)
            told.reason = f"{told.reason} ({type(error).__name__})"
            raise told from error


READERS: dict[str, Callable[[Path], None]] = {
    "manifest": _manifest,
    "guard": _guard,
    "serve": _serve,
    "inspect": _inspect,
    "open": _open,
    "prepare": _prepare,
}
