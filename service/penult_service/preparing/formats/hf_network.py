"""The sizes of a Hugging Face classifier, by its `config.json`, and every tensor that its file must have."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from penult_service.preparing.formats.hf_bert import MOST_LAYERS, BertConfig, check_supported
from penult_service.preparing.formats.hf_families import Family
from penult_service.preparing.formats.hf_files import Settings, Shapes

# What the settings are called in `config.json`, and what no word means, where a family says nothing else.
_KEYS = {
    "layers": "num_hidden_layers",
    "heads": "num_attention_heads",
    "width": "hidden_size",
    "intermediate": "intermediate_size",
    "activation": "hidden_act",
    "hidden_dropout": "hidden_dropout_prob",
    "attention_dropout": "attention_probs_dropout_prob",
    "classifier_dropout": "classifier_dropout",
}
_DEFAULTS: dict[str, Any] = {
    "activation": "gelu",
    "hidden_dropout": 0.1,
    "attention_dropout": 0.1,
    "padding": 0,
}


@dataclass(frozen=True)
class Part:
    """A layer's weights in the file: `shape` is the weight's, and a bias goes with it unless it is a table."""

    path: str
    shape: tuple[int, ...]
    bias: bool = True

    @property
    def tensors(self) -> Shapes:
        """The names in the file -> shapes."""
        weight = {f"{self.path}.weight": self.shape}
        return weight | ({f"{self.path}.bias": self.shape[:1]} if self.bias else {})


@dataclass(frozen=True)
class Network:
    """A model's encoder and head, as far as `config.json` tells them."""

    family: Family
    encoder: BertConfig
    embedding_width: int
    padding: int
    classifier_dropout: float
    layers: tuple[str, ...]
    classes: int

    @property
    def longest(self) -> int:
        """The tokens that the table of positions has room for."""
        return self.encoder.max_positions - (self.padding + 1 if self.family.behind_padding else 0)

    @property
    def project(self) -> str:
        """What widens the embeddings, or nothing."""
        narrow = self.embedding_width != self.encoder.width
        return self.family.project if narrow or self.family.shared else ""

    def embeddings(self) -> dict[str, Part]:
        """Our name of each part in front of the layers -> where it is."""
        config, narrow, place = self.encoder, self.embedding_width, f"{self.family.prefix}.embeddings"
        found = {
            "words": Part(f"{place}.word_embeddings", (config.vocabulary_size, narrow), bias=False),
            "positions": Part(f"{place}.position_embeddings", (config.max_positions, narrow), bias=False),
            "norm": Part(f"{place}.LayerNorm", (narrow,)),
        }
        if self.family.types:
            found["types"] = Part(f"{place}.token_type_embeddings", (config.segments, narrow), bias=False)
        if self.project:
            found["project"] = Part(self.project, (config.width, narrow))
        return found

    def layer(self, path: str) -> dict[str, Part]:
        """The same of the layer there."""
        width, inner = self.encoder.width, self.encoder.intermediate
        shapes: dict[str, tuple[int, ...]] = dict.fromkeys(self.family.parts, (width, width))
        shapes |= {"inner": (inner, width), "outer": (width, inner)}
        shapes |= {"attended_norm": (width,), "outer_norm": (width,)}
        return {name: Part(f"{path}.{place}", shapes[name]) for name, place in self.family.parts.items()}

    def head(self) -> dict[str, Part]:
        """The same of what follows the layers."""
        width = self.encoder.width
        hidden = Part(self.family.hidden, (width, width))
        return {"hidden": hidden, "out": Part(self.family.out, (self.classes, width))}

    def tensors(self) -> Shapes:
        """Every tensor that the file must have, and its shape."""
        parts = [self.embeddings(), *(self.layer(path) for path in self.layers), self.head()]
        return {
            name: shape for group in parts for part in group.values() for name, shape in part.tensors.items()
        }

    def unused(self) -> frozenset[str]:
        """Tensors that some releases of transformers write, and that no answer is computed from."""
        place = f"{self.family.prefix}.embeddings"
        buffers = {f"{place}.position_ids", f"{place}.token_type_ids"}
        pooler = {f"{self.family.prefix}.pooler.dense.{kind}" for kind in ("weight", "bias")}
        return frozenset(buffers | pooler) - self.tensors().keys()


def network_of(family: Family, settings: Settings, classes: int) -> Network:
    """What the configuration says of the network. Raises ModelRefused: CONFIG_UNSUPPORTED."""
    keys, values = {**_KEYS, **family.keys}, settings.values
    defaults = {**_DEFAULTS, **family.defaults}
    encoder = BertConfig(
        vocabulary_size=settings.size("vocab_size"),
        layers=settings.size(keys["layers"]),
        heads=settings.size(keys["heads"]),
        width=settings.size(keys["width"]),
        intermediate=settings.size(keys["intermediate"]),
        max_positions=settings.size("max_position_embeddings"),
        segments=settings.size("type_vocab_size", 2),
        activation=str(values.get(keys["activation"], defaults["activation"])),
        epsilon=settings.epsilon("layer_norm_eps"),
        hidden_dropout=settings.rate(keys["hidden_dropout"], defaults["hidden_dropout"]),
        attention_dropout=settings.rate(keys["attention_dropout"], defaults["attention_dropout"]),
    )
    check_supported(settings, encoder)
    if values.get("sinusoidal_pos_embds"):
        raise settings.refused("sinusoidal_pos_embds is set; only positions that were learnt are known")
    rate = defaults.get("classifier_dropout", encoder.hidden_dropout)
    if values.get(keys["classifier_dropout"]) is not None:
        rate = settings.rate(keys["classifier_dropout"])
    return Network(
        family=family,
        encoder=encoder,
        embedding_width=settings.size("embedding_size", defaults.get("embedding_width", encoder.width)),
        padding=_padding(settings, encoder, defaults["padding"]),
        classifier_dropout=rate,
        layers=_layers(family, settings, encoder.layers),
        classes=classes,
    )


def _padding(settings: Settings, encoder: BertConfig, default: int) -> int:
    value = settings.values.get("pad_token_id", default)
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < encoder.vocabulary_size:
        raise settings.refused(f"pad_token_id is {value!r}")
    return value


def _layers(family: Family, settings: Settings, count: int) -> tuple[str, ...]:
    """Where the layers are, in the order in which they act; one that acts again is named again."""
    if not family.shared:
        return tuple(f"{family.prefix}.{family.layer.format(i)}" for i in range(count))
    groups, inner = settings.size("num_hidden_groups", 1), settings.size("inner_group_num", 1)
    if groups > count:
        raise settings.refused(f"num_hidden_groups is {groups}, more than the {count} layers")
    if inner * count > MOST_LAYERS:
        raise settings.refused(
            f"inner_group_num is {inner}, {inner * count} layers; {MOST_LAYERS} are the most"
        )
    numbers = [(int(i / (count / groups)), k) for i in range(count) for k in range(inner)]
    return tuple(f"{family.prefix}.{family.layer.format(*pair)}" for pair in numbers)
