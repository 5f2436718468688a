"""How the server's process prepares and loads, with stand-ins for the halves that need TensorFlow."""

from __future__ import annotations

import gc
import logging
import sys
import weakref
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest
from penult_service import process
from penult_service.config import serve_config
from penult_service.engines.fake import Traits, fake_manifest
from penult_service.errors import PreconditionFailed
from penult_service.prepared import GRAPH, HEAD, TOKENIZE, TokenInput
from penult_service.repository.sources import Source
from penult_service.tokenizing.opening import open_tokenizer
from penult_service.tuned import Setting, Tuned


def manifest_of(directory: Path) -> SimpleNamespace:
    return SimpleNamespace(directory=directory, warnings=(), tokenizer=GRAPH, readouts=(), unread="")


@pytest.fixture
def halves(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """What the two halves were asked for."""
    asked: list[object] = []

    def prepare(
        source: Path,
        *,
        cache: Path,
        allow_ops: tuple[str, ...],
        allow_stochastic: bool,
        timeout: float,
        memory_limit: int | None,
        progress: Callable[[str, float], None],
    ) -> Path:
        for share in (0.0, 0.5):
            progress("reading", share)
        progress("proving", 0.9)
        asked.append((source, allow_ops, allow_stochastic, timeout, memory_limit))
        return cache / "done"

    def signatures(directory: Path, allow_ops: tuple[str, ...]) -> dict[str, str]:
        asked.append((directory, allow_ops))
        return {TOKENIZE: "tokenize", HEAD: "head"}

    stand_ins = {
        "preparing.launch": {"prepare": prepare},
        "engines.tensorflow": {
            "signatures": signatures,
            "TensorFlowEngine": lambda *given: ("engine", *given),
            "use_threads": asked.append,
        },
        "tokenizing.graph": {"GraphTokenizer": lambda *given: ("tokenizer", *given)},
    }
    for name, contents in stand_ins.items():
        module = ModuleType(f"penult_service.{name}")
        vars(module).update(contents)
        monkeypatch.setitem(sys.modules, module.__name__, module)
    monkeypatch.setattr(process, "load_manifest", manifest_of)
    return asked


def test_a_model_is_prepared_and_its_parts_are_put_together(
    tmp_path: Path, halves: list[object], caplog: pytest.LogCaptureFixture
) -> None:
    config = serve_config(
        paths=("m",),
        data=tmp_path / "data",
        prepare_timeout=7.0,
        prepare_memory=1.5,
        engine="tensorflow",
        threads=3,
        allow_ops="Erfinv, Lgamma",
    )
    with caplog.at_level(logging.INFO):
        model = process.loader(config)(Source("reviews", 4, Path("/raw")))
    done = tmp_path / "data" / "prepared" / "done"
    allowed = ("Erfinv", "Lgamma")
    assert halves == [(Path("/raw"), allowed, False, 7.0, 3 << 29), 3, (done, allowed)]
    manifest, functions = manifest_of(done), {TOKENIZE: "tokenize", HEAD: "head"}
    assert (model.name, model.version, model.manifest, model.tokenizer, model.engine) == (
        "reviews",
        4,
        manifest,
        ("tokenizer", "tokenize", manifest),
        ("engine", functions, manifest, "float32"),
    )
    assert model.tuned == Tuned(Setting("tensorflow", "float32", 3))
    assert [record.getMessage() for record in caplog.records] == [
        "preparing /raw: reading",
        "preparing /raw: proving",
        "reviews: tensorflow float32, 3 threads, batches of at most 2,048 tokens and 32 rows",
    ]


@pytest.mark.parametrize(
    ("traits", "says"),
    [({"takes": "ids"}, "nothing makes them of texts"), ({"whole_only": True}, "no tensor of this model")],
)
def test_a_model_without_a_tokenizer_says_why(tmp_path: Path, traits: dict[str, object], says: str) -> None:
    tokenizer = open_tokenizer(tmp_path, fake_manifest(traits=Traits(**traits)), dict)
    with pytest.raises(PreconditionFailed, match=says):
        tokenizer.tokenize(["a"])


def test_a_tokenizer_beside_the_model_makes_its_tokens_and_no_values(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    manifest = fake_manifest(traits=Traits(takes="file"))
    beside = TokenInput("n", "value", "float32", "n", (1,))
    module = ModuleType("penult_service.tokenizing.library")
    module.library_tokenizer = lambda directory, inputs: (directory, inputs)  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, module.__name__, module)
    found = open_tokenizer(tmp_path, replace(manifest, inputs=(beside, *manifest.inputs)), dict)
    assert found == (tmp_path, list(manifest.inputs))


@pytest.mark.parametrize(
    ("environment", "heaps"),
    [
        ({}, [(-8, 2)]),
        ({"GLIBC_TUNABLES": "glibc.malloc.check=3"}, [(-8, 2)]),
        ({"MALLOC_ARENA_MAX": "8"}, []),
        ({"GLIBC_TUNABLES": "glibc.malloc.check=3:glibc.malloc.arena_max=8"}, []),
    ],
)
def test_heaps_are_few_unless_the_environment_says_how_many(
    monkeypatch: pytest.MonkeyPatch, environment: dict[str, str], heaps: list[tuple[int, int]]
) -> None:
    said: list[tuple[int, int]] = []
    malloc = SimpleNamespace(mallopt=lambda option, value: said.append((option, value)))
    monkeypatch.setattr(process.os, "environ", environment)
    monkeypatch.setattr(process.ctypes, "CDLL", lambda _: malloc)
    process._share_heaps()
    assert said == heaps


@pytest.mark.parametrize("malloc", [SimpleNamespace(), None])
def test_another_malloc_is_left_alone(monkeypatch: pytest.MonkeyPatch, malloc: object) -> None:
    """Of another C library, or where none is found by no name."""

    def library(_: None) -> object:
        if malloc is None:
            raise TypeError("argument of type 'NoneType' is not iterable")
        return malloc

    monkeypatch.setattr(process.os, "environ", dict[str, str]())
    monkeypatch.setattr(process.ctypes, "CDLL", library)
    process._share_heaps()


def test_threads_are_set_before_tensorflow_comes(monkeypatch: pytest.MonkeyPatch) -> None:
    environment: dict[str, str] = {}
    monkeypatch.setattr(process.os, "environ", environment)
    process._limit_threads(3)
    assert environment == dict.fromkeys(
        ("TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS", "OMP_NUM_THREADS", "NUMBA_NUM_THREADS"), "3"
    )


class Ring:
    """Garbage that only the collector finds."""

    def __init__(self) -> None:
        self.ring = self


def test_the_garbage_collector_does_not_look_again_through_what_is_loaded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    frozen = []

    async def run(*_: object, loaded: Callable[[], None]) -> int:
        garbage = weakref.ref(Ring())
        frozen.append(gc.get_freeze_count())
        loaded()
        frozen.append(gc.get_freeze_count())
        assert garbage() is None  # it would stay for ever
        return 0

    monkeypatch.setattr(process, "run", run)
    monkeypatch.setattr(process.logs, "configure", lambda _: None)
    try:
        process.serve(serve_config(paths=("fake:m",), data=tmp_path))
    finally:
        gc.unfreeze()
    before, after = frozen
    assert after > before + 1000
