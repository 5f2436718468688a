"""Which Keras layer an operation belongs to, by the scopes of its name."""

from __future__ import annotations

from collections.abc import Sequence

from penult_service.preparing.opened import Layer


def layer_at(node: str, layers: Sequence[Layer]) -> Layer | None:
    """The innermost layer in whose scope the node stands, or None.

    Scopes are read from the outside in, and inside a layer only its own sublayers count: what a hub layer holds
    may have a scope that is called like a layer of the model. Of layers with one name the outermost is meant.
    """
    found: Layer | None = None
    layers = sorted(layers, key=lambda layer: layer.path.count("."))
    for scope in node.split("/")[:-1]:
        inside = [
            layer
            for layer in layers
            if layer.path != "root" and (found is None or layer.path.startswith(f"{found.path}."))
        ]
        # `dropout_1` is the second call of `dropout`, unless it is a layer itself.
        exact = next((layer for layer in inside if layer.name == scope), None)
        again = next((layer for layer in inside if layer.name == scope.rpartition("_")[0]), None)
        found = exact or again or found
    return found
