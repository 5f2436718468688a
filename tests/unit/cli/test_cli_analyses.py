"""What `neighbors`, `cluster` and `map` share: texts and their columns, the server that computes, what is missing."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import penult_client
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from numpy.typing import NDArray
from penult_client import Embeddings
from penult_service.analysis import calls, results
from penult_service.cli import analyses, exits, options, tables
from penult_service.cli.app import main
from penult_service.cli.scores import sides
from penult_service.cli.scores.sides import Side
from penult_service.config import ServeConfig
from penult_service.errors import InvalidInput

ADJUSTED = (penult_client.Adjustment(parameter="k", asked="9", used="3", why="because"),)


def vectors(rows: int, seed: int = 0) -> NDArray[np.float32]:
    return np.random.default_rng(seed).standard_normal((rows, 4)).astype(np.float32)


class FakeClient:
    """Embeds, and answers analyses as a server does; `calls` are what was asked."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, tuple[Any, ...], dict[str, Any]]] = []

    def embed(self, texts: Sequence[str], **settings: Any) -> Embeddings:
        self.calls.append(("embed", (texts,), settings))
        return Embeddings(
            vectors=vectors(len(texts)),
            probabilities=None,
            model="m",
            version=1,
            digest="d",
            space="s",
            layer="pooled",
            pooling="pooled",
            normalized=False,
            engine="fake",
            precision="float32",
            dropout_proven=True,
            labels=(),
            token_counts=np.ones(len(texts), np.int32),
            truncated=("none",) * len(texts),
            row_errors=(),
        )

    def neighbors(self, *arguments: Any, **settings: Any) -> penult_client.Neighbors:
        self.calls.append(("neighbors", arguments, settings))
        n = len(arguments[0])
        return penult_client.Neighbors(
            indices=np.tile(np.int32([1, 0]), (n, 1)),
            scores=np.tile(np.float32([0.5, 0.25]), (n, 1)),
            metric="cosine",
            zero_queries=np.int32([0]),
            zero_corpus=np.int32([1]),
            space_checked=False,
            adjustments=ADJUSTED,
        )

    def cluster(self, *arguments: Any, **settings: Any) -> penult_client.Clusters:
        self.calls.append(("cluster", arguments, settings))
        n = len(arguments[0])
        return penult_client.Clusters(
            labels=np.int32([-1] + [0] * (n - 1)),
            sizes=np.int32([n - 1]),
            nearest=(np.int32([2]),),
            quality=penult_client.ClusterQuality(
                silhouette=None,
                silhouette_rows=0,
                noise_share=1 / n,
                v_measure=0.5,
                adjusted_rand=0.25,
                purity=0.75,
            ),
            used={"method": "hdbscan"},
            zero_rows=np.int32([0]),
            adjustments=ADJUSTED,
        )

    def project(self, *arguments: Any, **settings: Any) -> penult_client.Projection:
        self.calls.append(("project", arguments, settings))
        n = len(arguments[0])
        return penult_client.Projection(
            coordinates=vectors(n, 9)[:, :2].copy(),
            quality=penult_client.ProjectionQuality(trustworthiness=0.5, rows=n, neighbors=2),
            explained_variance=np.array([0.75, 0.25]),
            used={"method": "pca", "n_components": "2"},
            zero_rows=np.int32([]),
            adjustments=(),
        )


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> FakeClient:
    client = FakeClient()

    @contextmanager
    def connected(*where: object, **more: object) -> Iterator[tuple[FakeClient, str]]:
        client.calls.append(("connect", where, more))
        yield client, "m"

    monkeypatch.setattr(options, "connected", connected)
    return client


@pytest.fixture
def file(tmp_path: Path) -> Path:
    (tmp_path / "texts.csv").write_text('id,text,genre\n007,"a, b",x\n8,"c\nd",y\n9,e,x\n')
    return tmp_path / "texts.csv"


def names(client: FakeClient) -> list[str]:
    return [name for name, _, _ in client.calls]


