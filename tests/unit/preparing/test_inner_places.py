"""Dropouts in layers of an author's own and in files of Keras, and draws that are none or have no certain place."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytestmark = pytest.mark.tensorflow

tf = pytest.importorskip("tensorflow")

from penult_service.preparing.declarations.declaration import Declaration  # noqa: E402
from penult_service.preparing.seam import inner_sites  # noqa: E402
from support import seed_model as seeds  # noqa: E402
from support import text_models as tm  # noqa: E402
from support.keyed_training import check, put_back  # noqa: E402


def own(name: str, call: Callable[[Any, Any], Any]) -> Any:
    """A layer of the author's own; `call` is told whether it is training."""

    class Own(tm.layers().Layer):
        def call(self, x: Any, training: Any = None) -> Any:
            return call(x, bool(training))

    return Own(name=name)


def model(*layers: Any, place: Path) -> Path:
    """Saved: vectors of words -> a dropout that is found -> the layers -> an average -> a head with its dropout."""
    text = tm.text_input()
    x = own("found", lambda x, on: tf.nn.dropout(x, 0.2) if on else tf.identity(x))(
        tm.vectors(text, masked=False)
    )
    x = tm.dense(tm.WIDTH, "wide", "tanh")(x)
    for layer in layers:
        x = layer(x)
    x = tm.layers().GlobalAveragePooling1D(name="average")(x)
    dropped = tm.layers().Dropout(0.4, name="dropout")(tm.dense(6, "hidden", "tanh")(x))
    return tm.save(seeds.keras().Model(text, tm.dense(3, "output")(dropped)), place / "model")


def test_a_layer_of_an_authors_own(tmp_path: Path) -> None:
    def call(x: Any, training: bool) -> Any:
        return tf.tanh(tf.nn.dropout(x, 0.3, noise_shape=[tf.shape(x)[0], 1, tm.WIDTH]) if training else x)

    found = put_back(model(own("own", call), place=tmp_path))
    assert found.paths == ["found", "own", "dropout"]
    assert [(site.rate, site.shared) for site in found.sites] == [(0.2, ()), (0.3, (1,)), (0.4, ())]
    check(found)


def test_what_reads_the_plain_tensor_too_keeps_reading_it(tmp_path: Path) -> None:
    def call(x: Any, training: bool) -> Any:
        return tf.sin(x) + tf.cos(tf.nn.dropout(x, 0.3) if training else x) * x

    found = put_back(model(own("beside", call), place=tmp_path))
    assert "beside" in found.paths
    check(found)


def two_masks(x: Any, training: bool) -> Any:
    """The same of two masks, as R-Drop has it (Liang et al. 2021): which of the two is which nobody can tell."""
    first, second = (tf.sin(tf.nn.dropout(x, 0.3) if training else x) for _ in range(2))
    return first + 2.0 * second


def one_mask_twice(x: Any, training: bool) -> Any:
    mask = tf.cast(tf.random.uniform(tf.shape(x)) >= 0.3, x.dtype) / 0.7 if training else tf.ones_like(x)
    return tf.sin(x * mask) + tf.cos(tf.square(x) * mask)


def not_scaled(x: Any, training: bool) -> Any:
    kept = tf.cast(tf.random.uniform(tf.shape(x)) >= 0.3, x.dtype)
    return tf.sin(x * kept if training else x)


def of_another_kind(x: Any, training: bool) -> Any:
    return tf.sin(x + tf.random.normal(tf.shape(x)) if training else x)


def by_the_input(x: Any, training: bool) -> Any:
    """A rate of each row's own."""
    rate = tf.sigmoid(x[:, :1, :1])
    kept = tf.cast(tf.random.uniform(tf.shape(x)) >= rate, x.dtype)
    return tf.sin(x * kept / (1 - rate) if training else x)


def another_function(x: Any, training: bool) -> Any:
    return tf.tanh(tf.nn.dropout(x, 0.3)) if training else tf.sin(x)


def in_a_loop(x: Any, training: bool) -> Any:
    def body(i: Any, y: Any) -> Any:
        return i + 1, tf.sin(tf.nn.dropout(y, 0.3) if training else y)

    return tf.while_loop(lambda i, _: i < 3, body, (tf.constant(0), x))[1]


@pytest.mark.parametrize(
    "call",
    [two_masks, one_mask_twice, not_scaled, of_another_kind, by_the_input, another_function, in_a_loop],
    ids=lambda call: call.__name__,
)
def test_what_is_not_certain_is_said_and_not_put_back(
    call: Callable[[Any, bool], Any], tmp_path: Path
) -> None:
    found = put_back(model(own("odd", call), place=tmp_path))
    assert found.paths == ["found", "dropout"]
    (note,) = [note for note in found.seams.notes if "stays off" in note]
    assert "drawn in odd for" in note


