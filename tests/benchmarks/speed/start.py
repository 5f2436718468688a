"""Seconds from starting a server to its first vector, and what it holds in memory then."""

from __future__ import annotations

import tempfile
from typing import Any

import sides
from process import SideFailed, running
from rounds import progress


def run(asked: Any) -> dict[str, Any]:
    """Results, as `told_start` reads them: Penult not prepared yet, then prepared, then the peers."""
    made: dict[str, Any] = {"rows": [], "failed": []}
    for precision in asked.precisions:
        with tempfile.TemporaryDirectory(prefix="penult-bench-") as data:
            side = sides.ours(precision, asked.threads, data=data)[0]
            _row(made, side, "nothing prepared")
            for _ in range(1 if asked.quick else 3):
                _row(made, side, "prepared before")
        for peer in asked.peers:
            if peer.kind == sides.SERVER and peer.precision == precision:
                _row(made, peer, "")
    return made


def _row(made: dict[str, Any], side: sides.Side, when: str) -> None:
    try:
        with running(side) as opened:
            memory = opened.memory() - opened.processes[0].memory_info().rss
            seconds = opened.start_seconds
    except SideFailed as failure:
        progress(str(failure))
        made["failed"].append({"id": side.id, "why": str(failure).splitlines()[0]})
        return
    progress(f"{side.id} {when}: {seconds:.1f} s")
    made["rows"].append({"id": side.id, "own": side.own, "when": when, "seconds": seconds, "memory": memory})
