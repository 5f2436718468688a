"""What `penult similarity` compares: texts, files of texts, or the outputs of `penult embed`."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from penult_service.cli.outputs import sidecar
from penult_service.cli.rows import no_column, open_rows
from penult_service.errors import InvalidInput, NotFound

Embed = Callable[[Sequence[str]], tuple[NDArray[np.float32], str]]
"""Texts -> vectors float32 [n, d] and the embedding space."""


@dataclass(frozen=True)
class Side:
    """Rows to compare: `vectors` float32 [n, d], NaN in rows without an embedding; `texts` None when not known.

    `space` is empty when the file does not say which embedding space it is in.
    """

    vectors: NDArray[np.float32]
    texts: Sequence[str] | None
    space: str

    def name(self, row: int) -> str:
        """The row's text, or its number."""
        return self.texts[row] if self.texts is not None else f"row {row}"


def of_texts(texts: Sequence[str], embed: Embed) -> Side:
    """Texts as a side."""
    return Side(*_embedded(texts, embed))


def of_file(path: Path, column: str, embed: Embed) -> Side:
    """A file as a side: vectors where it holds some, else its texts, embedded.

    Raises:
        NotFound: no such file.
        InvalidInput: neither vectors nor texts, or a row without a text.
    """
    if not path.is_file():
        raise NotFound(f"{path} is not a file", reason="FILE_NOT_FOUND")
    if path.suffix.lower() == ".npy":
        return _of_npy(path)
    if path.suffix.lower() == ".parquet":
        stored = _of_parquet(path, column)
        if stored is not None:
            return stored
    texts: list[str] = []
    for chunk in open_rows(path, column).chunks(4096):
        for place, text in enumerate(chunk.texts):
            if text is None:
                raise InvalidInput(
                    f"{path}, row {chunk.first + place}: {chunk.problems[place]}", reason="NOT_A_TEXT"
                )
            texts.append(text)
    return Side(*_embedded(texts, embed))


def check_spaces(a: Side, b: Side) -> bool:
    """Whether both are known to stand in one space.

    Raises:
        InvalidInput: they are known not to, or their rows have different lengths.
    """
    if a.space and b.space and a.space != b.space:
        raise InvalidInput(
            "the two sides come from different embedding spaces (another model, layer, pooling, normalisation or "
            "truncation), so their numbers cannot be compared; embed both in the same way",
            reason="DIFFERENT_SPACES",
        )
    if a.vectors.shape[1] != b.vectors.shape[1]:
        raise InvalidInput(
            f"one side has {a.vectors.shape[1]} numbers a row, the other {b.vectors.shape[1]}",
            reason="WRONG_SHAPE",
        )
    return bool(a.space and b.space)


def _embedded(texts: Sequence[str], embed: Embed) -> tuple[NDArray[np.float32], Sequence[str], str]:
    vectors, space = embed(texts)
    return vectors, texts, space


def _of_npy(path: Path) -> Side:
    try:
        vectors = np.load(path, mmap_mode="r", allow_pickle=False)
    except (ValueError, EOFError) as error:
        raise InvalidInput(f"{path} is not a .npy file of numbers ({error})", reason="NOT_NPY") from error
    if vectors.ndim != 2 or not np.issubdtype(vectors.dtype, np.floating):
        raise InvalidInput(
            f"{path} holds {vectors.dtype} {list(vectors.shape)}, not one row of floats a text",
            reason="WRONG_SHAPE",
        )
    return Side(np.asarray(vectors, np.float32), None, _sidecar_space(path))


def _sidecar_space(path: Path) -> str:
    try:
        facts: Any = json.loads(sidecar(path).read_text(encoding="utf-8"))
        return str(facts["embedding_space"])
    except (OSError, ValueError, KeyError, TypeError):
        return ""  # an array of someone else's making


def _of_parquet(path: Path, column: str) -> Side | None:
    """The `embedding` column, or None when there is none."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        schema = pq.read_schema(path)
        if "embedding" not in schema.names:
            return None
        if not pa.types.is_fixed_size_list(schema.field("embedding").type):
            raise no_column(path, "embedding of penult embed", schema.names)
        table = pq.read_table(path, columns=[n for n in ("embedding", column) if n in schema.names])
    except pa.ArrowException as error:
        raise InvalidInput(
            f"{path} is not a parquet file, or is damaged ({error})", reason="NOT_PARQUET"
        ) from error
    rows = table.column("embedding").combine_chunks()
    values = rows.flatten().to_numpy(zero_copy_only=False).astype(np.float32)
    vectors = np.full((len(rows), rows.type.list_size), np.nan, np.float32)
    vectors[rows.is_valid().to_numpy(zero_copy_only=False)] = values.reshape(-1, rows.type.list_size)
    texts = None
    if column in table.column_names:
        texts = [str(text) for text in table.column(column).to_pylist()]
    space = (schema.metadata or {}).get(b"penult.embedding_space", b"").decode()
    return Side(vectors, texts, space)
