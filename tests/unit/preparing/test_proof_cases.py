"""What must be refused, and what must not, by the whole pipeline; `scripts/proof-report` prints the same as a table."""

from __future__ import annotations

from pathlib import Path

import pytest
from support import stochastic_models as models

pytestmark = pytest.mark.tensorflow

# Like others, or long.
FULL = {
    "the question's own model",
    "a hub encoder with training=True",
    "recurrent_dropout of GRU forced on",
    "GaussianDropout forced on",
    "AlphaDropout forced on",
    "tf.nn.dropout in a Lambda",
    "random in map_fn",
    "random in a branch",
    "Keras 3 inside, in inference",
    "FusedBatchNorm, is_training",
    "another signature that drops",
    "random initialisers",
}


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[pytest.mark.full] if name in FULL else []) for name in models.CASES]
)
def test_it_becomes_of_a_model_what_should(name: str, tmp_path: Path) -> None:
    found = models.outcome(models.CASES[name], tmp_path)
    assert found.right, f"{found.found}: {found.said}"
    assert (tmp_path / "prepared").exists() == (found.found == "accepted")


def test_those_that_are_left_to_the_long_run_are_cases() -> None:
    assert models.CASES.keys() > FULL
