"""Similarity and neighbours."""

from __future__ import annotations

from typing import Any, Literal, Unpack, overload

from penult_client._analysis import Neighbors, Similarity
from penult_client._async.analysis import AsyncAnalysis
from penult_client._async.operations import AsyncOperation
from penult_client._core import enums, kinds, parameters, requests, rpcs
from penult_client._core.progress import Progress
from penult_client._estimate import Estimate
from penult_client._options import NeighborsOptions, SimilarityOptions


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

    @overload
    async def similarity(
        self,
        a: Any,
        b: Any = None,
        metric: str = "cosine",
        *,
        dry_run: Literal[True],
        **options: Unpack[SimilarityOptions],
    ) -> Estimate: ...

    async def similarity(
        self,
        a: Any,
        b: Any = None,
        metric: str = "cosine",
        *,
        pairs: bool = False,
        center: bool = False,
        background: Any = None,
        model: str | None = None,
        pooling: str = "pooled",
        normalize: bool = False,
        truncate: str = "right",
        layer: str | None = None,
        wait: bool = True,
        progress: Progress = None,
        deadline: float | None = None,
        dry_run: bool = False,
    ) -> Similarity | AsyncOperation[Similarity] | Estimate:
        """How alike the rows of two sides are: float32 [rows of a, rows of b].

        Args:
            a: Texts, `Embeddings`, an array [n, d], or a `Dataset`.
            b: The same; None: `a` against itself.
            metric: ``cosine``, ``dot`` (larger is closer), ``euclidean`` or ``manhattan`` (smaller is closer).
            pairs: Only row i of `a` with row i of `b`, which has as many: float32 [rows, 1].
            center: Take the mean of the background's rows from every row first; ``cosine`` only. It tells rows apart
                where all point in one direction.
            background: Rows that say what scores are usual, such as a `Dataset`; None: those of `a` and `b`.
            model, pooling, normalize, truncate, layer: As of `embed`, for sides that are texts.
            wait: False: start an operation, and return it at once.
            progress: How an operation gets on, as of `Operation.wait`; and texts that are embedded first.
            deadline: The longest wait for the whole call, in seconds; an operation that runs on is cancelled then.
            dry_run: Compute nothing; return an `Estimate` of what it would take.

        A score says little by itself, classifiers give cosines near 0.95 to everything:

            made = client.similarity(["refund please"], ["my money back"])
            made.scores       # float32 [[0.97]]
            made.percentiles  # float32 [[88.2]]: of random pairs 88.2 % are less alike; None of fewer than 30 rows

        Raises:
            PenultError: see `penult_client.PenultError`; two sides of different spaces are a
                PreconditionError, and so is more than the server's memory holds (use `neighbors`).
        """
        how = kinds.Asked(wait, progress, deadline, dry_run)
        options = requests.embed_options(
            model=model, layer=layer, pooling=pooling, normalize=normalize, truncate=truncate
        )
        request = rpcs.SIMILARITY.request(
            metric=enums.to_number(metric, enums.METRICS, "metric"), pairs=bool(pairs), center=bool(center)
        )
        sides = requests.check_sides(a=a, b=b, background=background)
        return await self._analyse(kinds.SIMILARITY, request, sides, options, how)

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

    @overload
    async def neighbors(
        self,
        queries: Any,
        corpus: Any = None,
        k: int = 10,
        metric: str = "cosine",
        *,
        dry_run: Literal[True],
        **options: Unpack[NeighborsOptions],
    ) -> Estimate: ...

    async def neighbors(
        self,
        queries: Any,
        corpus: Any = None,
        k: int = 10,
        metric: str = "cosine",
        *,
        exclude_self: bool = False,
        radius: float | None = None,
        center: bool = False,
        approximate: bool = False,
        model: str | None = None,
        pooling: str = "pooled",
        normalize: bool = False,
        truncate: str = "right",
        layer: str | None = None,
        wait: bool = True,
        progress: Progress = None,
        deadline: float | None = None,
        dry_run: bool = False,
    ) -> Neighbors | AsyncOperation[Neighbors] | Estimate:
        """The `k` nearest rows of a corpus: int32 [n, k] numbers of rows, float32 [n, k] scores.

        Args:
            queries: Texts, `Embeddings`, an array [n, d], or a `Dataset`.
            corpus: The same; None: the queries themselves.
            k: How many neighbours a row; with fewer rows than that, all of them (and an adjustment says so).
            metric: ``cosine``, ``dot`` (larger is closer), ``euclidean`` or ``manhattan`` (smaller is closer).
            exclude_self: Row i is no neighbour of query i; only without `corpus`.
            radius: Only rows at least so similar (cosine, dot) or at most so far (euclidean, manhattan).
            center: Take the mean of the corpus' rows from every row first; ``cosine`` only.
            approximate: Search an index that may miss some, and measure how many it finds (`Neighbors.recall`);
                without, the search is exact. It pays beyond 65,536 rows; below, the search is exact.
            model, pooling, normalize, truncate, layer, wait, progress, deadline, dry_run: As of `similarity`.

        Raises:
            PenultError: see `penult_client.PenultError`.
        """
        how = kinds.Asked(wait, progress, deadline, dry_run)
        options = requests.embed_options(
            model=model, layer=layer, pooling=pooling, normalize=normalize, truncate=truncate
        )
        request = rpcs.NEIGHBORS.request(
            k=parameters.required(k, "k"),
            metric=enums.to_number(metric, enums.METRICS, "metric"),
            exclude_self=bool(exclude_self),
            radius=parameters.real(radius, "radius"),
            center=bool(center),
            approximate=bool(approximate),
        )
        sides = requests.check_sides(queries=queries, corpus=corpus)
        return await self._analyse(kinds.NEIGHBORS, request, sides, options, how)
