"""What the child that measures opens, holds against TensorFlow, and times: engines that are right, wrong, or fail."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from penult_service.engines import measuring, timing
from penult_service.engines.measuring import Found, Job
from penult_service.engines.wishes import Wish, settings_for
from penult_service.tuned import AUTO, BFLOAT16, FLOAT32, OPENVINO, TENSORFLOW, Setting
from support.fakes import fake_model

MODEL = fake_model()
TEXTS = tuple(f"{'word ' * (i % 40)}{i}" for i in range(60))
SETTINGS = tuple(settings_for(Wish(), 4, timed=True))
STREAMS, ALONE, HALF, TF = SETTINGS


class Engine:
    """The fake one, that adds `by` to what it computes as it is told, and fails after so many calls of that kind."""

    def __init__(self, setting: Setting) -> None:
        self.setting = setting
        self.wrong: dict[bool, float] = {}  # by `alone`
        self.fails: dict[bool, int] = {}
        self.calls = {True: 0, False: 0}

    def encode(
        self, inputs: Mapping[str, Any], layers: Sequence[str], *, alone: bool = True
    ) -> dict[str, Any]:
        self.calls[alone] += 1
        if self.calls[alone] > self.fails.get(alone, 10**9):
            raise RuntimeError("no memory left\nand more of it")
        found = MODEL.engine.encode(inputs, layers, alone=alone)
        return {layer: array + np.float32(self.wrong.get(alone, 0.0)) for layer, array in found.items()}

    def head(self, embedding: Any, values: Any = None) -> dict[str, Any]:
        return dict(MODEL.engine.head(embedding, values))


class Bench:
    """A child whose engines are these; `opened` has them in order."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.opened: list[Engine] = []
        self.wrong: dict[bool, float] = {}
        self.fails: dict[bool, int] = {}
        monkeypatch.setattr(measuring, "open_engine", self._open)
        monkeypatch.setattr(measuring, "open_tokenizer", lambda *_: MODEL.tokenizer)
        for name in ("_ROUND_SECONDS", "_SIZE_SECONDS"):
            monkeypatch.setattr(timing, name, 0.001)

    def _open(self, _: Path, __: Any, setting: Setting, **___: Any) -> tuple[Engine, None]:
        engine = Engine(setting)
        if setting.engine == OPENVINO:
            engine.wrong, engine.fails = self.wrong, self.fails
        self.opened.append(engine)
        return engine, None

    def found(self, settings: Sequence[Setting] = SETTINGS, *, time: bool = False, **more: Any) -> Found:
        job = Job("model", "ir", True, tuple(settings), FLOAT32, TEXTS, time, **more)
        return measuring._Bench(job, MODEL.manifest, lambda *_: None).found()

    def problems(self, *settings: Setting, **more: Any) -> dict[Setting, str]:
        return {one.setting: one.problem for one in self.found(settings or SETTINGS, **more).measured}


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch) -> Bench:
    return Bench(monkeypatch)


@pytest.mark.parametrize("wish", [Wish(), Wish(AUTO, AUTO), Wish(OPENVINO, BFLOAT16, 3)], ids=str)
def test_an_engine_is_opened_once_for_all_its_streams(bench: Bench, wish: Wish) -> None:
    settings = settings_for(wish, 4, timed=True)
    assert set(bench.problems(*settings).values()) == {""}
    kinds = {(one.engine, one.precision, one.threads) for one in settings}
    kinds.add((TENSORFLOW, FLOAT32, settings[0].threads))  # that they are held against
    opened = [engine.setting for engine in bench.opened]
    assert sorted((one.engine, one.precision, one.threads) for one in opened) == sorted(kinds)
    most = max(one.streams for one in settings)
    assert most in [one.streams for one in opened], "what has streams computes one batch as well"


def test_whatever_comes_first_is_opened_in_streams(bench: Bench) -> None:
    assert set(bench.problems(ALONE, STREAMS).values()) == {""}
    assert [engine.setting for engine in bench.opened] == [TF, STREAMS]


def test_what_is_wrong_in_streams_costs_them_alone(bench: Bench) -> None:
    bench.wrong = {False: 0.01}
    problems = bench.problems()
    assert problems.pop(STREAMS).startswith("in 4 streams: its embeddings differ from TensorFlow's by 0.01")
    assert set(problems.values()) == {""}
    assert bench.opened[1].calls[False] > 0


def test_what_fails_in_streams_costs_them_alone(bench: Bench) -> None:
    bench.fails = {False: 0}
    problems = bench.problems()
    assert problems.pop(STREAMS) == "it failed on ordinary texts: RuntimeError: no memory left"
    assert set(problems.values()) == {""}


def test_what_is_wrong_alone_is_not_used_in_streams_either(bench: Bench) -> None:
    bench.wrong = {True: 0.01}
    problems = bench.problems()
    assert {setting for setting, problem in problems.items() if problem} == {STREAMS, ALONE, HALF}
    assert bench.opened[1].calls[False] == 0


def test_one_stream_is_held_alone(bench: Bench) -> None:
    bench.found([ALONE, HALF, TF])
    assert sum(engine.calls[False] for engine in bench.opened) == 0


def test_a_forced_precision_is_taken_in_streams_too(bench: Bench) -> None:
    bench.wrong = {True: 1.0, False: 1.0}
    settings = settings_for(Wish(OPENVINO, BFLOAT16), 4, timed=True)
    assert all(bench.problems(*settings).values())
    assert not any(bench.problems(*settings, force=True).values())


def test_streams_that_fail_while_they_are_timed_cost_themselves_alone(bench: Bench) -> None:
    bench.found()
    bench.fails = {False: bench.opened[1].calls[False]}
    found = bench.found(time=True)
    problems = {one.setting: one.problem for one in found.measured}
    assert problems[STREAMS] == "it failed while it was timed: RuntimeError: no memory left"
    assert found.best is not None
    assert found.best.streams == 1
    assert problems[ALONE] == problems[HALF] == problems[TF] == ""


def test_when_all_fail_while_they_are_timed_nothing_is_usable(bench: Bench) -> None:
    bench.found([ALONE])
    bench.fails = {True: bench.opened[1].calls[True]}
    found = bench.found([ALONE], time=True)
    assert found.best is None
    assert [one.problem for one in found.measured] == [
        "it failed while it was timed: RuntimeError: no memory left"
    ]


def test_when_no_size_can_be_tried_the_usual_one_is_kept(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    def sizes(*_: Any) -> None:
        raise RuntimeError("no memory left")

    monkeypatch.setattr(timing.Stopwatch, "sizes", sizes)
    found = bench.found([STREAMS], time=True)
    assert found.best == STREAMS
    assert [one.problem for one in found.measured] == [""]
