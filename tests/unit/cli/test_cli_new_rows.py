"""`penult transform`, `assign`, `grow`, `clusters`: what is asked of a server, printed, written and refused."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import penult_client
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from penult.v1 import common_pb2 as common
from penult_service.cli.app import main
from support import wire_server
from support.wire_numbers import vector_of
from support.wire_server import Script
from support.wire_stored import labels_of

TEXTS = ["one", "two words", "x" * 20]
MATRIX = np.array([vector_of(text) for text in TEXTS], dtype=np.float32)
BAD = 1


@pytest.fixture
def script() -> Script:
    return Script()


@pytest.fixture
def server(script: Script) -> Iterator[str]:
    running, where = wire_server.start(script)
    yield where
    running.stop(0).wait()


@pytest.fixture
def texts(tmp_path: Path) -> Path:
    path = tmp_path / "texts.csv"
    path.write_text("id,text\n" + "".join(f"{i},{text}\n" for i, text in enumerate(TEXTS)))
    return path


@pytest.fixture
def vectors(tmp_path: Path) -> Path:
    """Four rows, one without an embedding."""
    values = np.insert(MATRIX, BAD, np.nan, axis=0)
    rows = pa.FixedSizeListArray.from_arrays(
        pa.array(values.ravel()), 4, mask=pa.array([i == BAD for i in range(4)])
    )
    table = pa.table({"text": [f"row {i}" for i in range(4)], "embedding": rows})
    path = tmp_path / "rows.parquet"
    pq.write_table(table.replace_schema_metadata({"penult.embedding_space": "s"}), path)
    return path


def told(capsys: pytest.CaptureFixture[str], *words: object) -> Any:
    assert main([*map(str, words), "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def test_texts_get_places(
    server: str, script: Script, texts: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = texts.with_name("out.csv")
    assert main(["transform", str(texts), "--map", "map1", "--server", server, "-o", str(out)]) == 0
    printed = capsys.readouterr()
    assert "3 rows placed on map map1 (6 rows); 1 are far (beyond 10.0000)" in printed.out
    assert "1 row far from all that it was made of (their places say little): 2" in printed.err
    lines = out.read_text().splitlines()
    assert lines[0] == "id,text,x,y,distance,nearest_row,far"
    assert lines[1].split(",") == ["0", "one", "3.0", str(MATRIX[0, 1]), "3.0", "0", "False"]
    (asked,) = script.asked("Transform")
    assert list(asked.source.texts.texts) == TEXTS  # the server embeds them, as the map's own rows were
    assert asked.source.options == common.EmbedOptions()


def test_embeddings_get_places(
    server: str, script: Script, vectors: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    facts = told(capsys, "transform", vectors, "--map", "map1", "--approximate", "--server", server)
    assert [row["row"] for row in facts["results"]] == [0, 2, 3]
    assert [row["far"] for row in facts["results"]] == [False, False, True]
    np.testing.assert_array_equal([row["place"] for row in facts["results"]], MATRIX[:, :2])
    (asked,) = script.asked("Transform")
    assert (asked.approximate, asked.source.vectors.embedding_space) == (True, "s")
    out = vectors.with_name("out.parquet")
    words = ["transform", vectors, "--map", "map1", "--server", server, "-o", out]
    assert main([*map(str, words)]) == 0
    table = pq.read_table(out)
    assert table["far"].to_pylist() == [False, None, False, True]
    assert json.loads(table.schema.metadata[b"penult.transform"])["map"] == "map1"


def test_texts_get_clusters(
    server: str, script: Script, texts: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = texts.with_name("out.jsonl")
    words = ["assign", texts, "--clusters", "topics", "--server", server, "--model", "reviews@3", "-o", out]
    assert main([*map(str, words)]) == 0
    assert script.asked("AssignClusters")[0].source.options == common.EmbedOptions(model="reviews@3")
    rows = [json.loads(line) for line in out.read_text().splitlines()]
    assert [row["cluster"] for row in rows] == labels_of(MATRIX).tolist() == [1, 1, -1]
    assert [row["cluster_name"] for row in rows] == ["odd", "odd", ""]
    assert [row["share"] for row in rows] == [0.75] * 3
    printed = capsys.readouterr().out
    assert "3 rows in clusters topics: 2 belong to one, 1 to none" in printed
    assert "1 odd" in printed
    facts = told(capsys, "assign", texts, "--clusters", "topics", "--server", server)
    assert [(row["cluster"], row["name"]) for row in facts["results"]] == [(1, "odd"), (1, "odd"), (-1, "")]
    assert (facts["unassigned"], facts["far"], facts["clustering"]) == (1, 1, "topics")


def test_clusters_grow(
    server: str, script: Script, vectors: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = vectors.with_name("out.parquet")
    words = ["grow", vectors, "--clusters", "topics", "--min-cluster-size", 3, "--server", server, "-o", out]
    assert main([*map(str, words)]) == 0
    assert script.asked("GrowClustering")[0].min_cluster_size == 3
    printed = capsys.readouterr().out
    assert "3 rows taken into clusters topics: 1 new cluster, 1 row in none" in printed
    assert printed.splitlines()[-1].split() == ["7", "2", "0", "new"]
    assert pq.read_table(out)["cluster"].to_pylist() == [1, None, 1, -1]
    facts = told(capsys, "grow", vectors, "--clusters", "topics", "--server", server)
    assert facts["labels"] == [1, None, 1, -1]
    assert facts["new_clusters"] == [7]
    assert [each["drift"] for each in facts["clusters"]] == [0.5, 0.25, 0.0]


@pytest.mark.parametrize("command", [["transform", "--map", "map1"], ["assign", "--clusters", "topics"]])
def test_a_dry_run_says_what_it_would_take(
    server: str, script: Script, texts: Path, capsys: pytest.CaptureFixture[str], command: list[str]
) -> None:
    words = [command[0], str(texts), *command[1:], "--server", server, "--dry-run"]
    assert main(words) == 0
    printed = capsys.readouterr().out
    assert f"about 3 s and 1 MiB of memory, on {server} (load 1.5 on 2 processors now" in printed
    assert "3 rows have to be embedded before" in printed
    assert "answered at once" in printed
    assert told(capsys, *words)["seconds"] == 3.0
    assert script.asked("Transform") == script.asked("AssignClusters") == []


def test_clusters_that_are_kept(server: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["clusters", "list", "--server", server]) == 0
    assert capsys.readouterr().out.splitlines()[1].split()[:3] == ["topics", "2", "6"]
    assert told(capsys, "clusters", "list", "--server", server)[0]["cluster_names"] == {"1": "odd"}
    assert main(["clusters", "show", "topics", "--server", server]) == 0
    printed = capsys.readouterr().out
    assert "topics: 2 clusters of 6 rows, 0 in none; hdbscan, cosine" in printed
    assert printed.splitlines()[-1].split() == ["1", "odd", "3", "50.0%", "word", "1", "1,", "3"]
    facts = told(capsys, "clusters", "show", "topics", "--server", server)
    assert facts["labels"] == [0, 1, 0, 1, 0, 1]
    assert facts["clusters"][1]["keywords"] == [{"word": "word 1", "weight": 0.5}]
    assert main(["clusters", "history", "topics", "--server", server]) == 0
    assert capsys.readouterr().out.splitlines()[1].split()[:4] == ["-", "made", "6", "0"]
    assert told(capsys, "clusters", "history", "topics", "--server", server)[0]["sizes"] == [3, 3]
    assert main(["clusters", "delete", "topics", "--server", server]) == 0


@pytest.mark.parametrize(
    ("words", "event", "asked"),
    [
        (["merge", "topics", "0", "1"], "merged", {"merge": {"labels": [0, 1]}}),
        (["split", "topics", "1", "--into", "3"], "split", {"split": {"label": 1, "nClusters": 3}}),
        (["name", "topics", "0=a b", "1="], "names", {"names": {"names": {"0": "a b", "1": ""}}}),
    ],
)
def test_changes_by_hand(
    server: str,
    script: Script,
    capsys: pytest.CaptureFixture[str],
    words: list[str],
    event: str,
    asked: dict[str, Any],
) -> None:
    from google.protobuf.json_format import MessageToDict

    assert main(["clusters", *words, "--server", server]) == 0
    assert f"last {event};" in capsys.readouterr().out
    (request,) = script.asked("EditClustering")
    (edit,) = asked
    assert MessageToDict(request)[edit] == asked[edit]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["transform", "texts.csv", "--map", "map1"], "name where maps and clusters are kept"),
        (["transform", "texts.csv", "--map", "map1", "--data", "d"], "name the model that embeds them"),
        (["transform", "none.csv", "--map", "map1", "--server", "SERVER"], "none.csv is not a file"),
        (["transform", "texts.csv", "--map", "other", "--server", "SERVER"], "there is no 'other'"),
        (["transform", "texts.csv", "--map", "", "--server", "SERVER"], "pass the name of a map"),
        (["transform", "texts.csv", "--map", "m", "--server", "SERVER", "-o", "o.npy"], "ends in one of"),
        (
            ["transform", "xy.csv", "--map", "m", "--server", "SERVER", "-o", "o.csv"],
            "has a column 'x' already",
        ),
        (
            ["assign", "texts.csv", "--clusters", "topics", "--data", ".", "--model", "gone"],
            "there is no gone",
        ),
        (["grow", "texts.csv", "--clusters", "other", "--server", "SERVER"], "there is no 'other'"),
        (["clusters", "list"], "name where maps and clusters are kept"),
        (["clusters", "merge", "topics", "1", "--server", "SERVER"], "two different labels"),
        (["clusters", "name", "topics", "refunds", "--server", "SERVER"], "is no LABEL=TEXT"),
        (["clusters", "name", "topics", "-1=a", "--server", "SERVER"], "o such option"),
        (["clusters", "split", "topics", "0", "--into", "1", "--server", "SERVER"], "at least 2"),
        (["map", "texts.csv", "--name", "m"], "name where maps and clusters are kept"),
        (["cluster", "texts.csv", "--name", "m", "--data", "d"], "name the model that embeds them"),
    ],
)
def test_bad_input(
    server: str,
    texts: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    words: list[str],
    said: str,
) -> None:
    monkeypatch.chdir(texts.parent)
    texts.with_name("xy.csv").write_text("text,x\na,1\n")
    before = sorted(path.name for path in texts.parent.iterdir())
    assert main([server if word == "SERVER" else word for word in words]) == 2
    printed = capsys.readouterr()
    assert said in printed.err
    assert printed.out == ""
    assert sorted(path.name for path in texts.parent.iterdir()) == before


def test_a_directory_is_opened_by_a_private_server(
    server: str, vectors: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Without a model a made-up one, which embeds nothing; with one, that."""
    asked: list[tuple[object, dict[str, object]]] = []

    def opened(path: object, **settings: object) -> penult_client.Client:
        asked.append((path, settings))
        return penult_client.Client(server)

    monkeypatch.setattr(penult_client.Client, "open", opened)
    folder = vectors.with_name("data")
    assert main(["transform", str(vectors), "--map", "map1", "--data", str(folder)]) == 2
    assert f"there is no directory {folder}" in capsys.readouterr().err
    folder.mkdir()
    assert main(["transform", str(vectors), "--map", "map1", "--data", str(folder)]) == 0
    model = vectors.with_name("model")
    model.mkdir()
    assert main(["clusters", "list", "--data", str(folder)]) == 0
    words = ["transform", str(vectors), "--map", "map1", "--data", str(folder), "--model", str(model)]
    assert main(words) == 0
    assert [path for path, _ in asked] == ["fake:none", "fake:none", str(model)]
    assert all((how["data"], how["analysis_workers"]) == (folder, 1) for _, how in asked)
    assert "topics" in capsys.readouterr().out


