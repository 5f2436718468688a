"""SavedModels as TensorFlow 1 wrote them: of a session's graph, with reference variables, tables and branches."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

TEXTS = ["a good film", "", "bad", "good good unknown"]
WORDS = ("a", "good", "bad", "film")
v1 = tf.compat.v1


@dataclass
class Old:
    """A graph being made: `text` is its input, `features` [n, 6] what is read; `tables` run at load."""

    text: Any
    ids: Any
    features: Any
    weights: Callable[..., Any]
    more: dict[str, Any] = field(default_factory=dict)

    def outputs(self, features: Any) -> Any:
        """Class probabilities [n, 2]."""
        return tf.nn.softmax(features @ self.weights("kernel", (6, 2)))


Head = Callable[[Old], Any]
"""What is read -> the outputs."""


def save(
    place: Path,
    head: Head,
    *,
    tags: tuple[str, ...] = ("serve",),
    resource: bool = False,
    at_load: Callable[[], Any] | None = None,
    words_file: Path | None = None,
) -> dict[str, NDArray[Any]]:
    """Writes the SavedModel; what the session said of `TEXTS`: `features` and `output`."""
    with tf.Graph().as_default(), v1.Session() as session:
        old = _graph(resource, words_file)
        output = head(old)
        filled = v1.tables_initializer()
        session.run([v1.global_variables_initializer(), filled])
        found = session.run({"features": old.features, "output": output}, {old.text: TEXTS})
        initial = tf.group(filled, at_load()) if at_load else filled
        builder = v1.saved_model.Builder(str(place))
        definition = v1.saved_model.predict_signature_def({"text": old.text}, {"output": output})
        builder.add_meta_graph_and_variables(
            session,
            list(tags),
            signature_def_map={"serving_default": definition},
            assets_collection=v1.get_collection(v1.GraphKeys.ASSET_FILEPATHS),
            main_op=initial,
        )
        builder.save()
    return {name: np.asarray(value) for name, value in found.items()}


def _graph(resource: bool, words_file: Path | None) -> Old:
    text = v1.placeholder(tf.string, [None], name="text")
    if words_file is None:
        numbers = tf.range(1, len(WORDS) + 1, dtype=tf.int64)
        initial: Any = tf.lookup.KeyValueTensorInitializer(tf.constant(WORDS), numbers)
    else:
        words_file.write_text("[pad]\n" + "\n".join(WORDS) + "\n", encoding="utf-8")
        whole, line = tf.lookup.TextFileIndex.WHOLE_LINE, tf.lookup.TextFileIndex.LINE_NUMBER
        initial = tf.lookup.TextFileInitializer(str(words_file), tf.string, whole, tf.int64, line)
    table = tf.lookup.StaticHashTable(initial, len(WORDS) + 1)
    ids = table.lookup(tf.strings.split(text)).to_tensor(0, shape=[None, 5])

    def weights(name: str, shape: tuple[int, ...]) -> Any:
        value = np.random.default_rng(len(name)).normal(size=shape).astype(np.float32)
        return v1.get_variable(name, initializer=value, use_resource=resource)

    used = tf.cast(ids > 0, tf.float32)[:, :, None]
    total = tf.reduce_sum(tf.gather(weights("vectors", (len(WORDS) + 2, 6)), ids) * used, 1)
    return Old(text, ids, tf.tanh(total / tf.maximum(tf.reduce_sum(used, 1), 1.0)), weights)
