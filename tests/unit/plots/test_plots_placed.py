"""New rows on a stored map, and usual scores: what is drawn where, hollow or filled, named or grey, few or none."""

from __future__ import annotations

import base64
import io
import itertools
import json
import re
import shutil
import subprocess
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from numpy.typing import NDArray
from penult_service.errors import InvalidInput
from penult_service.plots import background_picture, colours
from penult_service.plots.background_picture import BackgroundView
from penult_service.plots.drawing import own_style
from penult_service.plots.maps import map_page, placed_page, placed_picture
from penult_service.plots.maps.views import MapView, PlacedView, seen
from penult_service.plots.themes import DARK, LIGHT
from PIL import Image

HOSTILE = [
    "</script><script>window.hacked = 1</script>",
    "<img src=x onerror=alert(1)>",
    "\ud800",
    "nul\0",
    "中文",
    "",
]


@pytest.fixture(autouse=True)
def _warnings_are_errors() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield


def places(n: int, seed: int = 0, dimensions: int = 2) -> NDArray[np.float32]:
    return np.random.default_rng(seed).standard_normal((n, dimensions)).astype(np.float32)


def placed(
    n: int = 40, before: int = 200, *, stored: Any = None, dimensions: int = 2, **new: Any
) -> PlacedView:
    far = np.arange(n) % 4 == 3
    return PlacedView(
        MapView(places(before, 1, dimensions), stored, [f"old {i}" for i in range(before)]),
        MapView(places(n, 2, dimensions), texts=[f"new {i}" for i in range(n)], **new),
        far,
        np.linspace(0, 1, n, dtype=np.float32),
        (np.arange(n) % max(before, 1)).astype(np.int32),
        0.75,
    )


