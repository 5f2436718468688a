"""What people send by mistake, and what they are told. The same table runs against every engine."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from google.protobuf.message import Message
from penult.v1 import analysis_service_pb2 as analysis
from penult.v1 import common_pb2 as common
from penult.v1 import inference_service_pb2 as inference
from penult.v1 import model_service_pb2 as models

INVALID, MISSING, UNABLE = "INVALID_ARGUMENT", "NOT_FOUND", "FAILED_PRECONDITION"


@dataclass(frozen=True)
class Case:
    """A call, the code that it must end with, and the reason and the field that the caller must be told."""

    name: str
    method: str
    request: Message | bytes
    code: str
    reason: str
    field: str = ""


def texts(*values: str) -> common.TextList:
    """A TextList."""
    return common.TextList(texts=values)


def embed(*values: str, **options: object) -> inference.EmbedRequest:
    """An EmbedRequest; the keywords are of EmbedOptions."""
    return inference.EmbedRequest(texts=texts(*values), options=common.EmbedOptions(**options))


def rows(*values: list[float], space: str = "", **changes: object) -> common.Source:
    """A Source of vectors; the keywords overwrite its fields."""
    matrix = np.array(values, dtype="<f4")
    fields = {"rows": len(matrix), "columns": matrix.shape[-1], "data": matrix.tobytes(), **changes}
    return common.Source(vectors=common.Vectors(embedding_space=space, **fields))


def compare(a: common.Source, b: common.Source | None = None, **fields: object) -> Message:
    """A ComputeSimilarityRequest."""
    return analysis.ComputeSimilarityRequest(a=a, b=b, **fields)


def sample(*values: str, first_row: int = 0, **options: object) -> inference.SampleDropoutRequest:
    """A SampleDropoutRequest; the keywords are of DropoutOptions."""
    dropout = common.DropoutOptions(**options)
    return inference.SampleDropoutRequest(texts=texts(*values), first_row=first_row, dropout=dropout)


def length_delimited(number: int, *parts: bytes) -> bytes:
    """A field as it stands on the wire."""
    data = b"".join(parts)
    assert len(data) < 128
    return bytes([number << 3 | 2, len(data)]) + data


def _raw_texts(*values: bytes) -> bytes:
    return length_delimited(1, *(length_delimited(1, value) for value in values))


NAN, INF = float("nan"), float("inf")
# More than any model of these tests reads.
LONG = "word " * 3000

BAD_TEXTS = [
    Case("nothing at all", "Embed", b"", INVALID, "EMPTY_INPUT", "texts"),
    Case("empty list", "Embed", embed(), INVALID, "EMPTY_INPUT", "texts"),
    Case("empty list", "Classify", inference.ClassifyRequest(texts=texts()), INVALID, "EMPTY_INPUT", "texts"),
    Case("empty list", "Predict", inference.PredictRequest(texts=texts()), INVALID, "EMPTY_INPUT", "texts"),
    Case("empty list", "Tokenize", inference.TokenizeRequest(texts=texts()), INVALID, "EMPTY_INPUT", "texts"),
    Case("100,000 texts", "Embed", embed(*["a"] * 100_000), INVALID, "TOO_MANY_TEXTS", "texts"),
    Case(
        "text over the limit",
        "Embed",
        embed("a", "b" * (4 << 20) + "c"),
        INVALID,
        "TEXT_TOO_LARGE",
        "texts[1]",
    ),
    Case("Latin-1 bytes", "Embed", _raw_texts(b"good", b"caf\xe9"), INVALID, "NOT_UTF8", "texts[1]"),
    Case("lone surrogate", "Classify", _raw_texts(b"\xed\xa0\x80"), INVALID, "NOT_UTF8", "texts[0]"),
    Case("UTF-16 bytes", "Tokenize", _raw_texts("wörd".encode("utf-16")), INVALID, "NOT_UTF8", "texts[0]"),
    Case(
        "model's name in Latin-1",
        "Embed",
        _raw_texts(b"good") + length_delimited(2, length_delimited(1, b"mod\xe8le")),
        INVALID,
        "NOT_UTF8",
        "options.model",
    ),
    Case(
        "Latin-1 bytes in a source",
        "ComputeSimilarity",
        length_delimited(1, _raw_texts(b"caf\xe9")),
        INVALID,
        "NOT_UTF8",
        "a.texts[0]",
    ),
    Case("cut off message", "Embed", _raw_texts(b"good")[:-2], INVALID, "MALFORMED_REQUEST"),
    Case("no message", "Embed", b"\xff\xff\xff\xff", INVALID, "MALFORMED_REQUEST"),
    Case(
        "too long, to be refused",
        "Embed",
        embed("short", LONG, truncate=common.TRUNCATE_MODE_ERROR),
        INVALID,
        "TEXT_TOO_LONG",
        "texts[1]",
    ),
]

BAD_OPTIONS = [
    Case("unknown model", "Embed", embed("a", model="nobody"), MISSING, "MODEL_NOT_FOUND", "options.model"),
    Case(
        "unknown version", "Embed", embed("a", model="nobody@7"), MISSING, "MODEL_NOT_FOUND", "options.model"
    ),
    Case(
        "a label for a version",
        "Embed",
        embed("a", model="x@y"),
        INVALID,
        "WRONG_MODEL_NAME",
        "options.model",
    ),
    Case(
        "a path for a model", "Embed", embed("a", model="../x"), INVALID, "WRONG_MODEL_NAME", "options.model"
    ),
    Case(
        "an endless name",
        "Embed",
        embed("a", model="m" * 100_000),
        INVALID,
        "WRONG_MODEL_NAME",
        "options.model",
    ),
    Case(
        "unknown model", "GetModel", models.GetModelRequest(name="nobody"), MISSING, "MODEL_NOT_FOUND", "name"
    ),
    Case(
        "unknown model",
        "InspectDropout",
        models.InspectDropoutRequest(name="models/nobody/versions/1"),
        MISSING,
        "MODEL_NOT_FOUND",
        "name",
    ),
    Case(
        "unknown layer", "Embed", embed("a", layer="no_layer"), UNABLE, "LAYER_NOT_PREPARED", "options.layer"
    ),
    Case(
        "unknown pooling", "Embed", embed("a", pooling=99), INVALID, "UNKNOWN_ENUM_VALUE", "options.pooling"
    ),
    Case(
        "unknown truncation",
        "Embed",
        embed("a", truncate=99),
        INVALID,
        "UNKNOWN_ENUM_VALUE",
        "options.truncate",
    ),
    Case(
        "unknown handling of rows",
        "Embed",
        inference.EmbedRequest(texts=texts("a"), on_row_error=99),
        INVALID,
        "UNKNOWN_ENUM_VALUE",
        "on_row_error",
    ),
    Case(
        "a reply of less than nothing",
        "Embed",
        inference.EmbedRequest(texts=texts("a"), max_response_bytes=-1),
        INVALID,
        "OUT_OF_RANGE",
        "max_response_bytes",
    ),
    Case(
        "a reply larger than the caller takes",
        "Embed",
        inference.EmbedRequest(texts=texts(*["a"] * 2000), max_response_bytes=60_000),
        INVALID,
        "RESPONSE_TOO_LARGE",
        "max_response_bytes",
    ),
    Case(
        "page size",
        "ListModels",
        models.ListModelsRequest(page_size=-1),
        INVALID,
        "OUT_OF_RANGE",
        "page_size",
    ),
    Case(
        "page token",
        "ListModels",
        models.ListModelsRequest(page_token="x"),
        INVALID,
        "WRONG_PAGE_TOKEN",
        "page_token",
    ),
]

BAD_VECTORS = [
    Case("nothing", "ComputeSimilarity", b"", INVALID, "EMPTY_INPUT", "a"),
    Case("empty source", "ComputeSimilarity", compare(common.Source()), INVALID, "EMPTY_INPUT", "a"),
    Case(
        "empty texts",
        "ComputeSimilarity",
        compare(rows([1.0]), common.Source(texts=texts())),
        INVALID,
        "EMPTY_INPUT",
        "b.texts",
    ),
    Case(
        "no rows",
        "ComputeSimilarity",
        compare(rows([1], rows=0, data=b"")),
        INVALID,
        "EMPTY_INPUT",
        "a.vectors",
    ),
    Case("NaN", "ComputeSimilarity", compare(rows([1, 2], [1, NAN])), INVALID, "NOT_FINITE", "a.vectors[1]"),
    Case("Inf", "ComputeSimilarity", compare(rows([1]), rows([INF])), INVALID, "NOT_FINITE", "b.vectors[0]"),
    Case(
        "a byte too few",
        "ComputeSimilarity",
        compare(rows([1.0, 2.0], data=bytes(7))),
        INVALID,
        "WRONG_BYTE_COUNT",
        "a.vectors.data",
    ),
    Case(
        "minus a row", "ComputeSimilarity", compare(rows([1], rows=-1)), INVALID, "WRONG_SHAPE", "a.vectors"
    ),
    Case(
        "whole numbers",
        "ComputeSimilarity",
        compare(rows([1], data_type=common.DATA_TYPE_INT32)),
        INVALID,
        "WRONG_DATA_TYPE",
        "a.vectors.data_type",
    ),
    Case("widths", "ComputeSimilarity", compare(rows([1, 2]), rows([1])), INVALID, "DIMENSION_MISMATCH", "b"),
    Case(
        "texts against narrow vectors",
        "ComputeSimilarity",
        compare(common.Source(texts=texts("a")), rows([1.0])),
        INVALID,
        "DIMENSION_MISMATCH",
        "b",
    ),
    Case(
        "other space",
        "ComputeSimilarity",
        compare(rows([1], space="x"), rows([1], space="y")),
        UNABLE,
        "SPACE_MISMATCH",
        "b",
    ),
    Case(
        "unknown metric",
        "ComputeSimilarity",
        compare(rows([1]), metric=99),
        INVALID,
        "UNKNOWN_ENUM_VALUE",
        "metric",
    ),
    Case(
        "too many scores",
        "ComputeSimilarity",
        compare(rows(*[[1.0]] * 5000)),
        INVALID,
        "TOO_MANY_SCORES",
        "a",
    ),
    Case(
        "scores larger than the caller takes",
        "ComputeSimilarity",
        compare(rows(*[[1.0]] * 2000)),
        INVALID,
        "RESPONSE_TOO_LARGE",
        "max_response_bytes",
    ),
    Case(
        "unknown model",
        "ComputeSimilarity",
        compare(common.Source(texts=texts("a"), options=common.EmbedOptions(model="nobody"))),
        MISSING,
        "MODEL_NOT_FOUND",
        "a.options.model",
    ),
    Case(
        "unknown layer",
        "ComputeSimilarity",
        compare(rows([1]), common.Source(texts=texts("a"), options=common.EmbedOptions(layer="no_layer"))),
        UNABLE,
        "LAYER_NOT_PREPARED",
        "b.options.layer",
    ),
]

BAD_SAMPLES = [
    Case("nothing at all", "SampleDropout", b"", INVALID, "EMPTY_INPUT", "texts"),
    Case(
        "unknown model",
        "SampleDropout",
        inference.SampleDropoutRequest(texts=texts("a"), model="nobody"),
        MISSING,
        "MODEL_NOT_FOUND",
        "model",
    ),
    Case("rate 1", "SampleDropout", sample("a", rate=1.0), INVALID, "OUT_OF_RANGE", "dropout.rate"),
    Case("NaN for a rate", "SampleDropout", sample("a", rate=NAN), INVALID, "OUT_OF_RANGE", "dropout.rate"),
    Case("rate below 0", "SampleDropout", sample("a", rate=-0.1), INVALID, "OUT_OF_RANGE", "dropout.rate"),
    Case("no samples", "SampleDropout", sample("a", samples=-1), INVALID, "OUT_OF_RANGE", "dropout.samples"),
    Case(
        "100,000 samples",
        "SampleDropout",
        sample("a", samples=100_000),
        INVALID,
        "OUT_OF_RANGE",
        "dropout.samples",
    ),
    Case("row -1", "SampleDropout", sample("a", first_row=-1), INVALID, "OUT_OF_RANGE", "first_row"),
    Case(
        "a row beyond 64 bits",
        "SampleDropout",
        sample("a", "b", first_row=(1 << 63) - 2),
        INVALID,
        "OUT_OF_RANGE",
        "first_row",
    ),
    Case(
        "unknown scope",
        "SampleDropout",
        sample("a", scope=99),
        INVALID,
        "UNKNOWN_ENUM_VALUE",
        "dropout.scope",
    ),
    Case(
        "a scope and paths",
        "SampleDropout",
        sample("a", scope=common.DROPOUT_SCOPE_HEAD, sites=["dropout"]),
        INVALID,
        "WRONG_COMBINATION",
        "dropout.sites",
    ),
    Case(
        "unknown path",
        "SampleDropout",
        sample("a", sites=["nowhere"]),
        INVALID,
        "UNKNOWN_DROPOUT",
        "dropout.sites",
    ),
    Case(
        "16,384 rows with 10,000 samples each",
        "SampleDropout",
        sample(*["a"] * 16_384, samples=10_000),
        INVALID,
        "REQUEST_TOO_LARGE",
        "dropout.samples",
    ),
]

CASES = [*BAD_TEXTS, *BAD_OPTIONS, *BAD_VECTORS, *BAD_SAMPLES]

# Strange, but texts: each is embedded, alone and among others.
GOOD_TEXTS = {
    "empty": "",
    "blanks": " \t\n ",
    "a megabyte": "word " * 200_000,
    "a megabyte without blanks": "x" * 1_000_000,
    "NUL": "a\0b",
    "emoji": "👩‍👩‍👧‍👦 🤷🏽‍♀️",
    "right to left": "שלום עולם مرحبا",
    "combining marks": "Z͑ͫ̓a̴͘l̵g̷o",
    "byte order mark": "\ufeffword",
    "not a character": "\uffff",
}
