"""From a setting to the engine that follows it."""

from __future__ import annotations

import threading
from collections.abc import Collection, Iterator, Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

from penult_service.errors import ModelRefused
from penult_service.prepared import TOKENIZE, Manifest
from penult_service.tuned import FLOAT32, OPENVINO, Setting


class Functions(Mapping[str, Any]):
    """TensorFlow's signatures of a prepared model, loaded (and TensorFlow imported) when one is first asked for.

    Asked from several threads at once; `load` raises as `engines.tensorflow.signatures`.

    Args:
        directory: The prepared model.
        allow_ops: Operations that may be loaded beside those of the allow list.
        threads: That TensorFlow computes with; None: as many as it likes.
        tokenizing: A file of `tokenize` alone: where nothing else is asked for, the weights need not be loaded.
    """

    def __init__(
        self,
        directory: Path,
        allow_ops: Collection[str] = (),
        threads: int | None = None,
        tokenizing: Path | None = None,
    ) -> None:
        self._directory, self._allow_ops, self._threads = directory, tuple(allow_ops), threads
        self._tokenizing = tokenizing
        self._loaded: Mapping[str, Any] | None = None
        self._tokenize: Mapping[str, Any] | None = None
        self._lock = threading.Lock()

    def load(self) -> Mapping[str, Any]:
        """All of them."""
        with self._lock:
            if self._loaded is None:
                self._loaded = self._signatures(self._directory)
            return self._loaded

    def _signatures(self, directory: Path) -> Mapping[str, Any]:
        there = _tensorflow()
        there.use_threads(self._threads)
        found: Mapping[str, Any] = there.signatures(directory, self._allow_ops)
        return found

    def __getitem__(self, name: str) -> Any:
        if name == TOKENIZE and self._tokenizing is not None and self._loaded is None:
            with self._lock:
                self._tokenize = self._tokenize or self._signatures(self._tokenizing)
                return self._tokenize[name]
        return self.load()[name]

    def __contains__(self, name: object) -> bool:
        return (name == TOKENIZE and self._tokenizing is not None) or name in self.load()

    def __iter__(self) -> Iterator[str]:
        return iter(self.load())

    def __len__(self) -> int:
        return len(self.load())


def open_engine(
    directory: Path,
    manifest: Manifest,
    setting: Setting,
    *,
    ir: Path | None = None,
    allow_ops: Collection[str] = (),
) -> tuple[Any, Functions]:
    """The engine of a prepared model (it fulfils `embedder.Engine`), and TensorFlow's functions of the model.

    Args:
        directory: The prepared model.
        manifest: What it says.
        setting: How it is run; TensorFlow takes the threads of the first model that it runs in a process.
        ir: What `ir.convert` wrote; needed for OpenVINO.
        allow_ops: Operations that TensorFlow may load beside those of the allow list.

    Raises:
        ModelRefused: ENGINE_CANNOT, the engine is not there or does not take this model; or as `guard.prepared.check`.
        InvalidInput: DAMAGED.
    """
    tokenizing = ir / TOKENIZE if ir is not None and setting.engine == OPENVINO else None
    if tokenizing is not None and not tokenizing.is_dir():
        tokenizing = None
    functions = Functions(directory, allow_ops, setting.threads, tokenizing)

    def tensorflow(precision: str) -> Any:
        return _tensorflow().TensorFlowEngine(functions.load(), manifest, precision)

    if setting.engine != OPENVINO:
        return tensorflow(setting.precision), functions
    from penult_service.engines.openvino import OpenVINOEngine

    if ir is None:
        raise ValueError("OpenVINO needs the directory that ir.convert wrote")
    return OpenVINOEngine(ir, manifest, setting, _once(lambda: tensorflow(FLOAT32))), functions


def _tensorflow() -> Any:
    """Our module that imports TensorFlow. ModelRefused: ENGINE_CANNOT, it is not installed."""
    try:
        return import_module("penult_service.engines.tensorflow")
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in ("tensorflow", "tensorflow_text"):
            raise
        raise ModelRefused(
            f"{error.name} is not installed: a model is converted and checked with it before another engine serves it; "
            "pip install 'penult[tensorflow]'",
            reason="ENGINE_CANNOT",
        ) from error


def _once(make: Any) -> Any:
    """`make`, called when it is first needed, whichever threads ask."""
    made: list[Any] = []
    lock = threading.Lock()

    def get() -> Any:
        with lock:
            if not made:
                made.append(make())
            return made[0]

    return get
