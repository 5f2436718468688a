"""Models as TensorFlow of years ago writes them; `scripts/old_tensorflow` runs this in an environment of its own.

    python -m support.formats.old_keras DIR

Nothing of Penult, and Python 3.10.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from support.formats import keras_formats
from support.formats.building import build
from support.formats.case import Case, Made
from support.formats.kit import OLD_KERAS, WIDTH, Kit, Network
from support.tiny_bert import VOCABULARY

LENGTH = 24


def cases() -> list[Case]:
    """Every shape in the three formats, and the two hub layers of a BERT classifier as a SavedModel."""
    import tensorflow as tf

    row = f"TensorFlow {tf.__version__}"
    made = []
    for kind in (keras_formats.SAVED_MODEL, keras_formats.H5, keras_formats.ARCHIVE):
        for name, shape in keras_formats.SHAPES.items():
            told: dict[str, Any] = keras_formats.becomes_of(name, kind)
            told["limit"] = keras_formats.LIMITS.get(name, Case.limit)
            made.append(Case(row, f"{kind}, {name}", keras_formats.of(shape, OLD_KERAS, kind), **told))
    subclassed = keras_formats.subclassed(OLD_KERAS, keras_formats.SAVED_MODEL)
    return [
        *made,
        Case(row, "SavedModel, subclassed", subclassed),
        Case(row, "SavedModel, hub layers", hub_layers),
    ]


def hub_layers(place: Path) -> Made:
    """A preprocessor and an encoder as modules, each in a `hub.KerasLayer`; saved after a step of training."""
    import tensorflow_hub as hub

    kit = Kit(OLD_KERAS)
    text = kit.text()
    tokens = hub.KerasLayer(str(_saved(_preprocessor(), place / "preprocessor")), name="preprocessing")(text)
    encoder = hub.KerasLayer(str(_saved(_encoder(), place / "encoder")), trainable=True, name="BERT_encoder")
    pooled = encoder(tokens)["pooled_output"]
    outputs = kit.dense(3, activation="softmax")(kit.dropout(0.1)(pooled))
    network = Network(kit, kit.model(text, outputs), pooled, tokens["input_word_ids"])
    return keras_formats.saved(network.fitted(), place, keras_formats.SAVED_MODEL)


def _saved(module: Any, place: Path) -> Path:
    import tensorflow as tf

    tf.saved_model.save(module, str(place))
    return place


def _preprocessor() -> Any:
    import tensorflow as tf
    import tensorflow_text as text

    class Preprocessor(tf.Module):
        def __init__(self) -> None:
            super().__init__()
            numbers = tf.range(len(VOCABULARY), dtype=tf.int64)
            initial = tf.lookup.KeyValueTensorInitializer(tf.constant(VOCABULARY), numbers)
            self.table = tf.lookup.StaticVocabularyTable(initial, 1)
            self.tokenizer = text.BertTokenizer(self.table, lower_case=True, token_out_type=tf.int32)

        @tf.function(input_signature=[tf.TensorSpec([None], tf.string)])
        def __call__(self, texts: Any) -> Any:
            pieces = self.tokenizer.tokenize(texts).merge_dims(-2, -1)[:, : LENGTH - 2]
            ids, types = text.combine_segments([pieces], 2, 3)
            ids, mask = text.pad_model_inputs(ids, LENGTH)
            types, _ = text.pad_model_inputs(types, LENGTH)
            return {"input_word_ids": ids, "input_mask": mask, "input_type_ids": types}

    return Preprocessor()


def _encoder() -> Any:
    import numpy as np
    import tensorflow as tf

    rng = np.random.default_rng(31)
    spec = tf.TensorSpec([None, None], tf.int32)
    specs = dict.fromkeys(("input_word_ids", "input_mask", "input_type_ids"), spec)

    class Encoder(tf.Module):
        # A tf.Module computes these two; as attributes they are saved, which is where hub.KerasLayer looks.
        trainable_variables = None
        variables = None

        def __init__(self) -> None:
            super().__init__()
            sizes = {"words": (len(VOCABULARY) + 1, WIDTH), "types": (2, WIDTH), "dense": (WIDTH, WIDTH)}
            for name, size in sizes.items():
                setattr(self, name, tf.Variable(rng.normal(size=size).astype(np.float32), name=name))
            self.variables = self.trainable_variables = [self.words, self.types, self.dense]
            self.regularization_losses: list[Any] = []

        @tf.function(input_signature=[specs, tf.TensorSpec([], tf.bool)])
        def called(self, inputs: Any, training: Any) -> Any:
            ids, mask, types = (inputs[name] for name in specs)
            tokens = tf.gather(self.words, ids) + tf.gather(self.types, types)
            tokens = tf.cond(training, lambda: tf.nn.dropout(tokens, 0.1), lambda: tokens)
            scores = tf.matmul(tokens, tokens, transpose_b=True) / WIDTH**0.5
            scores += (1.0 - tf.cast(mask, tf.float32))[:, None, :] * -1e9
            seen = tokens + tf.matmul(tf.nn.softmax(scores), tokens)
            return {"sequence_output": seen, "pooled_output": tf.tanh(seen[:, 0] @ self.dense)}

        @tf.function
        def __call__(self, inputs: Any, training: bool = False) -> Any:
            return self.called(inputs, tf.constant(training))

    encoder = Encoder()
    for training in (True, False):
        encoder.__call__.get_concrete_function(specs, training=training)
    return encoder


def main() -> int:
    """Builds them all."""
    place = Path(sys.argv[1]).absolute()
    for case in cases():
        build(case, place)
        print(case.name, flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
