"""The reliability picture: what is where, few and odd rows, hostile words, the same bytes every time."""

from __future__ import annotations

import io
import warnings
from collections.abc import Iterator
from typing import Any

import matplotlib
import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from penult_service.errors import InvalidInput
from penult_service.plots import reliability
from penult_service.plots.drawing import own_style
from penult_service.plots.reliability import ReliabilityView, picture, wilson
from penult_service.plots.themes import DARK, LIGHT
from PIL import Image
from scipy import stats

BINS = 15


@pytest.fixture(autouse=True)
def _warnings_are_errors() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield


def view(rows: int = 200, **more: Any) -> ReliabilityView:
    random = np.random.default_rng(rows)
    confidence = random.uniform(0.3, 1.0, rows)
    right = random.random(rows) < confidence
    number = np.minimum((confidence * BINS).astype(int), BINS - 1)
    counts = np.bincount(number, minlength=BINS)
    with np.errstate(invalid="ignore"):
        means = [np.bincount(number, each, BINS) / counts for each in (confidence, right)]
    facts = {"ece": 0.0125, "auroc": 0.75, "classes": 4, "title": "a title", "caption": "a · caption"}
    return ReliabilityView(counts, *means, entropy=random.random(rows), right=right, **{**facts, **more})


def drawn(shown: ReliabilityView) -> Figure:
    with own_style():
        figure = reliability._figure(shown, LIGHT)
        FigureCanvasAgg(figure).draw()
        return figure


@pytest.mark.parametrize("kind", ["png", "svg"])
def test_equal_views_give_equal_bytes(monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    first = picture(view(), kind)
    monkeypatch.setitem(matplotlib.rcParams, "axes.facecolor", "pink")
    assert picture(view(), kind) == first
    assert first.startswith(b"\x89PNG" if kind == "png" else b"<?xml")


def test_what_is_where() -> None:
    shown = view()
    figure = drawn(shown)
    upper, strip, entropies = figure.axes
    there = shown.counts > 0
    dots = upper.collections[1].get_offsets()
    np.testing.assert_allclose(dots[:, 0], shown.confidence[there])
    np.testing.assert_allclose(dots[:, 1], shown.accuracy[there])
    np.testing.assert_array_equal(strip.patches[0].get_data().values, shown.counts)
    for patch, chosen in zip(entropies.patches, (shown.right, ~shown.right), strict=True):
        edges = patch.get_data().edges
        assert edges[-1] == pytest.approx(np.log(4))
        found = np.histogram(shown.entropy[chosen], edges)[0] / chosen.sum()
        np.testing.assert_allclose(patch.get_data().values, found)
    words = [text.get_text() for text in figure.texts]
    assert "Right predictions by confidence: ECE 0.013" in words
    assert "Entropy of wrong and right predictions: AUROC 0.750" in words
    wrong = int((~shown.right).sum())
    assert f"wrong: {wrong} rows, median {np.median(shown.entropy[~shown.right]):.3f}" in words


def test_intervals_are_wilsons() -> None:
    right, rows = np.array([0, 3, 7, 20]), np.array([1, 3, 11, 40])
    low, high = wilson(right, rows)
    for i in range(len(rows)):
        expected = stats.binomtest(int(right[i]), int(rows[i])).proportion_ci(0.95, "wilson")
        assert (low[i], high[i]) == pytest.approx((expected.low, expected.high), abs=1e-4)


@pytest.mark.parametrize("words", ["", "a title " * 40, "$x^2$ </svg> \x1b \ud800 中文 😀"])
@pytest.mark.parametrize("right", [0.0, 0.5, 1.0])
def test_words_stay_on_the_paper_and_apart(words: str, right: float) -> None:
    rows = 30
    counts = np.zeros(BINS, int)
    counts[BINS - 1] = rows
    outcomes = np.arange(rows) < right * rows
    shown = ReliabilityView(
        counts,
        np.full(BINS, 0.99),
        np.full(BINS, right),
        ece=0.5,
        entropy=np.full(rows, 1e-8),
        right=outcomes,
        auroc=None,
        classes=2,
        title=words,
        caption=" · ".join([words] * 9),
    )
    figure = drawn(shown)
    paper = figure.bbox
    boxes = [text.get_window_extent() for text in figure.texts if text.get_text()]
    for axes in figure.axes:
        boxes += [axes.xaxis.label.get_window_extent(), axes.yaxis.label.get_window_extent()]
    boxes = [box for box in boxes if box.width > 1]
    for box in boxes:
        assert paper.x0 <= box.x0 < box.x1 <= paper.x1
        assert paper.y0 <= box.y0 < box.y1 <= paper.y1
    for number, one in enumerate(boxes):
        for other in boxes[:number]:
            apart = (
                one.x1 <= other.x0 or other.x1 <= one.x0 or one.y1 <= other.y0 + 1 or other.y1 <= one.y0 + 1
            )
            assert apart, (one, other)


def test_light_and_dark() -> None:
    for theme in (LIGHT, DARK):
        pixels = np.asarray(Image.open(io.BytesIO(picture(view(), "png", theme))).convert("RGB"), int)
        paper = [int(theme.paper[i : i + 2], 16) for i in (1, 3, 5)]
        assert (pixels[0, 0] == paper).all()
        colour = [int(theme.hues[0][i : i + 2], 16) for i in (1, 3, 5)]
        assert (np.abs(pixels - colour).max(axis=2) < 20).sum() > 500


def test_refused() -> None:
    good = view()
    for wrong in (
        {"counts": good.counts[1:]},
        {"right": good.right[1:]},
        {"entropy": good.entropy[1:]},
        {"counts": good.counts * 0, "right": good.right[:0], "entropy": good.entropy[:0]},
    ):
        with pytest.raises(InvalidInput):
            ReliabilityView(**{**vars(good), **wrong})
