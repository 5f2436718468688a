"""Noise layers that leave nothing in an inference graph, such as AlphaDropout: found by the model's own layer graph.

A Functional or Sequential model says in its config which layer comes behind which. Inside other layers nothing is said,
and subclassed models say nothing at all.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from penult_service.preparing.graph import Ref
from penult_service.preparing.opened import NOISE_CLASSES, Layer
from penult_service.preparing.seam.survey import Survey


def fronts(survey: Survey) -> list[tuple[Ref, Layer]]:
    """For each noise layer without a mark that every path passes, in order: the tensor in front of it, and the layer.

    Where several stand one behind the other, the tensor in front of the first.
    """
    layers = survey.opened.layers
    root = next((layer.config for layer in layers if layer.path == "root"), None)
    sources = _sources(root if isinstance(root, dict) else {})
    noisy = {
        layer.name: layer
        for layer in layers
        if layer.class_name in NOISE_CLASSES and layer.path.count(".") == 1
    }
    marked = {layer.name for layer in survey.marks.values()}
    place = {ref: number for number, ref in enumerate(survey.line)}
    readable, found = survey.readable(), []
    for name, layer in noisy.items():
        front = readable.get(_in_front(name, noisy, sources), "")
        if name not in marked and front in place:
            found.append((front, layer))
    return sorted(found, key=lambda pair: place[pair[0]])


def in_front(survey: Survey, layer: Layer) -> str:
    """The name of the layer in front of a noise layer at the top of the model, past other noise; empty: not known."""
    root = next((one.config for one in survey.opened.layers if one.path == "root"), None)
    sources = _sources(root if isinstance(root, dict) else {})
    noisy = {one.name for one in survey.opened.layers if one.class_name in NOISE_CLASSES}
    name, passed = layer.name, set()
    while name in noisy and name not in passed and len(sources.get(name, [])) == 1:
        passed.add(name)
        name = sources[name][0]
    return "" if name in noisy else name


def _in_front(name: str, noisy: Collection[str], sources: dict[str, list[str]]) -> str:
    """The layer in front of a noise layer, and of those in front of that; itself when that is not certain."""
    passed: set[str] = set()
    while name in noisy and name not in passed and _only_reader(sources, name):
        passed.add(name)
        name = sources[name][0]
    return name


def _only_reader(sources: dict[str, list[str]], name: str) -> bool:
    """Whether it reads one layer, which nothing else reads."""
    read = sources.get(name, [])
    return len(read) == 1 and sum(name in other for other in sources.values() for name in read) == 1


def _sources(config: dict[str, Any]) -> dict[str, list[str]]:
    """Layer -> the layers that it reads, by the config of a Functional or Sequential model; the output reads too."""
    found: dict[str, list[str]] = {}
    before: list[str] = []
    listed = config.get("layers")
    for layer in listed if isinstance(listed, list) else []:
        own = layer.get("config") if isinstance(layer, dict) else None
        name = str(layer.get("name") or own.get("name", "")) if isinstance(own, dict) else ""
        nodes = layer.get("inbound_nodes") if isinstance(layer, dict) else []
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
