"""Triton with sentence-transformers as its callable: pytriton_server.py WEIGHTS PRECISION THREADS LENGTH GRPC HTTP"""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
from in_process import Side
from numpy.typing import NDArray
from pytriton.decorators import batch
from pytriton.model_config import DynamicBatcher, ModelConfig, Tensor
from pytriton.triton import Triton, TritonConfig

MOST = 512


def main() -> None:
    """Serves until it is ended."""
    weights, precision, threads, length, grpc_port, http_port = sys.argv[1:]
    model = Side(weights, "torch", precision, int(threads), int(length))

    @batch
    def embed(texts: NDArray[Any]) -> dict[str, NDArray[np.float32]]:
        return {"vectors": model.embed([text.decode() for text in texts[:, 0]])}

    config = TritonConfig(
        http_port=int(http_port), grpc_port=int(grpc_port), metrics_port=0, allow_metrics=False
    )
    with Triton(config=config) as server:
        server.bind(
            model_name="minilm",
            infer_func=embed,
            inputs=[Tensor(name="texts", dtype=bytes, shape=(1,))],
            outputs=[Tensor(name="vectors", dtype=np.float32, shape=(-1,))],
            config=ModelConfig(max_batch_size=MOST, batcher=DynamicBatcher(max_queue_delay_microseconds=0)),
        )
        server.serve()


if __name__ == "__main__":
    main()
