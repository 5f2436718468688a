"""Exit codes, the one line of an error, and what `penult --help` must not import."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from types import ModuleType

import penult_client
import pytest
import typer
from penult_service import __version__, errors
from penult_service.cli import app

Boom = Callable[[BaseException | int | None], None]


@pytest.fixture
def boom(monkeypatch: pytest.MonkeyPatch) -> Boom:
    """Makes `penult boom` raise an error, or return a value."""

    def plant(outcome: BaseException | int | None) -> None:
        def command() -> int | None:
            if isinstance(outcome, BaseException):
                raise outcome
            return outcome

        module = ModuleType("boom")
        module.register = lambda cli: cli.command("boom")(command)  # type: ignore[attr-defined]
        monkeypatch.setitem(app.COMMANDS, "boom", "boom")
        monkeypatch.setitem(sys.modules, f"{app.ROOM}.boom", module)

    return plant


@pytest.mark.parametrize(
    ("outcome", "code"),
    [
        (None, 0),
        (1, 1),
        (typer.Exit(5), 5),
        (errors.InvalidInput("m"), 2),
        (errors.NotFound("m"), 2),
        (errors.ModelRefused("m"), 1),
        (errors.ResourceExhausted("m"), 1),
        (errors.Unavailable("m"), 1),
        (errors.DeadlineExceeded("m"), 1),
        (errors.Internal("m"), 1),
        (penult_client.InvalidInputError("m"), 2),
        (penult_client.InputTypeError("m"), 2),
        (penult_client.NotFoundError("m"), 2),
        (penult_client.PreconditionError("m"), 1),
        (penult_client.PreconditionError("m", reason="SPACE_MISMATCH"), 2),
        (penult_client.UnavailableError("m"), 1),
        (penult_client.ServerStartError("m"), 1),
        (OSError(28, "No space left on device", "out.npy"), 1),
        (KeyError("a bug"), 1),
        (KeyboardInterrupt(), 130),
    ],
)
def test_exit_codes(boom: Boom, outcome: BaseException | int | None, code: int) -> None:
    boom(outcome)
    assert app.main(["boom"]) == code


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (errors.InvalidInput("two\nlines"), "error: two lines\n"),
        (penult_client.NotFoundError("no model x"), "error: no model x\n"),
        (OSError(28, "No space left on device", "out.npy"), "error: out.npy: No space left on device\n"),
        (
            ModuleNotFoundError("No module named 'tf_keras.src'", name="tf_keras.src"),
            "error: this needs tf_keras, which is not installed: pip install 'penult[server]'\n",
        ),
    ],
)
def test_errors_are_one_line(
    boom: Boom, capsys: pytest.CaptureFixture[str], error: Exception, line: str
) -> None:
    boom(error)
    app.main(["boom"])
    assert capsys.readouterr() == ("", line)


def test_a_bug_says_that_it_is_one(boom: Boom, capsys: pytest.CaptureFixture[str]) -> None:
    boom(KeyError("x"))
    app.main(["boom"])
    assert "a bug of penult" in capsys.readouterr().err


def test_traceback_on_request(
    boom: Boom, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    boom(errors.InvalidInput("m"))
    app.main(["boom"])
    assert "Traceback" not in capsys.readouterr().err
    monkeypatch.setenv("PENULT_DEBUG", "1")
    app.main(["boom"])
    assert "Traceback" in capsys.readouterr().err


def test_interrupt_says_nothing(boom: Boom, capsys: pytest.CaptureFixture[str]) -> None:
    boom(KeyboardInterrupt())
    app.main(["boom"])
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["embed"], "INPUT"),
        (["embed", "x.csv"], "--output"),
        (["embed", "x.csv", "-o", "y.npy", "--what"], "--what"),
        (["nothing"], "nothing"),
        (["--what"], "--what"),
    ],
)
def test_usage(capsys: pytest.CaptureFixture[str], arguments: list[str], said: str) -> None:
    assert app.main(arguments) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.startswith("error: ")
    assert printed.err.count("\n") == 1
    assert said in printed.err
    assert "--help" in printed.err


def test_help_lists_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert app.main([]) == 0
    listed = capsys.readouterr().out
    for command in app.COMMANDS:
        assert f"\n  {command} " in listed


@pytest.mark.parametrize("command", list(app.COMMANDS))
def test_every_command_has_help(capsys: pytest.CaptureFixture[str], command: str) -> None:
    assert app.main([command, "--help"]) == 0
    assert f"Usage: penult {command}" in capsys.readouterr().out


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert app.main(["--version"]) == 0
    assert capsys.readouterr().out == f"penult {__version__}\n"


def test_help_is_light() -> None:
    heavy = "('tensorflow', 'keras', 'tf_keras', 'pyarrow', 'grpc', 'rich.table', 'pydantic', 'sklearn')"
    program = (
        "import sys; from penult_service.cli.app import main; code = main(['--help'])\n"
        f"print([name for name in {heavy} if name in sys.modules], code)"
    )
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert ran.stdout.splitlines()[-1] == "[] 0"


@pytest.mark.parametrize("arguments", [["embed", "--help"], ["--version"]])
def test_a_reader_that_leaves_is_no_error(arguments: list[str]) -> None:
    program = f"from penult_service.cli.app import main; raise SystemExit(main({arguments}))"
    ran = subprocess.Popen(
        [sys.executable, "-c", program], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert ran.stdout is not None
    ran.stdout.close()
    _, said = ran.communicate(timeout=30)
    assert said == ""
    assert ran.returncode == 1


def test_a_group_without_a_command_shows_its_help(capsys: pytest.CaptureFixture[str]) -> None:
    assert app.main(["explain"]) == 2
    printed = capsys.readouterr()
    assert printed.err.startswith("Usage: penult explain")
    assert printed.err.count("\n") > 5
    assert printed.out == ""


@pytest.mark.parametrize(
    ("words", "help_"),
    [
        (["explain", "lstm", "--units", "x"], "penult explain lstm --help"),
        (["explain", "models/mine", "--foo"], "penult explain MODEL --help"),
        (["cluster", "--foo"], "penult cluster --help"),
        (["nonsense"], "penult --help"),
    ],
)
def test_wrong_words_name_the_help_of_their_command(
    words: list[str], help_: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert app.main(words) == 2
    assert capsys.readouterr().err.endswith(f"(see {help_})\n")
