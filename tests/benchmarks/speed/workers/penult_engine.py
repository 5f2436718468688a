"""Penult's own engine called directly, without server or scheduler: tokens, packing, encode, mean."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import side
from numpy.typing import NDArray
from penult_service.batching.plan import plan
from penult_service.config import serve_config
from penult_service.embedder.running import limits_of
from penult_service.process import loader
from penult_service.repository.sources import from_paths
from penult_service.vectors import pool_tokens

_MANY = 4  # batches for each stream, before the scheduler computes several at once


class Side(side.Side):
    """The engine that a server with the same options would have."""

    def __init__(self, model: str, engine: str, precision: str, threads: int) -> None:
        for name in ("TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS", "OMP_NUM_THREADS"):
            os.environ[name] = str(threads)
        config = serve_config(paths=(model,), engine=engine, precision=precision, threads=threads)
        self._loaded = loader(config)(from_paths([model])[0])
        manifest = self._loaded.manifest
        self._readout = next(readout for readout in manifest.readouts if readout.kind == "tokens")
        self._streams = ThreadPoolExecutor(self._loaded.tuned.setting.streams)
        self._mask = next(token.name for token in manifest.inputs if token.role == "mask")

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """As in `side.Side`, in the batches that the scheduler would make of them; many at once, as it would."""
        table = self._loaded.tokenizer.tokenize(list(texts))
        limits = limits_of(self._loaded)
        packed = plan(table.lengths.tolist(), limits)
        alone = len(packed) <= _MANY * limits.at_once
        found = np.empty((len(texts), self._readout.dimension), np.float32)

        def seconds(rows: list[int]) -> float:
            width = limits.padded(int(table.lengths[rows].max()))
            inputs = {name: array[rows, :width] for name, array in table.inputs.items()}
            began = time.perf_counter()
            read = self._loaded.engine.encode(inputs, (self._readout.layer,), alone=alone)
            took = time.perf_counter() - began
            found[rows] = pool_tokens(read[self._readout.layer], inputs[self._mask], "mean")
            return took

        taken = list(map(seconds, packed) if alone else self._streams.map(seconds, packed))
        self.told = {
            "batches": len(packed),
            "longest_batch_seconds": max(taken),
            "median_batch_seconds": float(np.median(taken)),
            "tokens": int(table.lengths.sum()),
            "padded_tokens": sum(
                len(rows) * limits.padded(int(table.lengths[rows].max())) for rows in packed
            ),
        }
        return found

    def about(self) -> dict[str, Any]:
        """How it is run."""
        return {"setting": vars(self._loaded.tuned.setting)}
