"""What `penult cluster` found: its facts, and as columns beside those of the input."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from penult_service import __version__
from penult_service.analysis import calls
from penult_service.analysis.results import ClusterResult
from penult_service.cli import analyses, tables
from penult_service.cli.scores.sides import Side


@dataclass(frozen=True)
class Clustering:
    """Clusters of the rows of a side that have an embedding; `labels` are theirs."""

    call: calls.Cluster
    side: Side
    rows: NDArray[np.intp]
    labels: Sequence[str] | None
    result: ClusterResult

    def parameters(self) -> dict[str, Any]:
        """What was used, and how good it is."""
        result = self.result
        return {
            "used": {name: value for name, value in result.used.items() if value is not None},
            "rows": len(self.rows),
            "embedding_space": self.side.space,
            "clusters": len(result.sizes),
            "silhouette": result.silhouette,
            "silhouette_rows": result.silhouette_rows,
            "davies_bouldin": result.davies_bouldin,
            "calinski_harabasz": result.calinski_harabasz,
            "noise_share": result.noise_share,
            **result.agreement,
            "stability": None if result.stability is None else asdict(result.stability),
            "curve": [{"n_clusters": count, "silhouette": score} for count, score in result.curve],
            "moved": self.rows[result.moved].tolist(),
            "advice": [asdict(advice) for advice in result.advice],
            "adjustments": analyses.plain(result.adjustments),
            "zero_rows": self.rows[result.zero_rows].tolist(),
            "penult": __version__,
        }

    def table(self, source: str) -> Any:
        """The input's columns, and the cluster."""
        table = tables.extended(self.side, {"cluster": self.result.labels}, self.rows)
        facts = {**self.parameters(), "source": source, "asked": asdict(self.call)}
        return tables.with_facts(table, self.side, "cluster", facts)

    def facts(self) -> dict[str, Any]:
        """All of it, for --json: each cluster, and the cluster of each row (null without an embedding)."""
        every: list[int | None] = [None] * len(self.side.vectors)
        for row, label in zip(self.rows.tolist(), self.result.labels.tolist(), strict=True):
            every[row] = label
        found = [self._cluster(number) for number in range(len(self.result.sizes))]
        merges = self.result.merges.tolist()
        return {**self.parameters(), "clusters": found, "merges": merges, "labels": every}

    def of(self, places: NDArray[np.int32], number: int) -> list[int]:
        """Rows of a cluster, of an array [k, m] of places among those with an embedding, -1 where there are fewer."""
        if number >= len(places):
            return []
        return [int(self.rows[place]) for place in places[number] if place >= 0]

    def nearest(self, number: int) -> list[int]:
        """Rows nearest to the centre of a cluster, nearest first."""
        return self.of(self.result.nearest, number)

    def frequent(self, number: int, most: int = 10) -> list[tuple[str, int]]:
        """The most frequent labels of the rows of a cluster, and how many have each; none without labels."""
        if self.labels is None:
            return []
        members = np.flatnonzero(self.result.labels == number).tolist()
        return Counter(self.labels[place] for place in members).most_common(most)

    def keywords(self, number: int) -> tuple[tuple[str, float], ...]:
        """What tells a cluster from the others, with weights; none without texts."""
        return self.result.keywords[number] if number < len(self.result.keywords) else ()

    def silhouette(self, number: int) -> float | None:
        """The mean of the rows of a cluster; None where undefined."""
        each = self.result.silhouettes
        return float(each[number]) if number < len(each) and np.isfinite(each[number]) else None

    def _cluster(self, number: int) -> dict[str, Any]:
        size = int(self.result.sizes[number])
        labels = self.frequent(number)
        majority = {"label": labels[0][0], "label_share": labels[0][1] / size} if labels else {}
        return {
            "cluster": number,
            "size": size,
            **majority,
            **({"labels": dict(labels)} if labels else {}),
            "silhouette": self.silhouette(number),
            "keywords": [{"word": word, "weight": weight} for word, weight in self.keywords(number)],
            "nearest": self._examples(self.nearest(number)),
            "border": self._examples(self.of(self.result.border, number)),
            "odd": self._examples(self.of(self.result.odd, number)),
        }

    def _examples(self, rows: Sequence[int]) -> list[dict[str, Any]]:
        texts = self.side.texts
        return [{"row": row, **({} if texts is None else {"text": texts[row]})} for row in rows]
