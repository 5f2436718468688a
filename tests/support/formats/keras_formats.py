"""What the Keras versions save: every shape, in every format of tf_keras and of Keras 3 that can hold it."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from support.formats import shapes
from support.formats.case import BFLOAT16, FLOAT16, PREDICTED, REFUSED, Case, Made
from support.formats.kit import KERAS, TF_KERAS, Kit, Network, by_hand, predicted, without_padding
from support.formats.shapes import Shape

SAVED_MODEL, H5, ARCHIVE, EXPORT = "SavedModel", ".h5", ".keras", "export"
FORMATS = {TF_KERAS: (SAVED_MODEL, H5, ARCHIVE), KERAS: (ARCHIVE, H5, EXPORT)}
LABELS = {TF_KERAS: "tf_keras", KERAS: "Keras 3"}


def saved(network: Network, place: Path, kind: str, **options: Any) -> Made:
    """Computes what is expected, then saves the model as a person would."""
    embedding = None if network.features is None else by_hand(network, network.features)
    ids = None if network.ids is None else without_padding(by_hand(network, network.ids))
    outputs = predicted(network)
    if kind == EXPORT and len(outputs) > 1:  # it keeps their order, not their names
        outputs = {f"output_{number}": value for number, value in enumerate(outputs.values())}
    return Made(save(network.model, place, kind, **options), network.given, outputs, embedding, ids)


def save(model: Any, place: Path, kind: str, **options: Any) -> Path:
    """Saves it into this directory; the path of what was saved. `options` are those of `export`."""
    target = place / (f"model{kind}" if kind in (H5, ARCHIVE) else "model")
    if kind == EXPORT:
        model.export(str(target), verbose=False, **options)
    else:
        model.save(str(target))
    return target


def of(shape: Shape, flavour: str, kind: str) -> Callable[[Path], Made]:
    """A builder."""
    return lambda place: saved(shape(Kit(flavour)), place, kind)


SHAPES: dict[str, Shape] = {
    "dropout, softmax of 3": shapes.plain(),
    "softmax of 2": shapes.plain(2),
    "softmax of 200": shapes.plain(200),
    "multi-label sigmoid": shapes.plain(4, "sigmoid"),
    "one sigmoid": shapes.plain(1, "sigmoid"),
    "logits": shapes.plain(3, None),
    "regression": shapes.plain(1, None),
    "several dropouts, layers between": shapes.several_dropouts,
    "Sequential head": shapes.sequential_head,
    "Sequential throughout": shapes.sequential,
    "nested three levels": shapes.nested,
    "one dropout called twice": shapes.called_twice,
    "MLP head": shapes.mlp_head,
    "activation behind the dropout": shapes.activation_after,
    "BatchNormalization after the dropout": shapes.batch_norm_after,
    "BatchNormalization before the dropout": shapes.batch_norm_before,
    "several outputs, one dropout": shapes.several_outputs,
    "several outputs, a dropout each": shapes.several_dropped_outputs,
    "several dropouts side by side": shapes.multi_sample_dropout,
    "no dropout": shapes.no_dropout,
    "average without a mask": shapes.plain(masked=False),
    "padded to the batch's longest": shapes.plain(length=None),
    "LSTM": shapes.recurrent,
    "mixed_float16": shapes.half("mixed_float16"),
    "mixed_bfloat16": shapes.half("mixed_bfloat16"),
    "ragged inside": shapes.ragged_inside,
    "two texts, shared encoder": shapes.shared_encoder,
    "text and numbers": shapes.text_and_numbers,
    "numbers behind the dropout": shapes.numbers_behind,
    "no seam": shapes.no_seam,
    "numbers alone": shapes.numbers_alone,
}
LIMITS = {"mixed_float16": FLOAT16, "mixed_bfloat16": BFLOAT16}
# The one of its row that stands for it in the quick run.
QUICK = {
    (TF_KERAS, H5): "one dropout called twice",
    (TF_KERAS, ARCHIVE): "nested three levels",
    (KERAS, ARCHIVE): "BatchNormalization after the dropout",
    (KERAS, H5): "several outputs, one dropout",
    (KERAS, EXPORT): "dropout, softmax of 3",
}


def _row(flavour: str, kind: str) -> str:
    return f"{LABELS[flavour]} {kind}"


# What an exported graph does not tell: where the dropout stands among layers without weights, in front of which of
# several dense layers, or that something joins behind it. The message lists the tensors that can be chosen.
UNTOLD = (
    *(
        "activation behind the dropout",
        "BatchNormalization after the dropout",
        "MLP head",
        "nested three levels",
    ),
    *(
        "one dropout called twice",
        "two texts, shared encoder",
        "text and numbers",
        "numbers behind the dropout",
    ),
)


def becomes_of(shape: str, kind: str) -> dict[str, str]:
    """What must become of a shape in this format, and what the sentence then holds."""
    if shape == "no seam":
        return {"becomes": PREDICTED}
    return {"becomes": PREDICTED, "says": "readouts = "} if kind == EXPORT and shape in UNTOLD else {}


def _grid() -> list[Case]:
    cases = []
    for flavour, kinds in FORMATS.items():
        for kind in kinds:
            for name, shape in SHAPES.items():
                if flavour == KERAS and name == "ragged inside":  # Keras 3 has no ragged layers
                    continue
                told: dict[str, Any] = becomes_of(name, kind)
                told["limit"] = LIMITS.get(name, Case.limit)
                told["quick"] = QUICK.get((flavour, kind)) == name
                cases.append(Case(_row(flavour, kind), name, of(shape, flavour, kind), **told))
    return cases


# hub.KerasLayer


def _question(kind: str, moved: bool) -> Callable[[Path], Made]:
    """The question's model; `moved`: the hub modules are not where they were any more."""

    def build(place: Path) -> Made:
        network = _with_hub(place / "hub")
        made = saved(network, place, kind)
        if moved:
            shutil.rmtree(place / "hub")
        return made

    return build


