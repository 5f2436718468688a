"""`penult verify` and `prepare`: what they ask for, what they print, and their exit codes."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from penult_service import prepared
from penult_service.cli.app import main
from penult_service.cli.verification import answer
from penult_service.engines.fake import fake_manifest
from penult_service.errors import ModelRefused
from penult_service.prepared import Figure, Manifest, Proof, Site
from penult_service.preparing import launch
from penult_service.preparing.report import DropoutEffect, Verification

EFFECT = DropoutEffect(
    rate=0.1,
    texts=120,
    neighbours=15,
    mean_cosine=0.949,
    expected_cosine=0.9487,
    draw_cosine=0.901,
    expected_draw_cosine=0.9,
    neighbours_changed=9.83,
    nearest_kept=0.113,
    predictions_flipped=0.0012,
)


def manifest(apart: float = 0.0) -> Manifest:
    figures = (
        Figure("before_vs_after_dropout", "before against after", apart, 0.0),
        Figure("companions", "rows alone and in company", 2.72e-7, 1e-5),
    )
    inside = tuple(Site(f"encoder/layer_{i}/dropout", "Dropout", None, None, "", "before") for i in range(20))
    sites = (*inside, Site("my_dropout", "Dropout", 0.1, None, "", "at"))
    return replace(fake_manifest(), proof=Proof(True, ("nothing random",), figures), sites=sites)


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What `launch` was asked for; it answers with `answer`, or raises it."""
    asked: dict[str, Any] = {"answer": None}

    def take(source: Path, **given: Any) -> Any:
        asked.update(given, source=source)
        given["progress"]("cutting", 0.5)
        given["progress"]("measuring", None)
        if isinstance(asked["answer"], Exception):
            raise asked["answer"]
        return asked["answer"]

    monkeypatch.setattr(launch, "verify", take)
    monkeypatch.setattr(launch, "prepare", take)
    return asked


