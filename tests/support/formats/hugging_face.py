"""Hugging Face directories, against the same weights in NumPy (`support.tiny_hf`)."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from support.formats.case import REFUSED, Case, Made
from support.formats.kit import TEXTS, texts
from support.tiny_bert import VOCABULARY
from support.tiny_hf import KINDS, POSITIONS, change_tensors, wordpieces, write_tiny_hf

ROW = "Hugging Face"


def directory(
    kind: str, change: Callable[[Any], Any] | None = None, **settings: Any
) -> Callable[[Path], Made]:
    """A builder; `change` is made to its tensors after the answers were computed."""

    def build(place: Path) -> Made:
        tiny = write_tiny_hf(place / "model", kind, **settings)
        ids = _ids(place)
        rows = [tiny.oracle.outputs(row, np.ones_like(row), np.zeros_like(row)) for row in ids]
        if change is not None:
            change_tensors(tiny.directory, change)
        embedding, logits = (np.concatenate([row[which] for row in rows]) for which in (1, 2))
        outputs = {"logits": logits.astype(np.float32)}
        told = [row[0].tolist() for row in ids]
        return Made(tiny.directory, {"text": texts()}, outputs, embedding.astype(np.float32), told)

    return build


def pairs(place: Path) -> Made:
    """Two texts a row, as BERT's tokenizer joins them: the oracle is told the segments."""
    tiny = write_tiny_hf(place / "model")
    given = {"text": texts(), "text_pair": texts(8)}
    tokenizer = wordpieces(tiny.directory)
    tokenizer.enable_truncation(POSITIONS)
    rows = list(zip(*(column.tolist() for column in given.values()), strict=True))
    found = tokenizer.encode_batch(rows)
    answers = []
    for one in found:
        ids, types = np.array([one.ids]), np.array([one.type_ids])
        answers.append(tiny.oracle.outputs(ids, np.ones_like(ids), types))
    embedding, logits = (
        np.concatenate([row[which] for row in answers]).astype(np.float32) for which in (1, 2)
    )
    return Made(tiny.directory, given, {"logits": logits}, embedding, [one.ids for one in found])


def _ids(place: Path) -> list[Any]:
    """The vocabulary is the same for every kind, whatever file holds it."""
    (place / "vocab.txt").write_text("".join(f"{token}\n" for token in VOCABULARY), encoding="utf-8")
    tokenizer = wordpieces(place)
    (place / "vocab.txt").unlink()
    tokenizer.enable_truncation(POSITIONS)
    return [np.array([encoding.ids]) for encoding in tokenizer.encode_batch(list(TEXTS))]


def _without_head(tensors: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in tensors.items() if not name.startswith("classifier")}


def _renamed(tensors: dict[str, Any]) -> dict[str, Any]:
    return {
        name.replace("attention.self.query", "attention.self.q"): value for name, value in tensors.items()
    }


MULTI = {"problem_type": "multi_label_classification"}
CASES = (
    *(Case(ROW, kind, directory(kind), quick=kind == "bert") for kind in KINDS),
    Case(ROW, "bert, multi-label", directory("bert", classes=4, **MULTI)),
    Case(ROW, "bert, regression", directory("bert", classes=1, problem_type="regression")),
    Case(ROW, "bert, pairs", pairs),
    Case(ROW, "bert, no head", directory("bert", _without_head), REFUSED, says="classifier.weight"),
    Case(ROW, "bert, renamed tensors", directory("bert", _renamed), REFUSED, says="attention.self.query"),
)
