"""A tiny random BERT, written as a Hugging Face directory: what the fast tests convert, train and serve."""

from __future__ import annotations

import json
import string
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import save_file

SPECIAL_TOKENS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
_WORDS = (
    "the a an and or but not is was were are it this that these of to in on at for with from by as "
    "good bad great awful fine poor happy sad warm cold bright dark quick slow loud quiet strong weak "
    "film story actor scene plot music book page word line city street house room door window garden "
    "river mountain sea boat train car road bridge market shop bread fruit apple water coffee tea "
    "morning evening night day week year summer winter spring autumn rain snow wind sun moon star "
    "walk run read write sing dance cook eat drink sleep wake open close find lose love hate want "
    "he she they we you i my your his her their one two three four five six seven eight nine ten"
)
WORDS = tuple(_WORDS.split())
PIECES = ("##s", "##ing", "##ed", "##er", "##ly")
VOCABULARY = tuple(
    dict.fromkeys(
        [
            *SPECIAL_TOKENS,
            *string.ascii_lowercase,
            *(f"##{letter}" for letter in string.ascii_lowercase),
            *string.digits,
            *string.punctuation,
            *PIECES,
            *WORDS,
        ]
    )
)


def write_tiny_bert(
    directory: Path,
    *,
    seed: int = 0,
    layers: int = 2,
    width: int = 32,
    heads: int = 2,
    intermediate: int = 64,
    max_positions: int = 512,
    dropout: float = 0.1,
    lower_case: bool = True,
) -> Path:
    """Writes `config.json`, `tokenizer_config.json`, `vocab.txt` and `model.safetensors`.

    The weights are drawn wider than a real initialisation, so that different texts get clearly different
    outputs. Same arguments, same bytes.
    """
    directory.mkdir(parents=True, exist_ok=True)
    config = {
        "architectures": ["BertModel"],
        "attention_probs_dropout_prob": dropout,
        "hidden_act": "gelu",
        "hidden_dropout_prob": dropout,
        "hidden_size": width,
        "intermediate_size": intermediate,
        "layer_norm_eps": 1e-12,
        "max_position_embeddings": max_positions,
        "model_type": "bert",
        "num_attention_heads": heads,
        "num_hidden_layers": layers,
        "pad_token_id": 0,
        "position_embedding_type": "absolute",
        "type_vocab_size": 2,
        "vocab_size": len(VOCABULARY),
    }
    (directory / "config.json").write_text(json.dumps(config, indent=2))
    tokenizer = {"do_lower_case": lower_case, "strip_accents": None, "tokenize_chinese_chars": True}
    (directory / "tokenizer_config.json").write_text(json.dumps(tokenizer, indent=2))
    (directory / "vocab.txt").write_text("".join(f"{token}\n" for token in VOCABULARY), encoding="utf-8")
    tensors = tiny_tensors(seed, layers, width, intermediate, max_positions)
    save_file(tensors, directory / "model.safetensors")
    return directory


def tiny_tensors(
    seed: int, layers: int, width: int, intermediate: int, max_positions: int
) -> dict[str, NDArray[np.float32]]:
    """Random float32 weights under the names of a Hugging Face `BertModel`."""
    rng = np.random.default_rng(seed)

    def normal(*shape: int, scale: float = 0.25) -> NDArray[np.float32]:
        return (rng.standard_normal(shape) * scale).astype(np.float32)

    def norm(prefix: str) -> dict[str, NDArray[np.float32]]:
        return {f"{prefix}.weight": 1 + normal(width, scale=0.1), f"{prefix}.bias": normal(width, scale=0.1)}

    def dense(prefix: str, rows: int, columns: int) -> dict[str, NDArray[np.float32]]:
        return {f"{prefix}.weight": normal(rows, columns), f"{prefix}.bias": normal(rows, scale=0.1)}

    tensors = {
        "embeddings.word_embeddings.weight": normal(len(VOCABULARY), width),
        "embeddings.position_embeddings.weight": normal(max_positions, width, scale=0.1),
        "embeddings.token_type_embeddings.weight": normal(2, width, scale=0.1),
        **norm("embeddings.LayerNorm"),
    }
    for index in range(layers):
        layer = f"encoder.layer.{index}"
        for name in ("query", "key", "value"):
            tensors |= dense(f"{layer}.attention.self.{name}", width, width)
        tensors |= dense(f"{layer}.attention.output.dense", width, width)
        tensors |= norm(f"{layer}.attention.output.LayerNorm")
        tensors |= dense(f"{layer}.intermediate.dense", intermediate, width)
        tensors |= dense(f"{layer}.output.dense", width, intermediate)
        tensors |= norm(f"{layer}.output.LayerNorm")
    return tensors | dense("pooler.dense", width, width)


def sample_texts(count: int, *, seed: int = 0, shortest: int = 2, longest: int = 40) -> list[str]:
    """`count` sentences of words that the tiny vocabulary knows, `shortest` to `longest` words long."""
    rng = np.random.default_rng(seed)
    lengths = rng.integers(shortest, longest + 1, size=count)
    return [" ".join(rng.choice(WORDS, size=length)) for length in lengths]
