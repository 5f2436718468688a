"""What the passes are given: tables of tokens and values, and the rows of the saved function as it is."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from penult_service.batching import stepped
from penult_service.embedder.given import Given, place_of
from penult_service.embedder.inputs import Inputs
from penult_service.embedder.protocols import Tokenizer
from penult_service.embedder.slots import slots
from penult_service.errors import InvalidInput
from penult_service.prepared import GRAPH, NO_LIMIT, Manifest
from penult_service.tokenizing import NONE, UNKNOWN, TokenTable, cells_read, token_lengths


def table_of(manifest: Manifest, tokenizer: Tokenizer, inputs: Inputs, given: Given) -> TokenTable:
    """Tokens and values of the rows, by their names in `encode`.

    Raises:
        InvalidInput: token inputs of different lengths (WRONG_SHAPE), or rows with more tokens than the model reads
            (TEXT_TOO_LONG). PenultError: as the tokenizer says.
    """
    known = {slot.name: slot for slot in slots(manifest) if slot.encode}
    arrays = {known[name].encode: array for name, array in inputs.arrays.items() if name in known}
    beside = {token.name for token in manifest.inputs if token.role == "value" or manifest.tokenizer == GRAPH}
    values = {name: array for name, array in arrays.items() if name in beside}
    if inputs.texts:
        return replace(tokenizer.tokenize(*inputs.texts.values()), values=values)
    tokens = {name: array for name, array in arrays.items() if name not in beside}
    lengths = _lengths(manifest, tokens, inputs.count, given)
    reads = cells_read(tokens.values()) if tokens else None
    if manifest.trims and reads is not None:  # zeros behind the longest row, whoever put them there
        tokens = {name: array[:, : int(reads.max())] for name, array in tokens.items()}
    return TokenTable(tokens, lengths, [NONE] * inputs.count, values, reads=reads)


def _lengths(
    manifest: Manifest, tokens: Mapping[str, NDArray[Any]], count: int, given: Given
) -> NDArray[np.int32]:
    """Tokens a row, int32 [n]; 1 where the model takes none."""
    if not tokens:
        return np.ones(count, np.int32)
    widths = {name: array.shape[1] for name, array in tokens.items()}
    # Where there are several rows of ids, each with its own texts, each has a length of its own.
    one = [token.role for token in manifest.inputs].count("ids") <= 1
    first = next(iter(widths.values()))
    odd = next((name for name, width in widths.items() if not width or (one and width != first)), None)
    if odd is not None:
        said = ", ".join(f"{_called(manifest, name)} {width}" for name, width in widths.items())
        raise InvalidInput(
            f"all token inputs have the same number of tokens a row, at least 1; these have: {said}",
            reason="WRONG_SHAPE",
            field=place_of(given, 0, _called(manifest, odd)).field,
        )
    lengths = token_lengths(tokens, [token for token in manifest.inputs if token.name in tokens])
    read = lengths if manifest.trims else np.full(count, max(widths.values()))
    too_many = np.flatnonzero(read > manifest.max_length)
    if too_many.size:
        row = int(too_many[0])
        where = place_of(given, row)
        raise InvalidInput(
            f"{where.called} has {read[row]} tokens, the model reads at most {manifest.max_length}; cut them as its "
            "tokenizer does",
            reason="TEXT_TOO_LONG",
            field=where.field,
            metadata={"row": str(row), "max_length": str(manifest.max_length)},
        )
    return lengths


def _called(manifest: Manifest, name: str) -> str:
    return next(slot.name for slot in slots(manifest) if slot.encode == name)


def whole_table(manifest: Manifest, tokenizer: Tokenizer, inputs: Inputs, given: Given) -> TokenTable:
    """The rows by their names in `whole`: texts as they are where the graph tokenizes, else as `table_of` has them."""
    if manifest.tokenizer != GRAPH:
        return table_of(manifest, tokenizer, inputs, given)
    arguments = {slot.name: slot.whole for slot in slots(manifest)}
    columns = {arguments[name]: np.array(texts, dtype=object) for name, texts in inputs.texts.items()}
    columns |= {arguments[name]: array for name, array in inputs.arrays.items()}
    return TokenTable({}, np.ones(inputs.count, np.int32), [UNKNOWN] * inputs.count, columns)


def whole_cost(manifest: Manifest, table: TokenTable) -> int:
    """Tokens that a row of the whole function costs."""
    if manifest.tokenizer == GRAPH:
        return manifest.padded_cost
    return max(1, *(array.shape[1] for array in table.inputs.values()), 1)


def kind_of(table: TokenTable, manifest: Manifest) -> Hashable:
    """Rows of tables of one kind can share a batch: what is not cut or filled up is of one shape."""
    values = tuple((name, array.shape[1:]) for name, array in sorted(table.values.items()))
    widths = () if manifest.trims else tuple(a.shape[1] for _, a in sorted(table.inputs.items()))
    return (values, widths)


def in_steps(manifest: Manifest) -> bool:
    """Whether batches may be padded beyond their longest row: it must be known how much the model reads. Of several
    rows of ids each may have a longest of its own, which nobody knows here.
    """
    one = [token.role for token in manifest.inputs].count("ids") <= 1
    return one and manifest.trims and manifest.max_length < NO_LIMIT


def width_of(rows: Sequence[tuple[TokenTable, int]], manifest: Manifest) -> int | None:
    """Tokens that a batch of them is cut or padded to, where the model allows it: its longest row's, or a step more."""
    if not manifest.trims:
        return None
    longest = max(1, *(table.needed(i) for table, i in rows))
    return stepped(longest, manifest.max_length) if in_steps(manifest) else longest


def stacked(
    rows: Sequence[tuple[TokenTable, int]], *, width: int | None = None
) -> tuple[dict[str, NDArray[Any]], dict[str, NDArray[Any]]]:
    """Token inputs int [n, width] and values [n, ...] of rows of any tables of one kind.

    Shorter rows are filled up. Inputs that are all as wide as each other get that width; others, which have texts of
    their own, are as wide as the widest table has them, or that width at most.
    """
    first = rows[0][0]
    tables = list({id(table): table for table, _ in rows}.values())
    widest = {name: max(table.inputs[name].shape[1] for table in tables) for name in first.inputs}
    alike = len(set(widest.values())) == 1
    wides = {name: width if width and alike else min(most, width or most) for name, most in widest.items()}
    if len(tables) == 1 and all(wides[name] <= most for name, most in widest.items()):
        numbers = [i for _, i in rows]  # one copy, without a step for each row
        tokens = {name: array[:, : wides[name]][numbers] for name, array in first.inputs.items()}
        return tokens, {name: array[numbers] for name, array in first.values.items()}
    tokens = {}
    for name, like in first.inputs.items():
        wide = wides[name]
        matrix = np.full((len(rows), wide, *like.shape[2:]), first.filling.get(name, 0), like.dtype)
        for into, (table, i) in zip(matrix, rows, strict=True):
            row = table.inputs[name][i, :wide]
            into[: len(row)] = row
        tokens[name] = matrix
    values = {
        name: np.array([table.values[name][i] for table, i in rows], dtype=like.dtype)
        for name, like in first.values.items()
    }
    return tokens, values
