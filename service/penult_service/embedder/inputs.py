"""What was given, against what the model takes: every input by its name, checked."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from penult_service.embedder.given import Given, Records, Tensors, Value, column_of, error_at
from penult_service.embedder.numbers import fitted, whole_numbers
from penult_service.embedder.slots import TEXT_PAIR, TEXT_ROLE, Slot, slots
from penult_service.errors import InvalidInput, PreconditionFailed
from penult_service.prepared import CALLER, LIBRARY, TEXT, Manifest


@dataclass(frozen=True, eq=False)
class Inputs:
    """n rows of a model's inputs.

    `texts` has n texts for each input of text, in order, and is empty where tokens are given in their place. `arrays`
    maps the other inputs to [n, ...], of the types and shapes that the model takes.
    """

    count: int
    texts: Mapping[str, Sequence[str]]
    arrays: Mapping[str, NDArray[Any]]


def inputs_of(manifest: Manifest, given: Given) -> Inputs:
    """The rows that were given, as the model takes them.

    Raises:
        InvalidInput: an input is missing (MISSING_INPUT), or there is none of that name (UNKNOWN_INPUT); or it is of
            another type, shape or range, as `numbers.fitted` says.
        PreconditionFailed: texts, for a model that takes tokens or numbers (TEXTS_NOT_TAKEN).
    """
    known = {slot.name: slot for slot in slots(manifest)}
    if not isinstance(given, Records | Tensors):
        return Inputs(len(given), {_only_text(manifest, known).name: given}, {})
    if manifest.tokenizer == LIBRARY:
        known[TEXT_PAIR] = known.get(TEXT_PAIR) or Slot(TEXT_PAIR, "string", (), TEXT_ROLE)
    columns = _named(given, manifest, known) if isinstance(given, Records) else given.columns
    _check_names(manifest, known, columns, given)
    texts: dict[str, Sequence[str]] = {}
    arrays: dict[str, NDArray[Any]] = {}
    for slot in known.values():
        if slot.name in columns and slot.role == TEXT_ROLE:
            texts[slot.name] = _texts(columns[slot.name], slot, given)
        elif slot.name in columns:
            column = _numbers(columns[slot.name], slot, given, manifest.trims)
            arrays[slot.name] = fitted(column, slot, given)
    if isinstance(given, Records):
        _check_steps(known, columns, given)
    return Inputs(len(given), texts, arrays)


def _only_text(manifest: Manifest, known: Mapping[str, Slot]) -> Slot:
    """The one input that texts alone are for."""
    wanted = [slot for slot in known.values() if not slot.made]
    if len(wanted) == 1 and wanted[0].role == TEXT_ROLE:
        return wanted[0]
    names = ", ".join(slot.name for slot in wanted)
    if manifest.tokenizer != CALLER and any(slot.role == TEXT_ROLE for slot in wanted):
        raise InvalidInput(
            f"texts alone are not enough for this model, it takes {names}: send records of these",
            reason="MISSING_INPUT",
            field="texts",
            metadata={"inputs": names},
        )
    advice = f"send {names} as tensors"
    if any(slot.role == "ids" for slot in wanted):
        advice = (
            f"put its tokenizer beside {manifest.source} (tokenizer.json, or vocab.txt) and prepare it again, or "
            + advice
        )
    raise PreconditionFailed(
        f"this model takes {names}, and nothing makes them of texts: {advice}",
        reason="TEXTS_NOT_TAKEN",
        field="texts",
        metadata={"inputs": names},
    )


def _named(given: Records, manifest: Manifest, known: Mapping[str, Slot]) -> dict[str, list[Value]]:
    """The records as columns."""
    rows = [
        row if isinstance(row, Mapping) else _in_order(row, i, manifest, known)
        for i, row in enumerate(given.rows)
    ]
    for i, row in enumerate(rows):
        if row.keys() != rows[0].keys():
            name = min(row.keys() ^ rows[0].keys())
            has, lacks = (i, 0) if name in row else (0, i)
            raise InvalidInput(
                f"records[{has}] has {name!r}, records[{lacks}] has not: all records of a call have the same inputs",
                reason="MISSING_INPUT",
                field=f"records[{lacks}]",
            )
    return {name: [row[name] for row in rows] for name in rows[0]}


def _in_order(
    row: Sequence[Value], i: int, manifest: Manifest, known: Mapping[str, Slot]
) -> dict[str, Value]:
    names = [slot.name for slot in known.values() if not slot.made and slot.name != TEXT_PAIR]
    if manifest.tokenizer == LIBRARY and len(row) > 1 and isinstance(row[1], str) and TEXT in names:
        names.insert(names.index(TEXT) + 1, TEXT_PAIR)
    if len(row) != len(names):
        raise InvalidInput(
            f"records[{i}] has {len(row)} values, the model takes {len(names)}: {', '.join(names)}",
            reason="MISSING_INPUT",
            field=f"records[{i}]",
            metadata={"inputs": ",".join(names)},
        )
    return dict(zip(names, row, strict=True))


def _check_names(
    manifest: Manifest, known: Mapping[str, Slot], columns: Mapping[str, Any], given: Given
) -> None:
    optional = {TEXT_PAIR} if manifest.tokenizer == LIBRARY else set()
    texts = {slot.name for slot in known.values() if slot.role == TEXT_ROLE}
    made = {slot.name for slot in known.values() if slot.made}
    always = known.keys() - texts - made
    # Tokens are given in place of the texts that they would be made of.
    wanted = always | (made if made & columns.keys() else texts)
    unknown = sorted(columns.keys() - wanted)
    missing = [name for name in known if name in wanted - columns.keys() - optional]
    if unknown and unknown[0] in known:
        where = column_of(given, unknown[0])
        raise InvalidInput(
            f"{where.called} is given beside the tokens that are made of it; send either",
            reason="UNKNOWN_INPUT",
            field=where.field,
        )
    if unknown or missing:
        where = column_of(given, unknown[0] if unknown else missing[0])
        what = "is no input of this model" if unknown else "is missing"
        raise InvalidInput(
            f"{where.called} {what}; it takes {_listed(known, optional)}",
            reason="UNKNOWN_INPUT" if unknown else "MISSING_INPUT",
            field=where.field,
            metadata={"inputs": ",".join(name for name in known if name not in optional)},
        )


def _listed(known: Mapping[str, Slot], optional: set[str]) -> str:
    first = ", ".join(slot.name for slot in known.values() if not slot.made and slot.name not in optional)
    made = ", ".join(slot.name for slot in known.values() if slot.made)
    return f"{first}, or {made} in place of the text" if made else first


def _texts(column: Any, slot: Slot, given: Given) -> list[str]:
    if isinstance(given, Tensors):
        flat = column.reshape(len(column), -1)  # [n], or [n, 1] as some models take it
        if column.dtype != object or flat.shape[1] != 1:
            where = column_of(given, slot.name)
            raise InvalidInput(
                f"{where.called} is {column.dtype} of shape {list(column.shape)}, the model takes texts: strings [n]",
                reason="WRONG_TYPE" if column.dtype != object else "WRONG_SHAPE",
                field=where.field,
            )
        return flat[:, 0].tolist()
    for i, value in enumerate(column):
        if not isinstance(value, str):
            raise error_at(given, i, slot.name, "holds numbers, the model takes a text", "WRONG_TYPE")
    return list(column)


def _numbers(column: Any, slot: Slot, given: Given, trims: bool) -> NDArray[Any]:
    """The column as an array [n, ...]."""
    if isinstance(given, Tensors):
        if column.dtype == object:
            where = column_of(given, slot.name)
            raise InvalidInput(
                f"{where.called} holds strings, the model takes {slot.dtype}",
                reason="WRONG_TYPE",
                field=where.field,
            )
        return np.asarray(column)
    for i, value in enumerate(column):
        if isinstance(value, str):
            raise error_at(given, i, slot.name, f"is a text, the model takes {slot.dtype}", "WRONG_TYPE")
    longest = max(value.size for value in column)
    pads = trims and slot.role in ("ids", "mask", "types", "steps")
    for i, value in enumerate(column):
        if value.size != longest and not pads:
            raise error_at(
                given, i, slot.name, f"has {value.size} numbers, another row has {longest}", "WRONG_SHAPE"
            )
    matrix = np.stack([np.pad(value, (0, longest - value.size)) for value in column])
    return whole_numbers(_in_shape(matrix, slot, given), slot, given)


def _check_steps(known: Mapping[str, Slot], columns: Mapping[str, Any], given: Records) -> None:
    """Refuse a record with other numbers of steps than of ids, which is filled up where another record is longer."""
    ids = [slot.name for slot in known.values() if slot.role == "ids" and slot.name in columns]
    steps = [slot for slot in known.values() if slot.role == "steps" and slot.name in columns]
    for slot in steps if len(ids) == 1 else ():
        each = math.prod(slot.shape[1:])
        for i, (numbers, row) in enumerate(zip(columns[slot.name], columns[ids[0]], strict=True)):
            if numbers.size != each * row.size:
                what = f"has {numbers.size} numbers for the {row.size} of {ids[0]}; give {each} for each"
                raise error_at(given, i, slot.name, what, "WRONG_SHAPE")


def _in_shape(matrix: NDArray[np.float64], slot: Slot, given: Given) -> NDArray[np.float64]:
    """Row-major numbers [n, k] in the shape of the input."""
    if slot.shape.count(-1) > 1:
        raise error_at(
            given, 0, slot.name, "has more than one axis of any length: send tensors", "WRONG_SHAPE"
        )
    try:
        return matrix.reshape(len(matrix), *slot.shape)
    except ValueError:
        what = f"has {matrix.shape[1]} numbers, the model takes a row of shape {list(slot.shape)}"
        raise error_at(given, 0, slot.name, what, "WRONG_SHAPE") from None
