"""Layers and dropouts of a model in words: how their parameters are counted, what their draws share."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from penult_client import DropoutReport, DropoutSite, ModelLayer

WIDTH = 100
PLACES = {
    "before_embedding": "in the encoder",
    "at_seam": "in front of the head, read here",
    "in_head": "in the head",
}
_NUMBER = re.compile(r"(_?\d+)+")
_AXES = {1: ("sample",), 2: ("sample", "feature"), 3: ("sample", "step", "feature")}
_GATES = {"LSTM": 4, "GRU": 3, "SimpleRNN": 1, "LSTMCell": 4, "GRUCell": 3, "SimpleRNNCell": 1}
_PER_FEATURE = {"LayerNormalization": 2, "LayerNorm": 2, "BatchNormalization": 4}


def paragraph(text: str, indent: str = "") -> str:
    """The text in lines of a readable width; those behind the first indented."""
    return textwrap.fill(text, WIDTH, subsequent_indent=indent)


def formula(layer: ModelLayer, lengths: set[int]) -> str:
    """How the layer's parameters are counted, where that is short; else empty.

    Args:
        layer: A layer; what it is given is not recorded, and found by its parameters.
        lengths: Last axes of tensors in the model: what a layer may be given.
    """
    count, units, kind = layer.parameters, layer.units, layer.layer_class
    last = layer.output_shape[-1] if layer.output_shape else 0
    if not count:
        return ""
    if kind in ("Dense", "Linear") and units and count % units == 0:
        inputs = count // units
        if inputs in lengths and inputs - 1 not in lengths:  # without a bias
            return f"{inputs:,} x {units:,}"
        return f"({inputs - 1:,} + 1) x {units:,}"
    if kind in _GATES and units:
        return _recurrent(count, units, _GATES[kind], lengths)
    if kind == "Embedding" and last > 0 and count % last == 0:
        return f"{count // last:,} x {last:,}"
    if kind in _PER_FEATURE and last > 0 and count == _PER_FEATURE[kind] * last:
        return f"{_PER_FEATURE[kind]} x {last:,}"
    return ""


def _recurrent(count: int, units: int, gates: int, lengths: set[int]) -> str:
    """With the biases that leave a number of features which the model has."""
    if count % (gates * units):
        return ""
    heard = count // (gates * units)
    ways = [(heard - units - biases, biases) for biases in ((2, 1, 0) if gates == 3 else (1, 0))]
    possible = [(features, biases) for features, biases in ways if features > 0]
    known = [way for way in possible if way[0] in lengths] or possible
    if not known:
        return ""
    features, biases = known[0]
    words = " + ".join(f"{number:,}" for number in (features, units, biases) if number)
    return f"{gates} x ({words}) x {units:,}" if gates > 1 else f"({words}) x {units:,}"


def axes_of(site: DropoutSite, layers: Sequence[ModelLayer]) -> tuple[str, ...]:
    """What the axes of a dropout's input count, from its noise shape or its own output; empty: not known."""
    rank = len(site.noise_shape)
    if not rank:
        path = site.path.partition("#")[0]
        rank = next((len(layer.output_shape) for layer in layers if layer.path == path), 0)
    if rank in _AXES:
        return _AXES[rank]
    if rank == 4 and "2D" in site.layer_class:
        return ("sample", "row", "column", "channel")
    return ("sample", *(f"place on axis {axis}" for axis in range(1, rank - 1)), "feature") if rank else ()


def shared(site: DropoutSite, layers: Sequence[ModelLayer]) -> str:
    """Which numbers share one draw."""
    if not site.shared_axes:
        return "each number its own draw"
    axes = axes_of(site, layers)
    names = [axes[axis] if axis < len(axes) else f"place on axis {axis}" for axis in site.shared_axes]
    own = [name for axis, name in enumerate(axes) if axis not in site.shared_axes]
    words = f"one draw for all {_listed([_plural(name) for name in names])}"
    if not axes:
        return words
    return f"{words}; its own for each {_listed(own)}" if own else f"{words}: all or nothing"


def gathered(sites: Sequence[DropoutSite]) -> list[tuple[DropoutSite, list[str]]]:
    """The dropouts; of those in an encoder whose paths differ by numbers alone the first, with the paths of all."""
    found: dict[tuple[object, ...], tuple[DropoutSite, list[str]]] = {}
    for site in sites:
        facts = (site.layer_class, site.rate, site.place, site.noise_shape, site.shared_axes, site.sampled)
        path = _NUMBER.sub("", site.path) if site.place == "before_embedding" else site.path
        found.setdefault((path, *facts), (site, []))[1].append(site.path)
    return list(found.values())


def shared_by_samples(site: DropoutSite, layers: Sequence[ModelLayer]) -> str:
    """What a mask without a batch axis does; empty where each sample has its own."""
    if 0 not in site.shared_axes:
        return ""
    shape = ", ".join("None" if n < 0 else str(n) for n in site.noise_shape)
    own = ", ".join(["None", *("None" if n < 0 else str(n) for n in site.noise_shape[1:])])
    noise = f" (noise shape {shape}: its first axis, the batch, is 1)" if shape else ""
    mend = f" noise_shape=({own}) draws for each sample." if shape else ""
    share = "a share" if site.rate is None else f"{100 * site.rate:g} %"
    axes = axes_of(site, layers)
    left = [name for axis, name in enumerate(axes) if axis not in site.shared_axes]
    effect = (
        f"each {_listed(left)} that is dropped ({share}) is dropped in every sample of the batch at once"
        if left
        else f"{share} of the batches become zeros as a whole"
        if axes
        else f"what is dropped ({share}) is dropped in every sample of the batch at once"
    )
    return (
        f"{site.path}{noise} draws one mask for all samples of a batch, likely by mistake: in training {effect}. The "
        f"gradients of a batch then share their noise, which more samples do not average out (penult explain "
        f"minibatch measures it).{mend}"
    )


def inner_dropouts(report: DropoutReport) -> dict[str, str]:
    """Path of each recurrent layer that drops inside -> what it drops, in words."""
    found = {}
    for layer in report.layers:
        rates = (
            (layer.dropout, "dropout", "what it is given"),
            (layer.recurrent_dropout, "recurrent_dropout", "its state"),
        )
        parts = [f"{name} {rate:g} on {what}" for rate, name, what in rates if rate]
        if parts:
            found[layer.path] = _listed(parts)
    return found


def _plural(name: str) -> str:
    head, space, rest = name.partition(" ")
    return f"{head}s{space}{rest}"


def _listed(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
