"""Tables on screens of every width, and what is said of files that cannot be written."""

from __future__ import annotations

from pathlib import Path

import pytest
from penult_service.cli.console import print_table
from penult_service.cli.outputs import drafts

HEADINGS = ("row", "information", "entropy", "predicted", "p", "text")
ROWS = [
    (str(row), "0.0634", "1.0941", "neutral", "0.363", "tree tree fish moon moon moon") for row in (4, 4100)
]


@pytest.mark.parametrize("width", [10, 40, 60, 80, 200])
def test_figures_are_never_cut(
    width: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    print_table(HEADINGS, ROWS, right=(0, 1, 2, 4))
    printed = capsys.readouterr().out
    lines = printed.splitlines()
    for figure in ("4100", "0.0634", "1.0941", "0.363", "neutral", "information"):
        assert figure in printed
    assert "…" not in printed
    # No wider than the screen where there is room.
    assert max(map(len, lines)) <= max(width, 70)
    assert len(lines) == 3 or width < 80


def test_a_table_without_rows(capsys: pytest.CaptureFixture[str]) -> None:
    print_table(("a", "b"), [], right=(1,))
    assert capsys.readouterr().out.split() == ["a", "b"]


def test_what_the_disk_says_is_told_of_the_place(tmp_path: Path) -> None:
    place = tmp_path / "out.csv"
    for name in (None, str(tmp_path / ".out.csv.x1.partial")):
        with pytest.raises(OSError, match="No space") as error, drafts(place):
            raise OSError(28, "No space left on device", name)
        assert error.value.filename == str(place)
    with pytest.raises(OSError, match="Read-only") as error, drafts(place):
        raise OSError(30, "Read-only file system", "model.h5")
    assert error.value.filename == "model.h5"
    with pytest.raises(OSError, match="No such file") as error, drafts(tmp_path / "absent" / "out.csv"):
        pass
    assert error.value.filename == str(tmp_path / "absent" / "out.csv")
    assert list(tmp_path.iterdir()) == []
