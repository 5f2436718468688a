"""Figures of Matplotlib as files: equal figures are equal bytes, whoever draws them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from typing import Any

import matplotlib
from matplotlib.figure import Figure

from penult_service.plots import fonts

DPI = 160


@contextmanager
def own_style() -> Iterator[None]:
    """Matplotlib as it comes: people's own settings must not change the picture."""
    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(
            {"svg.hashsalt": "penult", "svg.fonttype": "path", "text.parse_math": False}
        )
        yield


def file_of(figure: Figure, kind: str, title: str) -> bytes:
    """The figure as a file of the kind `png` or `svg`; call it inside `own_style`."""
    file = BytesIO()
    # No date and no version: equal figures give equal bytes.
    facts: dict[str, Any] = {
        "png": {"Software": None},
        "svg": {"Date": None, "Creator": None, "Title": fonts.drawable(title)},
    }
    figure.savefig(file, format=kind, dpi=DPI, metadata=facts[kind])
    return file.getvalue()
