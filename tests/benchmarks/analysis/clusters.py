"""Clusters of Banking77 by every method, beside scikit-learn's on the same vectors and BERTopic's recipe, in one run.

umap-learn computes with one thread where it has a seed, as it has here.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np
from bench_data import Texts, table, texts_of
from numpy.typing import NDArray
from penult_service.analysis.calls import Cluster
from penult_service.analysis.results import ClusterResult
from penult_service.analysis.run import run as analyse
from sklearn.metrics import adjusted_rand_score, v_measure_score

CLASSES = 77
SEEDS = (42, 43, 44)
Labels = NDArray[Any]


def run(quick: bool) -> str:
    """Markdown."""
    sys.modules.setdefault("tensorflow", None)  # type: ignore[arg-type]  # umap-learn wants it for what is not used
    step, seeds = (4, SEEDS[:1]) if quick else (1, SEEDS)
    test = _every(texts_of("banking77_test"), step)
    warm = _ours(test, Cluster())
    print(f"warm: {len(warm.sizes)} clusters", file=sys.stderr, flush=True)
    sections = [
        f"{len(test.labels)} rows of {CLASSES} classes, {len(seeds)} seed(s); means\n\n"
        + _methods(test, seeds),
        "HDBSCAN's number of clusters, by rows and by `min_cluster_size`\n\n" + _sizes(test, quick),
        "`n_clusters` auto: the mean silhouette of each number that was tried\n\n" + _auto(test),
        "Stability: adjusted Rand index with the clusters of bootstrap samples\n\n" + _stability(test, quick),
        "Keywords of the largest clusters, and the class that most of their rows have\n\n" + _words(test),
    ]
    return "\n\n".join(sections)


def _every(texts: Texts, step: int) -> Texts:
    return Texts(texts.texts[::step], texts.labels[::step], texts.vectors[::step])


def _codes(labels: NDArray[np.str_]) -> NDArray[np.int32]:
    return np.unique(labels, return_inverse=True)[1].astype(np.int32)


def _ours(data: Texts, call: Cluster, **arrays: NDArray[Any]) -> ClusterResult:
    result = analyse(call, {"source": data.vectors, "labels": _codes(data.labels), **arrays})
    assert isinstance(result, ClusterResult)
    return result


def _methods(data: Texts, seeds: tuple[int, ...]) -> str:
    rows = []
    for name, options in {
        "**HDBSCAN on a 5-D UMAP** (no method said)": {},
        "the same, noise to the nearest": {"noise": "nearest"},
        "**k-means 77 on a 5-D UMAP** (`n_clusters` said)": {"n_clusters": CLASSES},
        "Ward 77 on a 5-D UMAP": {"method": "agglomerative", "n_clusters": CLASSES, "reduction": "umap"},
        "`n_clusters` auto": {"auto": True},
        "k-means 77 on the rows": {"method": "kmeans", "n_clusters": CLASSES},
        "Ward 77 on the rows": {"method": "agglomerative", "n_clusters": CLASSES},
        "Gaussian mixture 77 on PCA-50": {"method": "gaussian_mixture", "n_clusters": CLASSES},
        "HDBSCAN on the rows": {"method": "hdbscan", "reduction": "none"},
    }.items():
        calls = [Cluster(**{**options, "seed": seed}) for seed in seeds]  # type: ignore[arg-type]
        rows.append(
            _row("Penult", name, data, [lambda call=call: _ours(data, call).labels for call in calls])
        )
    for name, way in _peers(data.vectors).items():
        rows.append(_row("peer", name, data, [lambda way=way, seed=seed: way(seed) for seed in seeds]))
    return table(["", "method", "clusters", "V-measure", "adjusted Rand", "noise", "seconds"], rows)


def _row(whose: str, name: str, data: Texts, ways: list[Callable[[], Labels]]) -> list[str]:
    """Means over seeds; noise counts as one cluster."""
    told = []
    for way in ways:
        started = time.monotonic()
        labels = way()
        seconds = time.monotonic() - started
        told.append(
            (
                len(np.unique(labels[labels >= 0])),
                v_measure_score(data.labels, labels),
                adjusted_rand_score(data.labels, labels),
                float(np.mean(labels < 0)),
                seconds,
            )
        )
    count, v_measure, rand, noise, seconds = np.mean(told, axis=0)
    return [
        whose,
        name,
        f"{count:.0f}",
        f"{v_measure:.3f}",
        f"{rand:.3f}",
        f"{100 * noise:.0f} %",
        f"{seconds:.1f}",
    ]


def _peers(vectors: NDArray[np.float32]) -> dict[str, Callable[[int], Labels]]:
    """scikit-learn on unit vectors (what it would do with cosine), and BERTopic's defaults without BERTopic: it has
    nothing of its own between the vectors and the labels."""
    from sklearn.cluster import HDBSCAN, AgglomerativeClustering, KMeans
    from sklearn.decomposition import PCA
    from sklearn.mixture import GaussianMixture

    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)

    def bertopic(seed: int) -> Labels:
        import umap

        reducer = umap.UMAP(n_neighbors=15, n_components=5, min_dist=0.0, metric="cosine", random_state=seed)
        return HDBSCAN(min_cluster_size=10, copy=True).fit_predict(reducer.fit_transform(vectors))

    def mixture(seed: int) -> Labels:
        reduced = PCA(50, random_state=seed).fit_transform(unit)
        return GaussianMixture(CLASSES, covariance_type="tied", random_state=seed).fit_predict(reduced)

    def kmeans(seed: int) -> Labels:
        return KMeans(CLASSES, n_init=3, random_state=seed).fit_predict(unit)

    return {
        "BERTopic's recipe: umap-learn 5-D, HDBSCAN(10)": bertopic,
        "scikit-learn k-means 77 on the vectors": kmeans,
        "scikit-learn Ward 77 on the vectors": lambda _: AgglomerativeClustering(CLASSES).fit_predict(unit),
        "scikit-learn Gaussian mixture 77 on PCA-50": mixture,
        "scikit-learn HDBSCAN(10) on the vectors": lambda _: HDBSCAN(
            min_cluster_size=10, copy=True
        ).fit_predict(unit),
    }


def _sizes(test: Texts, quick: bool) -> str:
    rows = []
    train = texts_of("banking77_train")
    sets = [("test", test)]
    if not quick:
        sets = [
            ("train, one in 10", _every(train, 10)),
            *sets,
            ("train, one in 2", _every(train, 2)),
            ("train", train),
        ]
    for name, data in sets:
        for least in (None, 5, 10, 25, 50) if name == "test" else (None, 10):
            result = _ours(data, Cluster(min_cluster_size=least))
            rows.append(
                [
                    f"{name}: {len(data.labels)}",
                    f"{result.used['min_cluster_size']}{' (as it comes)' if least is None else ''}",
                    str(len(result.sizes)),
                    f"{result.agreement['v_measure']:.3f}",
                    f"{result.agreement['adjusted_rand']:.3f}",
                    f"{100 * result.noise_share:.0f} %",
                ]
            )
    return table(["rows", "min_cluster_size", "clusters", "V-measure", "adjusted Rand", "noise"], rows)


def _auto(test: Texts) -> str:
    rows = []
    for name, call in {
        "k-means on a 5-D UMAP": Cluster(auto=True),
        "Ward on a 5-D UMAP": Cluster("agglomerative", reduction="umap", auto=True),
    }.items():
        result = _ours(test, call)
        curve = " ".join(f"{count}: {score:.3f}" for count, score in result.curve)
        rows.append([name, str(result.used["n_clusters"]), f"{result.agreement['adjusted_rand']:.3f}", curve])
    return table(["method", "chosen", "adjusted Rand", "curve"], rows)


def _stability(test: Texts, quick: bool) -> str:
    rows = []
    for name, options in {
        "HDBSCAN on a 5-D UMAP": {},
        "k-means 77 on a 5-D UMAP": {"n_clusters": CLASSES},
        "k-means 77 on the rows": {"method": "kmeans", "n_clusters": CLASSES},
    }.items():
        found = _ours(test, Cluster(**options, bootstraps=2 if quick else 10)).stability  # type: ignore[arg-type]
        assert found is not None
        rows.append(
            [name, f"{found.adjusted_rand:.3f}", f"{found.low:.3f} to {found.high:.3f}", str(found.samples)]
        )
    return table(["method", "mean", "95 % interval", "samples"], rows)


def _words(test: Texts) -> str:
    encoded = [text.encode() for text in test.texts]
    texts = {
        "text_bytes": np.frombuffer(b"".join(encoded), np.uint8),
        "text_ends": np.cumsum([len(text) for text in encoded], dtype=np.int64),
    }
    result = _ours(test, Cluster(keywords=6), **texts)
    names = np.unique(test.labels)
    rows = []
    for number in range(min(8, len(result.sizes))):
        most = int(result.label_counts[number].argmax())
        words = ", ".join(word for word, _ in result.keywords[number])
        rows.append(
            [str(result.sizes[number]), words, f"{names[most]} ({result.label_counts[number][most]})"]
        )
    return table(["rows", "keywords", "most frequent class"], rows)
