"""Rows of parquet files: columns pass through as they are, texts are looked at byte by byte."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from penult_service.cli.rows import Chunk, no_column
from penult_service.errors import InvalidInput


class ParquetRows:
    """A `rows.Source`. The text column holds strings, or bytes that are read as UTF-8."""

    def __init__(self, path: Path, column: str) -> None:
        self._path, self._column = path, column
        try:
            file = pq.ParquetFile(path)
        except (pa.ArrowException, OSError) as error:
            raise InvalidInput(
                f"{path} is not a parquet file, or is damaged ({error})", reason="NOT_PARQUET"
            ) from error
        with file:
            self.rows: int = file.metadata.num_rows
            self.schema: pa.Schema = file.schema_arrow
        if self.schema.names.count(column) != 1:
            raise no_column(path, column, self.schema.names)
        kind = self.schema.field(column).type
        if not _holds_text(kind):
            raise InvalidInput(f"{path}: column {column!r} holds {kind}, not texts", reason="NOT_A_TEXT")

    def chunks(self, size: int) -> Iterator[Chunk]:
        """All rows, in order, at most `size` a chunk."""
        first = 0
        try:
            with pq.ParquetFile(self._path) as file:
                for batch in file.iter_batches(batch_size=size):
                    texts, problems = _texts(batch.column(self._column))
                    yield Chunk(first, texts, problems, batch)
                    first += batch.num_rows
        except (pa.ArrowException, OSError) as error:
            raise InvalidInput(f"{self._path} is damaged ({error})", reason="NOT_PARQUET") from error


def _holds_text(kind: pa.DataType) -> bool:
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    tests = (pa.types.is_string, pa.types.is_large_string, pa.types.is_binary, pa.types.is_large_binary)
    return any(test(kind) for test in tests)


def _texts(column: pa.Array) -> tuple[list[str | None], dict[int, str]]:
    """Texts, and by place why there is none. Strings are read as bytes: they may not be UTF-8."""
    if pa.types.is_dictionary(column.type):
        column = column.dictionary_decode()
    texts: list[str | None] = []
    problems: dict[int, str] = {}
    for place, data in enumerate(column.cast(pa.large_binary()).to_pylist()):
        texts.append(None)
        if data is None:
            problems[place] = "the text is missing"
            continue
        try:
            texts[-1] = data.decode()
        except UnicodeDecodeError as error:
            problems[place] = f"the text is not UTF-8 (byte 0x{data[error.start]:02x} at byte {error.start})"
    return texts, problems
