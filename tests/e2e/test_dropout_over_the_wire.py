"""Dropout does not change inference outputs: a trained model over the wire against its original in Keras.

Every check is a function of something that answers. All of them hold for the server and for Keras in inference
mode, and all of them fail on answers made with dropout active: that shows that they can.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import penult_client
import pytest
from penult_client import Client
from penult_service.prepared import load_manifest
from support.keras_original import Answer, KerasOriginal, Matrix
from support.processes import Served, penult, prepared_in

pytestmark = [pytest.mark.weights, pytest.mark.tensorflow]

Ask = Callable[[Sequence[str]], Answer]
"""Texts -> embeddings and probabilities."""

PARITY, INDEPENDENCE, REPEATS = 1e-5, 1e-6, 20
ODD_TEXTS = ("", "naïve café 👩‍👧", "a text that is too long " * 30)


@dataclass(frozen=True)
class Expected:
    """The original's own tensors for the texts of the checks, and its `predict`."""

    texts: list[str]
    before: Matrix
    after: Matrix
    predicted: Matrix


@pytest.fixture(scope="module")
def expected(original: KerasOriginal, real_texts: list[str]) -> Expected:
    texts = [*sorted(real_texts, key=len)[:: len(real_texts) // 10], *ODD_TEXTS]
    tensors = original.tensors(texts)
    return Expected(texts, tensors["before"], tensors["after"], original.predict(texts))


@pytest.fixture(scope="module")
def over_the_wire(client: Client) -> Ask:
    def ask(texts: Sequence[str]) -> Answer:
        found = client.embed(list(texts), probabilities=True)
        assert found.dropout_proven
        assert found.probabilities is not None
        return found.vectors, found.probabilities

    return ask


def same(found: Any, wanted: Any, tolerance: float) -> None:
    np.testing.assert_allclose(found, wanted, rtol=0, atol=tolerance)


def equals_the_tensor_in_front(ask: Ask, expected: Expected) -> None:
    same(ask(expected.texts)[0], expected.before, PARITY)


def equals_the_tensor_behind(ask: Ask, expected: Expected) -> None:
    same(ask(expected.texts)[0], expected.after, PARITY)


def equals_predict(ask: Ask, expected: Expected) -> None:
    same(ask(expected.texts)[1], expected.predicted, PARITY)


def repeats_are_bitwise_equal(ask: Ask, expected: Expected) -> None:
    first = ask(expected.texts)
    for _ in range(REPEATS - 1):
        for again, before in zip(ask(expected.texts), first, strict=True):
            same_bytes = (
                again.tobytes() == before.tobytes()
            )  # not in the assert: a failure would be shown byte by byte
            assert same_bytes, "another run of the same texts gave other numbers"


def company_changes_nothing(ask: Ask, expected: Expected) -> None:
    in_parts(ask, expected, 1)


def chunks_change_nothing(ask: Ask, expected: Expected) -> None:
    for size in (2, 7):
        in_parts(ask, expected, size)


def in_parts(ask: Ask, expected: Expected, size: int) -> None:
    together = ask(expected.texts)
    for start in range(0, len(expected.texts), size):
        part = slice(start, start + size)
        for found, all_rows in zip(ask(expected.texts[part]), together, strict=True):
            same(found, all_rows[part], INDEPENDENCE)


def order_changes_nothing(ask: Ask, expected: Expected) -> None:
    in_order = ask(expected.texts)
    backwards = np.arange(len(expected.texts))[::-1]
    for order in (backwards, np.random.default_rng(5).permutation(backwards)):
        for found, rows in zip(ask([expected.texts[i] for i in order]), in_order, strict=True):
            same(found, rows[order], INDEPENDENCE)


CHECKS = [
    equals_the_tensor_in_front,
    equals_the_tensor_behind,
    equals_predict,
    repeats_are_bitwise_equal,
    company_changes_nothing,
    order_changes_nothing,
    chunks_change_nothing,
]
every_check = pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)


@every_check
def test_over_the_wire(check: Callable[..., None], over_the_wire: Ask, expected: Expected) -> None:
    check(over_the_wire, expected)


@every_check
def test_the_check_holds_for_keras_in_inference(
    check: Callable[..., None], original: KerasOriginal, expected: Expected
) -> None:
    check(original.inference, expected)


@every_check
@pytest.mark.parametrize("active", ["with_head_dropout", "with_all_dropout"])
def test_the_check_fails_when_dropout_is_active(
    check: Callable[..., None], active: str, original: KerasOriginal, expected: Expected
) -> None:
    with pytest.raises(AssertionError):
        check(getattr(original, active), expected)


def test_callers_at_once_change_nothing(over_the_wire: Ask, expected: Expected) -> None:
    """The server packs texts of several callers into one batch."""
    together = over_the_wire(expected.texts)
    parts = [np.arange(first, len(expected.texts), 6) for first in range(6)] * 3
    with ThreadPoolExecutor(len(parts)) as pool:
        answers = pool.map(lambda rows: over_the_wire([expected.texts[i] for i in rows]), parts)
        for rows, answer in zip(parts, answers, strict=True):
            for found, all_rows in zip(answer, together, strict=True):
                same(found, all_rows[rows], INDEPENDENCE)


def test_the_server_tells_what_was_proven(client: Client) -> None:
    report = client.inspect_dropout("genre")
    assert report.proven
    *inner, own = report.sites
    assert (own.path, own.place, own.rate) == ("dropout", "at_seam", pytest.approx(0.1))
    # Of the encoder's own the graph that is served shows nothing: the function for training tells of them.
    assert {(site.place, site.sampled) for site in inner} == {("before_embedding", True)}
    assert len(inner) == 1 + 3 * 6  # its embeddings, and three in each of its layers
    figures = {figure.name: figure for figure in report.figures}
    assert all(figure.value <= figure.limit for figure in figures.values())
    # Before, behind and predict of Keras itself, and the repeats, are among what was compared.
    assert {"embedding_vs_keras_before", "embedding_vs_keras_after", "prediction_vs_keras", "repeats"} <= set(
        figures
    )


def test_beside_a_good_model_the_one_with_dropout_on_is_failed(server: Served, client: Client) -> None:
    states = {model.id: model for model in client.models()}
    assert {name: model.state for name, model in states.items()} == {
        "genre@1": "ready",
        "always-on@1": "failed",
    }
    assert "active at inference" in states["always-on@1"].state_message
    with pytest.raises(penult_client.PreconditionError) as caught:
        client.embed(["a film"], model="always-on")
    assert caught.value.code == "FAILED_PRECONDITION"
    assert (caught.value.reason, caught.value.metadata["cause"]) == ("MODEL_FAILED", "RANDOM_AT_INFERENCE")
    assert "without training=True" in caught.value.message
    assert "RANDOM_AT_INFERENCE" in server.log


@pytest.fixture(scope="module")
def refusals(always_on: Path, data: Path) -> dict[str, subprocess.CompletedProcess[str]]:
    """What `penult serve` and `penult verify` say of the model with dropout on, run side by side."""
    commands = {
        "serve": ("serve", always_on, "--data", data, "--port", "0"),
        "verify": ("verify", always_on, "--data", data, "--json"),
    }
    with ThreadPoolExecutor(len(commands)) as pool:
        ended = pool.map(lambda command: penult(*command), commands.values())
        return dict(zip(commands, ended, strict=True))


def test_serve_refuses_it(refusals: dict[str, subprocess.CompletedProcess[str]]) -> None:
    done = refusals["serve"]
    assert done.returncode == 1
    (line,) = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    assert "active at inference" in line
    assert "without training=True" in line
    assert line.endswith("(RANDOM_AT_INFERENCE)")


def test_verify_refuses_it(refusals: dict[str, subprocess.CompletedProcess[str]]) -> None:
    done = refusals["verify"]
    assert done.returncode == 1
    told = json.loads(done.stdout)
    assert (told["proven"], told["reason"]) == (False, "RANDOM_AT_INFERENCE")
    assert "refused (RANDOM_AT_INFERENCE): dropout or another random operation" in done.stderr


def test_nothing_refused_is_kept(
    server: Served, refusals: dict[str, subprocess.CompletedProcess[str]], data: Path
) -> None:
    del server, refusals
    kept = [load_manifest(data / "prepared" / name) for name in prepared_in(data / "prepared")]
    assert [Path(manifest.source).parent.name for manifest in kept] == ["genre"]
