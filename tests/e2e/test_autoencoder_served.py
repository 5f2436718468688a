"""An autoencoder trained by its recipe, and served: the reconstruction and the bottleneck that Keras itself gives."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from penult_client import Client, InvalidInputError
from penult_service import process
from penult_service.config import serve_config
from penult_service.preparing import pipeline
from penult_service.preparing.declarations import declaring
from penult_service.recipes import numeric
from penult_service.recipes.autoencoding import train as recipe
from penult_service.recipes.autoencoding.report import AutoencoderReport
from penult_service.recipes.autoencoding.settings import AutoencoderSettings
from penult_service.recipes.numeric import Numbers
from penult_service.repository.sources import Source
from support.pretrained import shared_data
from support.serving import serving

pytestmark = pytest.mark.tensorflow

SETTINGS = AutoencoderSettings(bottleneck=2, hidden=(12,), epochs=3, blocks=10)
NOISES = ("feature", "dropout", "none")  # GaussianNoise leaves in the graph what no noise leaves: nothing
CLOSE = 1e-5
Floats = NDArray[np.float32]


def rows(count: int, seed: int) -> NDArray[np.float64]:
    """Five columns of two numbers, in units of their own."""
    rng = np.random.default_rng(seed)
    hidden = rng.normal(size=(count, 2))
    mixed = hidden @ np.random.default_rng(0).normal(size=(2, 5)) + 0.1 * rng.normal(size=(count, 5))
    scaled: NDArray[np.float64] = mixed * [30, 0.01, 1, 5, 1e4] + [4300, 0, -1, 100, 1e5]
    return scaled


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> AutoencoderReport:
    table = Numbers("rows.csv", "0" * 64, ("v", "w", "x", "y", "z"), rows(400, 1), ())
    output = tmp_path_factory.mktemp("models") / "sensors"
    return recipe.train(table, ["x"], NOISES, output, SETTINGS, lambda *_: None)


@pytest.fixture(scope="module")
def served(report: AutoencoderReport, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a server of them, each called by its noise."""
    folder, models = tmp_path_factory.mktemp("prepared"), []
    for noise, path in report.paths.items():
        pipeline.prepare(path, folder / noise, None, lambda *_: None, declared=declaring.read(path))
        models.append(
            process.loader(serve_config(paths=(str(path),), data=folder))(Source(noise, 1, folder / noise))
        )
    with serving(*models) as server:
        yield server.address


def of_keras(path: Path, given: Floats) -> tuple[Floats, Floats]:
    """The reconstruction, and the bottleneck by a model of Keras' own between its layers."""
    import tf_keras

    model = tf_keras.models.load_model(str(path), compile=False)
    middle = tf_keras.Model(model.inputs, model.get_layer("bottleneck").output)
    return model.predict(given, verbose=0), middle.predict(given, verbose=0)


@pytest.mark.parametrize("noise", NOISES)
def test_what_is_served_is_what_keras_says(served: str, report: AutoencoderReport, noise: str) -> None:
    given = rows(70, 2).astype(np.float32)
    reconstruction, bottleneck = of_keras(report.paths[noise], given)
    with Client(served) as client:
        predicted = client.predict({"features": given}, noise)
        embedded = client.embed({"features": given}, noise)
        alone = client.embed({"features": given[7:8]}, noise)
        twice = client.embed({"features": given.astype(np.float64)}, noise)
    (output,) = predicted.outputs.values()
    assert (np.abs(output - reconstruction) <= CLOSE * (report.rows.deviation + np.abs(reconstruction))).all()
    assert embedded.layer == "bottleneck"
    assert embedded.vectors.shape == (70, 2)
    assert np.abs(embedded.vectors - bottleneck).max() <= CLOSE * np.abs(bottleneck).max()
    np.testing.assert_allclose(alone.vectors[0], embedded.vectors[7], rtol=CLOSE, atol=CLOSE)
    np.testing.assert_array_equal(twice.vectors, embedded.vectors)


def test_a_missing_number_is_named(served: str) -> None:
    given = rows(3, 3).astype(np.float32)
    given[2, 1] = np.nan
    with Client(served) as client, pytest.raises(InvalidInputError, match="features"):
        client.predict({"features": given}, "feature")
    with Client(served) as client, pytest.raises(InvalidInputError, match="features"):
        client.predict({"features": given[:, :4]}, "feature")


@pytest.mark.full
@pytest.mark.parametrize(("width", "pca"), [(1, 0.407), (2, 0.255), (3, 0.141), (5, 0.085)])
def test_eeg_is_reconstructed_better_than_by_pca(width: int, pca: float, tmp_path: Path) -> None:
    """On the rows trained on, all but the four faults; PCA's errors stand in the data's own description."""
    table = numeric.read(shared_data("eeg_eye_state.csv"), None, ["eyeDetection"])
    settings = AutoencoderSettings(bottleneck=width, epochs=20, outliers=20, valid_fraction=0)
    found = recipe.train(table, ["F3"], ["none"], tmp_path / "eeg", settings, lambda *_: None)
    assert found.rows.left_out == (898, 10386, 11509, 13179)
    assert found.pca_trained_error == pytest.approx(pca, abs=6e-4)
    assert found.runs[0].trained_error < found.pca_trained_error


@pytest.mark.full
def test_eeg_with_a_sensor_missing(tmp_path: Path) -> None:
    """FeatureDropout of a sensor costs little while it is there and helps when it is not; the others do not know it."""
    table = numeric.read(shared_data("eeg_eye_state.csv"), None, ["eyeDetection"])
    settings = AutoencoderSettings(outliers=20, seeds=2)
    noises = ["feature", "none"]
    found = recipe.train(table, ["F3"], noises, tmp_path / "eeg", settings, lambda *_: None)
    feature, none = ([run.errors for run in found.runs if run.noise == noise] for noise in noises)
    assert max(one.chosen.mean() for one in feature) < min(one.chosen.mean() for one in none)
    assert max(one.chosen[2] for one in feature) < min(one.chosen[2] for one in none)
    assert np.mean([one.clean.mean() for one in feature]) < 1.1 * np.mean([one.clean.mean() for one in none])
    record = json.loads((found.paths["feature"] / "training.json").read_text())
    assert record["dropped"] == ["F3"]
