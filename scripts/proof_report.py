"""The proof, shown: a table of models and what became of them, of mutants, and of the seconds that proving takes.

The models and mutants are those of the tests (`tests/support`). Exit code 1 when a model or a mutant is not what it
should be.
"""

from __future__ import annotations

import json
import logging
import shutil
import sys
import tempfile
import time
from collections.abc import Iterable
from pathlib import Path

import fetch
import numpy as np
from numpy.typing import NDArray
from penult_service.guard import prepared as guard
from penult_service.prepared import load_manifest
from penult_service.preparing import convert, launch
from penult_service.preparing.audit import audit
from penult_service.preparing.graph import FlatGraph
from penult_service.preparing.inspecting.inspection import inspect
from safetensors.numpy import load_file, save_file
from support import body_edits, dropout_sites, mutants  # type: ignore[import-not-found]
from support import seed_model as seeds
from support import stochastic_models as models
from support.tiny_bert import write_tiny_bert  # type: ignore[import-not-found]

TENTH = 10
BERT_VOCABULARY = 30_522
# What of preparing is proof: the stages that `pipeline.prepare` tells.
PROVING = ("auditing the graph", "auditing what is served", "experiments")


def main() -> int:
    """Prints the tables; the exit code."""
    quick = "--quick" in sys.argv[1:]
    logging.getLogger("tensorflow").setLevel(logging.ERROR)  # its advice would stand between the rows
    wrong = _cases()
    wrong += _mutants(TENTH if quick else 1)
    if not quick:
        _seconds()
    print(f"\n{wrong} wrong")
    return int(wrong > 0)


def _cases() -> int:
    print(f"{'model':50}  {'expected':31}  {'outcome':31}  by")
    wrong = 0
    for name, case in models.CASES.items():
        with tempfile.TemporaryDirectory() as place:
            found = models.outcome(case, Path(place))
        wrong += not found.right
        mark = "" if found.right else "  WRONG"
        print(f"{name:50}  {found.expected:31}  {found.found:31}  {found.said[:150]}{mark}", flush=True)
    return wrong


def _mutants(step: int) -> int:
    """Every `step`-th mutant; how many were accepted though they give other numbers."""
    print(f"\n{'mutants':60}  {'made':>5}  {'change something':>16}  {'of these refused':>16}")
    wrong = 0
    for name, architecture in dropout_sites.architectures().items():
        opened = architecture.accepted
        plain = mutants.answers(opened.function)
        sites = (architecture.with_site(site) for site in architecture.sites)
        wrong += _row(f"{name}: a dropout on", ((s.flat, s.function) for s in sites), plain)
        splices = mutants.splices(opened, many=False)[::step]
        made = (splice.make(opened) for splice in splices)
        wrong += _row(f"{name}: random behind control flow", ((mutants.flat_of(m), m) for m in made), plain)
        edits = [edit for number, edit in enumerate(body_edits.edited_bodies(opened)) if number % step == 0]
        if edits:
            pairs = ((edit.flat, body_edits.runnable(opened, edit.flat)) for edit in edits)
            wrong += _row(f"{name}: noise on an edge inside a loop", pairs, plain)
    return wrong


def _row(what: str, made: Iterable[tuple[FlatGraph, object]], plain: NDArray[np.float64]) -> int:
    count = effective = refused = 0
    for flat, function in made:
        count += 1
        if mutants.changed(mutants.answers(function), plain):
            effective += 1
            refused += bool(audit(flat).random)
    mark = "" if refused == effective else "  WRONG"
    print(f"{what:60}  {count:5}  {effective:16}  {refused:16}{mark}", flush=True)
    return effective - refused


def _seconds() -> None:
    print(
        f"\n{'seconds of preparing':44}  {'in all':>6}  {'proof':>6}  {'of it experiments':>17}  {'peak, GB':>8}"
    )
    with tempfile.TemporaryDirectory() as scratch:
        home = Path(scratch)
        _measure("tiny BERT (2 x 32)", seeds.seed_model(), home)
        for name, directory in {
            "MiniLM (6 x 384), pretrained": fetch.weights(lambda *_: None),
            "BERT base (12 x 768), random weights": _bert_base(home / "base"),
        }.items():
            model = _saved(directory, home / "model")
            _measure(name, model, home)
            shutil.rmtree(model)


def _measure(name: str, model: Path, home: Path) -> None:
    """Prepares it as the server does, in a child process, and prints the time of each stage."""
    began: list[tuple[str, float]] = []

    def progress(stage: str, _: float) -> None:
        began.append((stage, time.monotonic()))

    started = time.monotonic()
    place = launch.prepare(model, output=home / "prepared", cache=home / "cache", progress=progress)
    in_all = time.monotonic() - started
    ends = [moment for _, moment in began[1:]] + [time.monotonic()]
    taken: dict[str, float] = {}
    for (stage, moment), end in zip(began, ends, strict=True):
        taken[stage] = taken.get(stage, 0.0) + end - moment
    proof = sum(taken.get(stage, 0.0) for stage in PROVING)
    checking = time.monotonic()  # what is in the files, before and after: once more, apart
    inspect(model)
    guard.check(place)
    checks = time.monotonic() - checking
    peak = load_manifest(place).cost.peak_bytes / 1e9
    figures = f"{in_all:6.1f}  {proof:6.1f}  {taken['experiments']:17.1f}  {checks:6.1f}  {peak:8.2f}"
    print(f"{name:44}  {figures}", flush=True)
    shutil.rmtree(place)


def _saved(weights: Path, place: Path) -> Path:
    """The question's model on these weights."""
    import tensorflow_hub as hub

    keras = seeds.keras()
    with tempfile.TemporaryDirectory() as folder:
        convert.convert(weights, Path(folder) / "hub", max_length=seeds.MAX_LENGTH)
        text = keras.layers.Input(shape=(), dtype="string", name="text")
        preprocess = hub.KerasLayer(str(Path(folder) / "hub" / convert.PREPROCESSOR), name="preprocessing")
        encoder = hub.KerasLayer(str(Path(folder) / "hub" / convert.ENCODER), trainable=True, name="encoder")
        dropped = keras.layers.Dropout(0.1, name="dropout")(encoder(preprocess(text))["pooled_output"])
        output = keras.layers.Dense(1, activation="sigmoid", name="output")(dropped)
        keras.Model(text, output).save(str(place))
    return place


def _bert_base(place: Path) -> Path:
    """Random weights of the size of BERT base, its vocabulary filled up with words that no text has."""
    write_tiny_bert(place, layers=12, width=768, heads=12, intermediate=3072)
    words = (place / "vocab.txt").read_text(encoding="utf-8").splitlines()
    more = [f"[unused{number}]" for number in range(BERT_VOCABULARY - len(words))]
    (place / "vocab.txt").write_text("".join(f"{word}\n" for word in [*words, *more]), encoding="utf-8")
    config = json.loads((place / "config.json").read_text())
    (place / "config.json").write_text(json.dumps({**config, "vocab_size": BERT_VOCABULARY}))
    tensors = load_file(place / "model.safetensors")
    name = "embeddings.word_embeddings.weight"
    tensors[name] = np.resize(tensors[name], (BERT_VOCABULARY, tensors[name].shape[1]))
    # Drawn for a tiny model, they are too wide for this one: sums over 768 numbers would overflow the activations.
    scaled = {key: value * np.float32(0.1) if value.ndim == 2 else value for key, value in tensors.items()}
    save_file(scaled, place / "model.safetensors")
    return place


if __name__ == "__main__":
    sys.exit(main())
