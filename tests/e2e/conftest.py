"""A classifier that is really trained, on real weights and texts; the same in Keras; a server for it."""

from __future__ import annotations

import csv
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest
from numpy.typing import NDArray
from penult_client import Client
from support.keras_original import KerasOriginal
from support.pretrained import ROOT
from support.processes import Served, penult, serving_process
from support.serving import open_channel

# The scripts are programs, not part of the package.
sys.path.insert(0, str(ROOT / "scripts"))
import demo_data
import fetch

TRAIN_ROWS, HELD_OUT_ROWS, MAX_LENGTH = 400, 100, 64
PARITY_TEXTS = 500
GOOD, BAD = "genre", "always-on"


@dataclass(frozen=True)
class Reference:
    """What Keras says of `texts`: tensors on both sides of the dropout, outputs, token outputs and mask."""

    texts: list[str]
    before: NDArray[np.float32]
    after: NDArray[np.float32]
    outputs: NDArray[np.float32]
    tokens: NDArray[np.float32]
    mask: NDArray[np.int32]


def _fetched(what: Callable[[], Path]) -> Path:
    try:
        return what()
    except fetch.FetchError as error:
        pytest.skip(str(error))


@pytest.fixture(scope="session")
def weights() -> Path:
    """The pretrained BERT, as a Hugging Face directory."""
    return _fetched(fetch.weights)


@pytest.fixture(scope="session")
def genre_rows() -> tuple[list[demo_data.Row], list[demo_data.Row]]:
    """The demo's task: held-out rows, rows to train on."""
    return demo_data.split(list(demo_data.distinct(demo_data.rows(_fetched(fetch.texts)))))


@pytest.fixture(scope="session")
def real_texts(genre_rows: tuple[list[demo_data.Row], list[demo_data.Row]]) -> list[str]:
    """500 sentences that the model was not trained on: SST-2's, else held-out ones of the demo."""
    shared = ROOT.parent / "shared" / "data" / "sst2_dev.csv"
    if not shared.is_file():
        return [row.text for row in genre_rows[0]][:PARITY_TEXTS]
    with shared.open(newline="", encoding="utf-8") as file:
        return [row["text"] for row in csv.DictReader(file)][:PARITY_TEXTS]


@pytest.fixture(scope="session")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the models of this session stand, and what is made of them."""
    return tmp_path_factory.mktemp("real")


@pytest.fixture(scope="session")
def trained(home: Path, weights: Path, genre_rows: tuple[list[demo_data.Row], list[demo_data.Row]]) -> Path:
    """`penult train bert` on a small part of the demo's task: the directory of version 1."""
    files = {"train": genre_rows[1][:TRAIN_ROWS], "valid": genre_rows[0][:HELD_OUT_ROWS]}
    for name, rows in files.items():
        with (home / f"{name}.csv").open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file)
            writer.writerow(["text", "genre"])
            writer.writerows((row.text, row.genre) for row in rows)
    options: dict[str, Any] = {
        "--train": home / "train.csv",
        "--valid": home / "valid.csv",
        "--label-column": "genre",
        "--weights": weights,
        "--epochs": 1,
        "--learning-rate": 2e-4,
        "--max-length": MAX_LENGTH,
        "--output": home / "models" / GOOD,
    }
    done = penult("train", "bert", *(part for pair in options.items() for part in pair))
    assert done.returncode == 0, done.stderr
    print(done.stdout)
    return home / "models" / GOOD / "1"


@pytest.fixture(scope="session")
def original(trained: Path) -> KerasOriginal:
    """The trained model in Keras."""
    return KerasOriginal(trained)


@pytest.fixture(scope="session")
def reference(original: KerasOriginal, real_texts: list[str]) -> Reference:
    """What Keras says of the 500 texts."""
    return Reference(real_texts, **original.tensors(real_texts))


@pytest.fixture(scope="session")
def always_on(trained: Path, original: KerasOriginal) -> Path:
    """The trained model with dropout forced on, beside it in the models directory."""
    directory = trained.parents[1] / BAD / "1"
    original.save_with_dropout_forced_on(directory)
    return directory


@pytest.fixture(scope="session")
def data(home: Path) -> Path:
    """The --data directory of the session's servers."""
    return home / "data"


@pytest.fixture(scope="session")
def server(
    trained: Path, always_on: Path, data: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Served]:
    """A server for the models directory, which holds the good model and the one with dropout on."""
    del always_on
    folder = tmp_path_factory.mktemp("server")
    with serving_process(folder, "--models", trained.parents[1], "--data", data) as served:
        yield served


@pytest.fixture(scope="session")
def client(server: Served) -> Iterator[Client]:
    """A client of that server."""
    with server.client() as connected:
        yield connected


@pytest.fixture(scope="session")
def address(server: Served) -> str:
    """Where that server listens."""
    return server.address


@pytest.fixture
def channel(address: str) -> Iterator[grpc.Channel]:
    """A connection of its own to it."""
    with open_channel(address) as opened:
        yield opened
