"""Sets of embeddings that the server keeps: what names them, what is known of them, and their rows."""

from __future__ import annotations

import importlib
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from penult_client._exceptions import ClientError
from penult_client._results import FloatMatrix, _Record


@dataclass(frozen=True)
class Dataset:
    """A set that the server keeps, by its name: a source of every analysis."""

    name: str


@dataclass(frozen=True, kw_only=True)
class DatasetInfo(Dataset):
    """What is known of a set; a source like `Dataset`.

    Attributes:
        name: Its name.
        rows, dimension: Of its vectors; dimension 0 until the first rows say it.
        space: Hash of all that decides what the numbers mean; empty when not known. Rows of another are refused.
        columns: Types (``string``, ``int64``, ``float64``, ``bool``) by name, beside id, text and vector.
        model: The version of the model that embeds texts that are appended, such as ``reviews@3``; empty: none does.
        digest: SHA-256 of the files of that model; empty: none.
        layer, pooling, normalized: How it embeds.
        created, updated: Times in UTC; None when not known.
        size: Bytes on the server's disk, about.
        durable: Whether it is there after a restart of the server.
        generation: Names this life of the set: another one after it was overwritten.
        problem: What is damaged; empty: nothing is known to be.
    """

    rows: int
    dimension: int
    space: str
    columns: dict[str, str]
    model: str = ""
    digest: str = ""
    layer: str = ""
    pooling: str = ""
    normalized: bool = False
    created: datetime | None = None
    updated: datetime | None = None
    size: int = 0
    durable: bool = False
    generation: str = ""
    problem: str = ""


@dataclass(frozen=True, kw_only=True)
class Appended:
    """What became of rows that were appended: all of them are kept.

    Attributes:
        added: Rows that are new.
        already_there: Rows that were there with the same content.
        space_checked: True when the rows and the set are known to stand in one embedding space.
        dataset: The set after it.
    """

    added: int
    already_there: int
    space_checked: bool
    dataset: DatasetInfo


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class DatasetRows(_Record):
    """Rows of a set, in its order. What was not asked for is None.

    Attributes:
        name, first_row: The set, and the number of the first of these rows.
        rows: How many.
        ids: n str.
        vectors: float32 [n, d].
        texts: n str, None where a row has none.
        columns: n values by name, None where a row has none.
        types: The types of the columns, as in `DatasetInfo`.
        space: The embedding space of the vectors; empty when not known.
    """

    name: str
    first_row: int
    rows: int
    ids: list[str] | None
    vectors: FloatMatrix | None
    texts: list[str | None] | None
    columns: dict[str, list[Any]]
    types: dict[str, str] = field(default_factory=dict)
    space: str = ""

    def __len__(self) -> int:
        return self.rows

    def to_arrow(self) -> Any:
        """A `pyarrow.Table`: id, text, vector (fixed-size lists of float32) and the columns.

        Raises:
            ClientError: pyarrow is not installed (NOT_INSTALLED); likewise of the other two.
        """
        pa = _package("pyarrow")
        kinds = {"string": pa.string(), "int64": pa.int64(), "float64": pa.float64(), "bool": pa.bool_()}
        arrays: dict[str, Any] = {}
        if self.ids is not None:
            arrays["id"] = pa.array(self.ids, pa.string())
        if self.texts is not None:
            arrays["text"] = pa.array(self.texts, pa.string())
        if self.vectors is not None:
            flat = pa.array(self.vectors.reshape(-1))
            arrays["vector"] = pa.FixedSizeListArray.from_arrays(flat, self.vectors.shape[1])
        for name, values in self.columns.items():
            arrays[name] = pa.array(values, kinds[self.types[name]])
        return pa.table(arrays)

    def to_pandas(self) -> Any:
        """A `pandas.DataFrame`; `vector` holds an array a row, columns with gaps have pandas' nullable types."""
        pd = _package("pandas")
        kinds = {"string": "object", "int64": "Int64", "float64": "Float64", "bool": "boolean"}
        plain = {"string": "object", "int64": "int64", "float64": "float64", "bool": "bool"}
        frame: dict[str, Any] = {}
        if self.ids is not None:
            frame["id"] = pd.Series(self.ids, dtype="object")
        if self.texts is not None:
            frame["text"] = pd.Series(self.texts, dtype="object")
        if self.vectors is not None:
            frame["vector"] = pd.Series(list(self.vectors), dtype="object")
        for name, values in self.columns.items():
            chosen = kinds if None in values else plain
            frame[name] = pd.Series(values, dtype=chosen[self.types[name]])
        return pd.DataFrame(frame)

    def to_polars(self) -> Any:
        """A `polars.DataFrame`; `vector` is of type Array(Float32, d)."""
        pl = _package("polars")
        kinds = {"string": pl.String, "int64": pl.Int64, "float64": pl.Float64, "bool": pl.Boolean}
        series = []
        if self.ids is not None:
            series.append(pl.Series("id", self.ids, dtype=pl.String))
        if self.texts is not None:
            series.append(pl.Series("text", self.texts, dtype=pl.String))
        if self.vectors is not None:
            width = self.vectors.shape[1]
            series.append(pl.Series("vector", self.vectors, dtype=pl.Array(pl.Float32, width)))
        for name, values in self.columns.items():
            series.append(pl.Series(name, values, dtype=kinds[self.types[name]]))
        return pl.DataFrame(series)


def _package(name: str) -> Any:
    try:
        return importlib.import_module(name)
    except ImportError:
        raise ClientError(
            f"this needs {name}, which is not installed: pip install {name}", reason="NOT_INSTALLED"
        ) from None
