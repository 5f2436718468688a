"""infinity's server over HTTP, vectors as base64."""

from __future__ import annotations

import base64
import sys
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import onnx_folder
from numpy.typing import NDArray
from served import ServerSide, free_port

NAME = "minilm"
OFFLINE = {"HF_HUB_OFFLINE": "1", "DO_NOT_TRACK": "1", "INFINITY_ANONYMOUS_USAGE_STATS": "0"}


class Side(ServerSide):
    """`engine`: torch or optimum (ONNX Runtime)."""

    def __init__(
        self, weights: str, engine: str, precision: str, threads: int, max_length: int, address: str = ""
    ) -> None:
        super().__init__(address or f"127.0.0.1:{free_port()}")
        self._url = f"http://{self.address}/embeddings"
        self._client = httpx.Client(timeout=600)
        if address:
            return
        folder = onnx_folder.make(weights, max_length, onnx=engine == "optimum")
        host, port = self.address.split(":")
        command = [str(Path(sys.executable).with_name("infinity_emb")), "v2", "--model-id", "."]
        command += ["--served-model-name", NAME, "--host", host, "--port", port, "--device", "cpu"]
        command += ["--engine", engine, "--dtype", precision, "--no-bettertransformer", "--batch-size", "32"]
        if engine == "optimum":
            command += ["--pooling-method", "mean", "--onnx-disable-optimize"]
        # Its ONNX file is found from inside the folder alone.
        self.start(command, threads, folder, **OFFLINE)

    def send(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """As in `ServerSide`."""
        return _vectors(self._client.post(self._url, json=_body(texts)))

    async def ask(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """As in `side.Side`."""
        limits = httpx.Limits(max_connections=256)
        client = self.in_loop(lambda: httpx.AsyncClient(timeout=600, limits=limits))
        return _vectors(await client.post(self._url, json=_body(texts)))

    def about(self) -> dict[str, Any]:
        """Versions."""
        return {"version": f"infinity {version('infinity-emb')}, torch {version('torch')}"}


def _body(texts: Sequence[str]) -> dict[str, Any]:
    return {"input": list(texts), "model": NAME, "encoding_format": "base64"}


def _vectors(reply: httpx.Response) -> NDArray[np.float32]:
    reply.raise_for_status()
    rows = [np.frombuffer(base64.b64decode(row["embedding"]), np.float32) for row in reply.json()["data"]]
    return np.stack(rows)
