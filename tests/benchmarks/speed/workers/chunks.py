"""Many texts to a server that takes some at a time."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import side
from numpy.typing import NDArray

SETTINGS = [{"chunk": chunk, "flying": flying} for chunk in (128, 512) for flying in (1, 4)]


def chunked(
    send: Callable[[list[str]], NDArray[np.float32]], texts: Sequence[str], chunk: int, flying: int
) -> NDArray[np.float32]:
    """Sorted by length, sent in chunks, so many at a time; in the order of the texts."""
    order = side.by_length(texts)
    parts = [order[start : start + chunk] for start in range(0, len(order), chunk)]
    with ThreadPoolExecutor(flying) as pool:
        replies = list(pool.map(lambda part: send([texts[i] for i in part]), parts))
    vectors = np.empty((len(texts), replies[0].shape[1]), np.float32)
    for part, reply in zip(parts, replies, strict=True):
        vectors[part] = reply
    return vectors
