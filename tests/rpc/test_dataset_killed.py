"""kill -9 of a server while rows are appended. tests/benchmarks/dataset_kills.py does it 200 times."""

from __future__ import annotations

import random
from pathlib import Path

from support.dataset_kills import kill_once


def test_acknowledged_rows_outlive_the_server(tmp_path: Path) -> None:
    choose, before, heard = random.Random(7), 0, 0
    for _ in range(5):
        found = kill_once(tmp_path / "data", choose, before)
        assert (found.lost, found.torn, found.doubled) == (0, 0, 0), found
        before, heard = found.rows, heard + found.acknowledged
    assert before > 0
    assert heard > 0
