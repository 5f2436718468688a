"""Rows to look at: duplicates and outliers."""

from __future__ import annotations

from typing import Any, Literal, Unpack, overload

from penult_client._async.analysis import AsyncAnalysis
from penult_client._async.operations import AsyncOperation
from penult_client._core import enums, kinds, parameters, requests, rpcs
from penult_client._core.progress import Progress
from penult_client._estimate import Estimate
from penult_client._options import AnalysisOptions, DuplicatesOptions
from penult_client._screening import Duplicates, Outliers


class AsyncScreening(AsyncAnalysis):
    """The methods of the client that find rows to look at."""

    @overload
    async def duplicates(
        self,
        source: Any,
        threshold: float | None = None,
        metric: str = "cosine",
        *,
        wait: Literal[True] = True,
        **options: Unpack[DuplicatesOptions],
    ) -> Duplicates: ...

    @overload
    async def duplicates(
        self,
        source: Any,
        threshold: float | None = None,
        metric: str = "cosine",
        *,
        wait: Literal[False],
        **options: Unpack[DuplicatesOptions],
    ) -> AsyncOperation[Duplicates]: ...

    @overload
    async def duplicates(
        self,
        source: Any,
        threshold: float | None = None,
        metric: str = "cosine",
        *,
        wait: bool,
        **options: Unpack[DuplicatesOptions],
    ) -> Duplicates | AsyncOperation[Duplicates]: ...

    @overload
    async def duplicates(
        self,
        source: Any,
        threshold: float | None = None,
        metric: str = "cosine",
        *,
        dry_run: Literal[True],
        **options: Unpack[DuplicatesOptions],
    ) -> Estimate: ...

    async def duplicates(
        self,
        source: Any,
        threshold: float | None = None,
        metric: str = "cosine",
        *,
        max_pairs: int | None = None,
        model: str | None = None,
        pooling: str = "pooled",
        normalize: bool = False,
        truncate: str = "right",
        layer: str | None = None,
        wait: bool = True,
        progress: Progress = None,
        deadline: float | None = None,
        dry_run: bool = False,
    ) -> Duplicates | AsyncOperation[Duplicates] | Estimate:
        """Rows that are equal, or nearly: pairs, groups, and which row of a group to keep.

            made = client.duplicates(texts, threshold=0.95)
            kept = [text for text, keep in zip(texts, made.keep) if keep]
            made.background.percentiles(made.scores)  # classifiers give cosines near 0.95 to everything: rare ones?

        Args:
            source: Texts, `Embeddings`, an array [n, d], or a `Dataset`.
            threshold: How alike two rows are at least (``cosine``), or how far apart at most; None: 0.95, for distances
                0.
            metric: ``cosine``, ``euclidean`` or ``manhattan``.
            max_pairs: The most pairs to give, the most alike first, at most 10,000,000; None: 1,000,000. Groups are of
                all pairs.
            model, pooling, normalize, truncate, layer, wait, progress, deadline, dry_run: As of `similarity`.

        Raises:
            InvalidInputError: most pairs reach the threshold (THRESHOLD_TOO_LOW); the message has one that few reach.
            PenultError: see `penult_client.PenultError`.
        """
        how = kinds.Asked(wait, progress, deadline, dry_run)
        options = requests.embed_options(
            model=model, layer=layer, pooling=pooling, normalize=normalize, truncate=truncate
        )
        request = rpcs.DUPLICATES.request(
            threshold=parameters.real(threshold, "threshold"),
            metric=enums.to_number(metric, enums.METRICS, "metric"),
            max_pairs=parameters.at_least_one(max_pairs, "max_pairs"),
        )
        sides = requests.check_sides(source=source)
        return await self._analyse(kinds.DUPLICATES, request, sides, options, how)

    @overload
    async def outliers(
        self,
        source: Any,
        k: int = 10,
        metric: str = "cosine",
        *,
        wait: Literal[True] = True,
        **options: Unpack[AnalysisOptions],
    ) -> Outliers: ...

    @overload
    async def outliers(
        self,
        source: Any,
        k: int = 10,
        metric: str = "cosine",
        *,
        wait: Literal[False],
        **options: Unpack[AnalysisOptions],
    ) -> AsyncOperation[Outliers]: ...

    @overload
    async def outliers(
        self,
        source: Any,
        k: int = 10,
        metric: str = "cosine",
        *,
        wait: bool,
        **options: Unpack[AnalysisOptions],
    ) -> Outliers | AsyncOperation[Outliers]: ...

    @overload
    async def outliers(
        self,
        source: Any,
        k: int = 10,
        metric: str = "cosine",
        *,
        dry_run: Literal[True],
        **options: Unpack[AnalysisOptions],
    ) -> Estimate: ...

    async def outliers(
        self,
        source: Any,
        k: int = 10,
        metric: str = "cosine",
        *,
        model: str | None = None,
        pooling: str = "pooled",
        normalize: bool = False,
        truncate: str = "right",
        layer: str | None = None,
        wait: bool = True,
        progress: Progress = None,
        deadline: float | None = None,
        dry_run: bool = False,
    ) -> Outliers | AsyncOperation[Outliers] | Estimate:
        """How far each row lies from its neighbours, float32 [n], and of how many rows it is one.

            made = client.outliers(texts)
            [texts[row] for row in made.order[:10]]  # the ten farthest
            made.hubness  # above 1: a few rows are neighbours of very many

        Args:
            source: Texts, `Embeddings`, an array [n, d], or a `Dataset`; three rows at least.
            k: At how many neighbours; with fewer other rows than that, all of them (and an adjustment says so).
            metric: ``cosine``, ``euclidean`` or ``manhattan``.
            model, pooling, normalize, truncate, layer, wait, progress, deadline, dry_run: As of `similarity`.

        Raises:
            PenultError: see `penult_client.PenultError`.
        """
        how = kinds.Asked(wait, progress, deadline, dry_run)
        options = requests.embed_options(
            model=model, layer=layer, pooling=pooling, normalize=normalize, truncate=truncate
        )
        parameters.required(k, "k")
        request = rpcs.OUTLIERS.request(
            k=parameters.at_least_one(k, "k"), metric=enums.to_number(metric, enums.METRICS, "metric")
        )
        sides = requests.check_sides(source=source)
        return await self._analyse(kinds.OUTLIERS, request, sides, options, how)
