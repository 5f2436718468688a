"""The vectors and words that the parts of this benchmark share: real texts, mean-pooled by the demo's weights.

Each file of texts is embedded once by a server of this project, and kept in DIR (`.demo/bench`).
"""

from __future__ import annotations

import csv
import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

ROOT = Path(__file__).parents[3]
MODEL = ROOT / ".demo" / "models" / "genre-untrained" / "1"
KEPT = ROOT / ".demo" / "bench"
COLUMNS = {"banking77": "category", "sms_spam": "label_name", "sst2": "label"}


@dataclass(frozen=True, eq=False)
class Texts:
    """Texts with their labels, and `vectors` float32 [n, 384]."""

    texts: list[str]
    labels: NDArray[np.str_]
    vectors: NDArray[np.float32]


def shared() -> Path:
    """The folder of real data sets beside the project; SystemExit when it is not there."""
    found = ROOT.parent / "shared" / "data"
    if not found.is_dir():
        raise SystemExit("this part needs the data sets in ../shared/data, which are not here")
    return found


def texts_of(name: str) -> Texts:
    """The rows of `NAME.csv`, such as `banking77_test`, embedded by mean pooling (lengths as they come)."""
    with (shared() / f"{name}.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    column = next(column for stem, column in COLUMNS.items() if name.startswith(stem))
    texts = [row["text"] for row in rows]
    return Texts(texts, np.array([row[column] for row in rows]), _vectors(name, texts))


def load() -> str:
    """What is written beside every figure."""
    return f"load {os.getloadavg()[0]:.1f} on {os.cpu_count()} processors"


def table(head: list[str], rows: list[list[str]]) -> str:
    """A Markdown table."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in lines)


def _vectors(name: str, texts: list[str]) -> NDArray[np.float32]:
    place = KEPT / f"{name}.npy"
    if place.exists() and len(found := np.load(place)) == len(texts):
        return np.asarray(found, dtype=np.float32)
    from penult_client import Client

    if not MODEL.is_dir():
        raise SystemExit(
            f"{MODEL} is not there: all-MiniLM-L6-v2 under an untrained head; scripts/demo makes it"
        )
    with Client.open(MODEL) as client:
        vectors = client.embed(texts, pooling="mean", progress=True).vectors
    place.parent.mkdir(parents=True, exist_ok=True)
    np.save(place, vectors)
    return np.asarray(vectors)
