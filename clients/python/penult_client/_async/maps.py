"""Clusters and maps."""

from __future__ import annotations

from typing import Any, Literal, Unpack, overload

from penult_client._analysis import Clusters, Projection
from penult_client._async.analysis import AsyncAnalysis
from penult_client._async.operations import AsyncOperation
from penult_client._core import enums, kinds, parameters, requests, rpcs
from penult_client._core.progress import Progress
from penult_client._options import ClusterOptions, ProjectOptions


class AsyncMaps(AsyncAnalysis):
    """The methods of the client that put rows in order."""

    @overload
    async def cluster(
        self,
        source: Any,
        method: str = "kmeans",
        n_clusters: int | None = None,
        metric: str = "cosine",
        noise: str = "keep",
        *,
        wait: Literal[True] = True,
        **options: Unpack[ClusterOptions],
    ) -> Clusters: ...

    @overload
    async def cluster(
        self,
        source: Any,
        method: str = "kmeans",
        n_clusters: int | None = None,
        metric: str = "cosine",
        noise: str = "keep",
        *,
        wait: Literal[False],
        **options: Unpack[ClusterOptions],
    ) -> AsyncOperation[Clusters]: ...

    @overload
    async def cluster(
        self,
        source: Any,
        method: str = "kmeans",
        n_clusters: int | None = None,
        metric: str = "cosine",
        noise: str = "keep",
        *,
        wait: bool,
        **options: Unpack[ClusterOptions],
    ) -> Clusters | AsyncOperation[Clusters]: ...

    async def cluster(
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
        wait: bool = True,
        progress: Progress = None,
        deadline: float | None = None,
    ) -> Clusters | AsyncOperation[Clusters]:
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
            model, pooling, normalize, truncate, layer, wait, progress, deadline: As of `similarity`.

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
        return await self._analyse(
            kinds.CLUSTER, request, sides, options, wait=wait, progress=progress, deadline=deadline
        )

    @overload
    async def project(
        self,
        source: Any,
        method: str = "umap",
        n_components: int = 2,
        metric: str = "cosine",
        seed: int = 42,
        *,
        wait: Literal[True] = True,
        **options: Unpack[ProjectOptions],
    ) -> Projection: ...

    @overload
    async def project(
        self,
        source: Any,
        method: str = "umap",
        n_components: int = 2,
        metric: str = "cosine",
        seed: int = 42,
        *,
        wait: Literal[False],
        **options: Unpack[ProjectOptions],
    ) -> AsyncOperation[Projection]: ...

    @overload
    async def project(
        self,
        source: Any,
        method: str = "umap",
        n_components: int = 2,
        metric: str = "cosine",
        seed: int = 42,
        *,
        wait: bool,
        **options: Unpack[ProjectOptions],
    ) -> Projection | AsyncOperation[Projection]: ...

    async def project(
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
        wait: bool = True,
        progress: Progress = None,
        deadline: float | None = None,
    ) -> Projection | AsyncOperation[Projection]:
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
            model, pooling, normalize, truncate, layer, wait, progress, deadline: As of `similarity`.

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
        return await self._analyse(
            kinds.PROJECT, request, sides, options, wait=wait, progress=progress, deadline=deadline
        )
