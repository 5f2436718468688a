"""BERT's forward pass in float64 NumPy, from the names and shapes in a Hugging Face file: the oracle of tests.

After Devlin et al., 2019 (arXiv:1810.04805), with dropout inactive.
"""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import load_file

Array = NDArray[np.float64]

erf = np.vectorize(math.erf, otypes=[np.float64])


class NumpyBert:
    """`__call__` maps integer ids, mask and types [n, L] to the outputs of every layer and the pooled output."""

    def __init__(self, directory: Path) -> None:
        self.config = json.loads((directory / "config.json").read_text())
        self.weights = {
            k: v.astype(np.float64) for k, v in load_file(directory / "model.safetensors").items()
        }

    def __call__(self, ids: Array, mask: Array, types: Array) -> tuple[list[Array], Array]:
        layers = self.layers(ids, mask, types)
        return layers, np.tanh(self.dense("pooler.dense", layers[-1][:, 0]))

    def embedded(self, ids: Array, types: Array) -> Array:
        x = self.weights["embeddings.word_embeddings.weight"][ids]
        x = x + self.weights["embeddings.position_embeddings.weight"][: ids.shape[1]]
        x = x + self.weights["embeddings.token_type_embeddings.weight"][types]
        return self.norm("embeddings.LayerNorm", x)

    def layers(self, ids: Array, mask: Array, types: Array) -> list[Array]:
        x, layers = self.embedded(ids, types), []
        for index in range(self.config["num_hidden_layers"]):
            x = self.layer(f"encoder.layer.{index}", x, mask)
            layers.append(x)
        return layers

    def layer(self, name: str, x: Array, mask: Array) -> Array:
        attended = self.dense(
            f"{name}.attention.output.dense", self.attention(f"{name}.attention.self", x, mask)
        )
        x = self.norm(f"{name}.attention.output.LayerNorm", x + attended)
        inner = self.activation(self.dense(f"{name}.intermediate.dense", x))
        return self.norm(f"{name}.output.LayerNorm", x + self.dense(f"{name}.output.dense", inner))

    def attention(self, name: str, x: Array, mask: Array) -> Array:
        rows, length, width = x.shape
        heads = self.config["num_attention_heads"]

        def split(part: str) -> Array:
            projected = self.dense(f"{name}.{part}", x).reshape(rows, length, heads, width // heads)
            return projected.transpose(0, 2, 1, 3)

        scores = split("query") @ split("key").transpose(0, 1, 3, 2) / math.sqrt(width / heads)
        scores = np.where(mask[:, None, None, :] > 0, scores, -np.inf)
        shares = np.exp(scores - scores.max(axis=-1, keepdims=True))
        shares /= shares.sum(axis=-1, keepdims=True)
        return (shares @ split("value")).transpose(0, 2, 1, 3).reshape(rows, length, width)

    def activation(self, x: Array) -> Array:
        kind = self.config["hidden_act"]
        if kind == "relu":
            return np.maximum(x, 0)
        if kind == "gelu":
            return x * 0.5 * (1 + erf(x / math.sqrt(2)))
        return 0.5 * x * (1 + np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)))

    def dense(self, name: str, x: Array) -> Array:
        return x @ self.weights[f"{name}.weight"].T + self.weights[f"{name}.bias"]

    def norm(self, name: str, x: Array) -> Array:
        centred = x - x.mean(axis=-1, keepdims=True)
        scale = np.sqrt((centred**2).mean(axis=-1, keepdims=True) + self.config["layer_norm_eps"])
        return centred / scale * self.weights[f"{name}.weight"] + self.weights[f"{name}.bias"]
