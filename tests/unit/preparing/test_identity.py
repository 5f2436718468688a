"""What changes the identity of a model, and what does not."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from penult_service.files import sha256_file
from penult_service.preparing import identity
from penult_service.preparing.declarations.declaration import Declaration
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


# What is declared

DECLARED_COMPUTING: dict[str, Callable[[Path], Declaration]] = {
    "a signature": lambda _: Declaration(signature="score"),
    "tags": lambda _: Declaration(tags=("serve", "gpu")),
    "roles": lambda _: Declaration(inputs={"a": "ids"}),
    "a length": lambda _: Declaration(max_length=64),
    "a tokenizer": lambda place: Declaration(tokenizer=(str(place / "vocab.txt"),)),
    "a module": lambda place: Declaration(modules={"https://hub/encoder": str(place)}),
}
DECLARED_NOTING = {
    "labels": Declaration(labels=("no", "yes")),
    "the head": Declaration(head="softmax"),
    "the output": Declaration(output="scores"),
    "readouts": Declaration(readouts=("dense",)),
    "rates": Declaration(dropout={"dropout": 0.1}),
    "a pooling": Declaration(pooling="mean"),
    "the engine": Declaration(engine="tensorflow"),
    "texts to warm with": Declaration(warm_up=("a",)),
}


@pytest.fixture
def elsewhere(tmp_path: Path) -> Path:
    """A folder with a tokenizer, which is a module of TF-Hub too."""
    place = tmp_path / "elsewhere"
    place.mkdir()
    for name in ("vocab.txt", "saved_model.pb"):
        (place / name).write_text("first")
    return place


@pytest.mark.parametrize("declared", DECLARED_COMPUTING.values(), ids=DECLARED_COMPUTING.keys())
def test_what_is_declared_of_the_computation_changes_both(
    model: Path, elsewhere: Path, declared: Callable[[Path], Declaration]
) -> None:
    said = declared(elsewhere)
    assert model_digest(model, said) != model_digest(model)
    assert cache_key(model, None, declared=said) != cache_key(model, None)


@pytest.mark.parametrize("declared", DECLARED_NOTING.values(), ids=DECLARED_NOTING.keys())
def test_what_is_declared_of_serving_is_the_same_model(model: Path, declared: Declaration) -> None:
    assert model_digest(model, declared) == model_digest(model)
    assert cache_key(model, None, declared=declared) != cache_key(model, None)


@pytest.mark.parametrize("what", ["a tokenizer", "a module"])
def test_declared_files_are_known_by_their_content_and_not_by_their_place(
    model: Path, elsewhere: Path, tmp_path: Path, what: str
) -> None:
    declared = DECLARED_COMPUTING[what]
    moved = Path(shutil.copytree(elsewhere, tmp_path / "moved"))
    assert model_digest(model, declared(elsewhere)) == model_digest(model, declared(moved))
    assert cache_key(model, None, declared=declared(elsewhere)) == cache_key(
        model, None, declared=declared(moved)
    )
    for name in ("vocab.txt", "saved_model.pb"):
        (moved / name).write_text("other")
    assert model_digest(model, declared(elsewhere)) != model_digest(model, declared(moved))
    assert cache_key(model, None, declared=declared(elsewhere)) != cache_key(
        model, None, declared=declared(moved)
    )


def test_the_order_of_inputs_is_that_of_tuples_and_not_of_the_model(model: Path) -> None:
    one, other = (
        Declaration(inputs={"a": "text", "b": "value"}),
        Declaration(inputs={"b": "value", "a": "text"}),
    )
    assert model_digest(model, one) == model_digest(model, other)
    assert cache_key(model, None, declared=one) != cache_key(model, None, declared=other)


def test_the_file_that_declares_is_known_by_what_it_says(model: Path) -> None:
    digest, key = model_digest(model), cache_key(model, None)
    (model / "penult.toml").write_text("# nothing yet\n")
    assert (model_digest(model), cache_key(model, None)) == (digest, key)


# Files, and directories of other formats


def test_a_file_is_its_content_and_the_tokenizer_beside_it(tmp_path: Path) -> None:
    file = tmp_path / "model.keras"
    file.write_bytes(b"weights")
    known = [(model_digest(file), cache_key(file, None))]
    for name in ("vocab.txt", "tokenizer.json"):
        (tmp_path / name).write_text("words")
        known.append((model_digest(file), cache_key(file, None)))
    assert len({digest for digest, _ in known}) == len({key for _, key in known}) == 3
    (tmp_path / "labels.json").write_text("[]")
    assert model_digest(file) == known[-1][0]
    assert cache_key(file, None) != known[-1][1]
    for name in ("other.keras", "notes.txt", "other.labels.json"):
        (tmp_path / name).write_text("x")
    assert model_digest(file) == known[-1][0]
    renamed = file.rename(tmp_path / "renamed.h5")
    assert model_digest(renamed) == known[-1][0]
    renamed.write_bytes(b"Weights")
    assert model_digest(renamed) != known[-1][0]


def test_of_a_directory_of_another_format_all_but_notes_computes(tmp_path: Path) -> None:
    """Such as what KerasHub's `save_to_preset` writes."""
    files = (
        "config.json",
        "model.weights.h5",
        "assets/tokenizer/vocabulary.txt",
        "tokenizer.json",
        "task.json",
    )
    for name in (*files, "metadata.json", "labels.json"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("{}")
    known = {model_digest(tmp_path)}
    for name in ("metadata.json", "labels.json", "penult.toml"):
        (tmp_path / name).write_text("other")
        known.add(model_digest(tmp_path))
    assert len(known) == 1
    for name in files:
        (tmp_path / name).write_text("other")
        known.add(model_digest(tmp_path))
    assert len(known) == 1 + len(files)


def test_which_module_stands_for_which_handle_changes_both(tmp_path: Path) -> None:
    model = tmp_path / "model.keras"
    model.write_bytes(b"model")
    places = [tmp_path / "first", tmp_path / "second"]
    for place in places:
        place.mkdir()
        (place / "saved_model.pb").write_text(place.name)
    one, other = (
        Declaration(modules=dict(zip(("a", "b"), map(str, order), strict=True)))
        for order in (places, places[::-1])
    )
    assert model_digest(model, one) != model_digest(model, other)
    assert cache_key(model, None, declared=one) != cache_key(model, None, declared=other)
