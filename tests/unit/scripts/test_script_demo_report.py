"""The demo's report, on a made-up run with hostile texts: figures, report.md, report.html and its maps."""

from __future__ import annotations

import base64
import hashlib
import re
from html.parser import HTMLParser
from types import SimpleNamespace
from typing import Any

import demo_figures
import demo_page
import demo_report
import demo_svg
import demo_words
import numpy as np
import pytest
from demo_ask import Analyses, Answers, Asked, Texts
from demo_report import Report
from penult_client import ClusterQuality, Clusters, Embeddings, Neighbors, Projection, ProjectionQuality
from penult_service.plots import markup
from penult_service.prepared import Figure as ProofFigure
from penult_service.prepared import Proof
from penult_service.preparing.report import DropoutEffect, Verification

GENRES = ("film", "news", "tweet")
HOSTILE = "</script><script>alert('x')</script> a | b \\| <!-- & \"quoted\"\nnext line"
ROWS = 30
NONE = np.zeros(0, np.int32)
EFFECT = DropoutEffect(0.1, ROWS, 15, 0.949, 0.9487, 0.9, 0.9, 6.9, 0.23, 0.002)


def proof(apart: float = 0.0, *, proven: bool = True) -> Proof:
    figures = (
        ProofFigure("before_vs_after_dropout", "in front against behind", apart, 0.0),
        ProofFigure("repeat", "20 runs <same>", 3e-7, 1e-5),
    )
    return Proof(proven, ("the graph as saved: none random",), figures)


def verification(effect: DropoutEffect | None = EFFECT, *, apart: float = 0.0) -> Verification:
    manifest: Any = SimpleNamespace(proof=proof(apart), versions={"penult": "1"}, sites=(1,))
    return Verification(manifest, effect)


def analyses(seed: int, *, apart: float) -> Analyses:
    """Three genres in the order of the rows, `apart` from each other."""
    chance = np.random.default_rng(seed)
    codes = np.arange(ROWS) % 3
    vectors = (np.eye(3)[codes] * apart + chance.normal(size=(ROWS, 3))).astype(np.float32)
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    scores = unit @ unit.T
    others = scores - 9 * np.eye(ROWS, dtype=np.float32)
    indices = np.argsort(-others, axis=1)[:, :3].astype(np.int32)
    same: dict[str, Any] = {"adjustments": (), "zero_rows": NONE}
    clusters = Clusters(
        labels=codes.astype(np.int32),
        sizes=np.array([10, 10, 10], np.int32),
        nearest=tuple(np.flatnonzero(codes == code).astype(np.int32)[:5] for code in range(3)),
        quality=ClusterQuality(
            silhouette=0.5, silhouette_rows=ROWS, noise_share=0.125, adjusted_rand=0.75, purity=0.875
        ),
        used={"method": "hdbscan"},
        **same,
    )
    quality = ProjectionQuality(
        trustworthiness=None, rows=ROWS, neighbors=15, label_purity=0.8125, label_purity_source=0.5625
    )
    return Analyses(
        embeddings=embeddings(vectors, codes),
        scores=scores,
        near=Neighbors(
            indices=indices,
            scores=np.take_along_axis(scores, indices, axis=1),
            metric="cosine",
            zero_queries=NONE,
            zero_corpus=NONE,
            space_checked=True,
            adjustments=(),
        ),
        kmeans=clusters,
        hdbscan=clusters,
        projection=Projection(
            coordinates=vectors[:, :2], quality=quality, explained_variance=np.zeros(0), used={}, **same
        ),
    )


def embeddings(vectors: Any, codes: Any) -> Embeddings:
    guessed = np.where(np.arange(ROWS) < 3, (codes + 1) % 3, codes)  # three of them wrong
    known: Any = {
        "model": "genre",
        "version": 1,
        "digest": "d" * 64,
        "engine": "fake",
        "precision": "float32",
        "dropout_proven": True,
        "token_counts": NONE,
        "truncated": np.zeros(0, "U"),
        "row_errors": (),
        "layer": "encoder",
        "pooling": "pooled",
        "normalized": False,
        "space": "s",
        "labels": GENRES,
    }
    return Embeddings(vectors=vectors, probabilities=np.eye(3, dtype=np.float32)[guessed], **known)


@pytest.fixture(scope="module")
def texts() -> Texts:
    return Texts([f"{HOSTILE} {row}" for row in range(ROWS)], [GENRES[row % 3] for row in range(ROWS)])


@pytest.fixture(scope="module")
def asked(texts: Texts) -> Asked:
    trained, untrained = analyses(1, apart=4.0), analyses(2, apart=0.1)
    e = trained.embeddings
    assert e.probabilities is not None
    dropout: Any = SimpleNamespace(sites=(1,), proven=True)
    answers = Answers(e, 0.0, e.vectors + np.float32(0.5), e.probabilities, dropout)
    return Asked(texts, answers, trained, untrained, 1234.0)


@pytest.fixture(scope="module")
def report(asked: Asked) -> Report:
    commands = [("penult serve <my_model>", "serves & answers")]
    return demo_report.make(verification(), asked, asked.trained.embeddings.vectors, commands, {"train": 1.5})


@pytest.fixture(scope="module")
def page(report: Report, asked: Asked) -> str:
    return demo_page.page(report, demo_page.views(asked))


class Reader(HTMLParser):
    """The tags in order, and the words that are shown."""

    VOID = ("meta", "br")

    def __init__(self, document: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.shown: list[str] = []
        self.feed(document)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] not in ("script", "style"):
            self.shown.append(data)


