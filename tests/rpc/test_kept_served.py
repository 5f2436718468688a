"""Clusters that are kept, estimates and screening: both clients against the server itself."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from support.fakes import fake_model
from support.pools import data_that_is_warm, unwarmed_workers
from support.serving import serving

BLOBS = (np.eye(3, 8)[np.arange(90) % 3] + np.random.default_rng(2).normal(0, 0.05, (90, 8))).astype("<f4")
TEXTS = [f"text {i % 7} and {i}" for i in range(60)]


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    data = data_that_is_warm(tmp_path_factory.mktemp("kept") / "data")
    with unwarmed_workers(), serving(fake_model("reviews", 3), analysis_workers=1, data=data) as server:
        yield server.address


def test_both_clients_work_with_what_is_kept(flavour: Any, address: str) -> None:
    """The same by the library: estimates, edits, growth as an operation."""
    client, name = flavour.client(address), f"kept-{flavour.kind}"
    take = flavour.run
    estimate = take(client.cluster(BLOBS, "kmeans", 3, dry_run=True))
    assert estimate.seconds > 0
    assert estimate.way == "call"
    assert take(client.project(TEXTS, dry_run=True)).rows_to_embed == 60
    made = take(client.cluster(BLOBS[:60], "kmeans", 3, reduction="none", labels=range(60), name=name))
    assert made.stored.clusters == 3
    assert [info.size for info in made.clusters] == made.sizes.tolist()
    assert made.merges.shape == (2, 4)
    assert made.quality.davies_bouldin > 0
    # Rows that are known: nothing is far, so that no new cluster is looked for.
    operation = take(client.grow(BLOBS[:30], name, wait=False))
    grown = take(operation.wait())
    assert (len(grown), grown.batch.event, grown.clustering.rows) == (30, "grown", 90)
    parts = take(client.split_cluster(name, 0))
    assert parts.history[-1].new_labels == (3,)
    kept = take(client.clustering(name))
    np.testing.assert_array_equal(kept.labels, parts.labels)
    assert take(client.name_clusters(name, {3: "a"})).stored.cluster_names == {3: "a"}
    assert take(client.assign(BLOBS[:5], name)).labels.tolist() == kept.labels[:5].tolist()
    doubled = take(client.duplicates(np.vstack([BLOBS, BLOBS[:4]])))
    assert doubled.equal_pairs == 4
    assert doubled.background is not None
    assert take(client.outliers(BLOBS, 5)).scores.shape == (90,)
    similar = take(client.similarity(BLOBS[:2], BLOBS, background=BLOBS, center=True))
    assert similar.percentiles.shape == (2, 90)
