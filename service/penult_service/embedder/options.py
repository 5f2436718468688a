"""What is asked of a model, checked against what it can do."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from penult_service.errors import PreconditionFailed
from penult_service.prepared import Manifest, Readout
from penult_service.vectors import Space


@dataclass(frozen=True)
class EmbedOptions:
    """How to embed: one of the model's layers (None: the default of the pooling), and `vectors.POOLINGS` and
    `vectors.TRUNCATIONS`."""

    layer: str | None = None
    pooling: str = "pooled"
    normalize: bool = False
    truncate: str = "right"


def choose_readout(manifest: Manifest, options: EmbedOptions) -> Readout:
    """The readout that the options ask for.

    Raises:
        PreconditionFailed: the layer cannot be read (LAYER_NOT_PREPARED), or not with this pooling
            (POOLING_UNAVAILABLE).
    """
    if options.layer is not None:
        return _checked(_named(manifest, options.layer), options.pooling)
    if options.pooling not in manifest.poolings:
        raise PreconditionFailed(
            f"this model cannot do pooling {options.pooling!r}; it can do {_listed(manifest.poolings)}",
            reason="POOLING_UNAVAILABLE",
            field="options.pooling",
            metadata={"available": ",".join(manifest.poolings)},
        )
    tokens = manifest.tokens
    return manifest.readouts[0] if options.pooling == "pooled" or tokens is None else tokens


def space_of(manifest: Manifest, readout: Readout, options: EmbedOptions) -> Space:
    """The space that the embeddings live in."""
    return Space(manifest.model_digest, readout.layer, options.pooling, options.normalize, options.truncate)


def check_classifier(manifest: Manifest) -> None:
    """That the head gives class probabilities.

    Raises:
        PreconditionFailed: it does not (NOT_A_CLASSIFIER).
    """
    if manifest.head.kind == "other":
        raise PreconditionFailed(
            "this model's outputs are not class probabilities; use predict to get them as they are",
            reason="NOT_A_CLASSIFIER",
        )


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
    possible = ("cls", "mean", "max") if readout.kind == "tokens" else ("pooled",)
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
