"""The recipe on rows that lie on a curved surface: what it learns, what it saves, and that a seed repeats it."""

from __future__ import annotations

import inspect
import json
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from penult_service.cli.training import autoencoder as command
from penult_service.errors import InvalidInput
from penult_service.recipes.autoencoding import rows as recipe_rows
from penult_service.recipes.autoencoding import train as recipe
from penult_service.recipes.autoencoding.report import AutoencoderReport
from penult_service.recipes.autoencoding.settings import NOISES, AutoencoderSettings
from penult_service.recipes.numeric import Numbers

SETTINGS = AutoencoderSettings(bottleneck=2, hidden=(16,), epochs=30, learning_rate=1e-2, rescale=False)
NAMES = ("a", "b", "a again", "curved", "flat")
FAULTS = (30, 777)


def table(rows: int = 1200, faults: bool = False) -> Numbers:
    """Two numbers that drift, one of them twice, a function of both, and a constant; in units far from 0."""
    rng = np.random.default_rng(8)
    a, b = (rng.normal(size=rows) + np.sin(np.arange(rows) / 90) for _ in range(2))
    again = a + 0.2 * rng.normal(size=rows)
    values = np.column_stack([4000 + 30 * a, 0.01 * b, again, 500 + 20 * np.abs(a - b), np.full(rows, 7)])
    if faults:
        values[FAULTS, (0, 3)] = 700_000, -9_999
    return Numbers("table.csv", "0" * 64, NAMES, values.astype(np.float64), ("date",))


def ignore(stage: str, done: int, total: int, note: str) -> None:
    del stage, done, total, note


