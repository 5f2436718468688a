"""Builds cases, in a process of its own: `python -m support.formats.building DIR [--quick] [WORDS...]`.

Below DIR a directory for each case whose name holds one of the words, with the model and what is kept beside it.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
import traceback
from collections.abc import Sequence
from pathlib import Path

from support.formats.case import Case, keep


def build(case: Case, directory: Path) -> Path:
    """Builds a case below `directory`; its place."""
    place = directory / case.slug
    place.mkdir(parents=True)
    keep(case, case.build(place), place)
    return place


def chosen(cases: Sequence[Case], words: Sequence[str], quick: bool) -> list[Case]:
    """Those that are asked for."""
    found = [case for case in cases if case.quick or not quick]
    return [case for case in found if not words or any(word in case.name for word in words)]


def main() -> int:
    """Builds what the command line says; exit code 1 when one could not be built."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("directory", type=Path)
    parser.add_argument("words", nargs="*")
    parser.add_argument("--quick", action="store_true")
    given = parser.parse_args()
    os.environ["KERAS_BACKEND"] = "tensorflow"
    from support.formats.registry import CASES

    failed = 0
    for case in chosen(list(CASES.values()), given.words, given.quick):
        began = time.monotonic()
        try:
            build(case, given.directory.absolute())
            print(f"{time.monotonic() - began:5.1f} s  {case.name}", flush=True)
        except Exception:  # noqa: BLE001
            failed += 1
            print(f"FAILED  {case.name}\n{traceback.format_exc()}", flush=True)
    return int(failed > 0)


if __name__ == "__main__":
    sys.exit(main())
