"""Log lines."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator

import pytest
from penult_service import logs


@pytest.fixture(autouse=True)
def _as_before() -> Iterator[None]:
    root, ours = logging.getLogger(), logging.getLogger("penult_service")
    before = (list(root.handlers), root.level, ours.level)
    yield
    root.handlers[:], root.level, ours.level = before


def written(how: str) -> list[str]:
    stream = io.StringIO()
    logs.configure(how, stream)
    log = logging.getLogger("penult_service.somewhere")
    log.info("call", extra={"facts": {"method": "Embed", "ms": 1.5}})
    log.debug("never")
    logging.getLogger("another.library").info("never")
    try:
        raise KeyError("oh")
    except KeyError:
        log.exception("failed")
    return stream.getvalue().splitlines()


def test_json() -> None:
    first, second = (json.loads(line) for line in written("json"))
    assert first.pop("time").endswith("Z")
    assert first == {
        "level": "info",
        "logger": "penult_service.somewhere",
        "message": "call",
        "method": "Embed",
        "ms": 1.5,
    }
    assert second["level"] == "error"
    assert "KeyError: 'oh'" in second["traceback"]


def test_human() -> None:
    lines = written("human")
    assert lines[0].endswith("info    call method=Embed ms=1.5")
    assert lines[1].endswith("error   failed")
    assert lines[2].startswith("Traceback")
    assert lines[-1] == "KeyError: 'oh'"
