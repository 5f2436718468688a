# Made from ../_async/clustering.py by scripts/unasync.py; change that one.
"""Clusters."""

from __future__ import annotations

from typing import Any, Literal, Unpack, overload

from penult_client._sync.analysis import Analysis
from penult_client._sync.operations import Operation
from penult_client._clusters import Clusters
from penult_client._core import enums, kinds, parameters, requests, rpcs
from penult_client._core.progress import Progress
from penult_client._estimate import Estimate
from penult_client._options import ClusterOptions, Count


class Clustering(Analysis):
    """The method of the client that finds clusters."""

    @overload
    def cluster(
        self,
        source: Any,
        method: str | None = None,
        n_clusters: Count = None,
        metric: str = "cosine",
        noise: str = "keep",
        *,
        wait: Literal[True] = True,
        **options: Unpack[ClusterOptions],
    ) -> Clusters: ...

    @overload
    def cluster(
        self,
        source: Any,
        method: str | None = None,
        n_clusters: Count = None,
        metric: str = "cosine",
        noise: str = "keep",
        *,
        wait: Literal[False],
        **options: Unpack[ClusterOptions],
    ) -> Operation[Clusters]: ...

    @overload
    def cluster(
        self,
        source: Any,
        method: str | None = None,
        n_clusters: Count = None,
        metric: str = "cosine",
        noise: str = "keep",
        *,
        wait: bool,
        **options: Unpack[ClusterOptions],
    ) -> Clusters | Operation[Clusters]: ...

    @overload
    def cluster(
        self,
        source: Any,
        method: str | None = None,
        n_clusters: Count = None,
        metric: str = "cosine",
        noise: str = "keep",
        *,
        dry_run: Literal[True],
        **options: Unpack[ClusterOptions],
    ) -> Estimate: ...

    def cluster(
        self,
        source: Any,
        method: str | None = None,
        n_clusters: Count = None,
        metric: str = "cosine",
        noise: str = "keep",
        *,
        reduction: str | None = None,
        reduced_dimensions: int | None = None,
        linkage: str | None = None,
        min_cluster_size: int | None = None,
        min_samples: int | None = None,
        seed: int = 42,
        labels: Any = None,
        bootstraps: int = 0,
        keywords: int = 10,
        name: str | None = None,
        overwrite: bool = False,
        model: str | None = None,
        pooling: str = "pooled",
        normalize: bool = False,
        truncate: str = "right",
        layer: str | None = None,
        wait: bool = True,
        progress: Progress = None,
        deadline: float | None = None,
        dry_run: bool = False,
    ) -> Clusters | Operation[Clusters] | Estimate:
        """Clusters: int32 [n] labels, the largest cluster 0, and how good they are.

        Args:
            source: Texts, `Embeddings`, an array [n, d], or a `Dataset`.
            method: ``kmeans``, ``agglomerative``, ``hdbscan`` (finds the number of clusters and leaves noise out)
                or ``gaussian_mixture``. None: ``hdbscan``, with `n_clusters` ``kmeans``, both on a UMAP of the rows in
                5 dimensions.
            n_clusters: How many; ``auto``: several numbers are tried, and the one with the best mean silhouette is
                taken (`Clusters.curve` tells how flat that is). None: as the method does it, 8 where it takes a
                number. Not with ``hdbscan``.
            metric: ``cosine`` or ``euclidean``; for ``agglomerative`` and ``hdbscan`` also ``manhattan``.
            noise: Of ``hdbscan``: rows in no cluster ``keep`` label -1, or go to the ``nearest`` cluster, and are
                marked (`Clusters.moved`).
            reduction: What clusters are found on: the rows (``none``), a ``umap`` or a ``pca`` of them; None:
                ``umap`` for ``hdbscan`` and without a method, ``pca`` for ``gaussian_mixture``, else ``none``.
            reduced_dimensions: Dimensions after the reduction; None: 5 for ``umap``, 50 for ``pca``.
            linkage: Of ``agglomerative``: ``ward``, ``average``, ``complete`` or ``single``; None: what suits.
            min_cluster_size: Of ``hdbscan``: the fewest rows of a cluster; None: max(5, n / 200).
            min_samples: Of ``hdbscan``: how many rows make a place dense; None: 5.
            seed: Of all that is random.
            labels: n str or whole numbers to compare the clusters with.
            bootstraps: Cluster so many samples of the rows too, at most 100, and say how far they agree
                (`Clusters.stability`); each takes as long as the clustering itself.
            keywords: Of each cluster, at most 50, where the rows are texts or a set with texts.
            name: Keep the clusters on the server under this name: 1 to 63 of ``a-z 0-9 - _``, the first a letter or
                digit. `penult serve` without ``--data`` forgets it when it ends. `assign` and `grow` take new rows.
            overwrite: Take the place of what has the name.
            model, pooling, normalize, truncate, layer, wait, progress, deadline, dry_run: As of `similarity`.

        Such as:

            made = client.cluster(texts, labels=labels, name="topics")
            made.quality.adjusted_rand
            for each in made.clusters:
                print(each.label, each.size, [word for word, _ in each.keywords], texts[each.nearest[0]])

        Raises:
            AlreadyExistsError: the name is taken; nothing was computed.
            PenultError: see `penult_client.PenultError`.
        """
        how = kinds.Asked(wait, progress, deadline, dry_run)
        options = requests.embed_options(
            model=model, layer=layer, pooling=pooling, normalize=normalize, truncate=truncate
        )
        request = rpcs.CLUSTER.request(
            method=enums.to_number_or_none(method, enums.CLUSTER_METHODS, "method"),
            metric=enums.to_number(metric, enums.METRICS, "metric"),
            noise=enums.to_number(noise, enums.NOISE_MODES, "noise"),
            reduction=enums.to_number_or_none(reduction, enums.REDUCTIONS, "reduction"),
            reduced_dimensions=parameters.whole(reduced_dimensions, "reduced_dimensions"),
            linkage=enums.to_number_or_none(linkage, enums.LINKAGES, "linkage"),
            min_cluster_size=parameters.whole(min_cluster_size, "min_cluster_size"),
            min_samples=parameters.whole(min_samples, "min_samples"),
            seed=parameters.required(seed, "seed", parameters.SEED),
            bootstraps=parameters.required(bootstraps, "bootstraps"),
            keywords=parameters.required(keywords, "keywords"),
            **parameters.count_or_auto(n_clusters, "n_clusters"),
            **parameters.keeping(name, overwrite),
        )
        sides = requests.check_sides(source=source)
        request.labels.extend(parameters.labels(labels, requests.rows_of(sides["source"])))
        return self._analyse(kinds.CLUSTER, request, sides, options, how)
