"""Penult through its wire: `penult serve` in a process of its own, asked by its client."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import side
from numpy.typing import NDArray
from penult_client import AsyncClient, Client


class Side(side.Side):
    """`data`: where the server keeps prepared models; None: the user's cache. `address`: of one that is there."""

    def __init__(
        self,
        model: str,
        engine: str,
        precision: str,
        threads: int,
        data: str | None = None,
        address: str = "",
    ) -> None:
        self._server: subprocess.Popen[bytes] | None = None
        if not address:
            address = self._start(model, engine, precision, threads, data)
        self.address = address
        self.client = Client(address, timeout=600)
        self._asking: tuple[asyncio.AbstractEventLoop, AsyncClient] | None = None
        while (state := self.client.models()[0]).state != "ready":
            self._alive()
            if state.state == "failed":
                raise RuntimeError(state.state_message)
            time.sleep(0.02)

    def _start(self, model: str, engine: str, precision: str, threads: int, data: str | None) -> str:
        self._place = tempfile.TemporaryDirectory(prefix="penult-bench-")
        address = Path(self._place.name, "address")
        command = [sys.executable, "-m", "penult_service", "serve", model, "--port", "0"]
        command += ["--address-file", str(address), "--exit-with-stdin", "--analysis-workers", "0"]
        command += ["--engine", engine, "--precision", precision, "--threads", str(threads)]
        command += ["--data", data] if data else []
        self._server = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=sys.stderr)
        while not address.exists():
            self._alive()
            time.sleep(0.01)
        return address.read_text().strip()

    @property
    def pid(self) -> int:
        """Of the server; 0: another's."""
        return self._server.pid if self._server else 0

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """As in `side.Side`: one call of the client."""
        return self.client.embed(list(texts), pooling="mean").vectors

    async def ask(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """As in `side.Side`."""
        loop = asyncio.get_running_loop()
        if self._asking is None or self._asking[0] is not loop:
            self._asking = (loop, AsyncClient(self.address, timeout=600))
        return (await self._asking[1].embed(list(texts), pooling="mean")).vectors

    def about(self) -> dict[str, Any]:
        """What GetModel says of the engine."""
        model, info = self.client.models()[0], self.client.server_info()
        told = {"version": f"penult {info.version}", "engine": model.engine, "precision": model.precision}
        serving = getattr(model, "serving", None)
        if serving is not None:
            told["setting"] = vars(serving.setting)
            told["measured"] = [
                {**vars(one.setting), **{k: v for k, v in vars(one).items() if k != "setting"}}
                for one in serving.measured
            ]
        return {**told, "pid": self.pid, "address": self.address, "max_length": model.max_length}

    def close(self) -> None:
        """End the server."""
        self.client.close()
        if self._server is None:
            return
        assert self._server.stdin is not None
        self._server.stdin.close()
        try:
            self._server.wait(20)
        except subprocess.TimeoutExpired:
            self._server.kill()
        self._place.cleanup()

    def _alive(self) -> None:
        if self._server is not None and self._server.poll() is not None:
            raise RuntimeError(f"penult serve ended with exit code {self._server.returncode}")
