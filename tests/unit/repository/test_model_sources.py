"""What the command line names, as versions to load."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest
from penult_service.errors import InvalidInput
from penult_service.prepared import MANIFEST_NAME
from penult_service.repository.sources import Source, from_directory, from_paths, highest_version


def model(path: Path) -> Path:
    path.mkdir(parents=True)
    (path / "saved_model.pb").touch()
    (path / "variables").mkdir()
    return path


def refused(*paths: object) -> InvalidInput:
    with pytest.raises(InvalidInput) as caught:
        from_paths([str(path) for path in paths])
    return caught.value


def test_a_model(tmp_path: Path) -> None:
    path = model(tmp_path / "reviews")
    assert from_paths([str(path)]) == [Source("reviews", 1, path)]


def test_a_file_is_called_without_its_suffix(tmp_path: Path) -> None:
    path = tmp_path / "my_model.keras"
    path.touch()
    assert from_paths([str(path)]) == [Source("my_model", 1, path)]


def test_a_model_with_versions_and_one_of_them(tmp_path: Path) -> None:
    one, ten = model(tmp_path / "genre" / "1"), model(tmp_path / "genre" / "10")
    (tmp_path / "genre" / ".2.partial").mkdir()
    (tmp_path / "genre" / "notes").mkdir()
    assert from_paths([str(tmp_path / "genre")]) == [Source("genre", 10, ten), Source("genre", 1, one)]
    assert from_paths([str(one)]) == [Source("genre", 1, one)]
    assert from_paths([str(one), str(ten)]) == [Source("genre", 1, one), Source("genre", 10, ten)]


def test_a_version_may_hold_a_file(tmp_path: Path) -> None:
    """The version is its folder, with what is declared there; who prepares it finds the file."""
    version = tmp_path / "models" / "reviews" / "3"
    version.mkdir(parents=True)
    (version / "model.keras").touch()
    for name in (
        version / "penult.toml",
        version.parent / "penult.toml",
        tmp_path / "models" / "penult.toml",
    ):
        name.touch()
    expected = [Source("reviews", 3, version)]
    assert from_directory(tmp_path / "models") == expected
    assert from_paths([str(version.parent)]) == from_paths([str(version)]) == expected
    assert highest_version(version.parent) == version


def test_the_name_does_not_depend_on_how_the_path_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = model(tmp_path / "reviews")
    monkeypatch.chdir(path)
    assert from_paths(["."]) == from_paths([f"{path}/"]) == [Source("reviews", 1, path)]


def test_a_prepared_model_is_quick_whatever_is_in_it(tmp_path: Path) -> None:
    path = model(tmp_path / "ready")
    (path / "1").mkdir()
    (path / MANIFEST_NAME).touch()
    (source,) = from_paths([str(path)])
    assert source == Source("ready", 1, path)
    assert source.quick
    assert not Source("raw", 1, model(tmp_path / "raw")).quick


def test_another_name(tmp_path: Path) -> None:
    path = model(tmp_path / "My Model")
    assert from_paths([f"mine={path}"]) == [Source("mine", 1, path)]
    version = model(tmp_path / "x" / "3")
    assert from_paths([f"mine={version}"]) == [Source("mine", 1, version)]
    assert from_paths([f"mine={version.parent}"]) == [Source("mine", 3, version)]


def test_a_path_with_an_equals_sign_that_is_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model(tmp_path / "a=b")
    monkeypatch.chdir(tmp_path)
    assert refused("a=b").reason == "WRONG_MODEL_NAME"
    assert from_paths(["c=a=b"]) == [Source("c", 1, tmp_path / "a=b")]


def test_the_fake() -> None:
    assert from_paths(["fake:demo", "fake:other"]) == [Source("demo", 1, None), Source("other", 1, None)]


def test_a_path_where_nothing_is_fails_when_it_is_loaded(tmp_path: Path) -> None:
    """One bad model does not keep the others from being served."""
    assert from_paths([str(tmp_path / "gone")]) == [Source("gone", 1, tmp_path / "gone")]


def test_two_paths_with_one_name(tmp_path: Path) -> None:
    a, b = model(tmp_path / "a" / "reviews"), model(tmp_path / "b" / "reviews")
    error = refused(a, b)
    assert error.reason == "SAME_NAME"
    assert f"other-name={b}" in error.message
    assert len(from_paths([str(a), f"other-name={b}"])) == 2
    assert refused(a, a).reason == "SAME_NAME"
    assert refused("fake:reviews", a).reason == "SAME_NAME"
    assert refused(model(tmp_path / "c" / "r" / "1"), model(tmp_path / "d" / "r" / "2")).reason == "SAME_NAME"


def test_a_name_that_no_model_may_have(tmp_path: Path) -> None:
    error = refused(model(tmp_path / "My Model"))
    assert error.reason == "WRONG_MODEL_NAME"
    assert "my-name=PATH" in error.message


def test_a_directory_of_models_is_not_a_model(tmp_path: Path) -> None:
    model(tmp_path / "models" / "genre" / "1")
    error = refused(tmp_path / "models")
    assert error.reason == "SEVERAL_MODELS"
    assert "--models" in error.message


def test_a_models_directory(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    one, two = model(tmp_path / "genre" / "1"), model(tmp_path / "genre" / "2")
    plain = model(tmp_path / "plain")
    model(tmp_path / "Not A Name" / "1")
    model(tmp_path / ".hidden" / "1")
    (tmp_path / "README.md").touch()
    with caplog.at_level(logging.WARNING):
        assert from_directory(tmp_path) == [
            Source("genre", 2, two),
            Source("genre", 1, one),
            Source("plain", 1, plain),
        ]
    assert "Not A Name" in caplog.text
    assert "hidden" not in caplog.text


@pytest.mark.parametrize("make", [False, True])
def test_no_models_in_the_directory(tmp_path: Path, make: bool) -> None:
    if make:
        (tmp_path / "models").mkdir()
    with pytest.raises(InvalidInput) as caught:
        from_directory(tmp_path / "models")
    assert caught.value.reason == "NO_MODELS"


def test_the_highest_version_is_found_as_serving_finds_it(tmp_path: Path) -> None:
    for version in ("2", "10", "notes"):
        (tmp_path / "reviews" / version).mkdir(parents=True)
    assert highest_version(tmp_path / "reviews") == tmp_path / "reviews" / "10"
    assert highest_version(tmp_path / "reviews" / "2") == tmp_path / "reviews" / "2"
    assert highest_version(tmp_path / "nothing") == tmp_path / "nothing"
