"""The parts of report.html that show genres: maps, clusters, near texts."""

from __future__ import annotations

from collections.abc import Sequence

import demo_svg
from demo_figures import Cluster, Near, Pair, Text
from demo_report import Report
from penult_service.plots.colours import Key
from penult_service.plots.maps.views import MapView
from penult_service.plots.markup import Html, element, join, paragraph, section, table


class Genres:
    """The parts that show genres: each has its colour, the same everywhere."""

    def __init__(self, genres: dict[str, int]) -> None:
        self._genres = genres

    def maps(self, maps: Sequence[MapView], key: Key) -> Html:
        """The two maps beside each other."""
        names = list(self._genres)
        drawn = [
            element(
                "figure",
                demo_svg.scatter(
                    view.coordinates, codes, names, f"{view.title}: map of the texts", named=not place
                ),
                element("figcaption", element("b", view.title), view.caption),
            )
            for place, (view, codes) in enumerate(zip(maps, key.codes, strict=True))
        ]
        entries = [element("li", self._dot(name)) for name in names]
        return section(
            "maps",
            "The embeddings, trained and before training",
            paragraph(
                "Each dot is a sentence that was held out; near dots have similar embeddings. The same layer of the "
                "same network is read, after and before it was trained on other sentences: the islands are what it has "
                "learned."
            ),
            element("ul", *entries, class_="key"),
            element("div", *drawn, class_="maps"),
        )

    def clusters(self, report: Report) -> Html:
        """Clusters with what is in them."""
        figures = report.by_name
        kmeans, found = figures["k-means: purity"], figures["HDBSCAN: purity"]
        count, noise = figures["HDBSCAN: clusters"], figures["HDBSCAN: noise"].value
        shown = f" The largest {len(report.found)}:" if int(count.value) > len(report.found) else ""
        return section(
            "clusters",
            "Clusters",
            paragraph(
                f"Found without the genres, then compared with them. k-means, told to make {len(report.clusters)}: "
                f"purity {kmeans.value}, before training {kmeans.before}."
            ),
            element("div", *map(self._cluster, report.clusters), class_="cards"),
            element("h3", "The same before training"),
            element("div", *(self._cluster(c, examples=0) for c in report.clusters_before), class_="cards"),
            element("h3", "HDBSCAN, which is not told how many"),
            paragraph(
                f"{count.value} clusters {count.meaning}: purity {found.value}, before training {found.before}; "
                f"{noise} of the sentences are in none.{shown}"
            ),
            element("div", *(self._cluster(c, examples=1) for c in report.found), class_="cards"),
        )

    def _cluster(self, cluster: Cluster, examples: int = 3) -> Html:
        shares = [
            element("span", class_=self._class(name), style=f"flex:{count}") for name, count in cluster.genres
        ]
        told = [element("li", self._dot(f"{name} {count:,}", name)) for name, count in cluster.genres]
        name, most = cluster.genres[0]
        return element(
            "div",
            element(
                "h3",
                f"{100 * most / cluster.size:.0f} % {name}",
                element("span", f"{cluster.size:,} sentences"),
            ),
            element("div", *shares, class_="bar", role="presentation"),
            element("ul", *told, class_="shares"),
            *([paragraph(", ".join(cluster.keywords), class_="pale")] if cluster.keywords else []),
            *(element("blockquote", example.text) for example in cluster.examples[:examples]),
            class_="card",
        )

    def near(self, report: Report) -> Html:
        """Near texts by both models, and the extremes of one."""
        return section(
            "near",
            "Near texts",
            paragraph("The first held-out sentence of each genre, and the three nearest to it by cosine."),
            *map(self._near, report.near),
            element(
                "details",
                element("summary", "The most and the least alike of all"),
                *(
                    self._pairs(title, pairs)
                    for title, pairs in (("Most", report.alike), ("Least", report.unlike))
                ),
            ),
        )

    def _near(self, near: Near) -> Html:
        sides = (("Trained", near.trained), ("Before training", near.untrained))
        return element(
            "div",
            element("blockquote", near.text.text, class_=self._class(near.text.genre)),
            element(
                "div",
                *(element("div", element("h3", title), self._texts(found)) for title, found in sides),
                class_="two",
            ),
            class_="near",
        )

    def _texts(self, found: Sequence[Text]) -> Html:
        return element(
            "ol",
            *(
                element("li", t.text, element("small", self._dot(t.genre), f"cosine {t.score:.3f}"))
                for t in found
            ),
            class_="texts",
        )

    def _pairs(self, title: str, pairs: Sequence[Pair]) -> Html:
        def both(pair: Pair) -> Html:
            return join(
                element("div", self._dot(f"{t.genre}:", t.genre), " ", t.text) for t in (pair.one, pair.other)
            )

        rows = [(f"{pair.score:.4f}", both(pair)) for pair in pairs]
        return join([element("h3", title), table(("cosine", "texts"), rows, figures=(0,))])

    def _dot(self, text: str, genre: str | None = None) -> Html:
        return element("span", text, class_=f"dot {self._class(genre or text)}")

    def _class(self, genre: str) -> str:
        return f"g{self._genres[genre]}"
