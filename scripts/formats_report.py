"""What became of each format and shape, as a Markdown table.

The models are those of the tests (`tests/support/formats`), built in a process of their own. Exit code 1 when a case is
not what it should be.
"""

from __future__ import annotations

import argparse
import logging
import os
import subprocess
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

from support.formats import opening  # type: ignore[import-not-found]
from support.formats.case import kept  # type: ignore[import-not-found]

_BUILDING = (sys.executable, "-m", "support.formats.building")


def main() -> int:
    """Builds, opens, prints; the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("words", nargs="*", help="cases whose name holds one of them")
    parser.add_argument("--quick", action="store_true", help="one case a format")
    parser.add_argument(
        "--one-process", action="store_true", help="prepare them in one process, not a child each"
    )
    parser.add_argument("--models", type=Path, action="append", help="cases that were built before")
    given = parser.parse_args()
    logging.getLogger("tensorflow").setLevel(logging.ERROR)  # its advice would stand between the rows
    if given.models:
        return _table(given.models, given.one_process)
    with tempfile.TemporaryDirectory(prefix="penult-formats-") as scratch:
        command = [*_BUILDING, scratch, *(["--quick"] if given.quick else []), *given.words]
        built = subprocess.run(command, capture_output=True, text=True, check=False)
        if built.returncode:
            print(built.stdout, built.stderr[-2000:], file=sys.stderr)
        return _table([Path(scratch)], given.one_process) or int(built.returncode != 0)


def _table(directories: list[Path], one_process: bool) -> int:
    """A row for each case; 1 when one is not what it should be."""
    import tensorflow  # noqa: F401  (so that no row pays for it)

    prepare = opening.here if one_process else opening.by_child
    places = [place for directory in directories for place in opening.cases_below(directory)]
    print("| format and shape | became | largest difference | preparing, s | peak, MB | loading, s |")
    print("| --- | --- | --- | --- | --- | --- |", flush=True)
    wrong = 0
    for place in places:
        found = opening.carefully(kept(place), prepare)
        wrong += bool(found.wrong)
        # The most that one process ever had says nothing of a single model.
        print(_row(replace(found, peak=0) if one_process else found, place), flush=True)
    print(f"\n{len(places)} cases, {wrong} not as they should be; load {os.getloadavg()[0]:.1f}")
    return int(wrong > 0)


def _row(found: opening.Outcome, place: Path) -> str:
    said = found.said.replace(f"{place}/", "").replace("|", "\\|")
    became = f"{found.became}: {said}" if said else found.became
    mark = f" **WRONG: {found.wrong}**" if found.wrong else ""
    difference = "" if found.difference is None else f"{found.difference:.1e}"
    peak = f"{found.peak / 1e6:.0f}" if found.peak else ""
    load = f"{found.load:.2f}" if found.load else ""
    figures = f"{found.seconds:.1f} | {peak} | {load}"
    return f"| {found.name} | {became}{mark} | {difference} | {figures} |"


if __name__ == "__main__":
    sys.exit(main())
