"""How a server with a trained model behaves as a process: ends, restarts, needs no Keras, takes many texts."""

from __future__ import annotations

import csv
import os
import re
import shutil
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import numpy as np
import psutil
import pyarrow.parquet as pq
import pytest
from penult_client import Client
from support.processes import Served, is_running, penult, prepared_in, serving_process
from support.serving import wait_until

pytestmark = [pytest.mark.weights, pytest.mark.tensorflow]

# Not `keras`: tensorflow-text itself asks TensorFlow for it when it is imported.
BLOCKED = ("tf_keras", "tensorflow_hub", "keras_hub", "safetensors")
TIMES = 2  # 500 texts twice: the client sends up to 1,024 in one request


@pytest.fixture(scope="module")
def prepared(server: Served, trained: Path, data: Path, home: Path) -> Path:
    """The trained model as `penult prepare` leaves it, carried to another place."""
    del server  # it has prepared the model already, and the command finds that
    before = prepared_in(data / "prepared")
    done = penult("prepare", trained, "--data", data)
    assert done.returncode == 0, done.stderr
    made = Path(done.stdout.strip())
    assert prepared_in(data / "prepared") == before
    assert made.name in before
    return shutil.copytree(made, home / "carried" / "genre")


def waiting_tokens(served: Served) -> float:
    """The server's own gauge of what waits."""
    url = re.search(r"http://\S+/metrics", served.log)
    assert url, served.log
    with urllib.request.urlopen(url[0], timeout=30) as reply:
        lines = reply.read().decode().splitlines()
    return sum(float(line.split()[-1]) for line in lines if line.startswith("penult_queue_tokens{"))


def test_a_restart_uses_the_cache_and_sigterm_waits_for_what_runs(
    server: Served, client: Client, trained: Path, data: Path, real_texts: list[str], tmp_path: Path
) -> None:
    expected = client.embed(real_texts)
    cached = prepared_in(data / "prepared")
    assert len(cached) == 1
    assert "preparing" in server.log
    options = ("--data", data, "--grace", "300", "--metrics-port", "0")
    with (
        serving_process(tmp_path, trained.parent, *options) as restarted,
        restarted.client() as other,
        ThreadPoolExecutor(1) as pool,
    ):
        assert "preparing" not in restarted.log
        assert prepared_in(data / "prepared") == cached
        other.embed(["connected"])
        running = pool.submit(other.embed, real_texts * TIMES)
        wait_until(lambda: running.done() or waiting_tokens(restarted) > 0, 60)
        restarted.process.send_signal(signal.SIGTERM)
        wait_until(lambda: "finishing what runs" in restarted.log, 60)
        assert not running.done(), "the request was over before the signal came: nothing was drained"
        found = running.result(300)
        assert restarted.process.wait(60) == 0
    np.testing.assert_allclose(found.vectors, np.tile(expected.vectors, (TIMES, 1)), rtol=0, atol=1e-6)
    assert (found.space, found.digest) == (expected.space, expected.digest)


def test_serving_needs_no_keras(
    prepared: Path, client: Client, real_texts: list[str], tmp_path: Path
) -> None:
    (tmp_path / "sitecustomize.py").write_text(
        f"import sys\nsys.modules.update(dict.fromkeys({BLOCKED!r}))\n"
    )
    path = os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")])
    blocked = {"PYTHONPATH": path}
    probe = subprocess.run(
        [sys.executable, "-c", "import tf_keras"],
        env={**os.environ, **blocked},
        capture_output=True,
        text=True,
        check=False,
    )
    assert "ModuleNotFoundError" in probe.stderr
    texts = real_texts[:40]
    expected = client.embed(texts, probabilities=True)
    with (
        serving_process(tmp_path, prepared, environment=blocked) as served,
        served.client() as other,
    ):
        assert [model.state for model in other.models()] == ["ready"], served.log
        found = other.embed(texts, probabilities=True)
        (outputs,) = other.predict(texts).outputs.values()
    np.testing.assert_allclose(found.vectors, expected.vectors, rtol=0, atol=1e-6)
    np.testing.assert_allclose(found.probabilities, expected.probabilities, rtol=0, atol=1e-6)
    np.testing.assert_allclose(outputs, expected.probabilities, rtol=0, atol=1e-5)
    assert (found.space, found.digest) == (expected.space, expected.digest)


