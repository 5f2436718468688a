"""Pictures: what is where, for few and many rows and labels; hostile texts; the same bytes every time."""

from __future__ import annotations

import io
import warnings
from collections.abc import Iterator
from itertools import combinations
from pathlib import Path
from xml.etree import ElementTree

import matplotlib
import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from numpy.typing import NDArray
from penult_service.errors import InvalidInput
from penult_service.plots import fonts
from penult_service.plots.drawing import own_style
from penult_service.plots.maps import map_picture
from penult_service.plots.maps.map_picture import drawing_order, picture, save_picture, size_and_alpha
from penult_service.plots.maps.views import MapView
from penult_service.plots.words import distinct
from PIL import Image

HOSTILE = [
    "</svg><script>alert(1)</script>", "--><script>", "]]>", "&amp; <b>", "$x^2$", "$", r"\frac{1}{2}", "_under",
    "中文标签", "日本語", "😀 👩‍👩‍👧", "العربية", "नमस्ते", "a\nb\tc", "nul\0", "\x1b[31m",
    "\ud800", "﻿", "x" * 500, "x" * 499 + "y",
]  # fmt: skip


@pytest.fixture(autouse=True)
def _warnings_are_errors() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield


def places(n: int, dimensions: int = 2) -> NDArray[np.float32]:
    return np.random.default_rng(n).standard_normal((n, dimensions)).astype(np.float32)


def labelled(n: int, labels: int, name: str = "label {}", **more: str) -> MapView:
    return MapView(places(n), [name.format(i % labels) for i in range(n)], **more)


def pixels(data: bytes) -> NDArray[np.int64]:
    return np.asarray(Image.open(io.BytesIO(data)).convert("RGB"), np.int64)


def near(image: NDArray[np.int64], colour: str, far: int = 40) -> NDArray[np.bool_]:
    wanted = [int(colour[i : i + 2], 16) for i in (1, 3, 5)]
    return np.asarray(np.abs(image - wanted).max(axis=2) < far)


