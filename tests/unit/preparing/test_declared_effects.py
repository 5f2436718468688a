"""What is declared, in the prepared model: names of classes, the default pooling, texts to warm with, the length."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from penult_service.errors import ModelRefused
from penult_service.prepared import CALLER, GRAPH, LIBRARY, NO_LIMIT, Manifest, load_manifest
from penult_service.preparing import pipeline
from penult_service.preparing.declaration import NOTHING, Declaration
from support import text_models as tm
from support.tiny_hf import write_tiny_hf

pytestmark = pytest.mark.tensorflow

NAMES = ("bad", "fair", "good")


def prepared(source: Path, target: Path, **declared: Any) -> Manifest:
    pipeline.prepare(source, target, None, lambda *_: None, declared=Declaration(**declared))
    return load_manifest(target)


def refused(source: Path, place: Path, **declared: Any) -> str:
    with pytest.raises(ModelRefused) as caught:
        prepared(source, place / "refused", **declared)
    assert caught.value.reason == "BAD_DECLARATION"
    assert str(source) in caught.value.message
    assert "penult.toml declares" in caught.value.message
    assert not (place / "refused").exists()
    return caught.value.message


@pytest.fixture(scope="module")
def text_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Takes texts, which its own graph cuts; a softmax over three."""
    return tm.save(tm.classifier(), tmp_path_factory.mktemp("declared") / "model")


def test_what_is_said_of_serving(text_model: Path, tmp_path: Path) -> None:
    (text_model / "labels.json").write_text('["a", "b", "c"]')
    plain = prepared(text_model, tmp_path / "plain")
    assert (plain.head.labels, plain.warm_up, plain.tokenizer) == (("a", "b", "c"), (), GRAPH)
    said = prepared(
        text_model,
        tmp_path / "said",
        labels=NAMES,
        warm_up=("a film",),
        pooling="pooled",
        max_length=tm.LENGTH,
    )
    assert said.head.labels == NAMES
    assert said.warm_up == ("a film",)
    assert said.pooling == "pooled"
    assert said.max_length == plain.max_length == tm.LENGTH
    assert (
        said.model_digest != plain.model_digest
    )  # a length decides what a text becomes, also one that was known
    (text_model / "labels.json").unlink()


def test_too_many_names(text_model: Path, tmp_path: Path) -> None:
    with pytest.raises(ModelRefused) as caught:
        prepared(text_model, tmp_path / "model", labels=("bad", "good"))
    assert caught.value.reason == "BAD_LABELS"
    assert "penult.toml names 2 classes, the model has 3" in caught.value.message


def test_what_the_model_cannot_do(text_model: Path, tmp_path: Path) -> None:
    assert "it can do pooled" in refused(text_model, tmp_path, pooling="cls")
    assert f"that length is {tm.LENGTH}" in refused(text_model, tmp_path, max_length=5)


def test_the_length_of_a_tokenizer_beside_the_graph(tmp_path: Path) -> None:
    model = write_tiny_hf(tmp_path / "hf", "bert").directory
    most = prepared(model, tmp_path / "plain").max_length
    said = prepared(model, tmp_path / "said", max_length=7, pooling="mean")
    assert (said.tokenizer, said.max_length, said.pooling) == (LIBRARY, 7, "mean")
    assert json.loads((tmp_path / "said" / "tokenizer.json").read_text())["truncation"]["max_length"] == 7
    assert f"that length is {most}" in refused(model, tmp_path, max_length=most + 1)


def test_the_length_of_rows_that_the_caller_makes(text_model: Path, tmp_path: Path) -> None:
    manifest = replace(prepared(text_model, tmp_path / "model"), tokenizer=CALLER, max_length=NO_LIMIT)
    declared = Declaration(max_length=20)
    assert pipeline._as_declared(manifest, declared).max_length == 20
    assert pipeline._as_declared(replace(manifest, max_length=20), declared).max_length == 20
    with pytest.raises(ModelRefused, match="rows of one length, and that length is 6"):
        pipeline._as_declared(replace(manifest, max_length=6), declared)


def test_nothing_declared_is_nothing_changed(text_model: Path, tmp_path: Path) -> None:
    pipeline.prepare(text_model, tmp_path / "a", None, lambda *_: None)
    pipeline.prepare(text_model, tmp_path / "b", None, lambda *_: None, declared=NOTHING)
    assert load_manifest(tmp_path / "a").model_digest == load_manifest(tmp_path / "b").model_digest
