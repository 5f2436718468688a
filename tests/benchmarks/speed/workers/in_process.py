"""sentence-transformers in this process, by torch, ONNX Runtime or OpenVINO."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from importlib.metadata import version
from typing import Any

import numpy as np
import side
from numpy.typing import NDArray


class Side(side.Side):
    """`backend`: torch, onnx or openvino. `precision`: float32, bfloat16, or default: what the library does itself."""

    def __init__(self, weights: str, backend: str, precision: str, threads: int, max_length: int) -> None:
        self._backend = backend
        self.batch_size = 32
        self._model = model(weights, backend, precision, threads)
        self._model.max_seq_length = max_length

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """As in `side.Side`; the library sorts by length."""
        with _inference(self._backend):
            return np.asarray(
                self._model.encode(list(texts), batch_size=self.batch_size, show_progress_bar=False),
                dtype=np.float32,
            )

    def settings(self) -> list[dict[str, Any]]:
        """Batch sizes."""
        return [{"batch_size": size} for size in side.BATCH_SIZES]

    def about(self) -> dict[str, Any]:
        """Versions."""
        engine = {"torch": "torch", "onnx": "onnxruntime", "openvino": "openvino"}[self._backend]
        return {
            "version": f"sentence-transformers {version('sentence-transformers')}, {engine} {version(engine)}"
        }


def model(weights: str, backend: str, precision: str, threads: int) -> Any:
    """The library's model; a directory of weights alone is pooled by the mean."""
    import torch
    from sentence_transformers import SentenceTransformer

    torch.set_num_threads(threads)
    given: dict[str, Any] = {}
    if backend == "onnx":
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        given = {"provider": "CPUExecutionProvider", "export": True, "session_options": options}
    if backend == "openvino":
        config = {"PERFORMANCE_HINT": "LATENCY", "INFERENCE_NUM_THREADS": str(threads)}
        hints = {"float32": "f32", "bfloat16": "bf16"}
        if precision in hints:
            config["INFERENCE_PRECISION_HINT"] = hints[precision]
        given = {"export": True, "ov_config": config}
    if backend == "torch" and precision == "bfloat16":
        given = {"torch_dtype": torch.bfloat16}
    return SentenceTransformer(weights, backend=backend, device="cpu", model_kwargs=given)


def _inference(backend: str) -> Any:
    if backend != "torch":
        return contextlib.nullcontext()
    import torch

    return torch.inference_mode()
