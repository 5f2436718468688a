"""The page: nothing in it leaves the file, no text gets out of its place, and the numbers come back."""

from __future__ import annotations

import base64
import json
import shutil
import subprocess
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from penult_service.plots.maps.map_page import fragment, page
from penult_service.plots.maps.views import MapView

HOSTILE = [
    "</script><script>window.hacked = 1</script>", "\"double\" 'single' `tick`", "line\u2028and\u2029paragraph",
    "nul\0byte", "<!-- <script>", "-->", "]]>", "<img src=x onerror=alert(1)>", "&lt;b&gt;", "\ud83d", "\\u0041 \\",
    "中文 😀 العربية", "${1 + 1}", "", "__proto__",
]  # fmt: skip


class Found(HTMLParser):
    """Elements, attributes, and what stands in script elements."""

    def __init__(self, document: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.scripts: list[str] = []
        self.text = ""
        self.feed(document)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attrs
        if tag == "script":
            self.scripts.append("")

    def handle_data(self, data: str) -> None:
        if self.tags[-1:] == ["script"]:
            self.scripts[-1] += data
        else:
            self.text += data


def data_of(document: str) -> dict[str, Any]:
    data: dict[str, Any] = json.loads(Found(document).scripts[0])
    return data


def array(text: str, kind: str) -> NDArray[Any]:
    return np.frombuffer(base64.b64decode(text), kind)


def view(n: int = 200, labels: int = 3, **more: Any) -> MapView:
    places = (np.random.default_rng(n).standard_normal((n, 2)) * [3, 1]).astype(np.float32)
    settings = {
        "labels": [f"label {i % labels}" for i in range(n)],
        "texts": [f"text {i}" for i in range(n)],
        **more,
    }
    return MapView(places, **settings)


def test_nothing_leaves_the_file() -> None:
    document = page(view(title="t", caption="c"), "heading")
    found = Found(document)
    assert set(found.tags) <= {"html", "head", "meta", "title", "style", "body", "div", "script", "noscript"}
    assert not {name for name, _ in found.attributes} & {"src", "href", "srcset", "action", "data"}
    assert "\"default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'\"" in document
    for word in (
        "http:",
        "https:",
        "url(",
        "@import",
        "fetch(",
        "XMLHttp",
        "import(",
        "WebSocket",
        "innerHTML",
        "eval(",
    ):
        assert word not in document


def test_places_come_back_in_their_proportions() -> None:
    shown = view()
    data = data_of(page(shown, "h"))
    grid = array(data["places"], "<u2").reshape(-1, 2).astype(np.float64)
    places = shown.coordinates.astype(np.float64)
    extent = np.ptp(places, axis=0).max()
    expected = (places - places.min(axis=0)) / extent
    np.testing.assert_allclose(grid[:, 0] / 65535, expected[:, 0], atol=1e-5)
    np.testing.assert_allclose(
        1 - grid[:, 1] / grid[:, 1].max(), expected[:, 1] / expected[:, 1].max(), atol=6e-5
    )
    assert grid.max() == 65535


def test_texts_and_labels_come_back() -> None:
    shown = view(labels=30, noise=None)
    data = data_of(page(shown, "h"))
    assert data["texts"] == shown.texts
    codes = array(data["codes"], "<u2")
    assert [data["labels"][code][0] for code in codes] == shown.labels
    counts = {name: count for name, count, *_ in data["labels"]}
    assert counts == {f"label {i}": len(range(i, 200, 30)) for i in range(30)}
    assert [label[-1] for label in data["labels"]] == ["named"] * 20 + ["other"] * 10


def test_values_come_back() -> None:
    values = np.linspace(-1, 1, 200)
    values[5] = np.nan
    data = data_of(page(view(labels=1, values=values), "h"))
    np.testing.assert_array_equal(array(data["values"], "<f4"), values.astype(np.float32))
    assert data["ends"] == [-1, 1]


def test_hostile_texts_stay_texts() -> None:
    labels = (HOSTILE * 20)[:200]
    shown = view(labels=1, texts=labels[::-1], title=HOSTILE[0], caption=HOSTILE[7], legend=HOSTILE[4])
    shown = MapView(shown.coordinates, labels, labels[::-1], HOSTILE[0], HOSTILE[7], legend=HOSTILE[4])
    document = page(shown, HOSTILE[0] + HOSTILE[7])
    document.encode()
    found = Found(document)
    assert found.tags.count("script") == 2
    assert "img" not in found.tags
    data = data_of(document)
    assert data["texts"][-1] == HOSTILE[0]
    assert data["texts"][-8] == HOSTILE[7]
    assert data["texts"][-12] == HOSTILE[11]
    raw = found.scripts[0]
    assert not set(raw) & set("<>&\0\u2028\u2029")
    assert "window.hacked" not in "".join(found.scripts[1:])


def test_long_texts_are_cut() -> None:
    data = data_of(page(view(2, texts=["x" * 5000, "y"]), "h"))
    assert [len(text) for text in data["texts"]] == [600, 1]
    assert data["texts"][0].endswith("…")


def test_fifty_thousand_rows_are_a_few_megabytes() -> None:
    texts = [f"a question of about sixty characters, which is usual: {i}" for i in range(50_000)]
    shown = view(50_000, 77, texts=texts)
    assert len(page(shown, "h").encode()) < 5_000_000
    assert len(page(MapView(shown.coordinates), "h").encode()) < 400_000


@pytest.mark.parametrize("n", [0, 1])
def test_tiny_maps(n: int) -> None:
    assert data_of(page(view(n), "h"))["n"] == n


def test_several_maps_in_one_document() -> None:
    both = fragment(view(), "one") + fragment(view(20, title="second"), "two")
    found = Found(both)
    assert [value for name, value in found.attributes if name == "id"] == [
        "one",
        "one-data",
        "two",
        "two-data",
    ]
    assert json.loads(found.scripts[2])["title"] == "second"
    for bad in ("", "a b", '"><script>', "1"):
        with pytest.raises(ValueError, match="no id"):
            fragment(view(), bad)


def test_equal_maps_give_equal_pages() -> None:
    assert page(view(), "h") == page(view(), "h")


def test_in_a_browser(tmp_path: Path) -> None:
    """The script runs under the page's own policy, and shows what is there."""
    browser = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if browser is None:
        pytest.skip("there is no Chromium here")
    labels = (HOSTILE * 20)[:200]
    shown = view(labels=1)
    shown = MapView(shown.coordinates, labels, labels[::-1], title=HOSTILE[0])
    (tmp_path / "map.html").write_text(page(shown, HOSTILE[7]), encoding="utf-8")
    flags = (
        "--headless --no-sandbox --disable-gpu --no-first-run --disable-background-networking --disable-sync"
    )
    done = subprocess.run(
        [
            browser,
            *flags.split(),
            f"--user-data-dir={tmp_path / 'profile'}",
            "--dump-dom",
            (tmp_path / "map.html").as_uri(),
        ],
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    found = Found(done.stdout)
    assert "canvas" in found.tags
    assert "img" not in found.tags
    assert "200 rows" in found.text
    assert HOSTILE[7] in found.text
    assert found.tags.count("li") == len(set(HOSTILE))
