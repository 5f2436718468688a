"""Trains the classifier, measures it on the rows held out, saves it.

TensorFlow is imported when training starts, not with this module.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from penult_service.errors import InvalidInput
from penult_service.preparing.formats import hub_network
from penult_service.recipes import saving, splits
from penult_service.recipes.bert.settings import BertSettings, Handles
from penult_service.recipes.data import LabelledTexts, sorted_labels
from penult_service.recipes.progress import Progress

if TYPE_CHECKING:
    from penult_service.recipes.bert.network import BertClassifier, Tokens

PACKAGES = ("penult", "tensorflow", "tensorflow-text", "tf_keras", "tensorflow-hub")


@dataclass(frozen=True)
class Metrics:
    """How good the model is on the rows held out; `majority_accuracy` is what naming one class would score.

    `held_out_rows_also_in_training` counts those whose very text was trained on: they flatter the accuracy.
    """

    held_out_accuracy: float
    held_out_rows: int
    held_out_rows_by_label: dict[str, int]
    majority_accuracy: float
    held_out_rows_also_in_training: int


@dataclass(frozen=True)
class TrainingReport:
    """What was saved, and how good it is. `seconds` are of the whole recipe, loading and saving included."""

    path: Path
    labels: tuple[str, ...]
    metrics: Metrics
    curve: tuple[dict[str, float], ...]
    seconds: float


@dataclass(frozen=True)
class _Side:
    """The training or the held-out rows: texts, and class numbers int32 [n]."""

    texts: list[str]
    classes: NDArray[np.int32]


def train(
    data: LabelledTexts,
    valid: LabelledTexts | None,
    handles: Handles,
    output: Path,
    settings: BertSettings,
    progress: Progress,
    untrained: Path | None = None,
) -> TrainingReport:
    """Trains and saves `output/<next number>`: the string-input SavedModel, labels.json, training.json.

    Args:
        data: The rows to train on, and to hold out from when `valid` is None.
        valid: Rows to measure on.
        output: The model's directory; the first version in it is 1.
        progress: See `progress.Progress`.
        untrained: The directory of another model, the same as it was before the first step.

    Raises:
        InvalidInput: The labels cannot be trained on or split, or `output` cannot be written to.
        NotFound, Unavailable, ModelRefused: A hub layer cannot be had or loaded, or is no BERT encoder; see
            `formats.hub_download.resolved`.
    """
    started = time.monotonic()
    for place in (output, *([untrained] if untrained else [])):
        saving.check_output(place)
    labels = _checked_labels(data, valid)
    sides = _split(data, valid, labels, settings)
    for role, handle in (("preprocessor", handles.preprocessor), ("encoder", handles.encoder)):
        hub_network.refuse_unreachable(handle, role)
    progress("loading", 0, 1, "")
    from penult_service.recipes.bert.network import BertClassifier

    classifier = BertClassifier(handles, labels, settings, progress)
    tokens = [classifier.tokenize(side.texts) for side in sides]
    progress("loading", 1, 1, "")
    initial = classifier.model.get_weights() if untrained else []
    curve = _fit(classifier, tokens, sides, settings, progress)
    metrics = _metrics(curve, labels, *sides)
    record = {
        "recipe": "bert",
        "labels": labels,
        "data": {"train": _describe(data), "valid": _describe(valid) if valid else None},
        "encoder": dict(handles.origin),
        "settings": asdict(settings),
        "metrics": asdict(metrics),
        "curve": curve,
        "versions": {package: version(package) for package in PACKAGES},
    }
    records = [(output, record)] + ([(untrained, _before(record))] if untrained else [])
    paths = []
    for done, (place, content) in enumerate(records):
        progress("saving", done, len(records), "")
        if done:  # only now: what saving traces would draw from the seeds of the training
            classifier.model.set_weights(initial)
        paths.append(saving.save_version(classifier.model, place, labels, content, started))
    progress("saving", len(records), len(records), "")
    return TrainingReport(paths[0], labels, metrics, tuple(curve), time.monotonic() - started)


def _before(record: Mapping[str, Any]) -> dict[str, Any]:
    """What `training.json` says of the model as it was before the first step."""
    kept = ("recipe", "labels", "encoder", "versions")
    settings = {name: record["settings"][name] for name in ("dropout", "max_length", "seed")}
    return {name: record[name] for name in kept} | {"settings": settings | {"epochs": 0}}


def _checked_labels(data: LabelledTexts, valid: LabelledTexts | None) -> tuple[str, ...]:
    labels = sorted_labels(data.labels)
    if len(labels) < 2:
        what = f"{data.source}: every row has the label {labels[0]!r}; at least two labels are needed"
        raise InvalidInput(what, reason="ONE_LABEL", field="label_column")
    unknown = sorted(set(valid.labels) - set(labels)) if valid else []
    if valid and unknown:
        what = f"{valid.source}: the label {unknown[0]!r} does not occur in {data.source}"
        raise InvalidInput(what, reason="UNKNOWN_LABEL", field="valid")
    return labels


def _split(
    data: LabelledTexts, valid: LabelledTexts | None, labels: tuple[str, ...], settings: BertSettings
) -> tuple[_Side, _Side]:
    number = {label: index for index, label in enumerate(labels)}

    def side(source: LabelledTexts, rows: Iterable[int]) -> _Side:
        picked = list(rows)
        classes = np.array([number[source.labels[row]] for row in picked], np.int32)
        return _Side([source.texts[row] for row in picked], classes)

    if valid is not None:
        return side(data, range(len(data))), side(valid, range(len(valid)))
    kept, held_out = splits.hold_out(data.labels, data.groups, settings.valid_fraction, settings.seed)
    return side(data, kept), side(data, held_out)


def _metrics(
    curve: list[dict[str, float]], labels: tuple[str, ...], trained: _Side, held_out: _Side
) -> Metrics:
    seen = set(trained.texts)
    counts = np.bincount(held_out.classes, minlength=len(labels))
    return Metrics(
        held_out_accuracy=curve[-1]["held_out_accuracy"],
        held_out_rows=len(held_out.texts),
        held_out_rows_by_label={label: int(count) for label, count in zip(labels, counts, strict=True)},
        majority_accuracy=float(counts.max() / len(held_out.texts)),
        held_out_rows_also_in_training=sum(text in seen for text in held_out.texts),
    )


def _describe(data: LabelledTexts) -> dict[str, Any]:
    counts = Counter(data.labels)
    rows = {label: counts[label] for label in sorted_labels(data.labels)}
    return {"file": data.source, "sha256": data.sha256, "rows": len(data), "rows_by_label": rows}


def _fit(
    classifier: BertClassifier,
    tokens: list[Tokens],
    sides: tuple[_Side, _Side],
    settings: BertSettings,
    progress: Progress,
) -> list[dict[str, float]]:
    """Trains all epochs; for each: the mean loss, the held-out loss and accuracy, and its seconds."""
    curve: list[dict[str, float]] = []
    plans = [
        splits.plan_batches(tokens[0].lengths, settings.batch_size, settings.seed, epoch)
        for epoch in range(settings.epochs)
    ]
    steps, step = sum(len(plan) for plan in plans), 0
    for epoch, plan in enumerate(plans, start=1):
        started, loss, rows_done = time.monotonic(), 0.0, 0
        for done, rows in enumerate(plan, start=1):
            rate = splits.learning_rate_at(step, steps, settings.learning_rate, settings.warmup)
            mean = classifier.train_step(tokens[0].batch(rows), sides[0].classes[rows], rate)
            step, loss, rows_done = step + 1, loss + mean * len(rows), rows_done + len(rows)
            progress(f"epoch {epoch}", done, len(plan) + 1, f"loss {loss / rows_done:.3f}")
        held_out_loss, accuracy = classifier.evaluate(tokens[1], sides[1].classes)
        remark = f"loss {loss / rows_done:.3f}, held-out accuracy {accuracy:.3f}"
        progress(f"epoch {epoch}", len(plan) + 1, len(plan) + 1, remark)
        curve.append(
            {
                "epoch": epoch,
                "loss": loss / rows_done,
                "held_out_loss": held_out_loss,
                "held_out_accuracy": accuracy,
                "seconds": round(time.monotonic() - started, 1),
            }
        )
    return curve
