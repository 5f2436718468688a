"""The models of the sequences report behind a server: held against Keras, embedded, drawn on maps."""

from __future__ import annotations

import csv
import json
import subprocess
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
from demo_processes import Server, penult
from numpy.typing import NDArray
from penult_client import Client

WEEK, DAY, ROWS = 168, 24, 64
# By the month of a year, from 0.
SEASONS = ("winter",) * 2 + ("spring",) * 3 + ("summer",) * 3 + ("autumn",) * 3 + ("winter",)

Columns = Mapping[str, NDArray[Any]]


@dataclass(frozen=True)
class Checked:
    """A served model against Keras' own predict.

    Attributes:
        model: Its name on the page.
        kind: What was given.
        rows: Rows compared.
        largest: The largest |d| / (1 + |x|) of all outputs.
        alone: The same of rows sent one by one, against all together.
        readout: The layer that is embedded.
        dimension: Its numbers.
    """

    model: str
    kind: str
    rows: int
    largest: float
    alone: float
    readout: str
    dimension: int


@dataclass(frozen=True)
class Mapped:
    """A map: its title, its picture, the rows, trustworthiness, the command."""

    title: str
    picture: str
    rows: int
    trustworthiness: float
    colour: str


def served(
    work: Path, data: Path, told: Mapping[str, Any], pictures: Path
) -> tuple[list[Checked], list[Mapped]]:
    """Serve the forecaster of weeks, the autoencoder with feature noise and the best events model.

    Raises:
        DemoError, PenultError: One of them cannot be had.
    """
    events = best_events(told["events"])
    models = {
        "week": work / "week" / "forecaster" / "1",
        "sensors": work / "sensors" / "autoencoder-feature" / "1",
        "events": work / "events" / f"events-{events}" / "1",
    }
    windows, sequences = _windows(data / "ETTh1.csv"), _sequences(data)
    given = {
        "week": {"window": np.stack([row["window"] for row in windows[:ROWS]])},
        "sensors": {"features": _sensors(data, told["sensors"]["columns"])[:ROWS]},
        "events": _padded(sequences[:ROWS]),
    }
    server = Server(models, work / "data", work, work / "serve.log", keep=False)
    try:
        server.wait_until_it_listens()
        with Client(server.address) as client:
            checked = []
            for name, columns in given.items():
                server.wait_for_model(client, name, columns)
                checked.append(_checked(client, name, models[name], columns))
            maps = [
                _mapped(server.address, work, "week", windows, ("season", "OT"), pictures),
                _mapped(server.address, work, "events", sequences, ("last badge",), pictures),
            ]
    finally:
        server.end()
    return checked, [one for each in maps for one in each]


def best_events(told: Mapping[str, Any]) -> str:
    """The variant that is right most often, as its directory is called."""
    best = max(told["variants"], key=lambda one: float(np.mean([run["accuracy"] for run in one["runs"]])))
    return "-".join(word for word in (best["variant"], best["decay"]) if word)


def _checked(client: Client, name: str, path: Path, columns: Columns) -> Checked:
    """Against the saved model, loaded by Keras in this process."""
    import tf_keras

    model = tf_keras.models.load_model(path, compile=False)
    expected = model.predict(dict(columns), verbose=0)
    if not isinstance(expected, Mapping):
        outputs = expected if isinstance(expected, list) else [expected]
        expected = dict(zip(model.output_names, outputs, strict=True))
    together = client.predict(dict(columns), model=name).outputs
    rows = len(next(iter(columns.values())))
    each = [
        client.predict({key: array[i : i + 1] for key, array in columns.items()}, model=name)
        for i in range(rows)
    ]
    alone = {key: np.concatenate([one.outputs[key] for one in each]) for key in together}
    embedded = client.embed(dict(columns), model=name)
    return Checked(
        model=name,
        kind=", ".join(f"{key} {list(array.shape[1:])}" for key, array in columns.items()),
        rows=rows,
        largest=_apart(together, expected),
        alone=_apart(alone, together),
        readout=embedded.layer,
        dimension=int(embedded.vectors.shape[1]),
    )


