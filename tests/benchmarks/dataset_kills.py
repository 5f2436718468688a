"""kill -9 of a server at random moments of AppendRows: acknowledged rows that are lost, torn or doubled.

    .venv/bin/python tests/benchmarks/dataset_kills.py [--kills 200] [--data DIR] [--seed 1]

Exits 1 when there are any.
"""

from __future__ import annotations

import argparse
import os
import random
import shutil
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from support.dataset_kills import kill_once

# A directory that lives through so many kills; then a fresh one keeps the comparison quick.
_LIVES = 20


def main() -> int:
    """The exit code."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--data", type=Path, help="a directory on the disk to use (a new one below it)")
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    directory = Path(tempfile.mkdtemp(prefix="penult-kills-", dir=arguments.data))
    choose, found, started = random.Random(arguments.seed), [], time.monotonic()
    try:
        for number in range(arguments.kills):
            before = found[-1].rows if number % _LIVES else 0
            found.append(kill_once(directory / f"{number // _LIVES}", choose, before))
    finally:
        shutil.rmtree(directory)
    lost, torn, doubled = (sum(getattr(each, name) for each in found) for name in ("lost", "torn", "doubled"))
    written = sum(
        each.rows for each in [*found[_LIVES - 1 :: _LIVES], *found[len(found) - len(found) % _LIVES :][-1:]]
    )
    print(
        f"{len(found)} kills of a server: acknowledged rows lost {lost}, torn {torn}, doubled {doubled}; "
        f"{sum(each.unheard for each in found)} times rows were whole on disk and not heard of, "
        f"{written:,} rows written; {time.monotonic() - started:.0f} s, load {os.getloadavg()[0]:.1f} on "
        f"{os.cpu_count()} processors"
    )
    return 1 if lost or torn or doubled else 0


if __name__ == "__main__":
    sys.exit(main())
