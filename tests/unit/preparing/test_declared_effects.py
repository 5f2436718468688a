"""What is declared, in the prepared model: names of classes, the default pooling, texts to warm with, the length."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import tensorflow as tf
from penult_service.errors import ModelRefused
from penult_service.prepared import (
    CALLER,
    GRAPH,
    LIBRARY,
    NO_LIMIT,
    Field,
    Manifest,
    Readout,
    Site,
    TokenInput,
    load_manifest,
)
from penult_service.preparing import pipeline
from penult_service.preparing.declarations.declaration import NOTHING, Declaration
from penult_service.preparing.declarations.declared import as_declared, readouts_first
from penult_service.preparing.places import Seams
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
    assert as_declared(manifest, declared).max_length == 20
    assert as_declared(replace(manifest, max_length=20), declared).max_length == 20
    with pytest.raises(ModelRefused, match="rows of one length, and that length is 6"):
        as_declared(replace(manifest, max_length=6), declared)


def test_nothing_declared_is_nothing_changed(text_model: Path, tmp_path: Path) -> None:
    pipeline.prepare(text_model, tmp_path / "a", None, lambda *_: None)
    pipeline.prepare(text_model, tmp_path / "b", None, lambda *_: None, declared=NOTHING)
    assert load_manifest(tmp_path / "a").model_digest == load_manifest(tmp_path / "b").model_digest


# What a model has, by name


@pytest.fixture(scope="module")
def manifest(text_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Manifest:
    """As if it had two more inputs and two calls of its dropout."""
    found = prepared(text_model, tmp_path_factory.mktemp("manifest") / "model")
    fields = (
        Field("text", "text", "string"),
        Field("ids", "ids", "int32", (-1,)),
        Field("price", "price", "float32"),
    )
    tokens = (TokenInput("input_ids", "ids", "int32", "ids"), TokenInput("v", "value", "float32", "price"))
    sites = tuple(Site(path, "Dropout", rate, None, "x", "before") for path, rate in SITES.items())
    return replace(found, fields=fields, inputs=tokens, sites=sites)


SITES = {"encoder/dropout": 0.1, "encoder/dropout#2": 0.1, "head/dropout": 0.2, "head/noise": None}


def test_inputs_in_the_order_that_tuples_are_given_in(manifest: Manifest) -> None:
    said = as_declared(manifest, Declaration(inputs={"price": "value", "text": "text"}))
    assert [field.name for field in said.fields] == ["price", "text", "ids"]
    assert as_declared(manifest, Declaration()).fields == manifest.fields
    every = Declaration(inputs={"ids": "ids", "text": "text", "price": "value"})
    assert [field.name for field in as_declared(manifest, every).fields] == ["ids", "text", "price"]


UNLIKE: dict[str, tuple[dict[str, Any], str]] = {
    "no such input": ({"inputs": {"txt": "text"}}, "there is no such input; there is 'text'"),
    "nothing like it": ({"inputs": {"x": "text"}}, "there is 'text', 'ids', 'price'"),
    "text in the place of ids": ({"inputs": {"ids": "text"}}, "what reads it makes it ids"),
    "ids in the place of text": ({"inputs": {"text": "ids"}}, "that input takes text"),
    "a mask that is none": (
        {"inputs": {"price": "mask"}},
        "float32 [] a row, and what reads it makes it value",
    ),
    "no such dropout": ({"dropout": {"drpout": 0.1}}, "there is no such dropout"),
    "another rate": ({"dropout": {"encoder/dropout": 0.3}}, "the file records the rate 0.1"),
    "one of several": ({"dropout": {"dropout": 0.1}}, "the file records the rate 0.2"),
    "no rate": ({"dropout": {"noise": 0.1}}, "the file records the rate None"),
}


@pytest.mark.parametrize(("declared", "says"), UNLIKE.values(), ids=UNLIKE.keys())
def test_what_the_model_has_not_got(manifest: Manifest, declared: dict[str, Any], says: str) -> None:
    with pytest.raises(ModelRefused) as caught:
        as_declared(manifest, Declaration(**declared))
    assert caught.value.reason == "BAD_DECLARATION"
    assert says in caught.value.message


@pytest.mark.parametrize("name", ["encoder/dropout", "encoder/dropout#2"])
def test_a_rate_that_the_file_records_may_be_declared_too(manifest: Manifest, name: str) -> None:
    assert as_declared(manifest, Declaration(dropout={name: 0.1})).sites == manifest.sites


def test_readouts_of_a_model_that_is_known() -> None:
    kinds = {"pooled": "pooled", "hidden": "other", "tokens": "tokens"}
    read = tuple((Readout(layer, 4, kind), f"{layer}:0") for layer, kind in kinds.items())
    seams = Seams((), read, "pooled", "x", "y", tf.float32, (), None)
    source = Path("model")
    said = readouts_first(source, seams, Declaration(readouts=("hidden",)))
    assert [readout.layer for readout, _ in said.read] == ["hidden", "pooled", "tokens"]
    assert said.seam == "pooled"
    assert readouts_first(source, seams, NOTHING) == seams
    for name in ("x", "tokens"):  # vectors of tokens are a pooling, not another place to read at
        with pytest.raises(ModelRefused, match="there is 'pooled', 'hidden'") as caught:
            readouts_first(source, seams, Declaration(readouts=(name,)))
        assert caught.value.reason == "BAD_DECLARATION"
