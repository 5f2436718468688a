"""Engines measured by real children, kept, served as measured, and told over the wire."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from penult_client import Client
from penult_service.cli.app import main
from penult_service.engines import choosing, machine
from penult_service.engines.openvino import refuse_missing_precision
from penult_service.errors import ModelRefused
from penult_service.tuned import BFLOAT16, FLOAT32, OPENVINO, TENSORFLOW
from support.seed_model import prepared_seed_model

TEXTS = ["a film", "a bank that I would not go to again, whatever they say", "", "fine"] * 3


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("data")


@pytest.fixture(scope="module")
def tuned(data: Path) -> dict[str, Any]:
    """What `penult tune` measured, of both engines."""
    with pytest.MonkeyPatch.context() as patch, _printed() as printed:
        patch.delenv("PENULT_ENGINE", raising=False)
        assert main(["tune", str(prepared_seed_model()), "--data", str(data), "--json"]) == 0
        found: dict[str, Any] = json.loads(printed())
    return found


def _printed() -> Any:
    import contextlib
    import io

    @contextlib.contextmanager
    def capture() -> Iterator[Any]:
        with contextlib.redirect_stdout(io.StringIO()) as out:
            yield out.getvalue

    return capture()


def test_both_engines_are_measured_and_agree(tuned: dict[str, Any]) -> None:
    usable = {one["setting"]["engine"] for one in tuned["measured"] if not one["problem"]}
    assert usable == {OPENVINO, TENSORFLOW}
    assert all(one["tokens_per_second"] > 0 < one["one_seconds"] for one in tuned["measured"])
    assert {one["setting"]["precision"] for one in tuned["measured"]} == {FLOAT32}
    assert tuned["setting"] in [one["setting"] for one in tuned["measured"]]
    if tuned["setting"]["engine"] == OPENVINO:
        assert tuned["price"]["largest_difference"] <= 1e-4
        assert tuned["price"]["lowest_cosine"] >= 0.999999


def test_a_server_runs_as_measured_without_measuring(tuned: dict[str, Any], data: Path) -> None:
    kept = sorted(path.name for path in (data / "engines").iterdir())
    place = prepared_seed_model()
    with Client.open(place, engine="auto", timeout=60, data=data, analysis_workers=0) as client:
        model = client.model()
        assert client.embed(TEXTS).engine == model.engine
    assert model.serving is not None
    assert model.engine == model.serving.setting.engine
    assert sorted(path.name for path in (data / "engines").iterdir()) == kept
    if tuned["load"] > machine.cores():
        return  # it may have been measured again, beside fewer others
    assert model.engine == tuned["setting"]["engine"]
    assert model.serving.load == tuned["load"], "measured once"
    assert [vars(one.setting) for one in model.serving.measured] == [
        one["setting"] for one in tuned["measured"]
    ]


@pytest.mark.full
def test_lower_precision_states_its_price(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    try:
        refuse_missing_precision(BFLOAT16)
    except ModelRefused as refused:
        pytest.skip(refused.message)
    words = ["--data", str(data), "--engine", "openvino", "--precision", "bfloat16"]
    code = main(["prepare", str(prepared_seed_model()), *words])
    said = capsys.readouterr().err
    if code == 1:  # an untrained model may be on the edge
        assert "PRECISION_REFUSED" in said
    forced = main(["prepare", str(prepared_seed_model()), *words, "--force-precision"])
    said = capsys.readouterr().err
    assert forced == 0
    assert "against TensorFlow in float32, on 506 texts: cosine at least 0.99" in said
    assert "of the predictions change" in said
    # The same is not asked of a child again.
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(choosing, "ask", None)
        assert main(["prepare", str(prepared_seed_model()), *words, "--force-precision"]) == 0
    assert "cosine at least" in capsys.readouterr().err
