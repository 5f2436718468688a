"""One side of the benchmark in a process of its own, in its own environment: worker.py MODULE OPTIONS

Commands come as JSON, one a line, on standard input; answers go to standard output. MODULE has a class `Side` (see
`side.py`); this file and those it imports need NumPy alone, so that every peer's environment can run them.
"""

from __future__ import annotations

import importlib
import json
import os
import sys
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import driver
import numpy as np
from side import Side


def main() -> None:
    """Opens the side, says so, and obeys until standard input ends."""
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)  # whatever a library prints goes to the log
    started = time.monotonic()
    side: Side = importlib.import_module(sys.argv[1]).Side(**json.loads(sys.argv[2]))
    side.one("a first text, which is not counted")
    answers.write(json.dumps({"seconds": time.monotonic() - started, "about": side.about()}) + "\n")
    for line in sys.stdin:
        try:
            said = obey(side, json.loads(line))
        except Exception as error:  # noqa: BLE001  (whatever a peer raises is told, and the run goes on)
            traceback.print_exc()
            said = {"error": f"{type(error).__name__}: {error}"[:500]}
        answers.write(json.dumps(said) + "\n")
    side.close()


def obey(side: Side, command: dict[str, Any]) -> dict[str, Any]:
    """One command's answer."""
    texts = json.loads(Path(command["texts"]).read_text(encoding="utf-8")) if "texts" in command else []
    what = command["do"]
    if what == "use":
        side.use(command["setting"])
        return {}
    if what == "settings":
        return settings(side, texts)
    if what == "embed":
        seconds, vectors = timed(lambda: side.embed(texts))
        if "out" in command:
            np.save(command["out"], np.asarray(vectors, dtype=np.float32))
        return {"seconds": seconds, **side.told}
    if what == "one":
        return one_by_one(side, texts)
    if what == "closed":
        return driver.closed(side, texts, command["callers"], command["seconds"])
    if what == "open":
        return driver.open_loop(side, texts, command["rate"], command["seconds"])
    if what == "beside":
        return driver.beside(side, command)
    raise ValueError(f"no such command: {what}")


def one_by_one(side: Side, texts: list[str]) -> dict[str, Any]:
    """Seconds of each text; of an engine called directly also what its own call took."""
    taken, engine = [], []
    for text in texts:
        taken.append(timed(lambda text=text: side.one(text))[0])
        if "longest_batch_seconds" in side.told:
            engine.append(side.told["longest_batch_seconds"])
    return {"seconds": taken, "engine_seconds": engine}


def settings(side: Side, texts: list[str]) -> dict[str, Any]:
    """The side's best setting on these texts: each is tried once after a warm-up, and kept when it is the fastest."""
    tried = []
    for setting in side.settings():
        side.use(setting)
        side.embed(texts[: min(64, len(texts))])
        tried.append((timed(lambda: side.embed(texts))[0], setting))
    tried.sort(key=lambda one: one[0])
    if tried:
        side.use(tried[0][1])
    return {"setting": tried[0][1] if tried else {}, "tried": tried}


def timed(call: Callable[[], Any]) -> tuple[float, Any]:
    """Seconds, and what it returned."""
    started = time.perf_counter()
    made = call()
    return time.perf_counter() - started, made


if __name__ == "__main__":
    main()
