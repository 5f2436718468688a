"""The answers of the sequences report, in Markdown: words around figures, which the caller has measured."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from penult_service.plots.markdown import plain, table
from sequences_served import Checked, Mapped

Told = Mapping[str, Any]
Trained = Mapping[str, tuple[str, str, tuple[object, ...]]]
KINDS = {"feature": "FeatureDropout", "dropout": "Dropout", "gaussian": "GaussianNoise", "none": "no noise"}
CLOSE = 1e-5


class Unsupported(Exception):
    """The figures do not say what the page would."""


def page(
    told: Mapping[str, Told],
    trained: Trained,
    checked: Sequence[Checked],
    maps: Sequence[Mapped],
    sensor: str,
) -> str:
    """The whole document."""
    commands = {name: _command(*trained[name]) for name in trained}
    lines = [
        "# Sequences: dropout and time, what people ask",
        "",
        "Written by `scripts/sequences-report`: every figure and picture is of its run. What each dropout of a "
        "recurrent layer really drops, mask by mask, stands in [dropout.md](dropout.md).",
        "",
        *_placements(told["placements"], commands["placements"]),
        *_sensors(told["sensors"], commands["sensors"], sensor),
        *_events(told["events"], commands["events"]),
        *_served(checked, maps, commands["week"]),
    ]
    return "\n".join(lines)


def _placements(told: Told, command: str) -> Iterator[str]:
    """The first question: in front of the LSTM, behind it, inside?"""
    mses = {name: [run["test"]["mse"] for run in one["runs"]] for name, one in told["placements"].items()}
    maes = {name: [run["test"]["mae"] for run in one["runs"]] for name, one in told["placements"].items()}
    baselines = told["baselines"]
    settings = told["settings"]
    base = min(one["mse"] for one in baselines.values())
    below = [name for name in mses if np.mean(mses[name]) < base]
    if not below:
        raise Unsupported("no placement is better than the best baseline")
    if baselines["seasonal"]["mse"] - baselines["mean season"]["mse"] < baselines["mean season"]["mse"] - min(
        map(float, map(np.mean, mses.values()))
    ):
        raise Unsupported("the LSTM gains more than the guess that it corrects")
    best, worst = (pick(mses, key=lambda name: float(np.mean(mses[name]))) for pick in (min, max))
    yield from _heading("Dropout before or after the LSTM: what is the difference?")
    yield (
        f"In front of the LSTM it drops numbers of the input, at each step others; behind it, where only the last "
        f"state is left, units of that state; `dropout=` masks the input of the gates and `recurrent_dropout=` the "
        f"state at each step. Trained on all {len(told['series'])} series of ETTh1 ({settings['horizon']} hours from "
        f"{settings['steps']}, rate {settings['rate']:g}), with the same {_seeds(mses)} seeds and the same budget; "
        f"errors on the test rows, on the scale of the training rows, mean ± standard deviation:"
    )
    yield ""
    rows = [
        (name, plain(told["placements"][name]["dropout"]), _spread(mses[name]), _spread(maes[name]))
        for name in sorted(mses, key=lambda name: float(np.mean(mses[name])))
    ]
    rows += [
        (name, "nothing is trained", f"{one['mse']:.4f}", f"{one['mae']:.4f}")
        for name, one in baselines.items()
    ]
    yield from table(("placement", "what is dropped", "test MSE", "test MAE"), rows)
    gap, noise = float(np.mean(mses[worst]) - np.mean(mses[best])), _noise(mses)
    yield ""
    which = "All of them" if len(below) == len(mses) else _listed(below)
    yield (
        f"**{which} {'is' if len(below) == 1 else 'are'} below the best baseline ({base:.4f}).** Lowest is "
        f"{best}, highest {worst}, {gap:.4f} apart; seeds alone differ by {noise:.4f} (the mean standard deviation), "
        f"so differences below about {2 * noise:.3f} say nothing. `mean season` is what the LSTM corrects (the mean of "
        f"the window's days at the level of its last one): most of what is gained on `seasonal` is already there."
    )
    if mses["before"] == mses["inside"]:
        yield ""
        yield (
            "**Is the LSTM's own `dropout=` different from a Dropout layer in front of it? Not here:** with the same "
            "seed `before` and `inside` end in the same errors to the last digit, whatever is trained: in tf_keras, in "
            "`fit`, both drop each number of each step by itself, once for all gates. In Keras 3 `dropout=` drops a "
            "feature at every step, as `spatial` does here ([dropout.md](dropout.md))."
        )
    yield from ("", "![placements](sequences/placements.png)", "", command, "")


def _sensors(told: Told, command: str, sensor: str) -> Iterator[str]:
    """The third question: dropout of one column only."""
    kinds = list(dict.fromkeys(run["noise"] for run in told["runs"]))
    place = told["columns"].index(sensor)
    found = {KINDS[kind]: [run for run in told["runs"] if run["noise"] == kind] for kind in kinds}
    width = told["settings"]["bottleneck"]
    found[f"PCA, {width} components"] = [told["pca"]]
    found["PCA, least squares"] = [told["pca_least_squares"]]
    yield from _heading("Dropout of one column only")
    yield (
        "`Dropout` has no setting for it; `FeatureDropout` (a layer of ours, in Keras 3 and tf_keras) drops the "
        f"columns that are named and no other. An autoencoder of {len(told['columns'])} EEG channels through {width}, "
        f"the noise on {plain(sensor)} at rate {told['settings']['rate']:g}, {_seeds(found)} seeds; mean squared "
        f"errors of standardised numbers on {told['rows']['held_out']:,} rows that were held out in whole blocks of "
        f"time (1 is what naming the mean scores on the training rows); missing is the mean:"
    )
    yield ""
    heads = (
        "",
        "training rows",
        "held out",
        f"{sensor} missing: all",
        f"{sensor} missing: {sensor}",
        "another missing, all",
    )
    yield from table(heads, [(name, *_errors(runs, place)) for name, runs in found.items()])
    clean = {name: float(np.mean([np.mean(run["clean"]) for run in runs])) for name, runs in found.items()}
    missing = {
        name: float(np.mean([np.mean(run["chosen_missing"]) for run in runs])) for name, runs in found.items()
    }
    names = [KINDS[kind] for kind in kinds]
    pca = f"PCA, {width} components"
    fitted = float(np.mean([run["trained"] for run in found["no noise"]]))
    if min(clean[name] for name in names) < 0.98 * clean[pca] or fitted >= told["pca"]["trained"]:
        raise Unsupported("an autoencoder gains on PCA on new blocks, or none on the rows trained on")
    robust = min(names, key=missing.__getitem__)
    yield ""
    yield (
        f"With {plain(sensor)} missing {robust} is the best kind of noise ({missing[robust]:.3f}; without noise "
        f"{missing['no noise']:.3f}, PCA {missing[pca]:.3f}, and "
        f"{missing['PCA, least squares']:.3f} where its scores are fitted to the columns that are there). With nothing "
        f"missing '{min(names, key=clean.__getitem__)}' is ({min(clean[name] for name in names):.3f}; PCA "
        f"{clean[pca]:.3f}): on new blocks of time it gains nothing on PCA, on the rows trained "
        f"on it does."
    )
    yield from ("", "![reconstruction](sequences/sensors.png)", "", command, "")


def _errors(runs: Sequence[Told], place: int) -> Iterator[str]:
    """The cells of a line."""
    others = [column for column in range(len(runs[0]["clean"])) if column != place]
    yield _spread([run["trained"] for run in runs], 3)
    yield _spread([float(np.mean(run["clean"])) for run in runs], 3)
    yield _spread([float(np.mean(run["chosen_missing"])) for run in runs], 3)
    yield _spread([run["chosen_missing"][place] for run in runs], 3)
    yield _spread([float(np.mean([run["itself_missing"][column] for column in others])) for run in runs], 3)


def _events(told: Told, command: str) -> Iterator[str]:
    """The fourth question: an LSTM of two inputs, types and times."""
    called = {_called(one): one["runs"] for one in told["variants"]}
    accuracy = {name: float(np.mean([run["accuracy"] for run in runs])) for name, runs in called.items()}
    markov = max(one["accuracy"] for one in told["baselines"] if one["accuracy"] is not None)
    best = max(accuracy, key=accuracy.__getitem__)
    noise = _noise({name: [run["accuracy"] for run in runs] for name, runs in called.items()})
    if accuracy[best] <= markov:
        raise Unsupported(f"no variant is better than the best baseline ({markov:.2%})")
    yield from _heading("Getting an LSTM to accept two inputs: events and the minutes between them")
    yield (
        "Keras' recurrent layers walk along one tensor, so the minutes are put beside the vector of the event "
        "(`concat`), mixed with it by a 1x1 convolution (`conv1x1`), or handed to a cell of ours that scales its "
        "forget gate by the time that passed (`time-gate`: by 1 / (minutes + 1), as was asked, or by a decay that "
        f"each unit learns); `none` does not see them. The next of {told['held_out']['next_events']:,} badges of "
        f"{told['held_out']['sequences']:,} people who were held out, and the days to it, {_seeds(called)} seeds:"
    )
    yield ""
    keys = (("accuracy", 100, 2), ("log_loss", 1, 4), ("rmse_days", 1, 2), ("mae_days", 1, 2))
    rows = [
        (name, *(_spread([run[key] * scale for run in runs], digits) for key, scale, digits in keys))
        for name, runs in called.items()
    ]
    rows += [
        (
            plain(one["name"]),
            *(
                "" if one.get(key) is None else f"{one[key] * scale:.{digits}f}"
                for key, scale, digits in keys
            ),
        )
        for one in told["baselines"]
    ]
    yield from table(
        ("", "accuracy, %", "log loss, nats", "days: RMSE of the mean", "days: MAE of the median"), rows
    )
    yield ""
    yield (
        f"**{best} is right most often, {accuracy[best]:.2%}; the best baseline {markov:.2%}.** Seeds alone differ by "
        f"{100 * noise:.2f} points (the mean standard deviation). The gate of the question (1 / (minutes + 1)) stands "
        f"{100 * (accuracy['time-gate, inverse'] - accuracy['none']):+.2f} points from not seeing the minutes, the "
        f"learned decay {100 * (accuracy['time-gate, learned'] - accuracy['none']):+.2f}."
    )
    yield from ("", "![events](sequences/events.png)", "", command, "")


def _served(checked: Sequence[Checked], maps: Sequence[Mapped], command: str) -> Iterator[str]:
    """Through the server: equal to Keras, embedded, mapped."""
    for one in checked:
        if one.largest > CLOSE or one.alone > CLOSE:
            raise Unsupported(f"{one.model}: {one.largest:.1e} from Keras, {one.alone:.1e} alone")
    yield from _heading("Served, embedded, mapped")
    yield (
        "All three are served as they were saved. `client.predict({...})` beside Keras' own `predict` of the saved "
        "model, and rows sent one by one beside all together: the largest |d| / (1 + |x|) of any output."
    )
    yield ""
    rows = [
        (
            one.model,
            f"`{one.kind}`",
            str(one.rows),
            _tiny(one.largest),
            _tiny(one.alone),
            plain(one.readout),
            str(one.dimension),
        )
        for one in checked
    ]
    yield from table(("model", "inputs", "rows", "to Keras", "one by one", "embedded is", "numbers"), rows)
    yield ""
    yield (
        "Their embeddings go through neighbours, clusters and maps like those of texts. Weeks of ETTh1, a day "
        "apart (the forecaster of windows of 168 hours, trained by the command below), and the held-out people's "
        "badges:"
    )
    yield ""
    for drawn in maps:
        what = f"{drawn.rows:,} {'weeks' if drawn.title == 'week' else 'sequences'} by {drawn.colour}"
        yield f"![{what}, trustworthiness {drawn.trustworthiness:.3f}](sequences/{drawn.picture})"
    yield ""
    yield 'A line of weeks.jsonl is `{"window": [...], "season": "summer"}`: the numbers of a week, hour by hour.'
    yield ""
    yield command
    yield "    penult serve week=models/forecaster"
    yield "    penult embed weeks.jsonl --model week --server HOST:PORT -o weeks.parquet"
    yield "    penult map weeks.parquet --server HOST:PORT --color season -o weeks.png"
    yield ""


def _heading(title: str) -> tuple[str, str]:
    return f"## {title}", ""


def _command(recipe: str, file: str, words: tuple[object, ...]) -> str:
    return f"    penult train {recipe} {file} --output models/{recipe} {' '.join(map(str, words))}"


def _called(variant: Told) -> str:
    return ", ".join(word for word in (variant["variant"], variant["decay"]) if word)


def _seeds(runs: Mapping[str, Sequence[Any]]) -> int:
    return max(map(len, runs.values()))


def _spread(values: Sequence[float], digits: int = 4) -> str:
    spread = f" ± {np.std(values, ddof=1):.{digits}f}" if len(values) > 1 else ""
    return f"{np.mean(values):.{digits}f}{spread}"


def _noise(values: Mapping[str, Sequence[float]]) -> float:
    """The mean standard deviation over seeds."""
    return float(np.mean([np.std(each, ddof=1) for each in values.values() if len(each) > 1]))


def _listed(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def _tiny(value: float) -> str:
    return "0" if value == 0 else f"{value:.1e}"
