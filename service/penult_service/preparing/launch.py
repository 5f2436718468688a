"""Preparing from outside: in a child process (`watch`), its result kept in a cache. No TensorFlow here."""

from __future__ import annotations

import logging
import os
import shutil
import stat
import time
from collections.abc import Collection, Sequence
from pathlib import Path

from penult_service.errors import InvalidInput, ModelRefused, NotFound, PenultError
from penult_service.files import new_directory
from penult_service.guard.folder import refuse_unsafe_files
from penult_service.guard.random_ops import RANDOM_OPS
from penult_service.prepared import Manifest, is_prepared, load_manifest
from penult_service.preparing import probe
from penult_service.preparing.identity import PREPARER, cache_key, model_digest
from penult_service.preparing.inspecting import kinds
from penult_service.preparing.report import DropoutEffect, Verification
from penult_service.preparing.watch import CONFINED, Allowed, Progress
from penult_service.preparing.watch import run as _in_child

_DAY = 86_400.0  # seconds
_LOOK = 120.0  # seconds for looking at one file: the HDF5 library does not end on some damaged ones

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
    source = _located(source)
    if output is not None and output.exists() and (not output.is_dir() or any(output.iterdir())):
        raise InvalidInput(f"{output} is there already; name a new directory", reason="OUTPUT_EXISTS")
    if source.is_file():
        raise _refused_file(source, Allowed(timeout, memory_limit), progress)
    refuse_unsafe_files(source)
    if is_prepared(source):
        manifest = load_manifest(source)
        original = _original_of(source, manifest)
        if original is None:
            return _as_it_is(source, manifest, output, layer, allow_stochastic)
        refuse_unsafe_files(original)
        source, layer = original, layer or _read_instead(manifest)
    key = cache_key(source, layer, allow_ops, allow_stochastic)
    target = output.absolute() if output is not None else _private(cache.absolute()) / key
    if output is None and _usable(target):
        return target
    job = {
        "what": "prepare",
        "source": str(source),
        "layer": layer,
        "allow_ops": sorted(allow_ops),
        "allow_stochastic": allow_stochastic,
    }
    try:
        with new_directory(target) as draft:  # removed however the child ends
            made = draft / "model"
            _in_child({**job, "target": str(made)}, Allowed(timeout, memory_limit), progress)
            _refuse_leavings(source, draft, made)
            for path in list(made.iterdir()):
                path.rename(draft / path.name)
            made.rmdir()
    except OSError as error:
        if output is None and _usable(target):  # another process prepared it in the meantime
            return target
        where = "--output" if output is not None else "--data"
        raise InvalidInput(
            f"{target} cannot be written ({error.strerror or error}); name another place with {where} DIR",
            reason="CACHE_NOT_WRITABLE" if output is None else "OUTPUT_NOT_WRITABLE",
        ) from error
    return target


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
    raise ModelRefused(
        f"the process that prepared {source} left something else than a prepared model ({why}); look at what the model "
        "does when it is loaded",
        reason="PREPARE_CRASHED",
    )


def _located(source: Path) -> Path:
    source = source.absolute()
    if not source.exists():
        raise NotFound(f"there is no {source}; name the directory of a saved model", reason="NO_SUCH_PATH")
    return source


def _original_of(prepared: Path, manifest: Manifest) -> Path | None:
    """The model that another version of the preparer made this of, if it is still there and still the same."""
    if manifest.preparer == PREPARER:
        return None
    original = Path(manifest.source)
    if original.is_dir() and not is_prepared(original) and model_digest(original) == manifest.model_digest:
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


def _refused_file(source: Path, allowed: Allowed, progress: Progress | None) -> PenultError:
    """Why a file is not served: a child looks for what would do harm in it; without that, for its format."""
    try:
        looks_like_one = kinds.is_archive(source) or kinds.is_hdf5(source)
    except OSError as error:
        return InvalidInput(
            f"{source} cannot be read ({error.strerror}); change its rights", reason="DAMAGED"
        )
    if looks_like_one:
        look = Allowed(min(allowed.seconds, _LOOK), allowed.memory)
        try:
            _in_child({"what": "inspect", "source": str(source)}, look, progress)
        except PenultError as error:
            return _endless(source, look) if error.reason == "PREPARE_TIMEOUT" else error
    return ModelRefused(
        f"{source} is a file; this release reads SavedModel directories: load it with tf_keras and save it "
        "again with model.save('a_directory')",
        reason="UNSUPPORTED_FORMAT",
    )


def _endless(source: Path, look: Allowed) -> PenultError:
    return InvalidInput(
        f"{source} is damaged: looking at it had not ended after {look.seconds:g} s; copy it again",
        reason="DAMAGED",
    )


def _copied(source: Path, output: Path) -> Path:
    with new_directory(output) as draft:
        shutil.copytree(source, draft, dirs_exist_ok=True)
    return output


def _private(cache: Path) -> Path:
    """The cache directory, for this user alone: what is in it is trusted."""
    try:
        cache.parent.mkdir(parents=True, exist_ok=True)
        cache.mkdir(mode=0o700, exist_ok=True)
    except OSError as error:
        raise InvalidInput(
            f"{cache} cannot be made ({error.strerror}), and prepared models are kept there; "
            "give another place with --data DIR",
            reason="CACHE_NOT_WRITABLE",
        ) from error
    found = cache.stat()
    if found.st_uid != os.geteuid() or found.st_mode & 0o022:
        raise InvalidInput(
            f"{cache} belongs to another user, or others may write to it, so what is in it cannot be trusted; "
            f"chmod 700 {cache}, or give another place with --data DIR",
            reason="CACHE_NOT_PRIVATE",
        )
    for draft in cache.glob(".*.partial"):  # left by a child that was killed while it wrote
        if time.time() - draft.stat().st_mtime > _DAY:
            shutil.rmtree(draft, ignore_errors=True)
    return cache


def _usable(target: Path) -> bool:
    """Whether the cache has it whole; what is damaged is removed, to be made again. InvalidInput: not ours."""
    if not os.path.lexists(target):
        return False
    _refuse_foreign(target)
    try:
        load_manifest(target)
    except InvalidInput:
        if target.is_dir():
            shutil.rmtree(target)
        else:
            target.unlink()
        return False
    return True


def _refuse_foreign(entry: Path) -> None:
    """What is in the cache is loaded as it is, so nobody else may have had a hand in it."""
    for path in (entry, *entry.rglob("*")):
        found = path.lstat()
        what = ""
        if stat.S_ISLNK(found.st_mode):
            what = "is a link"
        elif found.st_uid != os.geteuid():
            what = "belongs to another user"
        elif found.st_mode & 0o002:
            what = "may be written by everybody"
        if what:
            raise InvalidInput(
                f"{path}, in the cache of prepared models, {what}, so it cannot be trusted; remove {entry}, and the "
                "model is prepared again",
                reason="CACHE_NOT_PRIVATE",
            )
