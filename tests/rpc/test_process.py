"""`penult serve` as a process: how it starts, what it writes, how it ends."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
from support.bad_input import embed
from support.calling import call
from support.served import PENULT, figures_at, log_of, served
from support.serving import SERVING, health, open_channel, wait_until


def end_of(process: subprocess.Popen[str]) -> int:
    return process.wait(timeout=20)


def test_serves_and_ends_on_sigterm(tmp_path: Path) -> None:
    with (
        served(tmp_path, "fake:demo", "--log", "json") as (process, address),
        open_channel(address) as channel,
    ):
        wait_until(lambda: health(channel) == SERVING)
        assert call(channel, "Embed", embed("a very private text")).code == "OK"
        assert call(channel, "Embed", embed("a very private text", model="nobody")).code == "NOT_FOUND"
        process.send_signal(signal.SIGTERM)
        assert end_of(process) == 0
        assert process.stdout is not None
        assert process.stdout.read() == ""
    lines = [json.loads(line) for line in log_of(tmp_path).splitlines()]
    good, bad = [line for line in lines if line["message"] == "call"]
    assert good.pop("ms") > 0
    assert "time" in good
    del good["time"]
    assert good == {
        "level": "info",
        "logger": "penult_service.rpc.handlers",
        "message": "call",
        "method": "InferenceService/Embed",
        "code": "OK",
        "model": "models/demo/versions/1",
        "texts": 1,
        "tokens": 6,
    }
    assert (bad["code"], bad["reason"]) == ("NOT_FOUND", "MODEL_NOT_FOUND")
    assert "private" not in log_of(tmp_path)


def test_ends_when_standard_input_closes(tmp_path: Path) -> None:
    with served(tmp_path, "fake:demo", "--exit-with-stdin") as (process, _):
        assert process.stdin is not None
        process.stdin.close()
        assert end_of(process) == 0
        process.stdin = None


def test_a_second_signal_ends_it_at_once(tmp_path: Path) -> None:
    with (
        served(tmp_path, "fake:demo", "--grace", "60") as (process, address),
        open_channel(address) as channel,
    ):
        wait_until(lambda: health(channel) == SERVING)
        # Long enough to be running when the signal comes; the grace would let it finish.
        running = [
            channel.unary_unary("/penult.v1.InferenceService/Embed").future(
                embed(*(f"{i} " + "word " * 119 for i in range(12_000))).SerializeToString()
            )
            for _ in range(2)
        ]
        time.sleep(0.1)
        process.send_signal(signal.SIGINT)
        wait_until(lambda: "once more ends at once" in log_of(tmp_path))
        process.send_signal(signal.SIGINT)
        assert end_of(process) == 128 + signal.SIGINT
        assert any(call.exception(timeout=10) for call in running)


def test_metrics(tmp_path: Path) -> None:
    with (
        served(tmp_path, "fake:demo", "--metrics-port", "0", "--cache-mib", "1") as (_, address),
        open_channel(address) as channel,
    ):
        wait_until(lambda: health(channel) == SERVING)
        for texts in (("one two", "three"), ("another",), ("three",)):  # the last from the cache
            call(channel, "Embed", embed(*texts))
        call(channel, "Embed", embed())
        url = next(word for word in log_of(tmp_path).split() if word.startswith("http://127.0.0.1:"))
        embed_calls = 'penult_requests_total{code="%s",method="InferenceService/Embed"}'
        # A call is counted when it is over, which is just after its caller has the answer.
        wait_until(lambda: embed_calls % "INVALID_ARGUMENT" in figures_at(url))
        figures = figures_at(url)
    assert figures[embed_calls % "OK"] == 3
    assert figures[embed_calls % "INVALID_ARGUMENT"] == 1
    assert figures['penult_refusals_total{reason="EMPTY_INPUT"}'] == 1
    assert figures['penult_texts_total{model="models/demo/versions/1"}'] == 4
    assert figures['penult_tokens_total{model="models/demo/versions/1"}'] == 13
    assert figures['penult_rows_read_total{how="computed"}'] == 3
    assert figures['penult_rows_read_total{how="cached"}'] == 1
    assert figures["penult_cache_rows"] == 3
    assert figures["penult_cache_bytes"] > 3 * 64
    assert figures['penult_queue_tokens{model="models/demo/versions/1"}'] == 0
    assert figures['penult_model_state{model="models/demo/versions/1",state="ready"}'] == 1
    assert figures["penult_batch_rows_sum"] >= 2
    computed = 'penult_computed_tokens_total{kind="%s",model="models/demo/versions/1"}'
    assert figures[computed % "text"] >= 7
    assert figures[computed % "padding"] == 1  # of "three" beside "one two"
    for stage in ("tokenize", "queue", "encode", "reply"):
        assert figures[f'penult_stage_seconds_count{{stage="{stage}"}}'] >= 1, stage


def test_the_environment_says_what_the_command_line_does_not(tmp_path: Path) -> None:
    with (
        served(tmp_path, "fake:demo", PENULT_MAX_TEXTS="3", PENULT_LOG="json") as (_, address),
        open_channel(address) as channel,
    ):
        wait_until(lambda: health(channel) == SERVING)
        assert call(channel, "Embed", embed(*"abcd")).metadata["limit"] == "3"
    assert all(line.startswith("{") for line in log_of(tmp_path).splitlines())


def test_neither_tensorflow_nor_the_analysis_packages_are_imported(tmp_path: Path) -> None:
    """The whole server, serving the fake, in an interpreter where importing any of them is an error."""
    blocked = (
        "tensorflow",
        "tensorflow_text",
        "keras",
        "tf_keras",
        "sklearn",
        "scipy",
        "faiss",
        "numba",
        "umap",
    )
    (tmp_path / "sitecustomize.py").write_text(
        f"import sys\nsys.modules.update(dict.fromkeys({blocked!r}))\n"
    )
    path = os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")])
    with served(tmp_path, "fake:demo", PYTHONPATH=path) as (_, address), open_channel(address) as channel:
        wait_until(lambda: health(channel) == SERVING)
        assert call(channel, "Embed", embed("a")).code == "OK"


def test_rpc_needs_no_tensorflow() -> None:
    program = """
import sys
sys.modules["tensorflow"] = None
import penult_service.rpc.analysis.service, penult_service.rpc.inference_service
import penult_service.rpc.model_service, penult_service.rpc.server_service, penult_service.rpc.health
try:
    import tensorflow
except ImportError:
    print("blocked")
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "blocked\n"


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        ([], 2, "PATH... or --models DIR"),
        (["fake:demo", "--models", "."], 2, "PATH... or --models DIR"),
        (["fake:a", "fake:a"], 2, "two paths are called 'a'"),
        (["fake:Über"], 2, "my-name=PATH"),
        (["--models", "no_such_directory"], 2, "no such directory"),
        (["fake:demo", "--port", "70000"], 2, "--port"),
        (["fake:demo", "--log", "poetry"], 2, "--log"),
        (["fake:demo", "--grace", "-1"], 2, "--grace"),
    ],
)
def test_usage_errors(arguments: list[str], code: int, said: str, tmp_path: Path) -> None:
    done = subprocess.run(
        [*PENULT, "serve", *arguments], capture_output=True, text=True, timeout=60, cwd=tmp_path, check=False
    )
    assert done.returncode == code
    (line,) = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    assert said in line


def test_a_port_that_is_taken() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = subprocess.run(
            [*PENULT, "serve", "fake:demo", "--port", str(port)],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
    assert done.returncode == 1
    assert f"error: 127.0.0.1:{port} cannot be listened on" in done.stderr
