"""Where settings come from."""

from __future__ import annotations

from pathlib import Path

import pytest
from penult_service.config import serve_config
from penult_service.errors import InvalidInput


@pytest.fixture(autouse=True)
def _no_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("PENULT_PORT", "PENULT_DATA", "XDG_CACHE_HOME", "PENULT_MAX_TEXTS"):
        monkeypatch.delenv(name, raising=False)


def refused(**given: object) -> InvalidInput:
    with pytest.raises(InvalidInput) as caught:
        serve_config(**given)
    return caught.value


def test_defaults() -> None:
    config = serve_config(paths=("model",), port=None, models=None)
    assert (config.host, config.port, config.grace, config.log) == ("127.0.0.1", 50051, 10.0, "human")
    assert config.metrics_port is None
    assert config.limits.default_response_bytes == 4 * 1024 * 1024
    # One call of the most texts, 128 tokens each, is never too much for the queue.
    assert config.limits.max_queued_tokens >= config.limits.max_texts * 128


def test_the_command_line_wins_over_the_environment_and_that_over_the_default(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("PENULT_PORT", "6000")
    monkeypatch.setenv("PENULT_EXIT_WITH_STDIN", "true")
    monkeypatch.setenv("PENULT_MODELS", "/models")
    monkeypatch.setenv("PENULT_MAX_TEXTS", "7")
    monkeypatch.setenv("PENULT_WEIGHTS", "/not/ours")
    config = serve_config(port=None, exit_with_stdin=None)
    assert (config.port, config.exit_with_stdin, config.models) == (6000, True, Path("/models"))
    assert config.limits.max_texts == 7
    assert serve_config(port=7000).port == 7000
    assert serve_config(port=0).port == 0
    assert serve_config(exit_with_stdin=False).exit_with_stdin is False


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("port", 65536, "--port (or PENULT_PORT)"),
        ("grace", -1.0, "--grace (or PENULT_GRACE)"),
        ("log", "loud", "'json' or 'human'"),
        ("threads", 0, "--threads"),
        ("metrics_port", -1, "--metrics-port (or PENULT_METRICS_PORT)"),
    ],
)
def test_what_is_out_of_range_is_named(name: str, value: object, said: str) -> None:
    error = refused(paths=("model",), **{name: value})
    assert error.reason == "WRONG_SETTING"
    assert said in error.message
    assert "\n" not in error.message


def test_limits_from_the_environment_are_checked_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PENULT_MAX_TEXTS", "none")
    error = refused(paths=("model",))
    assert error.reason == "WRONG_SETTING"
    assert "PENULT_MAX_TEXTS" in error.message


def test_paths_or_a_models_directory_but_not_both() -> None:
    assert refused().reason == "WRONG_ARGUMENTS"
    assert refused(paths=("model",), models=Path("models")).reason == "WRONG_ARGUMENTS"


def test_the_cache(monkeypatch: pytest.MonkeyPatch) -> None:
    assert serve_config(paths=("m",), data=Path("/data")).cache == Path("/data/prepared")
    monkeypatch.setenv("HOME", "/home/someone")
    assert serve_config(paths=("m",)).cache == Path("/home/someone/.cache/penult/prepared")
    monkeypatch.setenv("XDG_CACHE_HOME", "relative/is/ignored")
    assert serve_config(paths=("m",)).cache == Path("/home/someone/.cache/penult/prepared")
    monkeypatch.setenv("XDG_CACHE_HOME", "/cache")
    assert serve_config(paths=("m",)).cache == Path("/cache/penult/prepared")


def test_what_the_analysis_workers_take(monkeypatch: pytest.MonkeyPatch) -> None:
    config = serve_config(paths=("m",))
    assert (config.analysis_workers, config.analysis_memory_bytes, config.analysis_scratch) == (1, None, None)
    monkeypatch.setenv("PENULT_ANALYSIS_WORKERS", "0")
    monkeypatch.setenv("PENULT_ANALYSIS_MEMORY", "2.5")
    config = serve_config(paths=("m",), data=Path("/data"))
    assert (config.analysis_workers, config.analysis_memory_bytes) == (0, 5 << 29)
    assert (config.numba_cache, config.analysis_scratch) == (Path("/data/numba"), Path("/data/analysis"))
    monkeypatch.setenv("XDG_CACHE_HOME", "/cache")
    assert serve_config(paths=("m",)).numba_cache == Path("/cache/penult/numba")
    assert serve_config(paths=("m",), analysis_workers=3).analysis_workers == 3


@pytest.mark.parametrize("wrong", [{"analysis_workers": -1}, {"analysis_memory": 0}, {"analysis_queue": -1}])
def test_settings_of_the_analysis_workers_are_checked(wrong: dict[str, float]) -> None:
    with pytest.raises(InvalidInput, match="--analysis-"):
        serve_config(paths=("m",), **wrong)