def _apart(ours: Mapping[str, NDArray[Any]], theirs: Mapping[str, NDArray[Any]]) -> float:
    if set(ours) != set(theirs):
        raise ValueError(f"outputs {sorted(ours)} are not {sorted(theirs)}")
    return max(float((np.abs(ours[key] - theirs[key]) / (1 + np.abs(theirs[key]))).max()) for key in ours)


def _mapped(
    address: str,
    work: Path,
    name: str,
    rows: Sequence[Mapping[str, Any]],
    colours: Sequence[str],
    pictures: Path,
) -> list[Mapped]:
    """Embed the rows, then map the embeddings, both by the server."""
    lines, table = work / f"{name}.jsonl", work / f"{name}.parquet"
    with lines.open("w", encoding="utf-8") as file:
        for row in rows:
            plain = {
                key: value.ravel().tolist() if isinstance(value, np.ndarray) else value
                for key, value in row.items()
            }
            file.write(json.dumps(plain) + "\n")
    at = ("--server", address)
    penult("embed", lines, "--model", name, *at, "-o", table, "--overwrite")
    found = []
    for colour in colours:
        picture = pictures / f"map-{name}-{colour.replace(' ', '-')}.png"
        titled = ("--title", f"{len(rows):,} {'weeks' if name == 'week' else 'sequences'}, by {colour}")
        words = ("map", table, *at, "--color", colour, *titled, "-o", picture, "--overwrite", "--json")
        told = json.loads(penult(*words, stdout=subprocess.PIPE))
        found.append(Mapped(name, picture.name, len(rows), told["trustworthiness"], colour))
    return found


def _windows(path: Path) -> list[dict[str, Any]]:
    """Weeks, a day apart: the numbers float32 [168, 7], the season of the last hour, the mean of OT."""
    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    names = [name for name in rows[0] if name != "date"]
    values = np.array([[float(row[name]) for name in names] for row in rows], np.float32)
    found = []
    for start in range(0, len(rows) - WEEK + 1, DAY):
        window = values[start : start + WEEK]
        month = datetime.fromisoformat(rows[start + WEEK - 1]["date"]).month
        found.append(
            {"window": window, "season": SEASONS[month - 1], "OT": float(window[:, names.index("OT")].mean())}
        )
    return found


def _sequences(data: Path) -> list[dict[str, Any]]:
    """The sequences of the test side: events, minutes, the badge that came last."""
    with (data / "so_badge_types.csv").open(encoding="utf-8", newline="") as file:
        names = {int(row["event"]): row["badge"] for row in csv.DictReader(file)}
    with (data / "so_badges.jsonl").open(encoding="utf-8") as file:
        rows = [row for row in map(json.loads, file) if row["split"] == "test"]
    last = Counter(row["event"][-1] for row in rows)
    often = {event for event, _ in last.most_common(7)}
    return [
        {
            "events": np.array(row["event"], np.int32),
            "minutes": np.array(row["minutes_since_prev"], np.float32),
            "last badge": names[row["event"][-1]] if row["event"][-1] in often else "another",
        }
        for row in rows
    ]


def _padded(rows: Sequence[Mapping[str, Any]]) -> Columns:
    """As a matrix each, padded behind the events of a row, of which 0 is none."""
    longest = max(len(row["events"]) for row in rows)
    columns = {
        "events": np.zeros((len(rows), longest), np.int32),
        "minutes": np.zeros((len(rows), longest), np.float32),
    }
    for i, row in enumerate(rows):
        for key, column in columns.items():
            column[i, : len(row[key])] = row[key]
    return columns


def _sensors(data: Path, names: Sequence[str]) -> NDArray[np.float32]:
    with (data / "eeg_eye_state.csv").open(encoding="utf-8", newline="") as file:
        return np.array([[float(row[name]) for name in names] for row in csv.DictReader(file)], np.float32)
