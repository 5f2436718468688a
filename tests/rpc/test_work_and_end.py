"""Full queues, cancelled and late work, an executor that dies, and the end of a server."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from dataclasses import replace
from typing import NoReturn

import grpc
import numpy as np
from penult.v1 import inference_service_pb2 as inference
from penult_service.config import Limits
from penult_service.embedder import LoadedModel, Tokenizer, TokenTable
from penult_service.engines.fake import FakeEngine
from support.bad_input import embed, texts
from support.calling import METHODS, call
from support.fakes import fake_model
from support.serving import NOT_SERVING, SERVING, health, serving, wait_until

EMBED = f"/{METHODS['Embed'].containing_service.full_name}/Embed"


def start(channel: grpc.Channel, *values: str, timeout: float | None = None) -> grpc.Future:
    """An Embed call that runs beside the test."""
    return channel.unary_unary(EMBED).future(embed(*values).SerializeToString(), timeout=timeout)


class Gated:
    """A model whose executor can be held up."""

    def __init__(self) -> None:
        self.gate = threading.Event()
        self.gate.set()
        self.model: LoadedModel = fake_model("gated", gate=self.gate)
        assert isinstance(self.model.engine, FakeEngine)
        self.engine = self.model.engine

    def hold(self, channel: grpc.Channel) -> grpc.Future:
        """A call that occupies the executor until `gate` is set."""
        self.gate.clear()
        batches = len(self.engine.batches)
        running = start(channel, "held")
        wait_until(lambda: len(self.engine.batches) > batches)
        return running


def test_a_full_queue_says_when_to_come_back() -> None:
    gated = Gated()
    limits = Limits(max_queued_tokens=64)
    with serving(gated.model, limits=limits) as server, server.channel() as channel:
        running = gated.hold(channel)
        waiting = start(channel, *(f"one two {i}" for i in range(12)))
        wait_until(lambda: call(channel, "Embed", embed("b " * 30), timeout=0.1).code == "RESOURCE_EXHAUSTED")
        full = call(channel, "Embed", embed("b " * 30))
        assert (full.code, full.reason) == ("RESOURCE_EXHAUSTED", "QUEUE_FULL")
        assert full.retry_seconds is not None
        assert full.retry_seconds > 0
        assert full.trailers["grpc-retry-pushback-ms"] == str(round(full.retry_seconds * 1000))
        gated.gate.set()
        assert running.result(timeout=10)
        assert waiting.result(timeout=10)
        assert call(channel, "Embed", embed("b " * 30)).code == "OK"


def different(word: str) -> list[str]:
    """40 different ones: equal ones are computed once."""
    return [f"{word} {i}" for i in range(40)]


def test_cancelled_work_is_not_done() -> None:
    gated = Gated()
    with serving(gated.model) as server, server.channel() as channel, server.channel() as leaving:
        running = gated.hold(channel)
        cancelled, left = start(channel, *different("cancelled")), start(leaving, *different("left"))
        late = start(channel, *different("late"), timeout=0.3)
        time.sleep(0.1)
        cancelled.cancel()
        leaving.close()
        assert left.code() is grpc.StatusCode.CANCELLED
        assert late.code() is grpc.StatusCode.DEADLINE_EXCEEDED
        before = len(gated.engine.batches)
        time.sleep(0.1)
        gated.gate.set()
        assert running.result(timeout=10)
        assert call(channel, "Embed", embed("next")).code == "OK"
        assert gated.engine.batches[before:] == [(1, 3)]


def test_a_call_that_breaks_the_model_says_so_and_quotes_nothing() -> None:
    model = fake_model("fragile", fails_on="poison", nan_on="void")
    with serving(model) as server, server.channel() as channel:
        broken = call(channel, "Embed", embed("poison"))
        assert (broken.code, broken.reason) == ("INTERNAL", "INTERNAL")
        assert "poison" not in broken.message
        void = call(channel, "Embed", embed("fine", "void"))
        assert (void.code, void.reason, void.field) == ("FAILED_PRECONDITION", "NOT_FINITE", "texts[1]")
        assert call(channel, "Embed", embed("fine")).code == "OK"


class Blabbing:
    """A tokenizer whose exceptions quote the text."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._tokenizer = tokenizer

    def tokenize(self, texts: Sequence[str]) -> TokenTable:
        for text in texts:
            if "secret" in text:
                raise ValueError(f"what is this: {text}")
        return self._tokenizer.tokenize(texts)

    def brief(self, text: str) -> bool:
        return self._tokenizer.brief(text)


