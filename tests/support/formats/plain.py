"""SavedModels that `tf.saved_model.save` wrote of a module, or TensorFlow 1 of a session."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from support.formats.case import PREDICTED, REFUSED, Array, Case, Made
from support.formats.kit import LENGTH, TF_KERAS, WIDTH, Kit, texts, without_padding
from support.tiny_bert import VOCABULARY, WORDS

ROW, OLD_ROW = "plain tf.saved_model.save", "TF1 SavedModel"
CLASSES = 3


def weights() -> dict[str, Array]:
    """Of the model below: `vectors` [words, WIDTH], `hidden` [WIDTH, 6], `kernel` [6, CLASSES], `bias` [CLASSES]."""
    rng = np.random.default_rng(17)
    shapes = {
        "vectors": (len(WORDS) + 2, WIDTH),
        "hidden": (WIDTH, 6),
        "kernel": (6, CLASSES),
        "bias": (CLASSES,),
    }
    return {name: rng.normal(size=shape).astype(np.float32) for name, shape in shapes.items()}


def classifier(dropout: bool = True) -> Any:
    """A module: `ids`, `features` and `outputs` by hand, a dropout of tf_keras (or none) in front of the last."""
    import tensorflow as tf

    class Classifier(tf.Module):
        def __init__(self) -> None:
            super().__init__()
            words, numbers = tf.constant(WORDS), tf.range(2, len(WORDS) + 2, dtype=tf.int64)
            self.table = tf.lookup.StaticHashTable(tf.lookup.KeyValueTensorInitializer(words, numbers), 1)
            for name, value in weights().items():
                setattr(self, name, tf.Variable(value, name=name))
            self.dropout = Kit(TF_KERAS).dropout() if dropout else None

        def ids(self, text: Any) -> Any:
            words = self.table.lookup(tf.strings.split(tf.strings.lower(text)))
            return words[:, :LENGTH].to_tensor(0, shape=[None, LENGTH])

        def features(self, ids: Any) -> Any:
            used = tf.cast(ids > 0, tf.float32)[:, :, None]
            total = tf.reduce_sum(tf.gather(self.vectors, ids) * used, 1)
            return tf.tanh(total / tf.maximum(tf.reduce_sum(used, 1), 1.0) @ self.hidden)

        def outputs(self, features: Any) -> Any:
            if self.dropout is not None:
                features = self.dropout(features, training=False)
            return tf.nn.softmax(features @ self.kernel + self.bias)

        def predict(self, text: Any) -> Any:
            return self.outputs(self.features(self.ids(text)))

    return Classifier()


def expected(module: Any, asked: Array | None = None) -> dict[str, Any]:
    """What the module says, computed before anything is saved."""
    import tensorflow as tf

    text = texts() if asked is None else asked
    ids = module.ids(tf.constant(text.reshape(-1)))
    features = module.features(ids)
    return {
        "embedding": features.numpy(),
        "outputs": {"output": module.outputs(features).numpy()},
        "ids": without_padding(ids.numpy()),
        "given": {"text": text},
    }


def _text_spec(*shape: int | None) -> Any:
    import tensorflow as tf

    return tf.TensorSpec([None, *shape], tf.string, name="text")


def _saved(module: Any, place: Path, **signatures: Any) -> Path:
    import tensorflow as tf

    target = place / "model"
    tf.saved_model.save(module, str(target), **({"signatures": signatures} if signatures else {}))
    return target


def _function(call: Callable[..., Any], *specs: Any) -> Any:
    import tensorflow as tf

    return tf.function(call, input_signature=specs or (_text_spec(),))


def one_signature(*, dropout: bool = True, declared: str = "") -> Callable[[Path], Made]:
    """`serving_default` alone; with a dropout of tf_keras inside, or none; `declared` in `penult.toml`."""

    def build(place: Path) -> Made:
        module = classifier(dropout)
        told = expected(module)
        if declared:
            (place / "penult.toml").write_text(declared, encoding="utf-8")
        function = _function(lambda text: {"output": module.predict(text)})
        return Made(_saved(module, place, serving_default=function), **told)

    return build


def many_signatures(
    *, default: bool = False, equal: bool = False, declared: str = ""
) -> Callable[[Path], Made]:
    """`classify` beside `tokens`, `lengths` and, if wanted, a default or an equal one; `declared` in `penult.toml`."""

    def build(place: Path) -> Made:
        import tensorflow as tf

        module = classifier()
        told = expected(module)
        functions = {
            "classify": _function(lambda text: {"output": module.predict(text)}),
            "lengths": _function(lambda text: {"length": tf.strings.length(text)}),
        }
        if equal:
            functions["classify_sharper"] = _function(lambda text: {"output": module.predict(text) ** 2})
        if default:
            functions["serving_default"] = functions["classify"]
        if declared:
            (place / "penult.toml").write_text(f'signature = "{declared}"\n', encoding="utf-8")
        return Made(_saved(module, place, **functions), **told)

    return build


def call_only(place: Path) -> Made:
    """No signature at all: the module's `__call__`."""
    module = classifier()
    told = expected(module)
    module.__class__ = _callable(type(module))
    return Made(_saved(module, place), **told)


