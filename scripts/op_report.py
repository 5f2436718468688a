"""The allow list of operations, shown: its families with their reasons, and what each kind of model uses of it.

The kinds of models are those of the tests (`tests/support/model_kinds.py`). Exit code 1 when a kind needs what is not
on the list.
"""

from __future__ import annotations

import sys
import tempfile
import textwrap
import warnings
from collections.abc import Collection
from pathlib import Path

from penult_service.guard import allowed, saved_model
from penult_service.preparing import pipeline
from support import model_kinds  # type: ignore[import-not-found]
from support import seed_model as seeds

WIDTH = 118


def main() -> int:
    """Prints the tables; the exit code."""
    warnings.filterwarnings("ignore")
    _families()
    missing = _kinds()
    with tempfile.TemporaryDirectory() as scratch:
        _places(Path(scratch) / "prepared")
    return int(missing > 0)


def _families() -> None:
    known = {op for family in allowed.families() for op in family.ops}
    print(f"the allow list: {len(known)} operations in {len(allowed.families())} families")
    for place in allowed.PLACES:
        print(f"  {place:8} {len(allowed.allowed_at(place)):4} operations")
    print()
    for family in allowed.families():
        print(f"{family.name} ({', '.join(family.where)}): {family.reason}")
        print(textwrap.fill(" ".join(family.ops), WIDTH, initial_indent="    ", subsequent_indent="    "))


def _kinds() -> int:
    """A line for each kind; how many operations are missing."""
    serving, missing = allowed.allowed_at(allowed.SERVING), 0
    print(f"\n{'kind of model':40} {'used':>4} {'of the list':>11}  families beyond the frame")
    for name, _ in model_kinds.kinds():
        used = model_kinds.ops_of(name)
        others = sorted(used - serving)
        missing += len(others)
        note = f"  MISSING {', '.join(others)}" if others else ""
        print(f"{name:40} {len(used):4} {len(used) / len(serving):11.0%}  {_named(used)}{note}", flush=True)
    return missing


def _named(used: Collection[str]) -> str:
    """The families of these operations, the one that all models share left out."""
    found = [f for f in allowed.families() if allowed.SERVING in f.where and set(f.ops) & set(used)]
    return ", ".join(family.name for family in found if family.name != "frame")


def _places(place: Path) -> None:
    """What the question's own model holds when it is prepared, part by part."""
    pipeline.prepare(seeds.seed_model(), place, None, lambda *_: None)
    print("\nthe question's own model, prepared: operations by part of the file")
    uses = list(saved_model.read(place).uses())
    for name in allowed.PLACES:
        ops = {use.op for use in uses if use.place == name}
        print(f"  {name:8} {len(ops):4} of {len(allowed.allowed_at(name))} allowed there")


if __name__ == "__main__":
    sys.exit(main())
