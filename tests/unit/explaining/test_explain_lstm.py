"""What is said of a recurrent layer, against the layer that Keras builds, and against what would be wrong."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from penult_service.cli.app import main
from penult_service.cli.explaining import lstm
from penult_service.errors import InvalidInput
from penult_service.explaining import recurrent, recurrent_claims, recurrent_steps
from penult_service.explaining.recurrent import Asked, Built, tensors_of
from penult_service.explaining.recurrent_claims import HALF, NOTHING, OUTDATED, RIGHT, WRONG
from PIL import Image

os.environ["KERAS_BACKEND"] = "tensorflow"
CASES = [
    Asked("LSTM", 3, 5, 4, False, 3),
    Asked("LSTM", 3, 5, 4, True, 2),
    Asked("GRU", 4, 3, 1, True, 3),
    Asked("GRU", 4, 3, 1, False, 2),
    Asked("SimpleRNN", 1, 1, 2, False, 3),
    Asked("SimpleRNN", 2, 2, 6, True, 2),
]


def keras_of(asked: Asked) -> Any:
    return __import__("keras" if asked.keras == 3 else "tf_keras")


@pytest.mark.parametrize("asked", CASES, ids=lambda asked: f"{asked.layer} {asked.units} {asked.keras}")
def test_tensors_and_parameters_are_those_of_the_layer(asked: Asked) -> None:
    """Written here anew, without the code under test: a model is built and asked."""
    keras = keras_of(asked)
    given = keras.Input((asked.steps, asked.features))
    made = getattr(keras.layers, asked.layer)(
        asked.units, return_sequences=asked.return_sequences, return_state=True
    )
    output, *states = made(given)
    told = {tensor.name: tensor.shape for tensor in tensors_of(asked)}
    assert told["input"] == (-1, *given.shape[1:])
    for name, weight in zip(("kernel", "recurrent kernel", "bias"), made.get_weights(), strict=True):
        assert told[name] == weight.shape
    assert told["output"] == (-1, *output.shape[1:])
    assert [told[f"state {name}"] for name in asked.kind.states] == [(-1, *one.shape[1:]) for one in states]
    assert asked.parameters == made.count_params()
    assert asked.formula.endswith(f"= {made.count_params():,}")
    built = Built(asked)
    assert all(one.right for one in built.checks), built.checks


@pytest.mark.parametrize("layer", recurrent.KINDS)
def test_steps_by_hand_are_the_layers_own(layer: str) -> None:
    """With the weights that Keras makes, and larger ones."""
    import keras

    keras.utils.set_random_seed(0)  # some large weights make a plain recurrence chaotic, rounding too
    made = getattr(keras.layers, layer)(5, return_sequences=True, return_state=True)
    given = np.random.default_rng(0).normal(size=(4, 7, 3)).astype(np.float32)
    made(given)
    for scale in (1.0, 3.0):
        made.set_weights([scale * value + 0.1 for value in made.get_weights()])
        sequence, *states = made(given)
        found = recurrent_steps.run(layer, made.get_weights(), given)
        np.testing.assert_allclose(found.sequence, sequence, atol=1e-5)
        for own, theirs in zip(found.states, states, strict=True):
            np.testing.assert_allclose(own, theirs, atol=1e-5)


def test_the_jacobian_is_that_of_finite_differences() -> None:
    built = Built(Asked("LSTM", 4, 3, 2))
    layer = built.like((None, 1, 2), return_sequences=False)
    h, c = (state[:1].astype(np.float64) for state in built.run[1])
    found = recurrent_claims.coupling(built)
    assert found.shape == (4, 4)
    for unit in range(4):
        step = np.zeros((1, 4))
        step[0, unit] = 0.01
        ahead, behind = (
            np.asarray(
                layer(built.given[:1, :1], initial_state=[at.astype(np.float32), c.astype(np.float32)])
            )[0]
            for at in (h + step, h - step)
        )
        np.testing.assert_allclose(found[:, unit], (ahead - behind) / 0.02, atol=1e-4)


def test_claims_follow_from_what_is_measured() -> None:
    """Of a layer whose units really are copies the verdict is another."""
    built = Built(Asked("LSTM", 3, 4, 2))
    verdicts = [claim.verdict for claim in recurrent_claims.claims_of(built)]
    assert verdicts == [WRONG, RIGHT, RIGHT, HALF, WRONG, RIGHT, HALF, HALF, RIGHT, OUTDATED]
    built.weights[1] = np.concatenate([np.eye(3, dtype=np.float32)] * 4, axis=1)
    first = recurrent_claims.claims_of(built)[0]
    assert (first.verdict, first.measured[:4]) == (RIGHT, "0 of")
    one = recurrent_claims.claims_of(Built(Asked("GRU", 1, 1, 2)))
    assert [claim.verdict for claim in one][:1] == [NOTHING]
    assert one[7].verdict == NOTHING  # a single step: nothing to pad


def test_what_does_not_agree_is_told_and_is_exit_1(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """A gate that Keras has not: as if it had changed."""
    kind = recurrent.KINDS["LSTM"]
    monkeypatch.setitem(recurrent.KINDS, "LSTM", replace(kind, gates=(*kind.gates, "fifth gate q")))
    monkeypatch.setattr(recurrent_steps, "run", _four_gates)
    place = tmp_path / "x.png"
    assert main(["explain", "lstm", "--units", "2", "--steps", "3", "--features", "2", "-o", str(place)]) == 1
    out, err = capsys.readouterr()
    assert "shape of kernel should be 2 x 10, and is 2 x 8" in err
    assert "parameters should be 50, and is 40" in err
    assert "is wrong" not in out
    assert not place.exists()


def _four_gates(_layer: str, _weights: Any, given: Any) -> recurrent_steps.Run:
    gate = np.zeros((len(given), 2))
    return recurrent_steps.Run(np.zeros((3, 3, 2)), [gate] * 5, [gate, gate])


def test_the_command_says_it_in_words_and_as_json(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    asked = ["explain", "lstm", "--units", "3", "--steps", "4", "--features", "2", "--return-sequences"]
    place = tmp_path / "lstm.png"
    assert main([*asked, "--output", str(place)]) == 0
    out = capsys.readouterr().out
    assert "4 x (features + units + 1) x units = 4 x (2 + 3 + 1) x 3 = 72" in out
    assert "batch x 4 x 3" in out
    assert "wrong: n units are n independent copies" in out
    with Image.open(BytesIO(place.read_bytes())) as image:
        assert image.width > 800
    assert main([*asked, "--output", str(place)]) == 2
    assert "--overwrite" in capsys.readouterr().err
    assert main([*asked, "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["parameters"], told["agrees"], told["layer"], told["units"]) == (72, True, "LSTM", 3)
    assert {tensor["name"]: tensor["shape"] for tensor in told["tensors"]}["output"] == [-1, 4, 3]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--units", "0"], "units is 1 to"),
        (["--units", "-4"], "units is 1 to"),
        (["--steps", "99999999"], "steps is 1 to"),
        (["--features", "0"], "features is 1 to"),
        (["--units", "4000", "--features", "4000"], "parameters; at most"),
        (["--units", "500", "--features", "500", "--steps", "2000"], "steps of such a layer"),
        (["--layer", "lstm"], "--layer is one of LSTM, GRU, SimpleRNN"),
        (["--keras", "4"], "--keras is 2 or 3"),
        (["--output", "x.pdf"], ".png, .svg"),
        (["--units", "ten"], "units"),
    ],
)
def test_wrong_options_are_a_line(options: list[str], words: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["explain", "lstm", *options]) == 2
    out, err = capsys.readouterr()
    assert words in err
    assert (out, err.count("\n"), err[:7]) == ("", 1, "error: ")


def test_names_written_out_are_those_of_explaining() -> None:
    assert tuple(recurrent.KINDS) == lstm.LAYERS


def test_what_cannot_be_built_is_refused_before_it_is() -> None:
    for wrong in (Asked("Dense"), Asked(units=0), Asked(features=1 << 40)):
        with pytest.raises(InvalidInput):
            recurrent.check(wrong)


@pytest.mark.parametrize(
    "change", [lambda a: replace(a, units=200), lambda a: replace(a, steps=1, units=1, features=1)]
)
def test_the_picture_is_the_same_each_time(change: Callable[[Asked], Asked], tmp_path: Path) -> None:
    asked = change(Asked())
    told = lstm.Told(asked, "keras", tensors_of(asked), [], [])
    for name in ("a.svg", "b.svg"):
        told.draw(tmp_path / name)
    assert (tmp_path / "a.svg").read_bytes() == (tmp_path / "b.svg").read_bytes()
