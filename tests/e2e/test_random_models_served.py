"""Models that are random at inference, over the wire: refused by layer and operation, or served with a warning."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import penult_client
import pytest
from penult_client import Client
from support import stochastic_models as models
from support import text_models as tm
from support.processes import Served, penult, serving_process

pytestmark = pytest.mark.tensorflow


@pytest.fixture(scope="module")
def noisy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Its head's dropout is forced on."""
    return models.CASES["every function of the file drops"].save(tmp_path_factory.mktemp("noisy") / "noisy")


@pytest.fixture(scope="module")
def server(noisy: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """Started on the operator's word."""
    home = tmp_path_factory.mktemp("allowed")
    with serving_process(home, noisy, "--allow-stochastic", "--data", home / "data") as served:
        yield served


@pytest.fixture(scope="module")
def client(server: Served) -> Iterator[Client]:
    with server.client() as client:
        yield client


@pytest.mark.full  # beside `test_dropout_over_the_wire`
def test_without_the_operators_word_it_is_refused(noisy: Path, tmp_path: Path) -> None:
    ran = penult("verify", noisy, "--data", tmp_path / "data")
    assert ran.returncode == 1
    assert "RandomUniform of layer 'dropout' (Dropout)" in ran.stderr
    with (
        serving_process(tmp_path, noisy, "fake:demo", "--data", tmp_path / "data") as served,
        served.client() as client,
    ):
        with pytest.raises(penult_client.PreconditionError) as caught:
            client.embed(["a text"], model="noisy")
        assert caught.value.code == "FAILED_PRECONDITION"
        assert caught.value.metadata["cause"] == "RANDOM_AT_INFERENCE"
        assert "RandomUniform of layer 'dropout' (Dropout)" in str(caught.value)
        assert client.embed(["a text"], model="demo").warnings == ()


def test_every_reply_carries_the_warning(client: Client) -> None:
    embedded = client.embed(tm.TEXTS, probabilities=True)
    (warning,) = embedded.warnings
    assert "RandomUniform of layer 'dropout' (Dropout)" in warning
    assert not embedded.dropout_proven
    for reply in (client.classify(tm.TEXTS), client.predict(tm.TEXTS), client.tokenize(tm.TEXTS)):
        assert reply.warnings == (warning,)
    report = client.inspect_dropout()
    assert not report.proven
    assert any("NOT clean: RandomUniform of layer 'dropout' (Dropout)" in line for line in report.findings)


def test_embed_says_it_once(server: Served, client: Client, tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("text\n" + "a good film\n" * 40)
    words = ("embed", tmp_path / "a.csv", "-o", tmp_path / "a.parquet", "--server", server.address)
    ran = penult(*words, "--batch-size", 8)
    assert ran.returncode == 0
    (warning,) = client.embed(["a text"]).warnings
    assert ran.stderr.count(f"warning: {warning}") == 1
