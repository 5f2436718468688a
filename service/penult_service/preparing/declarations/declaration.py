"""What a person declares of a model in `penult.toml`; what can be found is never asked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, cast

from penult_service.decoding import decoded

NAME = "penult.toml"
HEADS = ("sigmoid", "softmax", "logits", "multi-label", "regression")
ROLES = ("text", "ids", "mask", "types", "value")
POOLINGS = ("pooled", "cls", "mean", "max")
ENGINES = ("auto", "tensorflow")


@dataclass(frozen=True)
class Declaration:
    """What was declared; empty: nothing.

    Attributes:
        labels: The names of the classes.
        head: ``sigmoid``, ``softmax``, ``logits``, ``multi-label`` or ``regression``.
        output: The output that is the head.
        readouts: Layers to read, the default first.
        dropout: Layer -> rate, where the file does not record it.
        signature: The function of a SavedModel.
        tags: Its tag set.
        inputs: The model's own input -> role: ``text``, ``ids``, ``mask``, ``types`` or ``value``. In the order that
            tuples are given in.
        tokenizer: Files of the tokenizer, absolute.
        modules: Handle of a TF-Hub layer -> the directory that it stands for, absolute.
        max_length: Tokens that a text is cut to; 0: what is found.
        pooling: The default one.
        engine: What runs it.
        warm_up: Texts that the model is warmed with.
    """

    labels: tuple[str, ...] = ()
    head: str = ""
    output: str = ""
    readouts: tuple[str, ...] = ()
    dropout: Mapping[str, float] = field(default_factory=dict)
    signature: str = ""
    tags: tuple[str, ...] = ()
    inputs: Mapping[str, str] = field(default_factory=dict)
    tokenizer: tuple[str, ...] = ()
    modules: Mapping[str, str] = field(default_factory=dict)
    max_length: int = 0
    pooling: str = ""
    engine: str = ""
    warm_up: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """As it is handed to another process, in a form that JSON has; `from_json` is the inverse."""
        return asdict(self)

    @classmethod
    def from_json(cls, told: Mapping[str, Any]) -> Declaration:
        """What `to_json` made, after JSON has made lists of its tuples."""
        return cast(Declaration, decoded(cls, told, "declaration"))


NOTHING = Declaration()