def _with_hub(place: Path) -> Network:
    import tensorflow_hub as hub
    from penult_service.preparing import convert
    from support import seed_model as seeds

    shutil.copytree(seeds.converted(), place)
    kit = Kit(TF_KERAS)
    text = kit.text()
    tokens = hub.KerasLayer(str(place / convert.PREPROCESSOR), name="preprocessing")(text)
    encoder = hub.KerasLayer(str(place / convert.ENCODER), trainable=True, name="BERT_encoder")
    pooled = encoder(tokens)["pooled_output"]
    outputs = kit.dense(1, activation="sigmoid")(kit.dropout(0.1)(pooled))
    network = Network(kit, kit.model(text, outputs), pooled, tokens["input_word_ids"])
    return network.fitted(np.arange(8)[:, None] % 2, loss="binary_crossentropy")


READOUTS = 'readouts = ["classifier_1/average_1/truediv"]\n'


def declared(shape: Shape, said: str) -> Callable[[Path], Made]:
    """A builder of an export, with what `penult.toml` says beside it."""

    def build(place: Path) -> Made:
        network = shape(Kit(KERAS))
        model = network.kit.keras.Model(network.model.inputs, network.model.outputs, name="classifier")
        (place / "penult.toml").write_text(said, encoding="utf-8")
        return saved(replace(network, model=model), place, EXPORT)

    return build


# Code of the author's own


def subclassed(flavour: str, kind: str, *, signed: bool = True) -> Callable[[Path], Made]:
    """A builder of a model whose class is the author's; not `signed`: exported without a word on what it takes."""

    def build(place: Path) -> Made:
        import tensorflow as tf

        options = {"input_signature": [tf.TensorSpec([None], tf.string)]} if signed and kind == EXPORT else {}
        return saved(_subclass(Kit(flavour)), place, kind, **options)

    return build


def _subclass(kit: Kit) -> Network:
    class Classifier(kit.keras.Model):  # type: ignore[misc, name-defined]
        def __init__(self) -> None:
            super().__init__()
            self.words, self.table, self.average = kit.words(), kit.table(), kit.average()
            self.hidden, self.dropped = kit.dense(6, "hidden", "tanh"), kit.dropout()
            self.out = kit.dense(3, activation="softmax")

        def vector(self, text: Any) -> Any:
            return self.hidden(self.average(self.table(self.words(text))))

        def call(self, text: Any, training: bool = False) -> Any:
            return self.out(self.dropped(self.vector(text), training=training))

    model = Classifier()
    network = Network(kit, model, model.vector, model.words)
    import tensorflow as tf

    model.predict(tf.constant(network.given["text"]), verbose=0)
    return network


