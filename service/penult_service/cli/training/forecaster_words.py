"""What `penult train forecaster` says: a table of placements beside the baselines, on the screen, in files, as JSON."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from penult_service import __version__
from penult_service.cli.console import print_table
from penult_service.cli.training import reports
from penult_service.plots.words import said
from penult_service.recipes.forecasting.settings import dropout_of
from penult_service.recipes.forecasting.windows import Scores

if TYPE_CHECKING:
    from penult_service.plots.placements import PlacementsView
    from penult_service.recipes.forecasting.train import Comparison, Outcome

HEADINGS = ("placement", "test MSE", "test MAE", "validation MSE", "epochs", "s a run")


def show(found: Comparison) -> None:
    """The table, and what was saved, on stdout."""
    print_table(HEADINGS, rows(found), right=range(1, len(HEADINGS)))
    print(f"\n{about(found)}")
    for line in remarks(found):
        print(line)
    for outcome in found.outcomes:
        of = f" (seed {outcome.saved_seed}, the best on validation)" if len(outcome.runs) > 1 else ""
        print(f"saved {outcome.path}{of}")


def rows(found: Comparison) -> list[tuple[str, ...]]:
    """A line for each placement and baseline, in the order of `HEADINGS`."""
    lines = []
    for one in found.outcomes:
        errors = [_spread(each) for each in (*_errors(one), [run.valid.mse for run in one.runs])]
        epochs = f"{np.mean([run.best_epoch for run in one.runs]):.1f}"
        seconds = f"{np.mean([run.seconds for run in one.runs]):.0f}"
        lines.append((one.placement, *errors, epochs, seconds))
    for name, scores in found.baselines.items():
        lines.append((name, f"{scores.mse:.4f}", f"{scores.mae:.4f}", "", "", ""))
    return lines


def about(found: Comparison) -> str:
    """What was trained on what, in a sentence or two."""
    how, seeds = found.settings, len(found.outcomes[0].runs)
    several = len(found.outcomes) > 1 or seeds > 1
    same = " Equal seeds begin with equal weights and see the windows in the same order." if several else ""
    spread = f", mean ± standard deviation of {seeds} seeds" if seeds > 1 else ""
    what = (
        ", ".join(map(said, found.targets))
        if len(found.targets) < len(found.series)
        else f"all {len(found.series)} series"
    )
    return (
        f"Errors on the scale of the training rows{spread}, of {what} over {how.horizon} rows, from windows of "
        f"{how.steps}; {found.windows[0]:,} windows to train on, {found.windows[1]:,} for validation, "
        f"{found.windows[2]:,} for the test; rate {how.rate:g}.{same} 'seasonal' repeats the last {how.season} rows, "
        f"'mean season' is what the LSTM corrects: the window's mean over seasons, at the last one's level. "
        f"{found.seconds:.0f} s in all."
    )


def remarks(found: Comparison) -> Iterator[str]:
    """What stands out: the best by validation, beside the baselines; placements that came out equal."""
    best = min(found.outcomes, key=lambda one: float(np.mean([run.valid.mse for run in one.runs])))
    mse = float(np.mean(_errors(best)[0]))
    name, base = min(found.baselines.items(), key=lambda pair: pair[1].mse)
    chosen = f"the best on validation is {best.placement}: " if len(found.outcomes) > 1 else ""
    yield f"{chosen}test MSE {mse:.4f}, {_than(mse, base)} the baseline '{name}' ({base.mse:.4f})"
    raw = [run.test for run in best.runs]
    units = ", ".join(
        f"{said(one)} {np.mean([s.series[one]['mae_raw'] for s in raw]):.4g}" for one in found.targets
    )
    yield f"mean absolute error in the file's own units, {best.placement}: {units}"
    for equal in _equal(found.outcomes):
        yield f"{' and '.join(equal)} came out equal to the last digit: here these are the same dropout"


def _than(mse: float, base: Scores) -> str:
    if not base.mse:
        return "beside"  # as of series that repeat themselves
    return f"{100 * abs(mse / base.mse - 1):.1f} % {'below' if mse < base.mse else 'above'}"


def _equal(outcomes: Sequence[Outcome]) -> list[list[str]]:
    """Placements whose trainings gave the same errors, exactly."""
    groups: dict[tuple[float, ...], list[str]] = {}
    for one in outcomes:
        groups.setdefault(tuple(run.test.mse for run in one.runs), []).append(one.placement)
    return [names for names in groups.values() if len(names) > 1]


def _errors(one: Outcome) -> tuple[list[float], list[float]]:
    return [run.test.mse for run in one.runs], [run.test.mae for run in one.runs]


def _spread(values: Sequence[float]) -> str:
    spread = f" ± {np.std(values, ddof=1):.4f}" if len(values) > 1 else ""
    return f"{np.mean(values):.4f}{spread}"


def facts(found: Comparison) -> dict[str, Any]:
    """The same for machines."""
    return {
        "source": found.source,
        "series": found.series,
        "targets": found.targets,
        "settings": {name: value for name, value in asdict(found.settings).items() if name != "placement"},
        "windows": dict(zip(("train", "valid", "test"), found.windows, strict=True)),
        "baselines": {name: asdict(scores) for name, scores in found.baselines.items()},
        "placements": {
            one.placement: {
                "dropout": dropout_of(one.placement, found.settings.own_masks),
                "saved": str(one.path),
                "saved_seed": one.saved_seed,
                "runs": [asdict(run) for run in one.runs],
            }
            for one in found.outcomes
        },
        "seconds": round(found.seconds, 1),
        "penult": __version__,
    }


def write(found: Comparison, places: Sequence[Path]) -> None:
    """The comparison as files, each as its ending says; all of them or none."""

    def picture(kind: str) -> bytes:
        from penult_service.plots import placements

        return placements.picture(view(found), kind)

    reports.write(places, lambda: markdown(found), picture)


def markdown(found: Comparison) -> list[str]:
    """A title, the table, and what is said of it."""
    from penult_service.plots.markdown import plain, table

    what = {one.placement: dropout_of(one.placement, found.settings.own_masks) for one in found.outcomes}
    lines = [(name, plain(what.get(name, "nothing is trained")), *cells) for name, *cells in rows(found)]
    heads = (HEADINGS[0], "dropout", *HEADINGS[1:])
    told = [plain(about(found), 1000), "", *(f"- {plain(line, 1000)}" for line in remarks(found))]
    return ["# Where the dropout stands", "", *table(heads, lines), "", *told, ""]


def view(found: Comparison) -> PlacementsView:
    """What is drawn."""
    from penult_service.plots.placements import PlacementsView

    return PlacementsView(
        tuple(one.placement for one in found.outcomes),
        np.array([_errors(one) for one in found.outcomes]).transpose(1, 0, 2),
        {name: (scores.mse, scores.mae) for name, scores in found.baselines.items()},
        next(remarks(found))[:1].upper() + next(remarks(found))[1:],
        about(found).replace(". ", ". · "),
    )
