"""Preparing from outside: where the model is, where the result goes, and the cache."""

from __future__ import annotations

import json
import os
import shutil
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from penult_service.errors import InvalidInput, ModelRefused, NotFound, PenultError
from penult_service.files import sha256_file
from penult_service.prepared import load_manifest
from penult_service.preparing import cached, launch
from support import seed_model as seeds

pytestmark = pytest.mark.tensorflow


@pytest.fixture
def no_child(monkeypatch: pytest.MonkeyPatch) -> None:
    def started(*_: Any) -> dict[str, Any]:
        raise AssertionError("a child was started")

    monkeypatch.setattr(launch, "_in_child", started)


def refusal(source: Path, cache: Path, **options: Any) -> PenultError:
    """The error of preparing; it names the model."""
    with pytest.raises(PenultError) as caught:
        launch.prepare(source, cache=cache, **options)
    assert str(source) in caught.value.message
    return caught.value


# Where the model is, and where the result goes


def test_nothing_there(tmp_path: Path, cache: Path) -> None:
    error = refusal(tmp_path / "nowhere", cache)
    assert isinstance(error, NotFound)
    assert error.reason == "NO_SUCH_PATH"
    assert "name the directory of a saved model" in error.message


def test_the_result_lies_in_a_cache_of_the_user_alone(
    unread_model: Path, cache: Path, jobs: list[Any]
) -> None:
    place = launch.prepare(unread_model, cache=cache)
    assert stat.S_IMODE(cache.stat().st_mode) == 0o700
    assert list(cache.iterdir()) == [place]
    assert load_manifest(place).proof.proven
    assert [job["source"] for job in jobs] == [str(unread_model)]


@pytest.mark.usefixtures("no_child")
def test_the_same_files_are_prepared_once(
    seed_model: Path, prepared_seed_model: Path, tmp_path: Path
) -> None:
    assert launch.prepare(seed_model, cache=seeds.cache_directory()) == prepared_seed_model
    elsewhere = shutil.copytree(seed_model, tmp_path / "elsewhere")
    assert launch.prepare(Path(elsewhere), cache=seeds.cache_directory()) == prepared_seed_model


def test_another_layer_is_prepared_on_its_own(unread_model: Path, cache: Path, jobs: list[Any]) -> None:
    default, named = (
        launch.prepare(unread_model, cache=cache),
        launch.prepare(unread_model, cache=cache, layer="dense"),
    )
    assert default != named
    assert [job["layer"] for job in jobs] == [None, "dense"]


def test_a_damaged_cache_entry_is_made_again(unread_model: Path, cache: Path, jobs: list[Any]) -> None:
    place = launch.prepare(unread_model, cache=cache)
    weights = next((place / "variables").glob("*.data-*"))
    whole = weights.read_bytes()
    weights.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    assert launch.prepare(unread_model, cache=cache) == place
    assert weights.read_bytes() == whole
    (place / "penult.json").unlink()
    assert launch.prepare(unread_model, cache=cache) == place
    assert len(jobs) == 3
    assert list(cache.iterdir()) == [place]


def test_a_cache_that_cannot_be_written(unread_model: Path, cache: Path, jobs: list[Any]) -> None:
    cache.parent.mkdir()
    cache.write_text("a file")
    with pytest.raises(InvalidInput) as caught:
        launch.prepare(unread_model, cache=cache)
    assert caught.value.reason == "CACHE_NOT_WRITABLE"
    assert "--data DIR" in caught.value.message
    assert not jobs


def test_another_process_was_faster(
    unread_model: Path, cache: Path, monkeypatch: pytest.MonkeyPatch, prepared_seed_model: Path
) -> None:
    key = launch.cache_key(unread_model, None)

    def work(job: dict[str, Any], *_: Any) -> dict[str, Any]:
        for target in (Path(job["target"]), cache / key):
            shutil.copytree(prepared_seed_model, target)
        return {}

    monkeypatch.setattr(launch, "_in_child", work)
    assert launch.prepare(unread_model, cache=cache) == cache / key
    assert list(cache.iterdir()) == [cache / key]


