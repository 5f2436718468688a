"""The `penult` command of the base installation."""

from __future__ import annotations

import sys
from types import ModuleType

import penult_client
import pytest
from penult_client import _extras, entry


@pytest.fixture
def bare(monkeypatch):
    """As after `pip install penult`, without extras."""
    monkeypatch.setattr(_extras, "find_spec", lambda _name: None)


@pytest.mark.parametrize(
    ("arguments", "extra"),
    [
        (["embed", "x.csv"], "cli"),
        (["similarity"], "cli"),
        (["models", "--server", "localhost:1"], "cli"),
        ([], "cli"),
        (["--help"], "cli"),
        (["serve", "model"], "server"),
        (["prepare", "model"], "server"),
        (["verify", "model"], "server"),
        (["convert", "dir"], "server"),
        (["train", "bert"], "server"),
    ],
)
@pytest.mark.usefixtures("bare")
def test_without_packages_one_line_names_the_extra(capsys, arguments, extra):
    assert entry.main(arguments) == 2
    told = capsys.readouterr()
    assert told.out == ""
    assert told.err.count("\n") == 1
    assert told.err.startswith("error: penult")
    assert f"pip install 'penult[{extra}]'" in told.err


@pytest.mark.usefixtures("bare")
def test_the_version_needs_no_packages(capsys):
    assert entry.main(["--version"]) == 0
    assert capsys.readouterr().out == f"penult {penult_client.__version__}\n"


@pytest.mark.parametrize(("result", "code"), [(None, 0), (0, 0), (1, 1)])
def test_with_packages_the_command_line_takes_over(monkeypatch, result, code):
    given = []
    app = ModuleType("penult_service.cli.app")
    app.main = lambda arguments: given.append(arguments) or result
    monkeypatch.setitem(sys.modules, "penult_service.cli.app", app)
    monkeypatch.setattr(_extras, "find_spec", lambda _name: object())
    monkeypatch.setattr(sys, "argv", ["penult", "models", "--json"])
    assert entry.main() == code
    assert given == [["models", "--json"]]


def test_a_package_missing_further_inside_is_named(monkeypatch, capsys):
    def missing(_name):
        raise ModuleNotFoundError("no", name="click")

    monkeypatch.setattr(_extras, "find_spec", lambda _name: object())
    monkeypatch.setattr(entry, "import_module", missing)
    assert entry.main(["embed"]) == 2
    assert "needs the package click: pip install 'penult[cli]'" in capsys.readouterr().err
