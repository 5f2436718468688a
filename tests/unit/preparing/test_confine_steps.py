"""What the child that prepares is given, and what is said of its confinement (the real one: test_confined_child)."""

from __future__ import annotations

import json
import os
import site
import struct
import subprocess
import sys
from pathlib import Path

import pytest
from penult_service.cli.verification import show
from penult_service.engines.fake import fake_manifest
from penult_service.errors import InvalidInput
from penult_service.preparing.confined import confine, seccomp
from penult_service.preparing.report import Verification


def test_import_paths_hold_from_another_directory(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(["here", "", "/there"]))
    monkeypatch.setattr(site, "ENABLE_USER_SITE", True)
    given = confine.environment(tmp_path)
    assert given["PYTHONPATH"] == os.pathsep.join([str(Path("here").absolute()), "/there"])
    assert given["PYTHONUSERBASE"] == site.getuserbase()
    assert given["HOME"] == str(tmp_path)
    monkeypatch.delenv("PYTHONPATH")
    monkeypatch.setattr(site, "ENABLE_USER_SITE", False)
    assert not {"PYTHONPATH", "PYTHONUSERBASE"} & confine.environment(tmp_path).keys()


def test_what_is_said() -> None:
    whole = dict.fromkeys(confine.PARTS, "")
    assert confine.described(whole) == ", ".join(confine.PARTS.values())
    some = confine.described({**whole, confine.FILES: "not in this kernel"})
    assert some == (
        "no network, no other processes; not held: no files but the model's and its own (not in this kernel)"
    )
    none = confine.described(dict.fromkeys(confine.PARTS, "not on darwin"))
    assert none.startswith("limits of memory, disk and time alone; not held: no network (not on darwin)")


def test_the_report_says_it(capsys: pytest.CaptureFixture[str]) -> None:
    said = confine.described(dict.fromkeys(confine.PARTS, ""))
    found = Verification(fake_manifest(), None, said)
    assert Verification.from_dict(json.loads(json.dumps(found.to_dict()))) == found
    show(found, own_texts=False)
    shown = " ".join(capsys.readouterr().out.split())
    assert "The model ran in a process of its own: no network, no files but the model's" in shown


@pytest.mark.parametrize("name", ["a\nb", "\x1b]0;owned\x07", "a\u2028b", "\ud800"])
def test_a_message_is_one_line_whatever_a_stranger_calls_a_thing(name: str) -> None:
    error = InvalidInput(f"there is no {name!s} here")
    assert error.message.isprintable()
    assert str(error) == error.message
    assert error.message.startswith("there is no ")
    error.message.encode()


class Machine:
    """Runs a filter of system calls as the kernel does: what it answers to a call."""

    def __init__(self, machine: str, pid: int) -> None:
        program = seccomp.filter_program(machine, pid)
        self._program = [struct.unpack_from("=HBBI", program, at) for at in range(0, len(program), 8)]

    def answer(self, architecture: int, number: int, first: int = 0) -> str:
        words = {0: number, 4: architecture, 16: first & 0xFFFFFFFF}
        loaded, at = 0, 0
        while True:
            code, when, otherwise, value = self._program[at]
            at += 1
            if code == 0x06:
                return {0x7FFF0000: "allowed", 0x00050001: "EPERM", 0x00050026: "ENOSYS"}[value]
            if code == 0x20:
                loaded = words[value]
                continue
            holds = {0x15: loaded == value, 0x25: loaded > value, 0x45: bool(loaded & value)}[code]
            at += when if holds else otherwise


X86_64, AARCH64 = 0xC000003E, 0xC00000B7


@pytest.mark.parametrize(
    ("machine", "number", "first", "expected"),
    [
        ("x86_64", 0, 0, "allowed"),  # read
        ("x86_64", 257, 0, "allowed"),  # openat
        ("x86_64", 41, 2, "EPERM"),  # socket
        ("x86_64", 59, 0, "EPERM"),  # execve
        ("x86_64", 57, 0, "EPERM"),  # fork
        ("x86_64", 56, 0x003D0F00, "allowed"),  # clone, as a thread begins
        ("x86_64", 56, 0x01200011, "EPERM"),  # clone, as a process begins
        ("x86_64", 435, 0, "ENOSYS"),  # clone3
        ("x86_64", 452, 0, "ENOSYS"),  # fchmodat2, newer than the table
        ("x86_64", 0x40000000 + 41, 0, "ENOSYS"),  # the same calls under other numbers (x32)
        ("x86_64", 62, 4711, "allowed"),  # kill of itself
        ("x86_64", 62, 4712, "EPERM"),
        ("x86_64", 62, -1, "EPERM"),  # of all
        ("x86_64", 62, 0, "allowed"),  # of its own group: nobody else is in it
        ("x86_64", 302, 0, "allowed"),  # prlimit64 of itself
        ("x86_64", 302, 1, "EPERM"),
        ("x86_64", 90, 0, "EPERM"),  # chmod
        ("aarch64", 63, 0, "allowed"),  # read
        ("aarch64", 198, 2, "EPERM"),  # socket
        ("aarch64", 221, 0, "EPERM"),  # execve
        ("aarch64", 220, 0x003D0F00, "allowed"),
        ("aarch64", 220, 0x01200011, "EPERM"),
        ("aarch64", 129, 4712, "EPERM"),  # kill
        ("aarch64", 53, 0, "EPERM"),  # fchmodat
    ],
)
def test_the_filter(machine: str, number: int, first: int, expected: str) -> None:
    ours, other = (X86_64, AARCH64) if machine == "x86_64" else (AARCH64, X86_64)
    assert Machine(machine, 4711).answer(ours, number, first) == expected
    assert Machine(machine, 4711).answer(other, number, first) == "EPERM"
    assert Machine(machine, 4711).answer(0x40000003, number, first) == "EPERM"  # 32-bit calls on x86


def test_a_machine_whose_calls_are_not_known_has_no_filter() -> None:
    with pytest.raises(OSError, match="riscv64"):
        seccomp.filter_program("riscv64", 1)


@pytest.mark.tensorflow
def test_tensorflow_hub_fetches_nothing_in_that_environment(tmp_path: Path) -> None:
    from support.hub_server import hub_server

    command = "import sys, tensorflow_hub; tensorflow_hub.resolve(sys.argv[1])"
    with hub_server() as server:
        asked = (sys.executable, "-c", command, server.handle("/module", b""))
        for environment, times in ((confine.environment(tmp_path), 0), (dict(os.environ), 1)):
            place = {"TFHUB_CACHE_DIR": str(tmp_path / "cache")}
            done = subprocess.run(asked, env=environment | place, capture_output=True, check=False)
            assert done.returncode == 1
            assert len(server.asked) == times
