"""Reports on clusters: pages, Markdown and dendrograms; hostile words, many clusters, one, and none."""

from __future__ import annotations

import io
import re
import shutil
import subprocess
import warnings
from collections.abc import Iterator
from html.parser import HTMLParser
from itertools import combinations, pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from penult_service.errors import InvalidInput
from penult_service.plots import colours
from penult_service.plots.clusters import cluster_pictures, cluster_words, dendrogram
from penult_service.plots.clusters.cluster_markdown import markdown, tree_lines
from penult_service.plots.clusters.cluster_page import page
from penult_service.plots.clusters.cluster_view import Agreed, Batch, ClusterView, Example, Group
from penult_service.plots.clusters.dendrogram import tree_of
from penult_service.plots.drawing import own_style
from penult_service.plots.maps.views import MapView
from penult_service.plots.themes import DARK, LIGHT
from PIL import Image

HOSTILE = [
    "</script><script>window.hacked = 1</script>", "<img src=x onerror=alert(1)>", "a | b", "`code`", "```", "$x^2$",
    "中文 😀 العربية", "\ud800", "nul\0", "[link](javascript:alert(1))", "a\nb", "&lt;", "x" * 700,
]  # fmt: skip


@pytest.fixture(autouse=True)
def _warnings_are_errors() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield


def merges(k: int) -> np.ndarray:
    """A hierarchy in which the first two meet first, then the third joins them, and so on."""
    joined = [[0, 1, 0.1, 2], *([k + i - 1, i + 1, 0.1 * (i + 1), i + 2] for i in range(1, k - 1))]
    return np.array(joined[: k - 1], np.float64).reshape(-1, 4)


def groups(k: int, **more: Any) -> tuple[Group, ...]:
    found = []
    for label in range(k):
        told: dict[str, Any] = {
            "keywords": (f"word{label}", f"word{label} other", "other"),
            "labels": ((f"label {label % 3}", 7), ("rare", 1)),
            "central": (Example(label, f"central text {label}"), Example(label + 100, "next")),
            "border": (Example(label + 200, "border text"),),
            "odd": (Example(label + 300, "odd text"),),
            "silhouette": 0.5 - label / 100,
        }
        found.append(Group(label, 10 + k - label, **{**told, **more}))
    return tuple(found)


def view(k: int = 5, **more: Any) -> ClusterView:
    given = groups(k)
    base: dict[str, Any] = {
        "title": "rows.csv",
        "rows": sum(group.size for group in given) + 7,
        "groups": given,
        "used": {"method": "hdbscan", "metric": "cosine", "reduction": "umap", "reduced_dimensions": 5},
        "unassigned": 7,
        "merges": merges(k),
    }
    return ClusterView(**{**base, **more})


FULL: dict[str, Any] = {
    "silhouette": 0.25,
    "silhouette_rows": 40,
    "davies_bouldin": 0.71,
    "calinski_harabasz": 2345.6,
    "stability": Agreed(0.71, 0.66, 0.77, 20),
    "agreement": {
        "v_measure": 0.8,
        "adjusted_rand": 0.4,
        "purity": 0.7,
        "normalized_mutual_information": 0.81,
    },
    "curve": ((2, 0.1), (3, 0.2), (5, 0.15)),
    "moved": 3,
    "advice": (("min_cluster_size", "most rows are in none: a smaller one finds more"),),
    "notes": ("n_clusters is 5, not 9: there are 5 distinct rows",),
    "history": (
        Batch("yesterday", "made", 60, 7, (0, 1, 2, 3), (), (0, 1, 2, 3), (14, 13, 12, 11), (0.0,) * 4),
        Batch(
            "today",
            "grown",
            9,
            1,
            (4,),
            (),
            (0, 1, 2, 3, 4),
            (15, 14, 13, 12, 11),
            (0.1, 0.02, 0.3, 0.0, 0.0),
        ),
    ),
    "label_name": "category",
    "facts": (("model", "reviews"),),
    "command": "penult cluster rows.csv -o page.html",
}


