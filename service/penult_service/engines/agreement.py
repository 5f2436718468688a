"""Whether an engine computes what TensorFlow does, also what `pricing` does not look at: a server may ask for it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from penult_service.batching.plan import Limits, plan
from penult_service.engines.examples import Examples
from penult_service.engines.pricing import LARGEST_DIFFERENCE, Computes, Read
from penult_service.prepared import Manifest
from penult_service.tuned import FLOAT32

_BROKEN = 0.1  # of the largest number: more than rounding to reduced precision explains
_ROWS = 8


def outputs_fault(precision: str, wanted: Read, found: Read) -> str:
    """Why the head's output is not accepted, a sentence; empty when it is. In reduced precision `pricing` judges it."""
    if precision != FLOAT32 or wanted.outputs is None or found.outputs is None:
        return ""
    apart = _apart(wanted.outputs, found.outputs)
    return _sentence("the output of its head", apart, LARGEST_DIFFERENCE)


def readouts_fault(
    precision: str,
    reference: Computes,
    engine: Computes,
    manifest: Manifest,
    examples: Examples,
    *,
    alone: bool = True,
) -> str:
    """The same of every readout, the seam by itself and each other one with it, on the longest rows and some others.

    `alone`: how the engine computes them, see `embedder.Engine`; the reference always computes them alone.
    """
    accepted = LARGEST_DIFFERENCE if precision == FLOAT32 else _BROKEN
    others = [one.layer for one in manifest.readouts if one.layer != manifest.seam]
    chosen = _chosen(examples)
    for layers in [(manifest.seam,), *((manifest.seam, layer) for layer in others)]:
        for rows in plan(examples.costs[chosen].tolist(), Limits()):
            batch = chosen[rows]
            inputs = examples.batch(batch.tolist())
            wanted, found = (
                _used(one.encode(inputs, layers, alone=how), examples.lengths[batch])
                for one, how in ((reference, True), (engine, alone))
            )
            for layer in layers:
                fault = _sentence(f"the readout {layer!r}", _apart(wanted[layer], found[layer]), accepted)
                if fault:
                    return fault
    return ""


def _chosen(examples: Examples) -> NDArray[np.intp]:
    """Places of the shortest row, of the two longest, and of some between."""
    order = np.argsort(examples.lengths, kind="stable")
    places = np.linspace(0, len(order) - 1, min(_ROWS, len(order))).round().astype(int)
    return np.asarray(order[np.unique([*places, max(len(order) - 2, 0)])])


def _used(readouts: Mapping[str, NDArray[Any]], lengths: NDArray[np.int32]) -> dict[str, NDArray[Any]]:
    """Of rows of tokens, those that a text has: what stands behind it is never read."""
    return {
        layer: array if array.ndim != 3 else array[np.arange(array.shape[1]) < lengths[:, None]]
        for layer, array in readouts.items()
    }


def _apart(wanted: NDArray[Any], found: NDArray[Any]) -> float:
    """The largest difference, of the largest number or 1; infinite where only one is finite, or the shapes differ."""
    if wanted.shape != found.shape:
        return float("inf")
    if wanted.dtype.kind in "OSU":
        return 0.0 if (wanted == found).all() else float("inf")
    a, b = wanted.astype(np.float64), found.astype(np.float64)
    both = np.isfinite(a) & np.isfinite(b)
    if (both != (np.isfinite(a) | np.isfinite(b))).any():
        return float("inf")
    return float(np.abs(a[both] - b[both]).max(initial=0.0) / np.abs(a[both]).max(initial=1.0))


def _sentence(what: str, apart: float, accepted: float) -> str:
    if apart <= accepted:
        return ""
    return f"{what} differs from TensorFlow's by {apart:.2g} of its largest number ({accepted:g} is accepted)"
