"""The processes of the demo: what it says when one fails, and that none is left behind."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import demo_processes
import pytest
from demo_processes import DemoError, Server


@pytest.fixture
def stand_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file that is run in the place of penult."""
    program = tmp_path / "penult"
    monkeypatch.setattr(demo_processes, "PENULT", program)
    return program


def write(program: Path, code: str) -> None:
    program.write_text(f"#!{sys.executable}\nimport sys, time\nfrom pathlib import Path\n{code}")
    program.chmod(0o755)


def start(tmp_path: Path) -> Server:
    return Server({"one": tmp_path / "one"}, tmp_path / "data", tmp_path, tmp_path / "log", keep=False)


def test_a_command_that_fails_is_named(stand_in: Path) -> None:
    write(stand_in, "sys.exit(3)")
    with pytest.raises(DemoError, match=r"penult verify failed \(exit code 3\)"):
        demo_processes.penult("verify", "model")


def test_what_a_command_prints(stand_in: Path) -> None:
    write(stand_in, "print(sys.argv[1:])")
    told = demo_processes.penult("embed", Path("a b"), show_command=False, stdout=subprocess.PIPE)
    assert told == "['embed', 'a b']\n"


def test_a_server_that_ends_is_told_with_the_last_line_of_its_log(stand_in: Path, tmp_path: Path) -> None:
    write(stand_in, "print('first'); print('no such model')")
    server = start(tmp_path)
    with pytest.raises(DemoError, match="did not get ready: no such model"):
        server.wait_until_it_listens()


def test_a_server_is_given_its_models_and_is_ended(stand_in: Path, tmp_path: Path) -> None:
    code = """
options = dict(zip(sys.argv[3:], sys.argv[4:]))
Path("draft").write_text(sys.argv[2] + " " + options["--port"])
Path("draft").rename(options["--address-file"])
sys.stdin.read()
"""
    write(stand_in, f"import os; os.chdir({str(tmp_path)!r})\n{code}")
    server = start(tmp_path)
    server.wait_until_it_listens()
    assert server.address == f"one={tmp_path / 'one'} 0"
    os.kill(server.pid, 0)
    server.end()
    with pytest.raises(ProcessLookupError):
        os.kill(server.pid, 0)
