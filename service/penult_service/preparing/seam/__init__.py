"""Where a model is cut: seam 1 behind the tokenizing, seam 2 in front of the last dropout before the head."""
