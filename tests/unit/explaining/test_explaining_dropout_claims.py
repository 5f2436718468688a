"""What people say of dropout: the verdicts on both Keras versions, and that they turn with what is measured."""

from __future__ import annotations

import os

import numpy as np
import pytest
from penult_service.explaining import dropout_claims
from penult_service.explaining.dropout_claims import Layers, Seen
from penult_service.explaining.recurrent_claims import HALF, OUTDATED, RIGHT, WRONG, Claim
from penult_service.explaining.sharing import Masks

os.environ["KERAS_BACKEND"] = "tensorflow"
pytestmark = pytest.mark.tensorflow
BOTH_KERAS = {
    "Dropout drops different features": RIGHT,
    "every axis except the first": WRONG,
    "drops time steps": HALF,
    "(1, 1, 10) drops features": HALF,
    "drops samples": RIGHT,
    "SpatialDropout1D is noise_shape": RIGHT,
    "some time steps entirely": WRONG,
    "after an LSTM": RIGHT,
    "the dropout of an LSTM makes four masks": OUTDATED,
    "recurrent_dropout makes four masks": RIGHT,
    "on 14 features drops 20%": HALF,
    "does not create noise": WRONG,
    "drops one given feature": WRONG,
}


@pytest.fixture(scope="module", params=[3, 2])
def version(request: pytest.FixtureRequest) -> int:
    return int(request.param)


@pytest.fixture(scope="module")
def found(version: int) -> list[Claim]:
    return dropout_claims.claims(version, seed=1)


def test_verdicts(version: int, found: list[Claim]) -> None:
    verdicts = {claim.said: claim.verdict for claim in found}
    # The dropout inside an LSTM: of Keras 3 as SpatialDropout1D in front, of Keras 2 as Dropout in front.
    expected = {**BOTH_KERAS, "differs from a Dropout layer": RIGHT if version == 3 else WRONG}
    for words, verdict in expected.items():
        assert [verdicts[said] for said in verdicts if words in said] == [verdict], words
    assert len(found) == len(expected)


def test_figures_stand_behind_the_verdicts(found: list[Claim]) -> None:
    measured = {claim.said: claim.measured for claim in found}
    noise = next(text for said, text in measured.items() if "noise" in said and "create" in said)
    variance = float(noise.split("variance ")[1].split(" ")[0])
    assert variance == pytest.approx(0.25, abs=0.02)
    column = next(text for said, text in measured.items() if "one given feature" in said)
    alone = int(column.split("that one in ")[1].split("%")[0])
    assert alone == pytest.approx(20, abs=6)
    assert column.endswith("the others in 0%")


def seen(shared: set[str]) -> Seen:
    return Seen(
        Masks(np.ones((1, 4, 6, 10), np.float32), ("sample", "step", "feature"), 0.5), frozenset(shared), "so"
    )


def test_verdicts_turn_with_the_masks() -> None:
    layers = Layers(3, 0)
    layers.__dict__["plain"] = seen({"sample"})
    assert dropout_claims._random_places(layers).verdict == WRONG
    assert dropout_claims._not_the_batch(layers).verdict == RIGHT
    layers.__dict__["inside"] = seen(set())
    assert dropout_claims._four_masks(layers).verdict == RIGHT
    layers.__dict__["on_state"] = seen({"gate"})
    assert dropout_claims._four_on_state(layers).verdict == OUTDATED
    spatial = np.ones((1, 1, 2, 3), np.float32)
    spatial[0, 0, 1] = 0.0
    layers.__dict__["spatial"] = Seen(Masks(spatial, ("sample", "step", "feature"), 0.5), frozenset(), "so")
    assert dropout_claims._spatial_steps(layers).verdict == RIGHT
    assert "in 1 of 1 samples" in dropout_claims._spatial_steps(layers).measured
