"""What the analyses work on: texts, files of texts, or the outputs of `penult embed`."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from penult_service.cli.outputs import sidecar
from penult_service.cli.records import no_column
from penult_service.cli.rows import open_rows
from penult_service.errors import InvalidInput, NotFound
from penult_service.vectors import rows_not_finite

if TYPE_CHECKING:
    import pyarrow as pa
    from penult_client import Embeddings

Embed = Callable[[Sequence[str]], tuple[NDArray[np.float32], Mapping[str, Any]]]
"""Texts -> vectors float32 [n, d] and the facts about them, as `outputs.provenance` has them."""

_METADATA = "penult."
OTHER_ENCODING = (
    "save it as UTF-8, or let `penult embed --encoding NAME -o OUT.parquet` read it, and analyse OUT.parquet"
)


@dataclass(frozen=True)
class Side:
    """Rows to analyse: `vectors` float32 [n, d], NaN in rows without an embedding; `texts` None when not known.

    `space` is empty when the file does not say which embedding space it is in; `facts` is what else it says of the
    vectors. `table` holds the columns of the input, None when they were not asked for, or it has none.
    """

    vectors: NDArray[np.float32]
    texts: Sequence[str] | None
    space: str
    facts: Mapping[str, Any] = field(default_factory=dict)
    table: pa.Table | None = None

    def name(self, row: int) -> str:
        """The row's text, or its number."""
        return self.texts[row] if self.texts is not None else f"row {row}"

    def good(self) -> NDArray[np.intp]:
        """Numbers of the rows that have an embedding, ascending."""
        return np.setdiff1d(np.arange(len(self.vectors)), rows_not_finite(self.vectors))


def of_texts(texts: Sequence[str], embed: Embed) -> Side:
    """Texts as a side."""
    return _embedded(texts, embed)


def of_file(
    path: Path,
    column: str,
    embed: Embed,
    *,
    keep: bool = False,
    check: Callable[[Side], None] = lambda _: None,
) -> Side:
    """A file as a side: vectors where it holds some, else its texts, embedded. With `keep` it has a `table`.

    `check` refuses what its columns rule out; of texts it gets a side without rows, before any is embedded.

    Raises:
        NotFound: no such file.
        InvalidInput: neither vectors nor texts, or a row without a text; as `check`.
    """
    if not path.is_file():
        raise NotFound(f"{path} is not a file", reason="FILE_NOT_FOUND")
    if path.suffix.lower() == ".npy":
        return _checked(_of_npy(path), check)
    if path.suffix.lower() in (".parquet", ".arrow"):
        stored = _of_table(path, column, keep)
        if stored is not None:
            return _checked(stored, check)
    try:
        opened = open_rows(path, column)
    except InvalidInput as error:
        if error.reason != "NOT_UTF8":
            raise
        raise InvalidInput(f"{path} is not UTF-8; {OTHER_ENCODING}", reason="NOT_UTF8") from error
    _checked(Side(np.empty((0, 0), np.float32), None, "", table=opened.schema.empty_table()), check)
    texts: list[str] = []
    cells: list[pa.RecordBatch] = []
    for chunk in opened.chunks(4096):
        for place, text in enumerate(chunk.texts):
            if text is None:
                problem = chunk.problems[place]
                more = f"; {OTHER_ENCODING}" if problem.reason == "NOT_UTF8" else ""
                message = f"{path}, row {chunk.first + place}: {problem}{more}"
                raise InvalidInput(message, reason="NOT_A_TEXT")
            texts.append(text)
        if keep:
            cells.append(chunk.cells)
    return _embedded(texts, embed, cells)


def _checked(side: Side, check: Callable[[Side], None]) -> Side:
    check(side)
    return side


def in_space(vectors: NDArray[np.float32], space: str) -> NDArray[np.float32] | Embeddings:
    """Vectors as a client takes them, with the name of their space where it is known."""
    if not space:
        return vectors
    from penult_client import Embeddings

    count = len(vectors)
    return Embeddings(
        vectors=vectors,
        probabilities=None,
        labels=(),
        token_counts=np.zeros(count, np.int32),
        truncated=np.full(count, "unknown"),
        row_errors=(),
        model="",
        version=0,
        digest="",
        space=space,
        layer="",
        pooling="",
        normalized=False,
        engine="",
        precision="",
        dropout_proven=False,
    )


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


def _embedded(texts: Sequence[str], embed: Embed, cells: Sequence[pa.RecordBatch] = ()) -> Side:
    import pyarrow as pa

    vectors, facts = embed(texts)
    table = pa.Table.from_batches(cells) if cells else None
    return Side(vectors, texts, str(facts.get("embedding_space", "")), facts, table)


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
    facts = _sidecar_facts(path)
    return Side(np.asarray(vectors, np.float32), None, str(facts.get("embedding_space", "")), facts)


def _sidecar_facts(path: Path) -> dict[str, Any]:
    try:
        facts = json.loads(sidecar(path).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}  # an array of someone else's making
    return facts if isinstance(facts, dict) else {}


def _of_table(path: Path, column: str, keep: bool) -> Side | None:
    """The `embedding` column, or None when there is none."""
    import pyarrow as pa

    try:
        schema, table = _read_table(path, None if keep else ("embedding", column))
    except (pa.ArrowException, OSError) as error:
        kind = path.suffix.lower().removeprefix(".")
        message = f"{path} is no {kind} file, or is damaged ({error})"
        raise InvalidInput(message, reason=f"NOT_{kind.upper()}") from error
    if table is None:
        return None
    if not pa.types.is_fixed_size_list(schema.field("embedding").type):
        raise no_column(path, "embedding of penult embed", schema.names)
    rows = table.column("embedding").combine_chunks()
    values = rows.flatten().to_numpy(zero_copy_only=False).astype(np.float32)
    vectors = np.full((len(rows), rows.type.list_size), np.nan, np.float32)
    vectors[rows.is_valid().to_numpy(zero_copy_only=False)] = values.reshape(-1, rows.type.list_size)
    texts = None
    if column in table.column_names:
        texts = ["" if text is None else str(text) for text in table.column(column).to_pylist()]
    facts = _metadata_facts(schema.metadata or {})
    return Side(vectors, texts, facts.get("embedding_space", ""), facts, table if keep else None)


def _read_table(path: Path, wanted: Sequence[str] | None) -> tuple[pa.Schema, pa.Table | None]:
    """The schema and the columns that are wanted (None: all); no table when it has no column `embedding`."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    if path.suffix.lower() == ".parquet":
        schema = pq.read_schema(path)
        if "embedding" not in schema.names:
            return schema, None
        return schema, pq.read_table(path, columns=_there(schema, wanted))
    with pa.OSFile(str(path)) as file, pa.ipc.open_file(file) as reader:
        if "embedding" not in reader.schema.names:
            return reader.schema, None
        return reader.schema, reader.read_all().select(_there(reader.schema, wanted) or reader.schema.names)


def _there(schema: pa.Schema, wanted: Sequence[str] | None) -> list[str] | None:
    return None if wanted is None else [name for name in schema.names if name in wanted]


def _metadata_facts(metadata: Mapping[bytes, bytes]) -> dict[str, str]:
    told = (
        (name.decode(errors="replace"), value.decode(errors="replace")) for name, value in metadata.items()
    )
    return {name.removeprefix(_METADATA): value for name, value in told if name.startswith(_METADATA)}