def test_maps_and_clusters_are_kept(
    server: str, script: Script, texts: Path, vectors: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["map", texts, "--method", "pca", "--name", "m", "--overwrite", "--server", server]
    assert main([*map(str, words), "--pooling", "mean", "--model", "reviews"]) == 0
    (asked,) = script.asked("Project")
    assert (asked.name, asked.overwrite, list(asked.source.texts.texts)) == ("m", True, TEXTS)
    assert (asked.source.options.model, asked.source.options.pooling) == ("reviews", common.POOLING_MEAN)
    assert script.asked("Embed") == []
    words = [
        "map",
        vectors,
        "--aligned-to",
        "old",
        "--supervised",
        "text",
        "--target-weight",
        0.25,
        "--density",
    ]
    capsys.readouterr()
    facts = told(capsys, *words, "--server", server)
    asked = script.asked("Project")[1]
    assert (asked.aligned_to, asked.supervised, asked.target_weight, asked.density) == (
        "old",
        True,
        0.25,
        True,
    )
    assert list(asked.labels) == ["row 0", "row 2", "row 3"]
    assert asked.source.vectors.embedding_space == "s"
    assert (facts["alignment_disparity"], facts["neighbors_kept"]) == (0.125, 0.5)
    out = texts.with_name("out.parquet")
    words = ["cluster", texts, "--n-clusters", 2, "--name", "topics", "--server", server, "-o", out]
    assert main([*map(str, words)]) == 0
    asked = script.asked("Cluster")[0]
    assert (asked.name, asked.overwrite, asked.n_clusters) == ("topics", False, 2)
    metadata = pq.read_table(out).schema.metadata
    assert (metadata[b"penult.embedding_space"], metadata[b"penult.model"]) == (b"space-d1", b"reviews")
