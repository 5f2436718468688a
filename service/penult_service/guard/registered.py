"""The operations that TensorFlow knows here, by the one private name that says so."""

from __future__ import annotations

from typing import Any

import tensorflow_text  # noqa: F401  (registers the operations that text models need)
from tensorflow.python.framework import op_def_registry


def op_def(name: str) -> Any | None:
    """The OpDef registered under that name, or None."""
    return op_def_registry.get(name)
