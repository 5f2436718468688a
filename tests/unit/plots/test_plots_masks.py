"""Pictures of masks and of the mini-batch experiment: what is kept is where the mask says, the same bytes each time."""

from __future__ import annotations

import io
import warnings
from collections.abc import Iterator
from xml.etree import ElementTree

import matplotlib
import numpy as np
import pytest
from numpy.typing import NDArray
from penult_service.plots.explained import masks, minibatch
from penult_service.plots.explained.masks import MaskView
from penult_service.plots.explained.minibatch import MinibatchView
from PIL import Image


@pytest.fixture(autouse=True)
def _warnings_are_errors() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield


def view(values: NDArray[np.float32], axes: tuple[str, ...], **more: str) -> MaskView:
    places = tuple(
        tuple(f"{name} {at}" for at in range(length))
        for name, length in zip(axes[:-2], values.shape, strict=False)
    )
    return MaskView(
        values, axes, places, more.pop("title", "a title"), more.pop("caption", "a caption"), **more
    )


def share_kept(data: bytes) -> float:
    """Of the pixels that are of cells, those of kept ones."""
    image = np.asarray(Image.open(io.BytesIO(data)).convert("RGB"), np.int64)
    kept, dropped = (
        (np.abs(image - [int(colour[i : i + 2], 16) for i in (1, 3, 5)]).max(axis=2) < 4).sum()
        for colour in (masks.KEPT, masks.DROPPED)
    )
    return float(kept / (kept + dropped))


@pytest.mark.parametrize(
    ("shape", "axes"),
    [
        ((10,), ("sample",)),
        ((5, 8), ("sample", "feature")),
        ((3, 6, 9), ("sample", "step", "feature")),
        ((4, 2, 5, 6), ("gate", "sample", "step", "unit")),
    ],
)
def test_as_much_is_blue_as_is_kept(shape: tuple[int, ...], axes: tuple[str, ...]) -> None:
    random = np.random.default_rng(1)
    for rate in (0.2, 0.7):
        values = (random.random(shape) >= rate).astype(np.float32)
        # The legend adds a square of each.
        assert share_kept(masks.picture(view(values, axes), "png")) == pytest.approx(values.mean(), abs=0.05)


def test_a_row_that_is_kept_is_a_row_of_the_picture() -> None:
    values = np.zeros((1, 4, 10), np.float32)
    values[0, 1] = 2.0
    image = np.asarray(
        Image.open(io.BytesIO(masks.picture(view(values, ("sample", "step", "feature")), "png"))).convert(
            "RGB"
        ),
        np.int64,
    )
    blue = np.abs(image - [0x00, 0x72, 0xB2]).max(axis=2) < 4
    blue[:, : int(0.5 * 160)] = False  # the legend
    rows, columns = np.flatnonzero(blue.any(axis=1)), np.flatnonzero(blue.any(axis=0))
    cell = masks.PANEL / 10 * 160
    assert rows[-1] - rows[0] == pytest.approx(cell, abs=4)
    assert columns[-1] - columns[0] == pytest.approx(10 * cell, abs=4)


def test_what_is_left_out_is_said() -> None:
    values = np.ones((9, 100, 3), np.float32)
    data = masks.picture(view(values, ("sample", "step", "feature"), caption=""), "svg")
    ElementTree.fromstring(data)
    _, notes = masks._drawn(view(values, ("sample", "step", "feature")))
    assert notes == ["the first 6 of 9 samples", "the first 60 of 100 steps"]


def test_equal_masks_give_equal_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    one = view(np.ones((2, 3), np.float32), ("sample", "feature"), title="$x^2$ <b>")
    first = [masks.picture(one, kind) for kind in ("png", "svg")]
    monkeypatch.setitem(matplotlib.rcParams, "axes.facecolor", "pink")
    assert [masks.picture(one, kind) for kind in ("png", "svg")] == first
    assert b"<dc:date>" not in first[1]


def experiment(seeds: int, finals: float = 1.0) -> MinibatchView:
    random = np.random.default_rng(0)
    curves = random.random((seeds, 4)) + 0.1
    return MinibatchView(
        kinds=("a mask for each sample", "one mask for all"),
        bars=[("the same images", 0.5, 1.2), ("32 images", 4.0, 7.0), ("32 copies of an image", 80.0, 150.0)],
        losses=(curves, curves * 2),
        best=(0.3, 0.1),
        learning_rates=(0.03, 0.1, 0.3, 1.0),
        finals=(random.random((4, seeds)) + 0.1, random.random((4, seeds)) + finals),
        guessing=2.3,
        title="the answer",
        caption="what was done",
    )


@pytest.mark.parametrize("kind", ["png", "svg"])
def test_the_experiment_is_drawn(kind: str) -> None:
    first = minibatch.picture(experiment(3), kind)
    assert first == minibatch.picture(experiment(3), kind)
    assert first != minibatch.picture(experiment(3, finals=5.0), kind)
    # One start has no spread, and a training may end beyond all bounds.
    minibatch.picture(experiment(1, finals=1e6), kind)
