"""Names of models, and the ways to write a model and a version of it."""

from __future__ import annotations

import re
from dataclasses import dataclass

from penult_service.errors import InvalidInput

_NAME = re.compile(r"[a-z0-9][a-zA-Z0-9._-]{0,127}")
_VERSION = re.compile(r"[1-9][0-9]{0,17}")
_RESOURCE = re.compile(r"models/(?P<name>[^/]*)(/versions/(?P<version>[^/]*))?")


@dataclass(frozen=True)
class Reference:
    """A model as a request names it. Empty name: none was named. No version: the highest that is ready."""

    name: str = ""
    version: int | None = None

    def __str__(self) -> str:
        return self.name if self.version is None else f"{self.name}@{self.version}"


def is_name(text: str) -> bool:
    """Whether a model may be called so."""
    return _NAME.fullmatch(text) is not None


def version_of(text: str) -> int | None:
    """The version that a directory's name or a request says; None when it is not one."""
    return int(text) if _VERSION.fullmatch(text) else None


def parse_reference(text: str, field: str) -> Reference:
    """`reviews`, `reviews@3`, `models/reviews`, `models/reviews/versions/3`, or nothing.

    Raises:
        InvalidInput: it is none of these (WRONG_MODEL_NAME); `field` is the field of the request.
    """
    if not text:
        return Reference()
    resource = _RESOURCE.fullmatch(text)
    if resource:
        name, version = resource["name"], resource["version"]
    else:
        name, at, after = text.partition("@")
        version = after if at else None
    number = None if version is None else version_of(version)
    if not is_name(name) or (version is not None and number is None):
        raise InvalidInput(
            f"{text[:100]!r} does not name a model; write reviews, reviews@3, models/reviews or"
            " models/reviews/versions/3",
            reason="WRONG_MODEL_NAME",
            field=field,
        )
    return Reference(name, number)
