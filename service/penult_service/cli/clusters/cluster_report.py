"""Reports on clusters: pages (.html), Markdown (.md) and the picture of their hierarchy (.png, .svg)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from penult_service import __version__
from penult_service.cli import analyses, tables
from penult_service.cli.clusters.clustering import Clustering
from penult_service.cli.console import note
from penult_service.cli.outputs import drafts
from penult_service.errors import InvalidInput

if TYPE_CHECKING:
    from penult_client import ClusterBatch, Clusters

    from penult_service.plots.clusters.cluster_view import Batch, ClusterView, Example, Group
    from penult_service.plots.maps.views import MapView

KEYWORDS = 10
PAGES, MARKDOWN, PICTURES = (".html",), (".md",), (".png", ".svg")
REPORTS = (*PAGES, *MARKDOWN)


def checked(
    output: Sequence[Path],
    dendrogram: Path | None,
    sources: Sequence[Path],
    overwrite: bool,
    endings: Sequence[str] = (*REPORTS, *tables.ENDINGS),
) -> list[Path]:
    """The places to write, the picture last, when all of them can be.

    Raises:
        InvalidInput: as `tables.check_places`.
        ModuleNotFoundError: what draws is not installed.
    """
    if dendrogram is not None and dendrogram.suffix.lower() not in PICTURES:
        raise InvalidInput(f"{dendrogram}: the name of a picture ends in .png or .svg", reason="FILE_TYPE")
    places = [*output, *([dendrogram] if dendrogram else [])]
    tables.check_places(output, sources, overwrite, endings)
    tables.check_places(places, sources, overwrite, (*endings, *PICTURES))
    if any(place.suffix.lower() in (*PICTURES, *REPORTS) for place in places):
        analyses.require("matplotlib")
    return places


def write(
    places: Sequence[Path], found: Clustering, source: str, label_name: str | None, command: str
) -> None:
    """All outputs, or none."""
    view = None
    with drafts(*places) as written:
        for draft, place in zip(written, places, strict=True):
            ending = place.suffix.lower()
            if ending in tables.ENDINGS:
                tables.write(draft, ending, found.table(source))
                continue
            view = view or view_of(found, source, label_name, command)
            write_report(draft, ending, view)
    for place in places:
        table = place.suffix.lower() in tables.ENDINGS
        told = f": {len(found.side.vectors):,} rows, column cluster" if table else ""
        note(f"wrote {place}{told}")


def write_kept(
    places: Sequence[Path],
    clusters: Clusters,
    name: str,
    texts: Sequence[str] | None,
    command: str,
    coordinates: NDArray[np.float32] | None = None,
) -> None:
    """Reports on clusters that are kept, all or none; `coordinates` float32 [n, 2 or 3] are of their rows on a map."""
    view = view_of_clusters(with_keywords(clusters, texts), name, texts, command, coordinates)
    with drafts(*places) as written:
        for draft, place in zip(written, places, strict=True):
            write_report(draft, place.suffix.lower(), view)
    for place in places:
        note(f"wrote {place}")


def with_keywords(clusters: Clusters, texts: Sequence[str] | None) -> Clusters:
    """The clusters with what the server could not say: it was given vectors alone, or they have changed since."""
    if texts is None or all(one.keywords for one in clusters.clusters) or len(texts) != len(clusters):
        return clusters
    from penult_service.analysis.clusters.keywords import keywords

    place = {one.label: number for number, one in enumerate(clusters.clusters)}
    codes = np.array([place.get(label, -1) for label in clusters.labels.tolist()], np.int32)
    words = keywords(*analyses.encoded(texts), codes, len(place), KEYWORDS)
    told = zip(clusters.clusters, words, strict=True)
    return replace(clusters, clusters=tuple(replace(one, keywords=found) for one, found in told))


def write_report(draft: Path, ending: str, view: ClusterView) -> None:
    """A page, Markdown or a picture, as the ending says."""
    if ending in PAGES:
        from penult_service.plots.clusters.cluster_page import page

        draft.write_text(page(view), encoding="utf-8", newline="\n")
    elif ending in MARKDOWN:
        from penult_service.plots.clusters.cluster_markdown import markdown

        draft.write_text(markdown(view), encoding="utf-8", newline="\n")
    else:
        from penult_service.plots.clusters.dendrogram import picture

        draft.write_bytes(picture(view, ending.removeprefix(".")))


def view_of(found: Clustering, source: str, label_name: str | None, command: str) -> ClusterView:
    """What a report shows of clusters that were just found."""
    from penult_service.plots.clusters.cluster_view import Agreed, ClusterView, Group

    result, texts = found.result, found.side.texts
    groups = [
        Group(
            number,
            int(size),
            keywords=tuple(word for word, _ in found.keywords(number)),
            labels=tuple(found.frequent(number)),
            central=_examples(found.nearest(number), texts),
            border=_examples(found.of(result.border, number), texts),
            odd=_examples(found.of(result.odd, number), texts),
            silhouette=found.silhouette(number),
        )
        for number, size in enumerate(result.sizes)
    ]
    known = result.stability
    return ClusterView(
        title=source,
        rows=len(found.rows),
        groups=tuple(groups),
        used={name: value for name, value in result.used.items() if value is not None},
        unassigned=int((result.labels < 0).sum()),
        silhouette=result.silhouette,
        silhouette_rows=result.silhouette_rows,
        davies_bouldin=result.davies_bouldin,
        calinski_harabasz=result.calinski_harabasz,
        stability=None
        if known is None
        else Agreed(known.adjusted_rand, known.low, known.high, known.samples),
        agreement=result.agreement,
        merges=result.merges,
        curve=result.curve,
        moved=len(result.moved),
        advice=tuple((advice.parameter, advice.why) for advice in result.advice),
        notes=tuple(f"{a.parameter} is {a.used}, not {a.asked}: {a.why}" for a in result.adjustments),
        label_name=label_name or "",
        facts=_facts(found.side.space, model=str(found.side.facts.get("model", ""))),
        command=command,
        map=_map_of(found, groups),
    )


def _map_of(found: Clustering, groups: Sequence[Group]) -> MapView | None:
    """The map of an input that `penult map` wrote, in the colours of the clusters; None of another."""
    side, rows = found.side, found.rows
    columns = [] if side.table is None or "map" not in side.facts else side.table.column_names
    axes = [name for name in ("x", "y", "z") if columns.count(name) == 1]
    if side.table is None or len(axes) < 2:
        return None
    cells = [side.table.column(name).to_pylist() for name in axes]
    places = np.array([[column[row] for column in cells] for row in rows.tolist()], np.float32)
    if not np.isfinite(places).all():
        return None
    texts = None if side.texts is None else [side.texts[row] for row in rows.tolist()]
    return map_view(places, found.result.labels, groups, texts)


def map_view(
    places: NDArray[np.float32],
    labels: NDArray[np.int32],
    groups: Sequence[Group],
    texts: Sequence[str] | None,
) -> MapView:
    """Rows on a map [n, 2 or 3] in the colours of their clusters [n]."""
    from penult_service.plots.maps.views import MapView

    names = {str(group.label): group.title for group in groups}
    told = [str(label) for label in labels.tolist()]
    return MapView(places, told, texts, f"{len(places):,} rows", legend="cluster", names=names)


def view_of_clusters(
    clusters: Clusters,
    title: str,
    texts: Sequence[str] | None = None,
    command: str = "",
    places: NDArray[np.float32] | None = None,
) -> ClusterView:
    """What a report shows of clusters that a server keeps.

    Args:
        clusters: Them.
        title: What they are called.
        texts: Of their rows.
        command: What makes the report again.
        places: float32 [n, 2 or 3] of their rows on a map.
    """
    from penult_service.plots.clusters.cluster_view import Agreed, ClusterView, Group

    quality, known = clusters.quality, clusters.stability
    names = ("v_measure", "adjusted_rand", "purity", "normalized_mutual_information")
    agreement = {name: getattr(quality, name) for name in names}
    groups = [
        Group(
            one.label,
            one.size,
            one.name,
            tuple(word for word, _ in one.keywords),
            tuple(one.labels.items()),
            _examples(one.nearest.tolist(), texts),
            _examples(one.border.tolist(), texts),
            _examples(one.odd.tolist(), texts),
            one.silhouette,
        )
        for one in clusters.clusters
    ]
    return ClusterView(
        title=title,
        rows=len(clusters),
        groups=tuple(groups),
        used=clusters.used,
        unassigned=int((clusters.labels < 0).sum()),
        silhouette=quality.silhouette,
        silhouette_rows=quality.silhouette_rows,
        davies_bouldin=quality.davies_bouldin,
        calinski_harabasz=quality.calinski_harabasz,
        stability=None if known is None else Agreed(*known),
        agreement={name: value for name, value in agreement.items() if value is not None},
        merges=clusters.merges,
        curve=tuple((int(count), float(score)) for count, score in clusters.curve),
        moved=len(clusters.moved),
        advice=tuple((parameter, why) for parameter, why in clusters.advice),
        notes=tuple(f"{a.parameter} is {a.used}, not {a.asked}: {a.why}" for a in clusters.adjustments),
        history=tuple(_batch(batch) for batch in clusters.history),
        facts=_facts(clusters.space, model=clusters.model),
        command=command,
        map=None if places is None else map_view(places, clusters.labels, groups, texts),
    )


def _batch(batch: ClusterBatch) -> Batch:
    from penult_service.plots.clusters.cluster_view import Batch

    return Batch(
        when="" if batch.created is None else f"{batch.created:%Y-%m-%d %H:%M} UTC",
        event=batch.event,
        rows=batch.rows,
        unassigned=batch.unassigned,
        new_labels=batch.new_labels,
        gone_labels=batch.gone_labels,
        labels=tuple(batch.labels.tolist()),
        sizes=tuple(batch.sizes.tolist()),
        drift=tuple(batch.drift.tolist()),
    )


def _examples(rows: Iterable[int], texts: Sequence[str] | None) -> tuple[Example, ...]:
    from penult_service.plots.clusters.cluster_view import Example

    there = len(texts) if texts is not None else 0
    return tuple(Example(row, texts[row] if texts is not None and row < there else None) for row in rows)


def _facts(space: str, model: str) -> tuple[tuple[str, str], ...]:
    facts: dict[str, Any] = {"model": model, "embedding space": space, "penult": __version__}
    return tuple((name, value) for name, value in facts.items() if value)
