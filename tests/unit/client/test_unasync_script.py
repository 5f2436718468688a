"""The synchronous client is what the script makes of the asynchronous one."""

from __future__ import annotations

import importlib.util
import shutil
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[3] / "scripts" / "unasync.py"


@pytest.fixture
def script():
    spec = importlib.util.spec_from_file_location("unasync_script", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_committed_files_are_as_made(script):
    assert script.main(["--check"]) == 0


def test_drift_is_shown_and_mended(script, tmp_path, monkeypatch, capsys):
    for folder in ("_async", "_sync"):
        shutil.copytree(script.PACKAGE / folder, tmp_path / folder)
    monkeypatch.setattr(script, "PACKAGE", tmp_path)
    client = tmp_path / "_sync" / "inference.py"
    client.write_text(client.read_text().replace("def embed", "def embedd"))
    (tmp_path / "_sync" / "gone.py").write_text("left = 1\n")
    assert script.main(["--check"]) == 1
    shown = capsys.readouterr().out
    assert "-    def embedd(" in shown
    assert "-left = 1" in shown
    assert script.main([]) == 0
    assert script.main(["--check"]) == 0
    assert not (tmp_path / "_sync" / "gone.py").exists()


def test_no_word_of_asynchrony_is_left(script):
    made = script.synchronous("async with AsyncClient() as c:\n    await c.embed(x)\n", "x.py")
    assert made.splitlines()[1:] == ["with Client() as c:", "    c.embed(x)"]
    assert script.main(["--nonsense"]) == 2