def data_of(document: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(
        re.findall(r'<script type="application/json"[^>]*>(.*?)</script>', document)[0]
    )
    return found


def array(text: str, kind: str) -> NDArray[Any]:
    return np.frombuffer(base64.b64decode(text), kind)


def drawn(view: PlacedView) -> Figure:
    with own_style():
        figure = placed_picture._figure(view)
        FigureCanvasAgg(figure).draw()
        return figure


def test_three_dimensions_are_seen_as_the_stored_map_is() -> None:
    view = placed(dimensions=3)
    before, new = view.flat()
    np.testing.assert_array_equal(before, view.stored.flat())
    # A new row at the place of a stored one is seen where that is.
    at = seen(view.stored.coordinates[:5], view.stored.coordinates)
    np.testing.assert_allclose(at, before[:5], atol=1e-12)
    assert new.shape == (40, 2)


def test_what_does_not_fit_is_refused() -> None:
    flat, deep = MapView(places(3)), MapView(places(3, dimensions=3))
    with pytest.raises(InvalidInput, match="places of 3 numbers on a map of 2"):
        PlacedView(flat, deep, np.zeros(3, bool))
    with pytest.raises(InvalidInput, match="3 new places, but 2 far"):
        PlacedView(flat, flat, np.zeros(2, bool))


def test_the_picture_marks_far_rows_and_leaves_the_old_behind() -> None:
    figure = drawn(placed(labels=["a", "b"] * 20, title="t", caption="c", legend="kind"))
    old, near, far = figure.axes[0].collections
    assert [len(each.get_offsets()) for each in (old, near, far)] == [200, 30, 10]
    assert len(far.get_facecolor()) == 0
    named = {tuple(np.round(np.array(colours.rgb(hue)) / 255, 6)) for hue in colours.HUES[:2]}
    assert {tuple(np.round(colour[:3], 6)) for colour in far.get_edgecolor()} <= named
    assert {tuple(np.round(colour[:3], 6)) for colour in near.get_facecolor()} == named
    words = [text.get_text() for axes in figure.axes for text in axes.texts]
    assert words == [
        "kind",
        "a",
        "20",
        "b",
        "20",
        "new rows",
        "30",
        "new, far from all",
        "10",
        "on the map before",
        "200",
    ]


def test_labels_of_the_stored_rows_are_pale_in_the_same_colours() -> None:
    view = placed(labels=["0", "1"] * 20, stored=["0", "1", "2", "-1"] * 50)
    old = drawn(view).axes[0].collections[0].get_facecolor()
    key = colours.placed_key(view)
    assert key is not None
    assert [entry.name for entry in key.entries] == ["0", "1", "2", "noise"]
    wanted = {
        tuple(np.round(0.55 + 0.45 * np.array(colours.rgb(entry.colour)) / 255, 5)) for entry in key.entries
    }
    assert {tuple(np.round(colour[:3], 5)) for colour in old} == wanted
    counts = {entry.name: entry.count for entry in key.entries}
    assert counts == {"0": 20, "1": 20, "2": 0, "noise": 0}


def test_colours_are_those_of_the_map_without_new_rows() -> None:
    """However many of a label are new; a label that is new comes after them."""
    view = placed(labels=["b"] * 30 + ["c"] * 10, stored=["a"] * 102 + ["b"] * 98)
    key, alone = colours.placed_key(view), colours.key_of([view.stored])
    assert key is not None
    assert alone is not None
    assert [entry.name for entry in key.entries] == ["a", "b", "c"]
    assert [entry.count for entry in key.entries] == [0, 30, 10]
    known = [(entry.name, entry.colour, entry.marker) for entry in alone.entries]
    assert [(entry.name, entry.colour, entry.marker) for entry in key.entries[:2]] == known


def test_new_rows_are_never_as_pale_as_the_old() -> None:
    """Neither noise nor the labels that share a grey."""
    view = placed(labels=[*(str(i) for i in range(38)), "-1", "-1"])
    key = colours.placed_key(view)
    assert key is not None
    greys = {entry.colour for entry in key.entries if entry.kind != "named"}
    assert greys == {colours.GREYS["new"][0]}
    data = data_of(placed_page.page(view, "h"))
    assert {label[2] for label in data["labels"] if label[5] != "named"} == greys
    assert data["before"] == list(colours.GREYS["before"])


@pytest.mark.parametrize("labels", [None, 2, 77])
@pytest.mark.parametrize("values", [False, True])
def test_legends_fit(labels: int | None, values: bool) -> None:
    new: dict[str, Any] = {
        "legend": "a heading that is long " * 3,
        "title": "title " * 30,
        "caption": "caption " * 40,
    }
    new["labels"] = None if labels is None else [f"a label with a long name, {i % labels}" for i in range(80)]
    new["values"] = np.linspace(0, 1, 80) if values else None
    figure = drawn(placed(80, **new))
    panel = figure.axes[0].bbox
    boxes = [text.get_window_extent() for axes in figure.axes for text in axes.texts if text.get_text()]
    boxes += [text.get_window_extent() for text in figure.texts if text.get_text()]
    for box in boxes:
        assert 0 <= box.x0 < box.x1 <= figure.bbox.x1
        assert 0 <= box.y0 < box.y1 <= figure.bbox.y1
        assert box.x0 >= panel.x1 or box.y0 >= panel.y1 or box.y1 <= panel.y0
    beside = sorted((box for box in boxes if box.x0 >= panel.x1), key=lambda box: (round(box.y0), box.x0))
    for one, other in itertools.pairwise(beside):
        assert one.x1 <= other.x0 or one.y1 <= other.y0 + 1.5, (one, other)


@pytest.mark.parametrize(("n", "before"), [(0, 0), (0, 5), (5, 0), (1, 1)])
def test_few_rows(n: int, before: int) -> None:
    view = placed(n, before)
    assert placed_picture.picture(view, "png").startswith(b"\x89PNG")
    assert placed_picture.picture(view, "svg") == placed_picture.picture(view, "svg")
    data = data_of(placed_page.page(view, "h"))
    assert (data["n"], data["stored"]) == (n + before, before)


def test_the_page_has_the_old_rows_then_the_new() -> None:
    view = placed(labels=["a", "b"] * 20)
    data = data_of(placed_page.page(view, "h"))
    assert data["texts"] == [f"old {i}" for i in range(200)] + [f"new {i}" for i in range(40)]
    np.testing.assert_array_equal(array(data["far"], "u1"), view.far)
    np.testing.assert_array_equal(array(data["nearest"], "<i4"), view.nearest)
    np.testing.assert_array_equal(array(data["distances"], "<f4"), view.distances)
    assert data["limit"] == 0.75
    codes = array(data["codes"], "<u2")
    assert [data["labels"][code][0] for code in codes[200:]] == view.new.labels
    assert [label[1] for label in data["labels"]] == [20, 20]
    assert data["labelled"] == [False, True]
    grid = array(data["places"], "<u2").reshape(-1, 2).astype(float)
    both = np.concatenate(view.flat())
    expected = (both - both.min(axis=0)) / np.ptp(both, axis=0).max()
    np.testing.assert_allclose(grid[:, 0] / 65535, expected[:, 0], atol=1e-5)


def test_texts_of_one_side_alone() -> None:
    view = PlacedView(MapView(places(2)), MapView(places(1), texts=["new"]), np.zeros(1, bool))
    data = data_of(placed_page.page(view, "h"))
    assert data["texts"] == [None, None, "new"]
    assert not {"nearest", "distances", "limit"} & set(data)


def test_names_of_labels_stand_in_the_legend() -> None:
    view = MapView(places(3), ["0", "1", "0"], names={"0": "0 cards"})
    key = colours.key_of([view])
    assert key is not None
    assert [entry.name for entry in key.entries] == ["0 cards", "1"]
    assert [label[0] for label in data_of(map_page.page(view, "h"))["labels"]] == ["0 cards", "1"]


def test_the_page_in_a_browser(tmp_path: Path) -> None:
    browser = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if browser is None:
        pytest.skip("there is no Chromium here")
    view = placed(6, labels=HOSTILE, title=HOSTILE[0], caption=HOSTILE[1])
    document = placed_page.page(view, HOSTILE[1])
    act = """<script>
      const told = [], words = (query) => document.querySelector(query).textContent;
      told.push(words('.told'), words('.parts'));
      document.querySelector('[data-part="1"]').click(); told.push(words('.told'));
      document.querySelector('[data-part="1"]').click();
      document.querySelectorAll('.labels button')[0].click(); told.push(words('.told'));
      document.querySelectorAll('.labels button')[0].click();
      const field = document.querySelector('input');
      field.value = 'new 3'; field.dispatchEvent(new Event('input'));
      setTimeout(() => {
        document.querySelector('.found button').click(); told.push(words('.card'));
        document.body.dataset.told = told.join('|');
      }, 50);
    </script></body>"""
    (tmp_path / "page.html").write_text(document.replace("</body>", act), encoding="utf-8")
    flags = (
        "--headless --no-sandbox --disable-gpu --no-first-run --disable-background-networking --disable-sync"
    )
    command = [
        browser,
        *flags.split(),
        "--virtual-time-budget=2000",
        f"--user-data-dir={tmp_path / 'profile'}",
    ]
    done = subprocess.run(
        [*command, "--dump-dom", (tmp_path / "page.html").as_uri()], capture_output=True, text=True, timeout=120,
        check=True,
    )  # fmt: skip
    assert "<img" not in done.stdout.replace("&lt;img", "")
    found = re.search(r'data-told="([^"]*)"', done.stdout)
    assert found is not None
    told = found[1].split("|")
    assert told[0] == "6 new rows, 200 before"
    assert told[1] == "new5new, far from all1on the map before200"
    assert told[2] == "1 of 206 rows shown"
    assert told[3] == "201 of 206 rows shown"
    for each in (
        "new 3",
        "row 3",
        "far from all",
        "distance 0.6, far is beyond 0.75",
        "nearest on the map: old 3",
    ):
        assert each in told[4]


def background(scores: Any, *, names: Any = (), quantiles: Any = None) -> BackgroundView:
    known = np.sort(np.random.default_rng(0).normal(0.5, 0.1, 1001)) if quantiles is None else quantiles
    given = np.asarray(scores, np.float64)
    return BackgroundView(
        known, 20_000, "cosine", given, np.linspace(0, 100, len(given)), names, "usual scores"
    )


def test_few_scores_are_marked_and_many_are_a_histogram() -> None:
    few = background([0.4, np.nan, 0.95], names=["a / b", "c / d", "e / f"])
    with own_style():
        figure = background_picture.figure(few, LIGHT)
    words = [text.get_text() for text in figure.texts]
    assert words[2:] == [
        "0.950, more alike than 100 % of random pairs: e / f",
        "0.400, more alike than 0 % of random pairs: a / b",
    ]
    assert [line.get_xdata()[0] for line in figure.axes[0].lines] == [0.95, 0.4]
    many = background(np.linspace(0.2, 0.9, 50))
    with own_style():
        figure = background_picture.figure(many, DARK)
    assert not figure.axes[0].lines
    grey, outlined = (patch.get_data() for patch in figure.axes[0].patches)
    assert outlined.values.sum() == pytest.approx(1)
    assert grey.values.sum() == pytest.approx(1, abs=0.005)
    assert "the 50 scores asked for" in figure.axes[0].get_xlabel()


def test_the_histogram_is_that_of_the_pairs() -> None:
    pairs = np.random.default_rng(1).gamma(2.0, 1.0, 50_000)
    view = background([], quantiles=np.quantile(pairs, np.linspace(0, 1, 1001)))
    with own_style():
        figure = background_picture.figure(view, LIGHT)
    values, edges, _ = figure.axes[0].patches[0].get_data()
    np.testing.assert_allclose(values, np.histogram(pairs, edges)[0] / len(pairs), atol=0.002)


@pytest.mark.parametrize("quantiles", [np.full(1001, 0.95), np.repeat([0.1, 0.95], [300, 701])])
def test_scores_that_many_pairs_have(quantiles: NDArray[np.float64]) -> None:
    image = Image.open(io.BytesIO(background_picture.picture(background([0.95], quantiles=quantiles), "png")))
    assert np.asarray(image.convert("RGB")).std() > 5


def test_a_background_that_is_none_is_refused() -> None:
    with pytest.raises(InvalidInput, match="quantiles"):
        background([0.1], quantiles=np.array([0.2, 0.1]))
    with pytest.raises(InvalidInput, match="one each"):
        background([0.1, 0.2], names=["a"])
