"""Clusters that grow: classes that were left out of the first rows come with the second ones. Are they found?"""

from __future__ import annotations

import time

import numpy as np
from bench_data import Texts, table, texts_of
from numpy.typing import NDArray
from penult_service.analysis.calls import Cluster, Grow
from penult_service.analysis.results import ClusterResult, GrowResult
from penult_service.analysis.run import run as analyse

LEFT_OUT = 8
HEAD = [
    "rows, then new", "left out", "old clusters", "new clusters", "classes found", "purity", "recall",
    "old labels changed", "drift of centres, median / most", "no label", "seconds",
]  # fmt: skip


def told(quick: bool) -> str:
    """Markdown."""
    test = texts_of("banking77_test")
    cases = [(test, 0.5, LEFT_OUT, split) for split in range(1 if quick else 4)]
    if not quick:
        train = texts_of("banking77_train")
        cases += [(test, 0.5, 0, split) for split in range(4)] + [
            (test, 0.8, LEFT_OUT, split) for split in range(2)
        ]
        cases += [(train, 0.5, LEFT_OUT, split) for split in range(2)] + [(train, 0.5, 0, 0)]
    return (
        f"Banking77 in two: the first rows without some of the {len(np.unique(test.labels))} classes are clustered,"
        " the others are taken in. Found: classes of which a new cluster mostly is. Purity: rows of the new clusters"
        " that are of a class that was left out. Recall: new rows of those classes that are in a new cluster\n\n"
        + table(HEAD, [_grown(*case) for case in cases])
    )


def _grown(data: Texts, share: float, left_out: int, split: int) -> list[str]:
    random = np.random.default_rng(split)
    order = random.permutation(len(data.labels))
    out = random.choice(np.unique(data.labels), left_out, replace=False)
    at = int(share * len(order))
    first, new = order[:at], order[at:]
    first = first[~np.isin(data.labels[first], out)]
    made = analyse(Cluster(keep=True), {"source": data.vectors[first]})
    assert isinstance(made, ClusterResult)
    call = Grow(
        far_distance=made.far_distance,
        min_cluster_size=made.used["min_cluster_size"],
        min_samples=made.used["min_samples"],
        next_label=len(made.sizes),
    )
    started = time.monotonic()
    grown = analyse(
        call,
        {
            "source": data.vectors[new],
            "fitted_rows": made.fitted_rows,
            "fitted_first": made.fitted_first,
            "fitted_inverse": made.fitted_inverse,
            "stored_labels": made.labels,
        },
    )
    seconds = time.monotonic() - started
    assert isinstance(grown, GrowResult)
    return [
        f"{len(first)}, {len(new)}",
        str(len(out)),
        *_told(made, grown, data.labels[new], out),
        f"{seconds:.1f}",
    ]


def _told(
    made: ClusterResult, grown: GrowResult, labels: NDArray[np.str_], out: NDArray[np.str_]
) -> list[str]:
    found = grown.labels[len(made.labels) :]
    inside, wanted = np.isin(found, grown.new_labels), np.isin(labels, out)
    classes = set()
    for label in grown.new_labels:
        names, counts = np.unique(labels[found == label], return_counts=True)
        classes.add(str(names[counts.argmax()]))
    old = grown.drift[: len(made.sizes)]
    return [
        str(len(made.sizes)),
        str(len(grown.new_labels)),
        f"{len(classes & set(out.tolist()))} of {len(out)}",
        f"{wanted[inside].mean():.2f}" if inside.any() else "-",
        f"{inside[wanted].mean():.2f}" if wanted.any() else "-",
        str(int((grown.labels[: len(made.labels)] != made.labels).sum())),
        f"{np.median(old):.4f} / {old.max():.4f}",
        f"{100 * grown.unassigned / len(found):.0f} %",
    ]
