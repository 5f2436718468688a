"""What commands draw: reports on clusters, new rows on kept maps, usual scores; what is refused leaves no file."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from penult_service.analysis import run
from penult_service.analysis.calls import Cluster, Project
from penult_service.analysis.results import Advice, ClusterResult, ProjectResult, Stability
from penult_service.cli.app import main
from support import wire_server
from support.wire_numbers import vector_of
from support.wire_server import Script

TEXTS = ["one", "two words", "x" * 20]
PNG = b"\x89PNG"


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
    path.write_text("kind,text\n" + "".join(f"k{i % 2},{text}\n" for i, text in enumerate(TEXTS)))
    return path


@pytest.fixture
def made_of(tmp_path: Path) -> Path:
    """The six rows that the server's map was made of."""
    path = tmp_path / "old.csv"
    path.write_text("kind,text\n" + "".join(f"k{i % 3},old text {i}\n" for i in range(6)))
    return path


@pytest.fixture
def array(tmp_path: Path) -> Path:
    np.save(tmp_path / "rows.npy", np.random.default_rng(0).standard_normal((40, 5)).astype(np.float32))
    return tmp_path / "rows.npy"


def data_of(path: Path) -> dict[str, Any]:
    page = path.read_text(encoding="utf-8")
    found: dict[str, Any] = json.loads(
        re.findall(r'<script type="application/json"[^>]*>(.*?)</script>', page)[0]
    )
    return found


