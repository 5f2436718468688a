"""Which Hugging Face directories are taken as classifiers, and by what name and sentence the others are refused."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from penult_service.errors import ModelRefused
from penult_service.preparing.formats import hf_classifier, hf_files
from penult_service.preparing.identity import cache_key, model_digest
from support.tiny_bert import write_tiny_bert
from support.tiny_hf import KINDS, LAYERS, WIDTH, change_json, change_tensors, write_tiny_hf

Change = Callable[[Path], None]


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    return write_tiny_hf(tmp_path / "model").directory


def config(**settings: Any) -> Change:
    return lambda directory: change_json(directory / "config.json", **settings)


def without(*endings: str) -> Change:
    def apply(directory: Path) -> None:
        change_tensors(directory, lambda held: {n: v for n, v in held.items() if not n.endswith(endings)})

    return apply


def renamed(old: str, new: str) -> Change:
    def apply(directory: Path) -> None:
        change_tensors(directory, lambda held: {name.replace(old, new): held[name] for name in held})

    return apply


def put(name: str, value: np.ndarray) -> Change:
    return lambda directory: change_tensors(directory, lambda held: held | {name: value})


def other_weights(name: str) -> Change:
    return lambda directory: (directory / "model.safetensors").rename(directory / name) and None


def encoder_alone(directory: Path) -> None:
    """As `BertModel.save_pretrained` writes it, but for the name of the class."""
    without("classifier.weight", "classifier.bias")(directory)
    renamed("bert.", "")(directory)


def f32(*shape: int) -> np.ndarray:
    return np.ones(shape, np.float32)


REFUSED: list[tuple[str, Change, str, str]] = [
    (
        "encoder alone",
        encoder_alone,
        "TENSOR_MISSING",
        "without the head of a classifier: it lacks classifier.w",
    ),
    ("no bias", without("classifier.bias"), "TENSOR_MISSING", "lacks classifier.bias"),
    ("no pooler", without("pooler.dense.weight"), "TENSOR_MISSING", "bert.pooler.dense.weight"),
    (
        "renamed",
        renamed("attention.self.query", "attention.self.q"),
        "TENSOR_MISSING",
        f"lacks {2 * LAYERS} of 41 tensors: bert.encoder.layer.0.attention.self.query.weight",
    ),
    ("a layer more", config(num_hidden_layers=3), "TENSOR_MISSING", "bert.encoder.layer.2.attention"),
    ("a layer less", config(num_hidden_layers=1), "TENSOR_UNKNOWN", "bert.encoder.layer.1."),
    ("strange", put("adapter.weight", f32(3)), "TENSOR_UNKNOWN", "adapter.weight"),
    ("twice", put("embeddings.LayerNorm.weight", f32(WIDTH)), "TENSOR_UNKNOWN", "twice"),
    (
        "a class more",
        config(id2label={"0": "a", "1": "b"}),
        "TENSOR_SHAPE",
        "classifier.weight has shape [3, 32]",
    ),
    ("integers", put("classifier.bias", np.zeros([3], np.int32)), "TENSOR_TYPE", "is I32"),
    ("NaN", put("classifier.bias", f32(3) * np.nan), "WEIGHTS_NOT_FINITE", "classifier.bias"),
    ("a pickle", other_weights("pytorch_model.bin"), "FILE_MISSING", "safe_serialization=True"),
    ("shards", other_weights("model.safetensors.index.json"), "FILE_MISSING", "max_shard_size"),
    ("an adapter", other_weights("adapter_model.safetensors"), "FILE_MISSING", "merge_and_unload"),
    ("another kind", config(model_type="gpt2"), "UNSUPPORTED_FORMAT", "'gpt2'"),
    (
        "a kind that is a list",
        config(model_type=["bert"]),
        "UNSUPPORTED_FORMAT",
        "BertForSequenceClassification",
    ),
    (
        "choices, with the very same tensors",
        config(architectures=["BertForMultipleChoice"]),
        "UNSUPPORTED_FORMAT",
        "says BertForMultipleChoice (model_type 'bert'); of Hugging Face models these are read: BertForSequenceC",
    ),
    (
        "an encoder as such",
        config(architectures=["BertModel"]),
        "UNSUPPORTED_FORMAT",
        "of an encoder alone, `penult convert`",
    ),
    ("double precision", put("classifier.bias", np.ones(3)), "TENSOR_TYPE", "is F64"),
    ("no architecture", config(architectures=None), "UNSUPPORTED_FORMAT", "no architecture"),
    ("another problem", config(problem_type="ranking"), "CONFIG_UNSUPPORTED", "problem_type is 'ranking'"),
    ("a list of problems", config(problem_type=["regression"]), "CONFIG_UNSUPPORTED", "problem_type"),
    ("layers without end", config(num_hidden_layers=2**70), "CONFIG_UNSUPPORTED", "1000 are the most"),
    ("labels with a hole", config(id2label={"0": "a", "2": "b"}), "CONFIG_UNSUPPORTED", "id2label"),
    ("labels that are none", config(id2label=["a", "b", "c"]), "CONFIG_UNSUPPORTED", "id2label"),
    (
        "relative positions",
        config(position_embedding_type="relative_key"),
        "CONFIG_UNSUPPORTED",
        "relative_key",
    ),
    ("padding", config(pad_token_id=-1), "CONFIG_UNSUPPORTED", "pad_token_id is -1"),
    ("a rate", config(classifier_dropout=1.5), "CONFIG_UNSUPPORTED", "classifier_dropout is 1.5"),
    ("activation", config(hidden_act="silu"), "CONFIG_UNSUPPORTED", "hidden_act is 'silu'"),
    (
        "not JSON",
        lambda d: (d / "config.json").write_text("{") and None,
        "FILE_DAMAGED",
        "config.json is not JSON",
    ),
    (
        "weights cut",
        lambda d: (d / "model.safetensors").write_bytes(b"\x08") and None,
        "FILE_DAMAGED",
        "damaged",
    ),
]


@pytest.mark.parametrize(
    ("change", "reason", "words"), [row[1:] for row in REFUSED], ids=[row[0] for row in REFUSED]
)
def test_refused_with_its_reason_and_what_is_wrong(
    directory: Path, change: Change, reason: str, words: str
) -> None:
    change(directory)
    assert hf_classifier.is_directory(directory)
    with pytest.raises(ModelRefused) as caught:
        hf_classifier.read(directory)
    assert caught.value.reason == reason
    assert words in caught.value.message
    assert caught.value.message.startswith(str(directory))


@pytest.mark.parametrize("kind", KINDS)
def test_every_tensor_is_asked_for(tmp_path: Path, kind: str) -> None:
    """Each in turn is taken away, and each in turn is missed by its name."""
    place = write_tiny_hf(tmp_path / kind, kind).directory
    names = list(hf_classifier.read(place).stored.values())
    whole = (place / "model.safetensors").read_bytes()
    for name in names:
        without(name)(place)
        with pytest.raises(ModelRefused, match=name.replace(".", r"\.")) as caught:
            hf_classifier.read(place)
        assert caught.value.reason == "TENSOR_MISSING"
        (place / "model.safetensors").write_bytes(whole)


@pytest.mark.parametrize("half", ["float16", "bfloat16"])
def test_half_precision_and_old_names_are_read(directory: Path, half: str) -> None:
    import ml_dtypes

    kind = np.dtype(getattr(ml_dtypes, half, half))
    exact = dict(hf_classifier.read(directory).tensors())
    change_tensors(
        directory,
        lambda held: {
            name.replace("LayerNorm.weight", "LayerNorm.gamma").replace("LayerNorm.bias", "LayerNorm.beta"): (
                value.astype(kind)
            )
            for name, value in held.items()
        },
    )
    read = hf_classifier.read(directory)
    assert read.half
    found = dict(read.tensors())
    assert found.keys() == exact.keys()
    assert {value.dtype for value in found.values()} == {np.dtype(np.float32)}
    for name, value in exact.items():
        np.testing.assert_array_equal(found[name], value.astype(kind).astype(np.float32))


def test_weights_are_read_a_few_rows_at_a_time(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from safetensors.numpy import load_file

    exact = load_file(directory / "model.safetensors")
    for block in (1, 7 * 4 * WIDTH):  # a row, and seven, which no tensor is a multiple of
        monkeypatch.setattr(hf_files, "_BLOCK", block)
        read = hf_classifier.read(directory)
        for name, value in read.tensors():
            np.testing.assert_array_equal(value, exact[read.stored[name]])
    last = exact["bert.embeddings.word_embeddings.weight"].copy()
    last[-1, -1] = np.nan
    put("bert.embeddings.word_embeddings.weight", last)(directory)
    with pytest.raises(ModelRefused, match="word_embeddings") as caught:
        hf_classifier.read(directory)
    assert caught.value.reason == "WEIGHTS_NOT_FINITE"


def test_what_older_releases_wrote_besides_is_named(directory: Path) -> None:
    put("bert.embeddings.position_ids", np.arange(48)[None])(directory)
    assert hf_classifier.read(directory).unused == ("bert.embeddings.position_ids",)


def test_prefix_of_the_encoder_may_be_left_out(directory: Path) -> None:
    exact = dict(hf_classifier.read(directory).tensors())
    renamed("bert.", "")(directory)
    found = dict(hf_classifier.read(directory).tensors())
    assert all(np.array_equal(found[name], value) for name, value in exact.items())


def test_names_of_classes(directory: Path) -> None:
    assert hf_classifier.read(directory).labels == ()  # LABEL_0 and so on are nobody's names
    change_json(directory / "config.json", id2label={"2": "good", "0": "bad", "1": "LABEL_1"})
    assert hf_classifier.read(directory).labels == ("bad", "LABEL_1", "good")


def test_without_a_word_there_are_two_classes(tmp_path: Path) -> None:
    place = write_tiny_hf(tmp_path / "model", classes=2).directory
    change_json(place / "config.json", id2label=None)
    assert hf_classifier.read(place).network.classes == 2


def test_other_directories_are_left_to_others(directory: Path, tmp_path: Path) -> None:
    (directory / "saved_model.pb").write_bytes(b"")
    assert not hf_classifier.is_directory(directory)
    preset = tmp_path / "preset"
    preset.mkdir()
    (preset / "model.weights.h5").write_bytes(b"weights")
    (preset / "config.json").write_text(json.dumps({"module": "keras_hub", "class_name": "BertBackbone"}))
    assert not hf_classifier.is_directory(preset)
    key = cache_key(preset, None)
    (preset / "model.weights.h5").write_bytes(b"others")
    assert cache_key(preset, None) != key
    assert hf_classifier.is_directory(write_tiny_bert(tmp_path / "encoder"))


def test_cache_knows_what_is_read(directory: Path) -> None:
    keys = [cache_key(directory, None)]
    (directory / "checkpoint-500").mkdir()
    (directory / "checkpoint-500" / "optimizer.pt").write_bytes(b"state")
    assert cache_key(directory, None) == keys[0]
    for name in ("labels.json", "config.json", "vocab.txt", "tokenizer.json", "model.safetensors"):
        (directory / name).write_bytes(b"changed")
        keys.append(cache_key(directory, None))
    assert len(set(keys)) == len(keys)


def test_settings_without_end_are_not_read(directory: Path) -> None:
    """The server itself asks what a directory is, and for its place in the cache."""
    with (directory / "config.json").open("r+b") as file:
        file.truncate(1 << 40)  # a hole: no disk is used
    assert hf_classifier.is_directory(directory)
    with pytest.raises(ModelRefused, match=r"config\.json is larger than 64 MiB"):
        hf_classifier.read(directory)


@pytest.mark.parametrize(
    "config", ["[" * 10_000, '{"a": ' * 900 + "1" + "}" * 900, '{"n": ' + "9" * 5000 + "}", "[1]"]
)
def test_settings_that_are_none_have_a_place_in_the_cache(directory: Path, config: str) -> None:
    before = cache_key(directory, None), model_digest(directory)
    (directory / "config.json").write_text(config)
    after = cache_key(directory, None), model_digest(directory)
    assert before[0] != after[0]
    assert before[1] != after[1]


def test_digest_is_of_what_is_computed(directory: Path) -> None:
    before = model_digest(directory)
    change_json(directory / "config.json", id2label={"0": "a", "1": "b", "2": "c"}, transformers_version="9")
    (directory / "README.md").write_text("mine")
    assert model_digest(directory) == before
    change_json(directory / "config.json", hidden_act="relu")
    changed = model_digest(directory)
    change_json(directory / "tokenizer_config.json", do_lower_case=False)
    assert len({before, changed, model_digest(directory)}) == 3