def _callable(plain: Any) -> Any:
    import tensorflow as tf

    class WithCall(plain):  # type: ignore[misc]
        @tf.function(input_signature=[_text_spec()])
        def __call__(self, text: Any) -> Any:
            return self.predict(text)

    return WithCall


def dict_in_and_out(place: Path) -> Made:
    """`__call__` takes a dict and gives one, and so does its signature."""
    import tensorflow as tf

    module = classifier()
    told = expected(module)

    @tf.function(input_signature=[{"review": _text_spec()}])
    def call(inputs: Any) -> Any:
        found = module.predict(inputs["review"])
        return {"probabilities": found, "confidence": tf.reduce_max(found, 1)}

    module.call = call
    told["outputs"] = {
        name: value.numpy() for name, value in call({"review": tf.constant(told["given"]["text"])}).items()
    }
    told["given"] = {"review": told["given"]["text"]}
    return Made(_saved(module, place, serving_default=call.get_concrete_function()), **told)


def column_of_text(place: Path) -> Made:
    """Texts of shape (None, 1), as `tf_keras.Input((1,), dtype="string")` makes them."""
    import tensorflow as tf

    module = classifier()
    told = expected(module, texts()[:, None])
    function = _function(lambda text: {"output": module.predict(tf.squeeze(text, 1))}, _text_spec(1))
    return Made(_saved(module, place, serving_default=function), **told)


def no_seam(place: Path) -> Made:
    """Two ways from the text to the output: nothing of rank 2 lies on both but the output itself."""
    import tensorflow as tf

    module = classifier()

    def predict(text: Any) -> Any:
        ids = module.ids(text)
        by_first = tf.gather(module.vectors, ids[:, 0])[:, :CLASSES]
        return tf.nn.softmax(module.features(ids) @ module.kernel + by_first)

    told = expected(module) | {
        "outputs": {"output": predict(tf.constant(texts())).numpy()},
        "embedding": None,
    }
    return Made(
        _saved(module, place, serving_default=_function(lambda text: {"output": predict(text)})), **told
    )


def packed_pair(place: Path) -> Made:
    """Two texts as BERT packs them, [CLS] a [SEP] b [SEP], with segment ids, by TF-Text."""
    import tensorflow as tf
    import tensorflow_text as text

    length = 24
    module = classifier()
    numbers = tf.range(len(VOCABULARY), dtype=tf.int64)
    initial = tf.lookup.KeyValueTensorInitializer(tf.constant(VOCABULARY), numbers)
    module.vocabulary = tf.lookup.StaticVocabularyTable(initial, 1)
    rng = np.random.default_rng(19)
    module.pieces = tf.Variable(rng.normal(size=(len(VOCABULARY) + 1, WIDTH)).astype(np.float32))
    module.segments = tf.Variable(rng.normal(size=(2, WIDTH)).astype(np.float32))
    tokenizer = text.BertTokenizer(module.vocabulary, lower_case=True, token_out_type=tf.int64)

    def features(first: Any, second: Any) -> Any:
        parts = [tokenizer.tokenize(each).merge_dims(-2, -1) for each in (first, second)]
        both, types = text.combine_segments(text.RoundRobinTrimmer(length - 3).trim(parts), 2, 3)
        ids, mask = text.pad_model_inputs(both, length)
        types, _ = text.pad_model_inputs(types, length)
        vectors = tf.gather(module.pieces, ids) * (1.0 + tf.gather(module.segments, types))
        used = tf.cast(mask, tf.float32)[:, :, None]
        return tf.tanh(tf.reduce_sum(vectors * used, 1) / tf.reduce_sum(used, 1) @ module.hidden)

    given = {"first": texts(), "second": texts(8)}
    asked = [tf.constant(value) for value in given.values()]
    embedding = features(*asked)
    outputs = {"output": module.outputs(embedding).numpy()}
    specs = [tf.TensorSpec([None], tf.string, name=name) for name in given]
    function = _function(lambda first, second: {"output": module.outputs(features(first, second))}, *specs)
    return Made(_saved(module, place, serving_default=function), given, outputs, embedding.numpy())


# TensorFlow 1


