"""Embeddings, probabilities, outputs and tokens."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from typing import Any, Literal, Unpack, overload

from penult_client._async.calls import AsyncCaller
from penult_client._core import dropout, enums, parameters, requests, results, rpcs
from penult_client._core.inputs import check_model
from penult_client._core.progress import Report, reporter
from penult_client._core.rows import check_rows
from penult_client._core.timing import Deadline
from penult_client._options import EmbedOptions, OnRowError
from penult_client._results import Classification, Embeddings, Prediction, TokenEmbeddings, Tokens
from penult_client._uncertainty import Uncertainty


class AsyncInference:
    """The methods of the client that run the model."""

    _caller: AsyncCaller

    @overload
    async def embed(
        self,
        texts: Any,
        model: str | None = None,
        *,
        pooling: Literal["tokens"],
        **options: Unpack[EmbedOptions],
    ) -> TokenEmbeddings: ...

    @overload
    async def embed(
        self,
        texts: Any,
        model: str | None = None,
        *,
        pooling: str | None = "pooled",
        **options: Unpack[EmbedOptions],
    ) -> Embeddings: ...

    async def embed(
        self,
        texts: Any,
        model: str | None = None,
        *,
        pooling: str | None = "pooled",
        normalize: bool = False,
        truncate: str = "right",
        layer: str | None = None,
        probabilities: bool = False,
        progress: bool | Report = False,
        deadline: float | None = None,
        on_row_error: OnRowError = "fail",
    ) -> Embeddings:
        """Embeddings in front of the dropout, in inference mode: float32 [n, d], in the order of the texts.

        Args:
            texts: A list, array or column of n str. For a model of several inputs, a list of n dicts by the names of
                its inputs (`Model.inputs`), or of n tuples in their order, such as pairs of texts; a value is a str, a
                number, or an array of numbers. Where the model takes one text, and its tokenizer file knows pairs, they
                are tuples of two texts, or dicts of ``text`` and ``text_pair``. For token ids and other tensors, one
                dict of arrays by the names of the inputs, the batch of n first:
                ``{"input_ids": ids, "attention_mask": mask}``.
            model: Such as ``reviews`` or ``reviews@3``; None: the only one loaded.
            pooling: ``pooled`` (in front of the dropout), ``cls``, ``mean`` or ``max`` (over the tokens); ``tokens``:
                one row a token, a list of n arrays (`TokenEmbeddings`); None: the model's default (`Model.pooling`).
            normalize: Scale every row to unit length.
            truncate: Texts that are too long are cut at the end (``right``) or are an ``error``.
            layer: A readout of the model; None: its default.
            probabilities: Also class probabilities, from the same forward pass.
            progress: True: a line on stderr; or a function of (done, total).
            deadline: The longest wait for the whole call, in seconds.
            on_row_error: ``fail`` with the first bad text, or ``report`` it in `row_errors` and fill its row
                with NaN.

        Raises:
            PenultError: see `penult_client.PenultError` for the kinds.
        """
        template = rpcs.EMBED.request(
            options=requests.embed_options(
                model=model, layer=layer, pooling=pooling, normalize=normalize, truncate=truncate, tokens=True
            ),
            probabilities=bool(probabilities),
            on_row_error=enums.to_number(on_row_error, enums.ON_ROW_ERRORS, "on_row_error"),
        )
        return results.embeddings(
            await self._caller.send_input(
                rpcs.EMBED,
                template,
                check_rows(texts),
                Deadline.begin(deadline),
                reporter(progress, "embedding"),
            )
        )

    async def classify(
        self,
        texts: Any,
        model: str | None = None,
        *,
        truncate: str = "right",
        progress: bool | Report = False,
        deadline: float | None = None,
        on_row_error: OnRowError = "fail",
    ) -> Classification:
        """Class probabilities, float32 [n, classes], and the most probable class of each text.

        Arguments and errors as of `embed`. A model whose classes have no names gives their numbers.
        """
        template = rpcs.CLASSIFY.request(
            model=check_model(model),
            truncate=enums.to_number(truncate, enums.TRUNCATES, "truncate"),
            on_row_error=enums.to_number(on_row_error, enums.ON_ROW_ERRORS, "on_row_error"),
        )
        return results.classification(
            await self._caller.send_input(
                rpcs.CLASSIFY,
                template,
                check_rows(texts),
                Deadline.begin(deadline),
                reporter(progress, "classifying"),
            )
        )

    async def uncertainty(
        self,
        texts: Any,
        samples: int = 30,
        layers: str | Sequence[str] = "head",
        seed: int | None = None,
        *,
        model: str | None = None,
        rate: float | None = None,
        truncate: str = "right",
        draws: bool = False,
        on_row_error: OnRowError = "fail",
        progress: bool | Report = False,
        deadline: float | None = None,
        first_row: int = 0,
    ) -> Uncertainty:
        """How far the answers spread when dropout is put back on purpose (Monte Carlo dropout), one row a text.

        A row's masks are a function of the seed, the number of the sample and the number of the row alone: however the
        texts are sent, the same seed gives the same samples.

        Args:
            texts: As of `embed`.
            samples: How many a row, at most 10,000.
            layers: ``head``: the dropouts between the embedding and the outputs, so that all samples cost about one
                pass of the encoder. ``all``: those inside the encoder too, and each sample is a pass. Or a list of
                paths, as `inspect_dropout` names them.
            seed: Makes the masks; None: one is drawn for the whole call, and `Uncertainty.seed` tells it.
            model: Such as ``reviews`` or ``reviews@3``; None: the only one loaded.
            rate: Of each of these dropouts, at least 0 and below 1; None: the one that the file records.
            truncate: As of `embed`.
            draws: Also every sample.
            on_row_error, progress, deadline: As of `embed`. Where each sample is a pass, a request of so many that they
                are more than its usual work may take longer than the client's `timeout`, in proportion.
            first_row: The number of the first row, for rows of which others were sent before.

        Raises:
            PreconditionError: the model's dropouts cannot be put back (NO_SAMPLING), or their rate is not known
                (NO_DROPOUT_RATE: give `rate`).
            PenultError: see `penult_client.PenultError` for the kinds.
        """
        drawn = secrets.randbits(32) if seed is None else seed
        template = rpcs.SAMPLE_DROPOUT.request(
            model=check_model(model),
            truncate=enums.to_number(truncate, enums.TRUNCATES, "truncate"),
            dropout=dropout.dropout_options(samples=samples, layers=layers, seed=drawn, rate=rate),
            first_row=parameters.required(first_row, "first_row", dropout.MOST_ROWS),
            draws=bool(draws),
            on_row_error=enums.to_number(on_row_error, enums.ON_ROW_ERRORS, "on_row_error"),
        )
        return results.uncertainty(
            await self._caller.send_input(
                rpcs.SAMPLE_DROPOUT,
                template,
                check_rows(texts),
                Deadline.begin(deadline),
                reporter(progress, "sampling"),
                dropout.passes(template.dropout),
            )
        )

    async def predict(
        self,
        inputs: Any,
        model: str | None = None,
        *,
        progress: bool | Report = False,
        deadline: float | None = None,
    ) -> Prediction:
        """What the model's own predict returns, by output name. Arguments and errors as of `embed`."""
        template = rpcs.PREDICT.request(model=check_model(model))
        return results.prediction(
            await self._caller.send_input(
                rpcs.PREDICT,
                template,
                check_rows(inputs),
                Deadline.begin(deadline),
                reporter(progress, "predicting"),
            )
        )

    async def tokenize(
        self,
        texts: Any,
        model: str | None = None,
        *,
        progress: bool | Report = False,
        deadline: float | None = None,
    ) -> Tokens:
        """Token ids as the model's own preprocessing makes them. Arguments and errors as of `embed`.

        Of a pair, or another row of several texts, they are those of all its texts, and `Tokens.type_ids` says which
        text a token is of.
        """
        template = rpcs.TOKENIZE.request(model=check_model(model))
        return results.tokens(
            await self._caller.send_input(
                rpcs.TOKENIZE,
                template,
                check_rows(texts),
                Deadline.begin(deadline),
                reporter(progress, "tokenizing"),
            )
        )
