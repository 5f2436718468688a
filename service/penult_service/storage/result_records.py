"""What is known of a stored result, and a result that is read."""

from __future__ import annotations

import weakref
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any

from numpy.typing import NDArray

from penult_service.storage.arrays import ArrayPlace
from penult_service.storage.lives import Life


@dataclass(frozen=True)
class RowsOf:
    """The rows that a result belongs to: the first `rows` of one life of a set, or rows that were never stored.

    `id_digest` as `Snapshot.id_digest`; `dataset` and `generation` empty for rows that came with the request. Of a
    result that took in more rows, only the first are of the set.
    """

    rows: int
    id_digest: str = ""
    dataset: str = ""
    generation: str = ""
    embedding_space: str = ""


@dataclass(frozen=True)
class ResultInfo:
    """What is known of a result without its arrays. `problem` says which file is damaged.

    `updated`: when it was last changed, empty: never; `life` names its directory; `array_bytes` is by array.
    """

    name: str
    created: str = ""
    parameters: Mapping[str, Any] = field(default_factory=dict)
    facts: Mapping[str, Any] = field(default_factory=dict)
    source: RowsOf = RowsOf(0)
    versions: Mapping[str, str] = field(default_factory=dict)
    bytes: int = 0
    durable: bool = False
    problem: str = ""
    updated: str = ""
    life: str = ""
    array_bytes: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class StoredResult:
    """A result: `arrays` are mapped into memory, read-only, and stay valid when it is deleted or overwritten."""

    info: ResultInfo
    arrays: Mapping[str, NDArray[Any]]


class HeldResult:
    """A result whose files stay where they are, also when it is deleted or overwritten, until it is closed.

    Attributes:
        info: What is known of it.
        places: Where its arrays lie, by name; those that were asked for are what was written.
    """

    def __init__(self, info: ResultInfo, places: Mapping[str, ArrayPlace], life: Life) -> None:
        """`life` has been entered for it."""
        self.info, self.places = info, places
        self._close = weakref.finalize(self, life.leave)
        self._close.atexit = False

    def __enter__(self) -> HeldResult:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Let the files go."""
        self._close()


@dataclass(frozen=True)
class ResultPage:
    """Results in the order of their names; `next_page_token` is empty on the last page."""

    results: tuple[ResultInfo, ...]
    next_page_token: str
