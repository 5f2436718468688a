"""What a process uses, looked at from outside."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import psutil
import pytest
from penult_service.preparing.confined import usage


def test_bytes_and_files(tmp_path: Path) -> None:
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "a").write_bytes(bytes(10_000))
    with (tmp_path / "sparse").open("wb") as file:
        file.truncate(1 << 20)
    size, count = usage.size([tmp_path, tmp_path / "nowhere"], 100)
    assert 10_000 + (1 << 20) <= size <= 20_000 + (1 << 20)
    assert count == 4  # two directories, two files
    assert usage.size([tmp_path], 1)[1] > 1


def test_a_file_by_itself(tmp_path: Path) -> None:
    (tmp_path / "model.keras").write_bytes(bytes(10_000))
    size, count = usage.size([tmp_path / "model.keras", tmp_path / "model.keras"], 100)
    assert 20_000 <= size <= 40_000
    assert count == 2


def test_links_are_not_followed(tmp_path: Path) -> None:
    (tmp_path / "large").write_bytes(bytes(1 << 20))
    (tmp_path / "place").mkdir()
    (tmp_path / "place" / "link").symlink_to(tmp_path / "large")
    (tmp_path / "place" / "all").symlink_to(tmp_path)
    assert usage.size([tmp_path / "place"], 100)[0] < 10_000


def test_what_is_hidden_counts_as_too_much(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def walk(_: object, onerror: object) -> list[object]:
        onerror(PermissionError(13, "Permission denied"))  # type: ignore[operator]
        return []

    monkeypatch.setattr(os, "walk", walk)
    assert usage.size([tmp_path], 100)[1] > 100


def test_what_has_been_written_is_counted_when_it_is_gone(tmp_path: Path) -> None:
    process = psutil.Process()
    before = usage.written(process)
    (tmp_path / "file").write_bytes(bytes(1 << 20))
    (tmp_path / "file").unlink()
    if hasattr(process, "io_counters"):
        assert usage.written(process) >= before + (1 << 20)
    else:
        assert usage.written(process) == 0


def test_a_process_that_is_gone() -> None:
    started = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    process = psutil.Process(started.pid)
    started.communicate(b"\n")
    assert usage.children(started.pid) == []
    assert usage.written(process) == 0