def _lambda_layer(flavour: str, kind: str) -> Callable[[Path], Made]:
    def shape(kit: Kit) -> Network:
        network_text = kit.text()
        ids = kit.words()(network_text)
        pooled = kit.average()(kit.table()(ids))
        doubled = kit.layers.Lambda(lambda x: x * 2.0, name="doubled", output_shape=(8,))(pooled)
        outputs = kit.dense(3, activation="softmax")(kit.dropout()(doubled))
        return Network(kit, kit.model(network_text, outputs), doubled, ids)

    return of(shape, flavour, kind)


def _own_loss(flavour: str, kind: str) -> Callable[[Path], Made]:
    """Trained with a loss, a metric and an optimizer of the author's own, which nobody else has."""

    def build(place: Path) -> Made:
        kit = Kit(flavour)

        class OwnAdam(kit.keras.optimizers.Adam):  # type: ignore[misc, name-defined]
            pass

        def own_loss(wanted: Any, found: Any) -> Any:
            return (wanted - found) ** 2

        network = shapes.plain()(kit).fitted(loss=own_loss, optimizer=OwnAdam())
        return saved(network, place, kind)

    return build


def _weights_alone(flavour: str) -> Callable[[Path], Made]:
    def build(place: Path) -> Made:
        network = shapes.plain()(Kit(flavour))
        made = saved(network, place, H5)
        made.source.unlink()
        network.model.save_weights(str(made.source.with_suffix(".weights.h5")))
        return replace(made, source=made.source.with_suffix(".weights.h5"))

    return build


def _hub() -> list[Case]:
    name, row = "hub.KerasLayer, the question's own", _row(TF_KERAS, SAVED_MODEL)
    cases = [
        Case(row, name, _question(SAVED_MODEL, False), quick=True),
        Case(row, "hub.KerasLayer, its handle moved", _question(SAVED_MODEL, True)),
    ]
    for kind in (H5, ARCHIVE):
        row = _row(TF_KERAS, kind)
        cases.append(Case(row, name, _question(kind, False)))
        cases.append(
            Case(row, "hub.KerasLayer, its handle moved", _question(kind, True), REFUSED, says="hub")
        )
    return cases


def _own_code() -> list[Case]:
    cases = [Case(_row(TF_KERAS, SAVED_MODEL), "subclassed", subclassed(TF_KERAS, SAVED_MODEL))]
    row, says = _row(KERAS, EXPORT), "input_signature"
    cases.append(Case(row, "subclassed", subclassed(KERAS, EXPORT), PREDICTED, says="readouts = "))
    unsigned = subclassed(KERAS, EXPORT, signed=False)
    cases.append(Case(row, "subclassed, no input_signature", unsigned, REFUSED, says=says))
    cases.append(Case(row, "MLP head, declared", declared(shapes.mlp_head, READOUTS)))
    for flavour in (TF_KERAS, KERAS):
        alone = _weights_alone(flavour)
        cases.append(Case(_row(flavour, H5), "weights alone", alone, REFUSED, says="weights"))
        archive = _row(flavour, ARCHIVE)
        cases.append(Case(archive, "subclassed", subclassed(flavour, ARCHIVE), REFUSED, says="Classifier"))
        for kind in (ARCHIVE, H5):
            cases.append(
                Case(_row(flavour, kind), "a Lambda", _lambda_layer(flavour, kind), REFUSED, says="doubled")
            )
    for flavour, kinds in FORMATS.items():
        for kind in kinds:
            if kind != EXPORT:
                cases.append(
                    Case(_row(flavour, kind), "loss and optimizer of its own", _own_loss(flavour, kind))
                )
    return cases


def cases() -> tuple[Case, ...]:
    """All of them."""
    return (*_grid(), *_hub(), *_own_code())
