"""The allow list covers the layers and tokenizers that people write models with, and holds nothing that none needs."""

from __future__ import annotations

import pytest
import tensorflow as tf
from penult_service.guard.allowed import allowed_at
from penult_service.preparing.sampling import keyed
from penult_service.preparing.sampling.keyed import Recipe
from support.model_kinds import kinds, ops_of

pytestmark = pytest.mark.tensorflow
# Between the functions of every model; single functions have none.
FRAME = {"PartitionedCall", "StatefulPartitionedCall", "NoOp"}


def ops_of_masks() -> set[str]:
    """What every way to put a dropout back is made of."""
    recipes = [
        Recipe(kind, 3, shared, stacked)
        for kind in ("Dropout", "AlphaDropout", "GaussianDropout", "GaussianNoise")
        for shared in ((), (0,), (1,))
        for stacked in (False, True)
    ]
    return {node.op for recipe in recipes for node in keyed.traced(recipe, tf.float32).nodes.values()}


@pytest.mark.parametrize("name", [name for name, _ in kinds()])
def test_a_kind_of_model(name: str) -> None:
    used = ops_of(name)
    assert len(used) > 5
    assert sorted(used - allowed_at("serving")) == []


def test_dropout_that_is_put_back() -> None:
    assert sorted(ops_of_masks() - allowed_at("serving")) == []


def test_every_operation_is_needed_by_a_kind() -> None:
    used = set().union(*(ops_of(name) for name, _ in kinds())) | ops_of_masks()
    assert sorted(allowed_at("serving") - used - FRAME) == []
