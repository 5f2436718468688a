"""The report on dropout: every figure is in it, in the pictures too; no text of strangers gets out of its place."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from html.parser import HTMLParser
from typing import Any

import numpy as np
import pytest
from markdown_it import MarkdownIt
from matplotlib.quiver import Quiver
from penult_service.errors import InvalidInput
from penult_service.plots import colours
from penult_service.plots.dropout import dropout_map, dropout_pictures, dropout_words
from penult_service.plots.dropout.dropout_facts import facts
from penult_service.plots.dropout.dropout_markdown import markdown
from penult_service.plots.dropout.dropout_page import page
from penult_service.plots.dropout.dropout_view import Active, DropoutView, Site, Spread
from penult_service.plots.themes import DARK, LIGHT
from penult_service.plots.words import mean_of, percent, signed
from support.dropout_views import CLASSES, view

HOSTILE = [
    "</script><script>window.hacked = 1</script>", "<img src=x onerror=alert(1)>", "![x](http://a.example/b.png)",
    "[link](https://a.example) https://b.example www.c.example <https://d.example>", "| cell | `code` $x$ |",
    "\ud83d half", "nul\0byte\nline\r\nline", "\u202egnirts", "- item", "1. item", "# heading", "&lt;b&gt;", "@someone",
    "javascript:alert(1)", "",
]  # fmt: skip


class Found(HTMLParser):
    """Elements with their attributes, and the words between them."""

    def __init__(self, document: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str, str]] = []
        self.text = ""
        self.feed(document)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [(tag, name, value or "") for name, value in attrs]

    def handle_data(self, data: str) -> None:
        if self.tags[-1:] not in (["script"], ["style"]):
            self.text += data


def hostile() -> DropoutView:
    """Every word of a stranger is one that would do harm."""
    shown = view(30)
    words = (HOSTILE * 3)[:30]
    sites = tuple(Site(word, word, 0.1, word, (0, 2)) for word in HOSTILE)
    effects = tuple(
        replace(effect, active=tuple(Active(word, word, 0.1) for word in HOSTILE)) for effect in shown.effects
    )
    told: dict[str, Any] = dict.fromkeys(("title", "answer", "label_name", "command"), HOSTILE[1])
    pairs = tuple(zip(HOSTILE, HOSTILE[::-1], strict=True))
    everywhere = {"notes": tuple(HOSTILE), "facts": pairs, "sites": sites, "effects": effects}
    return replace(
        shown, **told, **everywhere, texts=words, row_labels=words[::-1], classes=tuple(HOSTILE[:4])
    )


def values(shown: DropoutView) -> list[str]:
    """The figures as they are told."""
    told = [value for line in dropout_words.lines(shown) for value in (*line.values, line.beside)]
    return [*told, *dropout_words.sentences(shown.answer)]


def test_figures_are_those_of_the_view() -> None:
    shown = view()
    head, everywhere = shown.effects
    told = {line.name: line for line in dropout_words.lines(shown)}
    assert told["cosine to the clean vector"].values[0].startswith(f"{head.cosine_to_clean.mean:.3f} ± ")
    assert told["cosine to the clean vector"].beside == "theory sqrt(1 - p): 0.949 (in front of the head)"
    assert told["cosine of two draws"].beside == "theory 1 - p: 0.900 (in front of the head)"
    assert told["neighbours replaced, of the 15 nearest"].values[1] == f"{everywhere.neighbors_changed:.1f}"
    assert f"{shown.reseeded.mean:.3f}" in told["k-means with 4 clusters agrees (ARI)"].beside
    assert told["rows that flip in any pass"].values == (f"{head.rows_flipped}", f"{everywhere.rows_flipped}")
    assert shown.predicted is not None
    assert shown.row_labels is not None
    wrong = [row for row in range(60) if CLASSES[shown.predicted[row]] != shown.row_labels[row]]
    assert told["flipped, of those predicted wrong"].beside == f"{len(wrong)} rows"
    assert head.row_flipped is not None
    share = np.mean([head.row_flipped[row] for row in wrong])
    assert told["flipped, of those predicted wrong"].values[0].split()[0] in (
        f"{100 * share:.1f}",
        f"{100 * share:.0f}",
    )


def test_rows_that_flip_most_come_first() -> None:
    shown = view()
    total = sum(np.asarray(e.row_flipped, np.float64) for e in shown.effects if e.row_flipped is not None)
    assert isinstance(total, np.ndarray)
    found = shown.most_flipped(100)
    assert sorted(found) == np.flatnonzero(total).tolist()
    assert (np.diff(total[found]) <= 0).all()
    assert shown.most_flipped(3) == found[:3]
    listed = re.findall(r"row (\d+) ·", Found(page(shown)).text)
    assert [int(row) for row in listed] == found[:12]


def test_movement_is_measured_against_the_map() -> None:
    shown = view(3, ("head",))
    square = np.array([[0, 0], [10, 0], [0, 5]], np.float32)
    moved = square + np.array([[1, 0], [0, 2], [0, 0]], np.float32)
    effect = replace(shown.effects[0], coordinates=moved)
    told = replace(shown, coordinates=square, effects=(effect,)).movement(effect)
    assert told is not None
    assert (told.median, told.most) == pytest.approx((0.1, np.quantile([0, 0.1, 0.2], 0.9)))
    assert told.beyond == 0
    near = replace(effect, coordinates=square + np.array([[6, 0], [0, 2], [0, 0]], np.float32))
    far = replace(shown, coordinates=square, effects=(near,)).movement(near)
    assert far is not None
    # The nearest of each is 5, 10 and 5 away.
    assert far.beyond == pytest.approx(1 / 3)


def test_the_close_up_is_the_densest_part_of_the_map() -> None:
    random = np.random.default_rng(3)
    places = np.concatenate([random.uniform(-50, 50, (240, 2)), random.normal((20, -30), 2, (60, 2))])
    window = dropout_map.densest(places)
    assert window is not None
    middle = np.array([window.across, window.up])
    assert np.abs(middle - (20, -30)).max() < 4
    inside = (np.abs(places - middle).max(axis=1) <= window.half).sum()
    assert len(places) / 13 <= inside <= len(places) / 8
    assert dropout_map.densest(np.zeros((300, 2))) is None
    assert dropout_map.densest(places[:100]) is None
    drawn = dropout_pictures.maps(view(200))
    assert [picture.name for picture in drawn] == ["map-head", "map-head-near", "map-all", "map-all-near"]
    axes = drawn[1].draw(LIGHT).axes[0]
    (frame,) = drawn[0].draw(LIGHT).axes[0].patches
    assert (*axes.get_xlim(), *axes.get_ylim()) == pytest.approx(
        (frame.get_x(), frame.get_x() + frame.get_width(), frame.get_y(), frame.get_y() + frame.get_height())
    )


def test_the_page_has_every_figure_and_leaves_nothing_out_of_the_file() -> None:
    shown = view()
    document = page(shown)
    found = Found(document)
    for value in values(shown):
        assert value in found.text
    links = [value for _, name, value in found.attributes if name in ("src", "href", "srcset", "action")]
    assert all(link.startswith(("#", "data:image/")) for link in links)
    assert sum(link.startswith("data:") for link in links) == 2 * 6
    assert "default-src &#x27;none&#x27;" in document
    assert not re.search(r"https?:|url\(|@import|fetch\(", re.sub(r'"data:[^"]*"', "", document))
    assert page(shown) == document


def test_hostile_words_stay_words_on_the_page() -> None:
    shown = hostile()
    document = page(shown)
    document.encode()
    found = Found(document)
    # The data and the script of the map.
    assert found.tags.count("script") == 2
    assert found.tags.count("img") == 6
    assert not [name for _, name, _ in found.attributes if name.startswith("on")]
    assert HOSTILE[0] in found.text
    assert "\0" not in document
    scripts = re.search(r"script-src ([^;]*)", document)
    assert scripts is not None
    assert "unsafe" not in scripts[1]


def test_markdown_has_every_figure_and_its_pictures() -> None:
    shown = view()
    text, pictures = markdown(shown, "my report_files")
    html = MarkdownIt("commonmark").enable("table").render(text)
    words = Found(html).text
    for value in values(shown):
        assert value in words
    sources = re.findall(r'<img src="([^"]*)"', html)
    assert sources == [f"my%20report_files/{name}" for name in pictures]
    assert all(data.startswith(b"\x89PNG") for data in pictures.values())
    assert html.count("<table>") == 4


def test_hostile_words_stay_words_in_markdown() -> None:
    text, pictures = markdown(hostile(), "files")
    text.encode()
    html = MarkdownIt("commonmark").enable("table").render(text)
    found = Found(html)
    assert found.tags.count("img") == len(pictures)
    assert not set(found.tags) & {"a", "script", "code", "b"}
    assert found.tags.count("h1") == 1
    # Bare addresses, which GitHub makes links of.
    assert not re.search(r"https?://|(?<!\\)@|www\.", text)
    rows = [line for line in text.splitlines() if line.startswith("| ")]
    assert {len(re.findall(r"(?<!\\)\|", line)) for line in rows} <= {4, 6, 7}


def test_json_has_every_figure() -> None:
    shown = view()
    told = json.loads(json.dumps(facts(shown), allow_nan=False))
    head = told["effects"][0]
    assert head["cosine_to_clean"]["counts"] == list(shown.effects[0].cosine_to_clean.counts)
    assert head["expected_cosine_to_clean"] == pytest.approx(np.sqrt(0.9))
    assert told["effects"][1]["expected_cosine_to_clean"] is None
    assert told["cluster_agreement_reseeded"]["mean"] == shown.reseeded.mean
    assert [row["row"] for row in told["each"]] == list(range(60))
    for name, effect in (("head", shown.effects[0]), ("all", shown.effects[1])):
        np.testing.assert_array_equal(
            np.array([row[name]["flipped"] for row in told["each"]], np.float32), effect.row_flipped
        )
        np.testing.assert_array_equal(
            np.array([row[name]["coordinates"] for row in told["each"]], np.float32), effect.coordinates
        )


def test_histograms_hold_what_they_are_made_of() -> None:
    shown = view()
    effect = shown.effects[0]
    figure = dropout_pictures.cosines(shown)[0].draw(LIGHT)
    axes = figure.axes[0]
    for patch, spread in zip(
        axes.patches, (effect.cosine_to_clean, effect.cosine_between_draws), strict=True
    ):
        density, edges, _ = patch.get_data()  # type: ignore[attr-defined]
        assert (density * np.diff(edges)).sum() == pytest.approx(1)
        assert (edges[0], edges[-1]) == pytest.approx((spread.low, spread.high))
    # A few in the tail are not shown, and no others.
    draws = effect.cosine_between_draws
    assert draws is not None
    left, right = axes.get_xlim()
    assert right > effect.cosine_to_clean.high
    edges = np.linspace(draws.low, draws.high, len(draws.counts) + 1)
    hidden = sum(count for count, edge in zip(draws.counts, edges[1:], strict=True) if edge < left)
    assert hidden <= 0.003 * sum(draws.counts)
    theory = [line.get_xdata()[0] for line in axes.lines]  # type: ignore[index]
    assert theory == pytest.approx([np.sqrt(0.9), 0.9])
    assert not dropout_pictures.cosines(shown)[1].draw(LIGHT).axes[0].lines
    figure = dropout_pictures.neighbours(shown).draw(LIGHT)
    means = [line.get_xdata()[0] for line in figure.axes[0].lines]  # type: ignore[index]
    assert means == pytest.approx([e.neighbors_changed for e in shown.effects])
    figure = dropout_pictures.clusters(shown).draw(LIGHT)
    dots = [line.get_xdata()[0] for line in figure.axes[0].lines if line.get_marker() == "o"]  # type: ignore[index]
    assert dots == pytest.approx([*(e.cluster_agreement.mean for e in shown.effects), shown.reseeded.mean])


@pytest.mark.parametrize("theme", [LIGHT, DARK])
def test_arrows_lead_from_place_to_place_in_the_colours_of_the_labels(theme: Any) -> None:
    shown = view()
    assert shown.coordinates is not None
    assert shown.row_labels is not None
    figure = dropout_pictures.maps(shown)[0].draw(theme)
    (arrows,) = (each for each in figure.axes[0].collections if isinstance(each, Quiver))
    hues = {
        label: tuple(np.array(colours.rgb(entry.on_dark if theme.dark else entry.colour)) / 255)
        for entry in colours.key_of([dropout_map.map_view(shown, shown.coordinates)]).entries  # type: ignore[union-attr]
        for label in entry.labels
    }
    found = {
        (*start, *step): tuple(colour[:3])
        for start, step, colour in zip(
            np.round(arrows.XY, 4).tolist(),
            np.round(np.stack([arrows.U, arrows.V], 1), 4).tolist(),
            np.asarray(arrows.get_facecolor(), np.float64),
            strict=True,
        )
    }
    steps = np.asarray(shown.effects[0].coordinates, np.float64) - shown.coordinates
    wanted = {
        (*start, *step): hues[label]
        for start, step, label in zip(
            np.round(np.asarray(shown.coordinates, np.float64), 4).tolist(),
            np.round(steps, 4).tolist(),
            shown.row_labels,
            strict=True,
        )
    }
    assert found == wanted


@pytest.mark.parametrize(
    "missing",
    [
        {"coordinates": None},
        {"row_labels": None},
        {"predicted": None, "classes": (), "row_labels": None},
        {"inference": (), "sites": (), "facts": (), "command": ""},
        {"reseeded": Spread(1.0, 0.0, 1.0, 1.0), "texts": ["same"] * 40},
        {"coordinates": np.zeros((40, 2), np.float32)},
    ],
)
def test_what_is_not_there_is_left_out(missing: dict[str, Any]) -> None:
    shown = view(40, ("named",), **missing)
    if shown.predicted is None:
        bare = replace(shown.effects[0], predictions_flipped=None, rows_flipped=None, row_flipped=None)
        shown = replace(shown, effects=(bare,))
    same = Spread(1.0, 0.0, 1.0, 1.0)
    equal = replace(
        shown.effects[0], cosine_to_clean=same, cosine_between_draws=None, pair_rank_correlation=None
    )
    shown = replace(shown, effects=(equal,))
    found = Found(page(shown))
    assert ("flips" in [value for _, name, value in found.attributes if name == "id"]) == shown.classifies
    assert ("explore" in [value for _, name, value in found.attributes if name == "id"]) == (
        shown.coordinates is not None
    )
    text, pictures = markdown(shown, "files")
    assert ("map-named.png" in pictures) == (shown.coordinates is not None)
    assert "None" not in text + found.text
    json.dumps(facts(shown), allow_nan=False)


def test_many_rows_are_a_page_of_some_megabytes() -> None:
    shown = view(2000, ("head",))
    both = replace(shown, effects=(shown.effects[0], replace(shown.effects[0], scope="all")))
    assert len(page(both).encode()) < 6_000_000


def test_parts_of_other_rows_are_refused() -> None:
    with pytest.raises(InvalidInput, match="40 texts, but 39 row_labels"):
        view(40, row_labels=["a"] * 39)


@pytest.mark.parametrize(
    ("share", "words"),
    [
        (0.0, "0 %"),
        (1e-7, "less than 0.001 %"),
        (0.0002, "0.02 %"),
        (0.0004, "0.04 %"),
        (0.004, "0.4 %"),
        (0.046, "4.6 %"),
        (0.3, "30 %"),
        (0.994, "99 %"),
        (0.9996, "99.96 %"),
        (0.9999999, "99.999 %"),
        (1.0, "100 %"),
    ],
)
def test_a_share_is_never_none_or_all_of_what_is_neither(share: float, words: str) -> None:
    assert percent(share) == words


def test_means_and_indexes_keep_what_they_say() -> None:
    assert [mean_of(value) for value in (0.0, 0.04, 0.06, 9.24)] == ["0.0", "0.04", "0.1", "9.2"]
    assert [signed(value) for value in (-0.0004, -0.2, 0.0)] == ["0.000", "-0.200", "0.000"]


def test_one_pass_is_one() -> None:
    once = replace(view(8), passes=1)
    said = " ".join((dropout_words.kicker(once), *dropout_words.method(once), dropout_words.flipped(once, 3)))
    assert "1 pass " in said
    assert "1 passes" not in said + dropout_words.flips(once, 0)


def test_where_all_other_rows_are_neighbours_none_can_change() -> None:
    (near,) = (line for line in dropout_words.lines(replace(view(8), neighbors=7)) if "replaced" in line.name)
    assert near.beside == "all the other texts: none can change"
    (near,) = (line for line in dropout_words.lines(replace(view(8), neighbors=6)) if "replaced" in line.name)
    assert near.beside == "without dropout: 0"
