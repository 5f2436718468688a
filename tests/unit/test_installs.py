"""Extras in fresh environments: a light base that says what is missing, serve without TensorFlow."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from support.installs import distributions, environment, run, serving

HEAVY = {"tensorflow", "keras", "tf-keras", "tf_keras", "scikit-learn", "scipy", "torch"}


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return environment(tmp_path_factory.mktemp("base") / "env", "penult")


@pytest.fixture(scope="module")
def serve(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return environment(tmp_path_factory.mktemp("serve") / "env", "penult[serve]")


@pytest.fixture
def clean() -> dict[str, str]:
    """Of this process' environment only what a program needs: no PYTHONPATH, no coverage."""
    return {"PATH": os.environ["PATH"], "HOME": "/nonexistent"}


def test_base_holds_the_client_and_little_else(base: Path, clean: dict[str, str]) -> None:
    assert distributions(base) == {
        "penult",
        "grpcio",
        "grpcio-status",
        "googleapis-common-protos",
        "protobuf",
        "numpy",
        "typing_extensions",
    }
    imported = run(
        base / "python", "-c", "from penult_client import Client; print(Client.__name__)", env=clean
    )
    assert (imported.returncode, imported.stdout.strip()) == (0, "Client")


@pytest.mark.parametrize(
    ("command", "extra"), [("verify", "server"), ("serve", "server"), ("embed", "cli"), ("models", "cli")]
)
def test_base_command_names_the_extra_that_it_needs(
    base: Path, clean: dict[str, str], command: str, extra: str
) -> None:
    result = run(base / "penult", command, "x", env=clean)
    assert result.returncode == 2
    assert f"penult[{extra}]" in result.stdout
    assert "Traceback" not in result.stdout


def test_serve_alone_has_no_tensorflow(serve: Path, clean: dict[str, str]) -> None:
    assert not distributions(serve) & HEAVY
    code = "import sys, penult_service.rpc; print('tensorflow' in sys.modules)"
    imported = run(serve / "python", "-c", code, env=clean)
    assert (imported.returncode, imported.stdout.strip()) == (0, "False")


def test_serve_alone_answers(serve: Path, clean: dict[str, str], tmp_path: Path) -> None:
    address_file, log = tmp_path / "address", tmp_path / "log"
    command = [serve / "penult", "serve", "fake:reviews", "--data", tmp_path / "data"]
    command += ["--host", "127.0.0.1", "--port", "0", "--address-file", address_file]
    with serving(command, address_file, log, env=clean) as address:
        code = f"""
from penult_client import Client
with Client({address!r}, timeout=30) as client:
    result = client.embed(["one text", "another"])
    print(*result.vectors.shape, result.model)
"""
        asked = run(serve / "python", "-c", code, env=clean)
        assert asked.returncode == 0, asked.stdout + log.read_text()
        rows, columns, model = asked.stdout.split()
        assert rows == "2"
        assert int(columns) > 0
        assert model == "reviews"