class Found(HTMLParser):
    """Elements in order, attributes, and the words between them."""

    def __init__(self, document: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.words = ""
        self.feed(document)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attrs

    def handle_data(self, data: str) -> None:
        if self.tags[-1:] not in (["script"], ["style"]):
            self.words += data


def test_a_tree_joins_what_the_merges_say() -> None:
    tree = tree_of(view(4))
    assert tree is not None
    assert tree.distance == pytest.approx(0.3)
    assert tree.size == 14 + 13 + 12 + 11
    # The larger branch first; of the last merge it is that of the three others.
    assert [leaf.groups[0].label for leaf in tree.leaves()] == [0, 1, 2, 3]
    assert [round(branch.distance, 2) for branch in tree.branches] == [0.2, 0.0]


def test_a_tree_of_more_leaves_than_can_be_read() -> None:
    tree = tree_of(view(12), most=4)
    assert tree is not None
    leaves = tree.leaves()
    assert [len(leaf.groups) for leaf in leaves] == [9, 1, 1, 1]
    assert leaves[0].size == sum(group.size for group in groups(12)[:9])
    assert tree.size == sum(group.size for group in groups(12))


@pytest.mark.parametrize(("k", "titled"), [(2, True), (5, False), (40, True), (110, False)])
@pytest.mark.parametrize(
    "name", ["", "a name that is really much too long for a leaf of a tree, whoever gave it"]
)
def test_words_of_a_dendrogram_fit_and_stand_apart(k: int, titled: bool, name: str) -> None:
    shown = view(k, groups=groups(k, name=name), title="a title " * 20)
    with own_style():
        figure = dendrogram.figure(shown, LIGHT, titled=titled)
        FigureCanvasAgg(figure).draw()
    boxes = [text.get_window_extent() for text in figure.texts if text.get_text()]
    tree = figure.axes[0].bbox
    assert len(boxes) >= 2 * min(k, dendrogram.MOST_LEAVES)
    for box in boxes:
        assert 0 <= box.x0 < box.x1 <= figure.bbox.x1
        assert 0 <= box.y0 < box.y1 <= figure.bbox.y1
        assert box.x0 >= tree.x1 or box.y0 >= tree.y1 - 1 or box.y1 <= tree.y0
    assert tree.width > 0.2 * figure.bbox.width
    for one, other in pairwise(sorted(boxes, key=lambda box: (round(box.y0), box.x0))):
        assert one.x1 <= other.x0 or other.x1 <= one.x0 or one.y1 <= other.y0 + 1, (one, other)


def test_a_dendrogram_has_the_colours_of_the_map() -> None:
    shown = view(5)
    labels = [str(group.label) for group in shown.groups for _ in range(group.size)]
    key = colours.key_of([MapView(np.zeros((len(labels), 2), np.float32), labels)])
    assert key is not None
    assert {label: entry.colour for label, entry in shown.colours().items()} == {
        int(entry.name): entry.colour for entry in key.entries
    }
    image = np.asarray(Image.open(io.BytesIO(dendrogram.picture(shown, "png"))).convert("RGB"), np.int64)
    for entry in shown.colours().values():
        assert (np.abs(image - np.array(colours.rgb(entry.colour))).max(axis=2) < 40).sum() > 30


def test_branches_meet_at_their_distances() -> None:
    with own_style():
        figure = dendrogram.figure(view(4), DARK)
    segments = figure.axes[0].collections[0].get_segments()
    upright = sorted(float(line[0][0]) for line in segments if line[0][0] == line[1][0])
    np.testing.assert_allclose(upright, [0.1, 0.2, 0.3])
    assert figure.axes[0].get_xlabel() == "cosine distance of centres"


@pytest.mark.parametrize("k", [0, 1])
def test_a_dendrogram_of_fewer_than_two(k: int) -> None:
    for kind in ("png", "svg"):
        assert dendrogram.picture(view(k, merges=np.empty((0, 4))), kind)


def test_equal_clusters_give_equal_bytes() -> None:
    assert dendrogram.picture(view(), "svg") == dendrogram.picture(view(), "svg")
    assert page(view(**FULL)) == page(view(**FULL))


def test_merges_of_other_clusters_are_refused() -> None:
    with pytest.raises(InvalidInput, match="4 merges of 3 clusters"):
        view(3, merges=merges(5))


def test_a_page_says_it_all() -> None:
    words = " ".join(Found(page(view(**FULL))).words.split())
    for each in (
        "rows.csv", "5 clusters of 72 rows · HDBSCAN on 5 dimensions of UMAP · cosine", "the largest of 15 rows",
        "7 rows (9.7 %) in no cluster.", "3 rows were noise", "--min-cluster-size", "0.250", "2,346", "0.66 to 0.77",
        "V-measure", "Normalised mutual information", "against category", "central text 3", "border text", "odd text",
        "Best of 3 numbers tried: 3, at 0.200.", "How the clusters belong together", "rows taken in; new: 4",
        "2 word2, word2 other: 0.3", "n_clusters is 5, not 9", "model", "penult cluster rows.csv -o page.html",
    ):  # fmt: skip
        assert each in words, each


def test_a_page_leaves_out_what_there_is_not() -> None:
    bare = tuple(Group(label, 5) for label in range(3))
    words = Found(page(view(3, groups=bare, used={}))).words
    for each in (
        "Silhouette",
        "Stability",
        "V-measure",
        "Davies",
        "examples",
        "more",
        "How many clusters",
        "became",
    ):
        assert each not in words, each
    assert "How the clusters belong together" in words


@pytest.mark.parametrize("k", [0, 1])
def test_pages_of_fewer_than_two(k: int) -> None:
    shown = view(k, merges=np.empty((0, 4)))
    words = Found(page(shown)).words
    assert ("No clusters were found" if k == 0 else "One cluster, of 11 rows.") in words
    assert ("No clusters were found" if k == 0 else "One cluster, of 11 rows.") in markdown(shown)
    nothing = ClusterView("", 0, (), {})
    assert "There are no rows." in page(nothing)
    assert "There are no rows." in markdown(nothing)


def test_nothing_leaves_the_page() -> None:
    shown = view(**FULL, map=MapView(np.zeros((3, 2), np.float32), ["0", "1", "-1"]))
    document = page(shown)
    found = Found(document)
    assert all(
        (value or "").startswith("data:") for name, value in found.attributes if name in ("src", "srcset")
    )
    assert all((value or "").startswith("#") for name, value in found.attributes if name == "href")
    assert "default-src &#x27;none&#x27;" in document
    assert not any(
        word in document for word in ("http:", "https:", "url(", "@import", "innerHTML", "onclick")
    )


def test_hostile_words_stay_words() -> None:
    told = groups(
        len(HOSTILE),
        keywords=tuple(HOSTILE),
        labels=tuple((words, 1) for words in HOSTILE),
        central=tuple(Example(0, words) for words in HOSTILE),
    )
    told = tuple(
        Group(g.label, g.size, HOSTILE[g.label], g.keywords, g.labels, g.central, g.border, g.odd)
        for g in told
    )
    batches = tuple(Batch(words, words, 1, labels=(0,), sizes=(3,), drift=(0.5,)) for words in HOSTILE)
    more = {"advice": ((HOSTILE[0], HOSTILE[1]),), "notes": tuple(HOSTILE), "label_name": HOSTILE[1]}
    facts = tuple(zip(HOSTILE, HOSTILE, strict=True))
    shown = view(
        len(HOSTILE), groups=told, title=HOSTILE[0], history=batches, facts=facts, command=HOSTILE[0],
        used={"method": HOSTILE[0], "metric": HOSTILE[1], "reduction": HOSTILE[1]}, **more,
    )  # fmt: skip
    document = page(shown)
    document.encode()
    found = Found(document)
    assert found.tags.count("script") == 1
    assert found.tags.count("img") == len(cluster_pictures.every(shown))
    assert not {name for name, _ in found.attributes} & {"onerror", "onclick"}
    text = markdown(shown)
    text.encode()
    outside = re.sub(r"```text\n.*?\n```", "", text, flags=re.DOTALL)
    assert not re.search(r"(?<!\\)<(script|img)", outside)
    assert not re.search(r"(?<!\\)\]\(javascript", outside)
    assert text.count("\n```") == 2
    for line in outside.splitlines():
        if line.startswith("|"):
            assert len(re.findall(r"(?<!\\)\|", line)) in (4, 7, 8, 9), line


def test_markdown_has_tables_and_the_tree() -> None:
    text = markdown(view(3, **{**FULL, "history": ()}))
    lines = text.splitlines()
    assert lines[0] == "# rows.csv"
    row = next(line for line in lines if line.startswith("| 1 | 12 |"))
    assert row.split(" | ")[3] == "word1, word1 other, other"
    assert "- `--min-cluster-size`: most rows are in none: a smaller one finds more" in lines
    tree = tree_of(view(3))
    assert tree is not None
    assert list(tree_lines(tree)) == [
        "0.2",
        "├─ 0.1",
        "│  ├─ 0 word0, word0 other (13)",
        "│  └─ 1 word1, word1 other (12)",
        "└─ 2 word2, word2 other (11)",
    ]
    assert all(line in lines for line in tree_lines(tree))


def test_words_of_a_cluster_do_not_repeat_themselves() -> None:
    assert (
        Group(0, 1, keywords=("transfer", "money", "transfer money", "into")).words == "transfer, money, into"
    )
    assert Group(0, 1, "mine", ("a",)).title == "0 mine"
    assert Group(3, 1).title == "3"
    assert cluster_words.other_keywords(Group(0, 1, keywords=("a", "b", "c", "d"))) == "d"


@pytest.mark.parametrize("history", [(), FULL["history"][:1]])
def test_pictures_that_would_show_nothing_are_left_out(history: tuple[Batch, ...]) -> None:
    shown = view(1, merges=np.empty((0, 4)), curve=((2, 0.1), (3, float("nan"))), history=history)
    assert cluster_pictures.every(shown) == []


@pytest.mark.parametrize("counts", [(2, 3, 4), (2, 3, 5, 8, 13, 21, 34, 55, 89, 144, 233)])
def test_a_curve_names_its_best(counts: tuple[int, ...]) -> None:
    shown = view(curve=tuple((count, 0.2 - abs(count - counts[1]) / 1000) for count in counts))
    drawn = cluster_pictures.curve(shown)
    assert drawn is not None
    assert f"{counts[1]}, at 0.200" in drawn.caption
    with own_style():
        figure = drawn.draw(LIGHT)
        FigureCanvasAgg(figure).draw()
    (line, best) = figure.axes[0].lines
    np.testing.assert_allclose(np.asarray(line.get_xdata(), np.float64), counts)
    assert np.asarray(best.get_xdata(), np.float64).tolist() == [counts[1]]
    numbers = [tick.get_window_extent() for tick in figure.axes[0].get_xticklabels() if tick.get_text()]
    assert all(one.x1 <= other.x0 for one, other in pairwise(numbers))


def test_ends_of_lines_have_names_that_stand_apart() -> None:
    alike = tuple(
        Batch(str(time), "grown", 5, labels=tuple(range(12)), sizes=tuple(20 + time * k for k in range(12)))
        for time in range(3)
    )
    drawn = cluster_pictures.sizes(view(12, history=alike))
    assert drawn is not None
    with own_style():
        figure = drawn.draw(DARK)
        FigureCanvasAgg(figure).draw()
    boxes = [text.get_window_extent() for text in figure.axes[0].texts]
    assert len(boxes) == cluster_pictures.MOST_LINES
    for one, other in combinations(boxes, 2):
        assert one.y1 <= other.y0 + 1 or other.y1 <= one.y0 + 1
    assert all(box.x1 <= figure.bbox.x1 and box.y0 >= 0 for box in boxes)


def test_the_table_sorts_and_searches_in_a_browser(tmp_path: Path) -> None:
    browser = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if browser is None:
        pytest.skip("there is no Chromium here")
    document = page(view(12, **{**FULL, "history": ()}))
    # The page's own policy would not let the test's script run.
    document = re.sub(r'<meta http-equiv="Content-Security-Policy"[^>]*>', "", document)
    act = """<script>
      const labels = () => [...document.querySelectorAll('.clusters tbody tr')].filter((row) => !row.hidden)
        .map((row) => row.querySelector('b').textContent).join(' ');
      const button = (name) => document.querySelector(`.clusters th[data-sort="${name}"] button`);
      const told = [];
      button('silhouette').click(); told.push(labels());
      button('silhouette').click(); told.push(labels());
      button('rows').click(); button('rows').click(); told.push(labels());
      button('cluster').click(); told.push(labels());
      const field = document.querySelector('.find input');
      field.value = 'central text 7'; field.dispatchEvent(new Event('input')); told.push(labels());
      document.body.dataset.told = told.join('|');
    </script></body>"""
    (tmp_path / "page.html").write_text(document.replace("</body>", act), encoding="utf-8")
    flags = (
        "--headless --no-sandbox --disable-gpu --no-first-run --disable-background-networking --disable-sync"
    )
    command = [browser, *flags.split(), f"--user-data-dir={tmp_path / 'profile'}", "--dump-dom"]
    done = subprocess.run(
        [*command, (tmp_path / "page.html").as_uri()], capture_output=True, text=True, timeout=120, check=True
    )
    told = next(value for name, value in Found(done.stdout).attributes if name == "data-told")
    up = " ".join(map(str, range(12)))
    down = " ".join(map(str, range(11, -1, -1)))
    assert (told or "").split("|") == [up, down, down, up, "7"]
