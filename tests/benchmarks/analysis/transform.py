"""New rows on a stored map, beside umap-learn's own `transform` on the same map, in the same run."""

from __future__ import annotations

import csv
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from bench_data import Texts, shared, table, texts_of
from new_rows import difference, mixed, scores
from numpy.typing import NDArray
from penult_service.analysis import nearby
from penult_service.analysis.calls import Project, Transform
from penult_service.analysis.fitting import fitting, for_later
from penult_service.analysis.maps import placing
from penult_service.analysis.maps.projection import project
from penult_service.analysis.run import run as analyse
from penult_service.analysis.search.neighbours import graph

SEED = 42
MANY = 20_000
_ONE = 40  # rows placed one by one
_RESTART = """
import os, sys
import numpy as np
if hasattr(os, "sched_setaffinity"):
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
from penult_service.analysis.calls import Transform
from penult_service.analysis.run import run
with np.load(sys.argv[1]) as file:
    arrays = {name: file[name] for name in file.files}
far = float(arrays.pop("far_distance"))
np.save(sys.argv[2], run(Transform(far_distance=far), arrays).coordinates)
"""


@dataclass(frozen=True, eq=False)
class Case:
    """A data set in two: distinct unit rows that a map was made of, and new ones, with their labels."""

    name: str
    fitted: NDArray[np.float32]
    fitted_labels: NDArray[np.str_]
    new: NDArray[np.float32]
    labels: NDArray[np.str_]


@dataclass(frozen=True, eq=False)
class Stored:
    """A map of a case, as a worker gets it."""

    case: Case
    arrays: dict[str, Any]
    far: float

    @classmethod
    def of(cls, case: Case, places: NDArray[np.float32]) -> Stored:
        kept = for_later(fitting(case.fitted, "cosine"), case.fitted, "cosine")
        far = kept.pop("far_distance")
        return cls(case, {**kept, "coordinates": np.asarray(places, np.float32)}, far)

    def place(self, rows: NDArray[np.float32]) -> NDArray[np.float32]:
        """Ours."""
        return analyse(Transform(far_distance=self.far), {**self.arrays, "source": rows}).coordinates  # type: ignore[union-attr]

    def far_share(self, rows: NDArray[np.float32]) -> float:
        result = analyse(Transform(far_distance=self.far), {**self.arrays, "source": rows})
        return len(result.far_rows) / len(rows)  # type: ignore[union-attr]


def run(quick: bool) -> str:
    """Markdown: quality, stillness and speed on each data set."""
    cases = [_case(name, quick) for name in (("sst2",) if quick else ("banking77", "sst2", "sms_spam"))]
    told, quality, still, speed, tsne = [], [], [], [], []
    for case in cases:
        peer = _umap_learn(case.fitted)
        map_ = Stored.of(case, peer.embedding_)
        peer.transform(case.new[:20])  # compiles
        quality += _quality(map_, peer)
        still += _still(map_, peer)
        speed += _speed(map_, peer)
        places = project(Project("tsne"), case.fitted).coordinates
        tsne += _tsne(Stored.of(case, places))
    speed.append(_bulk(quick))
    told.append(
        "Quality of new rows on umap-learn's map (15 neighbours among the fitted rows; differences to ours with 95 %"
        " intervals, bootstrap over rows)\n\n"
        + table(["data", "way", "trustworthiness", "label purity", "neighbours kept"], quality)
    )
    told.append(
        "How still: places of the same rows, the largest difference; fitted rows back at their place; fitted rows left"
        " out and placed by the others\n\n"
        + table(
            ["data", "way", "alone", "shuffled", "in parts", "restart, 1 processor", "fitted back, median / p99",
             "left out, median / p99 (of the spread)"], still,
        )
    )  # fmt: skip
    told.append("Speed, in process\n\n" + table(["map", "way", "one row, ms", "bulk, rows/s"], speed))
    told.append(
        "The same method on a map by t-SNE\n\n"
        + table(["data", "way", "trustworthiness", "label purity", "neighbours kept"], tsne)
    )
    told.append(
        _far(map_ if quick else Stored.of(cases[0], project(Project("pca"), cases[0].fitted).coordinates))
    )
    return "\n\n".join(told)


