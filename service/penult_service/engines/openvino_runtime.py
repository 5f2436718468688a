"""OpenVINO itself: the module, without its telemetry, its one core, and what it says of errors."""

from __future__ import annotations

import os
import sys
from functools import cache
from typing import Any

from penult_service.errors import ModelRefused

ENGINE_CANNOT = "ENGINE_CANNOT"
_TELEMETRY = "openvino_telemetry"
_SAID = 300  # characters of what OpenVINO says
# Kernels that its library keeps beside OpenVINO's own cache, which alone finds them again; by itself 1024, 90 MB.
_KEPT_BELOW = ("ONEDNN_PRIMITIVE_CACHE_CAPACITY", "16")


@cache
def runtime() -> Any:
    """The module `openvino`, without its telemetry: it sends nothing, and writes nothing into the home directory.

    ModelRefused: ENGINE_CANNOT, it is not installed or does not start here.
    """
    # The package asks no variable. Where telemetry is not installed, it takes a stub of its own: so that is played.
    if _TELEMETRY not in sys.modules:
        sys.modules[_TELEMETRY] = None  # type: ignore[assignment]
    os.environ.setdefault(*_KEPT_BELOW)  # read when the first kernel is made, not later
    try:
        import openvino
    except ImportError as error:
        raise ModelRefused(
            f"OpenVINO cannot be imported ({first_line(error)}); install penult[serve], or take --engine tensorflow",
            reason=ENGINE_CANNOT,
        ) from error
    return openvino


@cache
def core() -> Any:
    """One for the process: it holds the plugin, and threads."""
    return runtime().Core()


def first_line(error: Exception) -> str:
    """The line that says most: OpenVINO begins with places in its own source, and lists reasons with two strokes."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    reasons = [line.removeprefix("-- ") for line in lines if line.startswith("-- ")]
    said = [line for line in lines if not line.startswith(("Exception from", "Check '"))] or lines
    return (reasons or said or [type(error).__name__])[0][:_SAID]
