"""A process that appends rows for ever, to be killed: `python storage_writer.py DATA SEED [FRAMES]`.

On standard output `try N` before, and `done N` after an append that brings the set "rows" to N rows.
"""

from __future__ import annotations

import os
import random
import sys
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from penult_service.storage import EmbeddingSet, Storage, folding

DIMENSION = 96
NAME = "rows"


def vectors(numbers: NDArray[np.int64]) -> NDArray[np.float32]:
    """float32 [n, 96]: row and column can be told from every number."""
    return (numbers[:, None] * 0.5 + np.arange(DIMENSION) / 256).astype(np.float32)


def content(numbers: NDArray[np.int64]) -> dict[str, list[Any]]:
    """Ids, texts and a column of the rows of these numbers."""
    plain = numbers.tolist()
    return {
        "ids": [f"row-{n}" for n in plain],
        "texts": [f"text {n} " * (n % 9) if n % 5 else None for n in plain],
        "n": plain,
    }


def append(opened: EmbeddingSet, first: int, count: int) -> None:
    """Rows `first` to `first + count`."""
    numbers = np.arange(first, first + count)
    rows = content(numbers)
    opened.append(rows["ids"], vectors(numbers), rows["texts"], {"n": rows["n"]}, space="space")


def main(data: Path, seed: int, frames: int) -> None:
    """Append until killed: mostly a few rows, sometimes so many that they do not travel in the log."""
    folding.FRAMES = frames
    choose = random.Random(seed)
    storage = Storage(data)
    if not storage.sets.list().sets:
        storage.sets.create(NAME, columns={"n": "int64"})
    opened = storage.sets.get(NAME)
    rows = opened.info.rows
    # What the last life may not have heard of is sent again, as a client would.
    again = min(rows, 50)
    append(opened, rows - again, again)
    while True:
        count = choose.choice((1, 1, 1, 7, 60, 900))
        os.write(1, f"try {rows + count}\n".encode())
        append(opened, rows, count)
        rows += count
        os.write(1, f"done {rows}\n".encode())


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
