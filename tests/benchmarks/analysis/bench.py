"""The analyses, each figure beside its peer in the same run: scripts/bench analysis [PART ...] [--quick]

Every part is a module here with `run(quick) -> str`, which gives Markdown. Without parts: all of them.
"""

from __future__ import annotations

import argparse
import importlib
import time

import bench_data

PARTS = ("transform", "transform_wire", "search", "clusters", "growth", "estimates", "same_bytes")


def main() -> None:
    """Prints Markdown."""
    parser = argparse.ArgumentParser(prog="scripts/bench analysis", description=__doc__)
    parser.add_argument(
        "parts", nargs="*", metavar="PART", help=f"of {', '.join(PARTS)}; all when none is named"
    )
    parser.add_argument("--quick", action="store_true", help="fewer rows and rounds: to see that it runs")
    asked = parser.parse_args()
    for part in asked.parts:
        if part not in PARTS:
            parser.error(f"there is no part {part!r}; the parts are {', '.join(PARTS)}")
    for part in asked.parts or PARTS:
        started = time.monotonic()
        told = importlib.import_module(part).run(quick=asked.quick)
        print(f"## {part}\n\n{told}\n\n{time.monotonic() - started:.0f} s, {bench_data.load()}\n", flush=True)


if __name__ == "__main__":
    main()
