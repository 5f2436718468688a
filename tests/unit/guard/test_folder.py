"""The files of a folder by names, kinds and sizes: what leads out, and what is too much."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest
from penult_service.errors import InvalidInput, ModelRefused
from penult_service.guard.folder import refuse_unsafe_files


@pytest.fixture
def model(tmp_path: Path) -> Path:
    place = tmp_path / "model"
    (place / "assets").mkdir(parents=True)
    (place / "assets" / "vocab.txt").write_text("a\nb\n")
    (place / "saved_model.pb").write_bytes(b"graph")
    return place


def refusal(model: Path, **limits: int) -> ModelRefused:
    with pytest.raises(ModelRefused) as caught:
        refuse_unsafe_files(model, **limits)
    assert str(model) in caught.value.message
    return caught.value


def test_an_ordinary_folder_and_a_link_to_it(model: Path, tmp_path: Path) -> None:
    (tmp_path / "latest").symlink_to(model)
    refuse_unsafe_files(model)
    refuse_unsafe_files(tmp_path / "latest")


def test_links_that_stay_inside(model: Path) -> None:
    (model / "vocab.txt").symlink_to("assets/vocab.txt")
    (model / "assets" / "up").symlink_to("..")
    (model / "nothing").symlink_to("not-there")
    refuse_unsafe_files(model)


@pytest.mark.parametrize(
    "target", ["../secret", "/etc/passwd", "..", "/", "assets/../../secret", "../model-2/x"]
)
def test_links_that_lead_out(model: Path, target: str) -> None:
    (model.parent / "secret").write_text("secret")
    (model / "assets" / "words").symlink_to(Path("..") / target if target.startswith("..") else target)
    if target.startswith("assets"):
        (model / "assets" / "words").unlink()
        (model / "words").symlink_to(target)
    error = refusal(model)
    assert error.reason == "LINK_OUTSIDE"
    assert "words" in error.message


def test_a_link_through_another_link(model: Path) -> None:
    (model / "hop").symlink_to("..")
    (model / "words").symlink_to("hop/secret")
    assert refusal(model).reason == "LINK_OUTSIDE"


def test_a_link_to_itself(model: Path) -> None:
    (model / "loop").symlink_to("loop")
    assert refusal(model).reason == "LINK_OUTSIDE"


def test_a_pipe_that_would_never_end(model: Path) -> None:
    os.mkfifo(model / "assets" / "words")
    error = refusal(model)
    assert error.reason == "SPECIAL_FILE"
    assert "assets/words" in error.message


def test_a_socket(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(model)  # the names of sockets are short
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind("s")
        assert refusal(model).reason == "SPECIAL_FILE"


def test_more_files_than_the_limit(model: Path) -> None:
    refuse_unsafe_files(model, max_files=3)
    assert refusal(model, max_files=2).reason == "TOO_MANY_FILES"


def test_more_bytes_than_the_limit(model: Path) -> None:
    refuse_unsafe_files(model, max_bytes=9)
    assert refusal(model, max_bytes=8).reason == "TOO_LARGE"
    with (model / "holes").open("wb") as file:
        file.truncate(100 << 30)  # takes no room on the disk, and would as a copy
    assert refusal(model).reason == "TOO_LARGE"


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput) as caught:
        refuse_unsafe_files(tmp_path / "gone")
    assert caught.value.reason == "DAMAGED"
