"""What dropout does to texts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, Unpack, overload

from penult_client._async.analysis import AsyncAnalysis
from penult_client._async.operations import AsyncOperation
from penult_client._core import dropout, enums, kinds, parameters, requests, rpcs
from penult_client._core.inputs import check_model
from penult_client._core.progress import Progress
from penult_client._core.timing import Deadline
from penult_client._dropout import DropoutComparison
from penult_client._estimate import Estimate
from penult_client._options import DropoutOptions


class AsyncDropout(AsyncAnalysis):
    """The method of the client that compares texts with and without dropout."""

    @overload
    async def compare_dropout(
        self, texts: Any, *, wait: Literal[True] = True, **options: Unpack[DropoutOptions]
    ) -> DropoutComparison: ...

    @overload
    async def compare_dropout(
        self, texts: Any, *, wait: Literal[False], **options: Unpack[DropoutOptions]
    ) -> AsyncOperation[DropoutComparison]: ...

    @overload
    async def compare_dropout(
        self, texts: Any, *, wait: bool, **options: Unpack[DropoutOptions]
    ) -> DropoutComparison | AsyncOperation[DropoutComparison]: ...

    @overload
    async def compare_dropout(
        self, texts: Any, *, dry_run: Literal[True], **options: Unpack[DropoutOptions]
    ) -> Estimate: ...

    async def compare_dropout(
        self,
        texts: Any,
        *,
        model: str | None = None,
        labels: Any = None,
        passes: int = 30,
        seed: int = 42,
        layers: str | Sequence[str] | None = None,
        rate: float | None = None,
        n_clusters: int | None = None,
        map: bool = True,  # noqa: A002
        truncate: str = "right",
        wait: bool = True,
        progress: Progress = None,
        deadline: float | None = None,
        dry_run: bool = False,
    ) -> DropoutComparison | AsyncOperation[DropoutComparison] | Estimate:
        """Whether embeddings are taken before or after the dropout, and what dropout would do to them if it were on.

        In inference a dropout does nothing, and `DropoutComparison.inference` has the figures. Then it is put back on
        purpose, in some passes, and what that does to neighbours, clusters, predictions and a map is measured. The same
        texts, passes and seed give the same figures.

        Args:
            texts: At least 3, at most 5,000; a list of str, or, for models of several inputs, of dicts or tuples.
            model: Such as ``reviews`` or ``reviews@3``; None: the only one loaded.
            labels: n str or whole numbers: there are as many clusters as labels; names of classes are held against the
                predictions.
            passes: How often dropout is drawn, at most 1,000.
            seed: Of masks, clusters and the map.
            layers: ``head``: the dropouts between the embedding and the outputs. ``all``: those inside the encoder too,
                where each pass is one of the encoder. Or a list of paths, as `inspect_dropout` names them. None: the
                head, and beside it all where they are known; `DropoutComparison.adjustments` says what was left out.
            rate: Of each of these dropouts, at least 0 and below 1; None: the one that the file records.
            n_clusters: Of k-means; None: as many as labels, else as classes, else 8.
            map: Whether to make a map (UMAP) too.
            truncate: As of `embed`.
            wait, progress, deadline, dry_run: As of `similarity`.

        Raises:
            PreconditionError: the model's dropouts cannot be put back (NO_SAMPLING), or their rate is not known
                (NO_DROPOUT_RATE: give `rate`).
            PenultError: see `penult_client.PenultError`.
        """
        rows = requests.check_listed(texts)
        request = rpcs.COMPARE_DROPOUT.request(
            model=check_model(model),
            truncate=enums.to_number(truncate, enums.TRUNCATES, "truncate"),
            dropout=dropout.dropout_options(
                samples=passes, layers=layers, seed=seed, rate=rate, called="passes"
            ),
            row_labels=parameters.labels(labels, len(rows)),
            n_clusters=parameters.at_least_one(n_clusters, "n_clusters"),
            without_map=not map,
        )
        ends = Deadline.begin(deadline)
        limits = await self._caller.limits(ends)
        requests.put_all(request, rows, limits)
        if dry_run:
            return await self._estimate(kinds.COMPARE_DROPOUT, request, ends)
        how = kinds.Asked(wait, progress, deadline)
        return await self._ask(kinds.COMPARE_DROPOUT, request, None, ends, how)
