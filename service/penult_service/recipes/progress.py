"""How a recipe tells how far it is."""

from __future__ import annotations

from collections.abc import Callable

Progress = Callable[[str, int, int, str], None]
"""Called with a stage, what is done of it, its total, and a note such as the running loss."""
