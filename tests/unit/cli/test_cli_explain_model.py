"""`penult explain MODEL`: formulas against Keras, what shares a draw in words, the tree, the command beside others."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from penult_client import DropoutReport, DropoutSite, ModelLayer
from penult_service.cli import options
from penult_service.cli.app import main
from penult_service.cli.explaining import group as explain
from penult_service.cli.explaining import model as explain_model
from penult_service.cli.explaining.layer_tree import lines, tree
from penult_service.cli.explaining.layer_words import formula, gathered, shared, shared_by_samples
from support import seed_model as seeds

FEATURES, UNITS = 8, 5


def site(path: str = "drop", **facts: Any) -> DropoutSite:
    told: dict[str, Any] = {
        "rate": 0.2,
        "noise_shape": (),
        "place": "before_embedding",
        "layer_class": "Dropout",
    }
    return DropoutSite(path=path, **(told | {"shared_axes": (), "read": False} | facts))


def layer(path: str, kind: str = "Dense", *shape: int, **facts: Any) -> ModelLayer:
    return ModelLayer(path=path, layer_class=kind, output_shape=shape, **facts)


@pytest.mark.parametrize("flavour", ["keras", "tf_keras"])
@pytest.mark.parametrize(
    ("kind", "settings"),
    [
        ("Dense", {}),
        ("Dense", {"use_bias": False}),
        ("LSTM", {}),
        ("LSTM", {"use_bias": False}),
        ("GRU", {}),
        ("GRU", {"reset_after": False}),
        ("SimpleRNN", {}),
    ],
)
def test_a_formula_counts_what_keras_counts(flavour: str, kind: str, settings: dict[str, Any]) -> None:
    keras = seeds.keras() if flavour == "tf_keras" else __import__("keras")
    given = keras.Input((None, FEATURES))
    made = getattr(keras.layers, kind)(UNITS, **settings)
    made(given)
    told = layer("x", kind, -1, UNITS, parameters=made.count_params(), units=UNITS)
    words = formula(told, {FEATURES, UNITS})
    assert eval(words.replace("x", "*")) == made.count_params()
    assert f"{FEATURES}" in words.replace("(", " ").split()


def test_other_formulas() -> None:
    lengths = {384, 512}
    table = layer("words", "Embedding", -1, -1, 384, parameters=30_522 * 384)
    assert formula(table, lengths) == "30,522 x 384"
    assert formula(layer("norm", "LayerNormalization", -1, 384, parameters=768), lengths) == "2 x 384"
    assert formula(layer("norm", "BatchNormalization", -1, 384, parameters=4 * 384), lengths) == "4 x 384"
    # What is not so simple has none, and neither has what does not fit.
    assert formula(layer("conv", "Conv1D", -1, -1, 5, parameters=85), lengths) == ""
    assert formula(layer("norm", "LayerNormalization", -1, 384, parameters=384), lengths) == ""
    assert formula(layer("odd", "LSTM", -1, 5, parameters=7, units=5), lengths) == ""
    assert formula(layer("odd", "GRU", -1, 5, parameters=30, units=5), lengths) == ""


@pytest.mark.parametrize(
    ("facts", "words"),
    [
        ({}, "each number its own draw"),
        (
            {"noise_shape": (-1, 1, 8), "shared_axes": (1,)},
            "one draw for all steps; its own for each sample and feature",
        ),
        (
            {"noise_shape": (-1, 1, 1), "shared_axes": (1, 2)},
            "one draw for all steps and features; its own for each sample",
        ),
        (
            {"noise_shape": (1, 50, 1), "shared_axes": (0, 2)},
            "one draw for all samples and features; its own for each step",
        ),
        (
            {"noise_shape": (1, 1), "shared_axes": (0, 1)},
            "one draw for all samples and features: all or nothing",
        ),
        (
            {"path": "known#2", "shared_axes": (1,)},
            "one draw for all steps; its own for each sample and feature",
        ),
        ({"path": "unknown", "shared_axes": (1,)}, "one draw for all places on axis 1"),
        (
            {"noise_shape": (-1, 1, 1, 8), "shared_axes": (1, 2), "layer_class": "SpatialDropout2D"},
            "one draw for all rows and columns; its own for each sample and channel",
        ),
    ],
)
def test_what_shares_a_draw_in_words(facts: dict[str, Any], words: str) -> None:
    assert shared(site(**facts), [layer("known", "SpatialDropout1D", -1, 50, 8)]) == words


def test_a_mask_that_samples_share_is_called_out() -> None:
    assert shared_by_samples(site(noise_shape=(-1, 1, 8), shared_axes=(1,)), []) == ""
    warned = shared_by_samples(site(noise_shape=(1, -1, 8), shared_axes=(0,)), [])
    assert (
        "drop (noise shape 1, None, 8: its first axis, the batch, is 1) draws one mask for all samples"
        in warned
    )
    assert "each step and feature that is dropped (20 %) is dropped in every sample" in warned
    assert warned.endswith("noise_shape=(None, None, 8) draws for each sample.")
    whole = shared_by_samples(site(noise_shape=(1, 1), shared_axes=(0, 1), rate=None), [])
    assert "a share of the batches become zeros as a whole" in whole
    bare = shared_by_samples(site(shared_axes=(0,)), [])
    assert "noise shape" not in bare
    assert "what is dropped (20 %) is dropped in every sample of the batch at once" in bare


def test_dropouts_that_differ_by_numbers_are_one_line() -> None:
    sites = [site(f"block_{n}/{name}") for n in range(3) for name in ("seen", "felt_1")]
    sites += [site("block_3/seen", rate=0.5), site("block/seen"), site("a_1", place="in_head")]
    sites.append(site("a_2", place="in_head"))  # beside the head each counts
    assert [(one.path, len(paths)) for one, paths in gathered(sites)] == [
        ("block_0/seen", 4),
        ("block_0/felt_1", 3),
        ("block_3/seen", 1),
        ("a_1", 1),
        ("a_2", 1),
    ]


def test_layers_as_a_tree() -> None:
    blocks = [
        one
        for n in range(4)
        for one in (
            layer(f"bert.layer.{n}", "BertLayer"),
            layer(f"bert.layer.{n}.query"),
            layer(f"bert.layer.{n}.key"),
        )
    ]
    told = [
        layer("a", "Functional"),
        layer("a/b_1"),
        layer("a/b_2"),
        layer("a/c", units=3),
        layer("ab"),
        *blocks,
    ]
    told.append(layer("bert.layer.4", "BertLayer"))
    assert [name for name, _ in lines(tree(told))] == [
        *("a", "  b_1", "  ... 1 more like it: b_2", "  c", "ab", "bert.layer.0", "  query", "  key"),
        *("... 3 more like it: bert.layer.1 to bert.layer.3", "bert.layer.4"),
    ]


REPORT = DropoutReport(
    model="reviews",
    version=3,
    digest="d3",
    sites=(
        site("words_out", noise_shape=(1, 6, 1), shared_axes=(0, 2), sampled=True),
        site("dropout", rate=None, place="at_seam", read=True),
    ),
    proven=True,
    findings=(),
    figures=(),
    preparer="9",
    unread="",
    unsampled="the rate of dropout is not known",
    layers=(
        layer("", "Functional", -1, 3, parameters=381),
        layer("lstm", "LSTM", -1, 6, parameters=360, units=6, dropout=0.3, recurrent_dropout=0.1),
        layer("gru", "GRU", -1, 6, dropout=0.0, recurrent_dropout=0.0),
        layer("output", "Dense", -1, 3, parameters=21, units=3),
    ),
)


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """What the command asked for; a server answers with REPORT."""
    calls: list[Any] = []
    model: Any = SimpleNamespace(id="reviews@3", format="tf_keras SavedModel", digest="d3", readouts=())

    @contextmanager
    def connected(*given: Any, **_options: Any) -> Iterator[tuple[Any, Any]]:
        calls.append(given)
        yield SimpleNamespace(model=lambda _: model, inspect_dropout=lambda _: REPORT), given[0]

    monkeypatch.setattr(options, "connected", connected)
    return calls


def test_the_report_is_readable(asked: list[Any], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["explain", "reviews", "--server", "somewhere:1"]) == 0
    out = capsys.readouterr().out
    assert asked == [("reviews", "somewhere:1", None)]
    assert "4 x (8 + 6 + 1) x 6" in out
    assert "(6 + 1) x 3" in out
    for line in (
        "words_out (!)",
        "lstm (LSTM) drops inside: dropout 0.3 on what it is given and recurrent_dropout 0.1 on its state",
        "dropout cannot be put back: the rate of dropout is not known",
        "warning: words_out (noise shape 1, 6, 1",
        "in front of the head, read here",
        "not said",
    ):
        assert line in " ".join(out.split()), line
    assert "gru (GRU) drops" not in out


def test_the_report_as_json(asked: list[Any], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["explain", "--server", "somewhere:1", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert asked == [(None, "somewhere:1", None)]
    assert (told["model"], told["parameters"], told["proven_inactive"]) == ("reviews@3", 381, True)
    assert told["layers"][3]["formula"] == "(6 + 1) x 3"
    assert [one["sampled"] for one in told["dropouts"]] == [True, False]
    assert [bool(one["warning"]) for one in told["dropouts"]] == [True, False]
    assert list(told["recurrent"]) == ["lstm"]


def test_a_model_called_like_a_command_is_reached_by_its_path(
    asked: list[Any], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("lstm", explain.MODEL, "other"):
        (tmp_path / name).mkdir()
    for words in (["./lstm"], [explain.MODEL], ["other", "--json"], ["--json", "other"]):
        assert main(["explain", *words]) == 0, words
    assert [given[0] for given in asked] == ["./lstm", explain.MODEL, "other", "other"]
    capsys.readouterr()
    assert main(["explain", "lstm", "--units", "0"]) == 2  # the command
    assert "units is 1 to" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["nowhere"], "there is no model nowhere here, and no such command"),
        (["dropuot", "--json"], "there is no model dropuot here"),
        (["--json"], "name a model's directory or file"),
        (["a", "b"], "b"),
        (["nowhere", "--shape", "4,6"], "--shape"),
    ],
)
def test_what_is_neither_is_a_line(words: list[str], told: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["explain", *words]) == 2
    out, err = capsys.readouterr()
    assert (out, err.count("\n")) == ("", 1)
    assert told in err


def test_help_names_the_model_beside_the_commands(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["explain", "--help"]) == 0
    out = capsys.readouterr().out
    assert all(name in out for name in ("dropout", "minibatch", "lstm", "MODEL"))
    assert main(["explain", "anything", "--help"]) == 0
    assert "Usage: penult explain MODEL [OPTIONS]" in capsys.readouterr().out


def test_a_model_without_layers_is_said_to_have_none(capsys: pytest.CaptureFixture[str]) -> None:
    model: Any = SimpleNamespace(id="m@1", format="SavedModel", readouts=(SimpleNamespace(layer="MatMul"),))
    report: Any = SimpleNamespace(layers=(), sites=(), unsampled="")
    explain_model.Told(model, report).show()
    out = capsys.readouterr().out
    assert "tells of no layers" in out
    assert "no dropout layer was found" in out
