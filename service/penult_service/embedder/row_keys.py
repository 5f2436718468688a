"""What tells that two rows are equal: everything that decides their readings."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from hashlib import blake2b
from itertools import repeat
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np

from penult_service.embedder.passes import EncodePass
from penult_service.prepared import Manifest
from penult_service.tokenizing import TokenTable

# Of the pass, the tokens a row, and what the model reads of it.
Key = tuple[bytes | int, ...]

# Of an engine, by what is asked of it: to make a digest anew takes longer than all else of a short text's key.
_known: WeakKeyDictionary[Any, dict[Hashable, tuple[Manifest, bytes]]] = WeakKeyDictionary()
_MOST = 64


def keys_of(encode: EncodePass, table: TokenTable, numbers: Sequence[int]) -> list[Key] | None:
    """A key for each of the rows; rows are equal when their keys are.

    None: they hold what has no bytes of its own, or the model is random at inference, so that equal rows differ.
    """
    if not encode.manifest.proof.proven:
        return None
    tokens = [table.inputs[name] for name in sorted(table.inputs)]
    values = [table.values[name] for name in sorted(table.values)]
    if any(array.dtype == object for array in (*tokens, *values)):
        return None
    needed = table.lengths if table.reads is None else table.reads
    columns = []
    for array in tokens:  # cut to what is read where the model allows it, as `EncodePass` does
        row = array[:1].nbytes
        cell = array[:1, :1].nbytes
        cells = (np.minimum(needed, array.shape[1]) * cell).tolist() if encode.manifest.trims else None
        data = array.tobytes()
        starts = [number * row for number in numbers]
        sizes = repeat(row) if cells is None else map(cells.__getitem__, numbers)
        columns.append([data[start : start + size] for start, size in zip(starts, sizes, strict=False)])
    columns += [[array[number].tobytes() for number in numbers] for array in values]
    lengths = table.lengths.tolist()
    return list(zip(repeat(_about(encode)), map(lengths.__getitem__, numbers), *columns, strict=False))


def digest_of(key: Key) -> bytes:
    """The same in 16 bytes, for keys that are held for long."""
    digest = blake2b(digest_size=16)
    for part in key:
        data = part.to_bytes(8, "little") if isinstance(part, int) else part
        digest.update(len(data).to_bytes(8, "little"))
        digest.update(data)
    return digest.digest()


def _about(encode: EncodePass) -> bytes:
    """A digest of what two passes share that give equal rows equal readings, whatever file or engine they are of.

    Engine and precision are no part of a model's identity, but replies name them; inputs and head may be declared.
    """
    asked = (encode.layer, encode.pooling, encode.probabilities, encode.kind)
    known = _known.setdefault(encode.engine, {})
    found = known.get(asked)
    if found is None or found[0] is not encode.manifest:
        if len(known) >= _MOST:
            known.clear()
        found = known[asked] = (encode.manifest, _digest(encode, asked))
    return found[1]


def _digest(encode: EncodePass, asked: Hashable) -> bytes:
    manifest, head = encode.manifest, encode.manifest.head
    of_model = (manifest.model_digest, manifest.seam, manifest.trims, manifest.inputs)
    of_engine = (encode.engine.name, encode.engine.precision)
    of_head = (head.kind, head.output, head.activation, manifest.head_values) if encode.probabilities else ()
    return blake2b(repr((of_model, of_engine, asked, of_head)).encode(), digest_size=32).digest()
