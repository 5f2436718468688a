"""What is chosen, what is kept, and what happens when the child that measures has nothing good to say."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest
from penult_service.config import ServeConfig
from penult_service.engines import choosing, kept, machine
from penult_service.engines.choosing import Chosen, choose
from penult_service.engines.fake import Traits, fake_manifest
from penult_service.engines.index import Index
from penult_service.engines.measuring import Found, Job
from penult_service.engines.texts import TEXTS
from penult_service.engines.timing import best
from penult_service.engines.wishes import Wish, settings_for, streams_of, wish_of
from penult_service.errors import InvalidInput, ModelRefused
from penult_service.guard.random_ops import RANDOM_OPS
from penult_service.prepared import MANIFEST_NAME
from penult_service.tuned import AUTO, BFLOAT16, FLOAT32, OPENVINO, TENSORFLOW, Measured, Price, Setting

RATES = {
    (OPENVINO, FLOAT32): 1000.0,
    (TENSORFLOW, FLOAT32): 800.0,
    (OPENVINO, BFLOAT16): 2000.0,
    (TENSORFLOW, BFLOAT16): 900.0,
}
CHEAP, DEAR = Price(500, 0.9995, 0.9999, 0.01, 0.0, 0.97), Price(500, 0.99, 0.9999, 0.1, 0.02, 0.7)

Answer = Callable[[Job], Found]


def measuring(job: Job, price: Price = CHEAP) -> Found:
    """As the child would answer on a machine with these rates; it writes an IR where it is asked to."""
    if job.ir and not job.made:
        (Path(job.ir) / "encode.bin").write_bytes(b"weights")
        Index({}, True, False, {}).write(Path(job.ir))
    measured, prices = [], []
    for setting in job.settings:
        problem = "" if price is CHEAP or setting.precision == FLOAT32 or job.force else "it costs too much"
        measured.append(
            Measured(setting, 0.0 if problem else RATES[setting.engine, setting.precision], 0.1, problem)
        )
        prices.append(None if setting == replace(setting, engine=TENSORFLOW, precision=FLOAT32) else price)

    found = best(measured, job.precision) if job.time else None
    return Found(job.ir is not None, tuple(measured), tuple(prices), found.setting if found else None)


class Machine:
    """A prepared model, a home, and a child that answers with `answer`, of which `asked` tells the jobs."""

    def __init__(self, place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.directory, self.home = place / "model", place / "home"
        self.directory.mkdir()
        self.home.mkdir()
        self.manifest = fake_manifest()
        self.rewrite("{}")
        self.asked: list[Job] = []
        self.answer: Answer = measuring
        monkeypatch.setattr(choosing, "ask", self._ask)
        monkeypatch.setattr(machine, "cores", lambda: 4)
        self.load = 0.5
        monkeypatch.setattr(machine, "load", lambda: self.load)

    def rewrite(self, text: str) -> None:
        (self.directory / MANIFEST_NAME).write_text(text)

    def _ask(self, job: dict[str, Any], *, threads: int, **_: Any) -> dict[str, Any]:
        assert job.pop("what") == "tune"
        assert threads == job["settings"][0]["threads"]
        asked = choosing.decoded(Job, json.loads(json.dumps(job)), "job")
        self.asked.append(asked)
        return json.loads(json.dumps(asdict(self.answer(asked))))

    def choose(self, *wish: Any, **given: Any) -> Chosen:
        return choose(self.directory, self.manifest, Wish(*wish), self._home, **given)

    def _home(self) -> Path:
        if isinstance(self.home, Exception):
            raise self.home
        return self.home

    @property
    def kept(self) -> list[str]:
        return sorted(path.name.partition("-")[0] for path in self.home.iterdir())


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Machine:
    return Machine(tmp_path, monkeypatch)


def test_tensorflow_in_float32_is_taken_as_it_is(here: Machine) -> None:
    found = here.choose(TENSORFLOW, FLOAT32, 3)
    assert found.tuned.setting == Setting(TENSORFLOW, FLOAT32, 3)
    assert here.choose(TENSORFLOW).tuned.setting.threads == 4
    assert (found.tuned.measured, found.tuned.price, found.ir) == ((), None, None)
    assert here.asked == []
    assert here.kept == []


def test_a_model_that_is_only_run_whole_is_tensorflow_s(here: Machine) -> None:
    here.manifest = fake_manifest(traits=Traits(whole_only=True))
    assert here.choose(AUTO, AUTO).tuned.setting.engine == TENSORFLOW
    assert here.asked == []


def test_auto_measures_once_and_remembers(here: Machine) -> None:
    found = here.choose()
    assert found.tuned.setting.engine == OPENVINO
    assert {one.setting.precision for one in found.tuned.measured} == {FLOAT32}
    assert {one.setting.engine for one in found.tuned.measured} == {OPENVINO, TENSORFLOW}
    assert found.tuned.processor
    assert found.ir is not None
    assert (found.ir / "ir.json").is_file()
    assert here.kept == ["ir", "tuned"]
    assert here.choose() == found
    assert len(here.asked) == 1


@pytest.mark.parametrize(
    "change", ["model", "threads", "engine", "precision", "processor", "packages", "ops", "measuring"]
)
def test_what_it_depends_on_is_measured_again(
    here: Machine, monkeypatch: pytest.MonkeyPatch, change: str
) -> None:
    here.choose(AUTO, FLOAT32)
    wish: tuple[Any, ...] = (AUTO, FLOAT32)
    if change == "model":
        here.rewrite('{"other": 1}')
    elif change == "processor":
        monkeypatch.setattr(machine, "processor", lambda: "Another one")
    elif change == "packages":
        monkeypatch.setattr(kept, "_version", lambda _: "99")
    elif change == "measuring":
        monkeypatch.setattr(kept, "_MEASURED", "99")
    else:
        wish = {
            "threads": (AUTO, FLOAT32, 2),
            "engine": (OPENVINO, FLOAT32),
            "precision": (AUTO, AUTO),
            "ops": (AUTO, FLOAT32, None, False, ("PyFunc",)),
        }[change]
    here.choose(*wish)
    assert len(here.asked) == 2
    assert here.asked[1].made == (change not in ("model", "packages")), "the IR is made once for all wishes"


def test_measured_again_on_demand(here: Machine) -> None:
    here.choose()
    here.answer = lambda job: replace(measuring(job), best=Setting(TENSORFLOW, FLOAT32, 4))
    assert here.choose(again=True).tuned.setting.engine == TENSORFLOW
    assert here.choose().tuned.setting.engine == TENSORFLOW
    assert len(here.asked) == 2


@pytest.mark.parametrize(("then", "now", "times"), [(9.0, 4.0, 2), (9.0, 5.0, 1), (3.9, 0.1, 1)])
def test_what_was_measured_beside_others_is_measured_again_when_they_have_left(
    here: Machine, caplog: pytest.LogCaptureFixture, then: float, now: float, times: int
) -> None:
    here.load = then
    here.choose()
    assert here.asked[0].size == (then < 4)
    assert ("9 processes wanted to run on 4 cores" in caplog.text) == (then > 4)
    here.load = now
    assert here.choose().tuned.load == (now if times == 2 else then)
    assert len(here.asked) == times


def test_tensorflow_named_is_timed_on_demand_too(here: Machine) -> None:
    found = here.choose(TENSORFLOW, again=True)
    assert here.asked[0].time
    assert here.asked[0].ir is None
    assert [one.tokens_per_second for one in found.tuned.measured] == [800.0]


@pytest.mark.parametrize("damage", ["cut", "no JSON", "another shape", "IR gone", "weights", "index"])
def test_what_is_damaged_is_made_again(here: Machine, damage: str) -> None:
    found = here.choose()
    (file,) = here.home.glob("tuned-*")
    if damage == "cut":
        file.write_text(file.read_text()[:100])
    elif damage == "no JSON":
        file.write_bytes(b"\xff\x00")
    elif damage == "another shape":
        file.write_text('{"tuned": {"setting": 3}}')
    else:
        assert found.ir is not None
        if damage == "weights":
            (found.ir / "encode.bin").write_bytes(b"Weights")
        elif damage == "index":
            (found.ir / "ir.json").unlink()
        else:
            shutil.rmtree(found.ir)
    assert here.choose() == found
    assert len(here.asked) == 2
    assert here.asked[1].made == (damage in ("cut", "no JSON", "another shape"))
    assert here.choose() == found
    assert len(here.asked) == 2


def test_a_named_engine_is_checked_and_not_timed(here: Machine) -> None:
    found = here.choose(OPENVINO, FLOAT32, 2)
    (job,) = here.asked
    ways = (Setting(OPENVINO, FLOAT32, 2, streams=2), Setting(OPENVINO, FLOAT32, 2))
    assert (job.time, job.settings) == (False, ways)
    assert len(job.texts) <= 130
    assert found.tuned.setting == Setting(OPENVINO, FLOAT32, 2, streams=2)
    assert found.tuned.measured == ()
    assert found.tuned.price == CHEAP


def test_a_named_engine_that_is_wrong_in_streams_serves_without_them(here: Machine) -> None:
    def wrong(job: Job) -> Found:
        found = measuring(job)
        return replace(
            found, measured=(replace(found.measured[0], problem="in 2 streams: wrong"), *found.measured[1:])
        )

    here.answer = wrong
    assert here.choose(OPENVINO, FLOAT32, 2).tuned.setting == Setting(OPENVINO, FLOAT32, 2)


def test_of_many_texts_the_longest_and_the_strangest_are_among_the_few(here: Machine) -> None:
    here.choose()
    tried = here.asked[0].texts
    assert {*TEXTS[:6], *TEXTS[::7]} <= set(tried)
    assert len(set(tried)) == len(tried) <= 130
    mine = [f"word {i}" for i in range(1000)]
    mine[501] = "long " * 500
    here.choose(OPENVINO, texts=mine, again=True)
    assert mine[501] in here.asked[1].texts
    here.choose(AUTO, BFLOAT16, texts=mine)
    assert here.asked[2].texts == tuple(mine)


def test_another_server_made_the_ir_in_the_meantime(here: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    class Full:
        def __init__(self, ir: Path) -> None:
            self.ir = ir

        def __enter__(self) -> Path:
            self.ir.mkdir()
            Index({}, True, False, {}).write(self.ir)
            raise OSError("no space left")

        def __exit__(self, *_: object) -> None:
            raise AssertionError("it was never entered")

    monkeypatch.setattr(choosing, "new_directory", Full)
    assert here.choose(OPENVINO).tuned.setting.engine == OPENVINO
    assert [job.made for job in here.asked] == [True]


def test_random_operations_are_allowed_where_replies_say_so(here: Machine) -> None:
    config = ServeConfig(allow_ops="Lgamma", allow_stochastic=True)
    random = replace(here.manifest, proof=replace(here.manifest.proof, proven=False))
    assert wish_of(config, here.manifest).allow_ops == ("Lgamma",)
    assert wish_of(config, random).allow_ops == ("Lgamma", *RANDOM_OPS)
    careful = config.model_copy(update={"allow_stochastic": False})
    assert wish_of(careful, random).allow_ops == ("Lgamma",)


def test_what_the_named_engine_cannot_is_refused_and_remembered(here: Machine) -> None:
    problem = "it has the operation StringJoin"

    def cannot(job: Job) -> Found:
        measured = tuple(Measured(setting, problem=problem) for setting in job.settings)
        return Found(False, measured, (None,) * len(measured))

    here.answer = cannot
    for _ in range(2):
        with pytest.raises(ModelRefused, match=r"StringJoin.*--engine tensorflow") as raised:
            here.choose(OPENVINO)
        assert raised.value.reason == "ENGINE_CANNOT"
    assert len(here.asked) == 1
    assert here.kept == ["tuned"], "no IR came of it"


def test_auto_goes_on_without_what_cannot_be_used(here: Machine) -> None:
    def half(job: Job) -> Found:
        found = measuring(job)
        measured = tuple(
            Measured(one.setting, problem="no such operation") if one.setting.engine == OPENVINO else one
            for one in found.measured
        )
        return Found(False, measured, found.prices, Setting(TENSORFLOW, FLOAT32, 4))

    here.answer = half
    found = here.choose()
    assert found.tuned.setting.engine == TENSORFLOW
    assert found.ir is None
    problems = {one.setting.engine: one.problem for one in found.tuned.measured}
    assert problems == {OPENVINO: "no such operation", TENSORFLOW: ""}


def crash(_: Job) -> Found:
    raise ModelRefused("its process was ended by SIGSEGV", reason="ENGINE_CRASHED")


def test_a_crash_with_openvino_costs_openvino_alone(here: Machine) -> None:
    here.answer = lambda job: crash(job) if job.ir else measuring(job)
    found = here.choose()
    assert found.tuned.setting.engine == TENSORFLOW
    assert any("SIGSEGV" in one.problem for one in found.tuned.measured)
    assert here.kept == [], "it may have been for want of memory: the next start tries again"
    here.answer = measuring
    assert here.choose().tuned.setting.engine == OPENVINO


def test_when_nothing_can_be_measured_tensorflow_serves(here: Machine) -> None:
    here.answer = crash
    found = here.choose(AUTO, AUTO)
    assert found.tuned.setting == Setting(threads=4)
    assert all(one.problem for one in found.tuned.measured)
    assert here.kept == []


def test_a_named_engine_that_crashes_is_refused(here: Machine) -> None:
    here.answer = crash
    with pytest.raises(ModelRefused, match="SIGSEGV"):
        here.choose(OPENVINO)
    assert here.kept == []


def test_what_is_wrong_with_the_model_is_said(here: Machine) -> None:
    def damaged(_: Job) -> Found:
        raise InvalidInput("it cannot be loaded", reason="DAMAGED")

    here.answer = damaged
    with pytest.raises(InvalidInput, match="cannot be loaded"):
        here.choose()
    assert here.kept == []


def test_precision_is_lowered_by_asking_alone(here: Machine) -> None:
    assert here.choose(AUTO, FLOAT32).tuned.setting.precision == FLOAT32
    assert all(setting.precision == FLOAT32 for setting in here.asked[0].settings)
    lowered = here.choose(AUTO, AUTO).tuned
    assert (lowered.setting.engine, lowered.setting.precision) == (OPENVINO, BFLOAT16)
    assert lowered.price == CHEAP
    assert here.choose(AUTO, BFLOAT16).tuned.setting.precision == BFLOAT16


def test_too_dear_a_precision_is_refused_unless_forced(here: Machine) -> None:
    here.answer = lambda job: measuring(job, DEAR)
    for _ in range(2):
        with pytest.raises(ModelRefused, match=r"it costs too much.*--force-precision") as raised:
            here.choose(AUTO, BFLOAT16)
        assert raised.value.reason == "PRECISION_REFUSED"
    assert len(here.asked) == 1
    assert here.choose(AUTO, AUTO).tuned.setting.precision == FLOAT32
    forced = here.choose(AUTO, BFLOAT16, None, True).tuned
    assert (forced.setting.precision, forced.price) == (BFLOAT16, DEAR)


def test_the_price_on_texts_of_one_s_own_is_remembered(here: Machine) -> None:
    here.choose(AUTO, BFLOAT16)
    here.answer = lambda job: measuring(job, DEAR)
    with pytest.raises(ModelRefused):
        here.choose(AUTO, BFLOAT16, texts=["my own", "words"], again=True)
    assert here.asked[-1].texts == ("my own", "words")
    with pytest.raises(ModelRefused):
        here.choose(AUTO, BFLOAT16)
    assert len(here.asked) == 2


def test_where_nothing_can_be_kept_it_is_measured_and_said(
    here: Machine, caplog: pytest.LogCaptureFixture
) -> None:
    here.home.rmdir()
    here.home.write_text("a file in its place")
    found = here.choose(TENSORFLOW, BFLOAT16)
    assert found.tuned.setting.precision == BFLOAT16
    assert "measured again the next time" in caplog.text
    without = here.choose(AUTO)
    assert without.tuned.setting.engine == TENSORFLOW
    assert any("--data DIR" in one.problem for one in without.tuned.measured)


def test_without_a_place_to_keep_it_tensorflow_serves(here: Machine) -> None:
    here.home = InvalidInput("/root cannot be made", reason="CACHE_NOT_WRITABLE")  # type: ignore[assignment]
    found = here.choose(AUTO)
    assert found.tuned.setting == Setting(threads=4)
    assert found.tuned.measured[0].problem == "/root cannot be made"
    for wish in ((OPENVINO,), (AUTO, BFLOAT16)):
        with pytest.raises(InvalidInput, match="/root"):
            here.choose(*wish)
    here.home = InvalidInput("/tmp/x belongs to another user", reason="CACHE_NOT_PRIVATE")  # type: ignore[assignment]
    with pytest.raises(InvalidInput, match="another user"):
        here.choose(AUTO)
    assert here.choose(TENSORFLOW).tuned.measured == ()


def tried(wish: Wish, cores: int, *, timed: bool = True) -> list[tuple[str, str, int, int]]:
    return [(s.engine, s.precision, s.threads, s.streams) for s in settings_for(wish, cores, timed=timed)]


def test_what_is_tried() -> None:
    assert tried(Wish(AUTO, AUTO), 4) == [
        (OPENVINO, FLOAT32, 4, 4),
        (OPENVINO, FLOAT32, 4, 1),
        (OPENVINO, FLOAT32, 2, 1),
        (TENSORFLOW, FLOAT32, 4, 1),
        (OPENVINO, BFLOAT16, 4, 4),
        (OPENVINO, BFLOAT16, 4, 1),
        (OPENVINO, BFLOAT16, 2, 1),
        (TENSORFLOW, BFLOAT16, 4, 1),
    ]
    named = [(OPENVINO, FLOAT32, 2, 2), (OPENVINO, FLOAT32, 2, 1), (TENSORFLOW, FLOAT32, 2, 1)]
    assert tried(Wish(AUTO, FLOAT32, 2), 4) == named
    assert tried(Wish(OPENVINO), 8, timed=False) == [(OPENVINO, FLOAT32, 8, 4), (OPENVINO, FLOAT32, 8, 1)]
    assert tried(Wish(TENSORFLOW), 8) == [(TENSORFLOW, FLOAT32, 8, 1)]


def test_one_thread_has_one_stream() -> None:
    assert tried(Wish(AUTO, FLOAT32, 1), 4) == [(OPENVINO, FLOAT32, 1, 1), (TENSORFLOW, FLOAT32, 1, 1)]
    assert tried(Wish(), 1) == [(OPENVINO, FLOAT32, 1, 1), (TENSORFLOW, FLOAT32, 1, 1)]


def test_threads_are_shared_out_evenly_among_streams() -> None:
    some = {1: 1, 2: 2, 3: 3, 4: 4, 5: 5, 6: 6, 8: 4, 10: 5, 12: 4, 16: 4, 24: 6, 32: 8, 48: 12, 64: 16}
    many = {7: 7, 13: 13, 17: 16, 19: 9, 22: 11, 23: 11, 96: 16, 100: 10, 128: 16, 192: 16, 256: 16}
    assert {threads: streams_of(threads) for threads in {**some, **many}} == {**some, **many}


@pytest.mark.parametrize("threads", range(1, 257))
def test_streams_are_few_and_leave_few_threads_over(threads: int) -> None:
    streams = streams_of(threads)
    assert min(threads, 4) <= streams <= min(threads, 16)
    assert threads % streams <= threads // 8
    for wish, cores in ((Wish(AUTO, AUTO), threads), (Wish(AUTO, AUTO, threads), 4)):
        for timed in (True, False):
            assert all(one.streams <= streams for one in settings_for(wish, cores, timed=timed))


def test_streams_are_preferred_where_they_are_as_good() -> None:
    streams, one, half, tensorflow = settings_for(Wish(), 4, timed=True)
    for rate, chosen in ((1000.0, streams), (1029.0, streams), (1031.0, one)):
        found = best(
            [
                Measured(streams, 1000.0),
                Measured(one, rate),
                Measured(half, 900.0),
                Measured(tensorflow, 900.0),
            ],
            FLOAT32,
        )
        assert found is not None
        assert found.setting == chosen
