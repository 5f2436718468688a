"""`penult train forecaster` and what it saved, to the end: trained, prepared, served, asked."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from penult_client import Client, InvalidInputError
from penult_service.cli.app import main
from support.embedding import loaded
from support.serving import serving

pytestmark = pytest.mark.tensorflow

ROWS, STEPS = 260, 12
SETTINGS = [
    "--steps",
    STEPS,
    "--horizon",
    4,
    "--season",
    6,
    "--units",
    5,
    "--epochs",
    1,
    "--split",
    "180,40,40",
]


def values() -> np.ndarray:
    """Float [rows, 3]: seasons and noise, of very different units."""
    at = np.arange(ROWS)
    season = np.sin(2 * np.pi * at / 6)
    noise = np.random.default_rng(4).normal(size=(ROWS, 3))
    return np.stack([1000 + 50 * season, season + at / 50, 1e-3 * season], axis=1) + 0.2 * noise * [
        50,
        1,
        1e-3,
    ]


def write(path: Path, table: np.ndarray) -> Path:
    lines = [
        f"2026-01-{row // 24 + 1:02} {row % 24:02}:00," + ",".join(map(repr, map(float, each)))
        for row, each in enumerate(table)
    ]
    path.write_text("\n".join(["when,load,trend,small", *lines]) + "\n")
    return path


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Trained by the command: a directory for each placement."""
    folder = tmp_path_factory.mktemp("forecasters")
    file = write(folder / "hours.csv", values())
    reports = [folder / name for name in ("report.md", "report.png")]
    words = ["train", "forecaster", file, "--output", folder / "models" / "hours", *SETTINGS]
    words += ["--placement", "after,before", *(word for report in reports for word in ("--report", report))]
    assert main([str(word) for word in words]) == 0
    assert "| after | Dropout on the LSTM's last state |" in reports[0].read_text()
    assert reports[1].read_bytes().startswith(b"\x89PNG")
    return folder / "models"


@pytest.fixture(scope="module")
def address(models: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    data = tmp_path_factory.mktemp("data")
    found = []
    for name in ("after", "before"):
        model: Any = loaded(models / f"hours-{name}" / "1", data)
        found.append(type(model)(**{**vars(model), "name": name}))
    with serving(*found) as server:
        yield server.address


def windows(rows: int = 40) -> np.ndarray:
    return np.stack([values()[start : start + STEPS] for start in range(rows)]).astype(np.float32)


@pytest.mark.parametrize("name", ["after", "before"])
def test_served_forecasts_are_those_of_keras(models: Path, address: str, name: str) -> None:
    """Raw windows in, raw forecasts out: 1e-5 of the series' own size."""
    import tf_keras

    model = tf_keras.models.load_model(str(models / f"hours-{name}" / "1"))
    wanted = model.predict(windows(), verbose=0)
    assert wanted.shape == (40, 4, 3)
    with Client(address) as client:
        (served,) = client.predict({"window": windows()}, name).outputs.values()
        alone = [
            next(iter(client.predict({"window": windows()[at : at + 1]}, name).outputs.values()))
            for at in (0, 7)
        ]
    size = np.abs(wanted).max(axis=(0, 1))
    assert (np.abs(served - wanted).max(axis=(0, 1)) <= 1e-5 * size).all()
    assert (np.abs(np.concatenate(alone) - wanted[[0, 7]]).max(axis=(0, 1)) <= 1e-5 * size).all()
    # And they are forecasts: nearer than the mean of the training rows is.
    came = np.stack([values()[start + STEPS : start + STEPS + 4] for start in range(40)])
    off = np.square(served - came).mean(axis=(0, 1))
    assert (off < 0.5 * np.square(came - values()[:180].mean(axis=0)).mean(axis=(0, 1))).all()


@pytest.mark.parametrize("name", ["after", "before"])
def test_the_embedding_is_the_last_state_of_the_lstm(models: Path, address: str, name: str) -> None:
    """In front of the dropout behind it, and without one in front of the output layer."""
    import tf_keras

    model = tf_keras.models.load_model(str(models / f"hours-{name}" / "1"))
    state = tf_keras.Model(model.input, model.get_layer("lstm").output)
    with Client(address) as client:
        found = client.embed({"window": windows()}, name)
    assert found.vectors.shape == (40, 5)
    assert found.layer == "lstm"
    np.testing.assert_allclose(found.vectors, state.predict(windows(), verbose=0), rtol=1e-5, atol=1e-5)


def test_windows_that_do_not_fit_are_named(address: str) -> None:
    with Client(address) as client:
        with pytest.raises(InvalidInputError, match="window"):
            client.predict({"window": windows()[:, :-1]}, "after")
        with pytest.raises(InvalidInputError, match="window"):
            client.embed({"window": windows()[..., :2]}, "after")


@pytest.mark.parametrize(
    ("words", "code", "told"),
    [
        (["--placement", "behind"], 2, "--placement 'behind': it is one of none, before, after"),
        (["--target", "OT"], 2, "no series is called 'OT'"),
        (["--columns", "load,when"], 2, "line 2, column 'when': '2026-01-01 00:00' is not a finite number"),
        (["--split", "0.9,0.2,0.1"], 2, "give three shares"),
        (["--season", "13"], 2, "season is 13; it must be 1 to 12, the steps of a window"),
        (["--report", "figures.txt"], 2, "ends in one of .md, .png, .svg"),
    ],
)
def test_what_cannot_be_trained_is_said_in_a_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], words: list[str], code: int, told: str
) -> None:
    file = write(tmp_path / "hours.csv", values())
    command = ["train", "forecaster", file, "--output", tmp_path / "m", *SETTINGS, *words]
    assert main([str(word) for word in command]) == code
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("error: ")
    assert told in line
    assert not (tmp_path / "m").exists()


def test_json_and_a_target_of_its_own(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = write(tmp_path / "hours.csv", values())
    words = [
        "train",
        "forecaster",
        file,
        "--output",
        tmp_path / "m",
        *SETTINGS,
        "--target",
        "trend",
        "--json",
    ]
    words += ["--date-column", "small", "--placement", "none"]
    assert main([str(word) for word in words]) == 0
    said = json.loads(capsys.readouterr().out)
    assert (said["series"], said["targets"]) == (["load", "trend"], ["trend"])
    assert list(said["placements"]["none"]["runs"][0]["test"]["series"]) == ["trend"]
