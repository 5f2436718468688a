"""Reads `penult.toml`: where it lies, what it may say, and on which line it is wrong. The standard library only.

Several may hold for a model; each key that a nearer one has takes the place of the same key of those before, whole:

    a directory     the one beside it, then the one in it
    a file          the one in the folder above, when the file's folder is a numbered version of a model;
                    then the one beside it, then the one of its own name (`reviews.penult.toml` for `reviews.keras`)
"""

from __future__ import annotations

import difflib
import math
import re
import tomllib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from penult_service.errors import InvalidInput
from penult_service.preparing.declarations.declaration import (
    ENGINES,
    HEADS,
    NAME,
    POOLINGS,
    ROLES,
    Declaration,
)
from penult_service.preparing.declarations.toml_lines import TooDeep, lines_of

MAX_BYTES = 256 << 10
MAX_LENGTH = 1_000_000  # tokens
MAX_WARM_UP = 1000  # texts
_SHOWN = 200  # characters of a value in a message
_VERSION = re.compile(r"[1-9][0-9]{0,17}")
_AT_LINE = re.compile(r" \(at line (\d+), column \d+\)| \(at end of document\)")


def read(model: Path) -> Declaration:
    """What is declared of a model, a directory or a file.

    Raises:
        InvalidInput: BAD_DECLARATION, with file and line.
    """
    said: dict[str, _Said] = {}
    for path in places(model):
        if path.is_symlink() or path.exists():
            said |= _read_file(path)
    _refuse_contradiction(said)
    return Declaration(**{key: one.value for key, one in said.items()})


def places(model: Path) -> list[Path]:
    """Where a declaration may lie, the nearest last."""
    folder = model.parent
    if model.is_dir():
        return [folder / NAME, model / NAME]
    above = [folder.parent / NAME] if _VERSION.fullmatch(folder.name) else []
    return [*above, folder / NAME, folder / f"{model.stem}.{NAME}"]


@dataclass(frozen=True)
class _Found:
    """A value as it stands in a file, and the way to say that it is wrong."""

    path: Path
    lines: Mapping[tuple[str | int, ...], int]
    at: tuple[str | int, ...]
    value: Any

    def wrong(self, why: str) -> InvalidInput:
        """Why it is, with its line."""
        return _wrong(self.path, self.lines.get(self.at, 1), why)

    def inside(self, part: str | int) -> _Found:
        """An element, or what a key of a table holds."""
        return _Found(self.path, self.lines, (*self.at, part), self.value[part])

    @property
    def name(self) -> str:
        """What it is called in messages: its key, or that of the list or table around it."""
        return str(self.at[0])


@dataclass(frozen=True)
class _Said:
    """A key's value, checked, and where it stands."""

    value: Any
    found: _Found


def _read_file(path: Path) -> dict[str, _Said]:
    raw, lines = _parsed(path)
    said = {}
    for key, value in raw.items():
        found = _Found(path, lines, (key,), value)
        if key not in _KEYS:
            raise found.wrong(f"there is no key {_shown(key)}{_nearest(key, tuple(_KEYS))}")
        said[key] = _Said(_KEYS[key](found), found)
    return said


def _parsed(path: Path) -> tuple[dict[str, Any], Mapping[tuple[str | int, ...], int]]:
    try:
        if not path.is_file():  # a pipe would be waited for
            raise _wrong(path, None, "it is no file")
        with path.open("rb") as file:
            content = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise _wrong(path, None, f"it cannot be read ({error.strerror}); change its rights") from error
    if len(content) > MAX_BYTES:
        raise _wrong(path, None, f"it is larger than {MAX_BYTES >> 10} KiB")
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        first = content.count(b"\n", 0, error.start) + 1
        raise _wrong(path, first, "it is not UTF-8; save it as UTF-8") from error
    try:
        lines = lines_of(text)
        return tomllib.loads(text), lines
    except TooDeep as error:
        raise _wrong(path, error.line, "nothing here is nested so deep") from error
    except ValueError as error:  # of `tomllib`, and of Python for a number of thousands of digits
        said, at = str(error), _AT_LINE.search(str(error))
        line = int(at[1]) if at and at[1] else text.count("\n") + 1 if at else None
        raise _wrong(path, line, f"it is not TOML: {said[: at.start()] if at else said}") from error


def _wrong(path: Path, line: int | None, why: str) -> InvalidInput:
    where = str(path) if line is None else f"{path}, line {line}"
    return InvalidInput(
        f"{where}: {why}", reason="BAD_DECLARATION", metadata={"file": str(path), "line": str(line or "")}
    )


def _nearest(word: str, allowed: Sequence[str]) -> str:
    """What was meant, if that can be guessed; else all that there is."""
    near = difflib.get_close_matches(word.lower().replace("-", "_"), allowed, 1) or difflib.get_close_matches(
        word.lower(), allowed, 1
    )
    return f"; did you mean {near[0]}?" if near else f"; there is {', '.join(allowed)}"


# What a value may be


def _name(found: _Found) -> str:
    if not isinstance(found.value, str):
        raise found.wrong(f"{found.name} takes text in quotes, not {_shown(found.value)}")
    if not found.value.strip() or not found.value.isprintable():
        raise found.wrong(
            f"{found.name} has an empty name, or one that cannot be shown: {_shown(found.value)}"
        )
    return found.value


