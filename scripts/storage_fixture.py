"""Writes a data directory as this release writes it, for tests/unit/storage/test_storage_formats.py.

Made once a release whose format is new, and never again: a reader that cannot read it any more is at fault.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np
from penult_service.storage import RowsOf, Storage

TEXTS = ["good", None, "NA", "007", "line\nbreak", "ümläut 👩", ""]


def write(target: Path) -> None:
    """A set whose rows are in a segment, one whose rows are in the log, a map and a clustering."""
    rows = len(TEXTS)
    vectors = (np.arange(rows * 3).reshape(rows, 3) / 4).astype(np.float32)
    with Storage(target) as storage:
        folded = storage.sets.create(
            "folded", columns={"label": "string", "count": "int64", "score": "float64", "good": "bool"}
        )
        columns = {
            "label": ["a", None, "b", "a", "a", "b", "c"],
            "count": [None, 1, -2, 2**62, 4, 5, 6],
            "score": [0.5, float("inf"), None, 3.0, 4.0, 5.0, 6.0],
            "good": [True, False, None, True, True, True, False],
        }
        ids = [f"id-{i}" for i in range(rows)]
        folded.append(ids, vectors, TEXTS, columns, space="0123456789abcdef")
        with folded.snapshot() as snapshot:
            source = RowsOf(
                rows, snapshot.id_digest(), "folded", snapshot.generation, snapshot.embedding_space
            )
        storage.projections.put(
            "map",
            {"coordinates": vectors[:, :2]},
            parameters={"method": "umap", "n_neighbors": 15, "seed": 42, "metric": "cosine"},
            facts={"trustworthiness": 0.75},
            source=source,
            versions={"umap-learn": "0.5.12"},
        )
        storage.clusterings.put(
            "topics",
            {"labels": np.array([0, 0, 1, -1, 1, 0, 2], np.int32), "sizes": np.array([3, 2, 1], np.int32)},
            parameters={"method": "kmeans", "n_clusters": 3},
            source=source,
        )
    with Storage(target) as storage:
        logged = storage.sets.create("logged", provenance={"model": "reviews", "version": "3"})
        for i in range(rows):
            logged.append([f"id-{i}"], vectors[i : i + 1], TEXTS[i : i + 1])
        # As after a kill: the rows stay in the log.
        storage.sets.forget()
    (target / ".lock").unlink()


def main() -> int:
    """0, or 1 when there is something at the place already."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("target", type=Path)
    target = parser.parse_args().target
    if target.exists():
        print(f"error: {target} exists; what a release wrote is not written again", file=sys.stderr)
        return 1
    write(target)
    return 0


if __name__ == "__main__":
    sys.exit(main())
