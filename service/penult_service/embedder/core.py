"""From texts to embeddings, probabilities, outputs and tokens."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from penult_service.batching import Scheduler
from penult_service.embedder.answers import classify_result, embed_result, joined
from penult_service.embedder.dropouts import SampleOptions, choose
from penult_service.embedder.given import Given
from penult_service.embedder.options import TOKENS, EmbedOptions, check_classifier, choose_readout
from penult_service.embedder.passes import EncodePass, WholePass, class_probabilities
from penult_service.embedder.protocols import LoadedModel
from penult_service.embedder.results import ClassifyResult, EmbedResult, Readings, TokenizeResult
from penult_service.embedder.running import (
    Runner,
    Tokenized,
    brief,
    table_for,
    tokenized,
    whole_table_for,
    within,
)
from penult_service.embedder.sampling import SampleResult, sampled
from penult_service.embedder.sharing import Flight, SharedPass, Sharing, SharingObserver
from penult_service.embedder.tables import kind_of, whole_cost
from penult_service.embedder.warming import invented, warm_rows
from penult_service.errors import PreconditionFailed
from penult_service.tokenizing import UNKNOWN

# Of a result that the event loop makes itself.
_FEW_NUMBERS = 8192


class Embedder:
    """Tokenizes in a small thread pool, computes through the scheduler, answers in the caller's order.

    Every method is called from the event loop, with at least one row: texts, `Records` or `Tensors`. `deadline` is in
    seconds of the monotonic clock; cancelling the awaiting task cancels the work. All of them raise what
    `inputs.inputs_of`, `tables.table_of`, `Scheduler.check_time` and `Scheduler.submit` raise, and DeadlineExceeded;
    errors of single rows are returned in the result.

    Args:
        scheduler: Runs the models.
        threads: That tokenize.
        cache_bytes: What the readings of past rows may take; 0: none are kept. Equal rows in flight are computed once
            in any case, unless their batches run at the same moment.
        observer: Told how often that happens.
    """

    def __init__(
        self,
        scheduler: Scheduler,
        *,
        threads: int = 2,
        cache_bytes: int = 0,
        observer: SharingObserver | None = None,
    ) -> None:
        self._runner = Runner(scheduler, threads)
        self._sharing = Sharing(cache_bytes, observer)

    async def embed(
        self,
        model: LoadedModel,
        given: Given,
        options: EmbedOptions | None = None,
        *,
        probabilities: bool = False,
        check: Callable[[NDArray[np.int32]], None] | None = None,
        deadline: float | None = None,
        anew: bool = False,
    ) -> EmbedResult:
        """Embeddings, and class probabilities from the same forward pass when asked for.

        `check` is called with the token counts int32 [n] before anything is computed, and may raise. With `anew`
        every row is computed, whatever is known of it.

        Raises:
            PreconditionFailed: the model cannot do it (NO_EMBEDDING, LAYER_NOT_PREPARED, POOLING_UNAVAILABLE,
                NOT_A_CLASSIFIER).
        """
        options = (options or EmbedOptions()).on(model.manifest)
        readout = choose_readout(model.manifest, options)
        if probabilities:
            check_classifier(model.manifest)
        pooling = options.pooling or ""
        encode = EncodePass(model.engine, model.manifest, readout.layer, pooling, probabilities)
        if not anew:
            self._check_time(model, given, deadline)
        async with within(deadline):
            readings = await self._read(model, given, encode, options.truncate, deadline, check, anew)
            few = len(given) * readout.dimension <= _FEW_NUMBERS and pooling != TOKENS
            return await self._runner.in_thread(
                embed_result, model, readings, readout, options, probabilities, brief=few
            )

    async def classify(
        self,
        model: LoadedModel,
        given: Given,
        *,
        truncate: str = "right",
        deadline: float | None = None,
    ) -> ClassifyResult:
        """Class probabilities.

        Raises:
            PreconditionFailed: the model gives none (NOT_A_CLASSIFIER), or is not cut, and cannot tell which texts are
                too long (TRUNCATION_UNKNOWN).
        """
        check_classifier(model.manifest)
        if not model.manifest.readouts:
            return await self._classified_whole(model, given, truncate, deadline)
        encode = EncodePass(model.engine, model.manifest, None, "pooled", probabilities=True)
        self._check_time(model, given, deadline)
        async with within(deadline):
            readings = await self._read(model, given, encode, truncate, deadline)
            few = len(given) * model.manifest.head.classes <= _FEW_NUMBERS
            return await self._runner.in_thread(classify_result, model, readings, brief=few)

    async def predict(
        self, model: LoadedModel, given: Given, *, deadline: float | None = None
    ) -> dict[str, NDArray[Any]]:
        """What the model's own predict returns: outputs by name, the first axis is the rows.

        Raises:
            PreconditionFailed: an output is not one row a text (OUTPUT_NOT_BY_ROW), or a row is not finite
                (NOT_FINITE, the field names the row).
        """
        self._runner.check_time(model, given, deadline)
        return await self._predicted(model, given, deadline)

    async def _predicted(
        self, model: LoadedModel, given: Given, deadline: float | None
    ) -> dict[str, NDArray[Any]]:
        """As `predict`, however much waits."""
        async with within(deadline):
            table = await self._runner.in_thread(whole_table_for, model, given)
            run = WholePass(model.engine, kind_of(table, model.manifest))
            costs = [whole_cost(model.manifest, table)] * len(given)
            rows = await self._runner.submit(
                model, run, [(table, i) for i in range(len(given))], costs, deadline
            )
            return await self._runner.in_thread(joined, rows, given)

    async def tokenize(
        self, model: LoadedModel, given: Given, *, deadline: float | None = None
    ) -> TokenizeResult:
        """Token ids as the model's own preprocessing makes them.

        Raises:
            PreconditionFailed: it makes none (NO_TOKENIZER).
        """
        roles = [token.role for token in model.manifest.inputs]
        if roles.count("ids") > 1:
            raise PreconditionFailed(
                "this model makes several rows of token ids, and a reply holds one; use predict or embed",
                reason="NO_TOKENIZER",
                field="model",
            )
        names = {token.role: token.name for token in model.manifest.inputs}
        if "ids" not in names:
            raise PreconditionFailed(
                "this model has no token ids; use predict or embed", reason="NO_TOKENIZER", field="model"
            )
        async with within(deadline):
            table = await self._runner.in_thread(table_for, model, given)
        ids, types = (
            [row[:length] for row, length in zip(table.inputs[names[role]], table.lengths, strict=True)]
            if role in names
            else None
            for role in ("ids", "types")
        )
        return TokenizeResult(ids or [], table.truncations, types)

    async def sample(
        self,
        model: LoadedModel,
        given: Given,
        options: SampleOptions,
        *,
        first_row: int = 0,
        embeddings: bool = False,
        deadline: float | None = None,
    ) -> SampleResult:
        """Samples with active dropout, and the same without: row i has the masks of `first_row` + i.

        Raises:
            PreconditionFailed: dropout cannot be put back, or not there (NO_SAMPLING); no rate is known
                (NO_DROPOUT_RATE); its output is no matrix of numbers a row (OUTPUT_NOT_BY_ROW); or what its dropout at
                the seam makes of the embedding is not known (NO_SAMPLED_EMBEDDING, with `embeddings` alone).
            InvalidInput: an option is out of range or names no dropout (see `dropouts.choose`), or the samples are more
                than a call may hold (REQUEST_TOO_LARGE).
        """
        chosen = choose(model.manifest, options)
        self._runner.check_time(model, given, deadline)
        async with within(deadline):
            return await sampled(self._runner, model, given, options, chosen, first_row, embeddings, deadline)

    def rows_at_once(self, model: LoadedModel) -> int:
        """How many rows, of any length that the model reads, fit its queue and leave half of it to others."""
        return max(1, self._runner.holds // 2 // model.manifest.padded_cost)

    async def warm(self, model: LoadedModel, *, deadline: float | None = None) -> None:
        """A real inference, all the way: at load, however much other models have to do, and to see that an idle server
        still works.

        Raises:
            PenultError: it does not.
        """
        manifest, given = model.manifest, warm_rows(model.manifest)
        classifier = manifest.head.kind not in ("other", "regression")
        try:
            if not manifest.readouts:
                await self._predicted(model, given, deadline)
                return
            result = await self.embed(model, given, probabilities=classifier, deadline=deadline, anew=True)
            for error in result.row_errors.values():
                raise error
        except PreconditionFailed as failed:
            # Numbers that were made up may be none that the model has a finite answer to.
            if failed.reason != "NOT_FINITE" or not invented(manifest):
                raise

    def close(self) -> None:
        """End the threads; the scheduler is closed by who made it."""
        self._runner.close()

    def _check_time(self, model: LoadedModel, given: Given, deadline: float | None) -> None:
        """Refuse early, but where there is a cache: what it has takes no time, and is known once it is tokenized."""
        if not self._sharing.keeps:
            self._runner.check_time(model, given, deadline)

    async def _read(
        self,
        model: LoadedModel,
        given: Given,
        encode: EncodePass,
        truncate: str,
        deadline: float | None,
        check: Callable[[NDArray[np.int32]], None] | None = None,
        anew: bool = False,
    ) -> Readings:
        """Tokenize, hand all rows that are not known to the scheduler in one step, and wait."""
        sharing = Sharing() if anew else self._sharing
        asked, encode, flight = await self._runner.in_thread(
            _asked, model, given, truncate, encode, sharing, brief=brief(model, given)
        )
        rows, costs = flight.rows, asked.costs
        try:
            if check:
                check(asked.table.lengths)
            if not flight.plain:
                missing = {row: cost for row, cost in zip(rows, costs, strict=True) if row.reading is None}
                rows, costs = list(missing), list(missing.values())
                del missing
            if rows and sharing.keeps:  # what is in the cache takes no time
                self._runner.check_costs(model, len(rows), sum(costs), deadline)
            await self._runner.submit(model, SharedPass(encode), rows, costs, deadline)
            if sharing.keeps:
                await self._runner.in_thread(sharing.keep, rows)
            readings = [row.reading for row in flight.rows if row.reading is not None]
            return Readings(given, asked.table, asked.rows, readings, asked.errors)
        finally:
            flight.end()
            # An error holds this frame, and is itself held until garbage is collected.
            del asked, flight, rows

    async def _classified_whole(
        self, model: LoadedModel, given: Given, truncate: str, deadline: float | None
    ) -> ClassifyResult:
        """Class probabilities of a model that is not cut, from its whole function."""
        head = model.manifest.head
        if truncate == "error":
            raise PreconditionFailed(
                'this model does not tell whether a text was cut; ask with truncate="right"',
                reason="TRUNCATION_UNKNOWN",
                field="truncate",
            )
        outputs = await self.predict(model, given, deadline=deadline)
        return ClassifyResult(
            probabilities=class_probabilities(head, outputs[head.output]),
            row_errors={},
            labels=head.labels,
            token_counts=np.zeros(len(given), np.int32),
            truncations=[UNKNOWN] * len(given),
        )


def _asked(
    model: LoadedModel, given: Given, truncate: str, encode: EncodePass, sharing: Sharing
) -> tuple[Tokenized, EncodePass, Flight]:
    """The rows' tokens, the pass for tables of their kind, and the rows to run."""
    asked = tokenized(model, given, truncate)
    encode = replace(encode, kind=kind_of(asked.table, model.manifest))
    return asked, encode, sharing.rows(encode, asked.table, asked.rows)
