"""Parts of models as people write them, without weights that mean anything: what the allow list must cover.

Each kind is a function of one tensor, and its signature: layers of tf_keras and of Keras 3 on word ids, encoders of
KerasHub on token ids, and the tokenizing of Keras, KerasHub and TF-Text on texts.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import tensorflow as tf
from penult_service.recipes.layers.time_gate import time_gate_lstm_cell
from support import seed_model as seeds
from support.tiny_bert import VOCABULARY, WORDS
from support.tiny_keras_hub import pieces

Kind = tuple[Callable[[Any], Any], Any]
"""A function of a tensor (or of a dict of them), and the TensorSpec (or the dict) of what it takes."""
IDS = tf.TensorSpec([None, None], tf.int32)
TEXTS = tf.TensorSpec([None], tf.string)
ACTIVATIONS = (
    *(
        "relu",
        "gelu",
        "elu",
        "selu",
        "tanh",
        "sigmoid",
        "softmax",
        "softplus",
        "softsign",
        "swish",
        "hard_sigmoid",
    ),
    *("exponential", "leaky_relu", "mish", "relu6"),
)


def kinds() -> Iterator[tuple[str, Callable[[], Kind]]]:
    """Name -> what makes it."""
    for flavour in ("tf_keras", "keras"):
        for name in (*_SEQUENCES, *_CONVOLUTIONS, *_OTHERS):
            yield f"{flavour} {name}", lambda flavour=flavour, name=name: _layers(flavour, name)
        for output in ("int", "multi_hot", "count", "tf_idf", "ngrams", "characters"):
            yield f"{flavour} words, {output}", lambda flavour=flavour, output=output: _words(flavour, output)
    for name in ("average", "most", "LSTM"):
        yield f"tf_keras ragged words, {name}", lambda name=name: _ragged(name)
    for backbone in ("Bert", "DistilBert", "Roberta", "Albert", "Electra"):
        yield f"KerasHub {backbone}", lambda backbone=backbone: _backbone(backbone)
    yield "KerasHub tokenizing", _hub_tokenizing
    yield "KerasHub pairs, the first one whole", _hub_waterfall
    yield "KerasHub pieces", _hub_pieces
    yield "TF-Text BertTokenizer", _bert_tokenizing
    yield "TF-Text FastBertTokenizer", _fast_tokenizing
    yield "tf.strings by hand", _strings_by_hand
    yield "pooling and head by hand", _head_by_hand


_SEQUENCES: dict[str, Callable[[Any], list[Any]]] = {
    "LSTM": lambda layers: [layers.LSTM(3, dropout=0.1, recurrent_dropout=0.1)],
    "stacked LSTM": lambda layers: [layers.LSTM(3, return_sequences=True), layers.LSTM(3)],
    "GRU": lambda layers: [layers.GRU(3)],
    "old GRU": lambda layers: [layers.GRU(3, reset_after=False)],
    "simple recurrence": lambda layers: [layers.SimpleRNN(3)],
    "both directions": lambda layers: [
        layers.Bidirectional(layers.LSTM(3, return_sequences=True)),
        layers.Bidirectional(layers.GRU(3)),
    ],
    "average": lambda layers: [layers.GlobalAveragePooling1D()],
    "normalisations": lambda layers: [
        layers.LayerNormalization(),
        layers.GlobalAveragePooling1D(),
        layers.BatchNormalization(),
        layers.UnitNormalization(),
        layers.Normalization(mean=0.0, variance=1.0),
    ],
    "steps apart": lambda layers: [layers.TimeDistributed(layers.Dense(2)), layers.GlobalAveragePooling1D()],
}
_CONVOLUTIONS: dict[str, Callable[[Any], list[Any]]] = {
    "convolution": lambda layers: [layers.Conv1D(4, 3, activation="relu"), layers.GlobalMaxPooling1D()],
    "convolution, pooled": lambda layers: [
        layers.Conv1D(4, 3, padding="same"),
        layers.BatchNormalization(),
        layers.MaxPooling1D(2),
        layers.AveragePooling1D(2),
        layers.GlobalAveragePooling1D(),
    ],
    "separable convolution": lambda layers: [layers.SeparableConv1D(4, 3), layers.GlobalMaxPooling1D()],
    "transposed convolution": lambda layers: [layers.Conv1DTranspose(4, 3), layers.GlobalMaxPooling1D()],
    "dilated convolution": lambda layers: [
        layers.Conv1D(4, 3, padding="causal", dilation_rate=2),
        layers.SpatialDropout1D(0.1),
        layers.ZeroPadding1D(1),
        layers.GlobalMaxPooling1D(),
    ],
}
_OTHERS = ("attention", "merging", "reductions", "numbers in classes", "times", "activations")


def _keras(flavour: str) -> Any:
    seeds.keras()  # it sets the backend
    return seeds.keras() if flavour == "tf_keras" else __import__("keras")


def _layers(flavour: str, name: str) -> Kind:
    """Word ids → what these layers make of their vectors."""
    keras = _keras(flavour)
    layers = keras.layers
    ids = keras.Input((None,), dtype="int32")
    x = layers.Embedding(50, 8, mask_zero=name in _SEQUENCES)(ids)
    if name in (*_SEQUENCES, *_CONVOLUTIONS):
        for layer in (_SEQUENCES | _CONVOLUTIONS)[name](layers):
            x = layer(x)
    elif name == "attention":
        x = layers.LayerNormalization()(layers.Add()([x, layers.MultiHeadAttention(2, 4)(x, x)]))
        x = layers.MultiHeadAttention(2, 4)(x, x, use_causal_mask=True)
        x = layers.AdditiveAttention()([x, layers.Attention()([x, x])])
    elif name == "merging":
        x = layers.GlobalAveragePooling1D()(x)
        merged = [
            getattr(layers, m)()([x, x]) for m in ("Subtract", "Multiply", "Average", "Maximum", "Minimum")
        ]
        x = layers.Dropout(0.1)(layers.Concatenate()([*merged, layers.Dot(1)([x, x])]))
    elif name == "reductions":
        x = layers.Concatenate()(_reductions(keras, x))
    elif name == "numbers in classes":
        hashed = layers.Hashing(50)(ids)
        borders = layers.Discretization(bin_boundaries=[0.0, 0.5])(layers.GlobalMaxPooling1D()(x))
        counted = layers.CategoryEncoding(3, output_mode="multi_hot")(borders)
        x = layers.Concatenate()([layers.GlobalMaxPooling1D()(layers.Embedding(50, 8)(hashed)), counted])
    elif name == "times":  # minutes, as large as they come, and a cell that forgets by them
        minutes = keras.ops.log1p(x) if hasattr(keras, "ops") else tf.math.log1p(x)
        x = layers.RNN(time_gate_lstm_cell(keras)(3))(layers.Concatenate()([x, minutes]))
    else:
        known = [a for a in ACTIVATIONS if hasattr(keras.activations, a)]
        x = layers.Concatenate()([layers.Dense(2, activation=a)(x) for a in known])
        x = layers.LeakyReLU()(layers.PReLU(shared_axes=[1])(x))
    model = keras.Model(ids, x)
    return lambda ids: model(ids, training=False), IDS


def _reductions(keras: Any, x: Any) -> list[Any]:
    """Vectors of words → their largest three, a soft maximum, where the largest stands: by functions, not layers."""
    if not hasattr(keras, "ops"):
        best = tf.math.argmax(x, axis=1)
        return [tf.math.top_k(x[:, 0], 3)[0], tf.math.reduce_logsumexp(x, axis=1), tf.cast(best, tf.float32)]
    best = keras.ops.argmax(x, axis=1)
    largest, soft = keras.ops.top_k(x[:, 0], 3)[0], keras.ops.logsumexp(x, axis=1)
    return [largest, soft, keras.ops.cast(best, "float32")]


def _words(flavour: str, output: str) -> Kind:
    layers = _keras(flavour).layers
    options: dict[str, dict[str, Any]] = {
        "int": {"output_mode": "int", "output_sequence_length": 6},
        "tf_idf": {"output_mode": "tf_idf", "idf_weights": [1.0] * len(WORDS)},
        "ngrams": {"output_mode": "int", "ngrams": 2},
        "characters": {"output_mode": "int", "split": "character"},
    }
    layer = layers.TextVectorization(vocabulary=list(WORDS), **options.get(output, {"output_mode": output}))
    return layer, TEXTS


def _ragged(name: str) -> Kind:
    """Rows of words of different lengths, which Keras 3 does not have."""
    layers = _keras("tf_keras").layers
    words = layers.TextVectorization(vocabulary=list(WORDS), ragged=True)
    table = layers.Embedding(50, 8)
    pools = {"average": layers.GlobalAveragePooling1D, "most": layers.GlobalMaxPooling1D}
    pool = layers.LSTM(3) if name == "LSTM" else pools[name]()
    return lambda texts: pool(table(words(texts))), TEXTS


def _backbone(name: str) -> Kind:
    import keras_hub

    sizes: dict[str, Any] = {"num_layers": 2, "num_heads": 2, "hidden_dim": 8, "intermediate_dim": 16}
    sizes |= {"max_sequence_length": 16, "vocab_size" if name == "Electra" else "vocabulary_size": 8}
    if name in ("Albert", "Electra"):
        sizes["embedding_dim"] = 8
    model = getattr(keras_hub.models, f"{name}Backbone")(**sizes)
    return lambda inputs: model(inputs, training=False), dict.fromkeys(model.input, IDS)


def _hub_tokenizing() -> Kind:
    import keras_hub

    tokenizer = keras_hub.models.BertTokenizer(list(VOCABULARY), lowercase=True)
    return keras_hub.models.BertTextClassifierPreprocessor(tokenizer, sequence_length=16), TEXTS


def _hub_waterfall() -> Kind:
    import keras_hub

    tokenizer = keras_hub.models.BertTokenizer(list(VOCABULARY), lowercase=True)
    made = keras_hub.models.BertTextClassifierPreprocessor(
        tokenizer, sequence_length=16, truncate="waterfall"
    )
    return lambda texts: made((texts, texts), None, None), TEXTS


def _hub_pieces() -> Kind:
    import keras_hub

    tokenizer = keras_hub.models.AlbertTokenizer(pieces())
    return keras_hub.models.AlbertTextClassifierPreprocessor(tokenizer, sequence_length=16), TEXTS


def _bert_tokenizing() -> Kind:
    """As the preprocessors of TF-Hub do it, with a vocabulary file."""
    import tensorflow_text as text

    initializer = tf.lookup.TextFileInitializer(
        str(_vocabulary()),
        tf.string,
        tf.lookup.TextFileIndex.WHOLE_LINE,
        tf.int64,
        tf.lookup.TextFileIndex.LINE_NUMBER,
    )
    table = tf.lookup.StaticVocabularyTable(initializer, 1)
    tokenizers = [
        text.BertTokenizer(table, lower_case=lower, token_out_type=tf.int64) for lower in (True, False)
    ]

    def tokenize(texts: Any) -> Any:
        pieces = [tokenizer.tokenize(texts).merge_dims(-2, -1) for tokenizer in tokenizers]
        trimmed = text.RoundRobinTrimmer(14).trim(pieces)
        ids, types = text.combine_segments(trimmed, 2, 3)
        return [text.pad_model_inputs(ids, 16), text.pad_model_inputs(types, 16)]

    return tokenize, TEXTS


def _fast_tokenizing() -> Kind:
    import tensorflow_text as text

    tokenizer = text.FastBertTokenizer(list(VOCABULARY), lower_case_nfd_strip_accents=True)
    return lambda texts: tokenizer.tokenize(texts).to_tensor(0), TEXTS


def _strings_by_hand() -> Kind:
    import tensorflow_text as text

    def function(texts: Any) -> Any:
        clean = tf.strings.strip(tf.strings.regex_replace(tf.strings.lower(texts), r"[^a-z ]", " "))
        words = tf.strings.split(clean)
        ids = tf.strings.to_hash_bucket_fast(words, 100)[:, :12].to_tensor(0)
        pairs = text.ngrams(words, 2, reduction_type=text.Reduction.STRING_JOIN).to_tensor("")
        scripts = text.UnicodeScriptTokenizer().tokenize(texts).to_tensor("")
        spaces = text.WhitespaceTokenizer().tokenize(texts).to_tensor("")
        letters = tf.strings.unicode_decode(tf.strings.upper(texts), "UTF-8").to_tensor(0)
        # As the ragged tensors of TensorFlow 2.12 and 2.15 count their rows.
        counts = tf.raw_ops.Bincount(
            arr=tf.cast(words.value_rowids(), tf.int32), size=9, weights=tf.constant([], tf.int64)
        )
        firsts = tf.strings.length(tf.strings.substr(texts, 0, 3))
        return [ids, pairs, scripts, spaces, letters, firsts, counts]

    return function, TEXTS


def _head_by_hand() -> Kind:
    """Poolings and heads in the body of a layer: the hardest token, the best class, temperature, thresholds."""
    weights = tf.Variable(tf.ones([8, 3]))
    table = tf.Variable(tf.ones([50, 8]))

    def function(ids: Any) -> Any:
        ids = tf.ensure_shape(ids, [None, None])
        vectors, used = tf.gather(table, ids), tf.cast(ids, tf.float32)[:, :, None] > 0.0
        none_used = tf.logical_not(tf.reduce_any(used, 1))
        pooled = tf.where(none_used, 0.0, tf.reduce_min(tf.where(used, vectors, 1e9), 1))
        pooled = tf.math.divide_no_nan(pooled, tf.norm(pooled, axis=-1, keepdims=True))
        weighted = tf.cond(tf.size(ids) > 99, lambda: pooled @ weights, lambda: pooled @ tf.abs(weights))
        logits = weighted / tf.floor(tf.math.erf(1.5) * tf.math.multiply_no_nan(2.0, 1.0))
        best = tf.argmax(logits, -1)
        rows = tf.range(tf.shape(best)[0])
        score = tf.gather_nd(tf.nn.log_softmax(logits), tf.stack([rows, tf.cast(best, tf.int32)], 1))
        ends = tf.logical_or(tf.reduce_all(ids > 0, 1), tf.reduce_max(ids, 1) <= 2)
        half = tf.cond(tf.reduce_any(ends), lambda: tf.shape(ids)[1] // 2, lambda: tf.shape(ids)[1])
        # A branch that reads a variable, and one that does not.
        by_length = tf.minimum(tf.shape(ids)[1], 2)
        logits = tf.switch_case(by_length, [lambda: logits, lambda: logits + weights[0, 0], lambda: -logits])
        kept = tf.switch_case(by_length, [lambda: half, lambda: half + 1, lambda: half])
        entropy = -tf.reduce_sum(tf.nn.softmax(logits) * tf.math.log(tf.nn.softmax(logits) + 1e-9), -1)
        return [
            logits * tf.one_hot(best, 3),
            score >= -1.0,
            tf.abs(tf.sign(score)) + tf.exp(tf.math.ceil(entropy)),
            ids[:, :kept],
        ]

    return function, IDS


def _vocabulary() -> Path:
    place = Path(_scratch().name) / "vocab.txt"
    place.write_text("".join(f"{piece}\n" for piece in VOCABULARY), encoding="utf-8")
    return place


@cache
def _scratch() -> tempfile.TemporaryDirectory[str]:
    return tempfile.TemporaryDirectory(prefix="penult-model-kinds-")


@cache
def ops_of(name: str) -> frozenset[str]:
    """The operations of that kind as it would be served."""
    return frozenset(served_ops(*dict(kinds())[name]()))


def served_ops(function: Callable[[Any], Any], spec: Any) -> set[str]:
    """The operations of the function as it would be served: cut out whole, in branches and loops too."""
    from penult_service.preparing.cut import cut
    from penult_service.preparing.graph import flatten

    def outputs(given: Any) -> dict[str, Any]:
        found = tf.nest.flatten(function(given), expand_composites=True)
        return {f"output_{i}": tensor for i, tensor in enumerate(found)}

    flat = flatten(tf.function(outputs, input_signature=[spec]).get_concrete_function())
    specs = tf.nest.flatten(spec)
    feeds = {ref: specs[i] for i, ref in enumerate(flat.inputs.values())}
    part = cut(flat, feeds, flat.outputs)
    graph = part.get_concrete_function().graph.as_graph_def()  # type: ignore[attr-defined]
    library = {f.signature.name for f in graph.library.function}
    bodies = [graph.node, *(f.node_def for f in graph.library.function)]
    return {node.op for body in bodies for node in body} - library
