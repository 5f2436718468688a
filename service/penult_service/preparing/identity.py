"""What a model is known by: hashes of its files."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Iterable
from pathlib import Path

from penult_service.files import sha256_file
from penult_service.preparing.formats.hf_classifier import is_directory
from penult_service.preparing.formats.hf_files import MAX_CONFIG
from penult_service.vectors import digest_of_parts

# Raised whenever the same files would be prepared to something else.
PREPARER = "penult-preparer-2"
_COMPUTING = ("saved_model.pb", "variables", "assets")
_HF_CONFIG = "config.json"
_HF_COMPUTING = ("model.safetensors", "tokenizer.json", "tokenizer_config.json", "vocab.txt")
# What `config.json` says of names and origins, not of numbers.
_HF_NOTES = ("id2label", "label2id", "_name_or_path", "transformers_version", "finetuning_task")


def model_digest(directory: Path) -> str:
    """SHA-256 of the files that decide the computation: graph, weights, tokenizer assets.

    Of a Hugging Face directory: weights, tokenizer, and the settings but for the names of the classes.
    """
    if is_directory(directory):
        files = _digest(directory, (path for name in _HF_COMPUTING for path in _files(directory / name)))
        return digest_of_parts([files, _settings(directory / _HF_CONFIG)])
    return _digest(directory, (path for name in _COMPUTING for path in _files(directory / name)))


def cache_key(
    directory: Path, layer: str | None, allow_ops: Collection[str] = (), allow_stochastic: bool = False
) -> str:
    """Names the prepared form of exactly these files, this layer, with this allowed, by this preparer.

    Of a Hugging Face directory, those that are read: checkpoints of training may lie there too.
    """
    names = (_HF_CONFIG, "labels.json", *_HF_COMPUTING) if is_directory(directory) else (".",)
    read = _digest(directory, (path for name in names for path in _files(directory / name)))
    more = [",".join(sorted(set(allow_ops)))] if allow_ops else []
    more += ["stochastic=1"] if allow_stochastic else []
    return digest_of_parts([PREPARER, layer or "", read, *more])[:40]


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
