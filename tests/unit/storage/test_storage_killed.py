"""A writing process is killed with SIGKILL at random moments, on one directory that lives on."""

from __future__ import annotations

import os
import random
import subprocess
import sys
from pathlib import Path

import pytest
from penult_service.errors import PreconditionFailed
from penult_service.storage import Storage
from support.storage_kills import kill_once

KILLS = 5


def test_acknowledged_rows_survive(tmp_path: Path) -> None:
    choose = random.Random(5)
    rows = 0
    for _ in range(KILLS):
        found = kill_once(tmp_path / "data", choose, rows)
        assert (found.lost, found.torn, found.doubled) == (0, 0, 0), found
        rows = found.rows
    assert rows > 100


def test_one_server_at_a_time(tmp_path: Path) -> None:
    """The second is refused, in this process and in another; not after the first has closed."""
    code = """
import sys
from pathlib import Path
from penult_service.errors import PreconditionFailed
from penult_service.storage import Storage
try:
    Storage(Path(sys.argv[1])).close()
    print("opened")
except PreconditionFailed as error:
    print(error.reason, error.metadata["process"])
"""
    other = [sys.executable, "-c", code, str(tmp_path)]
    with Storage(tmp_path):
        with pytest.raises(PreconditionFailed, match="is in use") as caught:
            Storage(tmp_path)
        assert caught.value.reason == "DATA_IN_USE"
        assert subprocess.check_output(other, text=True).split() == ["DATA_IN_USE", str(os.getpid())]
    assert subprocess.check_output(other, text=True).split() == ["opened"]
