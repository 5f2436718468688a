"""The allow list covers the layers and tokenizers that people write models with, and holds nothing that none needs."""

from __future__ import annotations

import pytest
from penult_service.guard.allowed import allowed_at
from support.model_kinds import kinds, ops_of

pytestmark = pytest.mark.tensorflow
# Between the functions of every model; single functions have none.
FRAME = {"PartitionedCall", "StatefulPartitionedCall", "NoOp"}


@pytest.mark.parametrize("name", [name for name, _ in kinds()])
def test_a_kind_of_model(name: str) -> None:
    used = ops_of(name)
    assert len(used) > 5
    assert sorted(used - allowed_at("serving")) == []


def test_every_operation_is_needed_by_a_kind() -> None:
    used = set().union(*(ops_of(name) for name, _ in kinds()))
    assert sorted(allowed_at("serving") - used - FRAME) == []
