"""Writes docs/dropout.md: what people ask about dropout, each answer with its command, its figures and its picture.

Working files stand in .demo/. No figure of the page is typed in: all are of this run.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import demo
import dropout_measured as measured
import dropout_models as models
import dropout_sections as sections
from demo_processes import DemoError, penult
from demo_steps import fresh
from fetch import FetchError
from penult_client import PenultError

PAGE, PICTURES = Path("docs/dropout.md"), Path("docs/dropout")
WORDS = demo.WORK / "dropout" / "words"
PASSES, SAMPLES, LOOP, ROWS = 30, 30, 1000, 64
SHOWN = {
    "BERT": ("cosine-head.png", "neighbours.png", "clusters.png", "map-all-near.png"),
    "words": ("cosine-head.png", "neighbours.png", "clusters.png"),
}
# What is wanted, the shape, what else is said, and the name of its picture, if any.
SHAPES = (
    ("a sequence, plain", "4,6,10", (), ""),
    ("time steps", "4,6,10", ("--noise-shape", "1,6,1"), "mask-steps.png"),
    ("features", "4,6,10", ("--noise-shape", "1,1,10"), ""),
    ("samples", "4,6,10", ("--noise-shape", "None,1,1"), ""),
    ("features, for each sample its own", "4,6,10", ("--layer", "SpatialDropout1D"), "mask-features.png"),
    ("behind an LSTM that returns no sequences", "4,10", (), ""),
    ("an LSTM's own `dropout`", "4,6,10", ("--layer", "lstm-dropout"), "mask-lstm.png"),
    ("an LSTM's own `recurrent_dropout`", "4,6,10", ("--layer", "lstm-recurrent"), "mask-lstm-state.png"),
)


def main() -> int:
    """Write the page; the exit code."""
    seconds: dict[str, float] = {}
    try:
        demo.trained(seconds)
        with fresh(WORDS, [demo.TEXTS / "train.csv", Path(models.__file__)]) as draft:
            if draft is not None:
                models.train_words(demo.TEXTS / "train.csv", draft)
        shutil.rmtree(PICTURES, ignore_errors=True)
        PICTURES.mkdir(parents=True)
        page = _page()
    except (DemoError, FetchError, PenultError, sections.Unsupported) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    PAGE.write_text(page, encoding="utf-8")
    print(f"wrote {PAGE} and the pictures in {PICTURES}/")
    return 0


def _page() -> str:
    own = {"BERT": demo.MODEL / "1", "words": WORDS / "words.keras"}
    compared = {name: _compared(name, path) for name, path in own.items()}
    sure = {
        (name, layers): _uncertainty(name, path, layers)
        for name, path in own.items()
        for layers in ("head", "all")
    }
    texts, _ = models.read(demo.HELD_OUT)
    loops = [
        measured.against_loop(
            own["words"], "all", models.words_loop(own["words"], texts[:ROWS], LOOP), texts[:ROWS]
        ),
        measured.against_loop(
            own["BERT"], "head", models.head_loop(own["BERT"], texts[:ROWS], LOOP), texts[:ROWS]
        ),
    ]
    cost = measured.cost(own["BERT"], texts, SAMPLES)
    masks = [
        (title, words, _explained("dropout", "--shape", shape, *words, picture=picture))
        for title, shape, words, picture in SHAPES
    ]
    claims = {}
    for keras in ("3", "2"):
        told = _told("explain", "dropout", "--claims", "--keras", keras)
        claims[told["keras"]] = told["claims"]
    batch = _explained("minibatch", picture="minibatch.png")
    units = _explained("lstm", "--units", "10", "--steps", "50", "--features", "7", picture="lstm.png")
    return sections.page(
        [
            sections.before_or_after(compared),
            sections.switched_on(compared),
            sections.how_sure(sure, loops, cost),
            sections.masks(masks, claims),
            sections.one_column(0.2, models.column_dropout(0.2, 20_000)),
            sections.minibatch(batch),
            sections.units(units),
        ]
    )


def _compared(name: str, path: Path) -> dict[str, Any]:
    """`penult dropout` on the held-out texts; its pictures among those of the page."""
    command = ("dropout", path, "--texts", demo.HELD_OUT, "--label-column", "genre", "--passes", PASSES)
    with tempfile.TemporaryDirectory() as place:
        report = Path(place) / f"{name}.md"
        told = _told(*command, "-o", report, "--data", demo.DATA)
        for picture in SHOWN[name]:
            (PICTURES / f"{name}-{picture}").write_bytes(
                (Path(place) / f"{name}_files" / picture).read_bytes()
            )
    return {**told, "pictures": [f"{name}-{picture}" for picture in SHOWN[name]]}


def _uncertainty(name: str, path: Path, layers: str) -> dict[str, Any]:
    picture = PICTURES / f"{name}-reliability-{layers}.png"
    command = ("uncertainty", demo.HELD_OUT, "--model", path, "--label-column", "genre", "--layers", layers)
    return _told(*command, "--samples", SAMPLES, "--plot", picture, "--overwrite", "--data", demo.DATA)


def _explained(*words: str, picture: str) -> dict[str, Any]:
    drawn = ("-o", PICTURES / picture, "--overwrite") if picture else ()
    return {**_told("explain", *words, *drawn), "picture": picture}


def _told(*words: object) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(penult(*words, "--json", stdout=subprocess.PIPE))
    return found


if __name__ == "__main__":
    sys.exit(main())
