"""A directory is there whole or not at all."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
from penult_service.files import new_directory, sha256_file


def test_it_appears_when_the_block_ends(tmp_path: Path) -> None:
    target = tmp_path / "deep" / "model"
    with new_directory(target) as draft:
        (draft / "inner").mkdir()
        (draft / "inner" / "file").write_text("x")
        assert draft.parent == target.parent
        assert not target.exists()
    assert [path.name for path in target.parent.iterdir()] == ["model"]
    assert (target / "inner" / "file").read_text() == "x"


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_nothing_is_left_of_a_block_that_fails(tmp_path: Path, error: type[BaseException]) -> None:
    with pytest.raises(error), new_directory(tmp_path / "model") as draft:  # noqa: PT012
        (draft / "file").touch()
        raise error
    assert not any(tmp_path.iterdir())


def test_what_is_there_is_not_replaced(tmp_path: Path) -> None:
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "mine").touch()
    with pytest.raises(OSError), new_directory(tmp_path / "model") as draft:
        (draft / "file").touch()
    assert [path.name for path in tmp_path.iterdir()] == ["model"]
    assert [path.name for path in (tmp_path / "model").iterdir()] == ["mine"]


def test_hash(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"bytes" * 100_000)
    assert sha256_file(path) == hashlib.sha256(b"bytes" * 100_000).hexdigest()
