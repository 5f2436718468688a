"""How well batches are packed, and how much of the executor's time is no computing.

Run by `scripts/bench packing MODEL [MODEL ...] --texts FILE.csv [--texts FILE.csv ...]`: of the texts' tokens, as the
model cuts them, how much is padded beside them; and of the time in which the executor has work, how much is not within
the engine, beside the same batches handed to the engine directly, in turns.
"""

from __future__ import annotations

import argparse
import asyncio
import csv
import os
import statistics
import tempfile
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from penult_service import process
from penult_service.batching import Limits, Scheduler
from penult_service.batching.backlog import Backlog, lane_for
from penult_service.batching.request import Request
from penult_service.config import serve_config
from penult_service.embedder import Embedder, LoadedModel
from penult_service.embedder.callers import CALLER
from penult_service.embedder.running import limits_of
from penult_service.repository.sources import Source

ROUNDS = 5


def main() -> None:
    arguments = _arguments()
    mixes = {path.stem: _texts(path)[: arguments.rows] for path in arguments.texts}
    mixes["all of them"] = _mixed(list(mixes.values()), arguments.rows)
    for path in arguments.model:
        with tempfile.TemporaryDirectory() as data:
            config = serve_config(paths=(str(path),), data=arguments.data or Path(data))
            model = process.loader(config)(Source("model", 1, path))
            setting = model.tuned.setting
            print(f"\n## {path}: {setting.engine} {setting.precision}, {setting.threads} threads")
            _tell_padding(model, mixes)
            asyncio.run(_tell_executor(model, mixes["all of them"]))


def _tell_padding(model: LoadedModel, mixes: Mapping[str, Sequence[str]]) -> None:
    limits = limits_of(model)
    print(
        f"\nbatches of at most {limits.token_budget} tokens and {limits.max_rows} rows; a batch costs "
        f"{limits.overhead} tokens beside its own\n"
    )
    print("| texts | tokens, mean and most | asked | batches | rows a batch | padding |")
    print("| --- | --- | --- | --- | --- | --- |")
    for name, texts in mixes.items():
        lengths = model.tokenizer.tokenize(list(texts)).lengths.tolist()
        told = f"{len(texts)} {name} | {np.mean(lengths):.1f}, {max(lengths)}"
        ways = {
            "at once": [lengths],
            "512 a call": _parts(lengths, 512),
            "64 a call": _parts(lengths, 64),
            "20 a call": _parts(lengths, 20),
        }
        for asked, calls in ways.items():
            _tell_batches(told, f"{asked}, one after the other", [[call] for call in calls], limits)
        _tell_batches(told, "512 a call, 4 callers at a time", _parts(_parts(lengths, 512), 4), limits)
        _tell_batches(told, "1 a call, 64 callers at a time", _parts(_parts(lengths, 1), 64), limits)


def _tell_batches(texts: str, asked: str, rounds: list[list[list[int]]], limits: Limits) -> None:
    """Calls of a round wait together, each of a caller of its own."""
    batches = rows = tokens = padded = 0
    for calls in rounds:
        backlog = Backlog(max_waiting_tokens=1 << 40)
        for caller, lengths in enumerate(calls):
            lane = lane_for(lengths, limits)
            backlog.add(
                Request("m", len, range(len(lengths)), lengths, lane, 0.0, None, limits, caller), None
            )
        while (batch := backlog.take()) is not None:
            batches, rows = batches + 1, rows + len(batch.rows)
            tokens, padded = tokens + batch.tokens, padded + batch.padded_tokens
    print(f"| {texts} | {asked} | {batches} | {rows / batches:.1f} | {1 - tokens / padded:.1%} |")


@dataclass(eq=False)
class _Watched:
    """An engine, with when it was entered and left, and what it was given."""

    engine: Any
    spans: list[tuple[float, float]] = field(default_factory=list)
    given: list[tuple[Any, ...]] = field(default_factory=list)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.engine, name)

    def encode(self, inputs: Mapping[str, Any], layers: Sequence[str], *, alone: bool = True) -> Any:
        """As in `Engine`."""
        self.given.append((inputs, layers))
        started = time.perf_counter()
        found = self.engine.encode(inputs, layers, alone=alone)
        self.spans.append((started, time.perf_counter()))
        return found

    def outside(self) -> float:
        """The share of the time between the first batch's begin and the last one's end."""
        inside = sum(end - start for start, end in self.spans)
        return 1 - inside / (self.spans[-1][1] - self.spans[0][0])


async def _tell_executor(model: LoadedModel, texts: Sequence[str]) -> None:
    scheduler = Scheduler()
    embedder = Embedder(scheduler)
    figures: dict[str, list[float]] = {}
    batches = 0
    try:
        for round_ in range(ROUNDS + 1):
            ways: dict[str, Callable[[LoadedModel], Any]] = {
                "one call": lambda watched: _asked(embedder, watched, [texts]),
                "4 callers": lambda watched: _asked(embedder, watched, _parts(texts, -(-len(texts) // 4))),
            }
            for name, way in ways.items():
                watched = _Watched(model.engine)
                started = time.perf_counter()
                await way(replace(model, engine=watched))
                taken = time.perf_counter() - started
                direct = await asyncio.to_thread(_direct, watched)
                if round_:  # the first one warms
                    figures.setdefault(f"{name}: outside the engine", []).append(watched.outside())
                    figures.setdefault(
                        f"{name}: the same batches, engine alone, against the call", []
                    ).append(direct / taken)
                batches = len(watched.spans)
    finally:
        embedder.close()
        await asyncio.to_thread(scheduler.close, 10.0)
    print(f"\n{len(texts)} texts, {batches} batches, {ROUNDS} rounds; load {os.getloadavg()[0]:.1f}")
    for name, values in figures.items():
        print(f"- {name}: {statistics.median(values):.2%} ({min(values):.2%} to {max(values):.2%})")


async def _asked(embedder: Embedder, model: LoadedModel, calls: Sequence[Sequence[str]]) -> None:
    async def one(caller: int, texts: Sequence[str]) -> None:
        CALLER.set(caller)
        await embedder.embed(model, list(texts))

    await asyncio.gather(*(one(caller, texts) for caller, texts in enumerate(calls)))


def _direct(watched: _Watched) -> float:
    """Seconds of the engine for the same batches, one after the other on one thread."""
    assert threading.current_thread() is not threading.main_thread()
    started = time.perf_counter()
    for given in watched.given:
        watched.engine.encode(*given)
    return time.perf_counter() - started


def _parts(rows: Sequence[Any], count: int) -> list[Any]:
    return [rows[start : start + count] for start in range(0, len(rows), count)]


def _mixed(mixes: list[list[str]], rows: int) -> list[str]:
    """Texts of all, in an order that is the same each time."""
    texts = [text for mix in mixes for text in mix]
    return [texts[i] for i in np.random.default_rng(0).permutation(len(texts))[:rows]]


def _texts(path: Path) -> list[str]:
    with path.open(encoding="utf-8", newline="") as file:
        return [row["text"] for row in csv.DictReader(file)]


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("model", type=Path, nargs="+", help="a model, as for `penult serve`")
    parser.add_argument("--texts", type=Path, action="append", required=True, help="CSV with a column `text`")
    parser.add_argument("--rows", type=int, default=2000, help="of each file, at most")
    parser.add_argument("--data", type=Path, help="where prepared models are kept")
    return parser.parse_args()


if __name__ == "__main__":
    main()
