"""What the processor could do at most: its own matrix product at this model's shapes, by each library that is here."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import environments
from rounds import progress

WIDTH, INNER, LAYERS = 384, 1536, 6
SCRIPT = Path(__file__).with_name("workers") / "products.py"
# Which library, in which environment; empty: Penult's own.
LIBRARIES = {
    "numpy": "",
    "tensorflow": "",
    "torch": "sentence-transformers",
    "openvino": "sentence-transformers",
}


# GFLOP/s by precision and library.
Rates = dict[str, dict[str, float]]


def measured(asked: Any) -> Rates:
    """What each library does now."""
    found: Rates = {}
    for library, environment in LIBRARIES.items():
        python = str(environments.python(environment)) if environment else sys.executable
        command = [python, str(SCRIPT), library, str(asked.threads), "0.2" if asked.quick else "1.0"]
        said = subprocess.run(command, capture_output=True, text=True, check=False)
        if said.returncode:
            progress(f"matrix product by {library}: {said.stderr.strip().splitlines()[-1:]}")
            continue
        for precision, rate in json.loads(said.stdout.splitlines()[-1]).items():
            found.setdefault(precision, {})[library] = rate
    return found


def allowed(before: Rates, after: Rates, tokens: dict[str, list[int]]) -> dict[str, Any]:
    """The better of two measurements, the best library of each precision, and the texts a second that it allows."""
    found = {
        precision: {
            library: max(
                rates.get(library, 0.0) for rates in (before.get(precision, {}), after.get(precision, {}))
            )
            for library in {**before.get(precision, {}), **after.get(precision, {})}
        }
        for precision in {**before, **after}
    }
    best = {precision: max(rates.values()) for precision, rates in found.items()}
    work = {name: sum(map(operations, lengths)) / len(lengths) for name, lengths in tokens.items()}
    return {
        "libraries": found,
        "best": best,
        "texts_per_second": {
            precision: {name: rate * 1e9 / flops for name, flops in work.items()}
            for precision, rate in best.items()
        },
        "tokens": {name: sum(lengths) / len(lengths) for name, lengths in tokens.items()},
    }


def operations(tokens: int) -> int:
    """Of the matrix products of one text: additions and multiplications, without padding."""
    dense = 2 * tokens * (4 * WIDTH * WIDTH + 2 * WIDTH * INNER)
    attention = 2 * 2 * tokens * tokens * WIDTH
    return LAYERS * (dense + attention)
