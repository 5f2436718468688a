"""Sequences of events: what is read and refused, who is held out, windows, baselines."""

from __future__ import annotations

import inspect
import json
from collections import Counter
from dataclasses import asdict
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from penult_service.cli.app import main
from penult_service.cli.training import events as command
from penult_service.errors import InvalidInput, NotFound
from penult_service.recipes.events import sequences as recipe
from penult_service.recipes.events.baselines import baselines
from penult_service.recipes.events.settings import Settings, Variant, variants

BADGES = Path(__file__).parents[4] / "shared" / "data" / "so_badges.jsonl"


def row(events: Any = (3, 1, 2), minutes: Any = (0.0, 5.0, 90.5), **more: Any) -> dict[str, Any]:
    return {"event": events, "minutes_since_prev": minutes, "split": "train"} | more


def written(place: Path, *rows: dict[str, Any]) -> Path:
    file = place / "rows.jsonl"
    file.write_text("".join(json.dumps(one) + "\n" for one in rows))
    return file


def made(*events: list[int], minutes: float = 1440.0) -> list[recipe.EventSequence]:
    return [
        recipe.EventSequence(np.array(one, np.int32), np.full(len(one), minutes, np.float32))
        for one in events
    ]


def test_what_is_read(tmp_path: Path) -> None:
    found = recipe.read(written(tmp_path, row(), row([7, 7], [0, 1], split="test")), recipe.Columns())
    assert (len(found), found.types, found.splits) == (2, 7, ("train", "test"))
    np.testing.assert_array_equal(found.rows[0].events, [3, 1, 2])
    np.testing.assert_array_equal(found.rows[0].minutes, np.float32([0, 5, 90.5]))
    kept, held_out = recipe.sides(found, 0.5, 1)
    assert [one.events.tolist() for one in (*kept, *held_out)] == [[3, 1, 2], [7, 7]]


def test_minutes_before_the_last_event_are_turned(tmp_path: Path) -> None:
    """Those of the question: 100, 96, 96, 45, 44, 12, 0."""
    before = [100, 96, 96, 45, 44, 12, 0]
    file = written(tmp_path, {"types": [1] * 7, "before": before})
    found = recipe.read(file, recipe.Columns("types", "before", None, before_last=True))
    np.testing.assert_array_equal(found.rows[0].minutes, [0, 4, 0, 51, 1, 32, 12])


