"""Reports of trainings: all that were asked for or none, and pictures found from where the page stands."""

from __future__ import annotations

from pathlib import Path

import pytest
from penult_service.cli.training import reports


def test_a_page_shows_the_pictures_that_are_written_with_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "pictures").mkdir()
    page, picture = tmp_path / "page.md", tmp_path / "pictures" / "all [of] them.PNG"
    reports.write([page, picture], lambda: ["# Title", "", "words", ""], str.encode)
    assert picture.read_bytes() == b"png"
    shown = "![all \\[of\\] them](pictures/all%20%5Bof%5D%20them.PNG)"
    assert page.read_text() == f"# Title\n\nwords\n\n{shown}\n"
    assert capsys.readouterr().err == f"wrote {page}\nwrote {picture}\n"
    reports.write([page], lambda: ["# Title", ""], str.encode)
    assert page.read_text() == "# Title\n"


def test_nothing_is_there_when_a_picture_fails(tmp_path: Path) -> None:
    def fails(kind: str) -> bytes:
        raise ValueError(kind)

    with pytest.raises(ValueError, match="svg"):
        reports.write([tmp_path / "page.md", tmp_path / "picture.svg"], list, fails)
    assert not any(tmp_path.iterdir())
    reports.write([], list, fails)
