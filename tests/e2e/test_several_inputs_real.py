"""Models of several inputs as people save them, to the end: both clients and `penult embed` on real weights."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from penult_client import Client
from penult_service.cli.app import main
from support.embedding import loaded
from support.formats import building
from support.formats.case import Made, kept
from support.formats.opening import here
from support.formats.registry import CASES
from support.serving import serving

pytestmark = [pytest.mark.tensorflow, pytest.mark.full]

CLOSE = {"rtol": 1e-5, "atol": 1e-5}
NAMES = {
    "texts": "tf_keras SavedModel: two texts, shared encoder",
    "numbers": "tf_keras SavedModel: numbers behind the dropout",
    "pair": "plain tf.saved_model.save: a pair packed with segment ids",
}


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, dict[str, Made]]]:
    """The address of a server of these models, and what they said before they were saved."""
    models, made = [], {}
    for name, case in NAMES.items():
        folder = tmp_path_factory.mktemp(name)
        found = kept(building.build(CASES[case], folder))
        model: Any = loaded(here(found, folder / "prepared"), folder)
        models.append(type(model)(**{**vars(model), "name": name}))
        made[name] = found.made
    with serving(*models) as server:
        yield server.address, made


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("shape", ["columns", "dicts", "tuples"])
def test_every_way_to_give_rows(served: tuple[str, dict[str, Made]], name: str, shape: str) -> None:
    address, made = served
    columns = dict(made[name].given)
    given: Any = columns
    with Client(address) as client:
        if shape == "dicts":
            given = [
                dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)
            ]
        if shape == "tuples":
            order = [each.name for each in client.model(name).inputs if not each.made_by_tokenizing]
            given = list(zip(*(columns[key] for key in order), strict=True))
        predicted = client.predict(given, name)
        for output, wanted in made[name].outputs.items():
            np.testing.assert_allclose(predicted.outputs[output], wanted, **CLOSE)
        np.testing.assert_allclose(client.embed(given, name).vectors, made[name].embedding, **CLOSE)


@pytest.mark.parametrize("name", NAMES)
def test_rows_of_a_file(served: tuple[str, dict[str, Made]], name: str, tmp_path: Path) -> None:
    """Its columns are called like the inputs."""
    address, made = served
    lists = {key: column.tolist() for key, column in made[name].given.items()}
    lines = [dict(zip(lists, values, strict=True)) for values in zip(*lists.values(), strict=True)]
    (tmp_path / "in.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    words = ["embed", str(tmp_path / "in.jsonl"), "-o", str(tmp_path / "out.npy"), "--model", name]
    assert main([*words, "--server", address, "--progress", "none"]) == 0
    np.testing.assert_allclose(np.load(tmp_path / "out.npy"), made[name].embedding, **CLOSE)
