"""mosec over HTTP, in msgpack."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import httpx
import msgpack
import numpy as np
import side
from chunks import SETTINGS, chunked
from numpy.typing import NDArray


class Side(side.Side):
    """sentence-transformers in torch behind it, which sorts the batch that it is given."""

    def __init__(self, weights: str, precision: str, threads: int, max_length: int) -> None:
        self.chunk, self.flying = 256, 2
        port = side.free_port()
        options = {"weights": weights, "backend": "torch", "precision": precision, "threads": threads}
        told = json.dumps({**options, "max_length": max_length})
        script = Path(__file__).with_name("mosec_server.py")
        command = [sys.executable, str(script), "--port", str(port), "--address", "127.0.0.1"]
        command += ["--timeout", "600000"]
        self._server = side.ServerProcess(command, threads, PENULT_BENCH_MOSEC=told)
        self._url = f"http://127.0.0.1:{port}/inference"
        self._client = httpx.Client(timeout=600)
        self._asking: tuple[asyncio.AbstractEventLoop, httpx.AsyncClient] | None = None
        self._server.wait(lambda: self._send(["ready?"]))

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """As in `side.Side`: sorted, in chunks, several at a time."""
        return chunked(self._send, texts, self.chunk, self.flying)

    def one(self, text: str) -> NDArray[np.float32]:
        """As in `side.Side`."""
        return self._send([text])[0]

    async def ask(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """As in `side.Side`."""
        loop = asyncio.get_running_loop()
        if self._asking is None or self._asking[0] is not loop:
            limits = httpx.Limits(max_connections=256)
            self._asking = (loop, httpx.AsyncClient(timeout=600, limits=limits))
        return _vectors(await self._asking[1].post(self._url, content=msgpack.packb(list(texts))))

    def settings(self) -> list[dict[str, Any]]:
        """Texts a request, and requests at a time."""
        return SETTINGS

    def about(self) -> dict[str, Any]:
        """Versions."""
        return {"version": f"mosec {version('mosec')}, torch {version('torch')}"}

    def close(self) -> None:
        """End the server."""
        self._server.close()

    def _send(self, texts: Sequence[str]) -> NDArray[np.float32]:
        return _vectors(self._client.post(self._url, content=msgpack.packb(list(texts))))


def _vectors(reply: httpx.Response) -> NDArray[np.float32]:
    reply.raise_for_status()
    return np.frombuffer(msgpack.unpackb(reply.content), np.float32).reshape(-1, 384)
