"""GFLOP/s of a library's matrix product at the model's shapes, packed as it likes: products.py LIBRARY THREADS SECONDS

Prints {"float32": ..., "bfloat16": ...}: of the three products of a layer together, the best number of rows.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np

# Inputs and outputs of the products of a layer, and how many of each there are.
SHAPES = (((384, 384), 4), ((384, 1536), 1), ((1536, 384), 1))
# Rows: tokens of a batch.
ROWS = (256, 512, 1024, 2048, 4096)
Product = Callable[[], object]


def main() -> None:
    """Measures, prints."""
    library, threads, seconds = sys.argv[1], int(sys.argv[2]), float(sys.argv[3])
    names = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "TF_NUM_INTRAOP_THREADS")
    os.environ.update(dict.fromkeys(names, str(threads)), TF_CPP_MIN_LOG_LEVEL="3")
    make = {"numpy": _numpy, "torch": _torch, "tensorflow": _tensorflow, "openvino": _openvino}[library]
    found = {}
    for precision in ("float32",) if library == "numpy" else ("float32", "bfloat16"):
        product = make(precision, threads)
        found[precision] = max(_layer(product, rows, seconds) for rows in ROWS)
    print(json.dumps(found))


def _layer(make: Callable[[int, int, int], Product], rows: int, seconds: float) -> float:
    flops = taken = 0.0
    for (inside, outside), count in SHAPES:
        flops += 2.0 * rows * inside * outside * count
        taken += _fastest(make(rows, inside, outside), seconds / len(SHAPES)) * count
    return flops / taken / 1e9


def _fastest(product: Product, seconds: float) -> float:
    """The tenth of the calls that were fastest: a ceiling is what nobody disturbs."""
    for _ in range(3):
        product()
    taken: list[float] = []
    ends = time.perf_counter() + seconds
    while time.perf_counter() < ends or len(taken) < 10:
        began = time.perf_counter()
        product()
        taken.append(time.perf_counter() - began)
    return sorted(taken)[len(taken) // 10]


def _arrays(rows: int, inside: int, outside: int) -> tuple[Any, Any]:
    random = np.random.default_rng(0)
    a = random.standard_normal((rows, inside)).astype(np.float32)
    return a, random.standard_normal((inside, outside)).astype(np.float32)


def _numpy(precision: str, threads: int) -> Callable[[int, int, int], Product]:
    del precision, threads  # by the environment

    def make(rows: int, inside: int, outside: int) -> Product:
        a, b = _arrays(rows, inside, outside)
        out = np.empty((rows, outside), np.float32)
        return lambda: np.matmul(a, b, out=out)

    return make


def _torch(precision: str, threads: int) -> Callable[[int, int, int], Product]:
    import torch

    torch.set_num_threads(threads)
    kind = getattr(torch, precision)

    def make(rows: int, inside: int, outside: int) -> Product:
        a, b = (torch.from_numpy(array).to(kind) for array in _arrays(rows, inside, outside))
        weights = b.T.contiguous()

        def product() -> object:
            with torch.inference_mode():
                return torch.nn.functional.linear(a, weights)

        return product

    return make


def _tensorflow(precision: str, threads: int) -> Callable[[int, int, int], Product]:
    import tensorflow as tf

    del threads  # by the environment
    kind = getattr(tf, precision)

    def make(rows: int, inside: int, outside: int) -> Product:
        a, b = (tf.cast(tf.constant(array), kind) for array in _arrays(rows, inside, outside))
        return lambda: tf.linalg.matmul(a, b)

    return make


def _openvino(precision: str, threads: int) -> Callable[[int, int, int], Product]:
    import openvino
    from openvino import opset8

    hint = {"float32": "f32", "bfloat16": "bf16"}[precision]
    core = openvino.Core()
    config = {
        "PERFORMANCE_HINT": "LATENCY",
        "INFERENCE_PRECISION_HINT": hint,
        "INFERENCE_NUM_THREADS": threads,
    }

    def make(rows: int, inside: int, outside: int) -> Product:
        a, b = _arrays(rows, inside, outside)
        given = opset8.parameter([rows, inside], np.float32)
        model = openvino.Model([opset8.matmul(given, opset8.constant(b), False, False)], [given])
        request = core.compile_model(model, "CPU", config).create_infer_request()
        request.set_input_tensor(openvino.Tensor(a))
        return request.infer

    return make


if __name__ == "__main__":
    main()
