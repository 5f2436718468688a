"""Embeddings, probabilities, outputs and tokens."""

from __future__ import annotations

from typing import Any, Literal, Unpack, overload

from penult_client._async.calls import AsyncCaller
from penult_client._core import enums, requests, results, rpcs
from penult_client._core.inputs import check_model
from penult_client._core.progress import Report, reporter
from penult_client._core.rows import check_rows
from penult_client._core.timing import Deadline
from penult_client._options import EmbedOptions, OnRowError
from penult_client._results import Classification, Embeddings, Prediction, TokenEmbeddings, Tokens


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