def test_an_output_of_ones_own(unread_model: Path, cache: Path, tmp_path: Path, jobs: list[Any]) -> None:
    output = tmp_path / "out" / "prepared"
    assert launch.prepare(unread_model, output=output, cache=cache) == output
    assert load_manifest(output).proof.proven
    assert [path.name for path in output.parent.iterdir()] == ["prepared"]
    assert not cache.exists()
    assert len(jobs) == 1


@pytest.mark.usefixtures("no_child")
@pytest.mark.parametrize("kind", ["file", "directory"])
def test_an_output_that_is_there_is_left_alone(
    unread_model: Path, cache: Path, tmp_path: Path, kind: str
) -> None:
    output = tmp_path / "out"
    kept = output if kind == "file" else output / "notes"
    kept.parent.mkdir(exist_ok=True)
    kept.write_text("mine")
    with pytest.raises(InvalidInput) as caught:
        launch.prepare(unread_model, output=output, cache=cache)
    assert caught.value.reason == "OUTPUT_EXISTS"
    assert "name a new directory" in caught.value.message
    assert kept.read_text() == "mine"


def test_an_output_that_was_filled_meanwhile(
    unread_model: Path, cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    output = tmp_path / "out"

    def work(job: dict[str, Any], *_: Any) -> dict[str, Any]:
        Path(job["target"]).mkdir()
        output.mkdir()
        (output / "notes").write_text("mine")
        return {}

    monkeypatch.setattr(launch, "_in_child", work)
    with pytest.raises(InvalidInput) as caught:
        launch.prepare(unread_model, output=output, cache=cache)
    assert caught.value.reason == "OUTPUT_NOT_WRITABLE"
    assert "--output DIR" in caught.value.message
    assert sorted(path.name for path in tmp_path.iterdir()) == ["model", "out"]
    assert (output / "notes").read_text() == "mine"


def link_to(made: Path, elsewhere: Path) -> None:
    made.symlink_to(elsewhere)


def link_inside(made: Path, elsewhere: Path) -> None:
    made.mkdir()
    (made / "variables").symlink_to(elsewhere)


def pipe(made: Path, _: Path) -> None:
    made.mkdir()
    os.mkfifo(made / "saved_model.pb")


def no_directory(made: Path, _: Path) -> None:
    made.write_text("a file")


def nothing(made: Path, _: Path) -> None:
    del made


def more(made: Path, _: Path) -> None:
    made.mkdir()
    (made.parent / "saved_model.pb").write_text("beside it")


@pytest.mark.parametrize(
    "left", [link_to, link_inside, pipe, no_directory, nothing, more], ids=lambda left: left.__name__
)
def test_what_the_child_left_does_not_lead_elsewhere(
    unread_model: Path,
    cache: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    left: Callable[..., None],
) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "mine").write_text("mine")

    def work(job: dict[str, Any], *_: Any) -> dict[str, Any]:
        left(Path(job["target"]), elsewhere)
        return {}

    monkeypatch.setattr(launch, "_in_child", work)
    with pytest.raises(ModelRefused) as caught:
        launch.prepare(unread_model, cache=cache)
    assert caught.value.reason == "PREPARE_CRASHED"
    assert str(unread_model) in caught.value.message
    assert (elsewhere / "mine").read_text() == "mine"
    assert list(cache.iterdir()) == []


# A model that is prepared already


@pytest.mark.usefixtures("no_child")
def test_a_prepared_model_is_taken_as_it_is(prepared_seed_model: Path, cache: Path) -> None:
    seam = load_manifest(prepared_seed_model).seam
    assert launch.prepare(prepared_seed_model, cache=cache) == prepared_seed_model
    assert launch.prepare(prepared_seed_model, cache=cache, layer=seam) == prepared_seed_model
    assert not cache.exists()


@pytest.mark.usefixtures("no_child")
def test_a_prepared_model_is_copied_to_an_output(
    prepared_seed_model: Path, cache: Path, tmp_path: Path
) -> None:
    output = launch.prepare(prepared_seed_model, output=tmp_path / "out", cache=cache)
    assert output == tmp_path / "out"
    assert load_manifest(output) == load_manifest(prepared_seed_model)


@pytest.mark.usefixtures("no_child")
def test_a_prepared_model_has_the_layers_that_it_has(prepared_seed_model: Path, cache: Path) -> None:
    error = refusal(prepared_seed_model, cache, layer="dense")
    assert error.reason == "LAYER_NOT_PREPARED"
    assert "prepare the original model with --layer" in error.message


