"""Rows found by their ids; temporary directories of processes that were killed."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
import pytest
from penult_service.errors import NotFound
from penult_service.storage import Storage


def test_rows_are_found_by_their_ids(tmp_path: Path) -> None:
    with Storage(tmp_path) as storage:
        opened = storage.sets.create("a")
        assert opened.find(["x"]).tolist() == [-1]
        opened.append(["a", "b", "c"], np.eye(3, dtype=np.float32))
        opened.fold()
        opened.append(["d"], np.ones((1, 3), np.float32))
        assert opened.find(["d", "nobody", "a", "d", "c"]).tolist() == [3, -1, 0, 3, 2]
        assert opened.find([]).tolist() == []
    with Storage(tmp_path) as storage:
        opened = storage.sets.get("a")
        assert opened.find(["b", "e"]).tolist() == [1, -1]
        storage.sets.delete("a")
        with pytest.raises(NotFound):
            opened.find(["b"])


def test_what_killed_processes_left_is_removed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    left, fresh, other = (tmp_path / name for name in ("penult-data-left", "penult-data-fresh", "other"))
    for place in (left, fresh, other):
        (place / "datasets").mkdir(parents=True)
    (left / ".lock").write_text("1234567\n")
    (fresh / ".lock").touch()
    with Storage(None) as first:
        assert not left.exists()
        assert fresh.exists()
        assert other.exists()
        with Storage(None) as second:
            assert first.path.exists()
            assert first.path != second.path
    assert not first.path.exists()
