"""Penult beside its peers on this machine: scripts/bench embed|latency|overload|start|scale [--peers ...] [--quick]

Each part's results are kept as a file, and the page (docs/speed.md) with its picture is written anew of all of them;
with --quick they go to a temporary directory and the page is printed.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import machine
import report
import sides
from loads import LOADS

PARTS = ("embed", "latency", "overload", "start", "scale")
# The page alone, of the results that are kept.
WRITE = "page"
PAGE = sides.ROOT / "docs" / "speed.md"
sys.path.insert(0, str(sides.ROOT / "scripts"))


def main() -> None:
    """Runs a part, writes the page."""
    asked = _arguments()
    if asked.part == WRITE:
        report.write(asked.page or PAGE)
        return
    began, load = time.monotonic(), os.getloadavg()[0]
    results = importlib.import_module(asked.part).run(asked)
    results |= {
        "machine": machine.told(),
        "load_before": load,
        "load_after": os.getloadavg()[0],
        "seconds": time.monotonic() - began,
        "command": " ".join(["scripts/bench", *sys.argv[1:]]),
        "quick": asked.quick,
    }
    page = Path(tempfile.mkdtemp(prefix="penult-speed-"), "speed.md") if asked.quick else PAGE
    page = asked.page or page
    kept = page.with_suffix("")
    kept.mkdir(parents=True, exist_ok=True)
    (kept / f"{asked.part}.json").write_text(json.dumps(results, indent=1, ensure_ascii=False) + "\n")
    text = report.write(page)
    print(text if asked.quick else f"{page} is written")


def _arguments() -> Any:
    parser = argparse.ArgumentParser(prog="scripts/bench", description=__doc__.splitlines()[0])
    parser.add_argument("part", choices=(*PARTS, WRITE), help="`page`: only writes the page, of what is kept")
    parser.add_argument(
        "--peers", default="all", help="words of peers' names, with commas between; `all` (default) or `none`"
    )
    parser.add_argument("--precision", default="float32,bfloat16", help="float32, bfloat16 or both (default)")
    parser.add_argument("--threads", type=int, default=os.cpu_count(), help="of every side; default: all")
    parser.add_argument(
        "--loads", default=",".join(LOADS), help=f"of `embed`: {', '.join(LOADS)}, with commas between"
    )
    parser.add_argument("--rounds", type=int, help="default 5, with --quick 2")
    parser.add_argument("--quick", action="store_true", help="fewer texts and rounds: to see that it runs")
    parser.add_argument("--page", type=Path, help="the page to write; results are kept in a folder beside it")
    asked = parser.parse_args()
    asked.rounds = asked.rounds or (2 if asked.quick else 5)
    asked.precisions = [word.strip() for word in asked.precision.split(",")]
    for word in asked.precisions:
        if word not in (sides.FLOAT32, sides.BFLOAT16):
            parser.error(f"--precision {word}: there are {sides.FLOAT32} and {sides.BFLOAT16}")
    asked.loads = [word.strip() for word in asked.loads.split(",")]
    for word in asked.loads:
        if word not in LOADS:
            parser.error(f"--loads {word}: there are {', '.join(LOADS)}")
    if not sides.MODEL.is_dir():
        sys.exit(
            f"{sides.MODEL} is not there: all-MiniLM-L6-v2 under an untrained head; scripts/demo makes it"
        )
    asked.peers = (
        [] if asked.peers == "none" else sides.chosen(sides.peers(_weights(), asked.threads), asked.peers)
    )
    return asked


def _weights() -> Path:
    """The Hugging Face directory that peers read: the same weights."""
    import fetch

    return fetch.weights(lambda *_: None)


if __name__ == "__main__":
    main()
