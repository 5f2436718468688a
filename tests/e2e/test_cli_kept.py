"""Maps and clusters that are kept, and new rows in them: the commands against the server itself."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from penult_client import Client
from penult_service.cli.app import main
from support.fakes import fake_model
from support.pools import data_that_is_warm, unwarmed_workers
from support.serving import serving

WORDS = ("red", "blue", "green", "round", "square", "long", "old", "new", "warm", "cold")
TEXTS = [f"{WORDS[i % 10]} {WORDS[i * 7 % 10]} {WORDS[i // 10]}" for i in range(60)]
BLOBS = (np.eye(3, 8)[np.arange(90) % 3] + np.random.default_rng(2).normal(0, 0.05, (90, 8))).astype("<f4")


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    data = data_that_is_warm(tmp_path_factory.mktemp("kept") / "data")
    with unwarmed_workers(), serving(fake_model("reviews", 3), analysis_workers=1, data=data) as server:
        yield server.address


def told(capsys: pytest.CaptureFixture[str], *words: object) -> Any:
    assert main([*map(str, words), "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def lines(path: Path, texts: list[str]) -> Path:
    path.write_text("".join(json.dumps({"text": text}) + "\n" for text in texts))
    return path


def test_texts_on_a_map_that_is_kept(
    address: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Rows of the map get their own places, read as they were read: by mean pooling."""
    old, new = (
        lines(tmp_path / "old.jsonl", TEXTS),
        lines(tmp_path / "new.jsonl", ["red new long", *TEXTS[5:9]]),
    )
    out = tmp_path / "old.parquet"
    words = ["map", old, "--method", "pca", "--pooling", "mean", "--name", "films", "--server", address]
    assert main([*map(str, words), "-o", str(out)]) == 0
    assert "kept as films: 60 rows" in capsys.readouterr().err
    facts = told(capsys, "transform", new, "--map", "films", "--server", address)
    assert facts["space_checked"]
    assert facts["map"] == "films"
    table = pq.read_table(out)
    own = np.column_stack([table["x"].to_numpy(), table["y"].to_numpy()])[5:9]
    np.testing.assert_allclose([row["place"] for row in facts["results"][1:]], own, atol=1e-5)
    assert [row["distance"] for row in facts["results"][1:]] == pytest.approx([0.0] * 4, abs=1e-6)
    assert main([*map(str, words)]) == 2
    assert "there is a projection 'films'" in capsys.readouterr().err
    assert main([*map(str, words), "--overwrite"]) == 0


@pytest.mark.full
def test_clusters_live_on(address: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    np.save(tmp_path / "old.npy", BLOBS[:60])
    far = np.eye(8)[[7]] + np.random.default_rng(3).normal(0, 0.02, (12, 8))
    np.save(tmp_path / "new.npy", np.vstack([BLOBS[57:90], far]).astype("<f4"))
    where = ["--server", address]
    words = ["cluster", tmp_path / "old.npy", "--method", "kmeans", "--n-clusters", 3, "--reduction", "none"]
    made = told(capsys, *words, "--name", "blobs", *where)
    assert len(made["clusters"]) == 3
    assigned = told(capsys, "assign", tmp_path / "new.npy", "--clusters", "blobs", *where)
    labels = [row["cluster"] for row in assigned["results"]]
    assert labels[:3] == made["labels"][57:]  # their own
    of_blob = dict(zip((np.arange(60) % 3).tolist(), made["labels"], strict=True))
    assert labels[:33] == [of_blob[i % 3] for i in range(57, 90)]
    assert labels[33:] == [-1] * 12
    again = told(capsys, "assign", tmp_path / "new.npy", "--clusters", "blobs", *where)
    assert again["results"] == assigned["results"]
    grown = told(capsys, "grow", tmp_path / "new.npy", "--clusters", "blobs", *where)
    assert grown["labels"][:33] == labels[:33]
    assert set(grown["labels"][33:]) == {3}
    assert grown["new_clusters"] == [3]
    assert main(["clusters", "name", "blobs", "3=new ones", *where]) == 0
    assert main(["clusters", "merge", "blobs", "0", "1", *where]) == 0
    capsys.readouterr()
    history = told(capsys, "clusters", "history", "blobs", *where)
    assert [batch["event"] for batch in history] == ["made", "grown", "named", "merged"]
    assert (history[1]["rows"], history[3]["gone_labels"]) == (45, [1])
    shown = told(capsys, "clusters", "show", "blobs", *where)
    assert {each["cluster"]: each["name"] for each in shown["clusters"]} == {0: "", 2: "", 3: "new ones"}
    assert len(shown["labels"]) == 105
    assert main(["clusters", "merge", "blobs", "0", "17", *where]) == 2
    assert "17" in capsys.readouterr().err
    assert [each["name"] for each in told(capsys, "clusters", "list", *where)] == ["blobs"]
    assert main(["clusters", "delete", "blobs", *where]) == 0


@pytest.mark.full
def test_a_directory_without_a_server(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A private server opens it, keeps what is made, and is refused while another has it open."""
    np.save(tmp_path / "rows.npy", BLOBS)
    data = data_that_is_warm(tmp_path / "data")
    words = ["cluster", tmp_path / "rows.npy", "--method", "kmeans", "--n-clusters", 3, "--reduction", "none"]
    made = told(capsys, *words, "--name", "blobs", "--data", data)
    facts = told(capsys, "assign", tmp_path / "rows.npy", "--clusters", "blobs", "--data", data)
    assert [row["cluster"] for row in facts["results"]] == made["labels"]
    with Client.open("fake:none", data=data, analysis_workers=0):
        assert main(["clusters", "list", "--data", str(data)]) == 1
        assert f"{data} is open in another server (process" in capsys.readouterr().err
