"""Kills a writing process at a random moment, and counts what is lost, torn or doubled."""

from __future__ import annotations

import random
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Container
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from penult_service.storage import Storage
from support import storage_writer


@dataclass(frozen=True)
class Found:
    """After one kill: rows that were acknowledged, rows there; how many were `lost`, `torn` (also: part of an
    append, or other content) and `doubled`; `unheard`: an append that was there, but not heard of."""

    acknowledged: int
    rows: int
    lost: int
    torn: int
    doubled: int
    unheard: bool


def kill_once(data: Path, choose: random.Random, before: int, frames: int = 20) -> Found:
    """Start a writer on `data`, which has `before` rows, kill it at a random moment, and look.

    One in five is killed while it starts and recovers, the others up to 0.15 s after their first append.
    """
    with subprocess.Popen(
        [sys.executable, storage_writer.__file__, str(data), str(choose.randrange(2**31)), str(frames)],
        stdout=subprocess.PIPE,
        text=True,
    ) as writer:
        lines: list[str] = []
        assert writer.stdout is not None
        reader = threading.Thread(target=lambda out=writer.stdout: lines.extend(out))
        reader.start()
        early = before > 0 and choose.random() < 0.2
        limit = time.monotonic() + (choose.uniform(0.2, 0.8) if early else 60)
        while writer.poll() is None and not lines and time.monotonic() < limit:
            time.sleep(0.002)
        time.sleep(0 if early else choose.uniform(0, 0.15))
        writer.kill()
        reader.join()
    said = [line.split() for line in lines if line.endswith("\n")]
    acknowledged = max((int(n) for word, n in said if word == "done"), default=before)
    tried = max((int(n) for word, n in said if word == "try"), default=before)
    return look(data, acknowledged, {acknowledged, tried})


def look(data: Path, acknowledged: int, whole: Container[int]) -> Found:
    """What is there after a kill; `whole` has the numbers of rows at which an append ends."""
    with Storage(data) as storage, storage.sets.get(storage_writer.NAME).snapshot() as snapshot:
        rows = snapshot.rows
        wrong = 0
        ids: Counter[str] = Counter()
        for first in range(0, rows, 10_000):
            numbers = np.arange(first, min(first + 10_000, rows))
            expected = storage_writer.content(numbers)
            found = list(snapshot.read(start=first, count=len(numbers), batch_rows=10_000))
            stored = {
                name: [v for b in found for v in b.column(name).to_pylist()] for name in ("id", "text", "n")
            }
            ids.update(stored["id"])
            same = (snapshot.vectors()[numbers] == storage_writer.vectors(numbers)).all(axis=1)
            beside = zip(stored["id"], stored["text"], stored["n"], strict=True)
            meant = zip(expected["ids"], expected["texts"], expected["n"], strict=True)
            wrong += int((~same).sum()) + sum(a != b for a, b in zip(beside, meant, strict=True))
        part = rows not in whole
        return Found(
            acknowledged=acknowledged,
            rows=rows,
            lost=max(0, acknowledged - rows),
            torn=wrong + part,
            doubled=sum(count - 1 for count in ids.values()),
            unheard=rows > acknowledged,
        )
