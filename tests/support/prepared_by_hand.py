"""A prepared model written without the preparer: small, of token ids, with NumPy as its oracle."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from penult_service.files import sha256_file
from penult_service.prepared import (
    CALLER,
    EMBEDDING,
    HEAD,
    LIBRARY,
    MANIFEST_NAME,
    NO_LIMIT,
    TOKENIZER_FILE,
    WHOLE,
    Cost,
    Field,
    Head,
    Manifest,
    Proof,
    Readout,
    TokenInput,
)
from support.tiny_bert import VOCABULARY

WIDTH, CLASSES, POSITIONS = 8, 3, 40
SCALE = TokenInput("scale", "value", "bfloat16", "scale", (1,))
INPUTS = (
    TokenInput("ids", "ids", "int32", "input_ids"),
    TokenInput("mask", "mask", "int32", "attention_mask"),
    TokenInput("types", "types", "int32", "token_type_ids"),
)
READOUTS = (Readout("pooler", WIDTH, "pooled"), Readout("encoder", WIDTH, "tokens"))


def weights() -> dict[str, NDArray[np.float32]]:
    """The same every time."""
    random = np.random.default_rng(23)
    shapes = {
        "table": (len(VOCABULARY), WIDTH),
        "segments": (2, WIDTH),
        "positions": (POSITIONS, WIDTH),
        "kernel": (WIDTH, CLASSES),
    }
    return {name: random.normal(scale=0.7, size=shape).astype(np.float32) for name, shape in shapes.items()}


def by_numpy(
    ids: Any, mask: Any, types: Any, scale: Any = 1.0
) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any]]:
    """Int [n, length] each → token vectors [n, length, WIDTH], embedding [n, WIDTH], logits [n, CLASSES]; float64."""
    own = {name: array.astype(np.float64) for name, array in weights().items()}
    tokens = np.tanh(own["table"][ids] + own["segments"][types] + own["positions"][: np.shape(ids)[1]])
    shares = np.asarray(mask, np.float64)[:, :, None]
    pooled = (tokens * shares).sum(axis=1) / shares.sum(axis=1) * np.asarray(scale)
    return tokens, pooled, pooled @ own["kernel"]


def bert_tokenizer() -> Any:
    """A tokenizer for `write`, of its vocabulary."""
    from tokenizers import BertWordPieceTokenizer

    made = BertWordPieceTokenizer({word: number for number, word in enumerate(VOCABULARY)})
    made.enable_truncation(32)
    made.enable_padding()
    return made


def write(directory: Path, *, tokenizer: str = "", logits: bool = False, scaled: bool = False) -> Path:
    """The prepared model, in a new directory; with the text of a `tokenizer.json` it takes texts too.

    `logits`: its head is linear and declared, and answers in half precision. `scaled`: it takes a number beside the
    tokens, in bfloat16.
    """
    import tensorflow as tf

    own = {name: tf.Variable(array, name=name) for name, array in weights().items()}
    inputs = (*INPUTS, SCALE) if scaled else INPUTS
    specs = [tf.TensorSpec([None, None], tf.int32, name=token.name) for token in INPUTS]
    if scaled:
        specs.append(tf.TensorSpec([None, 1], tf.bfloat16, name=SCALE.name))

    def encoded(ids: Any, mask: Any, types: Any, scale: Any = None) -> dict[str, Any]:
        positions = own["positions"][: tf.shape(ids)[1]]
        tokens = tf.tanh(tf.gather(own["table"], ids) + tf.gather(own["segments"], types) + positions)
        shares = tf.cast(mask, tf.float32)[:, :, None]
        pooled = tf.reduce_sum(tokens * shares, axis=1) / tf.reduce_sum(shares, axis=1)
        return {"pooler": pooled if scale is None else pooled * tf.cast(scale, tf.float32), "encoder": tokens}

    def output(embedding: Any) -> dict[str, Any]:
        found = embedding @ own["kernel"]
        return {"output": tf.cast(found, tf.float16) if logits else tf.nn.softmax(found)}

    def function(call: Any, *taken: Any) -> Any:
        return tf.function(call, input_signature=taken, autograph=False).get_concrete_function()

    module = tf.Module()
    module.own = own
    signatures = {
        name: function(lambda *a, layers=layers: {one: encoded(*a)[one] for one in layers}, *specs)
        for name, layers in {
            "encode_0": ["pooler"],
            "encode_1": ["encoder"],
            "encode_0_1": ["pooler", "encoder"],
        }.items()
    }
    signatures[HEAD] = function(output, tf.TensorSpec([None, WIDTH], tf.float32, name=EMBEDDING))
    signatures[WHOLE] = function(lambda *a: output(encoded(*a)["pooler"]), *specs)
    tf.saved_model.save(module, str(directory), signatures=signatures)
    if tokenizer:
        (directory / TOKENIZER_FILE).write_text(tokenizer, encoding="utf-8")
    manifest = Manifest(
        source="models/by_hand",
        source_format="written by hand",
        model_digest="1" * 64,
        preparer="by hand",
        inputs=inputs,
        readouts=READOUTS,
        seam="pooler",
        outputs=("output",),
        head=Head("softmax", "output", CLASSES, activation="softmax" if logits else ""),
        max_length=32 if tokenizer else NO_LIMIT,
        trims=True,
        counts_wordpieces=False,
        sites=(),
        proof=Proof(True, (), ()),
        cost=Cost(0.0, 0),
        tokenizer=LIBRARY if tokenizer else CALLER,
        fields=tuple(Field(token.field, token.name, token.dtype, token.shape) for token in inputs),
        vocabulary=len(VOCABULARY),
        files={
            str(file.relative_to(directory)): sha256_file(file)
            for file in sorted(directory.rglob("*"))
            if file.is_file()
        },
    )
    (directory / MANIFEST_NAME).write_text(manifest.to_json(), encoding="utf-8")
    return directory
