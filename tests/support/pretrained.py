"""Where the real weights and data are, for tests that need them; they skip, with a reason, when there are none."""

from __future__ import annotations

import csv
import os
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


def pretrained_bert() -> Path:
    """The Hugging Face directory of all-MiniLM-L6-v2 that `scripts/test` fetches, or PENULT_WEIGHTS."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "penult" / "downloads"
    downloads = Path(os.environ.get("PENULT_DOWNLOADS") or cache)
    place = Path(os.environ.get("PENULT_WEIGHTS") or downloads / "all-MiniLM-L6-v2")
    if not (place / "model.safetensors").is_file():
        pytest.skip(f"no pretrained weights in {place}: run scripts/fetch.py, or set PENULT_WEIGHTS")
    return place


def shared_data(name: str) -> Path:
    """A real data set beside the repository."""
    path = ROOT.parent / "shared" / "data" / name
    if not path.is_file():
        pytest.skip(f"no {path.name} in ../shared/data")
    return path


def shared_texts() -> list[str]:
    """Every text of the real data sets, each once."""
    found: dict[str, None] = {}
    for path in sorted(shared_data("sst2_dev.csv").parent.glob("*.csv")):
        with path.open(encoding="utf-8", newline="") as file:
            for row in csv.reader(file):
                found |= dict.fromkeys(cell for cell in row if " " in cell)
    return list(found)
