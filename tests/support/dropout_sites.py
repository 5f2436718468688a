"""Models whose dropouts can be forced on one at a time: several architectures of tf_keras, and a BERT of Keras 3."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from functools import cache, cached_property
from typing import Any

import tensorflow as tf
from penult_service.preparing import convert
from penult_service.preparing.formats import hf_bert
from penult_service.preparing.opened import Opened
from support import seed_model as seeds
from support import text_models as tm

SPEC = tf.TensorSpec([None], tf.string, name="text")
Site = Callable[[Any, Any], Any]
"""A layer and its input -> its output: called as it is, or forced on."""


# Architectures: each takes every dropout, and whatever holds one, through `site`


def _average(site: Site) -> Any:
    layers, text = tm.layers(), tm.text_input()
    words = site(layers.SpatialDropout1D(0.3, name="spatial"), tm.vectors(text, masked=False))
    x = layers.GlobalAveragePooling1D(name="average")(words)
    x = site(layers.GaussianNoise(0.5, name="noise"), x)
    x = tm.dense(6, "hidden", "tanh")(site(layers.AlphaDropout(0.3, name="alpha"), x))
    return text, tm.dense(3, "output", "softmax")(site(layers.Dropout(0.5, name="dropout"), x))


def _recurrent(site: Site) -> Any:
    layers, text = tm.layers(), tm.text_input()
    options = {"dropout": 0.3, "recurrent_dropout": 0.3}
    x = site(
        layers.Bidirectional(layers.GRU(4, return_sequences=True, **options), name="two_ways"),
        tm.vectors(text),
    )
    x = site(layers.LSTM(6, **options, name="lstm"), x)
    return text, tm.dense(3, "output")(site(layers.Dropout(0.5, name="dropout"), x))


def _attention(site: Site) -> Any:
    layers, text = tm.layers(), tm.text_input()
    x = tm.vectors(text, masked=False)
    for block in range(2):
        heads = layers.MultiHeadAttention(2, 4, dropout=0.3, name=f"heads_{block}")
        seen = site(layers.Dropout(0.3, name=f"seen_{block}"), site(heads, x))
        x = layers.LayerNormalization(name=f"norm_{block}")(x + seen)
    x = layers.GlobalAveragePooling1D(name="average")(x)
    return text, tm.dense(1, "output", "sigmoid")(site(layers.Dropout(0.5, name="dropout"), x))


def _deep_head(site: Site) -> Any:
    layers, text = tm.layers(), tm.text_input()
    x = layers.Conv1D(6, 3, padding="same", name="conv")(tm.vectors(text, masked=False))
    x = layers.GlobalMaxPooling1D(name="most")(site(layers.GaussianDropout(0.4, name="gaussian"), x))
    for number in range(2):
        x = site(layers.Dropout(0.4, name=f"dropout_at_{number}"), x)
        x = tm.dense(6, f"hidden_{number}", "tanh")(x)
    return text, tm.dense(2, "output", "softmax")(site(layers.Dropout(0.5, name="dropout"), x))


@dataclass(frozen=True)
class Architecture:
    """A way to build a model, traced in inference with one of its sites forced on, or none."""

    build: Callable[[Site], Any]

    @cached_property
    def sites(self) -> list[str]:
        """The names of its sites, in order."""
        names: list[str] = []

        def note(layer: Any, x: Any) -> Any:
            names.append(layer.name)
            return _call(layer, x)

        self._traced(note)
        return names

    @cached_property
    def accepted(self) -> Opened:
        """The model as it is."""
        return self._traced(_call)

    def with_site(self, name: str) -> Opened:
        """The model with that site forced on."""
        return self._traced(
            lambda layer, x: _call(layer, x, **({"training": True} if layer.name == name else {}))
        )

    def _traced(self, site: Site) -> Opened:
        model = seeds.keras().Model(*self.build(site))
        function = tf.function(lambda text: {"output": model(text, training=False)}, input_signature=[SPEC])
        return tm.opened(function, ("dropout", "Dropout"))


def _call(layer: Any, x: Any, **options: Any) -> Any:
    attends = type(layer).__name__ == "MultiHeadAttention"
    return layer(x, x, **options) if attends else layer(x, **options)


class Bert:
    """The question's model around the project's own encoder: Keras 3, a `SeedGenerator` in every dropout."""

    @cached_property
    def _encoder(self) -> Any:
        return convert.build_encoder(hf_bert.read(seeds.converted().parent / "hf"))

    @cached_property
    def _dropouts(self) -> dict[str, Any]:
        found = {layer.name: layer for layer in self._encoder.layers if type(layer).__name__ == "Dropout"}
        for block in self._encoder.layers:
            if hasattr(block, "_self_attention_layer"):
                found[f"{block.name}, attention weights"] = block._self_attention_layer._dropout_layer
                found[f"{block.name}, attention"] = block._self_attention_dropout
                found[f"{block.name}, feed forward"] = block._feedforward_dropout
        return found

    @property
    def sites(self) -> list[str]:
        """The dropouts of the encoder."""
        return list(self._dropouts)

    @cached_property
    def accepted(self) -> Opened:
        """The model as it is."""
        return self._traced(nullcontext())

    def with_site(self, name: str) -> Opened:
        """The model with that dropout forced on."""
        return self._traced(_always_on(self._dropouts[name]))

    def _traced(self, switched: AbstractContextManager[None]) -> Opened:
        preprocess, _ = seeds.hub_layers()
        names = {"input_word_ids": "token_ids", "input_mask": "padding_mask", "input_type_ids": "segment_ids"}
        dropout = seeds.keras().layers.Dropout(0.1, name="dropout")
        output = tm.dense(1, "output", "sigmoid")
        output.build([None, seeds.WIDTH])

        @tf.function(input_signature=[SPEC])
        def model(text: Any) -> Any:
            tokens = {names[name]: value for name, value in preprocess(text).items()}
            found = self._encoder(tokens, training=False)["pooled_output"]
            return {"output": output(dropout(found, training=False))}

        with switched:
            return tm.opened(model, ("dropout", "Dropout"))


@contextmanager
def _always_on(layer: Any) -> Iterator[None]:
    """A Keras 3 dropout that does not listen to `training`."""
    plain = type(layer)

    class AlwaysOn(plain):  # type: ignore[misc, valid-type]
        def call(self, inputs: Any, training: bool = False) -> Any:
            del training
            return super().call(inputs, training=True)

    layer.__class__ = AlwaysOn
    try:
        yield
    finally:
        layer.__class__ = plain


SMALL: dict[str, Architecture] = {
    "average": Architecture(_average),
    "recurrent": Architecture(_recurrent),
    "attention": Architecture(_attention),
    "deep head": Architecture(_deep_head),
}


@cache
def architectures() -> dict[str, Architecture | Bert]:
    """All of them, by name."""
    return {**SMALL, "bert": Bert()}
