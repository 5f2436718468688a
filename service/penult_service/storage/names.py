"""Names of stored things: they become names of directories, on any file system."""

from __future__ import annotations

import re

from penult_service.errors import InvalidInput

_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,62}")


def check_name(name: str, field: str = "name") -> str:
    """The name itself, when it is one.

    Raises:
        InvalidInput: NAME_INVALID.
    """
    if not _NAME.fullmatch(name):
        raise InvalidInput(
            f"{name[:80]!r} is no name: 1 to 63 of a to z, 0 to 9, - and _, the first a letter or digit",
            reason="NAME_INVALID",
            field=field,
        )
    return name
