"""What samples with active dropout cost beside a plain pass, over the wire.

    python tests/benchmarks/uncertainty.py MODEL --texts FILE [--samples 30] [--rounds 7] [--label-column L]

FILE is a CSV or Parquet file with a column `text`. A plain pass (`classify`) and samples take turns, on a server of
their own; a ratio is of one round, and the median of the rounds is told with the least and the most. With labels, how
far the probabilities can be believed is told too, with dropout and without.
"""

from __future__ import annotations

import argparse
import csv
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from penult_client import Client, Uncertainty
from penult_client._core.calibration import calibration

TEXTS, INNER_TEXTS = 512, 48


def main() -> None:
    """Prints everything."""
    asked = _arguments()
    texts, labels = _rows(asked.texts, asked.label_column)
    with tempfile.TemporaryDirectory() as data, Client.open(asked.model, data=data, timeout=900) as client:
        report = client.inspect_dropout()
        few = texts[:TEXTS]
        _cost(client, few, asked, "head")
        if any(site.sampled and site.place == "before_embedding" for site in report.sites):
            _cost(client, few[:INNER_TEXTS], asked, "all")
        if labels:
            _belief(client, texts, labels, asked)


def _cost(client: Client, texts: list[str], asked: argparse.Namespace, layers: str) -> None:
    plain = lambda: client.classify(texts)  # noqa: E731
    samples = lambda: client.uncertainty(texts, asked.samples, layers, 1, rate=asked.rate)  # noqa: E731
    plain()
    first = samples()
    rounds = [(_timed(plain), _timed(samples)) for _ in range(asked.rounds)]
    ratios = [sampled / once for once, sampled in rounds]
    assert np.array_equal(samples().mean, first.mean), "a seeded run does not repeat"
    dropouts = ", ".join(f"{one.path} ({one.rate:g})" for one in first.active[:4])
    print(
        f"{len(texts)} texts, {asked.samples} samples of {layers!r} ({len(first.active)} dropouts: {dropouts}): "
        f"{statistics.median(s for _, s in rounds):.2f} s, one plain pass "
        f"{statistics.median(p for p, _ in rounds):.2f} s, ratio {statistics.median(ratios):.2f} "
        f"({min(ratios):.2f} to {max(ratios):.2f}); {_load()}",
        flush=True,
    )


def _belief(client: Client, texts: list[str], labels: list[str], asked: argparse.Namespace) -> None:
    found = client.uncertainty(texts, asked.samples, seed=1, rate=asked.rate)
    for name, held in (("samples", found.calibration(labels)), ("one plain pass", _plain(found, labels))):
        auroc = "none" if held.auroc is None else f"{held.auroc:.4f}"
        print(
            f"{name}: accuracy {held.total_accuracy:.4f}, ECE {held.ece:.4f}, AUROC of entropy for wrong against "
            f"right {auroc} ({int((~held.right).sum())} wrong of {len(held.right)})"
        )
    wrong = ~found.calibration(labels).right
    for name in ("entropy", "mutual_information", "variation_ratio"):
        values = getattr(found, name)
        print(f"mean {name}: {values[wrong].mean():.4f} where wrong, {values[~wrong].mean():.4f} where right")


def _plain(found: Uncertainty, labels: list[str]) -> Any:
    clean = found.clean.astype(np.float64)
    entropy = -(clean * np.log(np.maximum(clean, 1e-30))).sum(axis=1)
    predicted = clean.argmax(axis=1).astype(np.int32)
    return calibration(found.clean, entropy.astype(np.float32), predicted, found.labels, labels, 15)


def _timed(call: Callable[[], object]) -> float:
    started = time.perf_counter()
    call()
    return time.perf_counter() - started


def _load() -> str:
    return f"load {os.getloadavg()[0]:.1f} on {os.cpu_count()} processors"


def _rows(path: Path, label_column: str | None) -> tuple[list[str], list[str]]:
    if path.suffix == ".parquet":
        import pyarrow.parquet as parquet

        table = parquet.read_table(path).to_pydict()
    else:
        with path.open(encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file))
        table = {name: [row[name] for row in rows] for name in rows[0]}
    return table["text"], table[label_column] if label_column else []


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("model", type=Path, help="a saved model")
    parser.add_argument(
        "--texts", type=Path, required=True, help="a CSV or Parquet file with a column `text`"
    )
    parser.add_argument("--label-column", help="its column with the true classes")
    parser.add_argument("--samples", type=int, default=30)
    parser.add_argument("--rate", type=float, help="of the dropouts, where the file records none")
    parser.add_argument("--rounds", type=int, default=7)
    return parser.parse_args()


if __name__ == "__main__":
    main()
