"""Tiny Hugging Face classifiers with random weights, each kind beside its oracle: the same weights, in NumPy.

What the kinds call their tensors stands here a second time, on purpose.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import save_file
from support.numpy_bert import NumpyBert, erf
from support.tiny_bert import VOCABULARY, tiny_tensors

Weights = dict[str, NDArray[np.float32]]

WIDTH, LAYERS, INNER, POSITIONS, NARROW = 32, 2, 64, 48, 24
KINDS = ("bert", "distilbert", "electra", "roberta", "albert")
ARCHITECTURES = {
    "bert": "BertForSequenceClassification",
    "distilbert": "DistilBertForSequenceClassification",
    "electra": "ElectraForSequenceClassification",
    "roberta": "RobertaForSequenceClassification",
    "albert": "AlbertForSequenceClassification",
}
READOUTS = {
    "bert": "pooler_output",
    "distilbert": "pre_classifier",
    "electra": "classifier.dense",
    "roberta": "classifier.dense",
    "albert": "pooler_output",
}
_HIDDEN = {
    "bert": ("bert.pooler.dense", "classifier", np.tanh),
    "distilbert": ("pre_classifier", "classifier", lambda x: np.maximum(x, 0)),
    "electra": ("classifier.dense", "classifier.out_proj", lambda x: x * 0.5 * (1 + erf(x / 2**0.5))),
    "roberta": ("classifier.dense", "classifier.out_proj", np.tanh),
    "albert": ("albert.pooler", "classifier", np.tanh),
}
# Pieces of BERT's names, and what they are called there, in the order of replacing.
_RENAMED = {
    "distilbert": (
        ("encoder.layer", "transformer.layer"),
        ("attention.self.query", "attention.q_lin"),
        ("attention.self.key", "attention.k_lin"),
        ("attention.self.value", "attention.v_lin"),
        ("attention.output.dense", "attention.out_lin"),
        ("attention.output.LayerNorm", "sa_layer_norm"),
        ("intermediate.dense", "ffn.lin1"),
        ("output.dense", "ffn.lin2"),
        ("output.LayerNorm", "output_layer_norm"),
    ),
    "albert": (
        ("encoder.layer.0.", "encoder.albert_layer_groups.0.albert_layers.0."),
        ("attention.self.", "attention."),
        ("attention.output.", "attention."),
        ("intermediate.dense", "ffn"),
        ("output.dense", "ffn_output"),
        ("output.LayerNorm", "full_layer_layer_norm"),
    ),
}
_OWN_KEYS = {
    "hidden_size": "dim",
    "num_hidden_layers": "n_layers",
    "num_attention_heads": "n_heads",
    "intermediate_size": "hidden_dim",
    "hidden_act": "activation",
    "hidden_dropout_prob": "dropout",
    "attention_probs_dropout_prob": "attention_dropout",
}


class NumpyClassifier(NumpyBert):
    """`logits` and what is in front of them; `kind` decides positions, the widening of embeddings, and the head."""

    def __init__(self, kind: str, config: Mapping[str, Any], weights: Weights, padding: int) -> None:
        self.kind, self.config, self.padding = kind, dict(config), padding
        self.weights = {name: value.astype(np.float64) for name, value in weights.items()}

    def embedded(self, ids: Any, types: Any) -> Any:
        table = self.weights["embeddings.position_embeddings.weight"]
        places = np.broadcast_to(np.arange(ids.shape[1]), ids.shape)
        if self.kind == "roberta":
            real = ids != self.padding
            places = np.cumsum(real, axis=1) * real + self.padding
        x = self.weights["embeddings.word_embeddings.weight"][ids] + table[places]
        if self.kind != "distilbert":
            x = x + self.weights["embeddings.token_type_embeddings.weight"][types]
        x = self.norm("embeddings.LayerNorm", x)
        return self.dense("project", x) if "project.weight" in self.weights else x

    def outputs(self, ids: Any, mask: Any, types: Any) -> tuple[Any, Any, Any]:
        """Integer [n, L] -> tokens [n, L, d], the embedding [n, d], logits [n, classes]."""
        tokens = self.layers(ids, mask, types)[-1]
        hidden, out, activation = _HIDDEN[self.kind]
        embedding = activation(self.dense(hidden, tokens[:, 0]))
        return tokens, embedding, self.dense(out, embedding)


@dataclass(frozen=True)
class TinyHf:
    """A directory and its oracle."""

    directory: Path
    oracle: NumpyClassifier


def write_tiny_hf(
    directory: Path, kind: str = "bert", *, classes: int = 3, seed: int = 0, **settings: Any
) -> TinyHf:
    """Writes the files: BERT's word pieces as `vocab.txt`, or as `tokenizer.json` where a kind has others.

    `settings` are added to `config.json`.
    """
    directory.mkdir(parents=True, exist_ok=True)
    config: dict[str, Any] = {
        "architectures": [ARCHITECTURES[kind]],
        "model_type": kind,
        "vocab_size": len(VOCABULARY),
        "hidden_size": WIDTH,
        "num_hidden_layers": LAYERS,
        "num_attention_heads": 4,
        "intermediate_size": INNER,
        "max_position_embeddings": POSITIONS,
        "type_vocab_size": 2,
        "hidden_act": "gelu_new" if kind == "albert" else "gelu",
        "hidden_dropout_prob": 0.1,
        "attention_probs_dropout_prob": 0.2,
        "layer_norm_eps": 1e-12,
        "pad_token_id": 0,
        "id2label": {str(i): f"LABEL_{i}" for i in range(classes)},
    }
    padding = int(settings.get("pad_token_id", 0))
    weights = _weights(kind, classes, seed)
    oracle = NumpyClassifier(kind, config | settings, weights, padding)
    if kind in ("electra", "albert"):
        config["embedding_size"] = NARROW
    if kind == "distilbert":
        config = {_OWN_KEYS.get(key, key): value for key, value in config.items()}
    (directory / "config.json").write_text(json.dumps(config | settings, indent=2))
    (directory / "tokenizer_config.json").write_text(json.dumps({"do_lower_case": True}))
    vocabulary = directory / "vocab.txt"
    vocabulary.write_text("".join(f"{token}\n" for token in VOCABULARY), encoding="utf-8")
    if kind in ("roberta", "albert"):
        wordpieces(directory).save(str(directory / "tokenizer.json"))
        vocabulary.unlink()
    save_file(_as_stored(kind, weights), directory / "model.safetensors")
    return TinyHf(directory, oracle)


def wordpieces(directory: Path, **settings: Any) -> Any:
    """The library's own BERT tokenizer over the vocabulary of the directory."""
    from tokenizers import BertWordPieceTokenizer

    return BertWordPieceTokenizer(str(directory / "vocab.txt"), **settings)