def test_a_server_computes_neighbours(
    server: FakeClient, file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["-k", "9", "--radius", "0.25", "--metric", "dot", "--server", "h:1", "--json"]
    assert main(["neighbors", str(file), *words]) == 0
    assert names(server) == ["connect", "embed", "neighbors"]
    (queries, corpus, k, metric), settings = server.calls[-1][1:]
    np.testing.assert_array_equal(queries, vectors(3))
    assert (corpus, k, metric) == (None, 9, "dot")
    assert isinstance(settings.pop("progress"), penult_client.OperationReport)
    assert settings == {"exclude_self": True, "radius": 0.25, "center": False, "approximate": False}
    printed = capsys.readouterr()
    facts = json.loads(printed.out)
    assert facts["results"][1] == {
        "row": 1,
        "text": "c\nd",
        "neighbors": [{"row": 1, "score": 0.5, "text": "c\nd"}, {"row": 0, "score": 0.25, "text": "a, b"}],
    }
    assert (facts["zero_queries"], facts["zero_corpus"]) == ([0], [1])
    assert "note: k is 3, not 9: because" in printed.err


def test_a_server_clusters(server: FakeClient, file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["--method", "hdbscan", "--min-cluster-size", "2", "--noise", "nearest", "--seed", "5"]
    words += ["--label-column", "genre", "--server", "h:1"]
    out = file.with_name("out.parquet")
    assert main(["cluster", str(file), *words, "-o", str(out)]) == 0
    arguments, settings = server.calls[-1][1:]
    assert arguments[1:] == ("hdbscan", None, "cosine", "nearest")
    assert settings["labels"] == ["x", "y", "x"]
    assert (settings["min_cluster_size"], settings["seed"], settings["linkage"]) == (2, 5, None)
    table = pq.read_table(out)
    assert table.to_pydict() == {
        "id": ["007", "8", "9"],
        "text": ["a, b", "c\nd", "e"],
        "genre": ["x", "y", "x"],
        "cluster": [-1, 0, 0],
    }
    metadata = table.schema.metadata
    assert metadata[b"penult.model_digest"] == b"d"
    assert metadata[b"penult.embedding_space"] == b"s"
    assert metadata[b"penult.truncate"] == b"right"
    assert json.loads(metadata[b"penult.cluster"])["purity"] == 0.75
    shown = capsys.readouterr().out
    assert "purity 0.750" in shown
    assert "silhouette" not in shown
    assert "noise 33.3%" in shown


def test_a_server_makes_a_map(server: FakeClient, file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = file.with_name("out.csv")
    words = ["--method", "pca", "--server", "h:1", "--color", "genre", "-o", str(out)]
    assert main(["map", str(file), *words]) == 0
    arguments, settings = server.calls[-1][1:]
    assert arguments[1:] == ("pca", 2, "cosine", 42)
    assert isinstance(settings.pop("progress"), penult_client.OperationReport)
    assert settings.pop("labels") == ["x", "y", "x"]
    assert not any(settings.values())
    assert out.read_text().splitlines()[0] == "id,text,genre,x,y"
    shown = capsys.readouterr().out
    assert "trustworthiness 0.500" in shown
    assert "explained variance 75.0%, 25.0%" in shown


def test_embeddings_need_no_model_but_a_server_computes(server: FakeClient, tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", vectors(3))
    assert main(["neighbors", str(tmp_path / "a.npy"), "--server", "h:1", "--json"]) == 0
    assert names(server) == ["connect", "neighbors"]


def test_a_private_server_embeds_only(
    server: FakeClient, file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["neighbors", str(file), "--model", "dir", "-k", "1", "--json"]) == 0
    assert names(server) == ["connect", "embed"]
    assert server.calls[0][1:] == (("dir", None, None), {"analysis_workers": 0})
    assert len(json.loads(capsys.readouterr().out)["results"]) == 3


def test_texts_of_the_command_line(server: FakeClient, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["neighbors", "--text", "one", "--text", "two", "--model", "dir", "-k", "1"]) == 0
    assert server.calls[1][1] == (["one", "two"],)
    assert "row 0: one" in capsys.readouterr().out


@pytest.mark.parametrize("command", ["neighbors", "cluster", "map"])
def test_wrong_parameters_are_refused_before_anything_is_embedded(
    server: FakeClient, file: Path, command: str
) -> None:
    wrong = {
        "neighbors": ["-k", "0"],
        "cluster": ["--n-clusters", "0"],
        "map": ["--components", "5", "--json"],
    }
    for where in (["--server", "h:1"], ["--model", "dir"]):
        assert main([command, str(file), *where, *wrong[command]]) == 2
    assert server.calls == []


@pytest.mark.parametrize("command", ["neighbors", "cluster", "map"])
def test_packages_that_are_missing_are_named_first(
    server: FakeClient,
    file: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    command: str,
) -> None:
    monkeypatch.setattr(analyses, "find_spec", lambda name: None if name == "sklearn" else object())
    words = [command, str(file), *(["--json"] if command == "map" else [])]
    assert main([*words, "--model", "dir"]) == 1
    assert "pip install 'penult[analysis]'" in capsys.readouterr().err
    assert server.calls == []
    assert main([*words, "--server", "h:1"]) == 0


def test_every_package_of_an_extra_is_known() -> None:
    assert {exits.EXTRAS[name] for name in analyses.PACKAGES} == {"analysis"}
    assert exits.EXTRAS["matplotlib"] == "plots"


def test_tensorflow_is_hidden_while_umap_is_imported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "tensorflow", raising=False)
    with analyses._without_tensorflow():
        assert sys.modules["tensorflow"] is None
        with pytest.raises(ImportError):
            import tensorflow  # noqa: F401
    assert "tensorflow" not in sys.modules


@pytest.mark.parametrize(
    ("call", "wanted"),
    [
        (calls.Project(), True),
        (calls.Project("pca"), False),
        (calls.Cluster("hdbscan"), True),
        (calls.Cluster("hdbscan", reduction="none"), False),
        (calls.Cluster(reduction="umap"), True),
        (calls.Cluster(), True),
        (calls.Cluster("kmeans"), False),
        (calls.Neighbors(), False),
    ],
)
def test_what_takes_umap(call: calls.Call, wanted: bool) -> None:
    assert analyses._takes_umap(call) is wanted


def test_compiled_code_is_kept_where_the_server_keeps_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for value in ("", "relative", str(tmp_path)):
        monkeypatch.setenv("XDG_CACHE_HOME", value)
        assert analyses.numba_cache(None) == ServeConfig(paths=("x",)).numba_cache
    assert analyses.numba_cache(tmp_path) == ServeConfig(paths=("x",), data=tmp_path).numba_cache


def test_rows_are_named() -> None:
    with pytest.raises(InvalidInput, match="none of the 2 rows"):
        analyses.tell_missing(Side(np.full((2, 3), np.nan, np.float32), None, ""))


def test_notes(capsys: pytest.CaptureFixture[str]) -> None:
    analyses.tell_rows("left out", np.arange(12))
    analyses.tell_rows("left out", [])
    analyses.tell_adjustments([results.Adjustment("k", "5", "4", "there are 5 rows")])
    assert capsys.readouterr().err.splitlines() == [
        "note: 12 rows left out: 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, ...",
        "note: k is 4, not 5: there are 5 rows",
    ]


def test_parameters_in_words() -> None:
    used = {"n_neighbors": 15, "metric": "cosine", "min_dist": 0.1, "method": "umap"}
    assert analyses.in_words(used) == "umap, cosine, n_neighbors 15, min_dist 0.1"


def test_codes() -> None:
    assert analyses.codes_of(["b", "a", "b", "10"]).tolist() == [2, 1, 2, 0]
    assert analyses.codes_of(["b"]).dtype == np.int32


@pytest.mark.parametrize(
    ("cell", "expected"),
    [(None, ""), (float("nan"), ""), (1.0, "1"), (1.5, "1.5"), (True, "true"), (7, "7"), ("", "")],
)
def test_words(cell: Any, expected: str) -> None:
    assert tables.word(cell) == expected


def test_facts_of_an_array(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", vectors(3))
    (tmp_path / "a.json").write_text('{"embedding_space": "s", "model_digest": "d"}')
    side = sides.of_file(tmp_path / "a.npy", "text", lambda _: (vectors(1), {}))
    assert (side.space, side.facts["model_digest"]) == ("s", "d")
    for text in ("[1]", "not json", "{}"):
        (tmp_path / "a.json").write_text(text)
        assert sides.of_file(tmp_path / "a.npy", "text", lambda _: (vectors(1), {})).space == ""


@pytest.mark.parametrize("keep", [True, False])
def test_arrow_files(tmp_path: Path, keep: bool) -> None:
    rows = pa.FixedSizeListArray.from_arrays(pa.array(vectors(3).ravel()), 4)
    table = pa.table({"id": [7, 8, 9], "text": ["a", None, "c"], "embedding": rows})
    table = table.replace_schema_metadata({"penult.embedding_space": "s", "penult.model_digest": "d"})
    with pa.OSFile(str(tmp_path / "a.arrow"), "wb") as file, pa.ipc.new_file(file, table.schema) as writer:
        writer.write_table(table)
    pq.write_table(table, tmp_path / "a.parquet")
    for path in (tmp_path / "a.arrow", tmp_path / "a.parquet"):
        side = sides.of_file(path, "text", lambda _: (vectors(1), {}), keep=keep)
        np.testing.assert_array_equal(side.vectors, vectors(3))
        assert (side.space, side.facts["model_digest"], side.texts) == ("s", "d", ["a", "", "c"])
        assert side.table == (table if keep else None)
    (tmp_path / "a.arrow").write_bytes(b"nonsense")
    with pytest.raises(InvalidInput, match="is no arrow file"):
        sides.of_file(tmp_path / "a.arrow", "text", lambda _: (vectors(1), {}))