def killed_client(script: str, ready: Callable[[subprocess.Popen[str]], bool]) -> list[int]:
    """Run a client, kill it once it is `ready`; the processes that it had started."""
    client = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True)
    try:
        wait_until(lambda: client.poll() is not None or ready(client), 120)
        assert client.poll() is None, "the client ended by itself"
        started = [child.pid for child in psutil.Process(client.pid).children(recursive=True)]
    finally:
        client.kill()
        client.wait()
        assert client.stdout is not None
        client.stdout.close()
    return started


def test_a_client_that_is_killed_at_work_leaves_no_server(prepared: Path) -> None:
    script = f"""
from penult_client import Client
client = Client.open({str(prepared)!r}, timeout=600)
client.embed(["ready"])
print("ready", flush=True)
while True:
    client.embed(["a sentence of a few words"] * 500)
"""

    def is_ready(client: subprocess.Popen[str]) -> bool:
        assert client.stdout is not None
        return client.stdout.readline() == "ready\n"

    started = killed_client(script, is_ready)
    assert started  # the server, and analysis workers as far as they have come
    wait_until(lambda: not any(map(is_running, started)), 60)


def test_a_client_that_is_killed_while_it_waits_leaves_no_preparing_child(
    trained: Path, tmp_path: Path
) -> None:
    script = f"""
from penult_client import Client
Client.open({str(trained)!r}, data={str(tmp_path)!r})
"""

    def is_preparing(client: subprocess.Popen[str]) -> bool:
        """Whether the preparing child has come as far as TensorFlow."""
        with suppress(psutil.Error):
            below = psutil.Process(client.pid).children(recursive=True)
            child = [one for one in below if "penult_service.preparing.child" in one.cmdline()]
            return bool(child) and child[0].memory_info().rss > 300 << 20
        return False

    started = killed_client(script, is_preparing)
    assert len(started) >= 2  # the server, the child, and perhaps analysis workers
    wait_until(lambda: not any(map(is_running, started)), 60)
    assert prepared_in(tmp_path / "prepared") == {}


def test_ten_thousand_texts_in_one_call_come_back_in_order(client: Client, real_texts: list[str]) -> None:
    words = {word for text in real_texts for word in text.split() if word.isalpha()}
    distinct = sorted(words, key=lambda word: (len(word), word))[-60:-10]
    alone = client.embed(distinct).vectors
    apart = np.linalg.norm(alone[:, None] - alone[None], axis=2)[~np.eye(len(distinct), dtype=bool)]
    assert apart.min() > 1e-3  # so a row in the wrong place would be seen
    rows = np.random.default_rng(7).integers(len(distinct), size=10_000)
    seen: list[tuple[int, int]] = []
    began = time.perf_counter()
    found = client.embed([distinct[row] for row in rows], progress=lambda *done: seen.append(done))
    print(f"10,000 short texts over the wire: {10_000 / (time.perf_counter() - began):.0f} texts/s")
    np.testing.assert_allclose(found.vectors, alone[rows], rtol=0, atol=1e-6)
    assert seen[-1] == (10_000, 10_000)
    assert len(seen) > 1


def test_penult_embed_writes_what_the_client_gets(
    prepared: Path, client: Client, real_texts: list[str], tmp_path: Path
) -> None:
    texts = [*real_texts[:30], "", *real_texts[30:60]]
    bad = 17
    source, output = tmp_path / "in.csv", tmp_path / "out.parquet"
    with source.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["number", "text"])
        writer.writerows([row] if row == bad else [row, text] for row, text in enumerate(texts))
    done = penult("embed", source, "--model", prepared, "-o", output, "--probabilities")
    assert done.returncode == 3, done.stderr  # done but for some rows
    assert f"row {bad}: the text is missing (line {bad + 2})" in done.stderr
    table = pq.read_table(output)
    good = [row for row in range(len(texts)) if row != bad]
    assert table.column("number").to_pylist() == [str(row) for row in range(len(texts))]
    expected = client.embed([texts[row] for row in good], probabilities=True)
    for name, wanted in (("embedding", expected.vectors), ("probabilities", expected.probabilities)):
        values = table.column(name).to_pylist()
        assert values[bad] is None
        np.testing.assert_allclose([values[row] for row in good], wanted, rtol=0, atol=1e-6)
    assert table.schema.metadata[b"penult.embedding_space"].decode() == expected.space