@pytest.mark.usefixtures("no_child")
@pytest.mark.parametrize("change", ["altered", "missing"])
def test_a_prepared_model_that_was_changed(
    prepared_seed_model: Path, cache: Path, tmp_path: Path, change: str
) -> None:
    place = Path(shutil.copytree(prepared_seed_model, tmp_path / "prepared"))
    graph = place / "saved_model.pb"
    if change == "altered":
        graph.write_bytes(graph.read_bytes() + b"\0")
    else:
        graph.unlink()
    error = refusal(place, cache)
    assert isinstance(error, InvalidInput)
    assert error.reason == "DAMAGED"
    assert f"saved_model.pb is {change}" in error.message
    assert "prepare the model again" in error.message


def test_drafts_that_a_killed_process_left_are_removed_after_a_day(tmp_path: Path) -> None:
    fresh, old = tmp_path / ".a.1.partial", tmp_path / ".b.2.partial"
    for draft in (fresh, old):
        draft.mkdir()
    os.utime(old, (0, 0))
    cached.private(tmp_path)
    assert fresh.exists()
    assert not old.exists()


def test_a_cache_that_others_may_write_to_is_not_trusted(tmp_path: Path) -> None:
    tmp_path.chmod(0o777)
    with pytest.raises(InvalidInput) as caught:
        cached.private(tmp_path)
    assert caught.value.reason == "CACHE_NOT_PRIVATE"
    assert "chmod 700" in caught.value.message


def linked_entry(entry: Path, elsewhere: Path) -> None:
    entry.rename(elsewhere)
    entry.symlink_to(elsewhere)


def linked_file(entry: Path, elsewhere: Path) -> None:
    (entry / "saved_model.pb").rename(elsewhere)
    (entry / "saved_model.pb").symlink_to(elsewhere)


def open_to_all(entry: Path, _: Path) -> None:
    (entry / "saved_model.pb").chmod(0o666)


def of_another_user(entry: Path, _: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root can give files away")
    os.chown(entry / "penult.json", 4711, -1)


def dangling(entry: Path, elsewhere: Path) -> None:
    shutil.rmtree(entry)
    entry.symlink_to(elsewhere)


@pytest.mark.parametrize(
    ("harm", "says"),
    [
        (linked_entry, "is a link"),
        (linked_file, "is a link"),
        (dangling, "is a link"),
        (open_to_all, "may be written by everybody"),
        (of_another_user, "belongs to another user"),
    ],
    ids=lambda given: getattr(given, "__name__", ""),
)
def test_a_cache_entry_that_others_had_a_hand_in(
    unread_model: Path, cache: Path, jobs: list[Any], tmp_path: Path, harm: Callable[..., None], says: str
) -> None:
    place = launch.prepare(unread_model, cache=cache)
    harm(place, tmp_path / "elsewhere")
    with pytest.raises(InvalidInput) as caught:
        launch.prepare(unread_model, cache=cache)
    assert caught.value.reason == "CACHE_NOT_PRIVATE"
    assert says in caught.value.message
    assert f"remove {place}" in caught.value.message
    assert len(jobs) == 1


def test_a_file_in_the_place_of_a_cache_entry(unread_model: Path, cache: Path, jobs: list[Any]) -> None:
    place = launch.prepare(unread_model, cache=cache)
    shutil.rmtree(place)
    place.write_text("not a model")
    assert launch.prepare(unread_model, cache=cache) == place
    assert load_manifest(place).proof.proven
    assert len(jobs) == 2


def test_an_entry_whose_manifest_names_files_elsewhere_is_made_again(
    unread_model: Path, cache: Path, jobs: list[Any], tmp_path: Path
) -> None:
    place = launch.prepare(unread_model, cache=cache)
    (tmp_path / "secret").write_text("mine")
    raw = json.loads((place / "penult.json").read_text())
    raw["files"][str(tmp_path / "secret")] = sha256_file(tmp_path / "secret")
    (place / "penult.json").write_text(json.dumps(raw))
    assert launch.prepare(unread_model, cache=cache) == place
    assert str(tmp_path / "secret") not in load_manifest(place).files
    assert len(jobs) == 2
