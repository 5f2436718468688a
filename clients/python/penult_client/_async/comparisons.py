"""Similarity and neighbours."""

from __future__ import annotations

from typing import Any, Literal, Unpack, overload

from penult_client._analysis import Neighbors
from penult_client._async.analysis import AsyncAnalysis
from penult_client._async.operations import AsyncOperation
from penult_client._core import enums, kinds, parameters, requests, rpcs
from penult_client._core.progress import Progress
from penult_client._options import NeighborsOptions, SimilarityOptions
from penult_client._results import Similarity


class AsyncComparisons(AsyncAnalysis):
    """The methods of the client that compare rows."""

    @overload
    async def similarity(
        self,
        a: Any,
        b: Any = None,
        metric: str = "cosine",
        *,
        wait: Literal[True] = True,
        **options: Unpack[SimilarityOptions],
    ) -> Similarity: ...

    @overload
    async def similarity(
        self,
        a: Any,
        b: Any = None,
        metric: str = "cosine",
        *,
        wait: Literal[False],
        **options: Unpack[SimilarityOptions],
    ) -> AsyncOperation[Similarity]: ...

    @overload
    async def similarity(
        self,
        a: Any,
        b: Any = None,
        metric: str = "cosine",
        *,
        wait: bool,
        **options: Unpack[SimilarityOptions],
    ) -> Similarity | AsyncOperation[Similarity]: ...

    async def similarity(
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
        wait: bool = True,
        progress: Progress = None,
        deadline: float | None = None,
    ) -> Similarity | AsyncOperation[Similarity]:
        """How alike the rows of two sides are: float32 [rows of a, rows of b].

        Args:
            a: Texts, `Embeddings`, an array [n, d], or a `Dataset`.
            b: The same; None: `a` against itself.
            metric: ``cosine``, ``dot`` (larger is closer), ``euclidean`` or ``manhattan`` (smaller is closer).
            pairs: Only row i of `a` with row i of `b`, which has as many: float32 [rows, 1].
            model, pooling, normalize, truncate, layer: As of `embed`, for sides that are texts.
            wait: False: start an operation, and return it at once.
            progress: How an operation gets on, as of `Operation.wait`; and texts that are embedded first.
            deadline: The longest wait for the whole call, in seconds; an operation that runs on is cancelled then.

        Raises:
            PenultError: see `penult_client.PenultError`; two sides of different spaces are a
                PreconditionError, and so is more than the server's memory holds (use `neighbors`).
        """
        options = requests.embed_options(
            model=model, layer=layer, pooling=pooling, normalize=normalize, truncate=truncate
        )
        request = rpcs.SIMILARITY.request(
            metric=enums.to_number(metric, enums.METRICS, "metric"), pairs=bool(pairs)
        )
        sides = requests.check_sides(a=a, b=b)
        return await self._analyse(
            kinds.SIMILARITY, request, sides, options, wait=wait, progress=progress, deadline=deadline
        )

    @overload
    async def neighbors(
        self,
        queries: Any,
        corpus: Any = None,
        k: int = 10,
        metric: str = "cosine",
        *,
        wait: Literal[True] = True,
        **options: Unpack[NeighborsOptions],
    ) -> Neighbors: ...

    @overload
    async def neighbors(
        self,
        queries: Any,
        corpus: Any = None,
        k: int = 10,
        metric: str = "cosine",
        *,
        wait: Literal[False],
        **options: Unpack[NeighborsOptions],
    ) -> AsyncOperation[Neighbors]: ...

    @overload
    async def neighbors(
        self,
        queries: Any,
        corpus: Any = None,
        k: int = 10,
        metric: str = "cosine",
        *,
        wait: bool,
        **options: Unpack[NeighborsOptions],
    ) -> Neighbors | AsyncOperation[Neighbors]: ...

    async def neighbors(
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
        wait: bool = True,
        progress: Progress = None,
        deadline: float | None = None,
    ) -> Neighbors | AsyncOperation[Neighbors]:
        """The `k` nearest rows of a corpus, exactly: int32 [n, k] numbers of rows, float32 [n, k] scores.

        Args:
            queries: Texts, `Embeddings`, an array [n, d], or a `Dataset`.
            corpus: The same; None: the queries themselves.
            k: How many neighbours a row; with fewer rows than that, all of them (and an adjustment says so).
            metric: ``cosine``, ``dot`` (larger is closer), ``euclidean`` or ``manhattan`` (smaller is closer).
            exclude_self: Row i is no neighbour of query i; only without `corpus`.
            radius: Only rows at least so similar (cosine, dot) or at most so far (euclidean, manhattan).
            model, pooling, normalize, truncate, layer, wait, progress, deadline: As of `similarity`.

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
        return await self._analyse(
            kinds.NEIGHBORS, request, sides, options, wait=wait, progress=progress, deadline=deadline
        )
