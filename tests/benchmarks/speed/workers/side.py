"""What a side of the benchmark can do."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

# Smaller and larger ones were never the best.
BATCH_SIZES = (8, 16, 32, 64)


class Side:
    """A way to embed texts, by mean pooling, at most `max_length` tokens a text.

    `told` is what the last `embed` has to say besides its seconds, `setting` what it was told to use. A server's side
    is at an `address`; given one, it starts no server of its own.
    """

    told: dict[str, Any] = {}  # noqa: RUF012  (replaced, never changed)
    setting: dict[str, Any] = {}  # noqa: RUF012
    address = ""

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """All of them, in its best way: float32 [n, d]."""
        raise NotImplementedError

    def one(self, text: str) -> NDArray[np.float32]:
        """One text, in the quickest way: float32 [d]."""
        return self.embed([text])[0]

    async def ask(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """One request of a server: float32 [n, d]. Sides without a server have none."""
        raise NotImplementedError

    def settings(self) -> list[dict[str, Any]]:
        """Among which `worker.settings` chooses."""
        return []

    def use(self, setting: dict[str, Any]) -> None:
        """From now on."""
        self.setting = setting
        vars(self).update(setting)

    def about(self) -> dict[str, Any]:
        """Versions, and what it says of itself."""
        return {}

    def close(self) -> None:
        """End what was started."""
