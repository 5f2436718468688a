"""`open`: a private server as a child process. The child here is a stand-in for `python -m penult_service`."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import penult_client
import pytest
from penult_client import Client, InvalidInputError, ServerStartError
from penult_client._process import ServerProcess, _flags
from support.wire_numbers import vector_of

TESTS = Path(__file__).parents[2]

STAND_IN = """
import json, os, signal, sys, threading, time
from pathlib import Path

arguments = sys.argv[1:]
model = Path(arguments[1].partition("=")[2] or arguments[1])
kind = model.name
if kind == "refused":
    print("starting")
    print("error: the model holds a Lambda layer; save it without", file=sys.stderr)
    print("  (hint)", file=sys.stderr)
    sys.exit(1)
if kind == "usage":
    print("error: no such option: --nonsense", file=sys.stderr)
    sys.exit(2)
if kind == "dies":
    print("Segmentation fault", file=sys.stderr)
    os._exit(139)
if kind == "stubborn":
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
if kind == "never":
    time.sleep(60)

from penult.v1 import model_service_pb2 as models
from support import wire_server

class State(wire_server.Models):
    asked = 0
    def ListModels(self, request, context):
        State.asked += 1
        if kind == "failed":
            bad = models.Model(state=models.MODEL_STATE_FAILED, state_message="no text input")
            return models.ListModelsResponse(models=[bad])
        if State.asked < 3:
            loading = models.Model(name="models/m/versions/1", state=models.MODEL_STATE_LOADING)
            ready = models.Model(name="models/m/versions/2", state=models.MODEL_STATE_READY)
            return models.ListModelsResponse(models=[loading, ready])
        (model.parent / "settled").touch()
        return super().ListModels(request, context)

wire_server.Models = State
server, address = wire_server.start(wire_server.Script())
where = Path(arguments[arguments.index("--address-file") + 1])
(model.parent / "started.json").write_text(json.dumps({
    "pid": os.getpid(), "arguments": arguments, "variable": os.environ.get("PENULT_TEST"),
    "models": os.environ.get("PENULT_MODELS"),
}))
where.write_text(address + "\\n")
if kind == "stubborn":
    time.sleep(60)
