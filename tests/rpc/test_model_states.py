"""Models that are loading, ready, failed, several, or not named."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest
from penult.v1 import model_service_pb2 as models
from penult.v1 import server_service_pb2 as server_pb
from penult_service.embedder import LoadedModel
from penult_service.errors import ModelRefused
from penult_service.repository.sources import Source
from support.bad_input import embed
from support.calling import Outcome, call
from support.fakes import fake_model
from support.serving import NOT_SERVING, SERVING, health, serving, wait_until

EMBEDDING = "penult.v1.InferenceService"


def version_of(outcome: Outcome) -> str:
    assert outcome.code == "OK", outcome
    return str(outcome.reply.provenance.model)


def test_while_a_model_loads() -> None:
    gate = threading.Event()

    def load(source: Source) -> LoadedModel:
        gate.wait()
        return fake_model(source.name)

    source = Source("slow", 1, None)
    with serving(sources=(source,), load=load, warm=False) as server, server.channel() as channel:
        outcome = call(channel, "Embed", embed("a"))
        assert (outcome.code, outcome.reason) == ("UNAVAILABLE", "MODEL_LOADING")
        assert outcome.retry_seconds == 1.0
        assert outcome.trailers["grpc-retry-pushback-ms"] == "1000"
        assert [health(channel, service) for service in ("", EMBEDDING, "penult.v1.AnalysisService")] == [
            NOT_SERVING
        ] * 3
        assert health(channel, "penult.v1.ServerService") == SERVING
        info = call(channel, "GetServerInfo").reply
        assert isinstance(info, server_pb.GetServerInfoResponse)
        assert info.default_model == "models/slow"
        (listed,) = list_models(channel)
        assert listed.state == models.MODEL_STATE_LOADING
        gate.set()
        wait_until(lambda: health(channel) == SERVING)
        assert call(channel, "Embed", embed("a")).code == "OK"


def list_models(channel: object, **page: object) -> list[models.Model]:
    outcome = call(channel, "ListModels", models.ListModelsRequest(**page))
    assert isinstance(outcome.reply, models.ListModelsResponse)
    return list(outcome.reply.models)


def test_a_bad_model_does_not_hurt_the_others() -> None:
    def load(source: Source) -> LoadedModel:
        if source.name == "bad":
            raise ModelRefused("random operations are reachable; save it for inference", reason="RANDOM_OPS")
        if source.name == "worse":
            raise RuntimeError("a bug")
        return fake_model(source.name)

    sources = tuple(Source(name, 1, None) for name in ("bad", "good", "worse"))
    with serving(sources=sources, load=load) as server, server.channel() as channel:
        wait_until(lambda: all(m.state != models.MODEL_STATE_LOADING for m in list_models(channel)))
        bad = call(channel, "Embed", embed("a", model="bad"))
        assert (bad.code, bad.reason) == ("FAILED_PRECONDITION", "MODEL_FAILED")
        assert bad.metadata["cause"] == "RANDOM_OPS"
        assert "save it for inference" in bad.message
        assert call(channel, "Embed", embed("a", model="worse")).reason == "MODEL_FAILED"
        states = {m.name: (m.state, m.state_message) for m in list_models(channel)}
        assert states["models/bad/versions/1"][0] == models.MODEL_STATE_FAILED
        assert "random operations" in states["models/bad/versions/1"][1]
        # The only model that is there needs no name.
        assert version_of(call(channel, "Embed", embed("a"))) == "models/good/versions/1"


def test_a_model_that_does_not_survive_its_first_inference_has_failed() -> None:
    sick = fake_model("sick", nan_on="warm")
    with serving(fake_model("well"), sick) as server, server.channel() as channel:
        wait_until(lambda: all(m.state != models.MODEL_STATE_LOADING for m in list_models(channel)))
        outcome = call(channel, "Embed", embed("a", model="sick"))
        assert (outcome.code, outcome.reason) == ("FAILED_PRECONDITION", "MODEL_FAILED")
        assert outcome.metadata["cause"] == "NOT_FINITE"


def test_versions_and_names() -> None:
    loaded = [fake_model("genre", 2), fake_model("reviews", 1), fake_model("reviews", 10)]
    with serving(*loaded) as server, server.channel() as channel:
        wait_until(lambda: all(m.state == models.MODEL_STATE_READY for m in list_models(channel)))
        assert version_of(call(channel, "Embed", embed("a", model="reviews"))) == "models/reviews/versions/10"
        assert (
            version_of(call(channel, "Embed", embed("a", model="reviews@1"))) == "models/reviews/versions/1"
        )
        unnamed = call(channel, "Embed", embed("a"))
        assert (unnamed.code, unnamed.reason) == ("INVALID_ARGUMENT", "MODEL_REQUIRED")
        assert unnamed.field == "options.model"
        assert unnamed.metadata["models"] == "genre@2, reviews@10, reviews@1"
        missing = call(channel, "Embed", embed("a", model="reviews@2"))
        assert (missing.code, missing.reason) == ("NOT_FOUND", "MODEL_NOT_FOUND")
        assert "reviews@10" in missing.message
        assert [(m.name, m.default_version) for m in list_models(channel)] == [
            ("models/genre/versions/2", True),
            ("models/reviews/versions/10", True),
            ("models/reviews/versions/1", False),
        ]


def test_pages() -> None:
    with serving(*(fake_model(f"m{i}") for i in range(5))) as server, server.channel() as channel:
        seen, token, pages = [], "", 0
        while True:
            request = models.ListModelsRequest(page_size=2, page_token=token)
            reply = call(channel, "ListModels", request).reply
            assert isinstance(reply, models.ListModelsResponse)
            seen += [model.name for model in reply.models]
            token, pages = reply.next_page_token, pages + 1
            if not token:
                break
        assert pages == 3
        assert seen == [f"models/m{i}/versions/1" for i in range(5)]


def test_nothing_that_could_be_loaded_is_the_end(capsys: pytest.CaptureFixture[str]) -> None:
    def load(source: Source) -> LoadedModel:
        raise ModelRefused(f"{source.path} is empty; copy the model again", reason="DAMAGED")

    sources = (Source("one", 1, Path("/a")), Source("two", 4, Path("/b")))
    with serving(sources=sources, load=load, warm=False) as server:
        assert server.code.result(timeout=20) == 1
    assert capsys.readouterr().err.splitlines()[-2:] == [
        "error: models/one/versions/1: /a is empty; copy the model again (DAMAGED)",
        "error: models/two/versions/4: /b is empty; copy the model again (DAMAGED)",
    ]
