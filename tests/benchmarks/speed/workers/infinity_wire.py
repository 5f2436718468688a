"""infinity's server over HTTP, vectors as base64."""

from __future__ import annotations

import asyncio
import base64
import sys
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import onnx_folder
import side
from chunks import SETTINGS, chunked
from numpy.typing import NDArray

NAME = "minilm"


class Side(side.Side):
    """`engine`: torch or optimum (ONNX Runtime)."""

    def __init__(self, weights: str, engine: str, precision: str, threads: int, max_length: int) -> None:
        self.chunk, self.flying = 256, 2
        port = side.free_port()
        folder = onnx_folder.make(weights, max_length, onnx=engine == "optimum")
        command = [str(Path(sys.executable).with_name("infinity_emb")), "v2", "--model-id", "."]
        command += ["--served-model-name", NAME]
        command += ["--port", str(port), "--host", "127.0.0.1", "--engine", engine, "--device", "cpu"]
        command += ["--dtype", precision, "--no-bettertransformer", "--batch-size", "32"]
        if engine == "optimum":
            command += ["--pooling-method", "mean", "--onnx-disable-optimize"]
        offline = {"HF_HUB_OFFLINE": "1", "DO_NOT_TRACK": "1", "INFINITY_ANONYMOUS_USAGE_STATS": "0"}
        # Its ONNX file is found from inside the folder alone.
        self._server = side.ServerProcess(command, threads, folder, **offline)
        self._url = f"http://127.0.0.1:{port}/embeddings"
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
        return _vectors(await self._asking[1].post(self._url, json=self._body(texts)))

    def settings(self) -> list[dict[str, Any]]:
        """Texts a request, and requests at a time."""
        return SETTINGS

    def about(self) -> dict[str, Any]:
        """Versions."""
        return {"version": f"infinity {version('infinity-emb')}, torch {version('torch')}"}

    def close(self) -> None:
        """End the server."""
        self._server.close()

    def _send(self, texts: Sequence[str]) -> NDArray[np.float32]:
        return _vectors(self._client.post(self._url, json=self._body(texts)))

    def _body(self, texts: Sequence[str]) -> dict[str, Any]:
        return {"input": list(texts), "model": NAME, "encoding_format": "base64"}


def _vectors(reply: httpx.Response) -> NDArray[np.float32]:
    reply.raise_for_status()
    rows = [np.frombuffer(base64.b64decode(row["embedding"]), np.float32) for row in reply.json()["data"]]
    return np.stack(rows)
