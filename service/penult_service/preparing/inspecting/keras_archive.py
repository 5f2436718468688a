"""A `.keras` file: a zip of a configuration, weights in HDF5, and assets. None of it is unpacked to a named place."""

from __future__ import annotations

import stat
import tempfile
import zipfile
import zlib
from pathlib import Path
from typing import IO

from penult_service.errors import InvalidInput, ModelRefused
from penult_service.guard.damage import damaged
from penult_service.guard.tables import leads_out
from penult_service.preparing.inspecting import hdf5, keras_config
from penult_service.preparing.inspecting.kinds import HDF5_MAGIC

MAX_ENTRIES = 10_000
MAX_INFLATED_BYTES = 16 << 30
MAX_RATIO = 100  # inflated : packed, above the size where it matters; Keras itself does not pack
_SMALL = 16 << 20
_PACKINGS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
_BLOCK = 1 << 20
CONFIG = "config.json"
# How the model was trained: a loss or an optimizer may be of the author's own. Nothing is built of it: whoever reads
# the file does not compile the model.
_TRAINING = "compile_config"


def refuse_harmful(source: Path) -> tuple[str, ...]:
    """Refuses an archive that leads out of itself, is a bomb, or whose contents would do harm.

    Returns:
        As `keras_config.refuse_harmful`.

    Raises:
        ModelRefused: LEAVES_THE_FILE, BOMB, TOO_MANY_FILES, AMBIGUOUS_ENTRY, and the reasons of the parts.
        InvalidInput: DAMAGED.
    """
    handles: tuple[str, ...] = ()
    try:
        with zipfile.ZipFile(source) as archive:
            entries = archive.infolist()
            _refuse_entries(source, entries)
            for entry in entries:
                if entry.is_dir():
                    continue
                with archive.open(entry) as file, tempfile.TemporaryFile() as place:
                    _copy(source, entry, file, place)
                    handles += _refuse_content(f"{source} ({entry.filename})", entry.filename, place)
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, OSError, ValueError) as error:
        raise damaged(source, error) from error
    return handles


def _refuse_entries(source: Path, entries: list[zipfile.ZipInfo]) -> None:
    """By what the archive's directory says, before any of it is inflated."""
    if len(entries) > MAX_ENTRIES:
        raise ModelRefused(f"{source} holds more than {MAX_ENTRIES:,} entries", reason="TOO_MANY_FILES")
    names: set[str] = set()
    for entry in entries:
        kind = stat.S_IFMT(entry.external_attr >> 16)
        if leads_out(entry.filename.rstrip("/")) or leads_out(entry.orig_filename.rstrip("/")):
            raise _leaves(source, entry, "its name leads out of the archive")
        if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
            raise _leaves(source, entry, "it is a link or a device")
        if entry.flag_bits & 1 or entry.compress_type not in _PACKINGS:
            raise InvalidInput(
                f"{source} is encrypted, or packed in an unusual way ({entry.filename[:200]}); save the model again",
                reason="DAMAGED",
            )
        if entry.filename in names:
            raise ModelRefused(
                f"{source} holds {entry.filename!r} twice, so that what is read cannot be told; save the model again",
                reason="AMBIGUOUS_ENTRY",
            )
        names.add(entry.filename)
        if entry.file_size > max(_SMALL, MAX_RATIO * entry.compress_size):
            raise _bomb(source, entry.filename, entry.file_size)
    total = sum(entry.file_size for entry in entries)
    if total > min(MAX_INFLATED_BYTES, max(_SMALL, MAX_RATIO * source.stat().st_size)):
        raise _bomb(source, "all entries", total)


def _copy(source: Path, entry: zipfile.ZipInfo, file: IO[bytes], place: IO[bytes]) -> None:
    """Inflates one entry to a file without a name; what comes out counts, whatever the directory says."""
    size = 0
    while block := file.read(_BLOCK):
        size += len(block)
        if size > entry.file_size:
            raise _bomb(source, entry.filename, size)
        place.write(block)
    if size < entry.file_size:
        raise EOFError(f"{entry.filename} ends early")
    place.seek(0)


def _refuse_content(what: str, name: str, place: IO[bytes]) -> tuple[str, ...]:
    if name == CONFIG:
        config = keras_config.parse(what, place.read(keras_config.MAX_CONFIG_BYTES + 1))
        if isinstance(config, dict):
            config.pop(_TRAINING, None)
        return keras_config.refuse_harmful(what, config)
    if name.endswith(".json"):
        keras_config.parse(what, place.read(keras_config.MAX_CONFIG_BYTES + 1))
    elif name.endswith(".h5") or place.read(len(HDF5_MAGIC)) == HDF5_MAGIC:
        place.seek(0)
        return hdf5.refuse_harmful_content(what, place)
    return ()


def _leaves(source: Path, entry: zipfile.ZipInfo, why: str) -> ModelRefused:
    return ModelRefused(
        f"{source} holds the entry {entry.filename[:200]!r}: {why}; save the model again with Keras",
        reason="LEAVES_THE_FILE",
    )


def _bomb(source: Path, what: str, size: int) -> ModelRefused:
    return ModelRefused(
        f"{source} inflates to {size / 2**20:,.4g} MiB or more ({what}), far beyond its own size; save the model again "
        "with Keras, which does not pack weights",
        reason="BOMB",
    )
