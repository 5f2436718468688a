"""Callers of a server: so many at once (closed loop), so many a second (open loop), one beside a large call."""

from __future__ import annotations

import asyncio
import itertools
import json
import subprocess
import sys
import threading
import time
from collections.abc import Awaitable, Sequence
from pathlib import Path
from typing import Any

from side import Side


def closed(side: Side, texts: Sequence[str], callers: int, seconds: float) -> dict[str, Any]:
    """Each caller sends one text, waits for its vector, and sends the next."""
    return asyncio.run(_closed(side, texts, callers, seconds))


async def _closed(side: Side, texts: Sequence[str], callers: int, seconds: float) -> dict[str, Any]:
    taken: list[float] = []
    numbers = itertools.count()
    await side.ask(texts[:1])
    started = time.perf_counter()

    async def caller() -> None:
        while (sent := time.perf_counter()) < started + seconds:
            await side.ask([texts[next(numbers) % len(texts)]])
            taken.append(time.perf_counter() - sent)

    await asyncio.gather(*(caller() for _ in range(callers)))
    return {"seconds": taken, "rate": len(taken) / (time.perf_counter() - started)}


def open_loop(side: Side, texts: Sequence[str], rate: float, seconds: float) -> dict[str, Any]:
    """A text is sent every 1/rate seconds, whatever has been answered; a time counts from when it was due."""
    return asyncio.run(_open(side, texts, rate, seconds))


async def _open(side: Side, texts: Sequence[str], rate: float, seconds: float) -> dict[str, Any]:
    taken: list[float] = []
    errors: list[str] = []

    async def one(due: float, asked: Awaitable[object]) -> None:
        try:
            await asked
            taken.append(time.perf_counter() - due)
        except Exception as error:  # noqa: BLE001  (of any client library; counted)
            errors.append(f"{type(error).__name__}: {error}"[:200])

    await side.ask(texts[:1])
    started = time.perf_counter()
    async with asyncio.TaskGroup() as group:
        for number in range(int(rate * seconds)):
            due = started + number / rate
            if (early := due - time.perf_counter()) > 0:
                await asyncio.sleep(early)
            group.create_task(one(due, side.ask([texts[number % len(texts)]])))
    return {"seconds": taken, "errors": len(errors), "first_error": errors[0] if errors else ""}


def beside(side: Side, command: dict[str, Any]) -> dict[str, Any]:
    """Seconds of one short text after the other, a fifth of a second apart, while another process embeds very many."""
    module, options = sys.argv[1], {**json.loads(sys.argv[2]), "address": side.address}
    script = Path(__file__).with_name("worker.py")
    taken: list[float] = []
    with subprocess.Popen(
        [sys.executable, str(script), module, json.dumps(options)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as other:
        assert other.stdin is not None
        assert other.stdout is not None
        other.stdout.readline()  # it is there
        other.stdin.write(json.dumps({"do": "use", "setting": side.setting}) + "\n")
        other.stdin.write(json.dumps({"do": "embed", "texts": command["texts"]}) + "\n")
        other.stdin.close()
        other.stdout.readline()
        answer = threading.Thread(target=lambda: said.append(other.stdout.readline()))
        said: list[str] = []
        answer.start()
        time.sleep(0.5)
        while answer.is_alive():
            sent = time.perf_counter()
            side.one(command["one"])
            if answer.is_alive():
                taken.append(time.perf_counter() - sent)
            time.sleep(0.2)
    bulk = json.loads(said[0] or '{"error": "the other caller ended"}')
    if "error" in bulk:
        raise RuntimeError(f"the large call failed: {bulk['error']}")
    return {"seconds": taken, "bulk_seconds": bulk["seconds"]}
