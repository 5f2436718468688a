"""Noise layers that leave nothing in an inference graph, such as AlphaDropout: found by the model's own layer graph.

A Functional or Sequential model says in its config which layer comes behind which. Inside other layers nothing is said,
and subclassed models say nothing at all.
"""

from __future__ import annotations

from typing import Any

from penult_service.preparing.formats.tf_keras_saved_model import NOISE_CLASSES, Layer
from penult_service.preparing.graph import Ref
from penult_service.preparing.survey import Survey


def fronts(survey: Survey) -> list[tuple[Ref, Layer]]:
    """For each noise layer without a mark that every path passes, in order: the tensor in front of it, and the layer.

    Where several stand one behind the other, the tensor in front of the first.
    """
    root = next((layer for layer in survey.opened.layers if layer.path == "root"), None)
    sources = _sources(root.config if root else {})
    noisy = {layer.name: layer for layer in survey.opened.layers if layer.class_name in NOISE_CLASSES}
    marked = {layer.name for layer in survey.marks.values()}
    readable, found = survey.readable(), []
    for name, layer in noisy.items():
        front = name
        while front in noisy and _only_reader(sources, front):
            front = sources[front][0]
        if name not in marked and front in readable:
            found.append((readable[front], layer))
    return sorted(found, key=lambda pair: survey.line.index(pair[0]) if pair[0] in survey.line else -1)


def _only_reader(sources: dict[str, list[str]], name: str) -> bool:
    """Whether it reads one layer, which nothing else reads."""
    read = sources.get(name, [])
    return len(read) == 1 and sum(name in other for other in sources.values() for name in read) == 1


def _sources(config: dict[str, Any]) -> dict[str, list[str]]:
    """Layer -> the layers that it reads, by the config of a Functional or Sequential model; the output reads too."""
    found: dict[str, list[str]] = {}
    before: list[str] = []
    for layer in config.get("layers", []):
        name = layer.get("name") or layer.get("config", {}).get("name", "")
        nodes = layer.get("inbound_nodes")
        found[name] = before if nodes is None else _names(nodes)
        before = [name]
    outputs = config.get("output_layers")
    found[""] = before if outputs is None else _names(outputs)
    return found


def _names(value: Any) -> list[str]:
    """Every layer that a part of a config refers to: `[name, call, output]`, however deep in lists and dicts."""
    if isinstance(value, dict):
        return [name for item in value.values() for name in _names(item)]
    if not isinstance(value, list):
        return []
    if len(value) >= 3 and isinstance(value[0], str) and isinstance(value[1], int):
        return [value[0], *(name for item in value[3:] for name in _names(item))]
    return [name for item in value for name in _names(item)]
