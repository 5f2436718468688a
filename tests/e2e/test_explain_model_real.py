"""`penult explain MODEL` on a saved model by a private server, against the model that Keras built."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from penult_service.cli.app import main
from support import text_models as tm


def test_layers_and_dropouts_of_a_saved_model(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    layers, text = tm.layers(), tm.text_input()
    words = tm.vectors(text)
    steps = int(words.shape[1])
    x = layers.Dropout(0.2, noise_shape=(1, steps, 1), name="shared_by_all")(words)
    x = layers.SpatialDropout1D(0.1, name="spatial")(x)
    x = layers.LSTM(6, dropout=0.3, recurrent_dropout=0.1, name="lstm")(x)
    output = tm.dense(3, "output", "softmax")(layers.Dropout(0.5, name="dropout")(x))
    model = tm.seeds.keras().Model(text, output)
    place = tm.save(model, tmp_path / "lstm")  # called like a command
    assert main(["explain", str(place), "--data", str(tmp_path), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["parameters"] == model.count_params()
    found = {one["path"]: one for one in told["layers"]}
    for layer in model.layers:
        one = found[layer.name]
        shape = [-1 if length is None else length for length in layer.output.shape]
        assert (one["layer_class"], one["parameters"]) == (type(layer).__name__, layer.count_params())
        assert one["output_shape"] == shape, layer.name
    assert found["lstm"]["formula"] == f"4 x ({tm.WIDTH} + 6 + 1) x 6"
    assert found["output"]["formula"] == "(6 + 1) x 3"
    draws = {one["path"]: one for one in told["dropouts"]}
    assert {path: one["rate"] for path, one in draws.items()} == {
        "shared_by_all": 0.2,
        "spatial": 0.1,
        "dropout": 0.5,
    }
    assert draws["shared_by_all"]["draws"] == "one draw for all samples and features; its own for each step"
    assert "one mask for all samples" in draws["shared_by_all"]["warning"]
    assert draws["dropout"]["draws"] == "each number its own draw"
    assert not draws["dropout"]["warning"]
    assert told["recurrent"] == {
        "lstm": "dropout 0.3 on what it is given and recurrent_dropout 0.1 on its state"
    }


def test_a_file_that_is_no_model_is_a_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    place = tmp_path / "notes.txt"
    place.write_text("no model", encoding="utf-8")
    assert main(["explain", str(place), "--data", str(tmp_path)]) in (1, 2)
    out, err = capsys.readouterr()
    assert (out, err.count("\n"), err[:7]) == ("", 1, "error: ")
    assert "notes.txt" in err
