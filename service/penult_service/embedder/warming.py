"""The rows that a model is warmed with."""

from __future__ import annotations

import numpy as np

from penult_service.embedder.given import Given, Tensors
from penult_service.embedder.slots import TEXT_ROLE, slots
from penult_service.prepared import Manifest

_TEXT = "Is it warm yet?"
_LENGTH = 8  # along an axis of any length


def warm_rows(manifest: Manifest) -> Given:
    """The texts that were declared, else one; whatever else the model takes is 0, and its mask 1."""
    texts = list(manifest.warm_up) or [_TEXT]
    wanted = [slot for slot in slots(manifest) if not slot.made]
    if [slot.role for slot in wanted] == [TEXT_ROLE]:
        return texts
    columns = {}
    for slot in wanted:
        if slot.role == TEXT_ROLE:
            columns[slot.name] = np.array(texts, dtype=object)
        else:
            dtype = "float32" if slot.dtype == "bfloat16" else slot.dtype
            shape = [min(_LENGTH, manifest.max_length) if length < 0 else length for length in slot.shape]
            columns[slot.name] = np.full((len(texts), *shape), slot.role == "mask", dtype)
    return Tensors(columns)


def invented(manifest: Manifest) -> bool:
    """Whether there are numbers among these rows, which nobody said anything of."""
    return any(slot.role != TEXT_ROLE and not slot.made for slot in slots(manifest))
