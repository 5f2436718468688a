"""Both clients against the real server with its fake engine: what only the two together can show."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import penult_client
import pytest
from penult_client import Client
from penult_service.config import Limits
from support.fakes import fake_model
from support.serving import serving

TEXTS = [f"text number {i} " + "word " * (i % 40) for i in range(300)]


@pytest.fixture(scope="module")
def alone(address: str) -> np.ndarray:
    """Every text embedded in a call of its own."""
    with Client(address) as client, ThreadPoolExecutor(8) as pool:
        return np.concatenate(list(pool.map(lambda text: client.embed([text]).vectors, TEXTS)))


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    with serving(fake_model("reviews", 3, nan_on="poison")) as server:
        yield server.address


def test_company_and_splitting_change_nothing(flavour, alone):
    with serving(fake_model("reviews", 3), limits=Limits(max_texts=7, max_request_bytes=2000)) as server:
        client = flavour.client(server.address)
        made = flavour.run(client.embed(TEXTS, probabilities=True))
        np.testing.assert_allclose(made.vectors, alone, atol=1e-6)
        classified = flavour.run(client.classify(TEXTS))
        np.testing.assert_allclose(made.probabilities, classified.probabilities, atol=1e-6)
        assert classified.labels.tolist() == [
            made.labels[i] for i in np.argmax(classified.probabilities, axis=1).tolist()
        ]
        predicted = flavour.run(client.predict(TEXTS))
        np.testing.assert_allclose(predicted.outputs["output"], classified.probabilities, atol=1e-6)
        tokens = flavour.run(client.tokenize(TEXTS))
        assert [len(ids) for ids in tokens.ids] == made.token_counts.tolist()
        flavour.run(client.close())


def test_replies_over_the_servers_limit_come_in_pieces(flavour, alone):
    small = Limits(max_response_bytes=4096 + 64 * 50, default_response_bytes=4096)
    with serving(fake_model("reviews", 3), limits=small) as server:
        client = flavour.client(server.address)
        np.testing.assert_allclose(flavour.run(client.embed(TEXTS)).vectors, alone, atol=1e-6)
        flavour.run(client.close())


def test_requests_over_the_servers_queue_come_in_pieces(flavour, alone):
    with serving(fake_model("reviews", 3), limits=Limits(max_queued_tokens=1000)) as server:
        client = flavour.client(server.address)
        np.testing.assert_allclose(flavour.run(client.embed(TEXTS)).vectors, alone, atol=1e-6)
        flavour.run(client.close())


def test_a_full_queue_is_waited_out(flavour, alone):
    gate = threading.Event()
    limits = Limits(max_queued_tokens=1000)
    with serving(fake_model("reviews", 3, gate=gate), limits=limits, warm=False) as server:
        gate.set()
        client = flavour.client(server.address)
        flavour.run(client.embed(["ready"]))
        gate.clear()
        with Client(server.address) as other, ThreadPoolExecutor(2) as pool:
            blocking = [pool.submit(other.embed, TEXTS[i : i + 30]) for i in (0, 30)]
            time.sleep(0.1)
            threading.Timer(0.2, gate.set).start()
            made = flavour.run(client.embed(TEXTS[:30]))
            np.testing.assert_allclose(made.vectors, alone[:30], atol=1e-6)
            for each in blocking:
                each.result(20)
        flavour.run(client.close())


def test_a_bad_row_is_named_and_the_rest_is_done(flavour, address, alone):
    client = flavour.client(address)
    texts = list(TEXTS)
    texts[200] = "some poison here"
    made = flavour.run(client.embed(texts, on_row_error="report"))
    assert [(error.index, error.field) for error in made.row_errors] == [(200, "texts[200]")]
    assert np.isnan(made.vectors[200]).all()
    rest = [i for i in range(len(texts)) if i != 200]
    np.testing.assert_allclose(made.vectors[rest], alone[rest], atol=1e-6)
    with pytest.raises(penult_client.PenultError) as caught:
        flavour.run(client.embed(texts))
    assert caught.value.index == 200


@pytest.mark.parametrize(
    ("options", "kind", "reason"),
    [
        ({"model": "nobody"}, penult_client.NotFoundError, "MODEL_NOT_FOUND"),
        ({"model": "reviews@9"}, penult_client.NotFoundError, None),
        ({"layer": "nothing"}, penult_client.PreconditionError, "LAYER_NOT_PREPARED"),
        ({"truncate": "error"}, penult_client.InvalidInputError, "TEXT_TOO_LONG"),
    ],
)
def test_the_servers_refusals(flavour, address, options, kind, reason):
    client = flavour.client(address)
    with pytest.raises(kind) as caught:
        flavour.run(client.embed(["fine", "word " * 500], **options))
    assert caught.value.reason == reason or reason is None
    assert caught.value.field
    assert len(flavour.run(client.embed(["a"]))) == 1


def test_spaces_are_compared_and_mixed_ones_refused(flavour, address):
    client = flavour.client(address)
    pooled = flavour.run(client.embed(["a", "b"]))
    mean = flavour.run(client.embed(["a", "b"], pooling="mean"))
    made = flavour.run(client.similarity(pooled, ["a", "b"]))
    assert made.space_checked
    np.testing.assert_allclose(np.diag(made.scores), 1.0, atol=1e-5)
    assert not flavour.run(client.similarity(pooled, mean.vectors)).space_checked
    with pytest.raises(penult_client.PenultError) as caught:
        flavour.run(client.similarity(pooled, mean))
    assert "SPACE" in caught.value.reason


def test_models_and_their_proof(flavour, address):
    client = flavour.client(address)
    assert [m.id for m in flavour.run(client.models())] == ["reviews@3"]
    assert flavour.run(client.model()).dropout_proven
    report = flavour.run(client.inspect_dropout("reviews"))
    assert report.proven
    assert [(site.path, site.rate, site.place) for site in report.sites] == [
        ("encoder/dropout", 0.1, "before_embedding"),
        ("dropout", 0.1, "at_seam"),
    ]


def test_open_serves_and_ends():
    with Client.open("fake:demo", timeout=10) as client:
        pid = client._server.process.pid
        assert client.model().name == "demo"
        assert len(client.embed(["a", "b"])) == 2
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


def test_open_tells_the_usage_error_of_the_server():
    with pytest.raises(penult_client.ServerStartError) as caught:
        Client.open("fake:demo", nonsense=1)
    assert caught.value.reason == "SERVER_USAGE"
    assert "--nonsense" in caught.value.message
