"""Keras inside the process of a command."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

from penult_service.cli.stages import quiet_tensorflow


@contextmanager
def keras_here() -> Iterator[None]:
    """Keras inside this process: on TensorFlow, and without its notices on the screen."""
    os.environ["KERAS_BACKEND"] = "tensorflow"
    with quiet_tensorflow():
        yield
