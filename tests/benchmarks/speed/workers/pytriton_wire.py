"""Triton (by pytriton) over gRPC."""

from __future__ import annotations

import asyncio
import sys
import sysconfig
import threading
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import side
from chunks import SETTINGS, chunked
from numpy.typing import NDArray
from pytriton.client import AsyncioModelClient, ModelClient


class Side(side.Side):
    """sentence-transformers in torch behind it, which sorts the batch that it is given."""

    def __init__(self, weights: str, precision: str, threads: int, max_length: int) -> None:
        self.chunk, self.flying = 256, 2
        ports = [side.free_port(), side.free_port()]
        script = Path(__file__).with_name("pytriton_server.py")
        command = [sys.executable, str(script), weights, precision, str(threads), str(max_length)]
        # Its stub of Python looks for the interpreter's own library.
        library = sysconfig.get_config_var("LIBDIR")
        self._server = side.ServerProcess([*command, *map(str, ports)], threads, LD_LIBRARY_PATH=library)
        self._url = f"grpc://127.0.0.1:{ports[0]}"
        self._clients = threading.local()
        self._asking: tuple[asyncio.AbstractEventLoop, AsyncioModelClient] | None = None
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
            self._asking = (loop, AsyncioModelClient(self._url, "minilm", inference_timeout_s=600))
        return np.asarray((await self._asking[1].infer_batch(_array(texts)))["vectors"])

    def settings(self) -> list[dict[str, Any]]:
        """Texts a request, and requests at a time."""
        return SETTINGS

    def about(self) -> dict[str, Any]:
        """Versions."""
        return {"version": f"pytriton {version('nvidia-pytriton')}, torch {version('torch')}"}

    def close(self) -> None:
        """End the server."""
        self._server.close()

    def _send(self, texts: Sequence[str]) -> NDArray[np.float32]:
        client = getattr(self._clients, "own", None)
        if client is None:
            client = ModelClient(self._url, "minilm", init_timeout_s=60, inference_timeout_s=600)
            self._clients.own = client
        return np.asarray(client.infer_batch(_array(texts))["vectors"])


def _array(texts: Sequence[str]) -> NDArray[Any]:
    return np.array([[text.encode()] for text in texts], dtype=object)