@pytest.fixture(scope="module")
def output(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("models") / "curve"


@pytest.fixture(scope="module")
def calls() -> list[tuple[str, int, int, str]]:
    return []


@pytest.fixture(scope="module")
def report(output: Path, calls: list[Any]) -> AutoencoderReport:
    noises = ("feature", "none")
    return recipe.train(table(), ["a"], noises, output, SETTINGS, lambda *call: calls.append(call))


@pytest.fixture(scope="module")
def saved(report: AutoencoderReport) -> Any:
    import tf_keras

    return tf_keras.models.load_model(str(report.paths["feature"]), compile=False)


@pytest.fixture(scope="module")
def record(report: AutoencoderReport) -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads((report.paths["feature"] / "training.json").read_text())
    return loaded


def held_out_rows() -> np.ndarray:
    """As documented: of 20 blocks the middle ones of four equal parts."""
    return np.concatenate([np.arange(60 * block, 60 * (block + 1)) for block in (2, 7, 12, 17)])


@pytest.mark.tensorflow
def test_it_learns_more_than_pca_and_to_do_without_the_column(report: AutoencoderReport) -> None:
    feature, none = report.runs
    assert (feature.noise, none.noise) == ("feature", "none")
    assert none.trained_error < 0.7 * report.pca_trained_error
    assert none.errors.clean.mean() < 0.7 * report.pca.clean.mean()
    # `a` is told by `a again` with an error of 0.03: who never missed it does not know.
    assert feature.errors.itself[0] < 0.28 < 0.36 < none.errors.itself[0]
    assert feature.errors.chosen.mean() < 0.8 * none.errors.chosen.mean()
    np.testing.assert_array_equal(feature.errors.chosen, feature.errors.alone[0])


@pytest.mark.tensorflow
def test_the_saved_model_has_the_errors_that_were_told(saved: Any, record: dict[str, Any]) -> None:
    """In the file's own units, with Keras' own predict, and the means of training.json for what is missing."""
    rows = table().values[held_out_rows()]
    mean, deviation = (
        np.array([record["columns"][name][which] for name in NAMES]) for which in ("mean", "deviation")
    )
    trained = np.delete(table().values, held_out_rows(), axis=0)
    np.testing.assert_allclose(mean, trained.mean(axis=0))
    np.testing.assert_allclose(deviation[:4], trained.std(axis=0)[:4])
    assert deviation[4] == 1
    told = record["runs"][0]["errors"]
    for missing, wanted in ((None, told["clean"]), (0, told["chosen_missing"])):
        given = rows.astype(np.float32)
        if missing is not None:
            given[:, missing] = mean[missing]
        found = saved.predict(given, verbose=0)
        error = np.square((found - rows) / deviation).mean(axis=0)
        np.testing.assert_allclose(error, [wanted[name] for name in NAMES], rtol=2e-3, atol=2e-4)


@pytest.mark.tensorflow
def test_the_layers_and_the_files(report: AutoencoderReport, saved: Any, output: Path) -> None:
    names = ["features", "standardised", "noise", "encoder_1", "bottleneck", "decoder_1", "reconstruction"]
    assert [layer.name for layer in saved.layers] == [*names, "own_units"]
    config = saved.get_layer("noise").get_config()
    assert (config["columns"], config["rate"], config["rescale"]) == ([0], 0.2, False)
    assert sorted(path.name for path in output.parent.iterdir()) == ["curve-feature", "curve-none"]
    assert report.paths["none"] == output.with_name("curve-none") / "1"
    files = {path.name for path in report.paths["feature"].iterdir()}
    assert files >= {"saved_model.pb", "keras_metadata.pb", "variables", "penult.toml", "training.json"}
    assert "labels.json" not in files
    x = table().values[:40].astype(np.float32)
    changed = (saved(x, training=True).numpy() != saved(x).numpy()).any(axis=1)
    assert 0.02 < changed.mean() < 0.5  # the rate is 0.2: the noise is still there for whoever trains on


@pytest.mark.tensorflow
def test_what_training_json_says(report: AutoencoderReport, record: dict[str, Any]) -> None:
    assert record["data"] == {"file": "table.csv", "sha256": "0" * 64, "rows": 1200, "skipped": ["date"]}
    assert record["rows"] == {"trained": 960, "held_out": 240, "left_out": [], "far": []}
    assert (record["dropped"], record["saved"]) == (["a"], {"noise": "feature", "seed": 42})
    assert record["settings"] == json.loads(json.dumps(asdict(SETTINGS)))
    for run, told in zip(report.runs[:1], record["runs"], strict=True):
        assert told["errors"]["itself_missing"] == dict(zip(NAMES, run.errors.itself, strict=True))
        assert [epoch["epoch"] for epoch in told["curve"]] == list(range(1, 31))
        assert told["curve"][-1]["error"] == told["error"] == pytest.approx(run.errors.clean.mean())
        assert told["curve"][-1]["loss"] < 0.5 * told["curve"][0]["loss"]
    assert record["pca"]["trained_error"] == report.pca_trained_error
    assert set(record["versions"]) == {"penult", "tensorflow", "tf_keras", "numpy"}
    assert record["seconds"] > 0


@pytest.mark.tensorflow
def test_progress(report: AutoencoderReport, calls: list[tuple[str, int, int, str]]) -> None:
    stages = ["loading", "noise feature, seed 42", "noise none, seed 42", "saving"]
    assert list(dict.fromkeys(call[0] for call in calls)) == stages
    finished = {stage: note for stage, done, total, note in calls if done == total}
    assert f"measured error {report.runs[1].errors.clean.mean():.4f}" in finished[stages[2]]


@pytest.mark.tensorflow
def test_a_seed_repeats_the_training_and_another_does_not(tmp_path: Path) -> None:
    settings = replace(SETTINGS, epochs=2)
    kinds = recipe.train(table(), ["0"], ["dropout", "gaussian"], tmp_path / "kinds", settings, ignore)
    settings = replace(settings, seeds=2)
    seeds = recipe.train(table(), ["0"], ["dropout"], tmp_path / "seeds", settings, ignore)
    assert [(run.noise, run.seed) for run in kinds.runs] == [("dropout", 42), ("gaussian", 42)]
    assert [(run.noise, run.seed) for run in seeds.runs] == [("dropout", 42), ("dropout", 43)]
    assert kinds.runs[0].curve == seeds.runs[0].curve
    np.testing.assert_array_equal(kinds.runs[0].errors.alone, seeds.runs[0].errors.alone)
    assert len({run.trained_error for run in (*kinds.runs, *seeds.runs)}) == 3
    assert kinds.paths["dropout"].parent.name == "kinds-dropout"
    assert seeds.paths["dropout"].parent.name == "seeds"
    paths = (one.paths["dropout"] for one in (kinds, seeds))
    weights = [path / "variables" / "variables.data-00000-of-00001" for path in paths]
    assert weights[0].read_bytes() == weights[1].read_bytes()


@pytest.mark.tensorflow
def test_kinds_of_noise_differ_in_the_noise_alone(tmp_path: Path) -> None:
    """At rate 0 all come out equal: the same weights at the beginning, the same rows in the same order."""
    settings = replace(SETTINGS, epochs=2, rate=0.0)
    found = recipe.train(table(300), ["a"], NOISES, tmp_path / "m", settings, ignore)
    first, *others = found.runs
    for run in others:
        assert run.curve == first.curve
        np.testing.assert_array_equal(run.errors.alone, first.errors.alone)


@pytest.mark.tensorflow
def test_a_training_that_diverges_is_not_saved(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from penult_service.recipes.autoencoding.network import Autoencoder

    monkeypatch.setattr(Autoencoder, "error", lambda *_: float("nan"))
    with pytest.raises(InvalidInput, match="noise none, seed 42: its error is nan") as caught:
        recipe.train(table(300), [], ["none"], tmp_path / "m", SETTINGS, ignore)
    assert caught.value.field == "learning_rate"
    assert not (tmp_path / "m").exists()


def test_rows_that_are_faults_are_left_out_or_told_of() -> None:
    clean, spoiled = table(), table(faults=True)
    kept = recipe_rows.prepared_rows(spoiled, SETTINGS)
    assert kept.left_out == ()
    assert kept.far == FAULTS
    assert kept.farthest.startswith("a is 700000 in row 30, ")
    assert kept.deviation[0] > 20 * clean.values[:, 0].std()
    left = recipe_rows.prepared_rows(spoiled, replace(SETTINGS, outliers=20))
    assert (left.left_out, left.far, left.farthest) == (FAULTS, (), "")
    assert len(left.trained) + len(left.measured) == 1198
    trained = np.delete(clean.values, [*held_out_rows(), *FAULTS], axis=0)
    np.testing.assert_allclose(left.mean, trained.mean(axis=0))
    np.testing.assert_allclose(left.trained * left.deviation + left.mean, trained)


def test_nothing_held_out() -> None:
    rows = recipe_rows.prepared_rows(table(), replace(SETTINGS, valid_fraction=0))
    assert not rows.held_out
    np.testing.assert_array_equal(rows.measured, rows.trained)
    np.testing.assert_allclose(rows.trained[:, :4].std(axis=0), 1)


@pytest.mark.parametrize(
    ("dropped", "noises", "changed", "words"),
    [
        (["c"], ["feature"], {}, r"there is no column 'c' to drop; there are 0 'a', 1 'b'"),
        (["5"], ["feature"], {}, r"there is no column '5' to drop"),
        ([], ["feature"], {}, "name one with --drop-feature"),
        (["a"], ["none"], {"bottleneck": 5}, "bottleneck is 5; it must be below the number of columns, 5"),
        (["a"], ["none"], {"blocks": 2000}, "there are 1200 rows; 2000 blocks cannot be made of them"),
        (["a"], ["none"], {"outliers": 1e-9}, "rows are left to train on"),
    ],
)
def test_what_cannot_be_trained(
    tmp_path: Path, dropped: list[str], noises: list[str], changed: dict[str, Any], words: str
) -> None:
    with pytest.raises(InvalidInput, match=words):
        recipe.train(table(), dropped, noises, tmp_path / "m", replace(SETTINGS, **changed), ignore)
    assert not (tmp_path / "m").exists()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("bottleneck", 0),
        ("hidden", (8, 0)),
        ("rate", 1.0),
        ("rate", float("nan")),
        ("epochs", 0),
        ("learning_rate", 0.0),
        ("batch_size", 0),
        ("valid_fraction", 1.0),
        ("blocks", 1),
        ("outliers", 0.0),
        ("outliers", float("nan")),
        ("seed", -1),
        ("seeds", 0),
    ],
)
def test_settings_out_of_range(name: str, value: Any) -> None:
    with pytest.raises(InvalidInput, match=f"{name} is ") as caught:
        AutoencoderSettings(**{name: value})
    assert caught.value.field == name


def test_the_command_line_has_the_defaults_of_the_recipe() -> None:
    defaults = asdict(AutoencoderSettings())
    shown = {
        name: parameter.default
        for name, parameter in inspect.signature(command.autoencoder).parameters.items()
    }
    for name in set(defaults) - {"hidden", "rescale"}:
        assert shown[name] == defaults[name]
    assert defaults["hidden"] == (command.HIDDEN,)
    assert (defaults["rescale"], shown["no_rescale"]) == (True, False)
    assert command.NOISES == NOISES
