"""What a user does wrong on the command line, and is told before any work; and how figures and texts are printed."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import penult_client
import pytest
from penult_service.cli import remote
from penult_service.cli.analyses import short
from penult_service.cli.app import main
from penult_service.cli.clusters.cluster_report import with_keywords
from support import wire_server
from support.wire_server import Script


@pytest.fixture
def script() -> Script:
    return Script()


@pytest.fixture
def server(script: Script) -> Iterator[str]:
    running, where = wire_server.start(script)
    yield where
    running.stop(0).wait()


@pytest.fixture
def texts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "texts.csv"
    path.write_text("genre,text,x\n" + "".join(f"g{i % 2},text {i},{i}\n" for i in range(8)))
    return path


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["map", "--color", "gnre", "-o", "m.png"], "Name the right one with --color"),
        (["map", "--supervised", "gnre", "-o", "m.png"], "Name the right one with --supervised"),
        (
            ["map", "--supervised", "neighbors-kept", "-o", "m.png"],
            "Name the right one with --supervised",
        ),
        (["map", "-o", "m.csv"], "has a column 'x' already"),
        (["cluster", "--label-column", "gnre"], "Name the right one with --label-column"),
    ],
)
def test_columns_are_looked_for_before_texts_are_embedded(
    server: str,
    script: Script,
    texts: Path,
    capsys: pytest.CaptureFixture[str],
    words: list[str],
    said: str,
) -> None:
    """A misspelt name must not cost the embedding of a whole file."""
    assert main([words[0], str(texts), *words[1:], "--server", server]) == 2
    assert said in capsys.readouterr().err
    assert script.asked("Embed") == []


@pytest.mark.parametrize("command", [["map", "-o", "m.png"], ["cluster"], ["duplicates"], ["outliers"]])
@pytest.mark.parametrize("encoding", ["latin-1", "utf-16"])
def test_a_file_in_another_encoding_is_told_what_reads_it(
    texts: Path, capsys: pytest.CaptureFixture[str], command: list[str], encoding: str
) -> None:
    """These commands have no --encoding."""
    texts.write_bytes("text\ncafé\n".encode(encoding))
    assert main([command[0], "texts.csv", *command[1:], "--server", "localhost:1"]) == 2
    told = capsys.readouterr().err
    assert "`penult embed --encoding NAME -o OUT.parquet`" in told
    assert "say --encoding" not in told


@pytest.mark.parametrize("words", [["--engine", "openvino"], ["--precision", "bfloat16"]])
def test_a_running_server_has_its_own_engine(
    server: str, script: Script, texts: Path, capsys: pytest.CaptureFixture[str], words: list[str]
) -> None:
    assert main(["embed", str(texts), "-o", "out.parquet", *words, "--server", server]) == 2
    assert f"{words[0]} is of the private server of --model PATH" in capsys.readouterr().err
    assert script.asked("Embed") == []


@pytest.mark.parametrize("words", [["--engine", "fastest"], ["--precision", "int4"], ["--threads", "0"]])
def test_engines_that_there_are_not(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], words: list[str]
) -> None:
    assert main(["tune", str(tmp_path), *words]) == 2
    told = capsys.readouterr().err
    assert words[0] in told
    assert len(told.splitlines()) == 1


@pytest.mark.parametrize("rows", [0, 3])
def test_similarity_of_rows_without_embeddings(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], rows: int
) -> None:
    path = tmp_path / "nan.npy"
    np.save(path, np.full((rows, 4), np.nan, np.float32))
    assert main(["similarity", "--file-a", str(path)]) == 2
    printed = capsys.readouterr()
    assert f"none of the {rows} rows has an embedding" in printed.err
    assert printed.out == ""


def test_similarity_names_rows_that_it_leaves_out(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "some.npy"
    np.save(path, np.array([[1, 0], [np.nan, 0], [0, 1]], np.float32))
    assert main(["similarity", "--file-a", str(path)]) == 0
    assert "1 row of --file-a without an embedding left out: 1" in capsys.readouterr().err


@pytest.mark.parametrize(
    "words",
    [
        ["transform", "TEXTS", "--map", "map1"],
        ["assign", "TEXTS", "--clusters", "topics"],
        ["grow", "TEXTS", "--clusters", "topics"],
        ["clusters", "list"],
        ["cluster", "TEXTS", "--name", "topics"],
    ],
)
def test_a_server_and_a_directory_are_not_both_where_things_are_kept(
    server: str, script: Script, texts: Path, capsys: pytest.CaptureFixture[str], words: list[str]
) -> None:
    given = [str(texts) if word == "TEXTS" else word for word in words]
    assert main([*given, "--server", server, "--data", "."]) == 2
    assert "leave --data out, or --server" in capsys.readouterr().err
    assert script.asked("Transform") == script.asked("GrowClustering") == script.asked("Cluster") == []


def test_a_cluster_gets_one_name(server: str, script: Script, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["clusters", "name", "topics", "0=a", "1=b", "1=c", "--server", server]) == 2
    assert "cluster 1 is given two names; give it one" in capsys.readouterr().err
    assert script.asked("EditClustering") == []


def test_a_text_does_not_change_the_screen() -> None:
    assert short("\x1b[31mred\x1b[0m\x07 and\n\tso  on") == "[31mred[0m and so on"


def test_one_row_is_no_rows(server: str, texts: Path, capsys: pytest.CaptureFixture[str]) -> None:
    texts.write_text("text\nhello\n")
    assert main(["transform", "texts.csv", "--map", "map1", "--server", server]) == 0
    assert main(["assign", "texts.csv", "--clusters", "topics", "--server", server]) == 0
    assert main(["grow", "texts.csv", "--clusters", "topics", "--server", server]) == 0
    printed = capsys.readouterr().out
    assert "1 row placed on map map1" in printed
    assert "1 row in clusters topics" in printed
    assert "1 row taken into clusters topics" in printed


def test_what_a_supervised_map_measures_is_called_by_its_labels(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Not by the column that colours it."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    monkeypatch.chdir(tmp_path)
    values = np.random.default_rng(1).normal(size=(24, 4)).astype(np.float32)
    rows = pa.FixedSizeListArray.from_arrays(pa.array(values.ravel()), 4)
    columns = {"genre": [f"g{i % 2}" for i in range(24)], "rating": [str(i % 3) for i in range(24)]}
    pq.write_table(pa.table({**columns, "embedding": rows}), "rows.parquet")
    words = ["map", "rows.parquet", "--supervised", "genre", "--color", "rating", "-o", "m.html"]
    assert main([*words, "--n-neighbors", "5"]) == 0
    printed = capsys.readouterr().out
    assert "neighbours with the row's genre:" in printed
    assert "rating" not in printed


def test_keywords_of_clusters_that_changed_are_made_of_the_texts(server: str) -> None:
    """A merge leaves the merged cluster without keywords, and the others with theirs."""
    with penult_client.Client(server) as client:
        found = client.clustering("topics")
    changed, same = found.clusters
    half = replace(found, clusters=(replace(changed, keywords=()), same))
    told = with_keywords(half, ["apples and pears", "trains"] * 3)
    assert [info.keywords[0][0] for info in told.clusters] == ["and", "trains"]
    assert with_keywords(found, ["apples", "trains"] * 3) is found


def test_maps_are_listed_and_deleted(server: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["maps", "list", "--server", server]) == 0
    line = capsys.readouterr().out.splitlines()[1]
    assert line.split() == ["map1", "6", "UMAP", "2", "films", "-", "until", "the", "server", "ends"]
    assert main(["maps", "list", "--server", server, "--json"]) == 0
    (told,) = json.loads(capsys.readouterr().out)
    assert (told["rows"], told["parameters"]["min_dist"], "clusters" in told) == (6, 0.5, False)
    assert main(["maps", "delete", "map1", "--server", server]) == 0
    assert capsys.readouterr().out == "map1 is deleted\n"
    assert main(["maps", "delete", "other", "--server", server]) == 2
    assert main(["maps", "list"]) == 2
    assert "name where maps and clusters are kept" in capsys.readouterr().err


def test_parameters_of_a_server_are_numbers_and_truths_as_here() -> None:
    told = {
        "seed": "42",
        "min_dist": "0.1",
        "density": "False",
        "method": "umap",
        "x": "-1e-05",
        "y": "1 of 2",
    }
    expected = {"seed": 42, "min_dist": 0.1, "density": False, "method": "umap", "x": -1e-05, "y": "1 of 2"}
    found = remote.used(told)
    assert found == expected
    assert [type(each) for each in found.values()] == [type(each) for each in expected.values()]


def test_keywords_that_a_change_took_away_come_back_with_the_texts(
    server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    texts = tmp_path / "texts.csv"
    texts.write_text("text\n" + "apples and pears\ntrains\n" * 3)
    found = penult_client.Client(server).clustering("topics")
    bare = tuple(replace(info, keywords=()) for info in found.clusters)
    grown = replace(found, clusters=bare, history=(replace(found.history[0], event="grown"),))
    monkeypatch.setattr(penult_client.Client, "clustering", lambda *_: grown)
    assert main(["clusters", "show", "topics", "--server", server]) == 0
    assert "--input FILE names the texts to make them of" in capsys.readouterr().err
    assert main(["clusters", "show", "topics", "--server", server, "--input", str(texts)]) == 0
    printed = capsys.readouterr()
    assert "trains" in printed.out
    assert printed.err == ""
