"""Percentiles beside the scores of `penult similarity` and `neighbors`, and rows without what all of them share."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from penult_service.cli.app import main
from support import wire_server
from support.wire_server import Script

# All rows point nearly one way, as those of a classifier do.
ROWS = (np.random.default_rng(5).standard_normal((40, 6)) * 0.1 + 3).astype(np.float32)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    values = np.insert(ROWS, 3, np.nan, axis=0)
    np.save(tmp_path / "a.npy", values)
    return tmp_path / "a.npy"


def told(capsys: pytest.CaptureFixture[str], *words: object) -> Any:
    assert main([*map(str, words), "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def cosines(rows: NDArray[np.floating[Any]]) -> NDArray[np.float64]:
    """Of all pairs of different rows."""
    unit = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    return (unit @ unit.T)[np.triu_indices(len(rows), 1)]


@pytest.mark.parametrize("center", [True, False])
def test_similarities_have_percentiles(file: Path, capsys: pytest.CaptureFixture[str], center: bool) -> None:
    wide = ROWS.astype(np.float64)
    scores = cosines(wide - wide.mean(axis=0) if center else wide)
    words = ["similarity", "--file-a", file, "--top", 5, *(["--center"] if center else [])]
    facts = told(capsys, *words)
    assert facts["background"]["mean"] == pytest.approx(scores.mean(), abs=1e-6)
    for pair in [*facts["most_alike"], *facts["least_alike"]]:
        assert pair["percentile"] == pytest.approx(100 * (scores < pair["score"] - 1e-7).mean(), abs=0.3)
    assert facts["most_alike"][0]["score"] == pytest.approx(scores.max(), abs=1e-6)
    assert main([*map(str, words)]) == 0
    printed = capsys.readouterr().out.splitlines()
    assert printed[1].startswith("usual: 780 random pairs have a mean of ")
    assert printed[1].endswith("a percentile is the share of them that are less alike")
    assert printed[4].split() == ["score", "percentile"]
    assert printed[5].split()[1] in ("99.9%", "100.0%")


def test_other_rows_say_what_is_usual(file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    np.save(tmp_path / "two.npy", ROWS[:2])
    pair = float(cosines(ROWS[:2].astype(np.float64))[0])
    words = ["similarity", "--file-a", tmp_path / "two.npy"]
    assert main([*map(str, words)]) == 0
    printed = capsys.readouterr()
    assert "percentiles need 30 different ones; --background FILE names some" in printed.err
    assert "percentile" not in printed.out
    facts = told(capsys, *words, "--background", file)
    share = (cosines(ROWS.astype(np.float64)) < pair).mean()
    assert facts["most_alike"][0]["percentile"] == pytest.approx(100 * share, abs=0.5)
    assert told(capsys, *words)["most_alike"][0]["percentile"] is None


def test_neighbours_have_percentiles(file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    wide = ROWS.astype(np.float64)
    scores = cosines(wide - wide.mean(axis=0))
    out = tmp_path / "out.csv"
    facts = told(capsys, "neighbors", file, "-k", 2, "--center", "-o", out)
    for query in facts["results"]:
        for near in query["neighbors"]:
            share = 100 * (scores < near["score"] - 1e-7).mean()
            assert near["percentile"] == pytest.approx(share, abs=0.3)
    assert (facts["center"], facts["recall"]) == (True, None)
    assert out.read_text().splitlines()[0] == "query,rank,row,score,percentile"
    assert main(["neighbors", str(file), "-k", "2", "--show", "1"]) == 0
    assert "usual: 780 random pairs" in capsys.readouterr().out


def test_an_approximate_search_says_its_recall(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    script = Script()
    server, where = wire_server.start(script)
    try:
        words = ["neighbors", str(file), "--approximate", "--server", where]
        assert main(words) == 0
        assert "an index was searched, which finds 50.00% of the nearest" in capsys.readouterr().out
        assert script.asked("SearchNeighbors")[0].approximate
        assert told(capsys, *words)["recall"] == 0.5
    finally:
        server.stop(0).wait()


@pytest.mark.parametrize("command", [["similarity", "--file-a"], ["neighbors"]])
def test_only_cosines_are_centred(file: Path, capsys: pytest.CaptureFixture[str], command: list[str]) -> None:
    assert main([*command, str(file), "--center", "--metric", "euclidean"]) == 2
    assert "cosine" in capsys.readouterr().err
