"""The model of the question that Penult answers, its code as it was asked, saved with `model.save(path)`.

    .venv/bin/python scripts/seed_question.py DIR      # after scripts/demo, whose preprocessor and encoder it uses
    .venv/bin/penult verify DIR

The question: "Should feature embeddings be taken before or after dropout layer in neural network?"
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

os.environ["TF_USE_LEGACY_KERAS"] = "1"  # hub.KerasLayer is a Keras 2 layer: tf.keras has to be tf_keras
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import tensorflow as tf
import tensorflow_hub as hub
import tensorflow_text  # noqa: F401

HUB = Path(__file__).resolve().parent.parent / ".demo" / "hub"


def create_model(bert_preprocess, bert_encoder):  # type: ignore[no-untyped-def]
    """The code of the question, line for line; only the two layers are handed in."""
    text_input = tf.keras.layers.Input(shape=(), dtype=tf.string, name="text")
    preprocessed_text = bert_preprocess(text_input)
    outputs = bert_encoder(preprocessed_text)

    # Neural network layers
    l1 = tf.keras.layers.Dropout(0.1, name="dropout")(outputs["pooled_output"])
    l2 = tf.keras.layers.Dense(1, activation="sigmoid", name="output")(l1)

    # Use inputs and outputs to construct a final model
    model = tf.keras.Model(inputs=[text_input], outputs=[l2])
    return model  # noqa: RET504


def main() -> int:
    """Saves the model; the exit code."""
    if len(sys.argv) != 2:
        print(__doc__, file=sys.stderr)
        return 2
    if not HUB.is_dir():
        print(f"error: there is no {HUB}; run scripts/demo first", file=sys.stderr)
        return 1
    tf.keras.utils.set_random_seed(42)
    layers = hub.KerasLayer(str(HUB / "preprocessor")), hub.KerasLayer(str(HUB / "encoder"), trainable=True)
    create_model(*layers).save(sys.argv[1])
    print(f"saved; now: penult verify {sys.argv[1]}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
