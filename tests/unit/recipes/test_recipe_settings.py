"""Settings, the defaults on the command line, and where versions go."""

from __future__ import annotations

import inspect
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
from penult_service.cli.training import bert as command
from penult_service.errors import InvalidInput
from penult_service.recipes import saving
from penult_service.recipes.bert.settings import BertSettings


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("dropout", 1.0),
        ("dropout", -0.1),
        ("epochs", 0),
        ("learning_rate", 0.0),
        ("learning_rate", float("nan")),
        ("weight_decay", 1.0),
        ("warmup", -0.1),
        ("max_length", 2),
        ("batch_size", 0),
        ("valid_fraction", 1.0),
        ("seed", -1),
    ],
)
def test_settings_out_of_range(name: str, value: Any) -> None:
    with pytest.raises(InvalidInput, match=f"{name} is {value}") as caught:
        BertSettings(**{name: value})
    assert caught.value.field == name


def test_the_command_line_has_the_defaults_of_the_recipe() -> None:
    defaults = asdict(BertSettings())
    shown = {
        name: parameter.default for name, parameter in inspect.signature(command.bert).parameters.items()
    }
    for name in ("dropout", "epochs", "learning_rate", "max_length", "batch_size", "seed"):
        assert shown[name] == defaults[name]
    assert defaults["valid_fraction"] == command.VALID_FRACTION


def test_the_next_version_is_one_above_the_highest(tmp_path: Path) -> None:
    assert saving.next_version(tmp_path / "none") == 1
    for name in ("2", "10", "latest", ".11.partial"):
        (tmp_path / name).mkdir()
    assert saving.next_version(tmp_path) == 11


def test_places_of_several_models(tmp_path: Path) -> None:
    assert saving.places(tmp_path / "m", ["a"]) == {"a": tmp_path / "m"}
    assert saving.places(Path(), ["a"]) == {"a": Path()}
    assert saving.places(tmp_path / "m", ["a", "b"]) == {"a": tmp_path / "m-a", "b": tmp_path / "m-b"}
    for nameless in (Path(), Path(".."), Path("/")):
        with pytest.raises(InvalidInput, match="give it a name"):
            saving.places(nameless, ["a", "b"])


def test_places_where_nothing_can_be_saved(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    saving.check_output(tmp_path / "models" / "reviews")
    assert not any(tmp_path.iterdir())
    (tmp_path / "file").touch()
    for output in (tmp_path / "file", tmp_path / "file" / "model"):
        with pytest.raises(InvalidInput, match="file is a file"):
            saving.check_output(output)
    monkeypatch.setattr(
        saving.os, "access", lambda *_: False
    )  # tests may run as root, who may write anywhere
    with pytest.raises(InvalidInput, match="cannot be written to"):
        saving.check_output(tmp_path / "models")
