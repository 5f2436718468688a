"""Model files as they are named: which are taken to a child, which need none, and how long one is looked at."""

from __future__ import annotations

import json
import os
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from penult_service.errors import InvalidInput, ModelRefused, PenultError
from penult_service.prepared import LIBRARY, Head, load_manifest
from penult_service.preparing import launch
from penult_service.preparing.confined import watch
from penult_service.preparing.declarations.declaration import Declaration
from penult_service.preparing.declarations.declaring import read
from penult_service.preparing.identity import model_digest
from penult_service.preparing.sources import located
from support import text_models as tm
from support.confined import Confined

pytestmark = pytest.mark.tensorflow

HDF5 = b"\x89HDF\r\n\x1a\n"


def archive(path: Path, **entries: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w") as file:
        for name, text in entries.items():
            file.writestr(name, text)
    return path


@pytest.fixture
def model_file(tmp_path: Path) -> Path:
    """A file that nobody reads: the child of these tests is a stand-in."""
    return archive(tmp_path / "models" / "reviews.keras", config="{}")


def refusal(source: Path) -> PenultError:
    with pytest.raises(PenultError) as caught:
        located(source)
    assert str(source) in caught.value.message
    return caught.value


# What is taken for a model


@pytest.mark.parametrize(
    "content", [HDF5, bytes(512) + HDF5, None], ids=["hdf5", "behind a block", "archive"]
)
@pytest.mark.parametrize("name", ["model.keras", "model.h5", "no_suffix"])
def test_a_file_is_known_by_its_content(tmp_path: Path, name: str, content: bytes | None) -> None:
    if content is None:
        archive(tmp_path / name, config="{}")
    else:
        (tmp_path / name).write_bytes(content)
    assert located(tmp_path / name) == tmp_path / name


OTHERS: dict[str, tuple[str, bytes, str, str]] = {
    "notes": ("notes.txt", b"no model", "NOT_A_MODEL", "neither a .keras file nor HDF5"),
    "nothing": ("notes.txt", b"", "NOT_A_MODEL", "neither a .keras file nor HDF5"),
    "half an archive": ("model.keras", b"PK\x03\x04half", "DAMAGED", "its end is missing"),
    "half an archive of another name": ("model.zip", b"PK\x03\x04half", "DAMAGED", "its end is missing"),
    "no archive": ("model.keras", b"what", "DAMAGED", "neither an archive nor HDF5"),
    "no HDF5": ("model.h5", b"", "DAMAGED", "neither an archive nor HDF5"),
    "a graph": ("saved_model.pb", b"graph", "NOT_A_MODEL", "name the directory: "),
    "weights": ("model.safetensors", b"weights", "NOT_A_MODEL", "name the directory: "),
    "a config": ("config.json", b"{}", "NOT_A_MODEL", "name the directory: "),
}


@pytest.mark.parametrize(("name", "content", "reason", "says"), OTHERS.values(), ids=OTHERS.keys())
def test_what_is_no_model_file_needs_no_child(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, content: bytes, reason: str, says: str
) -> None:
    monkeypatch.setattr(launch, "_in_child", lambda *_: pytest.fail("a child was started"))
    (tmp_path / name).write_bytes(content)
    error = refusal(tmp_path / name)
    assert isinstance(error, InvalidInput)
    assert error.reason == reason
    assert says in error.message
    with pytest.raises(InvalidInput):
        launch.prepare(tmp_path / name, cache=tmp_path / "prepared")
    assert not (tmp_path / "prepared").exists()


def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "model.keras")
    assert refusal(tmp_path / "model.keras").reason == "SPECIAL_FILE"


def test_a_folder_with_one_model_file_is_that_file(model_file: Path) -> None:
    folder = model_file.parent
    (folder / "penult.toml").write_text("")
    (folder / "vocab.txt").write_text("")
    (folder / ".old.keras").write_text("")
    assert located(folder) == model_file
    archive(folder / "other.keras", config="{}")
    error = refusal(folder)
    assert error.reason == "SEVERAL_MODELS"
    assert "(other.keras, reviews.keras)" in error.message


