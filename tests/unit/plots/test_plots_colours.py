"""Which label has which colour: the same in all views, told apart by colour-blind eyes, greys last."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from matplotlib import colormaps
from numpy.typing import NDArray
from penult_service.errors import InvalidInput
from penult_service.plots import colours
from penult_service.plots.colours import HUES, HUES_ON_DARK, SCALE, key_of, rgb, styled, value_range
from penult_service.plots.maps.views import MapView
from sklearn.decomposition import PCA

# Machado, Oliveira and Fernandes (2009), severity 1: linear RGB -> linear RGB.
BLIND = {
    "protan": [
        [0.152286, 1.052583, -0.204868],
        [0.114503, 0.786281, 0.099216],
        [-0.003882, -0.048116, 1.051998],
    ],
    "deutan": [
        [0.367322, 0.860646, -0.227968],
        [0.280085, 0.672501, 0.047413],
        [-0.011820, 0.042940, 0.968881],
    ],
}


def view(labels: list[str] | None = None, **more: object) -> MapView:
    n = len(labels) if labels is not None else len(more.get("values", [0] * 3))  # type: ignore[arg-type]
    places = np.random.default_rng(n).standard_normal((n, 2)).astype(np.float32)
    return MapView(places, labels, **more)  # type: ignore[arg-type]


def lab(colour: str, seen: str | None) -> NDArray[np.float64]:
    """CIE L*a*b* (D65) of a colour, as an eye of a kind sees it."""
    part = np.array(rgb(colour)) / 255
    linear = np.where(part <= 0.04045, part / 12.92, ((part + 0.055) / 1.055) ** 2.4)
    if seen:
        linear = np.clip(np.array(BLIND[seen]) @ linear, 0, 1)
    to_xyz = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])
    white = np.array([0.9505, 1.0, 1.089])
    ratio = to_xyz @ linear / white
    f = np.where(ratio > 0.008856, np.cbrt(ratio), 7.787 * ratio + 16 / 116)
    return np.array([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])


@pytest.mark.parametrize("seen", [None, "protan", "deutan"])
@pytest.mark.parametrize("dark", [False, True])
def test_colours_of_one_marker_are_told_apart(seen: str | None, dark: bool) -> None:
    styles = [styled(place) for place in range(colours.MOST_NAMED)]
    for one, other in combinations(styles, 2):
        if one[2] == other[2]:
            assert np.linalg.norm(lab(one[dark], seen) - lab(other[dark], seen)) > 9, (one, other)


@pytest.mark.parametrize(("hues", "paper"), [(HUES, "#ffffff"), (HUES_ON_DARK, "#14171b")])
def test_hues_stand_out_from_the_paper(hues: tuple[str, ...], paper: str) -> None:
    assert min(np.linalg.norm(lab(hue, None) - lab(paper, None)) for hue in hues) > 40


def test_styles_are_all_different() -> None:
    assert len({styled(place) for place in range(colours.MOST_NAMED)}) == colours.MOST_NAMED


def test_scale_is_viridis() -> None:
    expected = [tuple(round(255 * part) for part in colormaps["viridis"](i / 16)[:3]) for i in range(17)]
    assert [rgb(stop) for stop in SCALE] == expected


def test_views_share_colours_though_their_labels_differ() -> None:
    first, second = view(["b", "b", "a"]), view(["c", "a", "a", "a", "c"])
    key = key_of([first, second])
    assert key is not None
    assert not key.equal_counts
    assert [entry.name for entry in key.entries] == ["a", "b", "c"]
    for shown, codes in zip((first, second), key.codes, strict=True):
        assert [key.entries[code].name for code in codes] == shown.labels


def test_many_labels_and_greys() -> None:
    labels = [f"l{i:02}" for i in range(30) for _ in range(i + 1)] + ["-1"] * 500 + [""] * 2
    key = key_of([view(labels)])
    assert key is not None
    kinds = [entry.kind for entry in key.entries]
    assert kinds == ["named"] * 20 + ["other", "noise", "none"]
    assert [entry.name for entry in key.entries[:2]] == ["l29", "l28"]
    assert [entry.count for entry in key.entries[-4:]] == [11, sum(range(1, 11)), 500, 2]
    assert key.entries[20].name == "other (10 labels)"
    greys = {entry.colour for entry in key.entries if entry.kind != "named"}
    assert all(len(set(rgb(grey))) == 1 for grey in greys)


def test_numbers_stand_in_their_order() -> None:
    key = key_of([view(["10", "9", "9", "-1", "2"])])
    assert key is not None
    assert [entry.name for entry in key.entries] == ["2", "9", "10", "noise"]


def test_minus_one_can_be_a_label() -> None:
    key = key_of([view(["-1", "0", "1"], noise=None)])
    assert key is not None
    assert [(entry.name, entry.kind) for entry in key.entries] == [(n, "named") for n in ("-1", "0", "1")]


def test_a_label_of_thousands_of_digits() -> None:
    key = key_of([view(["7" * 5000, "8"])])
    assert key is not None
    assert len(key.entries) == 2


def test_range_of_values() -> None:
    assert value_range([view(["a"])]) is None
    assert value_range([view(values=np.array([1.0, np.nan, 5.0]))]) == (1.0, 5.0)
    assert value_range([view(values=np.array([2.0, 2.0]))]) == (1.5, 2.5)
    assert value_range([view(values=np.full(3, np.nan))]) == (0.0, 1.0)
    far = np.concatenate([np.linspace(0, 1, 1000), [1e6]])
    low, high = value_range([view(values=far)]) or (0, 0)
    assert 0 < low < 0.05 < 0.95 < high <= 1


def test_three_dimensions_are_seen_from_where_they_spread_most() -> None:
    places = (np.random.default_rng(0).standard_normal((200, 3)) * [1, 5, 3] + 7).astype(np.float32)
    flat, expected = MapView(places).flat(), PCA(2).fit_transform(places.astype(np.float64))
    np.testing.assert_allclose(np.abs(flat), np.abs(expected), atol=1e-5)
    assert "three dimensions" in MapView(places).note
    two = places[:, :2]
    np.testing.assert_array_equal(MapView(two).flat(), two.astype(np.float64))
    assert MapView(np.zeros((1, 3), np.float32)).flat().tolist() == [[0, 0]]


@pytest.mark.parametrize(
    ("places", "more", "said"),
    [
        (np.zeros((3, 4)), {}, r"not \[3, 4\]"),
        (np.zeros(3), {}, r"not \[3\]"),
        (np.array([[0, np.nan]]), {}, "NaN"),
        (np.zeros((3, 2)), {"labels": ["a"]}, "3 places, but 1 labels"),
        (np.zeros((3, 2)), {"texts": ["a"] * 4}, "3 places, but 4 texts"),
    ],
)
def test_views_that_do_not_fit(places: NDArray[np.float64], more: dict[str, list[str]], said: str) -> None:
    with pytest.raises(InvalidInput, match=said):
        MapView(places.astype(np.float32), **more)  # type: ignore[arg-type]
