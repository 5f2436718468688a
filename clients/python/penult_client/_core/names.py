"""Resource names of models, as people write them."""

from __future__ import annotations

import re


def split_name(resource: str) -> tuple[str, int]:
    """``models/reviews/versions/3`` -> ``("reviews", 3)``; without a version: 0."""
    found = re.fullmatch(r"models/([^/]+)(?:/versions/(\d+))?", resource)
    return (found[1], int(found[2] or 0)) if found else (resource, 0)
