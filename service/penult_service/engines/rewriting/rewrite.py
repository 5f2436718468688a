"""All rewritings, in the order in which one makes room for the next."""

from __future__ import annotations

from typing import Any

from penult_service.engines.rewriting.attention import fuse_attention
from penult_service.engines.rewriting.dense import lower_transposes, products_of_einsums
from penult_service.engines.rewriting.elementwise import fuse_gelus, fuse_norms


def rewrite(model: Any) -> dict[str, int]:
    """Changes an `openvino.Model` in place, up to rounding to what computes the same; how often it found each form.

    A row whose mask is all zero is the exception: what attention gives there, which means nothing, is another number.
    """
    found = {"dense": products_of_einsums(model), "lowered": 0}
    while more := lower_transposes(model):
        found["lowered"] += more
    found |= {"norm": fuse_norms(model), "gelu": fuse_gelus(model), "attention": fuse_attention(model)}
    model.validate_nodes_and_infer_types()
    return found