def test_rates_of_a_graph_without_layers(tmp_path: Path) -> None:
    """`tf.saved_model.save` writes no layers: the function for training tells the rate that else must be declared."""
    source = tmp_path / "plain"
    tf.saved_model.save(tm.classifier(rate=0.35), str(source))
    found = put_back(source)
    assert [(site.path, site.rate, site.place) for site in found.sites] == [("dropout", 0.35, "at")]
    check(found)
    declared = put_back(source, Declaration(dropout={"average": 0.5}))
    assert [(site.path, site.rate, site.place) for site in declared.sites] == [("average", 0.5, "at")]


@pytest.mark.parametrize("ending", [".keras", pytest.param(".h5", marks=pytest.mark.full)])
def test_a_hub_encoder_in_a_file_of_keras(ending: str, tmp_path: Path) -> None:
    """No function for training lies in it: it is traced of the model that Keras builds."""
    import tensorflow_hub as hub

    handle = tmp_path / "encoder"
    ids = tm.layers().Input(shape=(None,), dtype="int32", name="ids")
    x = tm.layers().Embedding(1000, 8, embeddings_initializer=tm.normal(1), name="table")(ids)
    x = tm.dense(8, "wide", "tanh")(tm.layers().Dropout(0.3, name="dropout")(x))
    average = tm.layers().GlobalAveragePooling1D(name="average")(x)
    tm.save(seeds.keras().Model(ids, average), handle)
    given = tm.layers().Input(shape=(None,), dtype="int32", name="tokens")
    read = hub.KerasLayer(str(handle), trainable=True, name="encoder")(given)
    out = tm.dense(3, "output")(tm.layers().Dropout(0.4, name="dropout")(read))
    source = tmp_path / f"model{ending}"
    seeds.keras().Model(given, out).save(str(source))
    found = put_back(source)
    assert [(site.path, site.rate, site.place) for site in found.sites] == [
        ("encoder/dropout", 0.3, "before"),
        ("dropout", 0.4, "at"),
    ]
    check(found, np.random.default_rng(0).integers(0, 1000, (5, 7)).astype(np.int32))


def test_a_model_of_two_inputs(tmp_path: Path) -> None:
    text, beside = tm.text_input(), tm.layers().Input(shape=(2,), name="beside")
    hidden = own("own", lambda x, on: tf.tanh(tf.nn.dropout(x, 0.3) if on else x))(tm.pooled(text))
    joined = tm.layers().Concatenate(name="joined")([tm.dense(4, "hidden")(hidden), beside])
    out = tm.dense(3, "output")(tm.layers().Dropout(0.4, name="dropout")(joined))
    found = put_back(tm.save(seeds.keras().Model([beside, text], out), tmp_path / "model"))
    assert [(site.path, site.rate) for site in found.sites] == [("own", 0.3), ("dropout", 0.4)]
    (stand, _) = found.seams.stands
    readers = [node for node in found.opened.flat.nodes.values() if stand.after in node.input]
    assert [node.op for node in readers] == ["Tanh"]


def test_a_model_that_nothing_is_read_of_lists_them_all_the_same(tmp_path: Path) -> None:
    noise = own("own", lambda x, on: tf.tanh(tf.nn.dropout(x, 0.3) if on else x))
    hidden = tm.dense(6, "hidden", "tanh")(noise(tm.pooled(text := tm.text_input())))
    behind = own("behind", lambda x, on: tf.tanh(x + tf.random.normal(tf.shape(x)) if on else x))
    out = tm.dense(3, "output")(behind(tm.layers().Dropout(0.4, name="dropout")(hidden)))
    found = put_back(tm.save(seeds.keras().Model(text, out), tmp_path / "model"))
    assert found.seams.unread
    assert found.paths == ["own", "dropout"]
    assert not any(site.sampled for site in found.sites)
    assert "no embedding of this model can be read" in found.plan.unsampled


def test_a_function_for_training_that_nobody_understands_stops_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = model(place=tmp_path)

    def broken(*_: Any) -> Any:
        raise KeyError("odd")

    monkeypatch.setattr(inner_sites, "find_inner", broken)
    found = put_back(source)
    assert found.paths == ["dropout"]
    assert "its function for training was not understood (KeyError)" in found.seams.notes[-1]
