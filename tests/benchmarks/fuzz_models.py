"""Damaged models, thousands of them: how each turns out. A crash, a hang or a traceback is a fault.

    .venv/bin/python tests/benchmarks/fuzz_models.py [--mutations 10000] [--seed 1] [--only open] [--json FILE]

Prints the outcomes by reason, seconds and resident memory; exits 1 when there was a fault.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import sys
import tempfile
import time
from collections import Counter
from dataclasses import asdict, replace
from pathlib import Path

os.environ.update(CUDA_VISIBLE_DEVICES="-1", TF_CPP_MIN_LOG_LEVEL="3", KERAS_BACKEND="tensorflow")
sys.path.insert(0, str(Path(__file__).parents[1]))

import tensorflow  # noqa: F401  (so that every forked child has it)
import tensorflow_text  # noqa: F401
import tf_keras  # noqa: F401
from support import fuzzing


def main() -> int:
    """The exit code."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--mutations", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument(
        "--heavy", type=float, default=1.0, help="times the usual share of those that load TensorFlow"
    )
    parser.add_argument("--only", help="targets whose name holds this")
    parser.add_argument("--json", type=Path, help="write all outcomes there")
    arguments = parser.parse_args()
    chosen = (t for t in fuzzing.TARGETS if (arguments.only or "") in t.name)
    targets = tuple(t if t.quick else replace(t, share=t.share * arguments.heavy) for t in chosen)
    started = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="penult-fuzz-") as home:
        fuzzing.make_models(Path(home))
        made = time.monotonic()
        found: list[fuzzing.Outcome] = []
        for target in targets:
            mine = list(fuzzing.run(Path(home), (target,), arguments.mutations, arguments.seed))
            print_table(target, mine)
            found += mine
    print(
        f"\n{len(found):,} mutations, seed {arguments.seed}, {time.monotonic() - made:.0f} s (models made in "
        f"{made - started:.0f} s); load {os.getloadavg()[0]:.1f}; this process "
        f"{resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10} MiB resident"
    )
    if arguments.json:
        arguments.json.write_text(
            json.dumps([{**asdict(o), "target": o.target.name, "bad": o.bad} for o in found])
        )
    faults = [outcome for outcome in found if outcome.bad]
    for fault in faults[:50]:
        print(f"FAULT {fault.target.name} #{fault.number}: {fault.reason}: {fault.message}")
    print(f"faults: {len(faults)}")
    return 1 if faults else 0


def print_table(target: fuzzing.Target, found: list[fuzzing.Outcome]) -> None:
    """A target's outcomes by reason, the most frequent first."""
    slowest, peak = max(o.seconds for o in found), max(o.peak for o in found)
    print(f"{target.name}: {len(found)} (slowest {slowest:.2f} s, at most {peak >> 20} MiB resident)")
    for reason, count in Counter(outcome.reason for outcome in found).most_common():
        print(f"    {count:6d}  {reason}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
