"""Models that are random at inference, on the operator's word: prepared apart, and never without a warning."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytestmark = pytest.mark.tensorflow

from penult_service.config import ServeConfig  # noqa: E402
from penult_service.errors import ModelRefused  # noqa: E402
from penult_service.prepared import MANIFEST_NAME, Manifest, Readout, load_manifest  # noqa: E402
from penult_service.preparing import identity, launch, pipeline  # noqa: E402
from penult_service.process import loader  # noqa: E402
from penult_service.repository.sources import Source  # noqa: E402
from penult_service.rpc import replies  # noqa: E402
from support import seed_model as seeds  # noqa: E402
from support import stochastic_models as models  # noqa: E402
from support import text_models as tm  # noqa: E402


@pytest.fixture(scope="module")
def always_on(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The dropout in front of the head is forced on: embeddings in front of it are clean, predictions are not."""
    return models.CASES["every function of the file drops"].save(tmp_path_factory.mktemp("on") / "model")


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("data")


def config(data: Path, *, allow: bool) -> ServeConfig:
    return ServeConfig(data=data, allow_stochastic=allow)


def test_it_is_served_on_the_operators_word_alone(always_on: Path, data: Path) -> None:
    """Refused although the cache has it: it does not mix the two."""
    source = Source("noisy", 1, always_on)
    model = loader(config(data, allow=True))(source)
    with pytest.raises(ModelRefused) as caught:
        loader(config(data, allow=False))(source)
    assert caught.value.reason == "RANDOM_AT_INFERENCE"
    assert caught.value.metadata["layer"] == "dropout"
    assert len(list((data / "prepared").iterdir())) == 1
    (warning,) = model.manifest.warnings
    assert "predictions (the embeddings are not touched by it)" in warning
    assert "RandomUniform of layer 'dropout' (Dropout)" in warning
    assert not model.manifest.proof.proven
    said = replies.provenance(model)
    assert list(said.warnings) == [warning]
    assert not said.dropout_proven_inactive

    tokens = model.tokenizer.tokenize(tm.TEXTS).inputs
    seam = model.manifest.seam
    one, two = (model.engine.encode(tokens, [seam])[seam] for _ in range(2))
    np.testing.assert_array_equal(one, two)
    first, second = (model.engine.head(one)[model.manifest.head.output] for _ in range(2))
    assert np.abs(first - second).max() > 1e-3


def test_the_seam_is_in_front_of_the_dropout_that_is_on(always_on: Path, data: Path) -> None:
    place = launch.prepare(always_on, cache=data / "prepared", allow_stochastic=True)
    manifest = load_manifest(place)
    assert manifest.seam == "average"
    assert [(site.path, site.place, site.rate) for site in manifest.sites] == [("dropout", "at", 0.3)]
    values = {figure.name: figure.value for figure in manifest.proof.figures}
    assert values["embedding_vs_before_dropout"] <= 1e-5
    assert values["before_vs_after_dropout"] > 1e-3


def test_a_prepared_one_is_not_served_without_the_word(always_on: Path, data: Path, tmp_path: Path) -> None:
    made = launch.prepare(always_on, cache=data / "prepared", allow_stochastic=True)
    place = Path(shutil.copytree(made, tmp_path / "prepared"))
    with pytest.raises(ModelRefused) as caught:
        launch.prepare(place, cache=data / "prepared")
    assert caught.value.reason == "NOT_PROVEN"
    assert "--allow-stochastic" in caught.value.message
    assert launch.prepare(place, cache=data / "prepared", allow_stochastic=True) == place
    report = launch.verify(place, cache=data / "prepared")
    assert not report.manifest.proof.proven


def test_a_manifest_that_claims_to_be_proven_may_hold_nothing_random(
    always_on: Path, data: Path, tmp_path: Path
) -> None:
    """Not even where the operator allows random models: it would be served without a warning."""
    prepared = launch.prepare(always_on, cache=data / "prepared", allow_stochastic=True)
    claims = Path(shutil.copytree(prepared, tmp_path / "claims"))
    written(claims, proof=replace(load_manifest(claims).proof, proven=True), warnings=())
    with pytest.raises(ModelRefused) as caught:
        loader(config(data, allow=True))(Source("claims", 1, claims))
    assert caught.value.reason == "OP_NOT_ALLOWED"
    assert "RandomUniform" in caught.value.message


def test_a_model_that_changes_itself_is_refused_all_the_same(tmp_path: Path) -> None:
    source = models.CASES["BatchNormalization, training=True"].save(tmp_path / "model")
    with pytest.raises(ModelRefused) as caught:
        pipeline.prepare(source, tmp_path / "prepared", None, lambda *_: None, allow_stochastic=True)
    assert caught.value.reason == "WRITES_AT_INFERENCE"


# A report that an older preparer made


@pytest.fixture
def older(prepared_seed_model: Path, tmp_path: Path) -> Path:
    """The seed's model as an older preparer left it."""
    place = Path(shutil.copytree(prepared_seed_model, tmp_path / "older"))
    written(place, preparer="penult-preparer-0")
    return place


def written(place: Path, **changes: Any) -> None:
    manifest = Manifest.from_json((place / MANIFEST_NAME).read_text())
    (place / MANIFEST_NAME).write_text(replace(manifest, **changes).to_json())


def test_a_report_of_an_older_preparer_is_made_again(older: Path, prepared_seed_model: Path) -> None:
    """By preparing its model, which is what the cache holds already."""
    cache = seeds.cache_directory()
    assert launch.prepare(older, cache=cache) == prepared_seed_model
    assert load_manifest(prepared_seed_model).preparer == identity.PREPARER
    assert json.loads((older / MANIFEST_NAME).read_text())["preparer"] == "penult-preparer-0"


def test_the_report_is_used_as_it_is_when_its_model_is_gone(
    older: Path, seed_model: Path, cache: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    written(older, source=str(tmp_path / "gone"))
    assert launch.prepare(older, cache=cache) == older
    assert "penult-preparer-0" in caplog.text
    # Another model stands in its place.
    other = Path(shutil.copytree(seed_model, tmp_path / "gone"))
    (other / "assets" / "more.txt").write_text("more")
    assert launch.prepare(older, cache=cache) == older


def test_the_layer_that_was_asked_for_is_asked_for_again(
    older: Path, prepared_seed_model: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[Any] = []

    def work(job: dict[str, Any], *_: Any) -> dict[str, Any]:
        asked.append(job["layer"])
        shutil.copytree(prepared_seed_model, job["target"])
        return {}

    monkeypatch.setattr(launch, "_in_child", work)
    launch.prepare(older, cache=cache)
    pooled, tokens = load_manifest(older).readouts
    written(older, readouts=(Readout("other", 4, "other"), pooled, tokens))
    launch.prepare(older, cache=cache)
    assert asked == [None, "other"]
