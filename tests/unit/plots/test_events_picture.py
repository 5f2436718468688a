"""The picture of ways to learn events with times."""

from __future__ import annotations

import pytest
from penult_service.errors import InvalidInput
from penult_service.plots.events import EventsView, Panel, _figure, picture
from penult_service.plots.themes import DARK, LIGHT

ACCURACY = Panel(
    "Next event", [("none", [0.4, 0.42]), ("time-gate, learned", [0.45])], [("Markov", 0.44)], True
)
ERROR = Panel("Days to it", [("none", [11.0, 12.0]), ("time-gate, learned", [10.0])], [])
VIEW = EventsView([ACCURACY, ERROR], "Beaten", "95,907 next events · 3 seeds")


def test_equal_views_are_equal_files() -> None:
    for kind, begins in (("png", b"\x89PNG"), ("svg", b"<?xml")):
        one = picture(VIEW, kind)
        assert one.startswith(begins)
        assert one == picture(VIEW, kind)
        assert one != picture(VIEW, kind, DARK)


def test_every_seed_and_baseline_is_drawn() -> None:
    figure = _figure(VIEW, LIGHT)
    accuracy, error = figure.axes
    lines = [sorted(line.get_xdata()) for line in accuracy.lines]
    assert lines == [[0.4, 0.42], [pytest.approx(0.41)], [0.45], [0.45], [0.44, 0.44]]
    assert len(error.lines) == 4
    words = [text.get_text() for text in figure.texts]
    for wanted in ("Beaten", "none", "time-gate, learned", "--  Markov: 44.00 %", "Days to it"):
        assert wanted in words
    low, high = accuracy.get_xlim()
    assert low < 0.4 < 0.45 < high


def test_one_value_has_room_too() -> None:
    axes = _figure(EventsView([Panel("one", [("a", [0.5])], [])]), LIGHT).axes[0]
    low, high = axes.get_xlim()
    assert low < 0.5 < high


def test_panels_of_other_variants_are_refused() -> None:
    with pytest.raises(InvalidInput):
        EventsView([])
    with pytest.raises(InvalidInput):
        EventsView([ACCURACY, Panel("other", [("none", [1.0])], [])])


def test_a_baseline_far_off_is_named_at_the_edge() -> None:
    lines = [("Markov", 0.44), ("repeat", 0.2), ("oracle", 1.0)]
    figure = _figure(EventsView([Panel("Next event", ACCURACY.bars, lines, True)]), LIGHT)
    low, high = figure.axes[0].get_xlim()
    assert 0.3 < low < 0.4 < 0.45 < high < 0.6
    words = [text.get_text() for text in figure.texts]
    assert {"--  Markov: 44.00 %", "←  repeat: 20.00 %", "→  oracle: 100.00 %"} <= set(words)
