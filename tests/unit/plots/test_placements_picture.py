"""The picture of placements: what it draws, and what it only names."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("matplotlib")

from penult_service.errors import InvalidInput
from penult_service.plots import placements
from penult_service.plots.themes import LIGHT

ERRORS = np.array([[[0.33, 0.35], [0.34, 0.36]], [[0.38, 0.39], [0.37, 0.40]]])
BASELINES = {"last value": (1.222, 0.671), "seasonal": (0.424, 0.389)}


def test_a_dot_for_each_training_and_a_line_for_what_is_near() -> None:
    view = placements.PlacementsView(("after", "before"), ERRORS, BASELINES, "A title", "one · two")
    figure = placements._figure(view, LIGHT)
    for number, axes in enumerate(figure.axes):
        dots = [line.get_xdata() for line in axes.lines if line.get_marker() == "o"]
        np.testing.assert_array_equal(dots, ERRORS[number])
        means = [line.get_xdata()[0] for line in axes.lines if line.get_marker() == "|"]
        np.testing.assert_allclose(means, ERRORS[number].mean(axis=1))
        across = [line.get_xdata()[0] for line in axes.lines if line.get_marker() == "None"]
        assert across == [BASELINES["seasonal"][number]]
        low, high = axes.get_xlim()
        assert low < ERRORS[number].min()
        assert max(ERRORS[number].max(), across[0]) < high < BASELINES["last value"][number]
    words = [text.get_text() for text in figure.texts]
    assert {"A title", "after", "before", "→ last value: 1.222, not drawn"} <= set(words)


@pytest.mark.parametrize("kind", ["png", "svg"])
def test_equal_views_are_equal_files(kind: str) -> None:
    view = placements.PlacementsView(("none",), ERRORS[:, :1], {})
    file = placements.picture(view, kind)
    assert file == placements.picture(view, kind)
    assert file.startswith(b"\x89PNG" if kind == "png" else b"<?xml")


@pytest.mark.parametrize("errors", [ERRORS[:, :1], ERRORS[0], ERRORS[:, :, :0]])
def test_shapes_that_do_not_fit(errors: np.ndarray) -> None:
    with pytest.raises(InvalidInput, match="errors are 2 x 2 placements"):
        placements.PlacementsView(("after", "before"), errors, BASELINES)