def _text(found: _Found) -> str:
    if not isinstance(found.value, str):
        raise found.wrong(f"{found.name} takes texts in quotes, not {_shown(found.value)}")
    return found.value


def _list(
    element: Callable[[_Found], str], *, most: int = MAX_BYTES, distinct: bool = True
) -> Callable[[_Found], Any]:
    def read_list(found: _Found) -> tuple[str, ...]:
        if not isinstance(found.value, list):
            raise found.wrong(f'{found.name} is a list, such as ["one", "two"], not {_shown(found.value)}')
        if not found.value:
            raise found.wrong(f"{found.name} is empty; leave it out, or say what belongs there")
        if len(found.value) > most:
            raise found.wrong(f"{found.name} has {len(found.value):,} elements, at most {most:,} are taken")
        taken: dict[str, None] = {}
        for number in range(len(found.value)):
            one = found.inside(number)
            value = element(one)
            if distinct and value in taken:
                raise one.wrong(f"{found.name} has {_shown(value)} twice")
            taken[value] = None
        return tuple(taken) if distinct else tuple(found.value)

    return read_list


def _table(element: Callable[[_Found], Any], like: str) -> Callable[[_Found], Any]:
    def read_table(found: _Found) -> dict[str, Any]:
        if not isinstance(found.value, dict):
            raise found.wrong(f"{found.name} is a table, such as {like}, not {_shown(found.value)}")
        for key, value in found.value.items():
            if isinstance(value, dict):
                whole = ".".join((key, *map(str, value)))[:_SHOWN]
                raise found.inside(key).wrong(f'a name with a dot in it stands in quotes: "{whole}"')
            if not key.strip() or not key.isprintable():
                raise found.inside(key).wrong(
                    f"{found.name} has an empty name, or one that cannot be shown: {_shown(key)}"
                )
        return {key: element(found.inside(key)) for key in found.value}

    return read_table


def _one_of(allowed: tuple[str, ...]) -> Callable[[_Found], str]:
    def read_word(found: _Found) -> str:
        word = _name(found)
        if word not in allowed:
            raise found.wrong(f"{found.name} cannot be {_shown(word)}{_nearest(word, allowed)}")
        return word

    return read_word


def _rate(found: _Found) -> float:
    value = found.value
    if (
        isinstance(value, bool)
        or not isinstance(value, int | float)
        or not math.isfinite(value)
        or not 0 <= value < 1
    ):
        raise found.wrong(f"a rate of dropout is a number from 0 to below 1, not {_shown(value)}")
    return float(value)


def _length(found: _Found) -> int:
    value = found.value
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= MAX_LENGTH:
        raise found.wrong(f"{found.name} is a whole number from 1 to {MAX_LENGTH:,}, not {_shown(value)}")
    return value


def _file(found: _Found) -> str:
    """A file beside `penult.toml`, or below: a model may bring its declaration along, but no others."""
    name = _name(found)
    home = found.path.parent.resolve()
    try:
        place = (home / name).resolve()
        there = place.is_file()
    except (OSError, ValueError, RuntimeError):
        place, there = home, False
    if not place.is_relative_to(home):
        raise found.wrong(f"{_shown(name)} lies outside the folder of this file; copy it into the folder")
    if not there:
        raise found.wrong(f"there is no file {_shown(name)} beside this one")
    return str(home / name)


def _module(found: _Found) -> str:
    """The directory of a TF-Hub module, anywhere: only what holds a SavedModel is read."""
    place = found.path.parent.absolute() / _name(found)
    if not _is_file(place / "saved_model.pb"):
        raise found.wrong(f"there is no SavedModel in {_shown(str(place))}")
    return str(place)


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:  # no file can have such a name
        return False


def _shown(value: Any) -> str:
    """As a message quotes it, of bearable length."""
    if isinstance(value, list | dict):
        return "a table" if isinstance(value, dict) else "a list"
    text = str(value).lower() if isinstance(value, bool) else repr(value)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."


_KEYS: dict[str, Callable[[_Found], Any]] = {
    "labels": _list(_name),
    "head": _one_of(HEADS),
    "output": _name,
    "readouts": _list(_name),
    "dropout": _table(_rate, "{ dropout_1 = 0.1 }"),
    "signature": _name,
    "tags": _list(_name),
    "inputs": _table(_one_of(ROLES), '{ title = "text", price = "value" }'),
    "tokenizer": _list(_file),
    "modules": _table(_module, '{ "https://tfhub.dev/..." = "modules/encoder" }'),
    "max_length": _length,
    "pooling": _one_of(POOLINGS),
    "engine": _one_of(ENGINES),
    "warm_up": _list(_text, most=MAX_WARM_UP, distinct=False),
}


def _refuse_contradiction(said: Mapping[str, _Said]) -> None:
    """Keys that cannot both be true, wherever they stand."""
    if "head" not in said or "labels" not in said:
        return
    head, labels = said["head"].value, said["labels"]
    if head == "regression":
        raise labels.found.wrong("a regression has no classes: leave out labels, or say another head")
    if head == "sigmoid" and len(labels.value) != 2:
        raise labels.found.wrong(
            f"a sigmoid has two classes, the name of 0 first, and labels has {len(labels.value)}; several that hold "
            'at the same time are head = "multi-label"'
        )
    if head == "softmax" and len(labels.value) < 2:
        raise labels.found.wrong("a softmax has two classes or more, and labels has one")
