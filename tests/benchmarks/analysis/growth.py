"""Clusters that live on: new rows in them, and clusters that grow."""

from __future__ import annotations

import assign_new
import grow_new


def run(quick: bool) -> str:
    """Markdown."""
    return assign_new.told(quick) + "\n\n" + grow_new.told(quick)
