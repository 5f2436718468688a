"""What the calls return: frozen records of NumPy arrays, with where the numbers came from."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

FloatMatrix = NDArray[np.float32]


def _short(value: Any) -> str:
    """Arrays and long lists by type and size, the rest as it is."""
    if isinstance(value, np.ndarray):
        return f"{value.dtype}{list(value.shape)}"
    if isinstance(value, list | tuple) and len(value) > 4:
        return f"<{len(value)} items>"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key!r}: {_short(item)}" for key, item in value.items()) + "}"
    return repr(value)


class _Record:
    """A repr that stays readable with arrays of any size."""

    def __repr__(self) -> str:
        shown = ", ".join(f"{f.name}={_short(getattr(self, f.name))}" for f in fields(self))  # type: ignore[arg-type]
        return f"{type(self).__name__}({shown})"


@dataclass(frozen=True, kw_only=True)
class RowError:
    """Why one row has no numbers.

    Attributes:
        index: Number of the row in the caller's list, from 0.
        code: Name of the gRPC status code the whole call would have had.
        reason: Stable name for machines, such as ``TEXT_TOO_LONG``.
        field: Such as ``texts[17]``.
        message: For a person.
    """

    index: int
    code: str
    reason: str
    field: str
    message: str


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class _FromModel(_Record):
    model: str
    version: int
    digest: str
    engine: str
    precision: str
    dropout_proven: bool
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class _ByText(_FromModel):
    token_counts: NDArray[np.int32]
    truncated: NDArray[np.str_]
    row_errors: tuple[RowError, ...]

    @property
    def was_cut(self) -> NDArray[np.bool_]:
        """bool [n]: True where the end of the text is known to have been cut off."""
        cut: NDArray[np.bool_] = self.truncated == "cut"
        return cut


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class Embeddings(_ByText):
    """One row a text, in the order of the call.

    Attributes:
        vectors: float32 [n, d]; NaN in rows that `row_errors` names.
        probabilities: float32 [n, classes] of the same forward pass when asked for, else None.
        labels: Names of the classes, in the order of the columns of `probabilities`; empty when there are none.
        token_counts: int32 [n], tokens read, special tokens included; of a row of several texts, those of all.
        truncated: str [n], each ``none``, ``cut`` or ``unknown``; `was_cut` is the same as booleans.
        row_errors: Rows that failed, with ``on_row_error="report"``.
        model, version: The model that answered, such as ``reviews`` and 3.
        digest: SHA-256 of the files that decide the computation.
        space: Hash of all that decides what the numbers mean; only rows of equal spaces can be compared.
        layer: What was read, such as the layer in front of the dropout.
        pooling, normalized: How it was read.
        engine, precision: What computed it.
        dropout_proven: Whether dropout was proven to play no part.
        warnings: What must be known of the numbers, such as that the model is random; empty when proven.
    """

    vectors: FloatMatrix
    probabilities: FloatMatrix | None
    labels: tuple[str, ...]
    space: str
    layer: str
    pooling: str
    normalized: bool

    def __len__(self) -> int:
        return len(self.vectors)


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class TokenEmbeddings(Embeddings):
    """One row a token: what ``pooling="tokens"`` gives. Fields not named here are as in `Embeddings`.

    Attributes:
        vectors: A list of n arrays, float32 [tokens of the text, d], padding left out and special tokens included:
            text i has `token_counts[i]` rows, in the order of its token ids (`Client.tokenize`).
    """

    vectors: list[FloatMatrix]  # type: ignore[assignment]


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class Classification(_ByText):
    """Class probabilities, one row a text. Fields not named here are as in `Embeddings`.

    Attributes:
        probabilities: float32 [n, classes]; one sigmoid gives (1 - p, p); NaN in rows that failed.
        labels: The most probable class a text, [n]: its name (str, empty for a row that failed), or its
            number (int, -1 for a row that failed) when the model names no classes.
        predicted: int32 [n], the number of that class.
        classes: Names of the classes, in the order of the columns; empty when the model names none.
    """

    probabilities: FloatMatrix
    labels: NDArray[Any]
    predicted: NDArray[np.int32]
    classes: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.probabilities)


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class Prediction(_FromModel):
    """What the model's own predict returns.

    Attributes:
        outputs: The model's outputs by name; the first axis is the texts. Strings are an object array of bytes.
    """

    outputs: dict[str, NDArray[Any]]


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class Tokens(_FromModel):
    """Token ids as the model's own preprocessing makes them.

    Attributes:
        ids: One list a text, special tokens included, padding left out.
        truncated: str [n], each ``none``, ``cut`` or ``unknown``.
        type_ids: One list a text, as long as its ids: which text of a pair a token is of. Empty lists when the model
            takes none.
    """

    ids: list[list[int]]
    truncated: NDArray[np.str_]
    type_ids: list[list[int]]

    @property
    def was_cut(self) -> NDArray[np.bool_]:
        """bool [n]: True where the end of the text is known to have been cut off."""
        cut: NDArray[np.bool_] = self.truncated == "cut"
        return cut

    def __len__(self) -> int:
        return len(self.ids)
