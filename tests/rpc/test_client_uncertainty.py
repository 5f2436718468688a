"""`uncertainty` of both clients against the real server with its fake engine."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import penult_client
import pytest
from penult_client import ActiveDropout, Client
from penult_client._core.retries import PartQueue
from penult_service.config import Limits
from penult_service.embedder import sample_limits
from support.fakes import fake_model
from support.serving import serving

TEXTS = [f"text number {i} " + "word " * (i % 40) for i in range(120)]
CLOSE = {"rtol": 0, "atol": 2e-6}


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    with serving(fake_model("reviews", 3, nan_on="poison")) as server:
        yield server.address


@pytest.fixture(scope="module")
def whole(address: str) -> penult_client.Uncertainty:
    """Of all texts in one request."""
    with Client(address) as client:
        return client.uncertainty(TEXTS, samples=7, seed=4, draws=True)


def test_its_fields(flavour, address, whole):
    client = flavour.client(address)
    found = flavour.run(client.uncertainty(TEXTS, samples=7, seed=4, draws=True))
    assert found.draws.shape == (120, 7, 3)
    np.testing.assert_allclose(found.draws, whole.draws, **CLOSE)
    np.testing.assert_allclose(found.mean, found.draws.mean(axis=1), atol=1e-6)
    np.testing.assert_allclose(found.std, found.draws.std(axis=1), atol=1e-6)
    classified = flavour.run(client.classify(TEXTS))
    np.testing.assert_allclose(found.clean, classified.probabilities, **CLOSE)
    np.testing.assert_array_equal(found.predicted, found.mean.argmax(axis=1))
    for column in (found.entropy, found.mutual_information, found.variation_ratio):
        assert column.dtype == np.float32
        assert column.shape == (120,)
    assert found.labels == classified.classes
    assert (found.samples, found.seed, found.classifier, len(found)) == (7, 4, True, 120)
    assert found.active == (ActiveDropout(path="dropout", layer_class="Dropout", rate=0.1),)
    assert found.token_counts.tolist() == classified.token_counts.tolist()
    assert (found.model, found.version) == ("reviews", 3)
    assert flavour.run(client.uncertainty(TEXTS[:2], samples=2)).draws is None


@pytest.mark.parametrize("layers", ["head", "all", ["encoder/dropout"]])
@pytest.mark.parametrize(
    "limits",
    [
        Limits(max_texts=7, max_request_bytes=2000),
        Limits(max_queued_tokens=300),
        Limits(max_response_bytes=4096 + 12 * 10 * 30, default_response_bytes=4096),
    ],
    ids=["requests", "queue", "replies"],
)
def test_splitting_changes_no_mask(flavour, address, layers, limits):
    with Client(address) as other:
        wanted = other.uncertainty(TEXTS, 7, layers, 4, draws=True)
    with serving(fake_model("reviews", 3), limits=limits) as server:
        client = flavour.client(server.address)
        found = flavour.run(client.uncertainty(TEXTS, 7, layers, 4, draws=True))
        np.testing.assert_allclose(found.draws, wanted.draws, **CLOSE)
        np.testing.assert_allclose(found.entropy, wanted.entropy, atol=1e-5)
        flavour.run(client.close())


def test_rows_that_were_sent_in_calls_of_their_own(flavour, address, whole):
    client = flavour.client(address)
    late = flavour.run(client.uncertainty(TEXTS[50:], samples=7, seed=4, draws=True, first_row=50))
    np.testing.assert_allclose(late.draws, whole.draws[50:], **CLOSE)


def test_one_seed_is_drawn_for_the_whole_call(flavour):
    with serving(fake_model("reviews", 3), limits=Limits(max_texts=7)) as server:
        client = flavour.client(server.address)
        found = flavour.run(client.uncertainty(TEXTS, samples=3))
        again = flavour.run(client.uncertainty(TEXTS, samples=3, seed=found.seed))
        np.testing.assert_allclose(again.mean, found.mean, **CLOSE)
        other = flavour.run(client.uncertainty(TEXTS, samples=3))
        assert other.seed != found.seed
        flavour.run(client.close())


def test_a_bad_row_is_named_and_the_rest_is_done(flavour, address, whole):
    client = flavour.client(address)
    texts = [*TEXTS[:60], "some poison here", *TEXTS[61:]]
    found = flavour.run(client.uncertainty(texts, samples=7, seed=4, on_row_error="report"))
    assert [(error.index, error.reason, error.field) for error in found.row_errors] == [
        (60, "NOT_FINITE", "texts[60]")
    ]
    rest = np.arange(120) != 60
    np.testing.assert_allclose(found.mean[rest], whole.mean[rest], **CLOSE)
    assert np.isnan(found.entropy[60])
    assert found.predicted[60] == -1
    labels = ["positive"] * 120
    assert found.calibration(labels).rows.tolist() == np.flatnonzero(rest).tolist()
    with pytest.raises(penult_client.PreconditionError) as caught:
        flavour.run(client.uncertainty(texts, samples=7))
    assert caught.value.index == 60


def test_a_model_that_is_no_classifier(flavour):
    with serving(fake_model("scores", head="regression")) as server:
        client = flavour.client(server.address)
        found = flavour.run(client.uncertainty(TEXTS[:5], samples=3))
        assert not found.classifier
        assert found.mean.shape == (5, 1)
        assert found.entropy.size == found.predicted.size == 0
        with pytest.raises(penult_client.PreconditionError, match="no classifier"):
            found.calibration([0] * 5)
        flavour.run(client.close())


def test_several_labels_a_row_are_not_calibrated(flavour):
    with serving(fake_model("tags", head="multilabel")) as server:
        client = flavour.client(server.address)
        found = flavour.run(client.uncertainty(TEXTS[:5], samples=3))
        with pytest.raises(penult_client.InvalidInputError, match="several labels"):
            found.calibration([0] * 5)
        flavour.run(client.close())


@pytest.mark.parametrize(
    ("options", "kind", "reason", "field"),
    [
        ({"model": "nobody"}, penult_client.NotFoundError, "MODEL_NOT_FOUND", "model"),
        ({"layers": "encoder"}, penult_client.InvalidInputError, "UNKNOWN_LAYERS", "layers"),
        ({"layers": ["nowhere"]}, penult_client.InvalidInputError, "UNKNOWN_DROPOUT", "dropout.sites"),
        ({"layers": []}, penult_client.InvalidInputError, "EMPTY_INPUT", "layers"),
        ({"layers": [3]}, penult_client.InputTypeError, "BAD_LAYERS", "layers[0]"),
        ({"layers": 3}, penult_client.InputTypeError, "NOT_A_LIST", "layers"),
        ({"rate": 1.5}, penult_client.InvalidInputError, "OUT_OF_RANGE", "dropout.rate"),
        ({"rate": "0.1"}, penult_client.InputTypeError, "NOT_A_NUMBER", "rate"),
        ({"samples": 0}, penult_client.InvalidInputError, "OUT_OF_RANGE", "samples"),
        ({"samples": 2.5}, penult_client.InputTypeError, "NOT_A_NUMBER", "samples"),
        ({"seed": -1}, penult_client.InvalidInputError, "OUT_OF_RANGE", "seed"),
        ({"first_row": -1}, penult_client.InvalidInputError, "OUT_OF_RANGE", "first_row"),
        ({"truncate": "left"}, penult_client.InvalidInputError, "UNKNOWN_TRUNCATE", "truncate"),
    ],
)
def test_refusals(flavour, address, options, kind, reason, field):
    client = flavour.client(address)
    with pytest.raises(kind) as caught:
        flavour.run(client.uncertainty(TEXTS, **options))
    assert (caught.value.reason, caught.value.field) == (reason, field)


def test_many_passes_of_a_row_are_waited_for(flavour, address, monkeypatch):
    """A whole row is sent in one request, however many its passes."""
    waits = []
    for module in ("_sync", "_async"):
        monkeypatch.setattr(
            f"penult_client.{module}.calls.PartQueue",
            lambda *parts, timeout, **options: (
                waits.append(timeout) or PartQueue(*parts, timeout=timeout, **options)
            ),
        )
    client = flavour.client(address, timeout=20.0)
    for samples, wait in ((30, 20.0), (2047, 40.0)):
        flavour.run(client.uncertainty(["a b c"], samples=samples, layers="all", seed=1))
        assert waits[-1] == wait


def test_more_samples_than_a_call_may_hold_come_in_pieces(flavour, address, whole, monkeypatch):
    monkeypatch.setattr(sample_limits, "MOST_NUMBERS", 5000)
    client = flavour.client(address)
    found = flavour.run(client.uncertainty(TEXTS, samples=7, seed=4))
    np.testing.assert_allclose(found.mean, whole.mean, **CLOSE)
    with pytest.raises(penult_client.InvalidInputError, match="take at most 454 samples"):
        flavour.run(client.uncertainty(["a"], samples=500))
