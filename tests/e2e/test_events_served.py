"""Events with times over the wire: trained by the command, served, and in every packing what Keras says."""

from __future__ import annotations

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import penult_client
import pytest
from penult_client import Client
from penult_service.cli.app import main
from penult_service.recipes.layers.time_gate import time_gate_lstm_cell
from support.embedding import loaded
from support.formats.kit import KERAS, Kit
from support.serving import serving

pytestmark = pytest.mark.tensorflow

TYPES, UNITS = 5, 9
CLOSE = {"rtol": 1e-5, "atol": 1e-5}


def write_rows(file: Path, count: int) -> Path:
    """Sequences of 4 to 20 events, drawn."""
    rng = np.random.default_rng(0)
    lines = []
    for length in rng.integers(4, 20, count):
        events, minutes = rng.integers(1, TYPES + 1, length), rng.exponential(3000, length)
        lines.append(
            json.dumps({"what": [*map(int, events), TYPES], "waited": [0.0, *np.round(minutes, 2).tolist()]})
        )
    file.write_text("\n".join(lines) + "\n")
    return file


def command_line(home: Path) -> Path:
    """The version that `penult train events` saves, a time gate."""
    (home / "names.csv").write_text("event,name\n" + "".join(f"{n},kind {n}\n" for n in range(1, TYPES + 1)))
    words = ["train", "events", write_rows(home / "rows.jsonl", 60), "--output", home / "models" / "badges"]
    words += ["--event-field", "what", "--minutes-field", "waited", "--names", home / "names.csv"]
    words += ["--units", UNITS, "--embedding", 4, "--epochs", 2, "--batch-size", 16, "--length", 12]
    words += ["--valid-fraction", 0.2, "--report", home / "report.md", "--report", home / "report.png"]
    assert main([str(word) for word in words]) == 0
    assert "| time-gate, learned |" in (home / "report.md").read_text()
    assert (home / "report.png").read_bytes().startswith(b"\x89PNG")
    return home / "models" / "badges" / "1"


def trained(home: Path) -> tuple[Path, Any]:
    """A model of the command, and what tf_keras says of it: the embedding [n, d], and the outputs by name."""
    import tf_keras

    path = command_line(home)
    time_gate_lstm_cell(tf_keras)  # registers it
    model = tf_keras.models.load_model(str(path))
    state = tf_keras.Model(model.inputs, model.get_layer("state").output)
    return path, lambda *given: (state.predict([*given], verbose=0), model.predict([*given], verbose=0))


def built(home: Path) -> tuple[Path, Any]:
    """A time gate of Keras 3, exported; and what Keras says of it."""
    kit = Kit(KERAS)
    kit.keras.utils.set_random_seed(2)
    layers = kit.layers
    events = layers.Input((None,), dtype="int32", name="events")
    minutes = layers.Input((None,), name="minutes")
    table = layers.Embedding(TYPES + 1, 4, mask_zero=True, embeddings_initializer=kit.normal(1))
    steps = layers.Concatenate()([table(events), layers.Reshape((-1, 1))(minutes)])
    cell = time_gate_lstm_cell(kit.keras)(UNITS, unit=100.0)
    state = layers.RNN(cell)(steps, mask=table.compute_mask(events))
    model = kit.model([events, minutes], kit.dense(TYPES, activation="softmax")(kit.dropout()(state)))
    model.export(str(home / "gate"), verbose=False)
    both = kit.keras.Model([events, minutes], [state, model.output])

    def says(*given: Any) -> tuple[Any, dict[str, Any]]:
        embedding, output = both.predict([*given], verbose=0)
        return embedding, {"": output}

    return home / "gate", says


KINDS = {"trained by the command": trained, "of Keras 3": built}


@pytest.fixture(
    scope="module", params=["trained by the command", pytest.param("of Keras 3", marks=pytest.mark.full)]
)
def served(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Client, Any]]:
    """A client of a model, and what Keras says of it."""
    home = tmp_path_factory.mktemp("events")
    path, says = KINDS[request.param](home)
    with serving(loaded(path, home / "data")) as server, Client(server.address) as client:
        yield client, says


