"""Who asks: set where a request comes in, read where its work is queued."""

from __future__ import annotations

from collections.abc import Hashable
from contextvars import ContextVar

# Callers of a model share it alike. Those for which nothing is set are one.
CALLER: ContextVar[Hashable] = ContextVar("penult_caller", default=None)
