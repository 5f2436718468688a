"""The demo's task: tell whether a sentence is from a tweet, a film review, a product review or a newspaper.

Made from the texts of Hutto and Gilbert, "VADER" (ICWSM 2014): 1,000 rows a genre to train on, 250 held out. Reviews
and newspaper articles are split by document, so that no document is on both sides.
"""

from __future__ import annotations

import csv
import html
import random
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

# The order of the columns in the files written.
COLUMNS = ("id", "genre", "rating", "text")
TRAIN, HELD_OUT = "train.csv", "held_out.csv"
TRAIN_ROWS, HELD_OUT_ROWS = 1000, 250
SEED = 42

_FILES = {
    "tweet": "tweets_GroundTruth.txt",
    "film": "movieReviewSnippets_GroundTruth.txt",
    "product": "amazonReviewSnippets_GroundTruth.txt",
    "newspaper": "nytEditorialSnippets_GroundTruth.txt",
}
# Whoever collected the tweets put these in: a classifier would learn them, and nothing about tweets.
_MARKERS = re.compile(r"@anonymous|http://url_removed", re.IGNORECASE)
_MIN_WORDS = 3


@dataclass(frozen=True)
class Row:
    """A sentence; `document` is what it was taken from (itself, where the file does not say)."""

    name: str
    genre: str
    rating: float
    text: str
    document: str


def make(source: Path, target: Path) -> None:
    """Write `target`/train.csv and held_out.csv from the four files in `source`."""
    held_out, train = split(list(distinct(rows(source))))
    for name, chosen in ((TRAIN, train), (HELD_OUT, held_out)):
        with (target / name).open("w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(COLUMNS)
            writer.writerows((row.name, row.genre, f"{row.rating:.3f}", row.text) for row in chosen)


def rows(source: Path) -> Iterator[Row]:
    """Every row of the four files, cleaned."""
    for genre, name in _FILES.items():
        by_document = genre in ("product", "newspaper")
        for line in (source / name).read_text(encoding="utf-8").splitlines():
            number, rating, text = line.split("\t", 2)
            document = number.partition("_")[0] if by_document else number
            yield Row(f"{genre}-{number}", genre, float(rating), clean(text), f"{genre}-{document}")


def clean(text: str) -> str:
    """Without HTML entities, markers and runs of blanks."""
    return " ".join(_MARKERS.sub(" ", html.unescape(text)).split())


def distinct(found: Iterator[Row]) -> Iterator[Row]:
    """The first of rows whose texts are equal but for case and punctuation, of three words at least."""
    seen: set[str] = set()
    for row in found:
        key = "".join(char for char in row.text.casefold() if char.isalnum())
        if len(row.text.split()) >= _MIN_WORDS and key not in seen:
            seen.add(key)
            yield row


def split(found: list[Row]) -> tuple[list[Row], list[Row]]:
    """Held-out and training rows: whole documents, in a random order that is always the same."""
    chance = random.Random(SEED)
    held_out: list[Row] = []
    train: list[Row] = []
    for genre in _FILES:
        documents: dict[str, list[Row]] = {}
        for row in found:
            if row.genre == genre:
                documents.setdefault(row.document, []).append(row)
        order = sorted(documents)
        chance.shuffle(order)
        taken: list[Row] = []
        while len(taken) < HELD_OUT_ROWS:
            taken += documents[order.pop()]
        rest = [row for name in order for row in documents[name]]
        held_out += chance.sample(taken, HELD_OUT_ROWS)
        train += chance.sample(rest, TRAIN_ROWS)
    chance.shuffle(held_out)
    chance.shuffle(train)
    return held_out, train