def rows(padding: str, longest: int = 11) -> tuple[Any, Any]:
    """Seven rows of 1 to `longest` events, minutes from none to months."""
    rng = np.random.default_rng(9)
    lengths = np.array([longest, 1, 4, 2, longest - 1, 3, 1])
    within = np.arange(longest) < lengths[:, None]
    within = within[:, ::-1] if padding == "left" else within
    events = rng.integers(1, TYPES + 1, within.shape) * within
    return events.astype(np.int32), (np.exp(rng.uniform(-1, 12, within.shape)) * within).astype(np.float32)


@pytest.mark.parametrize("padding", ["right", "left"])
def test_every_packing_is_what_keras_says(served: tuple[Client, Any], padding: str) -> None:
    client, says = served
    events, minutes = rows(padding)
    embedding, outputs = says(events, minutes)
    packings = [*([i] for i in range(7)), list(range(7)), [6, 2, 0, 4], [1, 6, 3], [5, 0]]
    for chosen in packings:
        given = {"events": events[chosen], "minutes": minutes[chosen]}
        np.testing.assert_allclose(client.embed(given).vectors, embedding[chosen], **CLOSE)
        found = client.predict(given).outputs
        for output, wanted in outputs.items():
            value = found[output] if output else next(iter(found.values()))
            np.testing.assert_allclose(value, wanted[chosen], **CLOSE)


def test_callers_of_other_lengths_at_once(served: tuple[Client, Any]) -> None:
    """Their rows share batches."""
    client, says = served
    jobs = []
    for longest in (4, 7, 11, 30):
        for padding in ("left", "right"):
            events, minutes = rows(padding, longest)
            jobs.append(({"events": events, "minutes": minutes}, says(events, minutes)[0]))
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda job: client.embed(job[0]).vectors, jobs * 3))
    for vectors, (_, wanted) in zip(found, jobs * 3, strict=True):
        np.testing.assert_allclose(vectors, wanted, **CLOSE)


def test_the_next_event_is_classified_by_name(served: tuple[Client, Any]) -> None:
    client, says = served
    events, minutes = rows("right")
    outputs = says(events, minutes)[1]
    if "next_event" not in outputs:
        pytest.skip("a model without names of its classes")
    chances = outputs["next_event"]
    found = client.classify({"events": events, "minutes": minutes})
    np.testing.assert_allclose(found.probabilities, chances, **CLOSE)
    assert list(found.labels) == [f"kind {n + 1}" for n in chances.argmax(axis=1)]


def test_what_does_not_fit_is_refused_by_name(served: tuple[Client, Any]) -> None:
    client, _ = served
    events, minutes = rows("right")
    nan = minutes.copy()
    nan[3, 0] = np.nan
    wrong: list[tuple[dict[str, Any], str]] = [
        ({"events": events, "minutes": minutes[:, :-1]}, "events 11, minutes 10"),
        ({"events": events, "minutes": nan}, "row 3 of tensors[minutes] holds NaN"),
        ({"events": events.astype(np.float32), "minutes": minutes}, "tensors[events] is of type float32"),
        ({"events": events}, "tensors[minutes] is missing"),
        ({"events": events + TYPES, "minutes": minutes}, "tensors[events]"),
    ]
    for given, words in wrong:
        for ask in (client.embed, client.predict):
            with pytest.raises(penult_client.InvalidInputError) as caught:
                ask(given)
            assert words in str(caught.value)
            assert caught.value.code == "INVALID_ARGUMENT"
    # Safe casts are done.
    whole = np.rint(minutes)
    cast = {"events": events.astype(np.int64), "minutes": whole.astype(np.float64)}
    one = client.embed(cast)
    other = client.embed({"events": events, "minutes": whole})
    np.testing.assert_array_equal(one.vectors, other.vectors)
