"""Triton (by pytriton) over gRPC."""

from __future__ import annotations

import sys
import sysconfig
import threading
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pytriton.client import AsyncioModelClient, ModelClient
from served import ServerSide, free_port

NAME = "minilm"


class Side(ServerSide):
    """sentence-transformers in torch behind it, which sorts the batch that it is given."""

    def __init__(
        self, weights: str, precision: str, threads: int, max_length: int, address: str = ""
    ) -> None:
        super().__init__(address or f"127.0.0.1:{free_port()}")
        self._url = f"grpc://{self.address}"
        self._clients = threading.local()
        if address:
            return
        script = Path(__file__).with_name("pytriton_server.py")
        command = [sys.executable, str(script), weights, precision, str(threads), str(max_length)]
        command += [self.address.split(":")[1], str(free_port())]
        # Its stub of Python looks for the interpreter's own library.
        self.start(command, threads, LD_LIBRARY_PATH=str(sysconfig.get_config_var("LIBDIR")))

    def send(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """As in `ServerSide`."""
        client = getattr(self._clients, "own", None)
        if client is None:
            client = ModelClient(self._url, NAME, init_timeout_s=60, inference_timeout_s=600)
            self._clients.own = client
        return np.asarray(client.infer_batch(_array(texts))["vectors"])

    async def ask(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """As in `side.Side`."""
        client = self.in_loop(lambda: AsyncioModelClient(self._url, NAME, inference_timeout_s=600))
        return np.asarray((await client.infer_batch(_array(texts)))["vectors"])

    def about(self) -> dict[str, Any]:
        """Versions."""
        return {"version": f"pytriton {version('nvidia-pytriton')}, torch {version('torch')}"}


def _array(texts: Sequence[str]) -> NDArray[Any]:
    return np.array([[text.encode()] for text in texts], dtype=object)
