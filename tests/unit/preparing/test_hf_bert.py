"""Which Hugging Face directories are taken, and by what name the others are refused."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from penult_service.errors import ModelRefused, NotFound
from penult_service.preparing.formats import hf_bert
from safetensors.numpy import load_file, save_file
from support.tiny_bert import VOCABULARY, write_tiny_bert

Change = Callable[[Path], None]


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    return write_tiny_bert(tmp_path / "bert")


def settings(name: str = "config.json", **changes: Any) -> Change:
    def change(directory: Path) -> None:
        path = directory / name
        path.write_text(json.dumps(json.loads(path.read_text()) | changes))

    return change


def tensors(change: Callable[[dict[str, Any]], dict[str, Any]]) -> Change:
    def apply(directory: Path) -> None:
        path = directory / "model.safetensors"
        save_file(change(load_file(path)), path)

    return apply


def without(name: str) -> Change:
    return lambda directory: (directory / name).unlink()


def written(name: str, content: bytes) -> Change:
    return lambda directory: (directory / name).write_bytes(content) and None


def truncated(directory: Path) -> None:
    path = directory / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-1000])


def pickled(directory: Path) -> None:
    (directory / "model.safetensors").rename(directory / "pytorch_model.bin")


def drop(*names: str) -> Change:
    return tensors(lambda held: {name: held[name] for name in held if name not in names})


def put(name: str, value: np.ndarray) -> Change:
    return tensors(lambda held: held | {name: value})


NOT_FINITE = np.full([32], np.nan, np.float32)
WORDS = "".join(f"{token}\n" for token in VOCABULARY)

REFUSED: list[tuple[str, Change, str, str]] = [
    ("no config", without("config.json"), "FILE_MISSING", "config.json is missing"),
    ("no vocabulary", without("vocab.txt"), "FILE_MISSING", "vocab.txt is missing"),
    ("no weights", without("model.safetensors"), "FILE_MISSING", "model.safetensors is missing"),
    ("a pickle", pickled, "FILE_MISSING", "pytorch_model.bin is a pickle"),
    ("config not JSON", written("config.json", b"{"), "FILE_DAMAGED", "config.json is not JSON"),
    ("config not UTF-8", written("config.json", b"\xff{}"), "FILE_DAMAGED", "config.json is not JSON"),
    ("config a list", written("config.json", b"[]"), "FILE_DAMAGED", "config.json holds no JSON object"),
    ("vocabulary not UTF-8", written("vocab.txt", b"\xff\n"), "FILE_DAMAGED", "vocab.txt is not UTF-8"),
    ("weights cut", truncated, "FILE_DAMAGED", "model.safetensors is damaged"),
    ("weights empty", written("model.safetensors", b""), "FILE_DAMAGED", "model.safetensors is damaged"),
    ("another model", settings(model_type="roberta"), "NOT_A_BERT", "'roberta'"),
    ("no model type", settings(model_type=None), "NOT_A_BERT", "model_type None"),
    ("no size", settings(hidden_size=None), "CONFIG_UNSUPPORTED", "hidden_size is None"),
    ("negative size", settings(num_hidden_layers=-1), "CONFIG_UNSUPPORTED", "num_hidden_layers is -1"),
    ("fractional size", settings(vocab_size=2.5), "CONFIG_UNSUPPORTED", "vocab_size is 2.5"),
    ("a truth value", settings(hidden_size=True), "CONFIG_UNSUPPORTED", "hidden_size is True"),
    ("dropout of one", settings(hidden_dropout_prob=1), "CONFIG_UNSUPPORTED", "hidden_dropout_prob is 1"),
    ("activation", settings(hidden_act="swish"), "CONFIG_UNSUPPORTED", "hidden_act is 'swish'"),
    ("positions", settings(position_embedding_type="relative_key"), "CONFIG_UNSUPPORTED", "relative_key"),
    ("a decoder", settings(is_decoder=True), "CONFIG_UNSUPPORTED", "is_decoder"),
    ("heads", settings(num_attention_heads=5), "CONFIG_UNSUPPORTED", "not a multiple"),
    ("no pooler", drop("pooler.dense.weight", "pooler.dense.bias"), "TENSOR_MISSING", "pooler.dense.weight"),
    ("a layer more", settings(num_hidden_layers=3), "TENSOR_MISSING", "encoder.layer.2.attention"),
    ("a shape", put("pooler.dense.bias", np.zeros([31], np.float32)), "TENSOR_SHAPE", "pooler.dense.bias"),
    ("integers", put("pooler.dense.bias", np.zeros([32], np.int32)), "TENSOR_TYPE", "is I32"),
    ("NaN", put("pooler.dense.bias", NOT_FINITE), "WEIGHTS_NOT_FINITE", "pooler.dense.bias"),
    (
        "no [SEP]",
        written("vocab.txt", WORDS.replace("[SEP]", "[sep]").encode()),
        "VOCABULARY_UNSUPPORTED",
        "[SEP]",
    ),
    (
        "a word twice",
        written("vocab.txt", WORDS.replace("film\n", "good\n").encode()),
        "VOCABULARY_UNSUPPORTED",
        "'good'",
    ),
    (
        "too many words",
        written("vocab.txt", (WORDS + "more\n").encode()),
        "VOCABULARY_UNSUPPORTED",
        "233 tokens",
    ),
    (
        "accents",
        settings("tokenizer_config.json", strip_accents=False),
        "TOKENIZER_UNSUPPORTED",
        "strip_accents",
    ),
    (
        "Chinese",
        settings("tokenizer_config.json", tokenize_chinese_chars=False),
        "TOKENIZER_UNSUPPORTED",
        "tokenize_chinese_chars",
    ),
]


@pytest.mark.parametrize(
    ("change", "reason", "words"), [row[1:] for row in REFUSED], ids=[row[0] for row in REFUSED]
)
def test_refused_with_its_reason_and_what_is_wrong(
    directory: Path, change: Change, reason: str, words: str
) -> None:
    change(directory)
    with pytest.raises(ModelRefused) as caught:
        hf_bert.read(directory)
    assert caught.value.reason == reason
    assert words in caught.value.message
    assert str(directory) in caught.value.message


def test_nothing_there(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="is not a directory"):
        hf_bert.read(tmp_path / "nothing")


def test_read(directory: Path) -> None:
    bert = hf_bert.read(directory)
    assert bert.vocabulary == VOCABULARY
    assert bert.lower_case
    sizes = (bert.config.layers, bert.config.width, bert.config.heads, bert.config.intermediate)
    assert sizes == (2, 32, 2, 64)


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(
            tensors(lambda held: {f"bert.{name}": held[name] for name in held}), id="task model's prefix"
        ),
        pytest.param(
            tensors(
                lambda held: {
                    name.replace("LayerNorm.weight", "LayerNorm.gamma"): held[name] for name in held
                }
            ),
            id="names of the first releases",
        ),
        pytest.param(
            tensors(lambda held: {name: held[name].astype(np.float16) for name in held}), id="half precision"
        ),
        pytest.param(put("cls.predictions.bias", np.zeros([3], np.float32)), id="tensors of a head"),
        pytest.param(without("tokenizer_config.json"), id="no tokenizer config"),
        pytest.param(written("vocab.txt", WORDS.replace("\n", "\r\n").encode()), id="CRLF"),
    ],
)
def test_other_spellings_are_read_alike(directory: Path, change: Change) -> None:
    plain = hf_bert.read(directory)
    change(directory)
    assert hf_bert.read(directory) == plain