def add(name: str, text: str) -> Callable[[Path], object]:
    return lambda folder: (folder / name).write_text(text)


@pytest.mark.parametrize(
    "change",
    [
        add("saved_model.pb", ""),
        add("config.json", '{"model_type": "bert"}'),
        add("model.weights.h5", ""),
        lambda folder: (folder / "reviews.keras").rename(folder / "reviews.zip"),
    ],
    ids=["saved model", "hugging face", "preset", "no suffix"],
)
def test_a_folder_that_is_a_model_itself_is_the_folder(
    model_file: Path, change: Callable[[Path], object]
) -> None:
    change(model_file.parent)
    assert located(model_file.parent) == model_file.parent


def test_a_link_out_of_the_folder_is_not_followed(model_file: Path, tmp_path: Path) -> None:
    model_file.rename(tmp_path / "elsewhere.keras")
    model_file.symlink_to(tmp_path / "elsewhere.keras")
    assert refusal(model_file.parent).reason == "LINK_OUTSIDE"
    assert located(model_file) == model_file  # whoever names the link itself means what it leads to


@pytest.mark.usefixtures("jobs")
@pytest.mark.parametrize("name", ["vocab.txt", "labels.json"])
def test_nor_one_beside_the_file(model_file: Path, cache: Path, tmp_path: Path, name: str) -> None:
    (tmp_path / "secret").write_text("[]")
    beside = model_file.parent / name
    beside.symlink_to(tmp_path / "secret")
    with pytest.raises(ModelRefused) as caught:
        launch.prepare(model_file, cache=cache)
    assert caught.value.reason == "LINK_OUTSIDE"
    assert str(beside) in caught.value.message
    beside.unlink()
    (model_file.parent / "words").write_text("[]")
    beside.symlink_to("words")
    launch.prepare(model_file, cache=cache)


# What the child is told, and what the place in the cache depends on


def test_a_file_is_prepared_once(model_file: Path, cache: Path, jobs: list[Any], tmp_path: Path) -> None:
    place = launch.prepare(model_file, cache=cache)
    elsewhere = Path(shutil.copy(model_file, tmp_path / "another_name.keras"))
    assert launch.prepare(elsewhere, cache=cache) == launch.prepare(model_file.parent, cache=cache) == place
    assert [job["source"] for job in jobs] == [str(model_file)]
    model_file.write_bytes(model_file.read_bytes() + b"\0")
    assert launch.prepare(model_file, cache=cache) != place


def test_the_child_may_read_what_lies_beside_a_file_and_is_meant_for_it(
    model_file: Path, cache: Path, jobs: list[Any]
) -> None:
    folder = model_file.parent
    (folder / "words").mkdir()
    for name in ("vocab.txt", "labels.json", "reviews.labels.json", "secret.txt", "words/tokenizer.json"):
        (folder / name).write_text("[]")
    (folder / "reviews.penult.toml").write_text('tokenizer = ["words/tokenizer.json"]\nmax_length = 16\n')
    launch.prepare(model_file, cache=cache)
    job = jobs[0]
    named = {Path(path).relative_to(folder).as_posix() for path in job["readable"]}
    assert named == {"labels.json", "reviews.labels.json", "words/tokenizer.json"}
    assert job["declared"]["max_length"] == 16
    (folder / "reviews.penult.toml").unlink()
    launch.prepare(model_file, cache=cache)
    assert str(folder / "vocab.txt") in jobs[1]["readable"]
    assert json.loads(json.dumps(job)) == {**job, "declared": json.loads(json.dumps(job["declared"]))}


