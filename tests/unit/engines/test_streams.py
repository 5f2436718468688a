"""Engines called from several threads at once: each gets what it would get alone, in OpenVINO's streams or not."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from penult_service.engines import ir as making
from penult_service.engines import opening, openvino
from penult_service.engines.opening import Functions, open_engine
from penult_service.engines.openvino import OpenVINOEngine
from penult_service.errors import InvalidInput, ModelRefused
from penult_service.prepared import HEAD, Manifest
from penult_service.tuned import BFLOAT16, FLOAT32, OPENVINO, TENSORFLOW, Setting
from support import prepared_by_hand
from support.engines import seed_model_on

CALLERS, CALLS = 4, 24
LAYERS = (["pooler"], ["encoder"], ["pooler", "encoder"])


@pytest.fixture(scope="module")
def ir(by_hand: Path, limited: Manifest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("ir")
    making.convert(by_hand, limited, Functions(by_hand), place)
    return place


def at_once(number: int, do: Callable[[int], Any]) -> list[Any]:
    """What `do` gives each of so many threads, that begin together."""
    together = threading.Barrier(number)

    def begin(i: int) -> Any:
        together.wait(timeout=60)
        return do(i)

    with ThreadPoolExecutor(number) as pool:
        return list(pool.map(begin, range(number)))


def batch(seed: int) -> dict[str, NDArray[np.int32]]:
    """Rows of as many tokens as they like, padded."""
    random = np.random.default_rng(seed)
    shape = (int(random.integers(1, 6)), int(random.integers(1, prepared_by_hand.POSITIONS + 1)))
    lengths = random.integers(1, shape[1] + 1, shape[0])
    found = {
        "ids": random.integers(0, len(prepared_by_hand.VOCABULARY), shape),
        "mask": np.arange(shape[1]) < lengths[:, None],
        "types": random.integers(0, 2, shape),
    }
    return {name: array.astype(np.int32) for name, array in found.items()}


@pytest.mark.parametrize(("threads", "streams"), [(2, 2), (1, 1), (4, 2)])
@pytest.mark.parametrize("alone", [(True,), (False,), (True, False)], ids=str)
def test_each_caller_gets_its_own_rows(
    by_hand: Path, limited: Manifest, ir: Path, threads: int, streams: int, alone: Sequence[bool]
) -> None:
    setting = Setting(OPENVINO, FLOAT32, threads, streams=streams)
    engine, _ = open_engine(by_hand, limited, setting, ir=ir)

    def computed(caller: int, call: int, **how: bool) -> list[NDArray[Any]]:
        seed = caller * CALLS + call
        found = engine.encode(batch(seed), LAYERS[seed % len(LAYERS)], **how)
        return [*found.values(), *([engine.head(found["pooler"])["output"]] if "pooler" in found else [])]

    def call_all(caller: int) -> list[list[NDArray[Any]]]:
        return [computed(caller, call, alone=alone[(caller + call) % len(alone)]) for call in range(CALLS)]

    for caller, answers in enumerate(at_once(CALLERS, call_all)):
        for call, answer in enumerate(answers):
            for found, wanted in zip(answer, computed(caller, call), strict=True):
                np.testing.assert_allclose(found, wanted, rtol=1e-5, atol=1e-6)


def test_in_streams_it_computes_what_numpy_does(by_hand: Path, limited: Manifest, ir: Path) -> None:
    engine, _ = open_engine(by_hand, limited, Setting(OPENVINO, threads=2, streams=2), ir=ir)
    for seed in range(5):
        given = batch(seed)
        tokens, pooled, _ = prepared_by_hand.by_numpy(*given.values())
        found = engine.encode(given, ["pooler", "encoder"], alone=False)
        shown = given["mask"].astype(bool)
        np.testing.assert_allclose(found["encoder"][shown], tokens[shown], rtol=1e-5, atol=1e-6)
        np.testing.assert_allclose(found["pooler"], pooled, rtol=1e-5, atol=1e-6)


def test_one_caller_s_wrong_numbers_are_its_own(by_hand: Path, limited: Manifest, ir: Path) -> None:
    engine, _ = open_engine(by_hand, limited, Setting(OPENVINO, threads=2, streams=2), ir=ir)
    wanted = engine.encode(batch(1), ["pooler"])["pooler"]

    def call(caller: int) -> None:
        for _ in range(CALLS):
            if caller % 2:
                with pytest.raises(InvalidInput):
                    engine.encode({**batch(1), "ids": batch(1)["ids"] + 10**6}, ["pooler"], alone=False)
            else:
                found = engine.encode(batch(1), ["pooler"], alone=False)["pooler"]
                np.testing.assert_allclose(found, wanted, rtol=1e-5, atol=1e-6)

    at_once(CALLERS, call)


@pytest.mark.parametrize(("streams", "compiled"), [(1, [1]), (2, [1, 2])])
def test_what_is_compiled(
    monkeypatch: pytest.MonkeyPatch, limited: Manifest, ir: Path, streams: int, compiled: list[int]
) -> None:
    asked: list[tuple[str, int, int]] = []
    read: list[str] = []
    core = openvino.core()

    class Core:
        def read_model(self, file: Path) -> Any:
            read.append(file.stem)
            return core.read_model(file)

        def compile_model(self, model: Any, device: str, settings: dict[str, Any]) -> Any:
            found = core.compile_model(model, device, settings)
            what = HEAD if any(one.any_name == "output" for one in model.outputs) else "encode"
            told = [found.get_property(name) for name in ("INFERENCE_NUM_THREADS", "NUM_STREAMS")]
            asked.append((what, *told))
            return found

    monkeypatch.setattr(openvino, "core", Core)
    engine = OpenVINOEngine(ir, limited, Setting(OPENVINO, threads=2, streams=streams), lambda: None)
    assert asked == [*[("encode", 2, number) for number in compiled], (HEAD, 2, streams)]
    assert len(read) == len(set(read)) == 2, "what is compiled twice is read once"
    for alone in (True, False):
        engine.encode(batch(1), [engine._manifest.seam], alone=alone)
    assert len(asked) == len(compiled) + 1, "it is compiled before the first call"


class Compiled:
    """A compiled model whose requests fail when they are told to, and compute when `gate` lets them."""

    inputs = outputs = ()

    def __init__(self, gate: Callable[[], Any] = lambda: None) -> None:
        self.gate, self.fails = gate, False
        self.requests: list[Any] = []

    def create_infer_request(self) -> Any:
        self.requests.append(self)
        return self

    def infer(self, *_: Any, **__: Any) -> dict[str, Any]:
        if self.fails:
            raise RuntimeError("the shapes do not fit")
        self.gate()
        return {}


def test_there_are_as_many_requests_as_there_were_calls_in_flight() -> None:
    together = threading.Barrier(3)
    compiled = Compiled(lambda: together.wait(timeout=60))
    function = openvino._Function(compiled)
    for _ in range(4):
        at_once(3, lambda _: function({}, []))
    assert len(compiled.requests) == 3
    compiled.gate = lambda: None
    for _ in range(9):
        function({}, [])
    assert len(compiled.requests) == 3


def test_there_is_a_request_for_each_stream_before_the_first_call() -> None:
    together = threading.Barrier(3)
    compiled = Compiled(lambda: together.wait(timeout=60))
    function = openvino._Function(compiled, 3)
    assert len(compiled.requests) == 3
    at_once(3, lambda _: function({}, []))
    assert len(compiled.requests) == 3


def test_who_has_its_function_waits_for_no_other_s_to_be_compiled(
    monkeypatch: pytest.MonkeyPatch, limited: Manifest, ir: Path
) -> None:
    engine = OpenVINOEngine(ir, limited, Setting(OPENVINO, threads=2, streams=2), lambda: None)
    compiling, may_end = threading.Event(), threading.Event()
    compiled: list[int] = []

    def slowly(*given: Any, real: Any = openvino._compiled) -> Any:
        compiled.append(1)
        compiling.set()
        assert may_end.wait(60)
        return real(*given)

    monkeypatch.setattr(openvino, "_compiled", slowly)
    seam = limited.seam
    for key in [key for key in engine._encoders if key[2] == 2]:
        del engine._encoders[key]  # as if this readout had not been asked for in streams
    with ThreadPoolExecutor(4) as pool:
        try:
            waiting = [pool.submit(engine.encode, batch(1), [seam], alone=False) for _ in range(2)]
            assert compiling.wait(60)
            pool.submit(engine.encode, batch(1), [seam], alone=True).result(60)
            assert not any(each.done() for each in waiting)
        finally:
            may_end.set()
        found = [each.result(60)[seam] for each in waiting]
    np.testing.assert_allclose(found[0], found[1], rtol=1e-5, atol=1e-6)
    assert len(compiled) == 1, "both waited for the same"


def test_what_cannot_be_compiled_in_streams_is_computed_by_all_threads(
    monkeypatch: pytest.MonkeyPatch, limited: Manifest, ir: Path, caplog: pytest.LogCaptureFixture
) -> None:
    wanted = OpenVINOEngine(ir, limited, Setting(OPENVINO, threads=2), lambda: None)

    def refusing(model: Any, how: dict[str, Any], *rest: Any, real: Any = openvino._compiled) -> Any:
        if how["NUM_STREAMS"] > 1:
            raise RuntimeError("too many streams")
        compiled.append(1)
        return real(model, how, *rest)

    compiled: list[int] = []
    monkeypatch.setattr(openvino, "_compiled", refusing)
    engine = OpenVINOEngine(ir, limited, Setting(OPENVINO, threads=2, streams=2), lambda: None)
    assert caplog.text.count("too many streams; in 2 streams: it is computed one batch at a time") == 2
    assert len(compiled) == 2, "the encoder that there is already serves, and the head"
    for layers in LAYERS:
        for alone in (False, True):
            found, same = (one.encode(batch(3), layers, alone=alone) for one in (engine, wanted))
            for layer in layers:
                np.testing.assert_allclose(found[layer], same[layer], rtol=1e-5, atol=1e-6)
    seam = wanted.encode(batch(3), [limited.seam])[limited.seam]
    np.testing.assert_allclose(engine.head(seam)["output"], wanted.head(seam)["output"], rtol=1e-5)
    begun = len(compiled)
    at_once(3, lambda _: engine.encode(batch(3), LAYERS[2], alone=False))
    assert len(compiled) == begun


def test_what_cannot_be_compiled_at_all_is_refused(
    monkeypatch: pytest.MonkeyPatch, limited: Manifest, ir: Path
) -> None:
    def refusing(*_: Any) -> Any:
        raise RuntimeError("no such operation")

    monkeypatch.setattr(openvino, "_compiled", refusing)
    with pytest.raises(ModelRefused, match="no such operation"):
        OpenVINOEngine(ir, limited, Setting(OPENVINO, threads=2, streams=2), lambda: None)


@pytest.mark.parametrize(("streams", "kept"), [(1, 128), (2, 42), (4, 21), (5, 20), (16, 20)])
def test_streams_keep_no_more_kernels_together(
    monkeypatch: pytest.MonkeyPatch, streams: int, kept: int
) -> None:
    given: list[dict[str, Any]] = []

    class Core:
        def compile_model(self, _: Any, __: str, settings: dict[str, Any]) -> None:
            given.append(settings)

    class Model:
        def get_ops(self) -> list[Any]:
            return []

    monkeypatch.setattr(openvino, "core", Core)
    openvino._compiled(Model(), openvino.options(FLOAT32, 16, streams), 128)
    assert [one["CPU_RUNTIME_CACHE_CAPACITY"] for one in given] == [kept]


def test_a_request_that_failed_is_used_again() -> None:
    compiled = Compiled()
    function = openvino._Function(compiled)
    compiled.fails = True
    for _ in range(5):
        with pytest.raises(RuntimeError, match="do not fit"):
            function({}, [])
    compiled.fails = False
    assert function({}, []) == {}
    assert len(compiled.requests) == 1


def test_the_other_engine_is_opened_once_whoever_asks() -> None:
    made: list[int] = []
    entered = threading.Event()

    def make() -> str:
        made.append(1)
        entered.wait(0.05)  # in which the others ask too
        return "engine"

    get = opening._once(make)
    assert at_once(CALLERS, lambda _: get()) == ["engine"] * CALLERS
    assert made == [1]


def test_what_was_computed_while_another_thread_told_tensorflow_is_computed_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from penult_service.engines import tensorflow

    mixed = threading.Event()
    told: list[str] = []
    monkeypatch.setattr(tensorflow, "_mixed", mixed)
    monkeypatch.setattr(tensorflow, "_tell", told.append)

    def compute() -> int:
        mixed.set()  # as the first engine in bfloat16 does, at the worst moment
        return len(told)

    assert tensorflow._told_of(FLOAT32, compute) == 2
    assert tensorflow._told_of(FLOAT32, compute) == 3


def test_tensorflow_computes_two_precisions_at_once() -> None:
    engines = [seed_model_on(TENSORFLOW).engine, seed_model_on(TENSORFLOW, BFLOAT16).engine]
    model = seed_model_on(TENSORFLOW)
    inputs, seam = (
        model.tokenizer.tokenize(["dull", "a film that i will not forget"]).inputs,
        model.manifest.seam,
    )
    wanted = [engine.encode(inputs, [seam])[seam] for engine in engines]
    assert (wanted[0] != wanted[1]).any()

    def call(caller: int) -> None:
        for number in range(6):
            which = (caller + number // 2) % 2
            found = engines[which].encode(inputs, [seam], alone=False)[seam]
            np.testing.assert_array_equal(found, wanted[which])

    try:
        at_once(CALLERS, call)
    finally:  # this thread told TensorFlow last to compute in bfloat16, and so would the tests behind this one
        engines[0].encode(inputs, [seam])