def clustered(_: Any, arrays: dict[str, Any]) -> ClusterResult:
    """Two clusters, and some rows in none."""
    rows = len(arrays["source"])
    labels = np.where(np.arange(rows) < rows // 2, 0, 1).astype(np.int32)
    labels[-1] = -1
    return ClusterResult(
        labels=labels,
        sizes=np.bincount(labels[labels >= 0]).astype(np.int32),
        nearest=np.array([[0, 1], [rows - 2, -1]], np.int32),
        zero_rows=np.empty(0, np.int32),
        silhouette=0.5,
        silhouette_rows=rows - 1,
        noise_share=1 / rows,
        used={"method": "kmeans", "metric": "cosine", "n_clusters": 2},
        border=np.array([[2, -1], [3, -1]], np.int32),
        odd=np.array([[1, -1], [rows - 3, -1]], np.int32),
        silhouettes=np.array([0.25, np.nan], np.float32),
        davies_bouldin=0.75,
        calinski_harabasz=123.0,
        stability=Stability(0.8, 0.7, 0.9, 5),
        curve=((2, 0.5), (3, 0.49), (9, 0.1)),
        merges=np.array([[0, 1, 0.25, 2]]),
        moved=np.array([4], np.int32),
        advice=(Advice("min_cluster_size", "too few rows"),),
        keywords=((("alpha", 0.5), ("beta", 0.25)), (("gamma", 0.1),)),
    )


def test_reports_on_clusters(
    array: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    asked: list[Cluster] = []

    def fake(call: Cluster, arrays: dict[str, Any]) -> ClusterResult:
        asked.append(call)
        return clustered(call, arrays)

    monkeypatch.setattr(run, "run", fake)
    places = [array.with_name(name) for name in ("page.html", "page.md", "rows.csv", "tree.png")]
    words = ["cluster", str(array), "--n-clusters", "auto", "--bootstraps", "5", "--keywords", "3"]
    assert (
        main(
            [*words, *(w for place in places[:3] for w in ("-o", str(place))), "--dendrogram", str(places[3])]
        )
        == 0
    )
    assert asked == [Cluster(auto=True, bootstraps=5, keywords=3)]
    page, text = (place.read_text(encoding="utf-8") for place in places[:2])
    for told in (
        "alpha, beta",
        "row 38",
        "0.80",
        "0.70 to 0.90",
        "123",
        "--min-cluster-size",
        "penult",
        "rows.npy",
    ):
        assert told in page, told
        assert told in text, told
    assert "└─ 1 gamma (19)" in text
    assert places[2].read_text().splitlines()[:2] == ["row,cluster", "0,0"]
    assert places[3].read_bytes().startswith(PNG)
    printed = capsys.readouterr()
    assert "Davies-Bouldin 0.750, Calinski-Harabasz 123.0" in printed.out
    assert "stability 0.800 (0.700 to 0.900, adjusted Rand of 5 bootstrap samples)" in printed.out
    assert "3 numbers of clusters tried: 2 has the best mean silhouette" in printed.out
    assert "2, from 2 to 3, are within 0.02 of that" in printed.out
    assert "1 rows were noise" in printed.out
    assert re.search(r"0 +20 +50.0% +alpha, beta +row 0", printed.out)
    assert "advice: --min-cluster-size: too few rows" in printed.err


def test_facts_of_clusters(
    array: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(run, "run", clustered)
    assert main(["cluster", str(array), "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert facts["stability"] == {"adjusted_rand": 0.8, "low": 0.7, "high": 0.9, "samples": 5}
    assert facts["curve"][0] == {"n_clusters": 2, "silhouette": 0.5}
    assert (facts["moved"], facts["merges"]) == ([4], [[0.0, 1.0, 0.25, 2.0]])
    one, other = facts["clusters"]
    assert one["keywords"][0] == {"word": "alpha", "weight": 0.5}
    assert (one["silhouette"], other["silhouette"]) == (0.25, None)
    assert [row["row"] for row in other["border"]] == [3]


def test_new_rows_on_a_map(server: str, texts: Path, made_of: Path) -> None:
    picture, page = texts.with_name("new.png"), texts.with_name("new.html")
    words = ["transform", texts, "--map", "map1", "--server", server, "--picture", picture, "--picture", page]
    assert main([*map(str, words), "--color", "kind", "--map-input", str(made_of)]) == 0
    assert picture.read_bytes().startswith(PNG)
    data = data_of(page)
    assert (data["stored"], data["n"]) == (6, 9)
    assert data["texts"] == [*(f"old text {i}" for i in range(6)), *TEXTS]
    assert [label[:2] for label in data["labels"]] == [["k0", 2], ["k1", 1], ["k2", 0]]
    assert data["labelled"] == [True, True]
    assert data["limit"] == 10


def test_new_rows_in_the_colours_of_clusters(server: str, script: Script, texts: Path) -> None:
    page = texts.with_name("new.html")
    words = [
        "transform",
        texts,
        "--map",
        "map1",
        "--server",
        server,
        "--picture",
        page,
        "--clusters",
        "topics",
    ]
    assert main([*map(str, words)]) == 0
    assert len(script.asked("AssignClusters")) == 1
    data = data_of(page)
    assert data["legend"] == "cluster (topics)"
    assert {label[0] for label in data["labels"]} >= {"1 odd", "in none of them"}
    assert data["texts"] == [None] * 6 + TEXTS


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (["--picture", "new.gif"], "ends in one of"),
        (["--picture", "texts.csv"], "ends in one of"),
        (["--color", "kind"], "--color is of a picture"),
        (["--map-input", "texts.csv"], "--map-input is of a picture"),
        (["--picture", "a.png", "--color", "kind", "--clusters", "topics"], "not by both"),
        (["--picture", "a.png", "--color", "nothing"], "no column 'nothing'"),
        (["--picture", "a.png", "--map-input", "texts.csv"], "was made of 6 rows, and texts.csv has 3"),
        (["--picture", "no/a.png"], "no directory"),
    ],
)
def test_pictures_that_cannot_be(
    server: str, texts: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
    more: list[str], said: str,
) -> None:  # fmt: skip
    monkeypatch.chdir(texts.parent)
    assert main(["transform", texts.name, "--map", "map1", "--server", server, *more]) == 2
    assert said in capsys.readouterr().err
    assert [path.name for path in texts.parent.iterdir()] == [texts.name]


def test_reports_on_kept_clusters(server: str, texts: Path) -> None:
    places = [texts.with_name(name) for name in ("kept.html", "kept.md", "kept.svg")]
    words = ["clusters", "show", "topics", "--server", server, "-o", places[0], "-o", places[1]]
    assert main([*map(str, words), "--dendrogram", str(places[2])]) == 0
    page, text = (place.read_text(encoding="utf-8") for place in places[:2])
    assert "topics" in page
    assert "# topics" in text
    assert places[2].read_text().startswith("<?xml")


@pytest.mark.parametrize(
    ("more", "said"),
    [(["-o", "a.csv"], "ends in one of"), (["--input", "texts.csv"], "texts.csv has 3"),
     (["-o", "a.md", "--input", "texts.csv"], "texts.csv has 3"), (["--dendrogram", "a.html"], "ends in .png or .svg")],
)  # fmt: skip
def test_reports_that_cannot_be(
    server: str, texts: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
    more: list[str], said: str,
) -> None:  # fmt: skip
    monkeypatch.chdir(texts.parent)
    assert main(["clusters", "show", "topics", "--server", server, *more]) == 2
    assert said in capsys.readouterr().err
    assert [path.name for path in texts.parent.iterdir()] == [texts.name]


def test_maps_show_which_neighbours_they_keep(
    array: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    kept = np.linspace(0, 1, 40, dtype=np.float32)
    kept[3] = np.nan

    def fake(_: Project, arrays: dict[str, Any]) -> ProjectResult:
        return ProjectResult(
            coordinates=arrays["source"][:, :2].copy(),
            explained_variance=np.empty(0),
            zero_rows=np.empty(0, np.int32),
            trustworthiness=0.9,
            quality_rows=40,
            quality_neighbors=15,
            label_purity=None,
            label_purity_source=None,
            used={"method": "umap"},
            continuity=0.8,
            neighbors_kept=0.5,
            row_neighbors_kept=kept,
            distance_correlation=0.7,
        )

    monkeypatch.setattr(run, "run", fake)
    out = array.with_name("map.html")
    assert main(["map", str(array), "-o", str(out), "--color", "neighbors-kept"]) == 0
    data = data_of(out)
    assert data["legend"] == "neighbours kept"
    assert data["ends"] == [0, 1]
    assert "kept" in data
    assert (
        "continuity 0.800, neighbours kept 0.500, rank correlation of distances 0.700"
        in capsys.readouterr().out
    )
    assert main(["map", str(array), "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert facts["row_neighbors_kept"][3] is None
    assert facts["row_neighbors_kept"][39] == 1
    kept[:] = np.nan
    assert main(["map", str(array), "-o", str(out), "--color", "neighbors-kept", "--overwrite"]) == 2
    assert "too few rows to say which neighbours" in capsys.readouterr().err


def test_usual_scores(array: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = array.with_name("usual.png")
    assert main(["similarity", "--file-a", str(array), "--picture", str(out)]) == 0
    assert out.read_bytes().startswith(PNG)
    other = array.with_name("other.npy")
    np.save(other, np.stack([np.array([*vector_of(text), 0.0], np.float32)[:5] for text in TEXTS]))
    capsys.readouterr()
    words = ["similarity", "--file-a", str(other), "--picture", str(array.with_name("few.png"))]
    assert main(words) == 2
    assert "fewer than 30 different rows" in capsys.readouterr().err
    assert not array.with_name("few.png").exists()
    assert main([*words, "--background", str(array)]) == 0
    assert main(["similarity", "--file-a", str(array), "--file-b", str(array), "--picture", "x.txt"]) == 2


def test_clusters_on_the_map_of_the_input(tmp_path: Path) -> None:
    rows = np.random.default_rng(0).standard_normal((40, 5)).astype(np.float32)
    np.save(tmp_path / "rows.npy", rows)
    mapped, page = tmp_path / "mapped.parquet", tmp_path / "page.html"
    assert main(["map", str(tmp_path / "rows.npy"), "--method", "pca", "-o", str(mapped)]) == 0
    table = pq.read_table(mapped)
    vectors = pa.FixedSizeListArray.from_arrays(pa.array(rows.ravel()), 5)
    pq.write_table(table.append_column("embedding", vectors), mapped)
    assert main(["cluster", str(mapped), "--method", "kmeans", "--n-clusters", "3", "-o", str(page)]) == 0
    data = data_of(page)
    assert data["n"] == 40
    assert [label[0] for label in data["labels"]] == ["0", "1", "2"]
    other = tmp_path / "other.parquet"
    pq.write_table(pq.read_table(mapped).replace_schema_metadata({}), other)
    assert main(["cluster", str(other), "--method", "kmeans", "-o", str(page), "--overwrite"]) == 0
    assert "application/json" not in page.read_text(encoding="utf-8")


def test_kept_clusters_on_a_kept_map(server: str, texts: Path, capsys: pytest.CaptureFixture[str]) -> None:
    page = texts.with_name("kept.html")
    words = ["clusters", "show", "topics", "--server", server, "--map", "map1"]
    assert main([*words, "-o", str(page)]) == 0
    assert data_of(page)["n"] == 6
    assert (
        "nobody has checked that they are the same ones" in capsys.readouterr().err
    )  # of no set: as many rows
    assert main(words) == 2
    assert "--map is of a page" in capsys.readouterr().err