def test_a_confined_child_reads_what_is_declared(tmp_path: Path, cache: Path) -> None:
    """A model of ids, whose vocabulary lies in a folder that only the declaration names."""
    import tf_keras

    layers = tm.layers()
    ids = layers.Input((None,), dtype="int32", name="ids")
    pooled = layers.GlobalAveragePooling1D()(layers.Embedding(6, 4, mask_zero=True)(ids))
    outputs = layers.Dense(2)(layers.Dropout(0.1)(pooled))
    tf_keras.Model(ids, outputs).save(str(tmp_path / "reviews.keras"))
    (tmp_path / "words").mkdir()
    (tmp_path / "words" / "vocab.txt").write_text("[PAD]\n[UNK]\n[CLS]\n[SEP]\ngood\nfilm\n")
    said = {"tokenizer": ["words/vocab.txt"], "max_length": 9, "head": "logits", "labels": ["bad", "good"]}
    lines = [f"{key} = {json.dumps(value)}" for key, value in said.items()]
    (tmp_path / "reviews.penult.toml").write_text("\n".join(lines))
    manifest = load_manifest(launch.prepare(tmp_path / "reviews.keras", cache=cache))
    assert (manifest.tokenizer, manifest.max_length) == (LIBRARY, 9)
    assert manifest.head == Head("softmax", manifest.head.output, 2, ("bad", "good"), "softmax")
    assert manifest.model_digest == model_digest(tmp_path / "reviews.keras", read(tmp_path / "reviews.keras"))


@pytest.mark.parametrize("name", ["vocab.txt", "labels.json", "reviews.labels.json", "penult.toml"])
def test_what_lies_beside_a_file_is_prepared_anew(
    model_file: Path, cache: Path, jobs: list[Any], name: str
) -> None:
    places = [launch.prepare(model_file, cache=cache)]
    for content in ('labels = ["a", "b"]\n', 'labels = ["b", "a"]\n'):
        (model_file.parent / name).write_text(content)
        places.append(launch.prepare(model_file, cache=cache))
    assert len(set(places)) == len(jobs) == 3


def test_a_declaration_is_read_before_a_child_is_begun(
    model_file: Path, cache: Path, jobs: list[Any]
) -> None:
    (model_file.parent / "penult.toml").write_text('\nheed = "softmax"\n')
    with pytest.raises(InvalidInput) as caught:
        launch.prepare(model_file, cache=cache)
    assert "penult.toml, line 2: there is no key 'heed'; did you mean head?" in caught.value.message
    assert not jobs


def test_a_file_that_an_older_preparer_prepared_is_prepared_again(
    model_file: Path, cache: Path, jobs: list[Any], prepared_seed_model: Path, tmp_path: Path
) -> None:
    (model_file.parent / "penult.toml").write_text("max_length = 16\n")
    old = Path(shutil.copytree(prepared_seed_model, tmp_path / "old"))
    raw = json.loads((old / "penult.json").read_text())
    digest = model_digest(model_file, Declaration(max_length=16))
    raw |= {"preparer": "penult-preparer-0", "source": str(model_file), "model_digest": digest}
    (old / "penult.json").write_text(json.dumps(raw))
    assert launch.prepare(old, cache=cache) == launch.prepare(model_file, cache=cache) != old
    assert [job["source"] for job in jobs] == [str(model_file)]
    (model_file.parent / "penult.toml").write_text("max_length = 8\n")  # not what it was made of
    assert launch.prepare(old, cache=cache) == old


# Modules of TF-Hub


@pytest.fixture
def asking(
    monkeypatch: pytest.MonkeyPatch, prepared_seed_model: Path, tmp_path: Path
) -> tuple[list[dict[str, Any]], Path, str]:
    """As `jobs`, of a file with a TF-Hub layer; and the directory of its module, and its handle."""
    given: list[dict[str, Any]] = []
    module = tmp_path / "module"
    (module / "variables").mkdir(parents=True)
    for name in ("saved_model.pb", "variables/variables.index", "variables/variables.data-00000-of-00001"):
        (module / name).write_bytes(b"x")

    def work(job: dict[str, Any], *_: Any) -> dict[str, Any]:
        given.append(job)
        place = job["declared"]["modules"].get(str(module))
        if place is None:
            return {"handles": [str(module)]}
        assert place in job["readable"]
        shutil.copytree(prepared_seed_model, job["target"])
        return {}

    monkeypatch.setattr(launch, "_in_child", work)
    return given, module, str(module)


