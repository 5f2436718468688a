"""Checks of what the caller passes, before anything is sent."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from penult_client._exceptions import InputTypeError, InvalidInputError
from penult_client._results import Embeddings, TokenEmbeddings

# A token is about so many bytes of text: what token ids, and other numbers, count for beside texts.
TOKEN_BYTES = 4
# Tag and length in front of a text, or of another row.
ROW_OVERHEAD = 6


@dataclass(frozen=True)
class Texts:
    """Texts that can be sent.

    Attributes:
        items: The texts.
        sizes: Bytes of each, UTF-8.
        field: What the caller calls them.
        overhead: Bytes of a request in front of each.
        frame: Bytes of a request that belong to none of them.
    """

    items: list[str]
    sizes: list[int]
    field: str = "texts"

    overhead = ROW_OVERHEAD
    frame = 0

    def __len__(self) -> int:
        return len(self.items)

    @property
    def weights(self) -> Sequence[int]:
        """What each counts for where texts are shared out."""
        return self.sizes

    def place(self, index: int) -> str:
        """What the caller calls that row."""
        return f"{self.field}[{index}]"

    def put(self, message: Any, start: int, stop: int) -> None:
        """Puts texts `start` to `stop` into a request or a source."""
        message.texts.texts.extend(self.items[start:stop])


def check_texts(texts: Any, field: str = "texts") -> Texts:
    """A list, tuple, one-dimensional array, pandas Series or other sequence of str.

    Raises:
        InputTypeError: it is a bare string, a mapping, a table, or an element is not a str (NOT_TEXT).
        InvalidInputError: it is empty (EMPTY_INPUT), or a text has no UTF-8 form (NOT_UTF8).
    """
    items = as_list(texts, field)
    if not items:
        raise InvalidInputError(
            f"{field} is empty; send at least one text", reason="EMPTY_INPUT", field=field
        )
    sizes = [check_text(text, index, field) for index, text in enumerate(items)]
    return Texts([str(text) for text in items], sizes, field)


def as_list(texts: Any, field: str, wanted: str = "list of str") -> list[Any]:
    """The elements of a list, array or column.

    Raises:
        InputTypeError: it is a bare string, a mapping, or a table (NOT_A_LIST).
    """
    if isinstance(texts, str | bytes):
        raise InputTypeError(
            f"{field} is a bare {type(texts).__name__}; put it into a list: [text]",
            reason="NOT_A_LIST",
            field=field,
        )
    dimensions = getattr(texts, "ndim", 1)
    if isinstance(texts, Mapping | Set) or not isinstance(texts, Iterable) or dimensions != 1:
        what = f"a {type(texts).__name__}" + (f" of {dimensions} dimensions" if dimensions != 1 else "")
        raise InputTypeError(
            f"{field} is {what}; pass a {wanted} (of a table: one column)",
            reason="NOT_A_LIST",
            field=field,
        )
    for convert in ("to_pylist", "tolist"):  # Arrow; NumPy and pandas
        if hasattr(texts, convert):
            return list(getattr(texts, convert)())
    return list(texts)


def check_text(text: Any, index: int, field: str) -> int:
    """Bytes of one text, UTF-8. Raises as `check_texts`."""
    if isinstance(text, str) and text.isascii():
        return len(text)
    return text_size(text, f"{field}[{index}]")


def text_size(text: Any, where: str) -> int:
    """Bytes of a text, UTF-8; `where` it stands is for the errors, which are those of `check_texts`."""
    if not isinstance(text, str):
        raise InputTypeError(
            f"{where} is {describe(text)}, not a str; leave such rows out or make text of them",
            reason="NOT_TEXT",
            field=where,
        )
    try:
        return len(text.encode())
    except UnicodeEncodeError as error:
        raise InvalidInputError(
            f"{where} holds the lone surrogate U+{ord(text[error.start]):04X} at character {error.start}, which "
            "has no UTF-8 form; decode the text anew, or use text.encode('utf-8', 'replace').decode()",
            reason="NOT_UTF8",
            field=where,
        ) from None


def describe(value: Any) -> str:
    """The value, or what it is."""
    if value is None or isinstance(value, bool | int | float):
        return repr(value)
    return f"a {type(value).__name__}"


def check_model(model: Any, argument: str = "model") -> str:
    """The name of a model, or empty for "the only one loaded"."""
    return _check_name(model, argument)


def check_layer(layer: Any) -> str:
    """The name of a readout, or empty for the default one."""
    return _check_name(layer, "layer")


def _check_name(name: Any, argument: str) -> str:
    if name is None:
        return ""
    if not isinstance(name, str) or not name:
        raise InputTypeError(
            f"{argument} is {name!r}; pass a name such as 'reviews', or leave it out",
            reason=f"BAD_{argument.upper()}",
            field=argument,
        )
    return name


def is_texts(source: Any) -> bool:
    """Whether a source of an analysis is meant as texts rather than as numbers."""
    kind = getattr(getattr(source, "dtype", None), "kind", None)
    return kind not in set("fiub")


def check_vectors(vectors: Any, field: str) -> NDArray[np.float32]:
    """A numeric array [n, d], n and d at least 1 -> little-endian float32 [n, d].

    Raises:
        InvalidInputError: wrong shape (WRONG_SHAPE), no row (EMPTY_INPUT), or a number that float32 cannot
            hold as a finite one (NOT_FINITE).
    """
    if np.ndim(vectors) != 2:
        raise InvalidInputError(
            f"{field} has shape {list(np.shape(vectors))}; vectors are a matrix [n, d] (a single one: v[None, :])",
            reason="WRONG_SHAPE",
            field=field,
        )
    with np.errstate(over="ignore"):
        matrix = np.ascontiguousarray(vectors, dtype="<f4")
    if not matrix.size:
        raise InvalidInputError(
            f"{field} has shape {list(matrix.shape)}; send at least one row and one column",
            reason="EMPTY_INPUT",
            field=field,
        )
    bad = np.flatnonzero(~np.isfinite(matrix).all(axis=1))
    if bad.size:
        raise InvalidInputError(
            f"{field}[{bad[0]}] holds NaN, infinity, or a number beyond float32 ({bad.size} such rows); "
            "leave them out",
            reason="NOT_FINITE",
            field=f"{field}[{bad[0]}]",
        )
    return matrix


def check_embedded(embedded: Embeddings, field: str) -> NDArray[np.float32]:
    """The rows of embeddings, as `check_vectors` gives them.

    Raises:
        InvalidInputError: they are of tokens (WRONG_SHAPE), or as `check_vectors`.
    """
    if isinstance(embedded, TokenEmbeddings):
        raise InvalidInputError(
            f"{field} has one row a token, and this call needs one a text; embed with pooling 'cls', 'mean' or 'max'",
            reason="WRONG_SHAPE",
            field=field,
        )
    return check_vectors(embedded.vectors, field)
