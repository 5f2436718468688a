"""`penult dropout` against a server, over a real socket: the figures are the server's, and Ctrl-C ends its work."""

from __future__ import annotations

import json
import signal
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from penult_client import Client
from penult_service.cli.app import main
from penult_service.config import Limits
from support.fakes import fake_model
from support.pools import WARM_SECONDS, data_that_is_warm, unwarmed_workers
from support.served import PENULT
from support.serving import SERVING, health, serving, wait_until

WORDS = ("film", "soup", "rain", "moon")
TEXTS = [f"{WORDS[i % 4]} {WORDS[i % 4]} number {i} <b>" for i in range(60)]
# A comparison that would take this long is an operation.
SOON = 0.01


def without_rates(name: str) -> Any:
    model = fake_model(name)
    sites = tuple(replace(site, rate=None) for site in model.manifest.sites)
    return replace(model, manifest=replace(model.manifest, sites=sites))


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    models = (
        fake_model("reviews", 3),
        fake_model("amount", head="regression"),
        fake_model("whole", whole_only=True),
        fake_model("pairs", takes="pair"),
        without_rates("unrated"),
        fake_model("slow", seconds=0.3),
    )
    data = data_that_is_warm(tmp_path_factory.mktemp("served") / "data")
    limits = Limits(max_analysis_seconds=SOON)
    with unwarmed_workers(), serving(*models, analysis_workers=1, data=data, limits=limits) as server:
        with server.channel() as channel:
            wait_until(lambda: health(channel, "penult.v1.AnalysisService") == SERVING, WARM_SECONDS)
        yield server.address


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "in.jsonl"
    rows = [{"text": text, "topic": WORDS[i % 4]} for i, text in enumerate(TEXTS)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def run(address: str, file: Path, *words: object, model: str = "reviews") -> int:
    given = ["dropout", model, "--server", address, "--texts", file, "--passes", 3, *words]
    return main([*map(str, given)])


def test_figures_are_the_servers(address: str, file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(address, file, "--json", "--no-map", "--label-column", "topic", "--seed", 7) == 0
    told = json.loads(capsys.readouterr().out)
    with Client(address) as client:
        labels = [WORDS[i % 4] for i in range(60)]
        same = client.compare_dropout(TEXTS, model="reviews", labels=labels, passes=3, seed=7, map=False)
        about = client.inspect_dropout("reviews")
    assert told["answer"] == same.answer
    assert [(effect["scope"], len(effect["active"])) for effect in told["effects"]] == [
        (effect.scope, len(effect.active)) for effect in same.effects
    ]
    for effect, wanted in zip(told["effects"], same.effects, strict=True):
        for name in ("neighbors_changed", "nearest_kept", "pair_rank_correlation", "predictions_flipped"):
            assert effect[name] == getattr(wanted, name)
        assert effect["cosine_to_clean"]["counts"] == list(wanted.cosine_to_clean.counts)
        assert effect["cluster_agreement"]["mean"] == wanted.cluster_agreement.mean
        assert effect["expected_cosine_to_clean"] == wanted.expected_cosine_to_clean
        each = [row[effect["scope"]]["neighbors_changed"] for row in told["each"]]
        np.testing.assert_array_equal(np.array(each, np.float32), wanted.row_neighbors_changed)
    assert told["n_clusters"] == 4
    assert same.predicted is not None
    assert [row["predicted"] for row in told["each"]] == [same.labels[place] for place in same.predicted]
    assert [site["path"] for site in told["sites"]] == [site.path for site in about.sites]
    assert told["provenance"]["model"] == "reviews@3"
    assert told["provenance"]["digest of the model"] == about.digest


@pytest.mark.full  # of the parts: maps by a worker in test_compare_dropout, reports in test_cli_dropout
def test_reports_with_a_map(address: str, file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    outs = [file.with_name(f"report.{ending}") for ending in ("html", "md", "json")]
    words = [word for out in outs for word in ("-o", out)]
    assert run(address, file, *words, "--label-column", "topic", "--layers", "head") == 0
    printed = capsys.readouterr()
    assert "With dropout on: 60 texts, 3 passes, seed 42" in printed.out
    assert printed.err.count("wrote ") == 3
    document = outs[0].read_text(encoding="utf-8")
    assert "number 0 <b>" not in document
    told = json.loads(outs[2].read_text(encoding="utf-8"))
    assert [effect["scope"] for effect in told["effects"]] == ["head"]
    assert np.isfinite([row["coordinates"] + row["head"]["coordinates"] for row in told["each"]]).all()
    assert (file.with_name("report_files") / "map-head.png").read_bytes().startswith(b"\x89PNG")


def test_no_classifier(address: str, file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = file.with_name("report.html")
    assert run(address, file, "--no-map", "-o", out, model="amount") == 0
    assert "flip" not in capsys.readouterr().out
    assert 'id="flips"' not in out.read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("model", "words", "code", "said"),
    [
        ("whole", [], 1, "dropout cannot be put back into this model"),
        ("unrated", [], 1, "--rate 0.1"),
        ("reviews", ["--layers", "nowhere"], 2, "this model has no dropout 'nowhere'; it has"),
        ("pairs", [], 2, "penult dropout compares models of one text: "),
        ("absent", [], 2, "absent"),
    ],
)
def test_what_the_server_refuses(
    address: str,
    file: Path,
    capsys: pytest.CaptureFixture[str],
    model: str,
    words: list[str],
    code: int,
    said: str,
) -> None:
    assert run(address, file, "-o", file.with_name("report.html"), *words, model=model) == code
    printed = capsys.readouterr()
    assert said in printed.err
    assert printed.err.count("\n") == 1
    assert printed.out == ""
    assert {path.name for path in file.parent.iterdir()} == {file.name}


def test_a_rate_that_is_given_serves_where_none_is_known(
    address: str, file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(address, file, "--rate", 0.5, "--no-map", "--layers", "head", "--json", model="unrated") == 0
    (effect,) = json.loads(capsys.readouterr().out)["effects"]
    assert effect["expected_cosine_between_draws"] == pytest.approx(0.5)
    assert {each["rate"] for each in effect["active"]} == {0.5}


def test_ctrl_c_ends_the_work(address: str, file: Path) -> None:
    words = ["dropout", "slow", "--server", address, "--texts", file, "--passes", 50]
    out = file.with_name("report.html")
    with Client(address) as client:
        before = {each.name for each in client.operations()}
        process = subprocess.Popen([*PENULT, *map(str, words), "-o", str(out)], stdout=subprocess.PIPE)
        wait_until(lambda: {each.name for each in client.operations()} > before, 60)
        (name,) = {each.name for each in client.operations()} - before
        process.send_signal(signal.SIGINT)
        assert process.wait(20) == 130
        wait_until(lambda: client.operation(name).status().state == "cancelled", 20)
    assert {path.name for path in file.parent.iterdir()} == {file.name}