def test_an_unexpected_fault_has_an_id_that_is_in_the_log(caplog: object) -> None:
    model = fake_model("m")
    model = replace(model, tokenizer=Blabbing(model.tokenizer))
    with serving(model) as server, server.channel() as channel:
        outcome = call(channel, "Embed", embed("a secret"))
        assert outcome.code == "INTERNAL"
        error_id = outcome.metadata["error_id"]
        records = [r for r in caplog.records if error_id in r.getMessage()]
        assert len(records) == 1
        assert "test_work_and_end.py" in records[0].facts["traceback"]
        assert "secret" not in caplog.text + records[0].facts["traceback"]


def test_health_follows_an_executor_that_dies_and_recovers() -> None:
    model = fake_model("mortal", dies_on="poison")
    with serving(model, health_interval=0.05) as server, server.channel() as channel:
        died = call(channel, "Embed", embed("poison"))
        assert (died.code, died.reason) == ("UNAVAILABLE", "EXECUTOR_DIED")
        wait_until(lambda: health(channel) == SERVING)
        reply = call(channel, "Embed", embed("alive")).reply
        assert isinstance(reply, inference.EmbedResponse)
        assert np.isfinite(np.frombuffer(reply.embeddings.data, "<f4")).all()


def test_an_executor_that_dies_too_often_is_the_end() -> None:
    model = fake_model("mortal", dies_on="poison")
    with serving(model) as server, server.channel() as channel:
        for _ in range(3):
            assert call(channel, "Embed", embed("poison")).code == "UNAVAILABLE"
        assert server.code.result(timeout=20) == 70


def broken(*_: object) -> NoReturn:
    raise RuntimeError("the model is broken")


def test_an_idle_server_proves_itself_by_a_real_inference() -> None:
    model = fake_model("sick")
    with serving(model, health_interval=0.05) as server, server.channel() as channel:
        engine, healthy = model.engine, model.engine.encode
        engine.encode = broken
        wait_until(lambda: health(channel) == NOT_SERVING)
        assert health(channel, "penult.v1.InferenceService") == NOT_SERVING
        assert health(channel, "penult.v1.ServerService") == SERVING
        engine.encode = healthy
        wait_until(lambda: health(channel) == SERVING)


def test_a_server_that_ends_finishes_what_runs_and_takes_no_more() -> None:
    gated = Gated()
    with serving(gated.model, grace=10.0) as server, server.channel() as channel:
        running = gated.hold(channel)
        server.end()
        wait_until(lambda: health(channel) == NOT_SERVING)
        refused = call(channel, "Embed", embed("new"))
        assert (refused.code, refused.reason) == ("UNAVAILABLE", "DRAINING")
        assert not running.done()
        gated.gate.set()
        assert inference.EmbedResponse.FromString(running.result(timeout=10)).embeddings.rows == 1
        assert server.code.result(timeout=10) == 0


def test_the_grace_ends() -> None:
    gated = Gated()
    with serving(gated.model, grace=0.2) as server, server.channel() as channel:
        running = gated.hold(channel)
        server.end()
        assert server.code.result(timeout=10) == 0
        assert isinstance(running.exception(timeout=10), grpc.RpcError)
        gated.gate.set()


def test_a_request_larger_than_the_server_takes() -> None:
    limits = Limits(max_request_bytes=100_000)
    with serving(fake_model(), limits=limits) as server, server.channel() as channel:
        request = inference.EmbedRequest(texts=texts("x" * 200_000))
        assert call(channel, "Embed", request).code == "RESOURCE_EXHAUSTED"
        assert call(channel, "Embed", embed("next")).code == "OK"
