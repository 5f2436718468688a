"""What changes the identity of a model, and what does not."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from penult_service.files import sha256_file
from penult_service.preparing import identity
from penult_service.preparing.identity import cache_key, file_hashes, model_digest

FILES = {
    "saved_model.pb": b"a graph",
    "keras_metadata.pb": b"layers",
    "variables/variables.index": b"an index",
    "variables/variables.data-00000-of-00001": b"weights",
    "assets/vocab.txt": b"[PAD]\n[UNK]\n",
}


@pytest.fixture
def model(tmp_path: Path) -> Path:
    place = tmp_path / "model"
    for name, content in FILES.items():
        (place / name).parent.mkdir(parents=True, exist_ok=True)
        (place / name).write_bytes(content)
    return place


def rewritten(name: str) -> Callable[[Path], object]:
    """Other bytes, as many as before."""
    return lambda place: (place / name).write_bytes((place / name).read_bytes()[::-1])


def added(name: str) -> Callable[[Path], object]:
    return lambda place: (place / name).write_bytes(b"[]")


def removed(name: str) -> Callable[[Path], object]:
    return lambda place: (place / name).unlink()


def renamed(name: str, new: str) -> Callable[[Path], object]:
    return lambda place: (place / name).rename(place / new)


COMPUTING = {
    "other weights": rewritten("variables/variables.data-00000-of-00001"),
    "another graph": rewritten("saved_model.pb"),
    "another vocabulary": rewritten("assets/vocab.txt"),
    "one more asset": added("assets/merges.txt"),
    "an asset less": removed("assets/vocab.txt"),
    "an asset of another name": renamed("assets/vocab.txt", "assets/words.txt"),
}
NOTING = {
    "labels": added("labels.json"),
    "training notes": added("training.json"),
    "what Keras noted": rewritten("keras_metadata.pb"),
}
HIDDEN = {
    "a dot file": added(".DS_Store"),
    "a dot file among the assets": added("assets/.keep"),
}


@pytest.mark.parametrize("change", COMPUTING.values(), ids=COMPUTING.keys())
def test_what_computes_changes_both(model: Path, change: Callable[[Path], object]) -> None:
    digest, key = model_digest(model), cache_key(model, None)
    change(model)
    assert model_digest(model) != digest
    assert cache_key(model, None) != key


@pytest.mark.parametrize("change", NOTING.values(), ids=NOTING.keys())
def test_notes_are_prepared_anew_but_are_the_same_model(
    model: Path, change: Callable[[Path], object]
) -> None:
    digest, key = model_digest(model), cache_key(model, None)
    change(model)
    assert model_digest(model) == digest
    assert cache_key(model, None) != key


@pytest.mark.parametrize("change", HIDDEN.values(), ids=HIDDEN.keys())
def test_dot_files_change_nothing(model: Path, change: Callable[[Path], object]) -> None:
    digest, key = model_digest(model), cache_key(model, None)
    change(model)
    assert (model_digest(model), cache_key(model, None)) == (digest, key)


def test_other_labels_are_prepared_anew(model: Path) -> None:
    keys = set()
    for labels in ('["no", "yes"]', '["yes", "no"]'):
        (model / "labels.json").write_text(labels)
        keys.add(cache_key(model, None))
    assert len(keys) == 2


def test_the_layer_and_the_preparer_are_in_the_key(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    keys = {cache_key(model, layer) for layer in (None, "dense", "pooled")}
    digest = model_digest(model)
    monkeypatch.setattr(identity, "PREPARER", "penult-preparer-next")
    keys.add(cache_key(model, None))
    assert len(keys) == 4
    assert model_digest(model) == digest
    assert all(len(key) == 40 and key.isalnum() for key in keys)


def test_neither_depends_on_the_place_or_the_age_of_the_files(model: Path, tmp_path: Path) -> None:
    copy = tmp_path / "deep" / "er"
    for name in reversed(FILES):
        (copy / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(model / name, copy / name)
    assert model_digest(copy) == model_digest(model)
    assert cache_key(copy, "dense") == cache_key(model, "dense")


def test_moving_bytes_between_files_is_a_change(model: Path) -> None:
    digest = model_digest(model)
    index, data = (model / name for name in list(FILES)[2:4])
    index.write_bytes(FILES["variables/variables.data-00000-of-00001"])
    data.write_bytes(FILES["variables/variables.index"])
    assert model_digest(model) != digest


def test_the_hashes_of_all_files_but_dot_files(model: Path) -> None:
    (model / ".note").write_bytes(b"x")
    assert file_hashes(model) == {name: sha256_file(model / name) for name in FILES}
