"""What type checkers of other people make of the analyses: the result, or an operation that has it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[3]
PROGRAM = """
from typing import Any, assert_type
import numpy as np
from numpy.typing import NDArray
from penult_client import (
    Assigned, AsyncClient, AsyncOperation, Client, Clusters, DropoutComparison, Duplicates, Embeddings, Estimate, Grown,
    Neighbors, Operation, OperationStatus, Outliers, Placed, Projection, Similarity, TokenEmbeddings
)

def sync(client: Client, rows: Any, wait: bool, pooling: str) -> None:
    assert_type(client.embed(rows, pooling="tokens", truncate="error").vectors, list[NDArray[np.float32]])
    assert_type(client.embed(rows, "reviews", pooling=pooling, progress=True).vectors, NDArray[np.float32])
    assert_type(client.embed(rows, pooling=None), Embeddings)
    assert_type(client.similarity(rows, rows, pairs=True), Similarity)
    assert_type(client.neighbors(rows, None, 3, radius=0.5), Neighbors)
    assert_type(client.cluster(rows, "hdbscan", wait=True, name="topics"), Clusters)
    assert_type(client.project(rows, "pca", 3, labels=["a"], deadline=3.0), Projection)
    assert_type(client.similarity(rows, wait=False), Operation[Similarity])
    assert_type(client.neighbors(rows, wait=False), Operation[Neighbors])
    assert_type(client.cluster(rows, n_clusters=3, wait=False), Operation[Clusters])
    assert_type(client.project(rows, "tsne", perplexity=3, wait=False), Operation[Projection])
    assert_type(client.project(rows, wait=wait), Projection | Operation[Projection])
    assert_type(client.project(rows, wait=False).wait(progress=True), Projection)
    assert_type(client.compare_dropout(rows, layers=["a"], map=False), DropoutComparison)
    assert_type(client.compare_dropout(rows, wait=False), Operation[DropoutComparison])
    assert_type(client.duplicates(rows, 0.9, max_pairs=3), Duplicates)
    assert_type(client.duplicates(rows, wait=False), Operation[Duplicates])
    assert_type(client.outliers(rows, 5, wait=wait), Outliers | Operation[Outliers])
    assert_type(client.transform(rows, "map1", approximate=True), Placed)
    assert_type(client.transform(rows, projection="map1", wait=False).wait(), Placed)
    assert_type(client.assign(rows, clustering="topics", model="reviews"), Assigned)
    assert_type(client.grow(rows, "topics", min_cluster_size=3), Grown)
    assert_type(client.grow(rows, "topics", wait=False), Operation[Grown])
    assert_type(client.name_clusters("topics", {0: "refunds"}), Clusters)
    assert_type(client.cluster(rows, n_clusters="auto", bootstraps=10), Clusters)
    assert_type(client.cluster(rows, None, 3, dry_run=True, name="topics"), Estimate)
    assert_type(client.neighbors(rows, None, 3, dry_run=True), Estimate)
    assert_type(client.similarity(rows, metric="dot", dry_run=True), Estimate)
    assert_type(client.project(rows, dry_run=True, supervised=True), Estimate)
    assert_type(client.transform(rows, "map1", dry_run=True), Estimate)
    assert_type(client.compare_dropout(rows, dry_run=True), Estimate)
    assert_type(client.operation("project-1"), Operation[Any])
    assert_type(client.operations(), list[OperationStatus])

async def awaited(client: AsyncClient, rows: Any) -> None:
    assert_type(await client.embed(rows, pooling="tokens"), TokenEmbeddings)
    assert_type(await client.project(rows), Projection)
    operation = await client.project(rows, wait=False)
    assert_type(operation, AsyncOperation[Projection])
    assert_type(await operation.wait(), Projection)

def wrong(client: Client, rows: Any) -> None:
    client.embed(rows, normalise=True)  # type: ignore[call-overload]
    client.project(rows, wiat=False)  # type: ignore[call-overload]
    client.project(rows, perplexity="3")  # type: ignore[call-overload]
    client.cluster(rows, n_clusters="many")  # type: ignore[call-overload]
    client.outliers(rows, dry_run=True, kk=3)  # type: ignore[call-overload]
    client.project(rows, wait=False).coordinates  # type: ignore[attr-defined]
"""


def test_mypy_knows_what_comes_back(tmp_path: Path) -> None:
    (tmp_path / "program.py").write_text(PROGRAM)
    mypy = [sys.executable, "-m", "mypy", "--config-file", str(ROOT / "pyproject.toml")]
    words = [*mypy, "--cache-dir", str(tmp_path / "cache"), str(tmp_path / "program.py")]
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
