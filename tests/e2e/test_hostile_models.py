"""A server with a good model and hostile ones beside it: the good one answers all the while, the others fail.

The static checks are passed by: the hostile models are Python code in the place of what they would run, in the real
child of a real server. (That the checks refuse them is tested where the checks are.)
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import psutil
import pytest
from penult_client import Client
from support import text_models
from support.confined import Confined
from support.processes import is_running
from support.serving import wait_until

pytestmark = pytest.mark.tensorflow

LONGEST = 300.0
SECONDS, GIB = 8, 1.0  # that preparing may take
HOSTILE = {  # what each tries, and the reason for which it fails
    "a-loop": ("while True: pass", "PREPARE_TIMEOUT"),
    "b-memory": (
        "hoard = []\nwhile True: hoard.append(bytearray(os.urandom(1)) * (16 << 20))",
        "OUT_OF_MEMORY",
    ),
    "c-disk": (
        "with open(job['target'], 'wb') as f:\n    while True: f.write(bytes(1 << 20))",
        "TOO_MUCH_WRITTEN",
    ),
    "d-processes": (
        "while True:\n    if os.fork() == 0: time.sleep(600)\n    time.sleep(0.01)",
        "NOT_PERMITTED",
    ),
    "e-file": ("open(OUTSIDE + '/made', 'w').write('x')", "NOT_PERMITTED"),
    "f-socket": ("import socket\nsocket.create_connection(('127.0.0.1', PORT), 5)", "NOT_PERMITTED"),
    "g-server": ("os.kill(os.getppid(), 9)", "NOT_PERMITTED"),
    "h-crash": ("import ctypes\nctypes.string_at(0)", "PREPARE_CRASHED"),
    "i-answers": ("while True: os.write(3, b'x' * 65536)", "PREPARE_CRASHED"),
    "j-threads": (
        "import threading\nwhile True: threading.Thread(target=time.sleep, args=(600,), daemon=True).start()",
        "CANNOT_PREPARE TOO_MANY_PROCESSES",  # their stacks come to the limit of memory first, on few processors
    ),
}

CHILD = """
import os, sys, time
from pathlib import Path
from penult_service.preparing import child
{given}
def run(job, progress):
    exec((Path(job["source"]).parent / "1" / "payload.py").read_text(), {{**globals(), "job": job}})
    return {{}}
child._run = run
child.main()
"""
SERVER = """
import sys
from penult_service.preparing.confined import watch
watch._COMMAND = (sys.executable, "-P", {child!r})
watch._DISK = 64 << 20
from penult_service.cli.app import main
sys.exit(main())
"""


@pytest.fixture(scope="module", autouse=True)
def whole(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Where the kernel holds less, some of this would do its harm."""
    with pytest.MonkeyPatch.context() as patch:
        lacking = {
            p: why for p, why in Confined(tmp_path_factory.mktemp("probe"), patch).parts().items() if why
        }
    if lacking:
        pytest.skip(f"this kernel does not hold {lacking}")


@pytest.fixture(scope="module")
def outside(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("outside")


@pytest.fixture(scope="module")
def listener() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as opened:
        opened.setblocking(False)
        yield opened


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`good`, prepared, and the hostile ones."""
    from penult_service.preparing import pipeline

    home = tmp_path_factory.mktemp("models")
    saved = text_models.save(text_models.classifier(), tmp_path_factory.mktemp("saved") / "model")
    pipeline.prepare(saved, home / "good" / "1", None, lambda *_: None)
    for name, (payload, _) in HOSTILE.items():
        place = home / name / "1"
        place.mkdir(parents=True)
        (place / "saved_model.pb").write_bytes(name.encode())
        (place / "payload.py").write_text(payload)
    return home


@pytest.fixture(scope="module")
def server(
    models: Path, outside: Path, listener: socket.socket, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[subprocess.Popen[bytes], str, Path]]:
    """The process, its address, its log."""
    home = tmp_path_factory.mktemp("server")
    given = f"OUTSIDE, PORT = {str(outside)!r}, {listener.getsockname()[1]}"
    (home / "child.py").write_text(CHILD.format(given=given))
    (home / "server.py").write_text(SERVER.format(child=str(home / "child.py")))
    options = {
        "--models": models,
        "--data": home / "data",
        "--port": 0,
        "--address-file": home / "address",
        "--prepare-timeout": SECONDS,
        "--prepare-memory": GIB,
        "--analysis-workers": 0,
    }
    command = [
        sys.executable,
        str(home / "server.py"),
        "serve",
        *(str(x) for o in options.items() for x in o),
    ]
    with (home / "log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log)
    try:
        wait_until(lambda: (home / "address").exists() or process.poll() is not None, LONGEST)
        assert process.poll() is None, (home / "log").read_text()
        yield process, (home / "address").read_text().strip(), home / "log"
    finally:
        process.terminate()
        process.wait(60)


def test_the_good_one_answers_while_the_others_fail(
    server: tuple[subprocess.Popen[bytes], str, Path], outside: Path, listener: socket.socket
) -> None:
    process, address, log = server
    answers, most, resident = 0, 0.0, 0
    with Client(address, timeout=LONGEST) as client:
        wait_until(lambda: any(m.name == "good" and m.state == "ready" for m in client.models()), LONGEST)
        expected = client.embed(text_models.TEXTS, model="good").vectors
        assert any(model.state == "loading" for model in client.models())
        until = time.monotonic() + LONGEST
        while any(model.state == "loading" for model in client.models()):
            began = time.monotonic()
            found = client.embed(text_models.TEXTS, model="good").vectors
            answers, most = answers + 1, max(most, time.monotonic() - began)
            resident = max(resident, psutil.Process(process.pid).memory_info().rss)
            np.testing.assert_array_equal(found, expected)
            assert time.monotonic() < until
            time.sleep(0.05)  # the others need the processors too
        states = {model.name: model for model in client.models()}
    said = log.read_text(encoding="utf-8")
    print(f"{answers} answers, the slowest {most:.2f} s; the server had {resident >> 20} MiB resident")
    for name, (_, reasons) in HOSTILE.items():
        assert states[name].state == "failed", name
        assert f"/{name}/1" in states[name].state_message
        line = next(line for line in said.splitlines() if f"models/{name}/versions/1 is not" in line)
        assert line.rpartition("(")[2].removesuffix(")") in reasons.split(), line
    assert answers > 20
    assert "Traceback" not in said
    assert process.poll() is None
    assert list(outside.iterdir()) == []
    with pytest.raises(BlockingIOError):
        listener.accept()
    assert not [child for child in psutil.Process(process.pid).children() if is_running(child.pid)]
    assert not [name for name in os.listdir(log.parent / "data" / "prepared") if "partial" in name]  # noqa: PTH208
