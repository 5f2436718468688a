"""`penult neighbors`, `cluster` and `map`: with a server, over a socket, and on stored embeddings in this process."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from penult_service.cli.app import main
from support.fakes import fake_model
from support.pools import WARM_SECONDS, unwarmed_workers
from support.serving import SERVING, health, serving, wait_until

WORDS = ("red", "blue", "green", "round", "square", "long", "old", "new", "warm", "cold")
TEXTS = [f"{WORDS[i % 10]} {WORDS[i * 7 % 10]} {WORDS[i // 10]}" for i in range(60)]


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    with unwarmed_workers(), serving(fake_model("reviews", 3), analysis_workers=1) as server:
        with server.channel() as channel:
            wait_until(lambda: health(channel, "penult.v1.AnalysisService") == SERVING, seconds=WARM_SECONDS)
        yield server.address


@pytest.fixture(scope="module")
def texts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("analysis") / "texts.jsonl"
    path.write_text("".join(json.dumps({"text": t, "first": t.split()[0]}) + "\n" for t in TEXTS))
    return path


@pytest.fixture(scope="module")
def stored(address: str, texts: Path) -> Path:
    """The texts with their embeddings, as `penult embed` writes them."""
    out = texts.with_name("embedded.parquet")
    assert main(["embed", str(texts), "--server", address, "-o", str(out)]) == 0
    return out


def told(capsys: pytest.CaptureFixture[str], *words: object) -> dict[str, Any]:
    assert main([*map(str, words), "--json"]) == 0
    facts: dict[str, Any] = json.loads(capsys.readouterr().out)
    return facts


@pytest.mark.parametrize(
    ("command", "compared"),
    [
        (["neighbors", "-k", 3], "results"),
        (["neighbors", "-k", 3, "--metric", "euclidean", "--include-self"], "results"),
        (["cluster", "--method", "kmeans", "--n-clusters", 4, "--label-column", "first"], "labels"),
        (["map", "--method", "pca", "--color", "first"], "coordinates"),
    ],
)
def test_a_server_and_this_process_say_the_same(
    address: str,
    texts: Path,
    stored: Path,
    capsys: pytest.CaptureFixture[str],
    command: list[Any],
    compared: str,
) -> None:
    name, *settings = command
    far = told(capsys, name, texts, *settings, "--server", address)
    near = told(capsys, name, stored, *settings)
    assert far[compared] == near[compared]
    assert far["embedding_space"] == near["embedding_space"] != ""


def test_provenance_and_files(address: str, texts: Path) -> None:
    folder = texts.parent
    outs = [folder / f"map.{ending}" for ending in ("parquet", "png", "html")]
    words = [word for out in outs for word in ("-o", str(out))]
    assert (
        main(["map", str(texts), "--method", "pca", "--server", address, "--model", "reviews", *words]) == 0
    )
    table = pq.read_table(outs[0])
    assert table.column_names == ["text", "first", "x", "y"]
    metadata = table.schema.metadata
    assert metadata[b"penult.model"] == b"reviews"
    assert len(metadata[b"penult.model_digest"]) == 64
    assert (
        json.loads(metadata[b"penult.map"])["embedding_space"] == metadata[b"penult.embedding_space"].decode()
    )
    assert np.isfinite(table["x"].to_numpy()).all()
    assert outs[1].read_bytes().startswith(b"\x89PNG")
    assert json.dumps(TEXTS[0]) in outs[2].read_text(encoding="utf-8")


def test_what_the_server_refuses_is_one_line(
    address: str, texts: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["cluster", str(texts), "--server", address, "--model", "nobody"]) == 2
    printed = capsys.readouterr()
    assert printed.err.count("\n") == 1
    assert "nobody" in printed.err
    assert printed.out == ""
