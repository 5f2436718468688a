"""`penult train autoencoder` to its end on a small table: files, words, and mistakes that are said in a line."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest
from penult_service.cli.app import main

COMMON = ["--bottleneck", "1", "--hidden", "4", "--epochs", "2", "--blocks", "5"]


def write_rows(path: Path, rows: int = 120) -> Path:
    """Two columns that are one number, a third that is another, a label, and one fault."""
    rng = np.random.default_rng(1)
    a, b = rng.normal(size=(2, rows))
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["time", "left", "right", "other", "state"])
        for row in range(rows):
            left = 1e6 if row == 40 else 10 + a[row]
            writer.writerow([f"2026-01-01 {row}", left, 20 - a[row], b[row], row % 2])
    return path


@pytest.mark.tensorflow
def test_all_kinds_of_noise_with_a_report_and_a_picture(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows, output = write_rows(tmp_path / "rows.csv"), tmp_path / "models" / "pairs"
    report, plot = tmp_path / "report.md", tmp_path / "errors.svg"
    command = ["train", "autoencoder", str(rows), "--output", str(output), "--ignore", "state", *COMMON]
    command += ["--drop-feature", "left", "--noise", "all", "--outliers", "50"]
    assert main([*command, "--report", str(report), "--report", str(plot)]) == 0
    said = capsys.readouterr()
    assert "noise gaussian, seed 42: 2 of 2" in said.err
    assert "warning" not in said.err
    assert "left out, over 50 robust deviations: row 40 (from 0)" in said.out
    for name in ("FeatureDropout", "Dropout", "GaussianNoise", "no noise", "PCA, 1 components"):
        assert f"\n{name} " in said.out
        assert f"| {name} |" in report.read_text()
    text = report.read_text()
    assert sorted(path.name for path in output.parent.iterdir()) == [
        f"pairs-{noise}" for noise in ("dropout", "feature", "gaussian", "none")
    ]
    for noise in ("feature", "none"):
        path = output.with_name(f"pairs-{noise}") / "1"
        assert f"saved {path} (noise {noise})" in said.out
        record = json.loads((path / "training.json").read_text())
        assert record["data"]["skipped"] == ["time", "state"]
        assert record["saved"] == {"noise": noise, "seed": 42}
        (run,) = record["runs"]
        assert f"{run['error']:#.3g}" in text
    assert "| left (chosen) |" in text
    assert text.endswith("![errors](errors.svg)\n")
    assert plot.read_bytes().startswith(b"<?xml")
    assert main([*command, "--report", str(report)]) == 2
    assert "report.md is there already; --overwrite replaces it" in capsys.readouterr().err
    assert not (path.parent / "2").exists()


@pytest.mark.tensorflow
def test_faults_are_told_of_and_the_default_noise_is_on_all_columns(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows, output = write_rows(tmp_path / "rows.csv"), tmp_path / "pairs"
    columns = ["--columns", "other,left,right"]
    command = ["train", "autoencoder", str(rows), "--output", str(output), *columns, *COMMON]
    assert main([*command, "--json"]) == 0
    said = capsys.readouterr()
    assert (
        "warning: row 40 (from 0) lies over 20 robust deviations off (left is 1e+06 in row 40, " in said.err
    )
    assert "--outliers 20 leaves them out" in said.err
    told = json.loads(said.out)
    record = json.loads((output / "1" / "training.json").read_text())
    assert list(record["columns"]) == ["other", "left", "right"]
    assert record["saved"]["noise"] == "dropout"
    assert told["saved"] == {"dropout": str(output / "1")}
    assert told["rows"]["far"] == [40]
    (run,) = told["runs"]
    assert run["itself_missing"] == list(record["runs"][0]["errors"]["itself_missing"].values())


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--noise", "feature"], "--noise feature needs a column to drop; name it with --drop-feature"),
        (["--noise", "all"], "--noise all needs a column to drop"),
        (
            ["--noise", "loud"],
            "--noise 'loud': it is one of feature, dropout, gaussian, none, several of them",
        ),
        (["--drop-feature", "up"], "there is no column 'up' to drop; there are 0 'left'"),
        (["--columns", "left,up"], "has no column 'up'"),
        (["--columns", "left,time"], "column 'time': '2026-01-01 0' is not a finite number"),
        (["--bottleneck", "4"], "bottleneck is 4; it must be below the number of columns, 4"),
        (["--rate", "1"], "rate is 1.0; it must be at least 0 and below 1"),
        (["--noise", "none,loud"], "--noise 'loud'"),
        (["--report", "errors.pdf"], "ends in one of .md, .png, .svg"),
        (["--report", "none/report.md"], "there is no directory none"),
    ],
)
def test_mistakes(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], words: str
) -> None:
    rows, output = write_rows(tmp_path / "rows.csv", 12), tmp_path / "m"
    assert main(["train", "autoencoder", str(rows), "--output", str(output), *arguments]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("error: ")
    assert words in line
    assert not output.exists()
