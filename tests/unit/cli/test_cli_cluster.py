"""`penult cluster`: what is written, printed and refused; how good clusters are is tested in `analysis`."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from numpy.typing import NDArray
from penult_service.analysis import run
from penult_service.analysis.calls import Cluster
from penult_service.analysis.results import Adjustment, ClusterResult
from penult_service.cli.app import main

WIDTH, BAD = 4, 5
LABELS = ["pear", "apple", "pear", "fig"]


def blobs(rows: int = 60) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Rows in three clumps far from each other, of half, a third and a sixth of the rows; and which is whose."""
    random = np.random.default_rng(0)
    clump = np.repeat([0, 1, 2], [rows // 2, rows // 3, rows // 6])
    random.shuffle(clump)
    centres = np.eye(3, WIDTH) * 20
    return (centres[clump] + random.standard_normal((rows, WIDTH))).astype(np.float32), clump


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Sixty rows in three clumps, one without an embedding."""
    values, clump = blobs()
    mask = np.arange(60) == BAD
    rows = pa.FixedSizeListArray.from_arrays(pa.array(values.ravel()), WIDTH, mask=pa.array(mask))
    texts = [f"text {i}, and\nmore" for i in range(60)]
    table = pa.table({"text": texts, "fruit": [LABELS[c] for c in clump], "embedding": rows})
    pq.write_table(
        table.replace_schema_metadata({"penult.embedding_space": "s", "penult.layer": "l"}),
        tmp_path / "in.parquet",
    )
    return tmp_path / "in.parquet"


def same_groups(a: NDArray[np.int64], b: NDArray[np.int64]) -> bool:
    return len({*zip(a.tolist(), b.tolist(), strict=True)}) == len(set(a.tolist())) == len(set(b.tolist()))


def test_parquet(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = file.with_name("out.parquet")
    assert main(["cluster", str(file), "--n-clusters", "3", "--label-column", "fruit", "-o", str(out)]) == 0
    table = pq.read_table(out)
    assert table.column_names == ["text", "fruit", "embedding", "cluster"]
    assert table.drop_columns("cluster").equals(pq.read_table(file))
    found = table["cluster"].to_pylist()
    assert found[BAD] is None
    good = np.delete(np.arange(60), BAD)
    assert same_groups(np.array(found)[good].astype(np.int64), blobs()[1][good])
    metadata = table.schema.metadata
    assert (metadata[b"penult.embedding_space"], metadata[b"penult.layer"]) == (b"s", b"l")
    facts = json.loads(metadata[b"penult.cluster"])
    assert facts["used"]["method"] == "kmeans"
    assert facts["asked"]["n_clusters"] == 3
    assert facts["purity"] == 1
    printed = capsys.readouterr()
    assert "1 row without an embedding left out: 5" in printed.err
    assert "column cluster" in printed.err
    lines = printed.out.splitlines()
    assert lines[0].startswith("3 clusters of 59 rows: kmeans, cosine")
    assert "silhouette 0." in lines[1]
    assert "purity 1.000" in lines[1]
    assert lines[3].split() == [
        "cluster",
        "rows",
        "share",
        "label",
        "keywords",
        "nearest",
        "to",
        "the",
        "centre",
    ]
    assert lines[4].split()[0] == "0"
    assert "pear 100%" in printed.out
    assert "and more" in printed.out


@pytest.mark.parametrize("ending", ["csv", "jsonl"])
def test_text_files(file: Path, capsys: pytest.CaptureFixture[str], ending: str) -> None:
    out = file.with_name(f"out.{ending}")
    assert main(["cluster", str(file), "--n-clusters", "3", "-o", str(out)]) == 0
    if ending == "csv":
        assert "no room for embedding" in capsys.readouterr().err
        with out.open(newline="", encoding="utf-8") as opened:
            rows = list(csv.DictReader(opened))
        assert list(rows[0]) == ["text", "fruit", "cluster"]
        assert rows[BAD]["cluster"] == ""
    else:
        rows = [json.loads(line) for line in out.read_text().splitlines()]
        assert rows[BAD]["cluster"] is None
        assert rows[BAD]["embedding"] is None
        np.testing.assert_array_equal(np.float32(rows[0]["embedding"]), blobs()[0][0])
    assert [row["text"] for row in rows] == [f"text {i}, and\nmore" for i in range(60)]


def test_an_array(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    np.save(tmp_path / "a.npy", blobs()[0])
    out = tmp_path / "out.csv"
    assert main(["cluster", str(tmp_path / "a.npy"), "--n-clusters", "3", "-o", str(out)]) == 0
    with out.open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["row"] for row in rows] == [str(i) for i in range(60)]
    assert "row " in capsys.readouterr().out


def test_json(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["cluster", str(file), "--n-clusters", "3", "--label-column", "fruit", "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert len(facts["labels"]) == 60
    assert facts["labels"][BAD] is None
    assert [cluster["size"] for cluster in facts["clusters"]] == sorted(
        (cluster["size"] for cluster in facts["clusters"]), reverse=True
    )
    first = facts["clusters"][0]
    assert first["label"] == "pear"
    assert all(facts["labels"][near["row"]] == 0 for near in first["nearest"])
    assert first["nearest"][0]["text"].startswith(f"text {first['nearest'][0]['row']},")
    assert facts["embedding_space"] == "s"


def test_what_the_analysis_tells_is_told(
    file: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Noise, zero rows and adjustments; numbers of rows are those of the file, though one is left out."""
    asked: list[Cluster] = []

    def fake(call: Cluster, arrays: dict[str, NDArray[np.float32]]) -> ClusterResult:
        asked.append(call)
        labels = np.where(np.arange(len(arrays["source"])) < 50, 0, -1).astype(np.int32)
        return ClusterResult(
            labels=labels,
            sizes=np.array([50], np.int32),
            nearest=np.array([[5, 3, -1]], np.int32),
            zero_rows=np.array([58], np.int32),
            silhouette=None,
            silhouette_rows=0,
            noise_share=9 / 59,
            used={"method": "hdbscan", "metric": "cosine", "min_cluster_size": 5},
            adjustments=(Adjustment("min_samples", "90", "59", "there are 59 rows"),),
        )

    monkeypatch.setattr(run, "run", fake)
    assert (
        main(["cluster", str(file), "--method", "hdbscan", "--min-samples", "90", "--reduction", "none"]) == 0
    )
    printed = capsys.readouterr()
    assert asked == [Cluster(method="hdbscan", min_samples=90, reduction="none")]
    assert "note: min_samples is 59, not 90: there are 59 rows" in printed.err
    assert "note: 1 row with zeros alone (no direction, so no cluster): 59" in printed.err
    assert "1 cluster of 59 rows: hdbscan, cosine, min_cluster_size 5" in printed.out
    assert "noise 15.3%" in printed.out
    assert "silhouette" not in printed.out
    assert printed.out.splitlines()[-2].endswith("text 6, and more")
    assert printed.out.splitlines()[-1].strip() == "text 3, and more"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--method", "dbscan"], "--method is one of"),
        (["--metric", "dot"], "--metric is one of"),
        (["--noise", "drop"], "--noise is one of"),
        (["--reduction", "ica"], "reduction"),
        (["--linkage", "ward"], "linkage"),
        (["--method", "hdbscan", "--n-clusters", "3"], "n_clusters"),
        (["--n-clusters", "0"], "n_clusters"),
        (["--seed", "-1"], "seed"),
        (["--label-column", "nothing"], "there are 'text', 'fruit', 'half', 'embedding'"),
        (["--label-column", "half"], "row 1 has no label"),
        (["-o", "in.parquet", "--overwrite"], "is the input"),
        (["-o", "out.npy"], "ends in one of"),
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
    table = pq.read_table(file)
    pq.write_table(table.add_column(2, "half", pa.array(["a", None] * 30)), file)
    assert main(["cluster", file.name, *arguments]) == 2
    printed = capsys.readouterr()
    assert said in printed.err
    assert printed.out == ""
    assert [path.name for path in file.parent.iterdir()] == [file.name]


def test_a_column_that_is_taken(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    once = file.with_name("once.parquet")
    assert main(["cluster", str(file), "--n-clusters", "3", "-o", str(once)]) == 0
    assert main(["cluster", str(once), "--n-clusters", "3", "-o", str(file.with_name("twice.parquet"))]) == 2
    assert "has a column 'cluster' already" in capsys.readouterr().err
    assert main(["cluster", str(once), "--n-clusters", "3"]) == 0
