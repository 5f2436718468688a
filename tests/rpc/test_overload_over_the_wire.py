"""Too much work, over a socket: who would not be done in time is told so at once, before anything is tokenized."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

import grpc
import pytest
from google.protobuf.message import Message
from penult.v1 import inference_service_pb2 as inference
from penult_service.batching.pace import Stretch
from penult_service.embedder import TokenTable
from penult_service.embedder.protocols import Tokenizer
from penult_service.engines.fake import FakeEngine
from penult_service.rpc import handlers
from support.bad_input import embed, sample, texts
from support.calling import METHODS, call
from support.fakes import fake_model
from support.serving import Serving, serving, wait_until

EMBED = f"/{METHODS['Embed'].containing_service.full_name}/Embed"
MANY = [f"{i} two three" for i in range(40)]


@dataclass
class Counting:
    """A tokenizer that counts its calls."""

    tokenizer: Tokenizer
    calls: list[int] = field(default_factory=list)

    def tokenize(self, *texts: Sequence[str]) -> TokenTable:
        self.calls.append(len(texts[0]))
        return self.tokenizer.tokenize(*texts)

    def brief(self, text: str) -> bool:
        return self.tokenizer.brief(text)


class Busy:
    """A server whose executor is held; it has done ten tokens a second, and 40 texts of one caller wait."""

    def __init__(self) -> None:
        self.gate = threading.Event()
        self.gate.set()
        model = fake_model("m", gate=self.gate)
        assert isinstance(model.engine, FakeEngine)
        self.engine = model.engine
        self.tokenizer = Counting(model.tokenizer)
        self.model = replace(model, tokenizer=self.tokenizer)
        self.waiting: list[grpc.Future] = []

    def fill(self, server: Serving, channel: grpc.Channel) -> None:
        self.gate.clear()
        batches = len(self.engine.batches)
        self.waiting.append(self.start(channel, "held"))
        wait_until(lambda: len(self.engine.batches) > batches)
        self.waiting.append(self.start(channel, *MANY))
        wait_until(lambda: server._server._scheduler.waiting_tokens(("m", 1)) >= 40 * 5)
        self.tokenizer.calls.clear()

    @staticmethod
    def start(channel: grpc.Channel, *values: str, timeout: float | None = None) -> grpc.Future:
        return channel.unary_unary(EMBED).future(embed(*values).SerializeToString(), timeout=timeout)

    def ends_well(self, *more: grpc.Future) -> None:
        self.gate.set()
        for each in (*self.waiting, *more):
            assert each.result(timeout=10)


@pytest.fixture
def busy(monkeypatch: pytest.MonkeyPatch) -> Iterator[Busy]:
    monkeypatch.setattr(Stretch, "known", True)
    monkeypatch.setattr(Stretch, "seconds", lambda _, tokens: sum(tokens.values()) / 10.0)
    one = Busy()
    yield one
    one.gate.set()


@pytest.mark.parametrize(
    ("method", "request_"),
    [
        ("Embed", embed(*MANY)),
        ("Classify", inference.ClassifyRequest(texts=texts(*MANY))),
        ("Predict", inference.PredictRequest(texts=texts(*MANY))),
        ("SampleDropout", sample(*MANY)),
    ],
)
def test_a_call_that_would_be_late_is_refused_untokenized(busy: Busy, method: str, request_: Message) -> None:
    with serving(busy.model) as server, server.channel() as channel:
        busy.fill(server, channel)
        refused = call(channel, method, request_, timeout=5.0)
        assert (refused.code, refused.reason) == ("RESOURCE_EXHAUSTED", "OVERLOADED")
        assert refused.retry_seconds is not None
        assert 10.0 < refused.retry_seconds < 60.0
        assert refused.trailers["grpc-retry-pushback-ms"] == str(round(refused.retry_seconds * 1000))
        assert busy.tokenizer.calls == []
        busy.ends_well()


def test_small_calls_others_and_calls_with_time_are_taken(busy: Busy) -> None:
    with serving(busy.model) as server, server.channel() as channel, server.channel() as other:
        busy.fill(server, channel)
        taken = [
            busy.start(channel, "a short one", timeout=15.0),  # overtakes
            busy.start(other, *(f"other {i}" for i in range(5)), timeout=30.0),  # has its own share
            busy.start(channel, *(f"later {i}" for i in range(40)), timeout=100.0),
            busy.start(channel, *(f"patient {i}" for i in range(40))),
        ]
        wait_until(lambda: sum(busy.tokenizer.calls) == 1 + 5 + 40 + 40)
        busy.ends_well(*taken)


def test_what_the_cache_has_is_not_refused(busy: Busy) -> None:
    with serving(busy.model, cache_mib=1) as server, server.channel() as channel:
        assert call(channel, "Embed", embed(*(f"known {i}" for i in range(40)))).code == "OK"
        busy.fill(server, channel)
        assert call(channel, "Embed", embed(*(f"known {i}" for i in range(40))), timeout=5.0).code == "OK"
        refused = call(channel, "Embed", embed(*(f"new {i}" for i in range(40))), timeout=5.0)
        assert refused.reason == "OVERLOADED"
        busy.ends_well()


def test_of_many_refusals_one_a_second_is_logged_with_their_number() -> None:
    too_much = handlers._TooMuch()
    times = [10.0, 10.1, 10.9, 11.0, 11.5, 15.0]
    assert [too_much.said(now) for now in times] == [1, 0, 0, 3, 0, 2]


def test_refusals_are_counted_one_by_one_and_logged_together(
    busy: Busy, caplog: pytest.LogCaptureFixture
) -> None:
    with serving(busy.model) as server, server.channel() as channel:
        busy.fill(server, channel)
        with caplog.at_level(logging.INFO, "penult_service"):
            for _ in range(5):
                assert call(channel, "Embed", embed(*MANY), timeout=5.0).reason == "OVERLOADED"
            counted = server._server._metrics.registry
            wait_until(
                lambda: counted.get_sample_value("penult_refusals_total", {"reason": "OVERLOADED"}) == 5
            )
        lines = [one for one in caplog.records if getattr(one, "facts", {}).get("reason") == "OVERLOADED"]
        assert 1 <= len(lines) < 5
        busy.ends_well()