def session_graph(
    *, tag_sets: tuple[tuple[str, ...], ...], signature: str, hub: bool = False, declared: str = ""
) -> Any:
    """A builder: one graph a tag set, those with `train` drop at random; `hub`: as TF1's hub modules lie."""

    def build(place: Path) -> Made:
        import tensorflow as tf

        target, told = place / "model", {}
        builder = tf.compat.v1.saved_model.Builder(str(target))
        for number, tags in enumerate(tag_sets):
            with tf.Graph().as_default(), tf.compat.v1.Session() as session:
                text, ids, features, outputs = _old_graph("train" in tags)
                session.run([tf.compat.v1.global_variables_initializer(), tf.compat.v1.tables_initializer()])
                if "train" not in tags:
                    told = dict(
                        zip(
                            ("ids", "embedding", "output"),
                            session.run((ids, features, outputs), {text: texts()}),
                            strict=True,
                        )
                    )
                definition = tf.compat.v1.saved_model.predict_signature_def(
                    {"text": text}, {"output": outputs}
                )
                options = {
                    "signature_def_map": {signature: definition},
                    "main_op": tf.compat.v1.tables_initializer(),
                }
                if number == 0:
                    builder.add_meta_graph_and_variables(session, list(tags), **options)
                else:
                    builder.add_meta_graph(list(tags), **options)
        builder.save()
        if hub:
            (target / "tfhub_module.pb").write_bytes(b"\x08\x03")  # its field `format`: 3
        if declared:
            (place / "penult.toml").write_text(declared, encoding="utf-8")
        ids = without_padding(told["ids"])
        return Made(target, {"text": texts()}, {"output": told["output"]}, told["embedding"], ids)

    return build


def _old_graph(training: bool) -> tuple[Any, Any, Any, Any]:
    import tensorflow as tf

    v1, values = tf.compat.v1, weights()
    text = v1.placeholder(tf.string, [None], name="text")
    words, numbers = tf.constant(WORDS), tf.range(2, len(WORDS) + 2, dtype=tf.int64)
    table = tf.lookup.StaticHashTable(tf.lookup.KeyValueTensorInitializer(words, numbers), 1)
    ids = table.lookup(tf.strings.split(tf.strings.lower(text)))[:, :LENGTH].to_tensor(
        0, shape=[None, LENGTH]
    )
    variable = {
        name: v1.get_variable(name, initializer=value, use_resource=False) for name, value in values.items()
    }
    used = tf.cast(ids > 0, tf.float32)[:, :, None]
    total = tf.reduce_sum(tf.gather(variable["vectors"], ids) * used, 1)
    features = tf.tanh(total / tf.maximum(tf.reduce_sum(used, 1), 1.0) @ variable["hidden"])
    dropped = (
        tf.nn.dropout(features, 0.3, name="dropout")
        if training
        else tf.identity(features, name="dropout/Identity")
    )
    return text, ids, features, tf.nn.softmax(dropped @ variable["kernel"] + variable["bias"])


SERVE = (("serve",),)
CASES = (
    Case(ROW, "one signature, a tf_keras dropout", one_signature(), quick=True),
    Case(ROW, "one signature, no dropout", one_signature(dropout=False), PREDICTED, says="readouts = "),
    Case(
        ROW,
        "one signature, no dropout, declared",
        one_signature(dropout=False, declared='readouts = ["Tanh"]\n'),
    ),
    Case(ROW, "many signatures, a default", many_signatures(default=True)),
    Case(ROW, "many signatures, no default", many_signatures(), REFUSED, says="classify"),
    Case(ROW, "many signatures, one declared", many_signatures(declared="classify")),
    Case(ROW, "two equal signatures", many_signatures(equal=True), REFUSED, says="classify_sharper"),
    Case(ROW, "__call__ only", call_only),
    Case(ROW, "dict in and out", dict_in_and_out),
    Case(ROW, "texts of shape (None, 1)", column_of_text),
    Case(ROW, "no seam", no_seam, PREDICTED),
    Case(ROW, "a pair packed with segment ids", packed_pair),
    Case(OLD_ROW, "serving_default", session_graph(tag_sets=SERVE, signature="serving_default"), quick=True),
    Case(OLD_ROW, "hub format", session_graph(tag_sets=((), ("train",)), signature="default", hub=True)),
    Case(
        OLD_ROW,
        "several tag sets",
        session_graph(tag_sets=(("serve", "one"), ("serve", "other")), signature="serving_default"),
        REFUSED,
        says="other",
    ),
    Case(
        OLD_ROW,
        "several tag sets, one declared",
        session_graph(
            tag_sets=(("serve",), ("serve", "other")),
            signature="serving_default",
            declared='tags = ["serve", "other"]\n',
        ),
    ),
)
