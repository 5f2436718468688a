"""mosec with sentence-transformers as its worker; what it is told stands in PENULT_BENCH_MOSEC."""

from __future__ import annotations

import json
import os

from in_process import Side
from mosec import Server, Worker
from mosec.mixin import MsgpackMixin


class Embed(MsgpackMixin, Worker):
    """Several requests become one batch, each a list of texts."""

    def __init__(self) -> None:
        self._model = Side(**json.loads(os.environ["PENULT_BENCH_MOSEC"]))
        self._model.one("warm")

    def forward(self, data: list[list[str]]) -> list[bytes]:
        """One reply a request: float32, row-major."""
        vectors = self._model.embed([text for texts in data for text in texts])
        replies, start = [], 0
        for texts in data:
            replies.append(vectors[start : start + len(texts)].tobytes())
            start += len(texts)
        return replies


if __name__ == "__main__":
    server = Server()
    server.append_worker(Embed, num=1, max_batch_size=64, max_wait_time=1, timeout=600)
    server.run()
