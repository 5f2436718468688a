"""What `penult uncertainty` prints: what was sampled, what is true of all rows, and the rows most worth a label."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from penult_service.cli.analyses import short
from penult_service.cli.console import note, print_table
from penult_service.cli.sampling.asked import BY_ROW
from penult_service.cli.sampling.findings import BINS, Measured
from penult_service.cli.sampling.table import provenance
from penult_service.errors import InvalidInput
from penult_service.plots.words import counted, percent

if TYPE_CHECKING:
    from penult_client import Uncertainty

    from penult_service.plots.reliability import ReliabilityView

HEADINGS = {
    "mutual_information": "information",
    "entropy": "entropy",
    "variation_ratio": "variation",
    "std": "std",
}
LISTED = 20
# Less than rounding leaves of a measure that is 0.
NOTHING = 1e-6


def active_in_words(first: Uncertainty) -> str:
    """The dropouts that were on, with their rates: those of one rate together where they are many."""
    rates: dict[float, list[str]] = {}
    for each in first.active:
        rates.setdefault(round(each.rate, 6), []).append(each.path)
    told = []
    for rate, paths in rates.items():
        names = (
            ", ".join(paths) if len(paths) <= 3 else f"{len(paths)} dropouts from {paths[0]} to {paths[-1]}"
        )
        told.append(f"{names} (rate {rate:g})")
    return "; ".join(told)


def tell_bad_rows(measured: Measured) -> None:
    """Notes on stderr of the rows that have no numbers."""
    errors = measured.errors
    for row in sorted(errors)[:LISTED]:
        note(f"{measured.rows.called(row)}: {errors[row]}")
    if len(errors) > LISTED:
        note(f"... and {len(errors) - LISTED} more rows")
    if errors:
        note(f"{len(errors):,} of the {len(measured.rows):,} rows could not be sampled")


def show(measured: Measured, count: int) -> None:
    """All of it, on stdout."""
    first, good = measured.first, measured.good
    seeds = f"{counted(first.samples, 'sample')} each, seed {first.seed}"
    print(f"{counted(len(good), 'row')}, {seeds}; dropout on: {active_in_words(first)}")
    for line in _classifier(measured) if measured.classifier else _other(measured):
        print(line)
    rows = measured.top(count)
    if not rows:
        return
    measure, called, why = measured.order
    whole = "" if len(measured.listed) == len(good) else f" of {len(measured.listed):,} without one,"
    print()
    print(f"{len(rows):,} row{'s' * (len(rows) != 1)} most worth a label,{whole} by {called}: {why}")
    if measured.measure[measured.listed].max() < NOTHING:
        print("(it is 0 in every row: the order says nothing)")
    _print_rows(measured, rows, measure)


def every_fact(measured: Measured, count: int) -> dict[str, Any]:
    """All of it, for --json."""
    errors = measured.errors
    return {
        **provenance(measured.first, measured.truncate),
        **measured.facts(),
        "top": [_row_facts(measured, row) for row in measured.top(count)],
        "row_errors": [
            {"row": row, "reason": errors[row].reason, "message": str(errors[row])} for row in sorted(errors)
        ],
    }


def reliability_of(measured: Measured) -> ReliabilityView:
    """What the picture shows.

    Raises:
        InvalidInput: no row has both numbers and a label (NO_LABEL).
    """
    from penult_service.plots.reliability import ReliabilityView

    found, first = measured.calibration, measured.first
    if found is None:
        raise InvalidInput("no row that could be sampled has a label", reason="NO_LABEL")
    rows = len(measured.labelled)
    caption = [
        counted(rows, "labelled row"),
        f"accuracy {found.total_accuracy:.3f}",
        f"{counted(first.samples, 'sample')} each, seed {first.seed}",
        f"dropout on: {active_in_words(first)}",
    ]
    return ReliabilityView(
        counts=found.counts,
        confidence=found.confidence,
        accuracy=found.accuracy,
        ece=found.ece,
        entropy=measured.found.entropy[measured.labelled],
        right=found.right,
        auroc=found.auroc,
        classes=measured.found.mean.shape[1],
        title=f"{measured.rows.source}: {first.model}@{first.version}",
        caption=" · ".join(caption),
    )


def _classifier(measured: Measured) -> list[str]:
    told, classes = measured.facts(), measured.found.mean.shape[1]
    entropy, information = told["mean_entropy"], told["mean_mutual_information"]
    most = f"{classes} classes: at most {np.log(classes):.3f}"
    what = "be of another class"
    if measured.several:
        most, what = (
            f"{classes} labels, several a row: at most {classes * np.log(2):.3f}",
            "have other labels",
        )
    changed = told["changed_rows"]
    lines = [
        f"mean entropy {entropy:.4f} nats ({most}), mutual information {information:.4f}, "
        f"variation ratio {told['mean_variation_ratio']:.4f}",
        f"{counted(changed, 'row')} ({percent(changed / len(measured.good))}) would {what} with dropout on: "
        "the mean of the samples against the model without it",
    ]
    return [*lines, *_calibrated(measured, told)]


def _calibrated(measured: Measured, told: dict[str, Any]) -> list[str]:
    """How right the predictions are, and which measure tells the wrong ones."""
    if measured.calibration is None:
        return []
    rows, wrong = told["labelled_rows"], len(measured.wrong)
    are = "is" if wrong == 1 else "are"
    lines = [
        f"of {counted(rows, 'labelled row')} {wrong:,} {are} predicted wrong: accuracy {told['accuracy']:.4f}, "
        f"ECE {told['ece']:.4f} ({BINS} bins)"
    ]
    if told["auroc"]["entropy"] is None:
        return [
            *lines,
            f"{'all' if wrong else 'none'} are predicted wrong, so there are none to tell apart (no AUROC)",
        ]
    found = ", ".join(f"{name.replace('_', ' ')} {auroc:.3f}" for name, auroc in told["auroc"].items())
    return [*lines, f"AUROC for wrong against right predictions: {found}"]


def _other(measured: Measured) -> list[str]:
    return [
        "the model is no classifier: there are a mean and a standard deviation over the samples, no entropies",
        f"mean standard deviation {measured.facts()['mean_std']:.4g}",
    ]


def _print_rows(measured: Measured, rows: list[int], measure: str) -> None:
    found, labels = measured.found, measured.rows.labels
    measures = [measure, *(name for name in BY_ROW if name != measure)] if measured.classifier else []
    headings = ["row", *(HEADINGS[name] for name in measures or ("std",))]
    headings += ["predicted", "p"] if measured.classifier else ["mean"]
    marked = labels is not None and any(labels[row] for row in rows)
    headings += [*(["label"] if marked else []), "text"]
    lines = []
    for row in rows:
        numbers = [f"{getattr(found, name)[row]:.4f}" for name in measures] or [
            f"{measured.measure[row]:.4g}"
        ]
        said = (
            [_predicted(measured, row), f"{found.mean[row].max():.3f}"]
            if measures
            else [_mean(measured, row)]
        )
        label = []
        if marked and labels is not None:
            label = [short(labels[row], 24) + (" (wrong)" if row in measured.wrong else "")]
        lines.append([str(row), *numbers, *said, *label, short(measured.rows.text(row))])
    right = [0, *range(1, 1 + len(measures or ("std",)))]
    print_table(headings, lines, right=[*right, *([2 + len(measures)] if measures else [2])])


def _predicted(measured: Measured, row: int) -> str:
    (name,) = measured.named(measured.found.predicted[row : row + 1])
    return short(str(name), 24)


def _mean(measured: Measured, row: int) -> str:
    means = measured.found.mean[row]
    return ", ".join(f"{value:.4g}" for value in means[:4]) + (", ..." if len(means) > 4 else "")


def _row_facts(measured: Measured, row: int) -> dict[str, Any]:
    found, labels = measured.found, measured.rows.labels
    facts: dict[str, Any] = {
        "row": row,
        "file": measured.rows.files[row],
        "text": measured.rows.text(row),
    }
    if measured.classifier:
        (facts["predicted"],) = measured.named(found.predicted[row : row + 1])
        facts |= {name: _digits(getattr(found, name)[row]) for name in BY_ROW}
    if labels is not None and labels[row]:
        facts["label"] = labels[row]
    for name in ("mean", "std", "clean"):
        facts[name] = [_digits(value) for value in getattr(found, name)[row]]
    return facts


def _digits(value: np.float32) -> float:
    """In as few digits as say it."""
    return float(str(value))