def change_tensors(directory: Path, change: Any) -> None:
    """Writes the weights again, as `change` of the dict of them gives them."""
    from safetensors.numpy import load_file

    save_file(change(load_file(directory / "model.safetensors")), directory / "model.safetensors")


def change_json(path: Path, **settings: Any) -> None:
    """Writes a JSON file again with these settings; None removes one."""
    found = (json.loads(path.read_text()) if path.exists() else {}) | settings
    path.write_text(json.dumps({key: value for key, value in found.items() if value is not None}))


def _weights(kind: str, classes: int, seed: int) -> Weights:
    """By BERT's names, the head's by the kind's own."""
    weights = tiny_tensors(seed, LAYERS, WIDTH, INNER, POSITIONS)
    rng = np.random.default_rng([seed, 1])

    def dense(name: str, rows: int, columns: int) -> Weights:
        values = (rng.standard_normal((rows, columns + 1)) * 0.25).astype(np.float32)
        return {f"{name}.weight": values[:, :-1].copy(), f"{name}.bias": values[:, -1].copy()}

    for name in ("pooler.dense.weight", "pooler.dense.bias"):
        del weights[name]
    hidden, out, _ = _HIDDEN[kind]
    weights |= dense(hidden, WIDTH, WIDTH) | dense(out, classes, WIDTH)
    if kind == "distilbert":
        del weights["embeddings.token_type_embeddings.weight"]
    if kind in ("electra", "albert"):
        for name in [name for name in weights if name.startswith("embeddings.")]:
            weights[name] = weights[name][..., :NARROW].copy()
        weights |= dense("project", WIDTH, NARROW)
    if kind == "albert":  # one layer, twice
        first = {name: value for name, value in weights.items() if name.startswith("encoder.layer.0.")}
        weights |= {name.replace("layer.0.", "layer.1."): value for name, value in first.items()}
    return weights


def _as_stored(kind: str, weights: Weights) -> Weights:
    hidden, out, _ = _HIDDEN[kind]
    head = {f"{name}.{end}" for name in (hidden, out) for end in ("weight", "bias")}
    stored = {}
    for name, value in weights.items():
        if kind == "albert" and ".layer.1." in name:
            continue
        place = name
        for bert, own in _RENAMED.get(kind, ()):
            place = place.replace(bert, own)
        place = place.replace(
            "project.", "encoder.embedding_hidden_mapping_in." if kind == "albert" else "embeddings_project."
        )
        stored[name if name in head else f"{kind}.{place}"] = value
    return stored