def test_report(asked: dict[str, Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    asked["answer"] = Verification(manifest(), EFFECT)
    assert main(["verify", str(tmp_path), "--data", str(tmp_path / "data")]) == 0
    assert asked["cache"] == tmp_path / "data" / "prepared"
    assert asked["texts"] is None
    shown = capsys.readouterr().out
    first, second, *_ = (" ".join(part.split()) for part in shown.split("\n\n"))
    assert first.startswith("Before or after the dropout? Take them before; it makes no difference")
    assert "'my_dropout' does nothing" in first
    assert "the same, bit for bit" in first
    assert (
        "Among 120 texts, at its rate of 0.1, 9.8 of a text's 15 nearest neighbours would be others" in second
    )
    assert "only 11 % of the texts would keep their nearest one" in second
    assert "0.1 % would change" in second
    for line in (
        "2.72e-07  <= 1e-05  rows alone and in company",
        "companions  2.72e-07  alone, in pairs and threes",
        "not compared: the model needs its padding",
        "not compared: it is asked for by --engine",
        "nothing random",
        "for the 120 built-in texts",
        "--texts FILE",
    ):
        assert line in shown
    rows = [line.split() for line in shown.splitlines()]
    assert ["labels", "negative,", "neutral,", "positive"] in rows
    assert ["my_dropout", "Dropout", "0.1", "in", "front", "of", "the", "head:", "read", "here"] in rows
    assert ["...", "and", "13", "more", "inside", "the", "encoder"] in rows
    assert ["cosine", "of", "a", "vector", "to", "itself", "without", "dropout", "0.949", "0.949"] in rows
    assert all(line == line.rstrip() for line in shown.splitlines())


def test_json(asked: dict[str, Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    asked["answer"] = Verification(manifest(), EFFECT)
    assert main(["verify", str(tmp_path), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["proven"] is True
    assert told["differences"]["companions"] == 2.72e-7
    assert told["differences"]["engines"] is None
    assert Verification.from_dict(told) == asked["answer"]


def test_not_proven(asked: dict[str, Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    doubtful = replace(manifest(), proof=replace(manifest().proof, proven=False))
    asked["answer"] = Verification(replace(doubtful, warnings=("it draws",)), None)
    assert main(["verify", str(tmp_path)]) == 1
    assert capsys.readouterr().out.endswith("warning: it draws\nNOT proven\n")


def test_texts_of_a_file(asked: dict[str, Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "a.csv").write_bytes(b"body,n\none,1\nb\xe9d,2\ntwo,3\n")
    asked["answer"] = Verification(manifest(), EFFECT)
    assert main(["verify", str(tmp_path), "--texts", str(tmp_path / "a.csv"), "--text-column", "body"]) == 0
    assert asked["texts"] == ["one", "two"]
    printed = capsys.readouterr()
    assert "1 rows of" in printed.err
    assert "texts given" in printed.out
    assert "--texts FILE" not in printed.out


def test_too_few_texts(asked: dict[str, Any], tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("one\n")
    assert main(["verify", str(tmp_path), "--texts", str(tmp_path / "a.txt")]) == 2
    assert "source" not in asked


@pytest.mark.parametrize("command", ["verify", "prepare"])
def test_refused(
    asked: dict[str, Any], tmp_path: Path, capsys: pytest.CaptureFixture[str], command: str
) -> None:
    asked["answer"] = ModelRefused("dropout is on;\nsave it again", reason="RANDOM_AT_INFERENCE")
    assert main([command, str(tmp_path)]) == 1
    expected = "refused (RANDOM_AT_INFERENCE): dropout is on; save it again\n"
    assert capsys.readouterr() == ("", expected)


def test_refused_json(asked: dict[str, Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    asked["answer"] = ModelRefused("dropout is on", reason="RANDOM_AT_INFERENCE", metadata={"op": "x"})
    assert main(["verify", str(tmp_path), "--json"]) == 1
    assert json.loads(capsys.readouterr().out) == {
        "proven": False,
        "reason": "RANDOM_AT_INFERENCE",
        "message": "dropout is on",
        "metadata": {"op": "x"},
    }


def test_a_model_that_is_not_read(
    asked: dict[str, Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    whole = replace(manifest(), readouts=(), seam="", unread="its dropouts read different tensors")
    asked["answer"] = Verification(whole, None)
    assert main(["verify", str(tmp_path)]) == 0
    shown = capsys.readouterr().out
    assert shown.startswith(
        "Nothing is read from this model; predict works. its dropouts read different tensors."
    )
    assert "lengths            -  not compared: nothing is read" in shown
    asked["answer"] = written(tmp_path / "prepared", whole)
    assert main(["prepare", str(tmp_path)]) == 0
    assert capsys.readouterr().err.endswith("note: only predict works: its dropouts read different tensors\n")


def written(place: Path, one: Manifest) -> Path:
    place.mkdir()
    (place / prepared.MANIFEST_NAME).write_text(one.to_json())
    return place


def test_prepare(asked: dict[str, Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    asked["answer"] = written(tmp_path / "out", manifest())
    assert main(["prepare", str(tmp_path), "-o", str(tmp_path / "out"), "--layer", "dense"]) == 0
    assert (asked["output"], asked["layer"]) == (tmp_path / "out", "dense")
    assert capsys.readouterr().out == f"{tmp_path / 'out'}\n"


@pytest.mark.parametrize("command", ["verify", "prepare"])
def test_nothing_there(tmp_path: Path, capsys: pytest.CaptureFixture[str], command: str) -> None:
    assert main([command, str(tmp_path / "nowhere"), "--data", str(tmp_path)]) == 2
    assert "nowhere" in capsys.readouterr().err


def test_prepare_keeps_what_is_there(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "model").mkdir()
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "precious").touch()
    assert (
        main(["prepare", str(tmp_path / "model"), "-o", str(tmp_path / "full"), "--data", str(tmp_path)]) == 2
    )
    assert "is there already" in capsys.readouterr().err
    assert (tmp_path / "full" / "precious").exists()


def test_words_follow_the_figures() -> None:
    apart = answer(manifest(3e-8), EFFECT)[0]
    assert "the same within 3e-08" in apart
    assert "bit for bit" not in apart
    calm = replace(EFFECT, neighbours_changed=0.1, nearest_kept=0.99, predictions_flipped=0.3)
    words = answer(manifest(), calm)[1]
    assert "Hardly, on these texts." in words
    assert "and 99 % of the texts would keep" in words
    assert "30 % of the predictions would change too" in words
    (only,) = answer(manifest(), None)
    assert "no before and after" in only


@pytest.mark.parametrize("how", ["option", "variable"])
def test_a_random_model_is_prepared_on_the_operators_word(
    asked: dict[str, Any],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    how: str,
) -> None:
    asked["answer"] = written(tmp_path / "prepared", replace(manifest(), warnings=("it draws",)))
    if how == "variable":
        monkeypatch.setenv("PENULT_ALLOW_STOCHASTIC", "1")
    assert main(["prepare", str(tmp_path), *(["--allow-stochastic"] if how == "option" else [])]) == 0
    assert asked["allow_stochastic"] is True
    assert capsys.readouterr() == (f"{tmp_path / 'prepared'}\n", "warning: it draws\n")


def test_without_it_a_random_model_is_not_asked_for(asked: dict[str, Any], tmp_path: Path) -> None:
    asked["answer"] = written(tmp_path / "prepared", manifest())
    assert main(["prepare", str(tmp_path)]) == 0
    assert asked["allow_stochastic"] is False
