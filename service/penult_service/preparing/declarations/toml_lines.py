"""On which line of a TOML file each key and each element of a list stands: `tomllib` reads values, and forgets that.

Linear in the size of the text, and refuses what is nested or dotted deeper than anybody writes, over which `tomllib`
would take the memory of the machine. What is no TOML ends the search: `tomllib` says where.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from contextlib import suppress

Path = tuple[str | int, ...]
"""Keys, and numbers of elements from 0: `labels[1]` is ``("labels", 1)``."""

DEEPEST = 16
_TOKEN = re.compile(
    r"""(?P<blank>[ \t]+|\#[^\n]*) | (?P<newline>\r?\n)
    | (?P<string>\"{3}(?:\\.|[^\\])*?\"{3,5} | '{3}.*?'{3,5} | "(?:\\.|[^"\\\n])*" | '[^'\n]*')
    | (?P<mark>[\[\]{}=,.]) | (?P<bare>[^\s\[\]{}=,."'\#]+)""",
    re.DOTALL | re.VERBOSE,
)
_END = ("end", "", 0)


class TooDeep(Exception):
    """Nested or dotted deeper than `DEEPEST`, on `line`."""

    def __init__(self, line: int) -> None:
        super().__init__(line)
        self.line = line


class _Lost(Exception):
    """No TOML from here on."""


def lines_of(text: str) -> Mapping[Path, int]:
    """Path -> line, from 1. Where a file goes wrong, what stands before it.

    Raises:
        TooDeep: `tomllib` should not be asked to read it.
    """
    scan = _Scan(text)
    with suppress(_Lost):
        scan.document()
    return scan.lines


class _Scan:
    def __init__(self, text: str) -> None:
        self.lines: dict[Path, int] = {}
        self._tokens: list[tuple[str, str, int]] = []
        self._at = 0
        place, line = 0, 1
        while found := _TOKEN.match(text, place):
            kind, piece = str(found.lastgroup), found.group()
            if kind != "blank":
                self._tokens.append((kind, piece, line))
            place, line = found.end(), line + piece.count("\n")

    def document(self) -> None:
        table: Path = ()
        while self._next_of_any_line() != _END:
            if self._take("["):
                self._take("[")
                table = self._key(())
                while self._take("]"):
                    pass
            else:
                self._pair(table)

    def _pair(self, table: Path) -> None:
        path = self._key(table)
        if not self._take("="):
            raise _Lost
        self._value(path)

    def _key(self, table: Path) -> Path:
        """A dotted key; each part of it has its line, the first time it is met."""
        path, line = table, self._next[2]
        while True:
            kind, piece, _ = self._next
            if kind not in ("bare", "string"):
                raise _Lost
            path = self._below(path, piece if kind == "bare" else _unquoted(piece), line)
            self._at += 1
            if not self._take("."):
                return path

    def _value(self, path: Path) -> None:
        if self._take("["):
            number = 0
            while self._next_of_any_line()[1] != "]":
                self._value(self._below(path, number, self._next[2]))
                number += 1
                if self._next_of_any_line()[1] != "]" and not self._take(","):
                    raise _Lost
            self._at += 1
        elif self._take("{"):
            while self._next_of_any_line()[1] != "}":
                self._pair(path)
                if self._next_of_any_line()[1] != "}" and not self._take(","):
                    raise _Lost
            self._at += 1
        else:
            start = self._at
            while self._next[0] in ("string", "bare") or self._next[1] == ".":
                self._at += 1
            if self._at == start:
                raise _Lost

    def _below(self, path: Path, part: str | int, line: int) -> Path:
        if len(path) >= DEEPEST:
            raise TooDeep(line)
        path = (*path, part)
        self.lines.setdefault(path, line)
        return path

    @property
    def _next(self) -> tuple[str, str, int]:
        return self._tokens[self._at] if self._at < len(self._tokens) else _END

    def _next_of_any_line(self) -> tuple[str, str, int]:
        while self._next[0] == "newline":
            self._at += 1
        return self._next

    def _take(self, mark: str) -> bool:
        if self._next[:2] != ("mark", mark):
            return False
        self._at += 1
        return True


def _unquoted(piece: str) -> str:
    try:
        return str(tomllib.loads(f"k = {piece}")["k"])
    except tomllib.TOMLDecodeError:
        raise _Lost from None