def _umap_learn(rows: NDArray[np.float32]) -> Any:
    sys.modules.setdefault("tensorflow", None)  # type: ignore[arg-type]  # it is wanted for what is not used here
    import umap

    return umap.UMAP(metric="cosine", random_state=SEED).fit(rows)


def _case(name: str, quick: bool) -> Case:
    if name == "sms_spam":
        texts = texts_of(name)
        with (shared() / "sms_spam.csv").open(newline="", encoding="utf-8") as file:
            train = np.array([row["split"] == "train" for row in csv.DictReader(file)])
        halves = [Texts([], texts.labels[at], texts.vectors[at]) for at in (train, ~train)]
    else:
        halves = [texts_of(f"{name}_train"), texts_of(f"{name}_{'dev' if name == 'sst2' else 'test'}")]
    first, second = (half.vectors[: 1_500 if quick else None] for half in halves)
    fitted, new = fitting(first, "cosine"), fitting(second, "cosine")
    return Case(name, fitted.rows, halves[0].labels[fitted.first], new.all_rows, halves[1].labels[new.kept])


def _mean(map_: Stored, near: nearby.Nearby) -> NDArray[np.float32]:
    weights = near.weights()
    places = map_.arrays["coordinates"][near.rows]
    return np.asarray((weights[:, :, None] * places).sum(axis=1) / weights.sum(axis=1)[:, None], np.float32)


def _quality(map_: Stored, peer: Any) -> list[list[str]]:
    near = nearby.nearby(map_.case.new, map_.arrays["fitted_rows"], 15, "cosine")
    ways = {
        "**ours**": map_.place(map_.case.new),
        "umap-learn `transform`": peer.transform(map_.case.new),
        "weighted mean": _mean(map_, near),
        "nearest place": map_.arrays["coordinates"][near.nearest],
    }
    return _scored(map_, ways)


def _scored(map_: Stored, ways: dict[str, NDArray[Any]]) -> list[list[str]]:
    case, lines, ours = map_.case, [], None
    for way, places in ways.items():
        found = scores(
            places, case.new, case.labels, map_.arrays["coordinates"], case.fitted, case.fitted_labels
        )
        cells = [f"{getattr(found, name).mean():.4f}" for name in ("trust", "purity", "kept")]
        if ours is not None:
            cells = [
                f"{cell}; ours {difference(getattr(ours, name), getattr(found, name))}"
                for cell, name in zip(cells, ("trust", "purity", "kept"), strict=True)
            ]
        ours = ours or found
        lines.append([case.name, way, *cells])
    return lines


def _still(map_: Stored, peer: Any) -> list[list[str]]:
    case = map_.case
    order = np.random.default_rng(0).permutation(len(case.new))
    some = np.random.default_rng(1).permutation(len(case.fitted))[:2_000]
    lines = []
    for way, place in (("**ours**", map_.place), ("umap-learn `transform`", peer.transform)):
        whole = place(case.new)
        alone = np.concatenate([place(case.new[at : at + 1]) for at in range(_ONE)])
        parts = np.concatenate([place(case.new[at : at + 100]) for at in range(0, len(case.new), 100)])
        back = np.linalg.norm(place(case.fitted[some]) - map_.arrays["coordinates"][some], axis=1)
        ours = place == map_.place
        lines.append(
            [
                case.name,
                way,
                f"{np.abs(alone - whole[:_ONE]).max():g}",
                f"{np.abs(place(case.new[order]) - whole[order]).max():g}",
                f"{np.abs(parts - whole).max():g}",
                f"{np.abs(_restarted(map_) - whole).max():g}" if ours else "-",
                _two(back),
                _left_out(map_, placing.drawn) if ours else "-",
            ]
        )
    left_out = _left_out(map_, lambda near, *_: _mean(map_, near))
    lines.append([case.name, "weighted mean", *["-"] * 5, left_out])
    return lines


