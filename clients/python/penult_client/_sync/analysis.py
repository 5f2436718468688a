# Made from ../_async/analysis.py by scripts/unasync.py; change that one.
"""The analyses: similarity, neighbours, clusters, maps."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from penult.v1 import common_pb2 as common

from penult_client._analysis import Clusters, Neighbors, Projection
from penult_client._sync.calls import Caller
from penult_client._core import analysis_results, enums, parameters, requests, results, rpcs
from penult_client._core.inputs import Texts
from penult_client._core.rpcs import Reply, Rpc
from penult_client._core.splitting import split_texts
from penult_client._core.timing import Deadline
from penult_client._results import Embeddings, Similarity

Sides = Mapping[str, Texts | common.Source]


class Analysis:
    """The methods of the client that analyse.

    A side (`a`, `b`, `queries`, `corpus`, `source`) is a list of texts, `Embeddings`, an array [n, d], or a
    `Dataset` that the server keeps; an array says nothing about its space. More texts than one request should
    hold are embedded first. Without `deadline` the longest wait is what the server lets an analysis take
    (`Limits.max_analysis_seconds`) and 30 seconds, and at least the client's `timeout`; what the server
    cannot take yet is sent again within it.
    """

    _caller: Caller

    def similarity(
        self,
        a: Any,
        b: Any = None,
        metric: str = "cosine",
        *,
        pairs: bool = False,
        model: str | None = None,
        pooling: str = "pooled",
        normalize: bool = False,
        truncate: str = "right",
        layer: str | None = None,
        deadline: float | None = None,
    ) -> Similarity:
        """How alike the rows of two sides are: float32 [rows of a, rows of b].

        Args:
            a: Texts, `Embeddings`, an array [n, d], or a `Dataset`.
            b: The same; None: `a` against itself.
            metric: ``cosine``, ``dot`` (larger is closer), ``euclidean`` or ``manhattan`` (smaller is closer).
            pairs: Only row i of `a` with row i of `b`, which has as many: float32 [rows, 1].
            model, pooling, normalize, truncate, layer: As of `embed`, for sides that are texts.
            deadline: The longest wait for the whole call, in seconds; None: as long as the server lets an
                analysis take and 30 seconds, at least the client's `timeout`.

        Raises:
            PenultError: see `penult_client.PenultError`; two sides of different spaces are a
                PreconditionError, more scores than can be sent an InvalidInputError (use `neighbors`).
        """
        options = requests.embed_options(
            model=model, layer=layer, pooling=pooling, normalize=normalize, truncate=truncate
        )
        request = rpcs.SIMILARITY.request(
            metric=enums.to_number(metric, enums.METRICS, "metric"), pairs=bool(pairs)
        )
        sides = requests.check_sides(a=a, b=b)
        return analysis_results.similarity(
            *self._analyse(rpcs.SIMILARITY, request, sides, options, Deadline.begin(deadline))
        )

    def neighbors(
        self,
        queries: Any,
        corpus: Any = None,
        k: int = 10,
        metric: str = "cosine",
        *,
        exclude_self: bool = False,
        radius: float | None = None,
        model: str | None = None,
        pooling: str = "pooled",
        normalize: bool = False,
        truncate: str = "right",
        layer: str | None = None,
        deadline: float | None = None,
    ) -> Neighbors:
        """The `k` nearest rows of a corpus, exactly: int32 [n, k] numbers of rows, float32 [n, k] scores.

        Args:
            queries: Texts, `Embeddings`, an array [n, d], or a `Dataset`.
            corpus: The same; None: the queries themselves.
            k: How many neighbours a row; with fewer rows than that, all of them (and an adjustment says so).
            metric: ``cosine``, ``dot`` (larger is closer), ``euclidean`` or ``manhattan`` (smaller is closer).
            exclude_self: Row i is no neighbour of query i; only without `corpus`.
            radius: Only rows at least so similar (cosine, dot) or at most so far (euclidean, manhattan).
            model, pooling, normalize, truncate, layer, deadline: As of `similarity`.

        Raises:
            PenultError: see `penult_client.PenultError`.
        """
        options = requests.embed_options(
            model=model, layer=layer, pooling=pooling, normalize=normalize, truncate=truncate
        )
        request = rpcs.NEIGHBORS.request(
            k=parameters.required(k, "k"),
            metric=enums.to_number(metric, enums.METRICS, "metric"),
            exclude_self=bool(exclude_self),
            radius=parameters.real(radius, "radius"),
        )
        sides = requests.check_sides(queries=queries, corpus=corpus)
        return analysis_results.neighbors(
            *self._analyse(rpcs.NEIGHBORS, request, sides, options, Deadline.begin(deadline))
        )

    def cluster(
        self,
        source: Any,
        method: str = "kmeans",
        n_clusters: int | None = None,
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
        name: str | None = None,
        overwrite: bool = False,
        model: str | None = None,
        pooling: str = "pooled",
        normalize: bool = False,
        truncate: str = "right",
        layer: str | None = None,
        deadline: float | None = None,
    ) -> Clusters:
        """Clusters: int32 [n] labels, the largest cluster 0, and how good they are.

        Args:
            source: Texts, `Embeddings`, an array [n, d], or a `Dataset`.
            method: ``kmeans``, ``agglomerative``, ``hdbscan`` (finds the number of clusters and leaves noise out)
                or ``gaussian_mixture``.
            n_clusters: How many; None: the server's default, 8. Not with ``hdbscan``.
            metric: ``cosine`` or ``euclidean``; for ``agglomerative`` and ``hdbscan`` also ``manhattan``.
            noise: Of ``hdbscan``: rows in no cluster ``keep`` label -1, or go to the ``nearest`` cluster.
            reduction: What clusters are found on: the rows (``none``), a ``umap`` or a ``pca`` of them; None:
                ``umap`` for ``hdbscan``, ``pca`` for ``gaussian_mixture``, else ``none``.
            reduced_dimensions: Dimensions after the reduction; None: 5 for ``umap``, 50 for ``pca``.
            linkage: Of ``agglomerative``: ``ward``, ``average``, ``complete`` or ``single``; None: what suits.
            min_cluster_size: Of ``hdbscan``: the fewest rows of a cluster; None: max(5, n / 200).
            min_samples: Of ``hdbscan``: how many rows make a place dense; None: 5.
            seed: Of all that is random.
            labels: n str or whole numbers to compare the clusters with.
            name: Keep the clusters on the server under this name: 1 to 63 of ``a-z 0-9 - _``, the first a letter or
                digit. `penult serve` without ``--data`` forgets it when it ends.
            overwrite: Take the place of what has the name.
            model, pooling, normalize, truncate, layer, deadline: As of `similarity`.

        Raises:
            AlreadyExistsError: the name is taken; nothing was computed.
            PenultError: see `penult_client.PenultError`.
        """
        options = requests.embed_options(
            model=model, layer=layer, pooling=pooling, normalize=normalize, truncate=truncate
        )
        request = rpcs.CLUSTER.request(
            method=enums.to_number(method, enums.CLUSTER_METHODS, "method"),
            n_clusters=parameters.whole(n_clusters, "n_clusters"),
            metric=enums.to_number(metric, enums.METRICS, "metric"),
            noise=enums.to_number(noise, enums.NOISE_MODES, "noise"),
            reduction=enums.to_number_or_none(reduction, enums.REDUCTIONS, "reduction"),
            reduced_dimensions=parameters.whole(reduced_dimensions, "reduced_dimensions"),
            linkage=enums.to_number_or_none(linkage, enums.LINKAGES, "linkage"),
            min_cluster_size=parameters.whole(min_cluster_size, "min_cluster_size"),
            min_samples=parameters.whole(min_samples, "min_samples"),
            seed=parameters.required(seed, "seed", parameters.SEED),
            **parameters.keeping(name, overwrite),
        )
        sides = requests.check_sides(source=source)
        request.labels.extend(parameters.labels(labels, requests.rows_of(sides["source"])))
        return analysis_results.clusters(
            *self._analyse(rpcs.CLUSTER, request, sides, options, Deadline.begin(deadline))
        )

    def project(
        self,
        source: Any,
        method: str = "umap",
        n_components: int = 2,
        metric: str = "cosine",
        seed: int = 42,
        *,
        n_neighbors: int | None = None,
        min_dist: float | None = None,
        perplexity: float | None = None,
        labels: Any = None,
        name: str | None = None,
        overwrite: bool = False,
        model: str | None = None,
        pooling: str = "pooled",
        normalize: bool = False,
        truncate: str = "right",
        layer: str | None = None,
        deadline: float | None = None,
    ) -> Projection:
        """A map: float32 [n, n_components] coordinates, and how good it is.

        The same rows, parameters and seed give the same bytes on one machine.

        Args:
            source: Texts, `Embeddings`, an array [n, d], or a `Dataset`.
            method: ``umap``, ``pca`` or ``tsne``.
            n_components: 2 or 3.
            metric: ``cosine``, ``euclidean``, or (not for ``pca``) ``manhattan``.
            seed: Of all that is random.
            n_neighbors: Of ``umap``: neighbours a row that the map keeps together; None: 15.
            min_dist: Of ``umap``: how close rows may lie, 0 to 1; None: 0.1.
            perplexity: Of ``tsne``: about how many neighbours count; None: 30.
            labels: n str or whole numbers to measure the map with.
            name: Keep the map on the server under this name: 1 to 63 of ``a-z 0-9 - _``, the first a letter or
                digit. `penult serve` without ``--data`` forgets it when it ends.
            overwrite: Take the place of what has the name.
            model, pooling, normalize, truncate, layer, deadline: As of `similarity`.

        Raises:
            AlreadyExistsError: the name is taken; nothing was computed.
            PenultError: see `penult_client.PenultError`.
        """
        options = requests.embed_options(
            model=model, layer=layer, pooling=pooling, normalize=normalize, truncate=truncate
        )
        request = rpcs.PROJECT.request(
            method=enums.to_number(method, enums.PROJECTION_METHODS, "method"),
            n_components=parameters.required(n_components, "n_components"),
            metric=enums.to_number(metric, enums.METRICS, "metric"),
            seed=parameters.required(seed, "seed", parameters.SEED),
            n_neighbors=parameters.whole(n_neighbors, "n_neighbors"),
            min_dist=parameters.real(min_dist, "min_dist"),
            perplexity=parameters.real(perplexity, "perplexity"),
            **parameters.keeping(name, overwrite),
        )
        sides = requests.check_sides(source=source)
        request.labels.extend(parameters.labels(labels, requests.rows_of(sides["source"])))
        return analysis_results.projection(
            *self._analyse(rpcs.PROJECT, request, sides, options, Deadline.begin(deadline))
        )

    def _analyse(
        self,
        rpc: Rpc[Any, Reply],
        request: Any,
        sides: Sides,
        options: common.EmbedOptions,
        ends: Deadline,
    ) -> tuple[Reply, Embeddings | None]:
        """The reply to the request with these sides, and what was embedded first, if anything was."""
        limits = self._caller.limits(ends)
        sources: dict[str, common.Source] = {}
        embedded: Embeddings | None = None
        for name, side in sides.items():
            if isinstance(side, common.Source):
                sources[name] = side
            elif len(split_texts(side, limits, options.ByteSize())) == 1:
                sources[name] = requests.text_source(side, options)
            else:
                template = rpcs.EMBED.request(options=options)
                parts = self._caller.send_texts(rpcs.EMBED, template, side, ends)
                embedded = results.embeddings(parts)
                sources[name] = requests.vector_source(embedded, name)
        requests.check_room(request, sources, limits)
        for name, source in sources.items():
            getattr(request, name).CopyFrom(source)
        request.max_response_bytes = limits.max_response_bytes
        return self._caller.send_analysis(rpc, request, ends), embedded
