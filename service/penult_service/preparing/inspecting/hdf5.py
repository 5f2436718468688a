"""An HDF5 file (`.h5`, or the weights in a `.keras` file): its links and its declared sizes, and Keras' configuration.

HDF5 files can point to other files, by links, by data kept elsewhere and by data sets put together from others. Each of
these is looked at without being followed.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

import h5py

from penult_service.errors import ModelRefused
from penult_service.guard.damage import damaged
from penult_service.guard.sizes import MAX_TENSOR_BYTES
from penult_service.preparing.inspecting import keras_config

MAX_OBJECTS = 100_000
MAX_RATIO = 100  # declared : stored, above the size where it matters
_SMALL = 16 << 20
# Not `training_config`: a loss or an optimizer may be of the author's own, and whoever reads the file builds none.
_CONFIG = "model_config"


def refuse_harmful(source: Path) -> tuple[str, ...]:
    """As `refuse_harmful_content`, of a file by its path."""
    with source.open("rb") as file:
        return refuse_harmful_content(str(source), file)


def refuse_harmful_content(what: str, content: IO[bytes]) -> tuple[str, ...]:
    """Refuses a file that points out of itself, that is a bomb, or whose configuration would do harm.

    Returns:
        As `keras_config.refuse_harmful`.

    Raises:
        ModelRefused: LEAVES_THE_FILE, BOMB, TOO_LARGE, TOO_MANY_FILES, and the reasons of `keras_config`.
        InvalidInput: DAMAGED.
    """
    size = content.seek(0, os.SEEK_END)
    try:
        with h5py.File(content, "r") as file:
            _refuse_datasets(what, file, size)
            return _refuse_config(what, file)
    except (OSError, KeyError, ValueError, RuntimeError, TypeError, OverflowError) as error:
        raise damaged(what, error) from error


def _refuse_datasets(what: str, file: h5py.File, size: int) -> None:
    total = 0
    for path, dataset in _datasets(what, file):
        if dataset.external or dataset.is_virtual:
            raise _leaves(what, path, "its data lie in other files")
        declared = math.prod(dataset.shape or ()) * dataset.dtype.itemsize
        total += declared
        if declared > MAX_TENSOR_BYTES:
            raise ModelRefused(
                f"{what} declares {declared / 2**30:,.3g} GiB at {path}, more than {MAX_TENSOR_BYTES >> 30} GiB; save "
                "a smaller model",
                reason="TOO_LARGE",
            )
        if total > max(_SMALL, MAX_RATIO * size):
            raise ModelRefused(
                f"{what} declares {total / 2**20:,.4g} MiB of data or more ({path}), far beyond its own size; save the "
                "model again with Keras",
                reason="BOMB",
            )


def _datasets(what: str, file: h5py.File) -> Iterator[tuple[str, Any]]:
    """Every data set with its path; each object once, links that leave the file refused."""
    waiting: list[tuple[str, Any]] = [("", file)]
    seen: set[Any] = set()
    objects = 0
    while waiting:
        path, group = waiting.pop()
        for name in group:
            objects += 1
            if objects > MAX_OBJECTS:
                raise ModelRefused(f"{what} holds more than {MAX_OBJECTS:,} objects", reason="TOO_MANY_FILES")
            where = f"{path}/{name}"
            link = group.get(name, getlink=True)
            if isinstance(link, h5py.ExternalLink):
                raise _leaves(what, where, f"a link to the file {str(link.filename)[:200]!r}")
            if isinstance(link, h5py.SoftLink):
                continue  # to a path in this file: what is there is met where it stands
            found = group[name]
            key = h5py.h5o.get_info(found.id).addr
            if key not in seen:
                seen.add(key)
                if isinstance(found, h5py.Group):
                    waiting.append((where, found))
                elif isinstance(found, h5py.Dataset):
                    yield where, found


def _refuse_config(what: str, file: h5py.File) -> tuple[str, ...]:
    """The attribute that Keras builds a model from, where it is."""
    if _CONFIG not in file.attrs:
        return ()
    where, text = f"{what} ({_CONFIG})", file.attrs[_CONFIG]
    if not isinstance(text, (str, bytes)):
        raise ValueError(f"{_CONFIG} is no text")
    return keras_config.refuse_harmful(where, keras_config.parse(where, text))


def _leaves(what: str, path: str, why: str) -> ModelRefused:
    return ModelRefused(
        f"{what} leads out of itself at {path}: {why}; save the model again", reason="LEAVES_THE_FILE"
    )
