"""Opens built cases as a server does, and compares: `python -m support.formats.opening DIR... [--child]`.

Knows only what lies on the disk: nothing of the author's code. One line of JSON a case.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from penult_service.embedder import LoadedModel
from penult_service.embedder.given import Tensors
from penult_service.errors import PenultError
from support.embedding import loaded, with_embedder
from support.formats.case import PREDICTED, READ, REFUSED, Array, Kept, kept

Prepare = Callable[[Kept, Path], Path]
"""A case and a new directory -> the prepared model."""


@dataclass(frozen=True)
class Outcome:
    """What became of a case.

    Attributes:
        name: Row and shape.
        became: READ, PREDICTED or REFUSED.
        said: The sentence of a refusal, or why nothing can be read.
        difference: The largest of all embeddings and predictions; None: nothing was compared.
        seconds: Of preparing.
        peak: Bytes resident while preparing, the most.
        load: Seconds of loading what was prepared.
        wrong: Why it is not as it should be; empty: it is.
    """

    name: str
    became: str
    said: str = ""
    difference: float | None = None
    seconds: float = 0.0
    peak: int = 0
    load: float = 0.0
    wrong: str = ""


def by_child(case: Kept, target: Path) -> Path:
    """Prepared as a server does it: in a confined process of its own."""
    from penult_service.preparing import launch

    return launch.prepare(case.source, output=target, cache=target.parent / "cache")


def here(case: Kept, target: Path) -> Path:
    """Prepared in this process, where TensorFlow is loaded already."""
    from penult_service.preparing import pipeline, sources
    from penult_service.preparing.declarations import declaring

    source = sources.located(case.source)
    pipeline.prepare(source, target, None, lambda *_: None, declared=declaring.read(source))
    return target


def opened(case: Kept, prepare: Prepare) -> Outcome:
    """Prepares the case, loads it and asks it what it was asked when it was built."""
    with tempfile.TemporaryDirectory(prefix="penult-formats-") as scratch:
        began = time.monotonic()
        try:
            place = prepare(case, Path(scratch) / "prepared")
        except PenultError as error:
            wrong = _wrongly_refused(case, error)
            seconds = time.monotonic() - began
            return Outcome(case.name, REFUSED, f"{error.reason}: {error.message}", None, seconds, wrong=wrong)
        seconds = time.monotonic() - began
        model = loaded(place, Path(scratch))
        load = time.monotonic() - began - seconds
        became = READ if model.manifest.readouts else PREDICTED
        figures = {"seconds": seconds, "peak": model.manifest.cost.peak_bytes, "load": load}
        said = model.manifest.unread
        try:
            differences, wrong = _asked(case, model)
        except PenultError as error:
            differences, wrong = {}, f"asked, it says {error.reason}: {error.message}"
        difference = max(differences.values(), default=None)
        if not wrong and became != case.becomes:
            wrong = f"it should be {case.becomes}"
        if not wrong and case.says not in said:
            wrong = f"the sentence has no {case.says!r}"
        return Outcome(case.name, became, said, difference, **figures, wrong=wrong)


def _wrongly_refused(case: Kept, error: PenultError) -> str:
    if case.becomes != REFUSED:
        return f"it should be {case.becomes}"
    return "" if case.says in error.message else f"the sentence has no {case.says!r}"


def _asked(case: Kept, model: LoadedModel) -> tuple[dict[str, float], str]:
    """The largest difference of embeddings and of each output; the first thing that is wrong."""
    given = _given(case.made.given)

    async def ask(embedder: Any) -> tuple[Any, Any, Any, str]:
        predicted = await embedder.predict(model, given)
        embedded = tokens = None
        if model.manifest.readouts:
            embedded = await embedder.embed(model, given)
        if case.made.ids is not None and model.manifest.readouts:
            tokens = await embedder.tokenize(model, given)
        return embedded, predicted, tokens, await _texts_refused(embedder, case, model)

    embedded, predicted, tokens, wrong = with_embedder(ask)
    pairs = {}
    if embedded is not None and case.made.embedding is not None:
        if embedded.row_errors:
            wrong = wrong or f"row errors: {embedded.row_errors}"
        pairs["embedding"] = embedded.vectors, case.made.embedding
    for name, wanted in case.made.outputs.items():
        only = len(predicted) == len(case.made.outputs) == 1
        found = next(iter(predicted.values())) if only else predicted.get(name)
        if found is None:
            return {}, wrong or f"predict gives no {name!r}, but {', '.join(predicted)}"
        pairs[name] = found, wanted
    differences = {}
    for name, (found, wanted) in pairs.items():
        if np.shape(found) != wanted.shape:
            return differences, wrong or f"{name} has shape {np.shape(found)}, not {wanted.shape}"
        away = np.abs(np.asarray(found, np.float64) - wanted)
        differences[name] = float(away.max(initial=0.0))
        if not (away <= case.limit * (1 + np.abs(wanted))).all():
            wrong = wrong or f"{name} is another: {differences[name]:.3g} away"
    if tokens is not None and [row.tolist() for row in tokens.ids] != case.made.ids:
        wrong = wrong or "token ids are others"
    return differences, wrong


async def _texts_refused(embedder: Any, case: Kept, model: LoadedModel) -> str:
    """A model of token ids without a tokenizer says which files are missing when it is asked a text."""
    if "input_ids" not in case.made.given:
        return ""
    try:
        await embedder.embed(model, ["a text"])
    except PenultError as error:
        return "" if "vocab.txt" in error.message else f"the refusal of texts names no file: {error.message}"
    return "it embeds a text without a tokenizer"


def _given(given: Mapping[str, Array]) -> Any:
    """One text a row, or the columns."""
    if len(given) == 1:
        (column,) = given.values()
        if column.dtype.kind == "U":
            return column.reshape(-1).tolist()
    return Tensors({name: _column(value) for name, value in given.items()})


def _column(value: Array) -> Array:
    return value.astype(object) if value.dtype.kind == "U" else value


def main() -> int:
    """Opens all cases below the directories; exit code 1 when one is not as it should be."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("directories", nargs="+", type=Path)
    parser.add_argument("--child", action="store_true", help="prepare each in a process of its own")
    given = parser.parse_args()
    import tensorflow  # noqa: F401  (so that no case pays for it)

    wrong = 0
    for place in (place for directory in given.directories for place in cases_below(directory)):
        outcome = carefully(kept(place), by_child if given.child else here)
        wrong += bool(outcome.wrong)
        print(json.dumps(asdict(outcome)), flush=True)
    return int(wrong > 0)


def carefully(case: Kept, prepare: Prepare) -> Outcome:
    """The same as `opened`, but a crash is an outcome too."""
    try:
        return opened(case, prepare)
    except Exception as error:  # noqa: BLE001
        import traceback

        traceback.print_exc()
        said = (str(error) or "nothing").splitlines()[0][:300]
        return Outcome(case.name, "crashed", said, wrong=f"{type(error).__name__}: {said}")


def cases_below(directory: Path) -> list[Path]:
    """The places of the cases built there."""
    return sorted(file.parent for file in directory.rglob("case.json"))


if __name__ == "__main__":
    sys.exit(main())
