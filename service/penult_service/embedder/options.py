"""What is asked of a model, checked against what it can do."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from penult_service.errors import InvalidInput, PreconditionFailed
from penult_service.prepared import Manifest, Readout
from penult_service.vectors import Space

# One row a token instead of one a text.
TOKENS = "tokens"
_OF_TOKENS = ("cls", "mean", "max", TOKENS)


@dataclass(frozen=True)
class EmbedOptions:
    """How to embed: one of the model's layers (None: the default of the pooling), one of `prepared.Manifest.poolings`
    (None: the default of the model), and of `vectors.TRUNCATIONS`."""

    layer: str | None = None
    pooling: str | None = None
    normalize: bool = False
    truncate: str = "right"

    def on(self, manifest: Manifest) -> EmbedOptions:
        """The same with the pooling that this model takes when none is said."""
        return self if self.pooling else replace(self, pooling=_default(manifest, self.layer))


def choose_readout(manifest: Manifest, options: EmbedOptions, *, row_a_text: bool = False) -> Readout:
    """The readout that the options ask for; with `row_a_text` one that gives one row a text.

    Raises:
        PreconditionFailed: nothing can be read of this model (NO_EMBEDDING), the layer cannot (LAYER_NOT_PREPARED), or
            not with this pooling (POOLING_UNAVAILABLE).
        InvalidInput: one row a token is asked for where there is to be one a text (ROW_A_TOKEN).
    """
    if not manifest.readouts:
        raise PreconditionFailed(manifest.unread, reason="NO_EMBEDDING", field="options.model")
    pooling = options.on(manifest).pooling or ""
    if pooling == TOKENS and row_a_text:
        raise InvalidInput(
            f"pooling {TOKENS!r} gives one row a token, here one a text is needed; choose another, such as 'mean'",
            reason="ROW_A_TOKEN",
            field="options.pooling",
        )
    if options.layer is not None:
        return _checked(_named(manifest, options.layer), pooling)
    if pooling not in manifest.poolings:
        raise PreconditionFailed(
            f"this model cannot do pooling {pooling!r}; it can do {_listed(manifest.poolings)}",
            reason="POOLING_UNAVAILABLE",
            field="options.pooling",
            metadata={"available": ",".join(manifest.poolings)},
        )
    tokens = manifest.tokens
    return manifest.readouts[0] if pooling == "pooled" or tokens is None else tokens


def space_of(manifest: Manifest, readout: Readout, options: EmbedOptions) -> Space:
    """The space that the embeddings live in."""
    pooling = options.on(manifest).pooling or ""
    return Space(manifest.model_digest, readout.layer, pooling, options.normalize, options.truncate)


def check_classifier(manifest: Manifest) -> None:
    """That the head gives class probabilities.

    Raises:
        PreconditionFailed: it does not, or nobody says what it gives (NOT_A_CLASSIFIER).
    """
    head = manifest.head
    if head.kind == "regression":
        raise PreconditionFailed(
            f"this model's output {head.output!r} is a regression, not class probabilities; use predict to get it",
            reason="NOT_A_CLASSIFIER",
        )
    if head.kind == "other":
        several = f" and output = one of {_listed(manifest.outputs)}" if len(manifest.outputs) > 1 else ""
        raise PreconditionFailed(
            f"nothing says that this model's output {head.output!r} holds class probabilities, or logits of them; if "
            f'it does, write head = "logits" (or "softmax", "sigmoid", "multi-label"){several} into penult.toml beside '
            f"{manifest.source} and load it again; predict gives the outputs as they are",
            reason="NOT_A_CLASSIFIER",
        )


def _default(manifest: Manifest, layer: str | None) -> str:
    readout = manifest.readout(layer) if layer else None
    if readout is None:
        return manifest.pooling
    if readout.kind == "tokens":
        return manifest.pooling if manifest.pooling in _OF_TOKENS else "pooled"
    return "pooled"


def _named(manifest: Manifest, layer: str) -> Readout:
    readout = manifest.readout(layer)
    if readout is None:
        layers = [r.layer for r in manifest.readouts]
        raise PreconditionFailed(
            f"layer {layer!r} is not among those that can be read: {_listed(layers)}; "
            f"`penult prepare {manifest.source} --layer {layer}` adds it",
            reason="LAYER_NOT_PREPARED",
            field="options.layer",
            metadata={"available": ",".join(layers)},
        )
    return readout


def _checked(readout: Readout, pooling: str) -> Readout:
    possible = _OF_TOKENS if readout.kind == "tokens" else ("pooled",)
    rows = "one row a token" if readout.kind == "tokens" else "one row a text"
    if pooling not in possible:
        raise PreconditionFailed(
            f"layer {readout.layer!r} gives {rows}, so pooling {pooling!r} is not possible; "
            f"possible: {_listed(possible)}",
            reason="POOLING_UNAVAILABLE",
            field="options.pooling",
            metadata={"available": ",".join(possible)},
        )
    return readout


def _listed(names: Iterable[str]) -> str:
    return ", ".join(names)
