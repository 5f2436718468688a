"""What a person is told of a file that cannot be read."""

from __future__ import annotations

from pathlib import Path

from penult_service.errors import InvalidInput


def damaged(place: Path | str, error: BaseException) -> InvalidInput:
    """That it is damaged, with the first line of why; reason DAMAGED."""
    first = (str(error) or type(error).__name__).splitlines()[0][:300]
    return InvalidInput(f"{place} is damaged or half copied ({first}); copy it again", reason="DAMAGED")
