"""Preparing from outside: in a child process (`watch`), its result kept in a cache. No TensorFlow here."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from penult_service.errors import InvalidInput, ModelRefused, PenultError
from penult_service.files import new_directory
from penult_service.guard.folder import refuse_unsafe_files
from penult_service.guard.random_ops import RANDOM_OPS
from penult_service.prepared import Manifest, is_prepared, load_manifest
from penult_service.preparing import cached, modules, probe, sources
from penult_service.preparing.confined.watch import CONFINED, Allowed, Progress
from penult_service.preparing.confined.watch import run as _in_child
from penult_service.preparing.declarations import declaring
from penult_service.preparing.declarations.declaration import Declaration
from penult_service.preparing.identity import (
    PREPARER,
    cache_key,
    label_files,
    model_digest,
    tokenizer_files,
)
from penult_service.preparing.report import DropoutEffect, Verification

_log = logging.getLogger(__name__)


def prepare(
    source: Path,
    *,
    output: Path | None = None,
    cache: Path,
    layer: str | None = None,
    allow_ops: Collection[str] = (),
    allow_stochastic: bool = False,
    timeout: float = 900,
    memory_limit: int | None = None,
    progress: Progress | None = None,
) -> Path:
    """The prepared form of a model: from the cache when the same files were prepared before.

    Args:
        source: A saved model, or a prepared one (which is checked, and returned or copied to `output`).
        output: A new directory for the result, instead of the cache.
        cache: Where prepared models are kept.
        layer: A layer to read instead of the one in front of the dropout.
        allow_ops: Operations that the operator allows beside those of the allow list.
        allow_stochastic: A model that is random at inference too, with a warning in its manifest.
        timeout: Seconds after which the child is ended.
        memory_limit: Bytes resident at which the child is ended; by default what is free now, less a little.
        progress: Called with the stage and the share done.

    Raises:
        NotFound: nothing is there.
        InvalidInput: not a model, damaged, or `output` exists.
        ModelRefused: the model was read and is not served; or the child crashed, hung or ran out of memory.
    """
    if output is not None and output.exists() and (not output.is_dir() or any(output.iterdir())):
        raise InvalidInput(f"{output} is there already; name a new directory", reason="OUTPUT_EXISTS")
    source = sources.located(source)
    if is_prepared(source):
        manifest = load_manifest(source)
        original = _original_of(source, manifest)
        if original is None:
            return _as_it_is(source, manifest, output, layer, allow_stochastic)
        source, layer = sources.located(original), layer or _read_instead(manifest)
    declared = declaring.read(source)
    sources.refuse_links_out(_beside(source, declared))
    asked = _Asked(source, layer, tuple(allow_ops), allow_stochastic, declared)
    home = None if output is not None else cached.private(cache.absolute())
    asked = asked.with_handles(modules.recalled(home, asked.key))
    allowed = Allowed(timeout, memory_limit)
    for _ in range(2):
        target = _target(asked, output, home)
        if home is not None and cached.usable(target):
            return target
        handles = _made(asked, target, allowed, progress, kept=home is not None)
        if not handles:
            return target
        modules.remember(home, asked.key, handles)
        asked = asked.with_handles(handles)
    raise _left_something_else(source, "the same question again")


@dataclass(frozen=True)
class _Asked:
    """What is to be prepared, and how; all that its place in the cache depends on."""

    source: Path
    layer: str | None
    allow_ops: tuple[str, ...]
    allow_stochastic: bool
    declared: Declaration

    @cached_property
    def key(self) -> str:
        """Its name in the cache."""
        return cache_key(self.source, self.layer, self.allow_ops, self.allow_stochastic, self.declared)

    def with_handles(self, handles: Collection[str]) -> _Asked:
        """With the directories of the TF-Hub modules that the file turned out to need."""
        if not handles:
            return self
        found = modules.found(self.source, handles, self.declared.modules)
        return replace(self, declared=replace(self.declared, modules=found))

    def job(self, target: Path) -> dict[str, Any]:
        """As the child reads it."""
        readable = [*map(str, _beside(self.source, self.declared)), *self.declared.modules.values()]
        return {
            "what": "prepare",
            "source": str(self.source),
            "target": str(target),
            "layer": self.layer,
            "allow_ops": sorted(self.allow_ops),
            "allow_stochastic": self.allow_stochastic,
            "declared": self.declared.to_json(),
            "readable": readable,
        }


def _beside(source: Path, declared: Declaration) -> list[Path]:
    """Files that the child reads beside the model itself."""
    return [*tokenizer_files(source, declared), *([] if source.is_dir() else label_files(source))]


class _Wanted(Exception):
    """The file needs modules of TF-Hub, which the child may not read without being allowed to."""

    def __init__(self, handles: list[str]) -> None:
        super().__init__(handles)
        self.handles = handles


def _target(asked: _Asked, output: Path | None, home: Path | None) -> Path:
    if output is not None:
        return output.absolute()
    assert home is not None
    return home / asked.key


def _made(
    asked: _Asked, target: Path, allowed: Allowed, progress: Progress | None, *, kept: bool
) -> list[str]:
    """Prepares into `target`: nothing, or the handles of the modules without which that cannot be done."""
    try:
        with new_directory(target) as draft:  # removed however the child ends
            made = draft / "model"
            told = _in_child(asked.job(made), allowed, progress)
            if told.get("handles"):
                raise _Wanted([str(handle) for handle in told["handles"]])
            _refuse_leavings(asked.source, draft, made)
            for path in list(made.iterdir()):
                path.rename(draft / path.name)
            made.rmdir()
    except _Wanted as wanted:
        return wanted.handles
    except OSError as error:
        if kept and cached.usable(target):  # another process prepared it in the meantime
            return []
        where = "--data" if kept else "--output"
        raise InvalidInput(
            f"{target} cannot be written ({error.strerror or error}); name another place with {where} DIR",
            reason="CACHE_NOT_WRITABLE" if kept else "OUTPUT_NOT_WRITABLE",
        ) from error
    return []


def verify(
    source: Path,
    *,
    cache: Path,
    texts: Sequence[str] | None = None,
    allow_ops: Collection[str] = (),
    timeout: float = 900,
    memory_limit: int | None = None,
    progress: Progress | None = None,
) -> Verification:
    """The proof, and what active dropout in front of the head would do to `texts` (by default 120 sentences).

    A prepared model that is not proven is not refused: its report says so.

    Raises:
        As `prepare`.
    """
    prepared = prepare(
        source,
        cache=cache,
        allow_ops=allow_ops,
        allow_stochastic=is_prepared(source),
        timeout=timeout,
        memory_limit=memory_limit,
        progress=progress,
    )
    manifest = load_manifest(prepared)
    if progress is not None:
        progress("measuring what dropout would do", 1.0)
    job = {
        "what": "effect",
        "source": str(prepared),
        "texts": list(texts or probe.SENTENCES),
        "allow_ops": sorted(allow_ops) if manifest.proof.proven else sorted({*allow_ops, *RANDOM_OPS}),
    }
    told = _in_child(job, Allowed(timeout, memory_limit), None)
    effect = told["effect"]
    return Verification(manifest, DropoutEffect(**effect) if effect else None, told.get(CONFINED, ""))


def _refuse_leavings(source: Path, draft: Path, made: Path) -> None:
    """What the child left is looked at by its kinds before it is touched: links would lead this process elsewhere."""
    try:
        refuse_unsafe_files(draft)
        if made.is_dir() and not made.is_symlink() and list(draft.iterdir()) == [made]:
            return
        why = "no directory, or files beside it"
    except PenultError as error:
        why = error.reason
    raise _left_something_else(source, why)


def _left_something_else(source: Path, why: str) -> ModelRefused:
    return ModelRefused(
        f"the process that prepared {source} left something else than a prepared model ({why}); look at what the model "
        "does when it is loaded",
        reason="PREPARE_CRASHED",
    )


def _original_of(prepared: Path, manifest: Manifest) -> Path | None:
    """The model that another version of the preparer made this of, if it is still there and still the same."""
    if manifest.preparer == PREPARER:
        return None
    original = Path(manifest.source)
    there = original.exists() and not is_prepared(original)
    if there and model_digest(original, declaring.read(original)) == manifest.model_digest:
        return original
    _log.warning(
        "%s was prepared by %s, this is %s; its model is not in %s any more, so its proof is used as it was made then",
        *(prepared, manifest.preparer, PREPARER, original),
    )
    return None


def _as_it_is(
    prepared: Path, manifest: Manifest, output: Path | None, layer: str | None, allow_stochastic: bool
) -> Path:
    """A prepared model, or a copy of it, when it is what was asked for."""
    if not (manifest.proof.proven or allow_stochastic):
        raise _not_proven(prepared, manifest)
    if layer is not None and manifest.readout(layer) is None:
        raise InvalidInput(
            f"{prepared} is prepared already, without layer {layer!r}; prepare the original model with --layer",
            reason="LAYER_NOT_PREPARED",
        )
    return prepared if output is None else _copied(prepared, output.absolute())


def _read_instead(manifest: Manifest) -> str | None:
    """The layer that was read instead of the one in front of the dropout; None: that one."""
    layer = manifest.readouts[0].layer
    return None if layer == manifest.seam else layer


def _not_proven(prepared: Path, manifest: Manifest) -> ModelRefused:
    why = "; ".join(manifest.warnings) or "its manifest says that it is not proven"
    return ModelRefused(
        f"{prepared} was prepared with --allow-stochastic ({why}); serve it with --allow-stochastic "
        "(PENULT_ALLOW_STOCHASTIC=1) too, or prepare a model that is not random at inference",
        reason="NOT_PROVEN",
    )


def _copied(source: Path, output: Path) -> Path:
    with new_directory(output) as draft:
        shutil.copytree(source, draft, dirs_exist_ok=True)
    return output
