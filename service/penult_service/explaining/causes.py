"""What Keras and TensorFlow say when they refuse, in a line."""

from __future__ import annotations

import re

LONGEST = 200


def cause(error: Exception) -> str:
    """What was wrong, without the frames around it, the operations in it and the colours of a terminal."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    said = next(
        (line for line in lines if re.search("must|expected", line, re.IGNORECASE)), (lines or [""])[0]
    )
    return re.sub(r"\x1b\[\d*m|\{\{.*?\}\} ?| for '\{\{.*| \[Op:.*", "", said).strip()[:LONGEST]
