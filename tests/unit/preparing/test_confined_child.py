"""What Python code in the place of a model may do in the child that prepares: harm nobody.

No check of files is asked here: the code runs where a model's would, in the real child, after it has confined itself.
Each attack is also made with the confinement taken away, to show that it would have done its harm.
"""

from __future__ import annotations

import logging
import os
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from penult_service.preparing.confined import confine, landlock, watch
from support.confined import FREE, LACKING, Confined

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


# Files


FILES = """
return tried(
    new=lambda: open(outside + "/new", "w").close(),
    directory=lambda: os.mkdir(outside + "/directory"),
    link=lambda: os.symlink("/etc", outside + "/link"),
    own_link=lambda: os.symlink(outside, job["target"]),
    own_pipe=lambda: os.mkfifo(job["target"] + ".pipe"),
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


SEND = """
def send(port=9):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as datagrams:
        datagrams.sendto(b"x", ("127.0.0.1", port))
"""
NETWORK = """
def reach_by(family, address):
    with socket.socket(family) as stream:
        stream.settimeout(5)
        stream.connect(address)

return tried(
    tcp=lambda: socket.create_connection(("127.0.0.1", tcp), 5).close(),
    udp=lambda: send(udp),
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

        told = whole.run(NETWORK, before=SEND, **given)
        assert set(told.values()) <= {"EPERM", "EACCES", "ENETUNREACH"}, told
        for listener in (tcp, named, unnamed):
            with pytest.raises(BlockingIOError):
                listener.accept()
        with pytest.raises(BlockingIOError):
            udp.recv(1)

        assert set(whole.run(NETWORK, before=SEND + FREE, **given).values()) == {"done"}
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


AS_A_USER = """
real = confine._unshare
def asked(what):
    if not what & confine._NEW_USER:
        raise OSError(errno.EPERM, "only root may")
    real(what)
confine._unshare = asked
"""


@linux
def test_the_network_of_an_ordinary_user(confined: Confined) -> None:
    """Who is not root leaves it in a user namespace; there he is who he was, and has his files."""
    told = confined.run(
        """
Path(job["target"]).write_text("mine")
told = tried(tcp=lambda: socket.create_connection(("127.0.0.1", 1), 5), udp=send)
return told | {"user": os.getuid(), "group": os.getgid()}
""",
        before=f"{LACKING}seccomp.apply = no\nlandlock._syscall = no\n{AS_A_USER}{SEND}",
    )
    if "no network" not in confined.said.partition(";")[0]:
        pytest.skip(confined.said)
    assert {told["tcp"], told["udp"]} == {"ENETUNREACH"}
    assert (told["user"], told["group"]) == (os.geteuid(), os.getegid())
    owner = (confined.own / "model").stat()
    assert (owner.st_uid, owner.st_gid) == (os.geteuid(), os.getegid())


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


# Kernels and systems that have less


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


def test_landlock_leaves_out_what_is_not_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[tuple[int, ...]] = []

    def syscall(number: int, *given: object) -> int:
        made.append((number,))
        return 7 if given[0] is None else os.open(tmp_path, os.O_RDONLY)

    monkeypatch.setattr(landlock, "_syscall", syscall)
    monkeypatch.setattr(landlock, "prctl", lambda *_: None)
    landlock.apply([tmp_path / "nowhere"], [tmp_path])
    assert [number for (number,) in made] == [444, 444, 445, 446]
