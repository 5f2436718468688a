"""The child that prepares, when code in the place of a model uses too much, or says something else than an answer."""

from __future__ import annotations

import resource
import sys
from pathlib import Path

import pytest
from penult_service.errors import PenultError
from penult_service.preparing.confined import watch
from support.confined import LACKING, Confined
from support.processes import is_running
from support.serving import wait_until

linux = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the limits of Linux")


@pytest.fixture
def confined(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Confined:
    return Confined(tmp_path, monkeypatch)


def refused(confined: Confined, body: str, **options: object) -> PenultError:
    with pytest.raises(PenultError) as caught:
        confined.run(body, **options)  # type: ignore[arg-type]
    assert str(confined.source) in caught.value.message
    assert "\n" not in caught.value.message
    return caught.value


# Processes and threads


FORKS = """
Path(os.environ["TMPDIR"], "first").write_text(str(os.getpid()))
pids = open(job["target"], "w")
while True:
    pid = os.fork()
    if pid == 0:
        time.sleep(600)
    print(pid, file=pids, flush=True)
    time.sleep(0.02)
"""


@linux
def test_forking_without_end_where_the_kernel_does_not_stop_it(confined: Confined) -> None:
    error = refused(confined, FORKS, before=f"{LACKING}seccomp.apply = no")
    assert error.reason == "TOO_MANY_PROCESSES"
    pids = [int(pid) for pid in (confined.own / "model").read_text().split()]
    assert len(pids) >= watch._PROCESSES
    wait_until(lambda: not any(is_running(pid) for pid in pids), 10)


def test_threads_without_end(confined: Confined, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watch, "_THREADS", 50)
    body = "while True:\n    threading.Thread(target=time.sleep, args=(600,), daemon=True).start(); time.sleep(0.001)"
    assert refused(confined, body).reason == "TOO_MANY_PROCESSES"


# Memory, disk, time


MEMORY = {
    "little by little": "hoard = []\nwhile True: hoard.append(bytearray(os.urandom(1)) * (4 << 20))",
    "at once": "hoard = bytearray(os.urandom(1)) * (400 << 20)\ntime.sleep(600)",
    "shared": "hoard = mmap.mmap(-1, 400 << 20)\nhoard.write(b'x' * (400 << 20))\ntime.sleep(600)",
    "more than the kernel gives": "return {'length': len(bytearray(os.urandom(1)) * (64 << 30))}",
}


@linux
@pytest.mark.parametrize("body", MEMORY.values(), ids=MEMORY.keys())
def test_memory_without_end(confined: Confined, body: str) -> None:
    error = refused(confined, body, memory=200 << 20)
    assert error.reason == "OUT_OF_MEMORY"
    assert "PENULT_PREPARE_MEMORY" in error.message


DISK = {
    "a large file": "with open(place, 'wb') as file:\n    while True: file.write(bytes(1 << 20))",
    "many files": "for n in range(10**9): Path(f'{place}.{n}').write_bytes(bytes(1 << 20))",
    "many names": "for n in range(10**9): Path(f'{place}.{n}').touch()",
    "files that are gone": "while True:\n    Path(place).write_bytes(bytes(4 << 20))\n    os.remove(place)",
    "chatter": "while True: os.write(2, bytes(1 << 16))",
}


@linux
@pytest.mark.parametrize("where", ["TMPDIR", "target"])
@pytest.mark.parametrize("body", DISK.values(), ids=DISK.keys())
def test_disk_without_end(confined: Confined, monkeypatch: pytest.MonkeyPatch, body: str, where: str) -> None:
    monkeypatch.setattr(watch, "_DISK", 8 << 20)
    monkeypatch.setattr(watch, "_FILES", 500)
    place = "os.environ['TMPDIR'] + '/x'" if where == "TMPDIR" else "job['target']"
    error = refused(confined, f"place = {place}\n{body}")
    assert error.reason == "TOO_MUCH_WRITTEN"


LOOPS = {
    "python": "while True: pass",
    "sleep": "time.sleep(600)",
    "holding the interpreter": "import re\nre.match(r'(a+)+$', 'a' * 60 + 'b')",
    "deaf to signals": "import signal\nfor n in (1, 2, 15): signal.signal(n, signal.SIG_IGN)\ntime.sleep(600)",
}


@pytest.mark.parametrize("body", LOOPS.values(), ids=LOOPS.keys())
def test_time_without_end(confined: Confined, body: str) -> None:
    error = refused(confined, f"Path(job['target']).write_text(str(os.getpid()))\n{body}", seconds=1.5)
    assert error.reason == "PREPARE_TIMEOUT"
    assert "PENULT_PREPARE_TIMEOUT" in error.message
    assert not is_running(int((confined.own / "model").read_text()))


@linux
def test_limits_of_the_kernel(confined: Confined) -> None:
    told = confined.run(
        "import resource as r\n"
        "names = ('RLIMIT_CORE', 'RLIMIT_DATA', 'RLIMIT_FSIZE', 'RLIMIT_CPU')\n"
        "found = {name: r.getrlimit(getattr(r, name)) for name in names}\n"
        "return found | {'oom': open('/proc/self/oom_score_adj').read()}",
        memory=1 << 30,
        seconds=30,
    )
    hard = {name: resource.getrlimit(getattr(resource, name))[1] for name in told if name != "oom"}
    assert told["RLIMIT_CORE"] == [0, 0]
    assert told["oom"].strip() == "1000"
    for name, most in (("RLIMIT_DATA", 64 << 30), ("RLIMIT_FSIZE", 2 << 30), ("RLIMIT_CPU", 90 * 1024)):
        assert 0 < told[name][1] <= (most if hard[name] == resource.RLIM_INFINITY else min(most, hard[name]))


# What it says


ANSWERS = {
    "without end": "while True: os.write(out, b'x' * 65536)",
    "lines without end": 'while True: os.write(out, b\'{"progress": ["x", 0]}\\n\' * 1000)',
    "no JSON": "os.write(out, b'hello\\n')\ntime.sleep(600)",
    "deep JSON": "os.write(out, b'[' * 100000 + b'\\n')\ntime.sleep(600)",
    "a list": "os.write(out, b'[1]\\n')\ntime.sleep(600)",
    "no such error": 'os.write(out, b\'{"error": {"kind": "to_json", "message": "m"}}\\n\')\ntime.sleep(600)',
    "an error of no kind": "os.write(out, b'{\"error\": 7}\\n')\ntime.sleep(600)",
    "not UTF-8": "os.write(out, b'\\xff\\xfe\\n')\ntime.sleep(600)",
}


@pytest.mark.parametrize("body", ANSWERS.values(), ids=ANSWERS.keys())
def test_answers_that_are_none(confined: Confined, body: str) -> None:
    find = (
        "def _is_pipe(n):\n    try: return __import__('stat').S_ISFIFO(os.fstat(n).st_mode)\n"
        "    except OSError: return False\nout = next(n for n in range(3, 50) if _is_pipe(n))\n"
    )
    error = refused(confined, find + body)
    assert error.reason == "PREPARE_CRASHED"
    assert "something else than an answer" in error.message


def test_a_child_that_says_no_more_and_goes_on(confined: Confined, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watch, "_TO_END", 0.2)
    body = "Path(job['target']).write_text(str(os.getpid()))\nos.closerange(1, 50)\ntime.sleep(600)"
    assert refused(confined, body).reason == "PREPARE_CRASHED"
    assert not is_running(int((confined.own / "model").read_text()))


@linux
def test_what_a_child_began_ends_with_it(confined: Confined) -> None:
    body = """
pid = os.fork()
if pid == 0:
    os.setsid()
    os.closerange(0, 50)
    time.sleep(600)
Path(job["target"]).write_text(str(pid))
time.sleep(1)
os._exit(7)
"""
    error = refused(confined, body, before=f"{LACKING}seccomp.apply = no")
    assert error.reason == "PREPARE_CRASHED"
    pid = int((confined.own / "model").read_text())
    wait_until(lambda: not is_running(pid), 10)


def test_what_a_terminal_would_obey_is_not_passed_on(confined: Confined) -> None:
    error = refused(confined, r"raise ValueError('\x1b]0;owned\x07 ' + 'x' * 100_000)")
    assert error.reason == "CANNOT_PREPARE"
    assert error.message.isprintable()
    assert len(error.message) < 1000
