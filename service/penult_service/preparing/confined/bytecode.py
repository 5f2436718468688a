"""Python's compiled files of the libraries that preparing imports, where the installer has not made them (uv does not).

The child that prepares may not write them, and without them compiles TensorFlow anew each time, which takes longer
than preparing a small model. So they are made once, before it, by a process that only imports.
"""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from contextlib import suppress
from functools import cache
from pathlib import Path

_LAST = "tf_keras"  # imports TensorFlow, and nothing but preparing imports it
_IMPORTS = "import tensorflow_text, tf_keras"
_LONGEST = 300.0  # seconds


@cache
def make_once() -> None:
    """Makes them when they are not there and may be written; whatever goes wrong, preparing goes on without."""
    found = importlib.util.find_spec(_LAST)
    if found is None or found.origin is None or sys.dont_write_bytecode:
        return
    compiled = Path(importlib.util.cache_from_source(found.origin))
    if compiled.exists() or not os.access(Path(found.origin).parent, os.W_OK):
        return
    with suppress(OSError, subprocess.TimeoutExpired):
        subprocess.run(
            [sys.executable, "-P", "-c", _IMPORTS],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            timeout=_LONGEST,
            check=False,
        )