def test_the_module_of_a_hub_layer_is_found_and_may_be_read(
    model_file: Path, cache: Path, asking: tuple[list[Any], Path, str]
) -> None:
    given, module, handle = asking
    place = launch.prepare(model_file, cache=cache)
    assert [job["declared"]["modules"] for job in given] == [{}, {handle: str(module)}]
    assert launch.prepare(model_file, cache=cache) == place
    assert len(given) == 2
    (module / "saved_model.pb").write_bytes(b"y")  # the module computes something else now
    assert launch.prepare(model_file, cache=cache) != place
    assert len(given) == 3  # which handles the file has is known


def test_a_module_that_has_moved_is_declared(
    model_file: Path, cache: Path, asking: tuple[list[Any], Path, str]
) -> None:
    given, module, handle = asking
    moved = module.rename(model_file.parent / "encoder")
    with pytest.raises(ModelRefused) as caught:
        launch.prepare(model_file, cache=cache)
    assert caught.value.reason == "HANDLE_NOT_FOUND"
    (model_file.parent / "penult.toml").write_text(f'[modules]\n"{handle}" = "encoder"\n')
    launch.prepare(model_file, output=cache.parent / "out", cache=cache)
    assert given[-1]["declared"]["modules"] == {handle: str(moved)}
    assert [path.suffix for path in cache.iterdir()] == [".handles"]


def test_a_child_that_asks_again_is_not_answered(
    model_file: Path, cache: Path, asking: tuple[list[Any], Path, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(launch, "_in_child", lambda *_: {"handles": [asking[2]]})
    with pytest.raises(ModelRefused) as caught:
        launch.prepare(model_file, cache=cache)
    assert caught.value.reason == "PREPARE_CRASHED"


@pytest.mark.parametrize("content", ["[1]", "{", "", '"x"'])
def test_a_note_of_handles_that_is_damaged_is_made_again(
    model_file: Path, cache: Path, asking: tuple[list[Any], Path, str], content: str
) -> None:
    given, _, _ = asking
    place = launch.prepare(model_file, cache=cache)
    (note,) = cache.glob("*.handles")
    note.write_text(content)
    assert launch.prepare(model_file, cache=cache) == place
    assert len(given) == 3
    assert len(list(cache.iterdir())) == 2


# How long files are looked at

LOOKS = """
progress(child.LOOKING, 0.0)
time.sleep(looks)
progress("reading the model", 0.0)
time.sleep(after)
return {"answer": 42}
"""


@pytest.fixture
def confined(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Confined:
    """A child that has 4 seconds for looking at a file."""
    monkeypatch.setattr(watch, "_LOOK", 4.0)
    made = Confined(tmp_path, monkeypatch)
    made.source = archive(tmp_path / "model.keras", config="{}")
    return made


def test_files_that_are_looked_at_without_end_are_damaged(confined: Confined) -> None:
    """The HDF5 library turns for ever in some damaged files; nobody waits as long as preparing may take."""
    with pytest.raises(InvalidInput) as caught:
        confined.run(LOOKS, what="prepare", looks=600, after=0)
    assert caught.value.reason == "DAMAGED"
    assert f"{confined.source} is damaged: looking at it had not ended after 4 s" in caught.value.message


def test_what_comes_after_may_take_longer(confined: Confined) -> None:
    assert confined.run(LOOKS, what="prepare", looks=0, after=5)["answer"] == 42


def test_other_jobs_do_not_look(confined: Confined, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watch, "_LOOK", 1.0)
    assert confined.run(LOOKS, what="effect", looks=2, after=0)["answer"] == 42


def test_less_time_for_preparing_is_less_time_for_looking(confined: Confined) -> None:
    with pytest.raises(ModelRefused) as caught:
        confined.run(LOOKS, what="prepare", looks=600, after=0, seconds=2)
    assert caught.value.reason == "PREPARE_TIMEOUT"
