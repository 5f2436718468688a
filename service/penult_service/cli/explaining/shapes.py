"""Shapes as people write them on the command line: 4,6,10 or None,1,10, in brackets or not."""

from __future__ import annotations

from collections.abc import Sequence

from penult_service.errors import InvalidInput


def lengths(option: str, text: str) -> tuple[int, ...]:
    """The lengths of a shape.

    Raises:
        InvalidInput: something else than whole numbers; names the option.
    """
    found = _parts(option, text, "4,6,10")
    if None in found:
        raise InvalidInput(f"{option} is lengths such as 4,6,10, not {text!r}", field=option)
    return tuple(length for length in found if length is not None)


def noise_shape(option: str, text: str) -> tuple[int | None, ...]:
    """The lengths of a noise shape, where None stands for the input's own.

    Raises:
        InvalidInput: something else than whole numbers and None; names the option.
    """
    return _parts(option, text, "None,1,10")


def written(shape: Sequence[int | None]) -> str:
    """The shape as it is written."""
    return ",".join(str(length) for length in shape)


def _parts(option: str, text: str, example: str) -> tuple[int | None, ...]:
    words = [word.strip() for word in text.strip().strip("()[]").rstrip(",").split(",")]
    try:
        return tuple(None if word.lower() == "none" else int(word) for word in words)
    except ValueError as error:
        raise InvalidInput(f"{option} is lengths such as {example}, not {text!r}", field=option) from error
