"""Real texts to embed: reviews, questions to a bank, messages, captions and headlines; long ones are joined of them."""

from __future__ import annotations

import csv
import random
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).parents[3]
FILES = {
    "sst2_train": ("text",),
    "sst2_dev": ("text",),
    "banking77_train": ("text",),
    "banking77_test": ("text",),
    "sms_spam": ("text",),
    "stsb_dev": ("sentence1", "sentence2"),
    "stsb_test": ("sentence1", "sentence2"),
}
SHORTER, MIXED, LONG = "mixed-512", "mixed-5000", "long"
LOADS = (SHORTER, MIXED, LONG)
ONE = "a film that is both funny and sad"
SEED = 10


def sentences(count: int) -> list[str]:
    """So many different ones, of all files, shuffled; SystemExit when the files are not here or hold too few."""
    found = _all()
    if len(found) < count:
        raise SystemExit(f"the data sets hold {len(found)} different texts; {count} were asked for")
    return found[:count]


def repeated(count: int) -> list[str]:
    """The same, from the beginning again when they are used up."""
    found = _all()
    return [found[i % len(found)] for i in range(count)]


def long_ones(count: int) -> list[str]:
    """So many texts of about 150 words, each of sentences that follow each other in the reviews."""
    reviews = _read("sst2_train") + _read("sst2_dev")
    made: list[str] = []
    words: list[str] = []
    for sentence in reviews:
        words += sentence.split()
        if len(words) >= 150:
            made.append(" ".join(words))
            words = []
    return [made[i % len(made)] for i in range(count)]


def of(name: str, *, quick: bool) -> list[str]:
    """The texts of a load; few when it is only to be seen that it runs."""
    if name == LONG:
        return long_ones(32 if quick else 256)
    if name == SHORTER:
        return sentences(128 if quick else 512)
    return sentences(256 if quick else 5_000)


def told(texts: Sequence[str]) -> str:
    """How many, how long."""
    lengths = sorted(len(text.split()) for text in texts)
    return f"{len(texts):,} texts of {sum(lengths) / len(lengths):.1f} words on average ({lengths[0]} to {lengths[-1]})"


def _all() -> list[str]:
    found = sorted({text for name in FILES for text in _read(name)})
    random.Random(SEED).shuffle(found)
    return found


def _read(name: str) -> list[str]:
    place = _folder() / f"{name}.csv"
    with place.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    return [text for row in rows for column in FILES[name] if (text := row[column].strip())]


def _folder() -> Path:
    found = ROOT.parent / "shared" / "data"
    if not found.is_dir():
        raise SystemExit("this benchmark needs the data sets in ../shared/data, which are not here")
    return found
