"""JSON -> dataclasses, checked by their types: what was written by `dataclasses.asdict`, wherever it has been since."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import MISSING, fields, is_dataclass
from types import UnionType
from typing import Any, get_args, get_origin, get_type_hints


def decoded(kind: Any, raw: Any, where: str) -> Any:
    """JSON -> a value of this type: a dataclass, a tuple, a mapping, an optional or a plain one.

    Raises:
        ValueError: it is of another type; the message names where.
    """
    if is_dataclass(kind):
        return _record(kind, raw, where)
    arguments = get_args(kind)
    if get_origin(kind) is UnionType:
        return None if raw is None else decoded(arguments[0], raw, where)
    if get_origin(kind) is tuple:
        if not isinstance(raw, list):
            raise ValueError(f"{where} is no list")
        return tuple(decoded(arguments[0], item, f"{where}[{i}]") for i, item in enumerate(raw))
    if get_origin(kind) is Mapping:
        if not isinstance(raw, dict):
            raise ValueError(f"{where} is no object")
        return {key: decoded(arguments[1], value, f"{where}[{key[:40]!r}]") for key, value in raw.items()}
    taken = (int, float) if kind is float else kind
    if not isinstance(raw, taken) or (isinstance(raw, bool) and kind is not bool):
        raise ValueError(f"{where} is not of type {kind.__name__}")
    if isinstance(raw, str):
        raw.encode()  # half of a surrogate pair is no text, and could not be sent to anybody
    return raw


def _record(kind: Any, raw: Any, where: str) -> Any:
    if not isinstance(raw, dict):
        raise ValueError(f"{where} is no object")
    types, known = get_type_hints(kind), {f.name: f for f in fields(kind)}
    unknown = sorted(raw.keys() - known.keys())
    missing = [n for n, f in known.items() if n not in raw and f.default is f.default_factory is MISSING]
    if unknown or missing:
        which = f"has no {missing[0]}" if missing else f"has an unknown {unknown[0][:40]!r}"
        raise ValueError(f"{where} {which}")
    return kind(**{name: decoded(types[name], value, f"{where}.{name}") for name, value in raw.items()})
