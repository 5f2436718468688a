"""Logs: one JSON object a line, or a line for a person. What callers send is never in them."""

from __future__ import annotations

import json
import logging
import sys
import time
from typing import TextIO


def configure(how: str, stream: TextIO | None = None) -> None:
    """Send the log of the process to `stream` (standard error); `how` is ``json`` or ``human``."""
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(_Json() if how == "json" else _Human())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.WARNING)
    logging.getLogger("penult_service").setLevel(logging.INFO)


class _Json(logging.Formatter):
    """{"time", "level", "logger", "message", facts...}."""

    def format(self, record: logging.LogRecord) -> str:
        line = {
            "time": _timestamp(record.created),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            **getattr(record, "facts", {}),
        }
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=False, default=str)


class _Human(logging.Formatter):
    """`12:30:01 info  call  method=InferenceService/Embed code=OK ...`; a traceback stands below."""

    def format(self, record: logging.LogRecord) -> str:
        facts = dict(getattr(record, "facts", {}))
        below = facts.pop("traceback", "")
        if record.exc_info:
            below = self.formatException(record.exc_info)
        clock = time.strftime("%H:%M:%S", time.localtime(record.created))
        parts = [clock, record.levelname.lower().ljust(7), record.getMessage()]
        line = " ".join([*parts, *(f"{name}={value}" for name, value in facts.items())])
        return f"{line}\n{below}" if below else line


def _timestamp(seconds: float) -> str:
    whole = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds))
    return f"{whole}.{int(seconds % 1 * 1000):03d}Z"
