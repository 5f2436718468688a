"""What Python code in the place of a model may do in the child that prepares: harm nobody.

No check of files is asked here: the code runs where a model's would, in the real child, after it has confined itself.
Each attack is also made with the confinement taken away, to show that it would have done its harm.
"""

from __future__ import annotations

import logging
import os
import resource
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from penult_service.errors import PenultError
from penult_service.preparing import confine, landlock, seccomp, watch
from support.confined import FREE, Confined
from support.processes import is_running
from support.serving import wait_until

LINUX = sys.platform.startswith("linux")
linux = pytest.mark.skipif(not LINUX, reason="what confines is Linux's; others have the limits and the watch")


@pytest.fixture
def confined(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Confined:
    return Confined(tmp_path, monkeypatch)


@pytest.fixture
def whole(confined: Confined) -> Confined:
    """A child on a kernel that has everything."""
    lacking = {part: why for part, why in confined.parts().items() if why}
    if lacking:
        pytest.skip(f"this kernel does not hold {lacking}")
    return confined


def refused(confined: Confined, body: str, **options: object) -> PenultError:
    with pytest.raises(PenultError) as caught:
        confined.run(body, **options)  # type: ignore[arg-type]
    assert str(confined.source) in caught.value.message
    assert "\n" not in caught.value.message
    return caught.value


# Files


FILES = """
return tried(
    new=lambda: open(outside + "/new", "w").close(),
    directory=lambda: os.mkdir(outside + "/directory"),
    link=lambda: os.symlink("/etc", outside + "/link"),
    hard_link=lambda: os.link(outside + "/kept", outside + "/twin"),
    append=lambda: open(outside + "/kept", "a").write("x"),
    truncate=lambda: os.truncate(outside + "/kept", 0),
    rename=lambda: os.rename(outside + "/renamed", outside + "/other"),
    remove=lambda: os.remove(outside + "/removed"),
    mode=lambda: os.chmod(outside + "/kept", 0o777),
    times=lambda: os.utime(outside + "/kept", (0, 0)),
    read=lambda: open(outside + "/kept").read(),
    names=lambda: os.listdir(outside),
    model=lambda: open(job["source"] + "/saved_model.pb", "a").write("x"),
    stranger=lambda: open(f"/proc/{bystander}/environ").read(),
    memory=lambda: open(f"/proc/{bystander}/mem", "rb").close(),
)
"""


@pytest.fixture
def outside(tmp_path: Path) -> Path:
    place = tmp_path / "outside"
    place.mkdir()
    for name in ("kept", "renamed", "removed"):
        (place / name).write_text("mine")
    return place


@pytest.fixture
def bystander() -> Iterator[int]:
    """Another process of the same user."""
    process = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    yield process.pid
    process.kill()
    process.wait()


def test_files_of_others_are_out_of_reach(whole: Confined, outside: Path, bystander: int) -> None:
    told = whole.run(FILES, outside=outside, bystander=bystander)
    assert {name for name, outcome in told.items() if outcome not in ("EACCES", "EPERM", "EXDEV")} == set(), (
        told
    )
    assert {path.name: path.read_text() for path in outside.iterdir()} == dict.fromkeys(
        ("kept", "renamed", "removed"), "mine"
    )
    assert (whole.source / "saved_model.pb").read_bytes() == b"a graph"

    free = whole.run(FILES, outside=outside, bystander=bystander, before=FREE)
    assert set(free.values()) == {"done"}, free


def test_its_own_places_are_its_own(whole: Confined) -> None:
    told = whole.run("""
first, second = Path(job["target"]).parent, Path(os.environ["TMPDIR"])
seen = {"cwd": os.listdir("."), "tmp": os.listdir(second), "same": os.path.samefile(".", second)}
(first / "deep").mkdir()
(first / "deep" / "file").write_text("x")
os.rename(first / "deep" / "file", first / "file")
(second / "file").write_text("x")
return {**seen, "model": (Path(job["source"]) / "saved_model.pb").read_bytes().decode(), "scratch": str(second)}
""")
    scratch = Path(told.pop("scratch"))
    assert told == {"cwd": [], "tmp": [], "same": True, "model": "a graph"}
    assert not scratch.exists()
    assert (whole.own / "file").read_text() == "x"


def test_the_environment_holds_no_secret(confined: Confined, monkeypatch: pytest.MonkeyPatch) -> None:
    secrets = {"PENULT_DATA": "/data", "AWS_SECRET_ACCESS_KEY": "hush", "TF_TOKEN_example": "hush"}
    for name, value in {**secrets, "TF_NUM_INTRAOP_THREADS": "3"}.items():
        monkeypatch.setenv(name, value)
    told = confined.run("return dict(os.environ)")
    assert not told.keys() & secrets.keys()
    assert told["TF_NUM_INTRAOP_THREADS"] == "3"
    assert told["HOME"] == told["TMPDIR"] != os.environ.get("HOME")
    assert Path(told["TMPDIR"]).parent == Path(tempfile.gettempdir())


# The network


NETWORK = """
def send():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as datagrams:
        datagrams.sendto(b"x", ("127.0.0.1", udp))

def reach_by(family, address):
    with socket.socket(family) as stream:
        stream.settimeout(5)
        stream.connect(address)

return tried(
    tcp=lambda: socket.create_connection(("127.0.0.1", tcp), 5).close(),
    udp=send,
    path=lambda: reach_by(socket.AF_UNIX, path),
    abstract=lambda: reach_by(socket.AF_UNIX, abstract),
    listen=lambda: socket.create_server(("127.0.0.1", 0)).close(),
)
"""


def test_no_socket_is_reached(whole: Confined, tmp_path: Path) -> None:
    path, abstract = str(tmp_path / "s"), f"\0penult-test-{os.getpid()}"
    with (
        socket.create_server(("127.0.0.1", 0)) as tcp,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp,
        socket.socket(socket.AF_UNIX) as named,
        socket.socket(socket.AF_UNIX) as unnamed,
    ):
        udp.bind(("127.0.0.1", 0))
        for listener, address in ((named, path), (unnamed, abstract)):
            listener.bind(address)
            listener.listen()
        for listener in (tcp, udp, named, unnamed):
            listener.setblocking(False)
        given = {"tcp": tcp.getsockname()[1], "udp": udp.getsockname()[1], "path": path, "abstract": abstract}

        told = whole.run(NETWORK, **given)
        assert set(told.values()) <= {"EPERM", "EACCES", "ENETUNREACH"}, told
        for listener in (tcp, named, unnamed):
            with pytest.raises(BlockingIOError):
                listener.accept()
        with pytest.raises(BlockingIOError):
            udp.recv(1)

        assert set(whole.run(NETWORK, before=FREE, **given).values()) == {"done"}
        for listener in (tcp, named, unnamed):
            listener.accept()[0].close()
        assert udp.recv(1) == b"x"


@linux
@pytest.mark.parametrize("lacking", ["seccomp.apply", "confine._leave_the_network"])
def test_either_way_of_cutting_the_network_is_enough(confined: Confined, lacking: str) -> None:
    said = f"{LACKING}{lacking} = no"
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.setblocking(False)
        told = confined.run(
            "return tried(tcp=lambda: socket.create_connection(('127.0.0.1', port), 5).close())",
            before=said,
            port=listener.getsockname()[1],
        )
        if told["tcp"] == "done":
            pytest.skip("this kernel has the other way only")
        with pytest.raises(BlockingIOError):
            listener.accept()


# Other processes


PROCESSES = """
def fork():
    if os.fork() == 0:
        os._exit(0)

return tried(
    fork=fork,
    program=lambda: subprocess.run(["/bin/true"]),
    shell=lambda: os.system("true") == 0 or (_ for _ in ()).throw(OSError(errno.EPERM, "no shell")),
    signal=lambda: os.kill(bystander, 18),
    priority=lambda: os.setpriority(os.PRIO_PROCESS, bystander, 19),
    limits=lambda: __import__("resource").prlimit(bystander, __import__("resource").RLIMIT_CORE, (0, 0)),
    descriptor=lambda: os.pidfd_open(bystander),
)
"""


def test_other_processes_are_out_of_reach(whole: Confined, bystander: int) -> None:
    assert set(whole.run(PROCESSES, bystander=bystander).values()) == {"EPERM"}
    free = whole.run(PROCESSES, bystander=bystander, before=FREE)
    assert set(free.values()) == {"done"}, free


def test_threads_and_signals_of_its_own_are_its_own_affair(whole: Confined) -> None:
    told = whole.run("""
found = []
threads = [threading.Thread(target=found.append, args=(number,)) for number in range(20)]
[thread.start() for thread in threads], [thread.join() for thread in threads]
return {"found": sorted(found)} | tried(signal=lambda: os.kill(os.getpid(), 0))
""")
    assert told == {"found": list(range(20)), "signal": "done"}


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


def test_what_a_terminal_would_obey_is_not_passed_on(confined: Confined) -> None:
    error = refused(confined, r"raise ValueError('\x1b]0;owned\x07 ' + 'x' * 100_000)")
    assert error.reason == "CANNOT_PREPARE"
    assert error.message.isprintable()
    assert len(error.message) < 1000


# Kernels and systems that have less


LACKING = """
def no(*_):
    raise OSError(errno.ENOSYS, "not in this kernel")
"""
LESS = {
    "no Landlock": ("landlock._syscall = no", {confine.FILES}),
    "an old Landlock": ("landlock._syscall = lambda *_: 1", {confine.FILES}),
    "no seccomp": ("seccomp.apply = no", {confine.PROCESSES}),
    "no namespaces": ("confine._unshare = no", set()),
    "nothing": ("landlock._syscall = seccomp.prctl = confine._unshare = no", set(confine.PARTS)),
    "macOS": ("sys.platform = 'darwin'", set(confine.PARTS)),
}


@linux
@pytest.mark.parametrize(("before", "lacking"), LESS.values(), ids=LESS.keys())
def test_less_is_said_and_works(
    confined: Confined,
    before: str,
    lacking: set[str],
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    here = {part for part, why in confined.parts().items() if why}
    monkeypatch.setattr(watch, "_said", set())
    with caplog.at_level(logging.INFO):
        for _ in range(2):
            told = confined.run("return {'answer': 42}", before=LACKING + before)
    assert told == {"answer": 42}
    assert confined.said
    (line,) = [record.getMessage() for record in caplog.records if record.name == watch.__name__]
    assert line.endswith(f": {confined.said}")
    for part, meaning in confine.PARTS.items():
        if part in lacking:
            assert f"not held: {meaning} (" in line
        elif part not in here:
            assert f"not held: {meaning}" not in line
            assert meaning in line


def test_a_machine_whose_calls_are_not_known_has_no_filter() -> None:
    with pytest.raises(OSError, match="riscv64"):
        seccomp.filter_program("riscv64", 1)


@pytest.mark.parametrize("machine", ["x86_64", "aarch64"])
def test_the_filter_is_of_the_size_that_a_kernel_takes(machine: str) -> None:
    program = seccomp.filter_program(machine, 4711)
    assert len(program) % 8 == 0
    assert 50 < len(program) // 8 < 4096
    assert len(seccomp._DENIED) == len(set(seccomp._DENIED.values()))


def test_landlock_leaves_out_what_is_not_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[tuple[int, ...]] = []

    def syscall(number: int, *given: object) -> int:
        made.append((number,))
        return 7 if given[0] is None else os.open(tmp_path, os.O_RDONLY)

    monkeypatch.setattr(landlock, "_syscall", syscall)
    monkeypatch.setattr(landlock, "prctl", lambda *_: None)
    landlock.apply([tmp_path / "nowhere"], [tmp_path])
    assert [number for (number,) in made] == [444, 444, 445, 446]
