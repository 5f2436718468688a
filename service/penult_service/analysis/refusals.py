"""What checks are made of: each says what was wrong, where, and what to do, in the words of the contract."""

from __future__ import annotations

import math
from collections.abc import Iterable

from penult_service.analysis.calls import Shapes
from penult_service.errors import InvalidInput, PreconditionFailed

SEEDS = 1 << 32


def rows_suit(name: str, shape: tuple[int, ...]) -> None:
    """That there is a row, and a number in it."""
    if len(shape) != 2 or not all(shape):
        raise InvalidInput(
            f"{name} has shape {list(shape)}; send at least one row of at least one number",
            reason="EMPTY_INPUT",
            field=name,
        )


def one_width(first: str, second: str, shapes: Shapes) -> None:
    """That the rows of two arrays are equally wide, where there is a second."""
    if {first, second} <= shapes.keys() and shapes[first][1] != shapes[second][1]:
        widths = {name: str(shapes[name][1]) for name in (first, second)}
        raise InvalidInput(
            f"the rows of {first} have {widths[first]} numbers, those of {second} {widths[second]};"
            " compare rows of one width",
            reason="DIMENSION_MISMATCH",
            field=second,
            metadata=widths,
        )


def stored_suits(shapes: Shapes, stored: str, reason: str) -> None:
    """That a stored map or clustering was made of rows with a direction, as wide as the new ones.

    Raises:
        PreconditionFailed: it has none; its reason is given.
    """
    if not shapes["fitted_rows"][0]:
        raise PreconditionFailed(
            f"the {stored} was made of all-zero rows alone, which have no direction, and nothing lies near them;"
            f" make a {stored} of other rows",
            reason=reason,
            field=stored,
        )
    widths = {name: str(shapes[name][1]) for name in ("source", "fitted_rows")}
    if widths["source"] != widths["fitted_rows"]:
        raise InvalidInput(
            f"the rows of source have {widths['source']} numbers, those of the {stored} {widths['fitted_rows']}; send"
            " rows of the same model, layer and pooling",
            reason="DIMENSION_MISMATCH",
            field="source",
            metadata=widths,
        )


def labels_suit(shapes: Shapes, field: str = "labels") -> None:
    """That labels, where there are any, are one a row."""
    if "labels" in shapes and shapes["labels"][0] != shapes["source"][0]:
        rows, labels = shapes["source"][0], shapes["labels"][0]
        raise InvalidInput(
            f"there are {labels} labels for {rows} rows; give one a row, or none",
            reason="LABELS_MISMATCH",
            field=field,
            metadata={"rows": str(rows), "labels": str(labels)},
        )


def seed_suits(seed: int) -> None:
    """That NumPy takes the seed."""
    if not 0 <= seed < SEEDS:
        raise out_of_range("seed", seed, f"give 0 to {SEEDS - 1}")


def known_word(field: str, word: str, known: Iterable[str]) -> None:
    """That a word is one of those that are known."""
    if word not in known:
        raise InvalidInput(
            f"{field} {word!r} is not known; use one of {listed(known)}",
            reason=f"UNKNOWN_{field.upper()}",
            field=field,
        )


def only_of(owner: str, method: str, **parameters: object) -> None:
    """That the parameters of one method are not given to another, which would not use them."""
    for field, value in parameters.items():
        if value is not None and method != owner:
            raise wrong(field, f"{field} belongs to {owner}, and {method} does not use it; leave it out")


def at_least(field: str, value: float | None, least: int) -> None:
    """That a number, where one is given, is so large, and finite."""
    if value is not None and not least <= value < math.inf:
        raise out_of_range(field, value, f"give at least {least}", {"least": str(least)})


def finite(field: str, value: float) -> None:
    """That a number is finite."""
    if not math.isfinite(value):
        raise out_of_range(field, value, "give a finite number, or leave it out")


def out_of_range(
    field: str, value: float, advice: str, metadata: dict[str, str] | None = None
) -> InvalidInput:
    """A number that cannot be: `advice` says what it is for, and what to give."""
    return InvalidInput(
        f"{field} is {value:g}; {advice}" if isinstance(value, float) else f"{field} is {value}; {advice}",
        reason="OUT_OF_RANGE",
        field=field,
        metadata=metadata,
    )


def too_few(field: str, rows: int, least: int, why: str) -> InvalidInput:
    """Fewer rows than an analysis takes."""
    return InvalidInput(
        f"{field} has {rows} row{'s' if rows != 1 else ''}; {why} at least {least} are needed",
        reason="TOO_FEW_ROWS",
        field=field,
        metadata={"rows": str(rows), "least": str(least)},
    )


def wrong(field: str, message: str, known: Iterable[str] = ()) -> InvalidInput:
    """What does not go together; `known` is what would."""
    available = {"available": ",".join(known)} if known else None
    return InvalidInput(message, reason="WRONG_COMBINATION", field=field, metadata=available)


def listed(words: Iterable[str]) -> str:
    """Words with commas between them."""
    return ", ".join(words)
