"""New rows through a real server, on a map that it keeps: one alone, and many at once, with answers compared."""

from __future__ import annotations

import tempfile
import time

import numpy as np
from bench_data import MODEL, table
from new_rows import mixed

_ONES = 200
_ROUNDS = 3
_NAME = "bench"


def run(quick: bool) -> str:
    """A UMAP of 20,000 real rows made and kept by a private server; then one row, and 4,000, from its client."""
    from penult_client import Client

    count, new = (4_000, 1_000) if quick else (20_000, 4_000)
    rows = mixed(count + new)
    fitted, rows = rows[:count], rows[count:]
    with tempfile.TemporaryDirectory() as data, Client.open(MODEL, timeout=600, data=data) as client:
        client.project(fitted, name=_NAME)
        whole = client.transform(rows, _NAME).coordinates
        ones, bulk, apart = [], [], 0.0
        for at in range(_ONES):
            started = time.perf_counter()
            alone = client.transform(rows[at : at + 1], _NAME).coordinates
            ones.append(time.perf_counter() - started)
            apart = max(apart, float(np.abs(alone[0] - whole[at]).max()))
        for _ in range(_ROUNDS):
            started = time.perf_counter()
            client.transform(rows, _NAME)
            bulk.append(new / (time.perf_counter() - started))
    low, median, high = np.quantile(ones, [0.1, 0.5, 0.9]) * 1e3
    head = ["map", "one row, ms (p10, median, p90)", "bulk, rows/s (best of 3)", "alone against all together"]
    line = [f"UMAP of {count:,}", f"{low:.1f}, {median:.1f}, {high:.1f}", f"{max(bulk):,.0f}", f"{apart:g}"]
    return f"Through the wire, {_ONES} calls one after the other\n\n{table(head, [line])}"
