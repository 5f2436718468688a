"""Vocabularies of KerasHub tokenizers: their configurations hold none, the files beside them do.

Each is put into the configuration that its tokenizer is built from: a tokenizer without one cannot be called, and a
functional model calls it while it is built.
"""

from __future__ import annotations

import base64
import copy
import io
import json
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path, PurePosixPath
from typing import Any

from penult_service.errors import ModelRefused
from penult_service.guard.damage import damaged
from penult_service.preparing.formats.keras_saved import KerasFile, named

PACKAGES = ("keras_hub", "keras_nlp")
WORDS, PAIRS, MERGES, PIECES = "vocabulary.txt", "vocabulary.json", "merges.txt", "vocabulary.spm"
# What else people call these files, where they lie beside a model.
_ALSO = {WORDS: ("vocab.txt",), PAIRS: ("vocab.json",), MERGES: (), PIECES: ("spiece.model",)}
_MAX_BYTES = 256 << 20
_ASSETS = "assets/"

Finder = Callable[[dict[str, Any], str], bytes]
"""The entry of a tokenizer in a configuration, the name of its file -> what the file holds."""


def is_from_hub(config: Any) -> bool:
    """Whether a configuration names a class of KerasHub."""
    return any(_is_hub_class(found) for found in named(config))


def classes() -> dict[str, Any]:
    """The classes of KerasHub by name, for an `.h5`, whose configuration has lost where they are from."""
    import keras
    import keras_hub  # noqa: F401  (registers them)

    known = keras.saving.get_custom_objects()
    return {name.partition(">")[2]: cls for name, cls in known.items() if name.partition(">")[0] in PACKAGES}


def with_words(file: KerasFile) -> KerasFile:
    """The same file with the vocabulary of each tokenizer in its configuration.

    Raises:
        ModelRefused: NO_VOCABULARY, the files that are missing are named; SEVERAL_VOCABULARIES.
        InvalidInput: DAMAGED.
    """
    config = put_in(str(file.source), file.config, _in_archive(file) if file.archive else _beside(file))
    return file if config is file.config else file.with_config(config)


def put_in(what: str, config: dict[str, Any], find: Finder) -> dict[str, Any]:
    """A configuration with vocabularies; the one that was given when no tokenizer in it lacks one.

    Args:
        what: The model, for messages.
        config: The configuration.
        find: Gives the content of a file.

    Raises:
        ModelRefused: FILE_DAMAGED, and what `find` raises.
    """
    if not any(map(_lacks, named(config))):
        return config
    config = copy.deepcopy(config)
    for found in [found for found in named(config) if _lacks(found)]:
        settings = found["config"]
        try:
            if "proto" in settings:
                settings["proto"] = base64.b64encode(find(found, PIECES)).decode("ascii")
            elif _is_pairs(found):
                settings["vocabulary"] = _pairs(find(found, PAIRS))
                settings["merges"] = _lines(find(found, MERGES))
            else:
                settings["vocabulary"] = _lines(find(found, WORDS))
        except ValueError as error:
            name = found["class_name"]
            raise ModelRefused(
                f"{what}: the vocabulary of its {name} cannot be read ({str(error)[:200]}); save the model again",
                reason="FILE_DAMAGED",
            ) from error
    return config


def _in_archive(file: KerasFile) -> Finder:
    """From the archive's `assets/`, whose places are not those of the configuration: one of a kind, or all the same."""

    def find(tokenizer: dict[str, Any], name: str) -> bytes:
        try:
            with zipfile.ZipFile(file.source) as archive:
                entries = [
                    entry
                    for entry in archive.infolist()
                    if entry.filename.startswith(_ASSETS) and PurePosixPath(entry.filename).name == name
                ]
                if any(entry.file_size > _MAX_BYTES for entry in entries):
                    raise ModelRefused(
                        f"{file.source}: its {name} has more than {_MAX_BYTES >> 20} MiB", reason="TOO_LARGE"
                    )
                contents = {archive.read(entry) for entry in entries}
        except (zipfile.BadZipFile, OSError, EOFError, NotImplementedError) as error:
            raise damaged(file.source, error) from error
        if len(contents) > 1:
            raise ModelRefused(
                f"{file.source} holds {len(contents)} different {name}, and does not say which tokenizer has which; "
                "save a model with one tokenizer",
                reason="SEVERAL_VOCABULARIES",
            )
        if not contents:
            raise _missing(f"{file.source} does not hold", tokenizer, name, "save the model as .keras again")
        return next(iter(contents))

    return find


def _beside(file: KerasFile) -> Finder:
    """From the folder of an `.h5`, which holds no vocabulary."""
    folder = file.source.parent

    def find(tokenizer: dict[str, Any], name: str) -> bytes:
        for other in (name, *_ALSO[name]):
            if (folder / other).is_file():
                return read_file(folder / other)
        names = " or ".join((name, *_ALSO[name]))
        ask = f"put {names} into its folder, or save the model as .keras, which holds it: model.save('model.keras')"
        raise _missing(f"{file.source} does not hold, as no .h5 does,", tokenizer, name, ask)

    return find


def read_file(path: Path) -> bytes:
    """What a vocabulary file holds. Raises ModelRefused: TOO_LARGE."""
    if path.stat().st_size > _MAX_BYTES:
        raise ModelRefused(f"{path} has more than {_MAX_BYTES >> 20} MiB", reason="TOO_LARGE")
    return path.read_bytes()


def _missing(start: str, tokenizer: Mapping[str, Any], name: str, ask: str) -> ModelRefused:
    return ModelRefused(
        f"{start} the vocabulary of its {tokenizer['class_name']} ({name}); {ask}",
        reason="NO_VOCABULARY",
        metadata={"file": name},
    )


def _is_hub_class(found: Mapping[str, Any]) -> bool:
    package = str(found.get("registered_name") or found["class_name"]).partition(">")[0]
    module = str(found.get("module") or "").partition(".")[0]
    return package in PACKAGES or module in PACKAGES


def _lacks(found: Mapping[str, Any]) -> bool:
    settings = found.get("config")
    if not isinstance(settings, dict) or not found["class_name"].endswith("Tokenizer"):
        return False
    return any(key in settings and settings[key] is None for key in ("vocabulary", "proto")) or (
        _is_pairs(found) and "vocabulary" not in settings
    )


def _is_pairs(found: Mapping[str, Any]) -> bool:
    return "unsplittable_tokens" in found["config"]


def _pairs(content: bytes) -> dict[str, int]:
    found = json.loads(content.decode("utf-8"))
    if not isinstance(found, dict) or not all(type(number) is int for number in found.values()):
        raise ValueError("it is no object of tokens and ids")
    return found


def _lines(content: bytes) -> list[str]:
    """As KerasHub reads them: in text mode, without the white space at the ends."""
    return [line.rstrip() for line in io.StringIO(content.decode("utf-8"), newline=None)]
