"""`penult explain dropout` and `penult explain minibatch`: what is printed and written, and what is refused."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from penult_service.cli import app
from penult_service.cli.explaining import dropout, mask
from penult_service.cli.explaining import minibatch as command
from penult_service.cli.explaining.shapes import lengths, noise_shape, written
from penult_service.errors import InvalidInput
from penult_service.explaining import dropout_claims, masks, minibatch
from penult_service.explaining.minibatch import DRAWN, LEARNING_RATES, Found, Settings
from penult_service.explaining.recurrent_claims import Claim

pytestmark = pytest.mark.tensorflow


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    code = app.main(["explain", *arguments])
    printed = capsys.readouterr()
    return code, printed.out, printed.err


def test_what_is_written_out_is_as_in_the_room() -> None:
    assert dropout.LAYERS == masks.LAYERS
    ours = command
    written_out = Settings(ours.RATE, ours.BATCH, ours.UNITS, ours.DRAWS, ours.SEEDS, ours.EPOCHS, ours.SEED)
    assert written_out == Settings()


def test_the_answer_stands_above_the_mask(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = run(capsys, "dropout", "--shape", "2,3,5", "--noise-shape", "None,1,5", "--seed", "4")
    assert (code, err) == (0, "")
    lines = out.splitlines()
    assert lines[0].startswith(
        "Dropout, rate 0.5, noise shape None,1,5, on an input of 2,3,5 (samples, steps, features)"
    )
    assert lines[2] == "The same features at every step, a new draw for each sample."
    rows = [line.split() for line in lines if line.startswith("  ")]
    assert len(rows) == 6
    assert rows[0] == rows[1] == rows[2]
    assert rows[3] == rows[4] == rows[5]
    drawn = masks.draw(
        masks.Question("Dropout", (2, 3, 5), noise_shape=(None, 1, 5), seed=4, draws=1)
    ).masks.values[0]
    shown = np.array([[cell == mask.KEPT for cell in row] for row in rows])
    np.testing.assert_array_equal(shown, drawn.reshape(6, 5) != 0)


def test_a_mask_for_the_whole_batch_is_called_out(capsys: pytest.CaptureFixture[str]) -> None:
    _, out, _ = run(capsys, "dropout", "--shape", "4,6,10", "--noise-shape", "1,1,10")
    assert "All 4 samples of a batch get the same mask" in out
    _, out, _ = run(capsys, "dropout", "--shape", "4,6,10")
    assert "get the same mask" not in out


def test_one_call_has_no_error(capsys: pytest.CaptureFixture[str]) -> None:
    _, out, _ = run(capsys, "dropout", "--shape", "2,3", "--draws", "1")
    assert "mean " in out
    assert "nan" not in out
    _, out, _ = run(capsys, "dropout", "--shape", "2,3", "--draws", "1", "--json")
    assert "NaN" not in out
    assert json.loads(out)["mean_error"] is None


def test_json_holds_all_of_it(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run(
        capsys, "dropout", "--shape", "3,4,5", "--layer", "lstm-dropout", "--json", "--rate", "0.25"
    )
    told = json.loads(out)
    assert code == 0
    assert (
        told["answer"] == "the same features for all four gates and at every step, a new draw for each sample"
    )
    assert [axis["name"] for axis in told["axes"]] == ["gate", "sample", "step", "feature"]
    assert np.array(told["mask"]).shape == (4, 3, 4, 5)
    assert told["kept"] == pytest.approx(1 / 0.75)
    assert told["residual"] < 1e-5
    assert {other["keras"].split()[0] for other in told["others"]} == {"keras", "tf_keras"}


def test_claims_are_told(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    asked: list[tuple[int, int]] = []

    def claims(version: int, seed: int) -> list[Claim]:
        asked.append((version, seed))
        return [Claim("it drops all of it", "wrong", "a half was dropped")]

    monkeypatch.setattr(dropout_claims, "claims", claims)
    arguments = ("dropout", "--shape", "2,3", "--claims", "--keras", "2", "--seed", "3")
    code, out, _ = run(capsys, *arguments)
    assert (code, asked) == (0, [(2, 3)])
    assert "what is said of dropout, held against tf_keras" in out
    assert out.endswith("wrong: it drops all of it\n  a half was dropped.\n")
    told = json.loads(run(capsys, *arguments, "--json")[1])
    assert told["claims"] == [
        {"said": "it drops all of it", "verdict": "wrong", "measured": "a half was dropped"}
    ]


@pytest.mark.parametrize("ending", ["png", "svg"])
def test_pictures(tmp_path: Path, capsys: pytest.CaptureFixture[str], ending: str) -> None:
    place = tmp_path / f"mask.{ending}"
    code, _, err = run(
        capsys, "dropout", "--shape", "2,3,4,5", "--layer", "SpatialDropout2D", "-o", str(place)
    )
    assert (code, err) == (0, f"wrote {place}\n")
    assert place.read_bytes()[:4] in (b"\x89PNG", b"<?xm")
    assert run(capsys, "dropout", "--shape", "4", "-o", str(place))[2] == (
        f"error: {place} is there already; --overwrite replaces it\n"
    )
    assert list(tmp_path.iterdir()) == [place]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--shape", "4,x"], "--shape is lengths such as 4,6,10, not '4,x'"),
        (["--shape", "4,None"], "--shape is lengths"),
        (["--shape", ""], "--shape is lengths"),
        (
            ["--shape", "4,6,10", "--noise-shape", "1,,6"],
            "--noise-shape is lengths such as None,1,10, not '1,,6'",
        ),
        (["--shape", "4,6,10", "--noise-shape", "1,5,1"], "the steps are 6, the mask has 5"),
        (["--shape", "4,6,10", "--layer", "LSTM"], "--layer is one of Dropout"),
        (["--shape", "4,6,10", "--keras", "4"], "--keras is 2 or 3"),
        (["--shape", "4,6,10", "--implementation", "1"], "are of an LSTM"),
        (
            ["--shape", "4,6,10", "--layer", "lstm-dropout", "--implementation", "3"],
            "--implementation is 1 or 2",
        ),
        (["--shape", "4,6,10", "--layer", "lstm-dropout", "--implementation", "1"], "refuses LSTM("),
        (["--shape", "4,6,10", "--layer", "lstm-recurrent", "--units", "0"], "1 to 512 units"),
        (["--shape", "4,6,10", "--rate", "2"], "0 to 1, not 2"),
        (["--shape", "4,6,10", "-o", "mask.gif"], ".png, .svg"),
        (["--shape", "4,6,10", "-o", "/no/such/mask.png"], "there is no directory"),
        (["--shape"], "--shape"),
    ],
)
def test_wrong_questions_are_refused_in_a_line(
    capsys: pytest.CaptureFixture[str], arguments: list[str], said: str
) -> None:
    code, out, err = run(capsys, "dropout", *arguments)
    assert (code, out) == (2, "")
    assert err.startswith("error: ")
    assert err.count("\n") == 1
    assert said in err


@pytest.mark.parametrize(
    ("text", "found"),
    [("4,6,10", (4, 6, 10)), ("(4, 6, 10)", (4, 6, 10)), ("[7]", (7,)), ("(7,)", (7,)), ("-1,2", (-1, 2))],
)
def test_shapes_in_brackets_or_not(text: str, found: tuple[int, ...]) -> None:
    assert lengths("--shape", text) == found
    assert noise_shape("--noise-shape", text) == found
    assert lengths("--shape", written(found)) == found


def test_none_is_of_a_noise_shape_alone() -> None:
    assert noise_shape("--noise-shape", "(None, 1, none)") == (None, 1, None)
    with pytest.raises(InvalidInput):
        lengths("--shape", "None,1")


def test_minibatch(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    measured, measure = [], minibatch.measure

    def once(*given: Any) -> Found:
        measured.extend([measure(*given)] if not measured else [])
        return measured[0]

    monkeypatch.setattr(minibatch, "measure", once)
    place = tmp_path / "minibatch.png"
    small = ["--batch", "64", "--units", "8", "--draws", "20", "--seeds", "2", "--epochs", "1"]
    code, out, err = run(capsys, "minibatch", *small, "--json", "-o", str(place))
    assert code == 0
    assert f"wrote {place}" in err
    assert place.read_bytes().startswith(b"\x89PNG")
    told = json.loads(out)
    assert told["settings"] == asdict(Settings(batch=64, units=8, draws=20, seeds=2, epochs=1))
    assert tuple(told["gradients"]) == DRAWN
    assert np.array(told["training"]["own"]["losses"]).shape == (len(LEARNING_RATES), 2, 1)
    code, out, _ = run(capsys, "minibatch", *small)
    assert code == 0
    assert f"{told['gradients']['masks']['own']['variance']:.3g}" in out
    assert " ".join(out.split("\n\n")[0].split()) == told["answer"][0]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--rate", "0"], "more than 0"),
        (["--batch", "1"], "batch is 2 to 256"),
        (["--seed", "-1"], "seed is 0"),
        (["--seeds", "20", "--epochs", "50"], "steps of training"),
        (["-o", "x.txt"], ".png, .svg"),
    ],
)
def test_wrong_experiments_are_refused_in_a_line(
    capsys: pytest.CaptureFixture[str], arguments: list[str], said: str
) -> None:
    code, out, err = run(capsys, "minibatch", *arguments)
    assert (code, out) == (2, "")
    assert err.startswith("error: ")
    assert err.count("\n") == 1
    assert said in err
