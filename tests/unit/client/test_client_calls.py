"""The methods of both clients against a scripted transport: what is asked, what is made of the answer."""

from __future__ import annotations

import numpy as np
import pytest
from penult.v1 import analysis_service_pb2 as analysis
from penult.v1 import common_pb2 as common
from penult.v1 import inference_service_pb2 as inference
from penult.v1 import server_service_pb2 as server
from penult_client import (
    ClientClosedError,
    InputTypeError,
    InvalidInputError,
    UnavailableError,
)
from support.wire_numbers import packed, vector_of
from support.wire_server import LIMITS


class Handler:
    """Answers Embed and GetServerInfo; `trouble` is raised first, one a call of Embed."""

    def __init__(self, *trouble: Exception | None) -> None:
        self.asked: list[tuple[str, object]] = []
        self.trouble = list(trouble)

    def __call__(self, method, request):
        self.asked.append((method, request))
        if method == "GetServerInfo":
            return server.GetServerInfoResponse(limits=server.Limits(**LIMITS))
        if method == "ComputeSimilarity":
            return analysis.ComputeSimilarityResponse(scores=packed([[0.0]]), metric=request.metric)
        trouble = self.trouble.pop(0) if self.trouble else None
        if trouble:
            raise trouble
        texts = request.texts.texts
        return inference.EmbedResponse(
            embeddings=packed([vector_of(text) for text in texts]),
            token_counts=[1] * len(texts),
            truncations=[common.TRUNCATION_NONE] * len(texts),
        )

    def methods(self) -> list[str]:
        return [method for method, _ in self.asked]


def test_limits_are_asked_for_once(flavour):
    handler = Handler()
    client = flavour.mocked(handler)
    for _ in range(2):
        flavour.run(client.embed(["a"]))
    assert handler.methods() == ["GetServerInfo", "Embed", "Embed"]


def test_options_reach_the_wire(flavour):
    handler = Handler()
    client = flavour.mocked(handler)
    flavour.run(
        client.embed(
            ["a"],
            "reviews@3",
            pooling="mean",
            normalize=True,
            truncate="error",
            layer="dense",
            probabilities=True,
            on_row_error="report",
        )
    )
    request = handler.asked[-1][1]
    assert request.options == common.EmbedOptions(
        model="reviews@3",
        layer="dense",
        pooling=common.POOLING_MEAN,
        normalize=True,
        truncate=common.TRUNCATE_MODE_ERROR,
    )
    assert request.probabilities
    assert request.on_row_error == common.ON_ROW_ERROR_REPORT
    assert request.max_response_bytes == LIMITS["max_response_bytes"]


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"pooling": "average"}, "UNKNOWN_POOLING"),
        ({"pooling": 3}, "UNKNOWN_POOLING"),
        ({"truncate": "middle"}, "UNKNOWN_TRUNCATE"),
        ({"on_row_error": "ignore"}, "UNKNOWN_ON_ROW_ERROR"),
        ({"layer": ""}, "BAD_LAYER"),
        ({"model": 3}, "BAD_MODEL"),
        ({"deadline": 0}, "BAD_SECONDS"),
        ({"deadline": True}, "BAD_SECONDS"),
        ({"deadline": float("nan")}, "BAD_SECONDS"),
    ],
)
def test_wrong_options_never_reach_the_wire(flavour, options, reason):
    handler = Handler()
    client = flavour.mocked(handler)
    with pytest.raises(InvalidInputError) as caught:
        flavour.run(client.embed(["a"], **options))
    assert caught.value.reason == reason
    assert handler.asked == []


@pytest.mark.parametrize("texts", ["a bare string", [], ["a", None], ["\ud800"]])
def test_wrong_texts_never_reach_the_wire(flavour, texts):
    handler = Handler()
    client = flavour.mocked(handler)
    for call in (client.embed, client.classify, client.predict, client.tokenize, client.similarity):
        with pytest.raises(InvalidInputError):
            flavour.run(call(texts))
    assert handler.asked == []


