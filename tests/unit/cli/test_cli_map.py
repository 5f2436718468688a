"""`penult map`: pictures, pages and tables of a map, whole or not at all; what they are coloured by."""

from __future__ import annotations

import csv
import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from numpy.typing import NDArray
from penult_service.analysis import run
from penult_service.analysis.calls import Project
from penult_service.analysis.results import Adjustment, ProjectResult
from penult_service.cli.app import main
from penult_service.cli.maps import colouring
from penult_service.cli.scores.sides import Side
from penult_service.errors import InvalidInput
from penult_service.plots.maps import map_picture
from PIL import Image

ROWS, WIDTH, BAD = 40, 6, 3


def vectors() -> NDArray[np.float32]:
    return (np.random.default_rng(1).standard_normal((ROWS, WIDTH)) * np.arange(6, 0, -1)).astype(np.float32)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Forty rows, one without an embedding, with columns to colour by."""
    mask = np.arange(ROWS) == BAD
    rows = pa.FixedSizeListArray.from_arrays(pa.array(vectors().ravel()), WIDTH, mask=pa.array(mask))
    columns = {
        "text": [f"text {i} </script>" for i in range(ROWS)],
        "genre": [("news", "sport")[i % 2] for i in range(ROWS)],
        "length": [float(i) for i in range(ROWS)],
        "embedding": rows,
    }
    pq.write_table(
        pa.table(columns).replace_schema_metadata({"penult.embedding_space": "s"}), tmp_path / "in.parquet"
    )
    return tmp_path / "in.parquet"


def principal(rows: NDArray[np.float32], components: int) -> NDArray[np.float64]:
    """Principal components, up to their signs."""
    centred = rows.astype(np.float64) - rows.astype(np.float64).mean(axis=0)
    u, s, _ = np.linalg.svd(centred, full_matrices=False)
    return np.asarray(np.abs(u * s)[:, :components])


@pytest.mark.parametrize("components", [2, 3])
def test_tables(file: Path, capsys: pytest.CaptureFixture[str], components: int) -> None:
    outs = [file.with_name(f"out.{ending}") for ending in ("parquet", "csv", "jsonl")]
    words = [word for out in outs for word in ("-o", str(out))]
    settings = ["--method", "pca", "--metric", "euclidean", "--components", str(components)]
    assert main(["map", str(file), *settings, *words]) == 0
    axes = ["x", "y", "z"][:components]
    table = pq.read_table(outs[0])
    assert table.column_names == ["text", "genre", "length", "embedding", *axes]
    places = np.stack([table[axis].to_numpy() for axis in axes], axis=1)
    assert np.isnan(places[BAD]).all()
    good = np.delete(np.arange(ROWS), BAD)
    np.testing.assert_allclose(np.abs(places[good]), principal(vectors()[good], components), atol=1e-3)
    facts = json.loads(table.schema.metadata[b"penult.map"])
    assert table.schema.metadata[b"penult.embedding_space"] == b"s"
    assert facts["used"]["method"] == "pca"
    assert facts["asked"]["n_components"] == components
    with outs[1].open(newline="") as opened:
        rows = list(csv.DictReader(opened))
    assert np.float32(rows[0]["x"]) == places[0, 0].astype(np.float32)
    assert rows[BAD]["x"] == ""
    assert json.loads(outs[2].read_text().splitlines()[BAD])["x"] is None
    printed = capsys.readouterr()
    assert printed.out.startswith("map of 39 rows: pca, euclidean")
    assert "trustworthiness 0." in printed.out
    assert "explained variance " in printed.out
    assert printed.err.count("wrote ") == 3


def test_pictures_and_page(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    outs = {ending: file.with_name(f"out.{ending}") for ending in ("png", "svg", "html")}
    words = [word for out in outs.values() for word in ("-o", str(out))]
    assert main(["map", str(file), "--method", "pca", "--color", "genre", "--title", "A & B", *words]) == 0
    assert Image.open(outs["png"]).size[0] > 800
    assert b"<svg" in outs["svg"].read_bytes()
    page = outs["html"].read_text(encoding="utf-8")
    assert "<title>A &amp; B</title>" in page
    data = json.loads(page.split('type="application/json"')[1].split(">", 1)[1].split("</script>")[0])
    assert data["texts"] == [f"text {i} </script>" for i in range(ROWS) if i != BAD]
    assert [(name, count) for name, count, *_ in data["labels"]] == [("news", 20), ("sport", 19)]
    assert data["legend"] == "genre"
    assert data["caption"].startswith("PCA of 39 rows · cosine")
    assert "trustworthiness" in data["caption"]
    assert "neighbours with the row's genre: 0." in capsys.readouterr().out
    assert {path.name for path in file.parent.iterdir()} == {"in.parquet", "out.png", "out.svg", "out.html"}


def test_json(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["map", str(file), "--method", "pca", "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert facts["coordinates"][BAD] is None
    assert np.isfinite([place for place in facts["coordinates"] if place]).all()
    assert facts["rows"] == ROWS - 1
    assert 0 < facts["trustworthiness"] <= 1


def test_the_same_map_twice_is_the_same_file(file: Path) -> None:
    for name in ("one", "two"):
        assert main(["map", str(file), "--method", "pca", "-o", str(file.with_name(f"{name}.png"))]) == 0
    assert file.with_name("one.png").read_bytes() == file.with_name("two.png").read_bytes()


def test_all_outputs_or_none(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> bytes:
        raise OSError(28, "No space left on device", "map.png")

    monkeypatch.setattr(map_picture, "picture", broken)
    words = ["-o", str(file.with_name("out.parquet")), "-o", str(file.with_name("out.png"))]
    assert main(["map", str(file), "--method", "pca", *words]) == 1
    assert [path.name for path in file.parent.iterdir()] == ["in.parquet"]


def test_what_the_analysis_tells_is_told(
    file: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    asked: list[Project] = []
    given: dict[str, NDArray[Any]] = {}

    def fake(call: Project, arrays: Mapping[str, NDArray[Any]]) -> ProjectResult:
        asked.append(call)
        given.update(arrays)
        return ProjectResult(
            coordinates=np.zeros((ROWS - 1, 2), np.float32),
            explained_variance=np.zeros(0),
            zero_rows=np.array([3], np.int32),
            trustworthiness=None,
            quality_rows=0,
            quality_neighbors=0,
            label_purity=0.75,
            label_purity_source=0.875,
            used={"method": "umap", "metric": "cosine", "n_neighbors": 38, "min_dist": 0.25},
            adjustments=(Adjustment("n_neighbors", "99", "38", "there are 39 rows"),),
        )

    monkeypatch.setattr(run, "run", fake)
    words = ["--n-neighbors", "99", "--min-dist", "0.25", "--seed", "7", "--color", "genre", "--json"]
    assert main(["map", str(file), *words]) == 0
    printed = capsys.readouterr()
    assert asked == [Project(n_neighbors=99, min_dist=0.25, seed=7)]
    assert given["labels"].tolist() == [i % 2 for i in range(ROWS) if i != BAD]
    assert "note: n_neighbors is 38, not 99: there are 39 rows" in printed.err
    assert "lie together beside the map): 4" in printed.err
    assert json.loads(printed.out)["zero_rows"] == [4]
    assert main(["map", str(file), *words[:-1], "-o", str(file.with_name("m.csv"))]) == 0
    shown = capsys.readouterr().out
    assert "map of 39 rows: umap, cosine, n_neighbors 38, min_dist 0.25" in shown
    assert "too few rows to say" in shown
    assert "genre: 0.750 on the map; among the embeddings 0.875" in shown


def side(**columns: Any) -> Side:
    table = pa.table(columns)
    return Side(np.zeros((table.num_rows, 2), np.float32), None, "", table=table)


MANY = list(range(50))


@pytest.mark.parametrize(
    ("cells", "labels", "values"),
    [
        (["a", None, "", "b"], ["a", "", "", "b"], None),
        ([True, False, None], ["true", "false", ""], None),
        ([1, 0, -1], ["1", "0", "-1"], None),
        ([1.0, 0.5, None], ["1", "0.5", ""], None),
        (MANY, None, [float(i) for i in MANY]),
        ([str(i) for i in MANY], None, [float(i) for i in MANY]),
        ([*MANY, None], None, [*map(float, MANY), np.nan]),
        ([str(i) for i in MANY] + ["?"], [str(i) for i in MANY] + ["?"], None),
        ([*map(float, MANY), np.inf], None, [*map(float, MANY), np.nan]),
    ],
)
def test_what_is_coloured_by(cells: list[Any], labels: list[str] | None, values: list[float] | None) -> None:
    made = colouring.colouring_of(side(c=cells), "c", np.arange(len(cells)))
    assert made.labels == labels
    assert made.noise is None
    if values is None:
        assert made.values is None
    else:
        np.testing.assert_array_equal(made.values, values)
    assert made.measurable == (labels if labels and "" not in labels else None)


def test_clusters_are_classes_and_minus_one_is_noise() -> None:
    made = colouring.colouring_of(side(cluster=[*range(-1, 40), None]), "cluster", np.arange(41))
    assert made.values is None
    assert made.labels == [str(i) for i in range(-1, 40)]
    assert made.noise == "-1"


def test_lists_are_no_colours() -> None:
    with pytest.raises(InvalidInput, match="which is no label"):
        colouring.colouring_of(side(c=[[1], [2]]), "c", np.arange(2))


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "name what to write"),
        (["-o", "m.gif"], "ends in one of .png, .svg, .html, .parquet, .csv, .jsonl"),
        (["-o", "m.png", "-o", "m.png"], "named twice"),
        (["-o", "no/m.png"], "there is no directory"),
        (["-o", "in.parquet", "--overwrite"], "is the input"),
        (["-o", "there.png"], "--overwrite"),
        (["-o", "m.png", "--method", "isomap"], "--method is one of"),
        (["-o", "m.png", "--metric", "dot"], "--metric is one of"),
        (["-o", "m.png", "--components", "4"], "n_components"),
        (["-o", "m.png", "--method", "pca", "--perplexity", "3"], "perplexity"),
        (["-o", "m.png", "--min-dist", "2"], "min_dist"),
        (["-o", "m.png", "--color", "nothing"], "there are 'text', 'genre', 'length', 'embedding'"),
        (["-o", "m.png", "--color", "embedding"], "which is no label"),
    ],
)
def test_bad_input(
    file: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    said: str,
) -> None:
    monkeypatch.chdir(file.parent)
    Path("there.png").touch()
    assert main(["map", file.name, *arguments]) == 2
    printed = capsys.readouterr()
    assert said in printed.err
    assert printed.out == ""
    assert {path.name for path in file.parent.iterdir()} == {"in.parquet", "there.png"}


def test_columns_that_are_taken(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    once, twice = file.with_name("once.parquet"), file.with_name("twice.parquet")
    assert main(["map", str(file), "--method", "pca", "-o", str(once)]) == 0
    assert main(["map", str(once), "--method", "pca", "-o", str(twice)]) == 2
    assert "has a column 'x' already" in capsys.readouterr().err
    assert main(["map", str(once), "--method", "pca", "-o", str(file.with_name("m.html"))]) == 0


def test_a_picture_needs_matplotlib_and_a_page_does_not(
    file: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in [name for name in sys.modules if name.startswith(("matplotlib", "penult_service.plots"))]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    assert main(["map", str(file), "--method", "pca", "-o", str(file.with_name("m.png"))]) == 1
    assert "pip install 'penult[plots]'" in capsys.readouterr().err
    assert main(["map", str(file), "--method", "pca", "-o", str(file.with_name("m.html"))]) == 0
