"""Compiled files of the libraries: made once where they are missing, by a process that only imports."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from penult_service.preparing.confined import bytecode


@pytest.fixture
def library(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A library without compiled files, in the place of the one that is looked for."""
    place = tmp_path / "a_large_library"
    place.mkdir()
    (place / "__init__.py").write_text("VALUE = 1\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setattr(bytecode, "_LAST", place.name)
    monkeypatch.setattr(bytecode, "_IMPORTS", f"import {place.name}")
    monkeypatch.setattr(sys, "dont_write_bytecode", False)
    monkeypatch.delenv("PYTHONDONTWRITEBYTECODE", raising=False)
    bytecode.make_once.cache_clear()
    yield place
    bytecode.make_once.cache_clear()


def compiled(library: Path) -> Path:
    return Path(importlib.util.cache_from_source(str(library / "__init__.py")))


def test_they_are_made_once(library: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bytecode.make_once()
    assert compiled(library).exists()

    def run(*_: Any, **__: Any) -> None:
        raise AssertionError("they are there")

    monkeypatch.setattr(subprocess, "run", run)
    bytecode.make_once.cache_clear()
    bytecode.make_once()


def test_not_where_nobody_wants_them(library: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    bytecode.make_once()
    assert not compiled(library).exists()


def test_not_where_they_cannot_be_written(library: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bytecode.os, "access", lambda *_: False)
    bytecode.make_once()
    assert not compiled(library).exists()


def test_without_them_preparing_goes_on(library: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bytecode, "_IMPORTS", "raise SystemExit(3)")
    bytecode.make_once()
    monkeypatch.setattr(bytecode, "_LAST", "no_such_library_at_all")
    bytecode.make_once.cache_clear()
    bytecode.make_once()
    assert not compiled(library).exists()
