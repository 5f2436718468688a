"""Very many texts: whether memory grows, and whether the last are as fast as the first."""

from __future__ import annotations

from typing import Any

import loads
import psutil
import sides
from process import running
from rounds import progress


def run(asked: Any) -> dict[str, Any]:
    """Results, as `told_scale` reads them: real texts on the real model, a million on the fake engine."""
    many, chunk = (3_000, 250) if asked.quick else (30_000, 1_000)
    most, large = (100_000, 5_000) if asked.quick else (1_000_000, 20_000)
    real = sides.ours(asked.precisions[0], asked.threads)[0]
    fake = sides.Side(
        real.name, real.precision, real.kind, real.module, {**real.options, "model": "fake:demo"}, own=True
    )
    texts = loads.sentences(many)
    return {
        "runs": [
            {"what": f"real texts, {real.precision}", **_run(real, texts, chunk, many)},
            {"what": "texts on the fake engine", **_run(fake, texts, large, most)},
        ]
    }


def _run(side: sides.Side, texts: list[str], chunk: int, count: int) -> dict[str, Any]:
    """One call after the other of so many texts each; the first call is not counted."""
    rates, memory = [], []
    with running(side) as opened:
        server = psutil.Process(opened.about["pid"])
        for number in range(count // chunk + 1):
            start = number * chunk
            some = [texts[(start + i) % len(texts)] for i in range(chunk)]
            seconds = opened.tell("embed", some)["seconds"]
            if number:
                rates.append(chunk / seconds)
                memory.append(_resident(server))
            progress(
                f"{side.options['model']}: {start + chunk:,} of {count:,}, {chunk / seconds:,.0f} texts/s"
            )
    tenth = max(1, len(rates) // 10)
    return {
        "texts": count,
        "chunk": chunk,
        "rates": rates,
        "memory": memory,
        # Of the first tenth, when everything has been met once, to the end.
        "growth": memory[-1] / memory[tenth - 1] - 1.0,
        "speed_kept": _mean(rates[-tenth:]) / _mean(rates[:tenth]),
    }


def _mean(rates: list[float]) -> float:
    return len(rates) / sum(1.0 / rate for rate in rates)


def _resident(server: psutil.Process) -> int:
    return sum(process.memory_info().rss for process in [server, *server.children(recursive=True)])
