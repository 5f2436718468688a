"""`penult tune`, and what `prepare` and `verify` say of engines: asked for, printed, refused."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest
from penult_service.cli.app import main
from penult_service.engines import choosing
from penult_service.engines.choosing import Chosen
from penult_service.engines.fake import fake_manifest
from penult_service.engines.texts import TEXTS
from penult_service.engines.wishes import Wish
from penult_service.errors import ModelRefused
from penult_service.prepared import MANIFEST_NAME
from penult_service.preparing import launch
from penult_service.preparing.report import Verification
from penult_service.tuned import BFLOAT16, FLOAT32, OPENVINO, Measured, Price, Setting, Tuned

BEST = Setting(OPENVINO, BFLOAT16, 2, 4096, 256, streams=2)
TUNED = Tuned(
    BEST,
    (
        Measured(BEST, 23456.0, 0.0021),
        Measured(Setting(OPENVINO, FLOAT32, 2), 12345.0, 0.0042),
        Measured(Setting(threads=2), problem="it failed [on] ordinary texts"),
    ),
    Price(506, 0.99912, 0.99987, 0.0032, 0.004, 0.981),
    "A processor",
    1.5,
)


@pytest.fixture
def model(tmp_path: Path) -> Path:
    place = tmp_path / "prepared"
    place.mkdir()
    manifest = replace(fake_manifest(), files={"saved_model.pb": "0" * 64})
    (place / MANIFEST_NAME).write_text(manifest.to_json())
    return place


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch, model: Path) -> dict[str, Any]:
    """What `choose` was asked for; it answers with `answer`, or raises it."""
    asked: dict[str, Any] = {"answer": Chosen(TUNED)}

    def choose(directory: Path, _manifest: Any, wish: Wish, home: Any, **given: Any) -> Chosen:
        asked.update(given, directory=directory, wish=wish, home=home())
        if isinstance(asked["answer"], Exception):
            raise asked["answer"]
        found: Chosen = asked["answer"]
        return found

    monkeypatch.setattr(choosing, "choose", choose)
    monkeypatch.setattr(launch, "prepare", lambda *_, **__: model)
    monkeypatch.setattr("penult_service.prepared.load_manifest", lambda _: fake_manifest())
    monkeypatch.setattr(launch, "verify", lambda *_, **__: Verification(fake_manifest(), None))
    return asked


def test_all_that_was_measured(
    asked: dict[str, Any], model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["--engine", "auto", "--precision", "auto", "--threads", "2", "--data", str(tmp_path / "data")]
    assert main(["tune", str(model), *words]) == 0
    assert asked["wish"] == Wish("auto", "auto", 2)
    assert (asked["again"], asked["texts"]) == (True, TEXTS)
    assert asked["home"] == tmp_path / "data" / "engines"
    shown = capsys.readouterr().out
    rows = [" ".join(line.split()) for line in shown.splitlines()]
    assert "-> openvino bfloat16 2 2 23,456 2.1 ms 4,096 tokens, 256 rows" in rows
    assert "openvino float32 2 1 12,345 4.2 ms 2,048 tokens, 32 rows" in rows
    assert "tensorflow float32 2 1 - - - it failed [on] ordinary texts" in rows
    told = " ".join(shown.split())
    assert "on 506 texts: cosine at least 0.999120" in told
    assert "0.4 % of the predictions change" in told
    assert "of ten nearest neighbours 9.81 stay" in told
    assert "measured on A processor with 1.5 processes that wanted to run" in told


@pytest.mark.usefixtures("asked")
def test_json(model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["tune", str(model), "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == json.loads(json.dumps(asdict(TUNED)))


def test_texts_of_one_s_own(asked: dict[str, Any], model: Path, tmp_path: Path) -> None:
    (tmp_path / "mine.csv").write_text("body\none\ntwo\n")
    words = ["--texts", str(tmp_path / "mine.csv"), "--text-column", "body"]
    assert main(["tune", str(model), *words]) == 0
    assert asked["texts"] == ["one", "two"]
    assert main(["prepare", str(model), *words]) == 0
    assert (asked["texts"], asked["again"]) == (["one", "two"], True)


@pytest.mark.parametrize("command", ["tune", "prepare", "verify"])
def test_a_random_model_is_measured_with_its_operations(
    asked: dict[str, Any], model: Path, monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    manifest = replace(fake_manifest(), files={"saved_model.pb": "0" * 64})
    random = replace(manifest, proof=replace(manifest.proof, proven=False))
    (model / MANIFEST_NAME).write_text(random.to_json())
    monkeypatch.setattr("penult_service.prepared.load_manifest", lambda _: random)
    monkeypatch.setattr(launch, "verify", lambda *_, **__: Verification(random, None))
    words = ["--engine", "auto"] if command == "verify" else ["--allow-stochastic"]
    assert main([command, str(model), *words]) == (1 if command == "verify" else 0)
    assert "StatelessRandomUniformV2" in asked["wish"].allow_ops
    asked.pop("wish")
    assert main(["prepare", str(model)]) == 0
    assert asked["wish"].allow_ops == ()


def test_preparing_says_what_serves_and_its_price(
    asked: dict[str, Any], model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["prepare", str(model), "--precision", "bfloat16", "--force-precision"]) == 0
    assert (asked["again"], asked["wish"].precision, asked["wish"].force) == (False, BFLOAT16, True)
    printed = capsys.readouterr()
    assert printed.out == f"{model}\n"
    assert "runs here with openvino bfloat16, 2 threads in 2 streams, batches of at most 4,096" in printed.err
    assert "not usable (it failed [on] ordinary texts)" in printed.err
    assert "0.4 % of the predictions change" in printed.err


@pytest.mark.parametrize(
    ("words", "measured"),
    [
        ([], True),
        (["-o", "out"], False),
        (["-o", "out", "--engine", "auto"], True),
        (["-o", "out", "--threads", "1"], True),
    ],
)
def test_what_is_prepared_for_elsewhere_is_not_measured_here(
    asked: dict[str, Any], model: Path, words: list[str], measured: bool
) -> None:
    assert main(["prepare", str(model), *words]) == 0
    assert ("wish" in asked) == measured


@pytest.mark.parametrize("command", ["tune", "prepare"])
def test_a_refusal_is_a_line_and_no_success(
    asked: dict[str, Any], model: Path, capsys: pytest.CaptureFixture[str], command: str
) -> None:
    asked["answer"] = ModelRefused("bfloat16 costs too much", reason="PRECISION_REFUSED")
    assert main([command, str(model), "--precision", "bfloat16"]) == 1
    printed = capsys.readouterr()
    assert printed.out == ""
    assert "bfloat16 costs too much" in printed.err


def test_verifying_compares_engines_where_that_is_asked_for(
    asked: dict[str, Any], model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["verify", str(model), "--engine", "auto"]) == 0
    shown = " ".join(capsys.readouterr().out.split())
    assert "engines 0.0032 TensorFlow in float32 against openvino bfloat16, 2 threads in 2 streams" in shown
    assert "How it is run here" in shown
    assert main(["verify", str(model), "--engine", "auto", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["serving"]["setting"] == asdict(BEST)
    asked.pop("wish")
    assert main(["verify", str(model)]) == 0
    assert "wish" not in asked
    assert "not compared: it is asked for by --engine" in capsys.readouterr().out
