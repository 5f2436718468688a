"""The last look at a prepared model before TensorFlow loads it, whoever made it."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from penult_service.guard import folder, pieces, saved_model, sizes, tables
from penult_service.guard.allowed import refuse_others


def check(directory: Path, allow: Collection[str] = (), source: Path | None = None) -> None:
    """Refuses a SavedModel that leads out of its folder, or that holds an operation outside the allow list.

    Nothing of it has run when this returns or raises. `allow` are names that the operator allows too; `source`, what
    it was made from, is named instead of a draft.

    Raises:
        InvalidInput, ModelRefused: as `folder.refuse_unsafe_files`, `saved_model.read`, `sizes.refuse_bombs`,
            `sizes.refuse_claims`, `allowed.refuse_others`, `tables.refuse_outside_files` and `pieces.refuse_damaged`.
    """
    folder.refuse_unsafe_files(directory)
    graph, what = saved_model.read(directory), str(source or directory)
    sizes.refuse_bombs(what, graph)
    sizes.refuse_claims(directory)
    refuse_others(what, graph.uses(), allow)
    tables.refuse_outside_files(what, graph)
    pieces.refuse_damaged(what, graph)
