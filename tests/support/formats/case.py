"""A case of the corpus: how it is built, what must become of it, and what is kept beside the saved model."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
READ, PREDICTED, REFUSED = "read", "predict only", "refused"
LIMIT = 1e-5
# What half precision may differ by. A live BERT of KerasHub in bfloat16 is 4.2e-2 away from itself when its layers are
# called one by one instead of in a graph.
FLOAT16, BFLOAT16 = 4e-3, 5e-2
CASE, EXPECTED = "case.json", "expected.npz"


@dataclass(frozen=True)
class Made:
    """What a builder saved, and what the live objects said just before.

    Attributes:
        source: What a person points Penult at.
        given: What was asked: the model's inputs by name, n rows each, in the model's order.
        outputs: What the model predicts, by name.
        embedding: float32 [n, d], in front of the last dropout before the head; None: no such tensor exists.
        ids: The token ids of each row, without padding; None: the caller makes them, or there are several texts.
    """

    source: Path
    given: Mapping[str, Array]
    outputs: Mapping[str, Array]
    embedding: Array | None = None
    ids: Sequence[Sequence[int]] | None = None


@dataclass(frozen=True)
class Case:
    """A model of the corpus.

    Attributes:
        row: The format, as the table of the report calls it.
        shape: What is special about the model.
        build: Runs the author's code; writes into the new directory that it is handed.
        becomes: READ, PREDICTED (there is no seam that can be proved; `predict` equals the model's own) or REFUSED.
        says: What the sentence must hold, of a refusal or of why nothing can be read.
        limit: The largest difference d <= limit + limit |x| that is accepted.
        quick: Whether it stands for its row in the quick run.
    """

    row: str
    shape: str
    build: Callable[[Path], Made] = field(repr=False, compare=False)
    becomes: str = READ
    says: str = ""
    limit: float = LIMIT
    quick: bool = False

    @property
    def name(self) -> str:
        """Row and shape."""
        return f"{self.row}: {self.shape}"

    @property
    def slug(self) -> str:
        """The name as a directory's."""
        return re.sub(r"[^a-z0-9]+", "-", self.name.lower()).strip("-")


@dataclass(frozen=True)
class Kept:
    """A case as it lies on the disk: all that opening it may know."""

    row: str
    shape: str
    becomes: str
    says: str
    limit: float
    source: Path
    made: Made

    @property
    def name(self) -> str:
        """Row and shape."""
        return f"{self.row}: {self.shape}"


def keep(case: Case, made: Made, directory: Path) -> None:
    """Writes the expected arrays and what must become of the case."""
    arrays = {f"given/{name}": value for name, value in made.given.items()}
    arrays |= {f"outputs/{name}": value for name, value in made.outputs.items()}
    if made.embedding is not None:
        arrays["embedding"] = made.embedding
    if made.ids is not None:
        arrays["ids"] = np.array([token for row in made.ids for token in row], dtype=np.int64)
        arrays["lengths"] = np.array([len(row) for row in made.ids])
    np.savez(directory / EXPECTED, allow_pickle=False, **arrays)
    told = {key: value for key, value in vars(case).items() if key not in ("build", "quick")}
    told |= {"source": str(made.source.relative_to(directory)), "inputs": list(made.given)}
    (directory / CASE).write_text(json.dumps(told, indent=1), encoding="utf-8")


def kept(directory: Path) -> Kept:
    """Reads what `keep` wrote."""
    told = json.loads((directory / CASE).read_text(encoding="utf-8"))
    with np.load(directory / EXPECTED) as arrays:
        found = dict(arrays)
    ids = None
    if "ids" in found:
        ids = [part.tolist() for part in np.split(found["ids"], np.cumsum(found["lengths"])[:-1])]
    source = directory / told.pop("source")
    given = {name: found[f"given/{name}"] for name in told.pop("inputs")}
    outputs = {key.removeprefix("outputs/"): found[key] for key in found if key.startswith("outputs/")}
    return Kept(**told, source=source, made=Made(source, given, outputs, found.get("embedding"), ids))
