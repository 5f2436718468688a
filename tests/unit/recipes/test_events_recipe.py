"""Training on events with times: what is saved says what was trained, and time is used where it tells something."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from penult_service.recipes.events import sequences
from penult_service.recipes.events.settings import Settings, Variant, variants

pytestmark = pytest.mark.tensorflow

SMALL = Settings(units=12, embedding=6, epochs=8, learning_rate=0.02, batch_size=16, length=12, dropout=0.0)


def told_by_time(count: int, seed: int = 0) -> sequences.Sequences:
    """After a short wait the same event comes again, after a long one the other; half of the waits are long."""
    rng = np.random.default_rng(seed)
    rows = []
    for length in rng.integers(8, 30, count):
        long = rng.random(length) < 0.5
        minutes = np.where(long, rng.uniform(5000, 20000, length), rng.uniform(1, 30, length))
        minutes[0] = 0
        # The wait in front of an event decides what comes behind it.
        events = [int(rng.integers(1, 3))]
        for late in long[:-1]:
            events.append(3 - events[-1] if late else events[-1])
        rows.append(sequences.EventSequence(np.array(events, np.int32), minutes.astype(np.float32)))
    splits = tuple("test" if i % 4 == 0 else "train" for i in range(count))
    return sequences.Sequences("made", "0", tuple(rows), splits, 2)


@pytest.fixture(scope="module")
def compared(tmp_path_factory: pytest.TempPathFactory) -> Any:
    from penult_service.recipes.events.train import train

    output = tmp_path_factory.mktemp("models") / "events"
    said: list[tuple[str, int, int, str]] = []
    chosen = (Variant("none"), Variant("time-gate", "learned"))
    found = train(told_by_time(120), ["a", "b"], chosen, output, SMALL, lambda *told: said.append(told))
    return found, said


def test_time_is_used_where_it_tells_something(compared: Any) -> None:
    found, _ = compared
    accuracy = {one.variant.name: one.runs[0].accuracy for one in found.outcomes}
    markov = found.baselines[0].accuracy
    assert markov < 0.6
    assert accuracy["none"] < 0.65
    assert accuracy["time-gate"] > accuracy["none"] + 0.1


def test_what_is_saved_beside_the_model(compared: Any) -> None:
    found, said = compared
    for outcome in found.outcomes:
        assert outcome.path.parent.name == f"events-{outcome.variant.slug}"
        record = json.loads((outcome.path / "training.json").read_text())
        assert record["metrics"]["accuracy"] == outcome.runs[0].accuracy
        assert record["variant"] == outcome.variant.called
        assert json.loads((outcome.path / "labels.json").read_text()) == ["a", "b"]
        assert 'output = "next_event"' in (outcome.path / "penult.toml").read_text()
    assert found.next_events == sum(len(one) - 1 for one in told_by_time(120).rows[::4])
    assert any(stage == "training none" and done == total for stage, done, total, _ in said)


@pytest.mark.parametrize("variant", variants("all", "learned"), ids=lambda one: one.slug)
def test_the_last_step_is_what_training_says_of_it(variant: Variant) -> None:
    """The model that is saved, on beginnings of sequences padded on either side, against the one that is trained."""
    from penult_service.recipes.events.network import DAYS, NEXT_EVENT, EventNetwork, Scale

    rows = told_by_time(6, seed=3).rows
    network = EventNetwork(variant, 2, Scale(5.0, 3.0, 2.0, 3.0), SMALL)
    rng = np.random.default_rng(1)
    trained = network._steps
    trained.set_weights([weight + rng.normal(size=weight.shape) * 0.3 for weight in trained.get_weights()])
    part = sequences.batch(rows, sequences.windows(rows, 40, 0))
    chances, days = network.says(part)
    model = network.finished()
    ends = np.array([3, 1, 7, 5, 2, 6])
    for left in (False, True):
        events, minutes = np.zeros((6, 9), np.int32), np.zeros((6, 9), np.float32)
        for i, end in enumerate(ends):
            place = slice(9 - end, 9) if left else slice(0, end)
            events[i, place], minutes[i, place] = part.events[i, :end], part.minutes[i, :end]
        said = model.predict([events, minutes], verbose=0)
        np.testing.assert_allclose(said[NEXT_EVENT], chances[np.arange(6), ends - 1], atol=1e-5)
        np.testing.assert_allclose(said[DAYS], days[np.arange(6), ends - 1], rtol=1e-5, atol=1e-5)
    assert (days >= 0).all()


READER = """
import sys, numpy as np
sys.modules["penult_service"] = None
import tensorflow as tf
model = tf.saved_model.load(sys.argv[1]).signatures["serving_default"]
events = np.array([[1, 2, 2, 0]], np.int32)
minutes = np.array([[0, 6000, 3, 0]], np.float32)
said = model(events=tf.constant(events), minutes=tf.constant(minutes))
np.save(sys.argv[2], said["next_event"].numpy())
"""


def test_the_time_gate_opens_without_our_code(compared: Any, tmp_path: Path) -> None:
    found, _ = compared
    path = found.outcomes[-1].path
    command = [sys.executable, "-c", READER, str(path), str(tmp_path / "said.npy")]
    subprocess.run(command, check=True, capture_output=True)
    import tf_keras
    from penult_service.recipes.layers.time_gate import time_gate_lstm_cell

    time_gate_lstm_cell(tf_keras)  # registers it
    model = tf_keras.models.load_model(str(path))
    given = [np.array([[1, 2, 2, 0]], np.int32), np.array([[0, 6000, 3, 0]], np.float32)]
    wanted = model.predict(given, verbose=0)["next_event"]
    np.testing.assert_allclose(np.load(tmp_path / "said.npy"), wanted, atol=1e-6)


def test_events_at_regular_times() -> None:
    """The deviation of what is always the same is rounding: nothing is divided by it."""
    from penult_service.recipes.events import train

    for minutes in (0.0, 7.0, 5.1):
        rows = [replace(one, minutes=np.full(len(one), minutes, np.float32)) for one in told_by_time(40).rows]
        scale = train._scale(rows)
        assert (scale.log_deviation, scale.deviation_days) == (1, 1)
    brief = replace(SMALL, epochs=1)
    network = train._fitted(Variant("concat"), rows, 2, scale, brief, lambda *_: None, "")
    run = train._measured(network, rows, 42, 0.0)
    assert run.log_loss < 1
    assert run.mae_days < 1


def test_a_training_that_diverges_is_not_saved(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from penult_service.errors import InvalidInput
    from penult_service.recipes.events import network, train

    monkeypatch.setattr(network.EventNetwork, "train_step", lambda *_: float("nan"))
    with pytest.raises(InvalidInput, match="none: its error is nan by now"):
        train.train(told_by_time(20), ["a", "b"], [Variant("none")], tmp_path / "m", SMALL, lambda *_: None)
    assert not (tmp_path / "m").exists()


def test_one_seed_gives_one_model() -> None:
    from penult_service.recipes.events import train

    brief, rows = replace(SMALL, epochs=1, dropout=0.3), told_by_time(20).rows
    weights = []
    for _ in range(2):
        network = train._fitted(Variant("concat"), rows, 2, train._scale(rows), brief, lambda *_: None, "")
        weights.append(network.finished().get_weights())
    for one, other in zip(*weights, strict=True):
        np.testing.assert_array_equal(one, other)
