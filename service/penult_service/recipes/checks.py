"""What every recipe checks: settings in range, choices by name, and that a training came to something."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from penult_service.errors import InvalidInput

ALL = "all"


def in_range(settings: Any, checks: Mapping[str, tuple[bool, str]]) -> None:
    """Refuses the first setting that is not what it must be.

    Args:
        settings: Has them as attributes.
        checks: Name -> whether it is fine, and what is allowed, in words.

    Raises:
        InvalidInput: The field is the setting.
    """
    for name, (fine, allowed) in checks.items():
        if not fine:
            what = f"{name} is {getattr(settings, name)}; it must be {allowed}"
            raise InvalidInput(what, reason="SETTING_OUT_OF_RANGE", field=name)


def chosen(words: str, known: Sequence[str], option: str) -> tuple[str, ...]:
    """The names in words such as "after,before", in the order asked for; of "all" those known.

    Raises:
        InvalidInput: A name is not known; the field is the option.
    """
    if words == ALL:
        return tuple(known)
    names = tuple(dict.fromkeys(name.strip() for name in words.split(",")))
    wrong = next((name for name in names if name not in known), None)
    if wrong is not None:
        what = f"--{option} {wrong!r}: it is one of {', '.join(known)}, several of them with commas, or all"
        raise InvalidInput(what, reason=option.upper(), field=option)
    return names


def refuse_diverged(error: float, called: str) -> None:
    """Ends a training whose error is no number any more: nothing good would be saved.

    Raises:
        InvalidInput: It is infinite or NaN.
    """
    if not math.isfinite(error):
        what = f"{called}: its error is {error} by now, the training diverged; try a lower --learning-rate"
        raise InvalidInput(what, reason="DIVERGED", field="learning_rate")
