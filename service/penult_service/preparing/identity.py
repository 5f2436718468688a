"""What a model is known by: hashes of its files, and of what is declared of its computation."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Iterable
from pathlib import Path
from typing import Any

from penult_service.files import sha256_file
from penult_service.preparing.declarations import declaration
from penult_service.preparing.declarations.declaration import NOTHING, Declaration
from penult_service.preparing.formats.hf_classifier import is_directory
from penult_service.preparing.formats.hf_files import MAX_CONFIG
from penult_service.vectors import digest_of_parts

# Raised whenever the same files would be prepared to something else.
PREPARER = "penult-preparer-5"
TOKENIZER_FILES = (
    *("tokenizer.json", "tokenizer_config.json", "vocab.txt", "vocab.json", "merges.txt"),
    *("vocabulary.txt", "vocabulary.json", "vocabulary.spm", "spiece.model"),  # of KerasHub
)
_GRAPH = "saved_model.pb"
_COMPUTING = (_GRAPH, "variables", "assets", *TOKENIZER_FILES)
_HF_CONFIG = "config.json"
_HF_COMPUTING = ("model.safetensors", *TOKENIZER_FILES)
# What `config.json` says of names and origins, not of numbers.
_HF_NOTES = ("id2label", "label2id", "_name_or_path", "transformers_version", "finetuning_task")
# What lies in other folders beside what computes; `metadata.json` of a KerasHub preset has the day that it was saved.
_NOTES = ("labels.json", "metadata.json", "keras_metadata.pb", "training.json")


def model_digest(model: Path, declared: Declaration = NOTHING) -> str:
    """SHA-256 of the files that decide the computation, and of what is declared of it.

    Of a SavedModel: graph, weights, tokenizer assets. Of a Hugging Face directory: weights, tokenizer, and the settings
    but for the names of the classes. Of another directory: all but notes. Of a file: itself, and the files of a
    tokenizer beside it.
    """
    if model.is_file():
        files = digest_of_parts([sha256_file(model), _digest(model.parent, tokenizer_files(model))])
    elif is_directory(model):
        found = _digest(model, (path for name in _HF_COMPUTING for path in _files(model / name)))
        files = digest_of_parts([found, _settings(model / _HF_CONFIG)])
    elif (model / _GRAPH).exists():
        files = _digest(model, (path for name in _COMPUTING for path in _files(model / name)))
    else:
        files = _digest(model, (path for path in _declared_apart(model) if path.name not in _NOTES))
    said = _computing(declared)
    return digest_of_parts([files, json.dumps(said, sort_keys=True)]) if said else files


def cache_key(
    model: Path,
    layer: str | None,
    allow_ops: Collection[str] = (),
    allow_stochastic: bool = False,
    declared: Declaration = NOTHING,
) -> str:
    """Names the prepared form of exactly these files, this layer, with this allowed and declared, by this preparer.

    Of a Hugging Face directory, those that are read: checkpoints of training may lie there too.
    """
    more = [",".join(sorted(set(allow_ops)))] if allow_ops else []
    more += ["stochastic=1"] if allow_stochastic else []
    if declared != NOTHING:
        said = declared.to_json() | _computing(declared)
        more.append(
            "declared=" + json.dumps(said | {"inputs": list(declared.inputs.items())}, sort_keys=True)
        )
    return digest_of_parts([PREPARER, layer or "", _read(model), *more])[:40]


def tokenizer_files(model: Path, declared: Declaration = NOTHING) -> list[Path]:
    """The files of a tokenizer where one is declared; else beside the model: in its directory, or a file's folder."""
    folders = [Path(name).parent for name in declared.tokenizer] or [
        model if model.is_dir() else model.parent
    ]
    return [
        path
        for folder in dict.fromkeys(folders)
        for name in TOKENIZER_FILES
        if (path := folder / name).is_file()
    ]


def label_files(model: Path) -> list[Path]:
    """The files beside a model file that name its classes."""
    names = (f"{model.stem}.labels.json", "labels.json")
    return [path for name in names if (path := model.parent / name).is_file()]


def _read(model: Path) -> str:
    """Hash of all that is read of a model, notes included."""
    if model.is_file():
        # Not their names alone: which of two files of labels counts depends on the name of the model.
        labels = [sha256_file(path) for path in label_files(model)]
        return digest_of_parts([model_digest(model), *labels])
    if is_directory(model):
        names = (_HF_CONFIG, "labels.json", *_HF_COMPUTING)
        return _digest(model, (path for name in names for path in _files(model / name)))
    return _digest(model, _declared_apart(model))


def _computing(declared: Declaration) -> dict[str, Any]:
    """What is declared that decides the computation; files by their content, whatever their place."""
    found = {
        "signature": declared.signature,
        "tags": declared.tags,
        "inputs": dict(declared.inputs),
        "max_length": declared.max_length,
        "tokenizer": [(path.name, sha256_file(path)) for path in _declared_tokenizer(declared)],
        "modules": sorted((handle, model_digest(Path(place))) for handle, place in declared.modules.items()),
    }
    return {key: value for key, value in found.items() if value}


def _declared_tokenizer(declared: Declaration) -> list[Path]:
    return tokenizer_files(Path(), declared) if declared.tokenizer else []


def _declared_apart(directory: Path) -> list[Path]:
    """The files of a directory without its declaration, which is known by what it says."""
    return [path for path in _files(directory) if path != directory / declaration.NAME]


def _settings(path: Path) -> str:
    """The settings in one form, whatever their order; what cannot be read, by its hash."""
    try:
        if path.stat().st_size > MAX_CONFIG:
            return sha256_file(path)
        found = json.loads(path.read_text(encoding="utf-8"))
        return json.dumps({key: found[key] for key in found if key not in _HF_NOTES}, sort_keys=True)
    except (ValueError, TypeError, RecursionError):
        return sha256_file(path)


def file_hashes(directory: Path) -> dict[str, str]:
    """Relative name of every file -> its SHA-256."""
    return {path.relative_to(directory).as_posix(): sha256_file(path) for path in _files(directory)}


def _digest(directory: Path, files: Iterable[Path]) -> str:
    digest = hashlib.sha256()
    for path in sorted(files):
        digest.update(f"{path.relative_to(directory).as_posix()}\0{sha256_file(path)}\n".encode())
    return digest.hexdigest()


def _files(path: Path) -> list[Path]:
    """The files at or below the path, in order; those whose name begins with a dot are notes, not model."""
    found = [path] if path.is_file() else sorted(p for p in path.rglob("*") if p.is_file())
    return [p for p in found if not p.name.startswith(".")]