@pytest.mark.parametrize("kind", ["png", "svg"])
def test_equal_maps_give_equal_bytes(monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    views = [labelled(300, 3, title="a title", caption="a caption")]
    first = picture(views, kind)
    for name, value in {"axes.facecolor": "pink", "font.size": 40, "savefig.dpi": 10}.items():
        monkeypatch.setitem(matplotlib.rcParams, name, value)
    assert picture(views, kind) == first
    assert matplotlib.rcParams["font.size"] == 40
    assert not any(word in first for word in (b"Software", b"<dc:date>", b"Matplotlib v"))


def test_points_are_where_the_map_says() -> None:
    corners = np.array([[0, 0], [10, 0], [0, 10], [10, 10], [2, 7]], np.float32)
    image = pixels(picture([MapView(corners, ["a", "a", "a", "a", "b"])], "png"))
    panel = int(map_picture.PANEL * map_picture.DPI)
    orange = np.argwhere(near(image, "#e69f00")[:, : panel + 20])
    blue = np.argwhere(near(image, "#0072b2")[:, : panel + 20])
    (top, left), (bottom, right) = blue.min(axis=0), blue.max(axis=0)
    assert abs((bottom - top) - (right - left)) <= 2
    across, up = (
        (orange.mean(axis=0)[1] - left) / (right - left),
        (bottom - orange.mean(axis=0)[0]) / (bottom - top),
    )
    # A dot's radius is part of the corners' extent.
    assert (across, up) == (pytest.approx(0.2, abs=0.02), pytest.approx(0.7, abs=0.02))


@pytest.mark.parametrize("views", [1, 3])
@pytest.mark.parametrize("labels", [2, 4, 20, 77])
@pytest.mark.parametrize(
    "name", ["{}", "a label with a name that is really much too long for a legend, number {}"]
)
def test_legends_fit_and_stand_beside_the_points(views: int, labels: int, name: str) -> None:
    view = labelled(
        300, labels, name, title="a title " * 12, caption="a caption " * 25, legend="heading " * 20
    )
    figure = drawn([view] * views)
    paper = figure.bbox
    panels = [axes.bbox for axes in figure.axes[:views]]
    words = [text for axes in figure.axes for text in axes.texts] + figure.texts
    boxes = [text.get_window_extent() for text in words if text.get_text()]
    assert len(boxes) >= min(labels, 21) + 2
    for box in boxes:
        assert paper.x0 <= box.x0 < box.x1 <= paper.x1
        assert paper.y0 <= box.y0 < box.y1 <= paper.y1
        assert not any(
            panel.x0 < box.x1 and box.x0 < panel.x1 and panel.y0 < box.y1 and box.y0 < panel.y1
            for panel in panels
        )
    for one, other in combinations(boxes, 2):
        apart = one.x1 <= other.x0 or other.x1 <= one.x0 or one.y1 <= other.y0 + 1 or other.y1 <= one.y0 + 1
        assert apart, (one, other)


def drawn(views: list[MapView]) -> Figure:
    with own_style():
        figure = map_picture._figure(views)
        FigureCanvasAgg(figure).draw()
        return figure


def test_names_that_were_shortened_alike_stay_distinct() -> None:
    assert distinct(["a", "b", "a", "a"]) == ["a (1)", "b", "a (2)", "a (3)"]
    shown = [
        text.get_text() for text in drawn([MapView(places(2), ["x" * 500, "x" * 499 + "y"])]).axes[1].texts
    ]
    assert len(set(shown) - {"1"}) == 2


@pytest.mark.parametrize("kind", ["png", "svg"])
def test_hostile_texts(caplog: pytest.LogCaptureFixture, kind: str) -> None:
    labels = (HOSTILE * 3)[: 3 * len(HOSTILE)]
    text = " ".join(HOSTILE)
    data = picture([MapView(places(len(labels)), labels, None, text, text, legend=HOSTILE[0])], kind)
    assert not caplog.records
    if kind == "svg":
        tags = {element.tag.rpartition("}")[2] for element in ElementTree.fromstring(data).iter()}
        assert "script" not in tags
        assert not any(word in data for word in (b'href="http', b"onload", b"<!ENTITY"))


def test_texts_are_drawn_as_they_are_where_a_font_has_them() -> None:
    assert fonts.drawable("$x_1$ <b> é") == "$x_1$ <b> é"
    assert fonts.drawable("a\U000e0020b\U000e01efc") == "abc"
    assert fonts.drawable("\U000f0000") == fonts.MISSING


def test_lines_are_no_wider_than_they_may_be() -> None:
    font = fonts.font(9)
    text = "UMAP of 200 rows · cosine, n_neighbors 15, min_dist 0.1, seed 42 · trustworthiness 0.994"
    lines = fonts.wrapped(text, font, 3.0, 5)
    assert all(fonts.width(line, font) <= 3.0 for line in lines)
    assert lines[0] == "UMAP of 200 rows"
    assert lines[-1] == "trustworthiness 0.994"
    assert fonts.wrapped("", font, 3.0, 5) == []
    assert fonts.wrapped("x" * 1000, font, 1.0, 2)[-1].endswith("…")
    assert len(fonts.wrapped("word " * 500, font, 1.0, 3)) == 3


def test_many_points_are_fine_and_few_are_large() -> None:
    sizes = [size_and_alpha(n, coloured=True) for n in (1, 200, 2_000, 50_000)]
    assert sizes == sorted(sizes, reverse=True)
    assert size_and_alpha(50_000, coloured=False)[1] < sizes[-1][1]
    figure = picture([labelled(50_000, 5)], "svg")
    assert len(figure) < 2_000_000
    assert b"<image" in figure
    assert b"<image" not in picture([labelled(200, 5)], "svg")


def test_no_label_covers_the_others() -> None:
    behind = np.arange(1000) % 4 == 0
    order = drawing_order(1000, behind)
    assert sorted(order) == list(range(1000))
    assert behind[order[:250]].all()
    late = order[-250:]
    assert 50 < (late < 500).sum() < 200


def test_density_shows_without_labels() -> None:
    clump = np.concatenate([places(40_000) * 0.05, places(10_000) + 4]).astype(np.float32)
    image = pixels(picture([MapView(clump)], "png"))
    panel = image[60:800, 30:800]
    assert near(panel, "#0072b2", 25).any()
    pale = (panel.min(axis=2) > 100) & (panel.min(axis=2) < 235)
    assert pale.sum() > 1000


def test_numbers_have_a_scale() -> None:
    values = np.linspace(0, 100, 400)
    values[:3] = np.nan
    figure = drawn([MapView(places(400), values=values, legend="length")])
    assert [text.get_text() for axes in figure.axes for text in axes.texts] == ["length"]
    image = pixels(picture([MapView(places(400), values=values)], "png"))
    assert near(image, "#fde725").any()
    assert near(image, "#440154").any()


@pytest.mark.parametrize(("n", "dimensions"), [(0, 2), (1, 2), (2, 2), (5, 3), (1, 3)])
def test_tiny_maps(n: int, dimensions: int) -> None:
    assert pixels(picture([MapView(places(n, dimensions), ["a"] * n)], "png")).any()


def test_equal_places() -> None:
    assert near(pixels(picture([MapView(np.zeros((50, 2), np.float32))], "png")), "#0072b2").any()


def test_files(tmp_path: Path) -> None:
    for ending in (".png", ".SVG"):
        save_picture(tmp_path / f"map{ending}", [labelled(20, 2)])
    assert (tmp_path / "map.png").read_bytes().startswith(b"\x89PNG")
    with pytest.raises(InvalidInput, match="ends in"):
        save_picture(tmp_path / "map.gif", [labelled(20, 2)])
    with pytest.raises(InvalidInput, match="no map"):
        save_picture(tmp_path / "map.png", [])