@pytest.mark.parametrize(
    ("wrong", "reason", "words"),
    [
        (row(events="3 1 2"), "NOT_A_LIST", "line 2, 'event': there is no list, but '3 1 2'"),
        (row(minutes=[0.0, 1.0]), "WRONG_SHAPE", "'event' 3, 'minutes_since_prev' 2"),
        (row([1], [0.0]), "WRONG_SHAPE", "at least 2"),
        (row([1, 0, 2]), "NOT_AN_EVENT", "0 is no event type"),
        (row([1, 2.5, 2]), "NOT_AN_EVENT", "2.5 is no event type"),
        (row([1, True, 2]), "NOT_AN_EVENT", "True is no event type"),
        (row(minutes=[0.0, float("nan"), 1.0]), "NOT_A_NUMBER", "nan is not a finite number of minutes"),
        (row(minutes=[0.0, None, 1.0]), "NOT_A_NUMBER", "is not a finite number of minutes"),
        (row(minutes=[0.0, "1", 1.0]), "NOT_A_NUMBER", "'1' is not a finite number of minutes"),
        (row(minutes=[0.0, 10**400, 1.0]), "NOT_A_NUMBER", "0 is not a finite number of minutes"),
        (row(minutes=[0.0, 1e39, 1.0]), "NOT_A_NUMBER", "1e+39 is not a finite number of minutes"),
        (row(minutes=[0.0, -1.0, 1.0]), "OUT_OF_RANGE", "event 2 is before the one in front of it"),
        (row(split="valid"), "NOT_A_SPLIT", "'valid' is neither 'train' nor 'test'"),
        ({"event": [1, 2]}, "COLUMN_MISSING", "line 2 has no 'minutes_since_prev'; there are 'event'"),
    ],
)
def test_what_cannot_be_used_is_named(tmp_path: Path, wrong: Any, reason: str, words: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        recipe.read(written(tmp_path, row(), wrong), recipe.Columns())
    assert caught.value.reason == reason
    assert words in caught.value.message


def test_files_and_sides_that_are_empty(tmp_path: Path) -> None:
    with pytest.raises(NotFound):
        recipe.read(tmp_path / "none.jsonl", recipe.Columns())
    with pytest.raises(InvalidInput, match="there are no rows"):
        recipe.read(written(tmp_path), recipe.Columns())
    found = recipe.read(written(tmp_path, row(), row()), recipe.Columns())
    with pytest.raises(InvalidInput, match="no sequence is left to measure on"):
        recipe.sides(found, 0.5, 1)


def test_names_of_events(tmp_path: Path) -> None:
    assert recipe.names(None, 3) == ["1", "2", "3"]
    file = tmp_path / "names.csv"
    file.write_text("event,badge\n2,Good Answer\n1,Nice Question\n")
    assert recipe.names(file, 2) == ["Nice Question", "Good Answer"]
    with pytest.raises(InvalidInput, match="no name of event 3"):
        recipe.names(file, 3)


def test_every_next_event_counts_once() -> None:
    rng = np.random.default_rng(0)
    rows = made(*(rng.integers(1, 9, length).tolist() for length in (2, 3, 9, 10, 11, 12, 40, 41)))
    for length, overlap in ((10, 2), (10, 0), (2, 0), (100, 25)):
        cut = recipe.windows(rows, length, overlap)
        assert max(window.width for window in cut) <= length
        counted: Counter[tuple[int, int]] = Counter()
        for window in cut:
            counted.update((window.row, at + 1) for at in range(window.scored, window.end))
        assert counted == Counter({(i, at): 1 for i, one in enumerate(rows) for at in range(1, len(one))})
        late = [window for window in cut if window.begin]
        assert all(window.scored - window.begin == overlap for window in late)


def test_a_batch_holds_what_comes_next() -> None:
    rows = made([5, 6, 7, 8], [1, 2])
    found = recipe.batch(rows, recipe.windows(rows, 2, 1))
    np.testing.assert_array_equal(found.events, [[5, 6], [6, 7], [1, 0]])
    np.testing.assert_array_equal(found.next_events, [[6, 7], [7, 8], [2, 0]])
    np.testing.assert_array_equal(found.counts, [[1, 1], [0, 1], [1, 0]])
    np.testing.assert_array_equal(found.days, [[1, 1], [1, 1], [1, 0]])
    np.testing.assert_array_equal(found.minutes, [[1440, 1440], [1440, 1440], [1440, 0]])


def test_baselines_counted_by_hand() -> None:
    train = made([1, 2, 1, 2, 1], [3, 3, 2])
    test = made([1, 2, 1, 1], [4, 2], minutes=2880.0)
    markov, often, repeat, mean, median = baselines(train, test, 4)
    # 1 → 2, 2 → 1, 3 → 2 (of equals the lower), 4 → 1, the commonest of equals.
    assert markov.accuracy == 2 / 4
    assert often.accuracy == 2 / 4
    assert repeat.accuracy == 1 / 4
    assert (mean.rmse_days, median.mae_days) == (1.0, 1.0)


def test_markov_is_that_of_a_table_and_takes_few_numbers_of_many_events() -> None:
    rng = np.random.default_rng(3)
    train, test = ([rng.integers(1, 7, 30).tolist() for _ in range(20)] for _ in range(2))
    counts = np.zeros((7, 7))
    for one in train:
        for before, after in pairwise(one):
            counts[before, after] += 1
    said = [counts[before].argmax() == after for one in test for before, after in pairwise(one)]
    assert baselines(made(*train), made(*test), 6)[0].accuracy == pytest.approx(np.mean(said))
    high = made([1, recipe.MOST_TYPES, 1, recipe.MOST_TYPES])
    assert baselines(high, high, recipe.MOST_TYPES)[0].accuracy == 1


@pytest.mark.skipif(not BADGES.is_file(), reason="the StackOverflow badges are not here")
def test_the_badges_give_the_known_figures() -> None:
    found = recipe.read(BADGES, recipe.Columns())
    kept, held_out = recipe.sides(found, 0.3, 0)
    markov, often, repeat, mean, median = baselines(kept, held_out, found.types)
    assert sum(len(one) - 1 for one in held_out) == 95_907
    figures = [markov.accuracy, often.accuracy, repeat.accuracy]
    np.testing.assert_allclose(figures, [0.4448, 0.4289, 0.3059], atol=6e-5)
    np.testing.assert_allclose([mean.rmse_days, median.mae_days], [12.04, 7.38], atol=6e-3)


def test_variants() -> None:
    assert variants("concat", "learned") == (Variant("concat"),)
    assert [one.called for one in variants("all", "inverse")] == [
        "none", "concat", "conv1x1", "time-gate, inverse", "time-gate, learned",
    ]  # fmt: skip
    several = (Variant("time-gate", "inverse"), Variant("none"))
    assert variants("time-gate, none,none", "inverse") == several
    for words in (("lstm", "learned"), ("none,lstm", "learned"), ("time-gate", "linear")):
        with pytest.raises(InvalidInput, match="it is one of"):
            variants(*words)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("units", 0),
        ("dropout", 1.0),
        ("epochs", 0),
        ("learning_rate", float("nan")),
        ("length", 1),
        ("gate_unit", 0.0),
        ("gate_unit", float("inf")),
        ("time_weight", -1.0),
        ("valid_fraction", 1.0),
        ("seeds", 0),
    ],
)
def test_settings_out_of_range(name: str, value: Any) -> None:
    with pytest.raises(InvalidInput, match=f"{name} is {value}") as caught:
        Settings(**{name: value})
    assert caught.value.field == name


def test_the_command_line_has_the_defaults_of_the_recipe() -> None:
    defaults = asdict(Settings())
    shown = {name: each.default for name, each in inspect.signature(command.events).parameters.items()}
    for name, default in defaults.items():
        assert (command.VALID_FRACTION if name == "valid_fraction" else shown[name]) == default


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--variant", "lstm"], "--variant 'lstm': it is one of none, concat, conv1x1, time-gate, several"),
        (["--decay", "linear"], "--decay 'linear': it is one of inverse, learned"),
        (
            ["--seed", str(2**31 - 1), "--seeds", "2"],
            "seed is 2147483648; it must be at least 0 and below 2^31",
        ),
        (
            ["--split-field", "split", "--valid-fraction", "0.1"],
            "give --split-field or --valid-fraction, not both",
        ),
        (["--epochs", "0"], "epochs is 0; it must be at least 1"),
        (
            ["--event-field", "types"],
            "line 1 has no 'types'; there are 'event', 'minutes_since_prev', 'split'",
        ),
        (["--report", "report.txt"], "report.txt"),
    ],
)
def test_what_cannot_be_trained_is_said_in_a_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], words: list[str], says: str
) -> None:
    file = written(tmp_path, row(), row())
    assert main(["train", "events", str(file), "--output", str(tmp_path / "models" / "m"), *words]) == 2
    said = capsys.readouterr().err
    assert says in said
    assert "Traceback" not in said
    assert not (tmp_path / "models").exists()