sys.stdin.buffer.read()
server.stop(0).wait()
(model.parent / "ended").touch()
"""


@pytest.fixture
def env(tmp_path: Path) -> dict[str, str]:
    package = tmp_path / "python" / "penult_service"
    package.mkdir(parents=True)
    (package / "__init__.py").touch()
    (package / "__main__.py").write_text(STAND_IN)
    repo = TESTS.parent
    path = [package.parent, TESTS, repo / "protos" / "gen", repo / "clients" / "python"]
    return {"PYTHONPATH": os.pathsep.join(map(str, path))}


def started(folder: Path) -> dict:
    return json.loads((folder / "started.json").read_text())


def running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    stat = Path(f"/proc/{pid}/stat")
    return not stat.exists() or stat.read_text().rpartition(")")[2].split()[0] != "Z"


def test_a_private_server_lives_as_long_as_its_client(flavour, tmp_path, env, monkeypatch):
    monkeypatch.setenv("PENULT_MODELS", "/somewhere")
    kind = Client if flavour.kind == "sync" else penult_client.AsyncClient
    client = flavour.run(
        kind.open(
            tmp_path / "good", env={**env, "PENULT_TEST": "x"}, data=tmp_path / "cache", grace=2, skipped=None
        )
    )
    assert (tmp_path / "settled").exists()
    child = started(tmp_path)
    assert child["arguments"][:2] == ["serve", str(tmp_path / "good")]
    assert child["arguments"][2:6] == ["--host", "127.0.0.1", "--port", "0"]
    assert child["arguments"][-5:] == ["--exit-with-stdin", "--data", str(tmp_path / "cache"), "--grace", "2"]
    assert (child["variable"], child["models"]) == ("x", None)
    assert flavour.run(client.embed(["a"])).vectors.tolist() == [vector_of("a")]
    folder = Path(client._server.process._folder.name)
    assert folder.exists()
    flavour.run(client.close())
    assert not running(child["pid"])
    assert not folder.exists()


@pytest.mark.parametrize(
    ("kind", "reason", "words"),
    [
        ("refused", "SERVER_REFUSED", "the model holds a Lambda layer; save it without"),
        ("usage", "SERVER_USAGE", "no such option: --nonsense"),
        ("dies", "SERVER_DIED", "the server ended with exit code 139: Segmentation fault"),
        ("failed", "SERVER_REFUSED", "no text input"),
    ],
)
def test_the_servers_own_words_say_why_it_did_not_start(flavour, tmp_path, env, kind, reason, words):
    client = Client if flavour.kind == "sync" else penult_client.AsyncClient
    with pytest.raises(ServerStartError) as caught:
        flavour.run(client.open(tmp_path / kind, env=env))
    assert (caught.value.message, caught.value.reason) == (words, reason)
    if kind == "refused":
        assert caught.value.metadata["exit_code"] == "1"
        assert "starting" in caught.value.metadata["log"]
    if kind == "failed":
        assert not running(started(tmp_path)["pid"])


def test_a_server_that_does_not_get_ready_is_ended(tmp_path, env):
    began = time.monotonic()
    with pytest.raises(ServerStartError, match=r"not ready within 0\.3 s; raise start_timeout") as caught:
        Client.open(tmp_path / "never", env=env, start_timeout=0.3)
    assert caught.value.reason == "START_TIMEOUT"
    assert time.monotonic() - began < 5


def test_a_server_that_does_not_end_is_killed(tmp_path, env, monkeypatch):
    monkeypatch.setattr("penult_client._sync.starting.END_GRACE", 0.2)
    with Client.open(tmp_path / "stubborn", env=env):
        pid = started(tmp_path)["pid"]
        assert running(pid)
    assert not running(pid)


def test_a_killed_client_leaves_no_server(tmp_path, env):
    script = (
        "import sys, os, signal\n"
        "from penult_client import Client\n"
        f"client = Client.open({str(tmp_path / 'good')!r})\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    done = subprocess.run([sys.executable, "-c", script], env={**os.environ, **env}, check=False, timeout=30)
    assert done.returncode == -9
    until = time.monotonic() + 10
    while not (tmp_path / "ended").exists() and time.monotonic() < until:
        time.sleep(0.02)
    assert (tmp_path / "ended").exists()


def test_without_the_servers_packages_the_extra_is_named(tmp_path, monkeypatch):
    monkeypatch.setattr("penult_client._extras._PACKAGES", {"server": ("no_such_package",)})
    with pytest.raises(ServerStartError, match=r"pip install 'penult\[server\]'") as caught:
        Client.open(tmp_path)
    assert caught.value.reason == "SERVER_NOT_INSTALLED"


def test_options_become_flags():
    assert _flags(
        {"log": "json", "flag": True, "no": False, "none": None, "limit": [1, 2.5], "max_texts": 9}
    ) == [
        "--log",
        "json",
        "--flag",
        "--limit",
        "1",
        "--limit",
        "2.5",
        "--max-texts",
        "9",
    ]
    with pytest.raises(InvalidInputError) as caught:
        _flags({"log": {"a": 1}})
    assert (caught.value.reason, caught.value.field) == ("BAD_OPTION", "log")


def test_a_model_may_get_a_name(tmp_path, env):
    (tmp_path / "good").touch()
    with Client.open(tmp_path / "good", "reviews", env=env):
        assert started(tmp_path)["arguments"][1] == f"reviews={tmp_path / 'good'}"
    (tmp_path / "started.json").unlink()
    for wrong in ({"name": ""}, {"timeout": 0}, {"start_timeout": -1}, {"env": env, "log": {}}):
        with pytest.raises(InvalidInputError):
            Client.open(tmp_path / "good", **wrong)
    assert not (tmp_path / "started.json").exists()


def test_an_address_counts_when_it_is_whole(tmp_path, env):
    process = ServerProcess(tmp_path / "never", {}, env)
    try:
        assert process.address() is None
        process._address_file.write_text("127.0.0.1:5")
        assert process.address() is None
        process._address_file.write_text("127.0.0.1:50\n")
        assert process.address() == "127.0.0.1:50"
        assert not process.ended()
    finally:
        process.kill()
        process.forget()
    assert process.ended()