def test_a_refused_call_is_sent_again(flavour):
    handler = Handler(UnavailableError("loading", retry_after=0.01), None)
    client = flavour.mocked(handler)
    made = flavour.run(client.embed(["a", "bc"]))
    np.testing.assert_array_equal(made.vectors, [vector_of("a"), vector_of("bc")])
    assert handler.methods() == ["GetServerInfo", "Embed", "Embed"]


def test_what_stays_refused_is_raised_within_the_timeout(flavour):
    handler = Handler(*[UnavailableError("loading", retry_after=0.05)] * 100)
    client = flavour.mocked(handler, timeout=0.2)
    with pytest.raises(UnavailableError, match="loading"):
        flavour.run(client.embed(["a"]))
    assert 2 <= handler.methods().count("Embed") <= 4


def test_progress_is_told_by_part(flavour):
    told = []
    client = flavour.mocked(Handler())
    flavour.run(client.embed(["a"] * 20, progress=lambda done, total: told.append((done, total))))
    assert told == [(8, 20), (16, 20), (20, 20)]


def test_sides_of_a_similarity(flavour):
    handler = Handler()
    client = flavour.mocked(handler)
    embedded = flavour.run(client.embed(["a"]))
    flavour.run(client.similarity(["a"], np.array([[1, 2]]), "dot", model="reviews", pooling="cls"))
    request = handler.asked[-1][1]
    assert list(request.a.texts.texts) == ["a"]
    assert (request.a.options.model, request.a.options.pooling) == ("reviews", common.POOLING_CLS)
    assert request.b.vectors.data == np.array([[1, 2]], dtype="<f4").tobytes()
    assert request.metric == analysis.METRIC_DOT
    flavour.run(client.similarity(embedded))
    request = handler.asked[-1][1]
    assert request.a.vectors.data == embedded.vectors.tobytes()
    assert not request.HasField("b")
    with pytest.raises(InvalidInputError) as caught:
        flavour.run(client.similarity(["a"], np.array([[np.nan]])))
    assert caught.value.field == "b.vectors[0]"
    with pytest.raises(InputTypeError) as caught:
        flavour.run(client.similarity(["a"], "bare"))
    assert caught.value.field == "b.texts"
    with pytest.raises(InvalidInputError) as caught:
        flavour.run(client.similarity(["a"], metric="angle"))
    assert caught.value.reason == "UNKNOWN_METRIC"


def test_more_texts_than_one_request_are_embedded_first(flavour):
    handler = Handler()
    client = flavour.mocked(handler)
    texts = [f"text {i}" for i in range(1500)]
    flavour.run(client.similarity(["a"], texts))
    request = handler.asked[-1][1]
    assert request.a.texts.texts == ["a"]
    expected = np.array([vector_of(text) for text in texts], dtype="<f4")
    assert request.b.vectors.data == expected.tobytes()
    assert request.b.vectors.rows == 1500


def test_a_closed_client_says_so(flavour):
    client = flavour.mocked(Handler())
    flavour.run(client.close())
    flavour.run(client.close())
    with pytest.raises(ClientClosedError, match="make a new one"):
        flavour.run(client.embed(["a"]))


@pytest.mark.parametrize("address", ["localhost", "http://localhost:50051", "", "a b:1", None, "host:port"])
def test_what_is_no_address_is_refused_at_once(flavour, address):
    with pytest.raises(InvalidInputError) as caught:
        flavour.client(address)
    assert caught.value.reason == "BAD_ADDRESS"


@pytest.mark.parametrize("timeout", [0, -1, None, "3", float("inf")])
def test_a_timeout_is_seconds(flavour, timeout):
    with pytest.raises(InvalidInputError) as caught:
        flavour.client(timeout=timeout)
    assert (caught.value.reason, caught.value.field) == ("BAD_SECONDS", "timeout")