def _restarted(map_: Stored) -> NDArray[np.float32]:
    """The places as another process gives them, on one processor."""
    with tempfile.TemporaryDirectory() as folder:
        sent, got = Path(folder) / "sent.npz", Path(folder) / "got.npy"
        np.savez(sent, source=map_.case.new, far_distance=map_.far, **map_.arrays)
        subprocess.run([sys.executable, "-c", _RESTART, str(sent), str(got)], check=True)
        return np.asarray(np.load(got))


def _left_out(map_: Stored, place: Callable[..., NDArray[np.float32]]) -> str:
    rows, distances = graph(map_.arrays["fitted_rows"], 16, "cosine")
    count = len(rows)
    every = np.arange(count, dtype=np.int32)
    near = nearby.Nearby(
        every, every[:0], map_.arrays["fitted_rows"], np.ascontiguousarray(rows[:, 1:]),
        np.ascontiguousarray(distances[:, 1:], dtype=np.float64), np.full(count, -1, np.int32),
    )  # fmt: skip
    places = map_.arrays["coordinates"]
    moved = np.linalg.norm(place(near, places, "cosine", map_.far) - places, axis=1)
    spread = np.sqrt(places.var(axis=0).sum())
    return f"{_two(moved)} ({np.median(moved) / spread:.4f} / {np.quantile(moved, 0.99) / spread:.3f})"


def _two(values: NDArray[Any]) -> str:
    return f"{np.median(values):.3g} / {np.quantile(values, 0.99):.3g}"


def _speed(map_: Stored, peer: Any) -> list[list[str]]:
    """Interleaved, the best of three in bulk and the median of single rows."""
    case = map_.case
    ways = {"**ours**": map_.place, "umap-learn `transform`": peer.transform}
    ones: dict[str, list[float]] = {way: [] for way in ways}
    bulk: dict[str, list[float]] = {way: [] for way in ways}
    for at in range(_ONE):
        for way, place in ways.items():
            ones[way].append(_seconds(place, case.new[at : at + 1]))
    for _ in range(3):
        for way, place in ways.items():
            bulk[way].append(_seconds(place, case.new) / len(case.new))
    size = f"{case.name}, {len(case.fitted):,} fitted"
    return [[size, way, f"{np.median(ones[way]) * 1e3:.1f}", f"{1 / min(bulk[way]):,.0f}"] for way in ways]


def _seconds(place: Callable[[NDArray[np.float32]], Any], rows: NDArray[np.float32]) -> float:
    started = time.perf_counter()
    place(rows)
    return time.perf_counter() - started


def _bulk(quick: bool) -> list[str]:
    """As many real rows as the promise is about; where they lie is nothing to the time it takes."""
    count, new = (4_000, 1_000) if quick else (MANY, 4_000)
    rows = mixed(count + new)
    fitted = rows[:count]
    labels = np.zeros(count, np.str_)
    map_ = Stored.of(
        Case("mixed", fitted, labels, rows[-new:], labels), project(Project("pca"), fitted).coordinates
    )
    map_.place(map_.case.new[:50])
    ones = [_seconds(map_.place, map_.case.new[at : at + 1]) for at in range(_ONE)]
    bulk = [_seconds(map_.place, map_.case.new) / new for _ in range(3)]
    return [
        f"mixed, {count:,} fitted",
        "**ours**",
        f"{np.median(ones) * 1e3:.1f}",
        f"{1 / min(bulk):,.0f}",
    ]


def _tsne(map_: Stored) -> list[list[str]]:
    near = nearby.nearby(map_.case.new, map_.arrays["fitted_rows"], 15, "cosine")
    ways = {
        "**ours**": map_.place(map_.case.new),
        "weighted mean": _mean(map_, near),
        "nearest place": map_.arrays["coordinates"][near.nearest],
    }
    return _scored(map_, ways)


def _far(map_: Stored) -> str:
    other = texts_of("sms_spam" if map_.case.name != "sms_spam" else "banking77_test").vectors
    return (
        f"Marked as far from the map of {map_.case.name} (far distance {map_.far:.3f}):"
        f" {map_.far_share(map_.case.new):.2%} of its own new rows, {map_.far_share(other):.2%} of rows of another"
        " domain."
    )
