"""mosec over HTTP, in msgpack."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import httpx
import msgpack
import numpy as np
from numpy.typing import NDArray
from served import ServerSide, free_port

WIDTH = 384


class Side(ServerSide):
    """sentence-transformers in torch behind it, which sorts the batch that it is given."""

    def __init__(
        self, weights: str, precision: str, threads: int, max_length: int, address: str = ""
    ) -> None:
        super().__init__(address or f"127.0.0.1:{free_port()}")
        self._url = f"http://{self.address}/inference"
        self._client = httpx.Client(timeout=600)
        if address:
            return
        options = {"weights": weights, "backend": "torch", "precision": precision, "threads": threads}
        host, port = self.address.split(":")
        script = Path(__file__).with_name("mosec_server.py")
        command = [sys.executable, str(script), "--address", host, "--port", port, "--timeout", "600000"]
        self.start(command, threads, PENULT_BENCH_MOSEC=json.dumps({**options, "max_length": max_length}))

    def send(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """As in `ServerSide`."""
        return _vectors(self._client.post(self._url, content=msgpack.packb(list(texts))))

    async def ask(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """As in `side.Side`."""
        limits = httpx.Limits(max_connections=256)
        client = self.in_loop(lambda: httpx.AsyncClient(timeout=600, limits=limits))
        return _vectors(await client.post(self._url, content=msgpack.packb(list(texts))))

    def about(self) -> dict[str, Any]:
        """Versions."""
        return {"version": f"mosec {version('mosec')}, torch {version('torch')}"}


def _vectors(reply: httpx.Response) -> NDArray[np.float32]:
    reply.raise_for_status()
    return np.frombuffer(msgpack.unpackb(reply.content), np.float32).reshape(-1, WIDTH)
