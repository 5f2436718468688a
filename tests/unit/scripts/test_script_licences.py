from __future__ import annotations

from importlib import metadata
from pathlib import Path

import licences
import pytest


def _package(site: Path, name: str, *fields: str) -> metadata.Distribution:
    info = site / f"{name}-1.0.dist-info"
    info.mkdir(parents=True)
    lines = ["Metadata-Version: 2.4", f"Name: {name}", "Version: 1.0", *fields, ""]
    (info / "METADATA").write_text("\n".join(lines))
    return metadata.Distribution.at(info)


@pytest.mark.parametrize(
    "fields",
    [
        ["License-Expression: GPL-3.0-or-later"],
        ["License-Expression: MIT AND LGPL-2.1-only"],
        ["License-Expression: (MIT OR Apache-2.0) AND AGPL-3.0-only"],
        ["License: GPL v3"],
        ["License: MIT", "Classifier: License :: OSI Approved :: GNU General Public License v3 (GPLv3)"],
        # Says one thing in one place and another elsewhere.
        ["License: AGPL-3.0", "Classifier: License :: OSI Approved :: MIT License"],
        ["License: CC-BY-NC-4.0"],
        ["License: free for non-commercial use"],
        ["License: a licence of our own"],
        ["Classifier: License :: OSI Approved"],
        [],
    ],
)
def test_refuses(tmp_path: Path, fields: list[str]) -> None:
    allowed, reason = licences.judge(_package(tmp_path, "fake", *fields))
    assert not allowed
    assert reason


@pytest.mark.parametrize(
    "fields",
    [
        ["License-Expression: MIT"],
        ["License-Expression: GPL-2.0-only OR MIT"],
        ["License-Expression: (GPL-2.0-only OR MIT) AND Zlib"],
        ["License-Expression: BSD-3-Clause AND 0BSD AND MIT AND Zlib AND CC0-1.0"],
        ["License: Apache License, Version 2.0"],
        ["License: BSD 3-Clause"],
        ["Classifier: License :: OSI Approved", "Classifier: License :: OSI Approved :: ISC License (ISCL)"],
    ],
)
def test_allows(tmp_path: Path, fields: list[str]) -> None:
    allowed, _ = licences.judge(_package(tmp_path, "fake", *fields))
    assert allowed


def test_a_review_holds_for_one_version_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = _package(tmp_path, "fake")
    monkeypatch.setitem(licences.REVIEWED, ("fake", "1.0"), "MIT: read")
    assert licences.judge(package) == (True, "reviewed: MIT: read")
    monkeypatch.delitem(licences.REVIEWED, ("fake", "1.0"))
    monkeypatch.setitem(licences.REVIEWED, ("fake", "0.9"), "MIT: read")
    assert not licences.judge(package)[0]


def test_gate_fails_on_a_gpl_package_behind_an_extra(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    _package(tmp_path, "copyleft", "License-Expression: GPL-3.0-only")
    between = [
        "Requires-Dist: copyleft",
        "Requires-Dist: absent; python_version < '3'",
        "License-Expression: MIT",
    ]
    _package(tmp_path, "between", *between)
    needs = ["Requires-Dist: between; extra == 'plots'", "Requires-Dist: penult[plots]; extra == 'all'"]
    _package(tmp_path, "penult", "Provides-Extra: plots", "Provides-Extra: all", *needs)
    # First on the path: this penult is the one that is found.
    monkeypatch.syspath_prepend(str(tmp_path))
    assert set(licences.closure("")) == set()
    assert set(licences.closure("all")) == {"between", "copyleft"}
    assert licences.main([]) == 1
    assert "refused: copyleft (GPL-3.0-only), installed by plots, all" in capsys.readouterr().out
