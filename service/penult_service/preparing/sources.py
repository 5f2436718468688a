"""What a person named as a model: a directory, a file, or a folder with one model file in it. No TensorFlow here."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from penult_service.errors import InvalidInput, ModelRefused, NotFound, PenultError
from penult_service.guard.folder import refuse_unsafe_files
from penult_service.prepared import is_prepared
from penult_service.preparing.formats.hf_classifier import is_directory
from penult_service.preparing.inspecting import kinds

_SUFFIXES = (".keras", ".h5", ".hdf5")
_WEIGHTS = ".weights.h5"  # of a KerasHub preset, or of `save_weights`: no model in itself
_ARCHIVE_MAGIC = b"PK\x03\x04"
# Files of a directory that is a model as a whole.
_PARTS = ("saved_model.pb", "keras_metadata.pb", "config.json", "tokenizer.json", "penult.json")
_PART_SUFFIXES = (".safetensors", ".index", ".bin")


def located(source: Path) -> Path:
    """The directory or the file to read, absolute; its kind and the kinds of what lies in it have been looked at.

    Raises:
        NotFound: NO_SUCH_PATH.
        InvalidInput: DAMAGED; NOT_A_MODEL, a file that is none; SEVERAL_MODELS, a folder with several model files.
        ModelRefused: SPECIAL_FILE, and as `refuse_unsafe_files`.
    """
    source = source.absolute()
    if not source.exists():
        raise NotFound(
            f"there is no {source}; name the directory of a saved model, or a .keras or .h5 file",
            reason="NO_SUCH_PATH",
        )
    if source.is_dir():
        refuse_unsafe_files(source)
        source = source if is_prepared(source) else _only_file(source) or source
    if not source.is_dir():
        _refuse_other_files(source)
    return source


def refuse_links_out(files: Iterable[Path]) -> None:
    """Refuses files beside a model that are links out of their folder, as `refuse_unsafe_files` does inside of one.

    Raises:
        ModelRefused: LINK_OUTSIDE.
    """
    for path in files:
        if path.is_symlink() and not path.resolve().is_relative_to(path.parent.resolve()):
            raise ModelRefused(
                f"{path} is a link out of the folder; put the file itself in its place", reason="LINK_OUTSIDE"
            )


def _only_file(folder: Path) -> Path | None:
    """The model file that a folder holds instead of being a model itself."""
    files = [path for path in folder.iterdir() if path.is_file() and not path.name.startswith(".")]
    whole = (folder / "saved_model.pb").exists() or is_directory(folder)
    if whole or any(path.name.endswith(_WEIGHTS) for path in files):
        return None
    models = sorted(path for path in files if path.suffix in _SUFFIXES)
    if len(models) > 1:
        names = ", ".join(path.name for path in models[:5]) + (", ..." if len(models) > 5 else "")
        raise InvalidInput(
            f"{folder} holds several model files ({names}); name one of them, or keep one in a folder",
            reason="SEVERAL_MODELS",
        )
    return models[0] if models else None


def _refuse_other_files(source: Path) -> None:
    """Refuses what is neither an archive nor HDF5, so that no process is begun for it."""
    if not source.is_file():
        raise ModelRefused(
            f"{source} is no file but a pipe, a socket or a device; name a model", reason="SPECIAL_FILE"
        )
    try:
        if kinds.is_archive(source) or kinds.is_hdf5(source):
            return
        with source.open("rb") as file:
            begins = file.read(len(_ARCHIVE_MAGIC))
    except OSError as error:
        raise InvalidInput(
            f"{source} cannot be read ({error.strerror}); change its rights", reason="DAMAGED"
        ) from error
    raise _other_file(source, begins)


def _other_file(source: Path, begins: bytes) -> PenultError:
    if begins == _ARCHIVE_MAGIC or source.suffix in _SUFFIXES:
        what = "its end is missing" if begins == _ARCHIVE_MAGIC else "it is neither an archive nor HDF5"
        return InvalidInput(f"{source} is damaged or half copied ({what}); copy it again", reason="DAMAGED")
    if source.name in _PARTS or source.suffix in _PART_SUFFIXES:
        return InvalidInput(
            f"{source} is one file of a model that is a directory; name the directory: {source.parent}",
            reason="NOT_A_MODEL",
        )
    return InvalidInput(
        f"{source} is no model: it is neither a .keras file nor HDF5 (.h5); name one of these, or the directory of a "
        "saved model",
        reason="NOT_A_MODEL",
    )
