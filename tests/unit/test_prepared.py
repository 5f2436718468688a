"""The manifest of a prepared model: to JSON and back, and checked against the files beside it."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from penult_service.engines.fake import Traits, fake_manifest
from penult_service.errors import InvalidInput
from penult_service.prepared import (
    MANIFEST_NAME,
    Cost,
    Field,
    Figure,
    Head,
    Manifest,
    Proof,
    Readout,
    Site,
    TokenInput,
    is_prepared,
    load_manifest,
)

NAMES = st.text(max_size=8)
RATES = st.none() | st.floats(0, 1)


def some(values: st.SearchStrategy[Any]) -> st.SearchStrategy[tuple[Any, ...]]:
    return st.lists(values, max_size=3).map(tuple)


MANIFESTS = st.builds(
    Manifest,
    source=NAMES,
    source_format=NAMES,
    model_digest=NAMES,
    preparer=NAMES,
    inputs=some(st.builds(TokenInput, NAMES, NAMES, NAMES)),
    readouts=some(
        st.builds(Readout, NAMES, st.integers(1, 999), st.sampled_from(["pooled", "tokens", "other"]))
    ),
    seam=NAMES,
    outputs=some(NAMES),
    head=st.builds(Head, NAMES, NAMES, st.integers(0, 9), some(NAMES)),
    max_length=st.integers(1, 999),
    trims=st.booleans(),
    counts_wordpieces=st.booleans(),
    sites=some(st.builds(Site, NAMES, NAMES, RATES, st.none() | some(st.integers(-1, 9)), NAMES, NAMES)),
    proof=st.builds(
        Proof,
        st.booleans(),
        some(NAMES),
        some(st.builds(Figure, NAMES, NAMES, st.floats(0, 1), st.floats(0, 1))),
    ),
    cost=st.builds(Cost, st.floats(0, 999), st.integers(0, 1 << 40)),
    versions=st.dictionaries(NAMES, NAMES, max_size=3),
    files=st.dictionaries(NAMES, NAMES, max_size=3),
)


@given(MANIFESTS)
def test_json_and_back(manifest: Manifest) -> None:
    assert Manifest.from_json(manifest.to_json()) == manifest


def test_readouts_by_name_and_kind() -> None:
    manifest = fake_manifest()
    assert manifest.readout("sequence_output") == manifest.tokens == manifest.readouts[1]
    assert manifest.readout("nowhere") is None
    assert manifest.poolings == ("pooled", "cls", "mean", "max", "tokens")
    pooled_only = fake_manifest(traits=Traits(tokens=False))
    assert pooled_only.tokens is None
    assert pooled_only.poolings == ("pooled",)


@given(MANIFESTS, st.data())
def test_every_set_of_readouts_has_a_signature_of_its_own(manifest: Manifest, data: st.DataObject) -> None:
    layers = [r.layer for r in manifest.readouts]
    subsets = st.sets(st.sampled_from(layers)) if layers else st.just(set())
    a, b = data.draw(subsets), data.draw(subsets)
    assert (manifest.encode_signature(a) == manifest.encode_signature(b)) == (a == b)
    assert manifest.encode_signature(a) == manifest.encode_signature(sorted(a, reverse=True))


def test_signatures_are_named_by_the_numbers_of_their_readouts() -> None:
    manifest = fake_manifest()
    assert manifest.encode_signature(["pooled_output"]) == "encode_0"
    assert manifest.encode_signature(["sequence_output", "pooled_output"]) == "encode_0_1"


@pytest.fixture
def prepared(tmp_path: Path) -> Path:
    """A directory with a manifest and two files."""
    files = {"saved_model.pb": b"graph", "variables/variables.index": b"index"}
    for name, data in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(data)
    hashes = {name: hashlib.sha256(data).hexdigest() for name, data in files.items()}
    manifest = replace(fake_manifest(), source="Modèle №1", files=hashes)
    (tmp_path / MANIFEST_NAME).write_text(manifest.to_json(), encoding="utf-8")
    return tmp_path


def test_a_directory_that_is_as_it_was_written(prepared: Path) -> None:
    assert is_prepared(prepared)
    assert load_manifest(prepared).source == "Modèle №1"
    (prepared / "notes.txt").write_text("files that are not listed may come and go")
    load_manifest(prepared)


def test_a_directory_without_a_manifest(tmp_path: Path) -> None:
    assert not is_prepared(tmp_path)
    with pytest.raises(InvalidInput) as refused:
        load_manifest(tmp_path)
    assert refused.value.reason == "NOT_PREPARED"


def test_a_file_that_was_altered(prepared: Path) -> None:
    (prepared / "saved_model.pb").write_bytes(b"grapH")
    with pytest.raises(InvalidInput, match=r"saved_model\.pb is altered") as refused:
        load_manifest(prepared)
    assert refused.value.reason == "DAMAGED"


def test_a_file_that_is_missing(prepared: Path) -> None:
    (prepared / "variables/variables.index").unlink()
    with pytest.raises(InvalidInput, match=r"variables\.index is missing") as refused:
        load_manifest(prepared)
    assert refused.value.reason == "DAMAGED"


def _without(name: str) -> str:
    raw = json.loads(fake_manifest().to_json())
    del raw[name]
    return json.dumps(raw)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        "{}",
        fake_manifest().to_json()[:-40],
        fake_manifest().to_json().replace('"format": 1', '"format": 2'),
        _without("head"),
        _without("trims"),
        fake_manifest().to_json().replace('"trims"', '"unheard_of"'),
        fake_manifest().to_json().replace('"dimension"', '"width"'),
        "\ud800",
    ],
)
def test_a_manifest_that_cannot_be_read(tmp_path: Path, text: str) -> None:
    (tmp_path / MANIFEST_NAME).write_bytes(text.encode("utf-8", "surrogatepass"))
    with pytest.raises(InvalidInput, match="prepare the model again") as refused:
        load_manifest(tmp_path)
    assert refused.value.reason == "DAMAGED"


def _head(**change: Any) -> dict[str, Any]:
    return {**asdict(fake_manifest().head), **change}


def _input(name: str, **change: Any) -> dict[str, Any]:
    return {**asdict(TokenInput(name, "ids", "int32")), **change}


def _field(name: str, **change: Any) -> dict[str, Any]:
    return {**asdict(Field(name, name, "string")), **change}


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"trims": "yes"}, "manifest.trims is not of type bool"),
        ({"max_length": True}, "manifest.max_length is not of type int"),
        ({"max_length": 0}, "out of range"),
        ({"outputs": "y"}, "manifest.outputs is no list"),
        ({"files": ["a"]}, "manifest.files is no object"),
        ({"files": {}}, "no hash of saved_model.pb"),
        ({"head": []}, "manifest.head is no object"),
        ({"sites": [{"path": "a"}]}, r"manifest.sites\[0\] has no layer_class"),
        ({"seam": "nowhere"}, "no readout is called 'nowhere'"),
        ({"seam": "sequence_output"}, "no readout is called 'sequence_output'"),
        ({"readouts": []}, "no readout is called"),
        ({"outputs": ["other"]}, "no output is called"),
        ({"tokenizer": "sentencepiece"}, "no tokenizer is called 'sentencepiece'"),
        ({"tokenizer": "tokenizers"}, "no hash of tokenizer.json"),
        ({"head": _head(kind="ranking")}, "no kind of head is called 'ranking'"),
        ({"head": _head(activation="tanh")}, "no activation is called 'tanh'"),
        ({"pooling": "first"}, "no pooling is called 'first'"),
        ({"inputs": [_input("ids", role="spans")]}, "no role is called 'spans'"),
        ({"inputs": [_input("ids", dtype="string")]}, "no type is called 'string'"),
        ({"fields": [_field("a", dtype="complex64")]}, "no type is called 'complex64'"),
        ({"inputs": [_input("ids"), _input("ids")]}, "two inputs are called 'ids'"),
        ({"fields": [_field("a"), _field("a")]}, "two inputs are called 'a'"),
        ({"fields": [_field("a"), _field("b", argument="a")]}, "two inputs are called 'a'"),
        ({"fields": [_field(str(i)) for i in range(1001)]}, "more than 1000 inputs"),
        ({"inputs": [_input("ids", field="nowhere")]}, "no input is called 'nowhere'"),
        ({"head_values": ["mask"]}, "no input is called 'mask'"),
        ({"source": "\ud800"}, "surrogates not allowed"),
        ({"unheard_of": 1}, "has an unknown 'unheard_of'"),
    ],
)
def test_a_manifest_that_makes_no_sense(prepared: Path, change: dict[str, Any], says: str) -> None:
    raw = json.loads((prepared / MANIFEST_NAME).read_text(encoding="utf-8"))
    (prepared / MANIFEST_NAME).write_text(json.dumps({**raw, **change}))
    with pytest.raises(InvalidInput, match=says) as refused:
        load_manifest(prepared)
    assert refused.value.reason == "DAMAGED"


@pytest.mark.parametrize("kind", ["above", "absolute", "link", "directory link"])
def test_files_outside_the_folder_are_not_even_read(prepared: Path, tmp_path: Path, kind: str) -> None:
    outside = tmp_path.parent / f"{tmp_path.name}-outside"
    outside.mkdir()
    (outside / "secret").write_bytes(b"secret")
    name = {"above": f"../{outside.name}/secret", "absolute": str(outside / "secret")}.get(
        kind, "place/secret"
    )
    if kind == "link":
        (prepared / "place").mkdir()
        (prepared / "place" / "secret").symlink_to(outside / "secret")
    elif kind == "directory link":
        (prepared / "place").symlink_to(outside)
    raw = json.loads((prepared / MANIFEST_NAME).read_text(encoding="utf-8"))
    raw["files"][name] = hashlib.sha256(b"secret").hexdigest()
    (prepared / MANIFEST_NAME).write_text(json.dumps(raw))
    with pytest.raises(InvalidInput, match="outside its folder") as refused:
        load_manifest(prepared)
    assert refused.value.reason == "DAMAGED"


@pytest.mark.parametrize("text", ["[" * 100_000, '{"a":' * 100_000, " " * (64 << 20) + "{}", "9" * 5000])
def test_a_manifest_to_choke_on(tmp_path: Path, text: str) -> None:
    (tmp_path / MANIFEST_NAME).write_text(text)
    with pytest.raises(InvalidInput, match="prepare the model again") as refused:
        load_manifest(tmp_path)
    assert refused.value.reason == "DAMAGED"


def test_another_format_is_named(tmp_path: Path) -> None:
    text = fake_manifest().to_json().replace('"format": 1', '"format": 2')
    (tmp_path / MANIFEST_NAME).write_text(text)
    with pytest.raises(InvalidInput, match="format 2, this release reads 1"):
        load_manifest(tmp_path)