def test_two_sentences_with_the_figures() -> None:
    first, second = demo_words.answer(verification())
    assert first.startswith("Take them before it")
    assert "bit for bit" in first
    assert all(part in second for part in ("6.9 would be others", "only 23 %", "0.2 % of the predictions"))
    for sentence in (first, second):
        assert len(re.findall(r"[.](?: |$)", sentence)) == 1


def test_the_answer_says_what_was_measured() -> None:
    first, _ = demo_words.answer(verification(apart=2e-7))
    assert "bit for bit" not in first
    assert "2e-07" in first
    _, second = demo_words.answer(verification(effect=None))
    assert "nothing that could be switched on" in second
    assert demo_words.what_if(None) == []


def test_figures(report: Report) -> None:
    figures = report.by_name
    assert figures["accuracy"].value == "0.900"  # 27 of 30
    assert (figures["neighbour purity"].value, figures["neighbour purity"].warning) == (
        "0.562",
        " (expected: at least 0.8)",
    )
    assert figures["trustworthiness"].value == "undefined"
    assert figures["alone or together"].value == "0.5"
    assert figures["file against client"].value == "0"
    assert figures["HDBSCAN: noise"].value == "12 %"
    assert float(figures["silhouette"].value) > 0.5 > float(figures["silhouette"].before)


def test_near_texts_and_clusters(report: Report, texts: Texts, asked: Asked) -> None:
    assert [near.text.text for near in report.near] == texts.texts[:3]
    row = int(asked.trained.near.indices[1, 0])
    assert (report.near[1].trained[0].text, report.near[1].trained[0].genre) == (
        texts.texts[row],
        texts.genres[row],
    )
    assert [cluster.genres for cluster in report.clusters] == [[(genre, 10)] for genre in GENRES]
    assert all(len(cluster.examples) == demo_figures.EXAMPLES for cluster in report.clusters)


def test_both_reports_have_all_figures(report: Report, page: str) -> None:
    markdown = demo_report.markdown(report)
    shown = "\n".join(Reader(page).shown)
    for figure in (*report.knows, *report.same):
        row = next(line for line in markdown.splitlines() if line.startswith(f"| {figure.name} |"))
        assert figure.value in row
        assert figure.before in row
        assert re.search(rf"{re.escape(figure.name)}\n+{re.escape(figure.value)}\n", shown), figure.name
    for line in report.what_if:
        assert f"| {line.name} | {line.off} | {line.on} | {line.theory} |" in markdown
        assert re.search("\n+".join(map(re.escape, (line.name, line.off, line.on))), shown)
    for sentence in report.answer:
        assert sentence in markdown
        assert sentence in shown


def test_tables_stay_tables_whatever_the_texts_say(report: Report) -> None:
    columns = 0
    for line in demo_report.markdown(report).splitlines():
        if line.startswith("|"):
            found = len(re.findall(r"(?<!\\)(?:\\\\)*\|", line))
            assert columns in (0, found)
            columns = found
        else:
            columns = 0


def test_the_page_needs_nothing_and_runs_only_its_own_script(page: str) -> None:
    reader = Reader(page)
    assert reader.open == []
    for tag, attributes in reader.tags:
        assert tag not in ("link", "iframe", "object", "base", "form", "img")
        assert not {"src", "srcset", "action"} & attributes.keys()
        assert not [name for name in attributes if name.startswith("on")]
        assert (attributes.get("href") or "#").startswith("#")
    named = {attributes.get("id") for _, attributes in reader.tags}
    assert {f"#{name}" for name in named if name} >= {a["href"] for tag, a in reader.tags if tag == "a"}
    scripts = re.findall(r"<script>(.*?)</script>", page, re.DOTALL)
    assert len(scripts) == 1
    (policy,) = (a["content"] for _, a in reader.tags if a.get("http-equiv") == "Content-Security-Policy")
    digest = base64.b64encode(hashlib.sha256(scripts[0].encode()).digest()).decode()
    assert policy is not None
    assert f"script-src 'sha256-{digest}'" in policy
    assert policy.startswith("default-src 'none'")


def test_texts_are_shown_as_they_are(page: str, texts: Texts) -> None:
    assert "alert('x')</script>" not in page
    assert texts.texts[0] in "".join(Reader(page).shown)


def test_a_map_has_a_dot_for_each_row_in_its_genre() -> None:
    places = np.array([[0, 0], [10, 0], [10, 5]], np.float32)
    svg = demo_svg.scatter(places, np.array([0, 1, 1], np.int32), ["one", "<two>"], "a map", named=True)
    dots = {code: re.findall(rf'd="([^"]*)" class="g{code}"', svg) for code in (0, 1)}
    assert [" ".join(dots[code]).count("h0") for code in (0, 1)] == [1, 2]
    assert "&lt;two&gt;" in svg
    # The wide side fills the square, y points up.
    assert "M12.0 294.0h0" in svg
    assert "M388.0 106.0h0" in svg


def test_markup() -> None:
    assert markup.element("p", "<", markup.Html("<br>"), class_='"') == '<p class="&quot;">&lt;<br></p>'
    assert markup.policy("no script").count("script-src 'none'") == 1


def test_views_are_maps_of_the_same_texts(asked: Asked) -> None:
    maps = demo_page.views(asked)
    assert [view.title for view in maps] == ["Trained", "Before training"]
    assert all(list(view.labels or ()) == asked.texts.genres for view in maps)
    assert maps[0].coordinates is not maps[1].coordinates
