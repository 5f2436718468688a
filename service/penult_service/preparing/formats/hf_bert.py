"""The reader of Hugging Face BERT directories: `config.json`, `vocab.txt`, `tokenizer_config.json`, weights.

Everything is checked here, once: what `read` returns can be built and converted. No torch.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from penult_service.errors import ModelRefused, NotFound

CONFIG = "config.json"
TOKENIZER_CONFIG = "tokenizer_config.json"
VOCABULARY = "vocab.txt"
WEIGHTS = "model.safetensors"
SPECIAL_TOKENS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]")
ACTIVATIONS = ("gelu", "gelu_new", "gelu_pytorch_tanh", "relu")

Shapes = dict[str, tuple[int, ...]]


@dataclass(frozen=True)
class BertConfig:
    """The sizes and settings of a BERT encoder, by the names of this code base."""

    vocabulary_size: int
    layers: int
    heads: int
    width: int
    intermediate: int
    max_positions: int
    segments: int
    activation: str
    epsilon: float
    hidden_dropout: float
    attention_dropout: float


@dataclass(frozen=True)
class HfBert:
    """A checked directory: its settings, its vocabulary in the order of ids, whether texts are lowered."""

    directory: Path
    config: BertConfig
    vocabulary: tuple[str, ...]
    lower_case: bool


def read(directory: Path) -> HfBert:
    """Reads and checks a Hugging Face BERT directory, its weights by name, shape, type and for NaN.

    Raises:
        NotFound: There is no such directory.
        ModelRefused: It is no BERT, or something is missing, damaged or not supported; `reason` says which.
    """
    if not directory.is_dir():
        raise NotFound(f"{directory} is not a directory", reason="MODEL_NOT_FOUND")
    settings = _json(directory, CONFIG)
    if settings.get("model_type") != "bert":
        kind = settings.get("model_type", "nothing")
        raise refused(
            directory, "NOT_A_BERT", f"{CONFIG} says model_type {kind!r}; only 'bert' can be converted"
        )
    for name in (VOCABULARY, WEIGHTS):
        _need(directory, name)
    config = _config(directory, settings)
    bert = HfBert(directory, config, _vocabulary(directory, config), _lower_case(directory))
    _check_weights(directory, config)
    return bert


def refused(directory: Path, reason: str, what: str) -> ModelRefused:
    """The error for a directory that cannot be used, in one form."""
    return ModelRefused(f"{directory}: {what}", reason=reason)


def expected_shapes(config: BertConfig) -> Shapes:
    """The plain name and shape of every weight that a `BertModel` of this configuration has."""
    width, inner = config.width, config.intermediate
    shapes: Shapes = {
        "embeddings.word_embeddings.weight": (config.vocabulary_size, width),
        "embeddings.position_embeddings.weight": (config.max_positions, width),
        "embeddings.token_type_embeddings.weight": (config.segments, width),
        **_norm("embeddings.LayerNorm", width),
    }
    for index in range(config.layers):
        layer = f"encoder.layer.{index}"
        for part in ("self.query", "self.key", "self.value", "output.dense"):
            shapes |= _dense(f"{layer}.attention.{part}", width, width)
        shapes |= _norm(f"{layer}.attention.output.LayerNorm", width)
        shapes |= _dense(f"{layer}.intermediate.dense", inner, width)
        shapes |= _dense(f"{layer}.output.dense", width, inner)
        shapes |= _norm(f"{layer}.output.LayerNorm", width)
    return shapes | _dense("pooler.dense", width, width)


def _dense(prefix: str, rows: int, columns: int) -> Shapes:
    return {f"{prefix}.weight": (rows, columns), f"{prefix}.bias": (rows,)}


def _norm(prefix: str, width: int) -> Shapes:
    return {f"{prefix}.weight": (width,), f"{prefix}.bias": (width,)}


def _need(directory: Path, name: str) -> Path:
    path = directory / name
    if not path.is_file():
        hint = ""
        if name == WEIGHTS and (directory / "pytorch_model.bin").exists():
            hint = (
                "; pytorch_model.bin is a pickle and is not read: save the model with safe_serialization=True"
            )
        raise refused(directory, "FILE_MISSING", f"{name} is missing{hint}")
    return path


def _json(directory: Path, name: str) -> dict[str, Any]:
    try:
        value = json.loads(_need(directory, name).read_text(encoding="utf-8"))
    except ValueError as error:
        raise refused(directory, "FILE_DAMAGED", f"{name} is not JSON ({error})") from error
    if not isinstance(value, dict):
        raise refused(directory, "FILE_DAMAGED", f"{name} holds no JSON object")
    return value


def _config(directory: Path, settings: dict[str, Any]) -> BertConfig:
    def get(key: str, kind: Callable[[Any], Any], valid: Callable[[Any], bool], default: Any = None) -> Any:
        value = settings.get(key, default)
        if isinstance(value, bool) or not isinstance(value, int | float) or not valid(value):
            raise refused(directory, "CONFIG_UNSUPPORTED", f"{CONFIG}: {key} is {value!r}")
        return kind(value)

    def size(key: str, default: int | None = None) -> int:
        return int(get(key, int, lambda value: isinstance(value, int) and value > 0, default))

    def rate(key: str) -> float:
        return float(get(key, float, lambda value: 0 <= value < 1, 0.1))

    config = BertConfig(
        vocabulary_size=size("vocab_size"),
        layers=size("num_hidden_layers"),
        heads=size("num_attention_heads"),
        width=size("hidden_size"),
        intermediate=size("intermediate_size"),
        max_positions=size("max_position_embeddings"),
        segments=size("type_vocab_size", 2),
        activation=str(settings.get("hidden_act", "gelu")),
        epsilon=float(get("layer_norm_eps", float, lambda value: 0 < value < 1, 1e-12)),
        hidden_dropout=rate("hidden_dropout_prob"),
        attention_dropout=rate("attention_probs_dropout_prob"),
    )
    _check_supported(directory, settings, config)
    return config


def _check_supported(directory: Path, settings: dict[str, Any], config: BertConfig) -> None:
    position = settings.get("position_embedding_type", "absolute")
    problem = ""
    if config.activation not in ACTIVATIONS:
        problem = f"hidden_act is {config.activation!r}; known are {', '.join(ACTIVATIONS)}"
    elif position != "absolute":
        problem = f"position_embedding_type is {position!r}; only 'absolute' can be converted"
    elif settings.get("is_decoder"):
        problem = "is_decoder is set; only encoders can be converted"
    elif config.width % config.heads:
        problem = f"hidden_size {config.width} is not a multiple of num_attention_heads {config.heads}"
    if problem:
        raise refused(directory, "CONFIG_UNSUPPORTED", f"{CONFIG}: {problem}")


def _vocabulary(directory: Path, config: BertConfig) -> tuple[str, ...]:
    try:
        text = (directory / VOCABULARY).read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise refused(directory, "FILE_DAMAGED", f"{VOCABULARY} is not UTF-8 ({error})") from error
    # Not splitlines(): a vocabulary may hold U+2028 and its like as tokens.
    tokens = tuple(text.removesuffix("\n").split("\n"))
    missing = [token for token in SPECIAL_TOKENS if token not in tokens]
    if missing:
        raise refused(directory, "VOCABULARY_UNSUPPORTED", f"{VOCABULARY} lacks {', '.join(missing)}")
    if len(tokens) > config.vocabulary_size:
        what = f"{VOCABULARY} has {len(tokens)} tokens, {CONFIG} says vocab_size {config.vocabulary_size}"
        raise refused(directory, "VOCABULARY_UNSUPPORTED", what)
    if len(set(tokens)) < len(tokens):
        twice = next(token for index, token in enumerate(tokens) if token in tokens[:index])
        raise refused(directory, "VOCABULARY_UNSUPPORTED", f"{VOCABULARY} has {twice!r} more than once")
    return tokens


def _lower_case(directory: Path) -> bool:
    """Whether texts are lowered; what tensorflow-text's tokenizer cannot do is refused, not approximated."""
    settings = _json(directory, TOKENIZER_CONFIG) if (directory / TOKENIZER_CONFIG).exists() else {}
    lower = settings.get("do_lower_case", True)  # the default of Hugging Face's BertTokenizer
    accents = settings.get("strip_accents")
    if accents is not None and accents != lower:
        what = (
            f"{TOKENIZER_CONFIG}: no TensorFlow tokenizer has do_lower_case {lower}, strip_accents {accents}"
        )
        raise refused(directory, "TOKENIZER_UNSUPPORTED", what)
    if not settings.get("tokenize_chinese_chars", True):
        what = f"{TOKENIZER_CONFIG}: no TensorFlow tokenizer has tokenize_chinese_chars false"
        raise refused(directory, "TOKENIZER_UNSUPPORTED", what)
    return bool(lower)


def _open_weights(path: Path) -> Any:
    from safetensors import SafetensorError, safe_open

    try:
        return safe_open(path, framework="np")
    except (SafetensorError, OSError) as error:
        what = f"{path.name} is damaged or not complete ({error})"
        raise refused(path.parent, "FILE_DAMAGED", what) from error


def _check_weights(directory: Path, config: BertConfig) -> None:
    expected = expected_shapes(config)
    with _open_weights(directory / WEIGHTS) as file:
        stored = {_plain(name): name for name in file.keys()}  # noqa: SIM118  (not a dict)
        missing = [name for name in expected if name not in stored]
        if missing:
            more = f" and {len(missing) - 3} more" if len(missing) > 3 else ""
            what = (
                f"{WEIGHTS} lacks {len(missing)} of {len(expected)} tensors: {', '.join(missing[:3])}{more}"
            )
            raise refused(directory, "TENSOR_MISSING", what)
        for name, shape in expected.items():
            _check_tensor(directory, file, stored[name], shape)


def _check_tensor(directory: Path, file: Any, name: str, shape: tuple[int, ...]) -> None:
    view = file.get_slice(name)
    found, kind = tuple(view.get_shape()), view.get_dtype()
    if found != shape:
        what = f"{name} has shape {list(found)}, {CONFIG} says {list(shape)}"
        raise refused(directory, "TENSOR_SHAPE", what)
    if kind not in ("F16", "F32", "F64"):
        raise refused(directory, "TENSOR_TYPE", f"{name} is {kind}; save the model as float32 or float16")
    if not np.isfinite(file.get_tensor(name)).all():
        raise refused(directory, "WEIGHTS_NOT_FINITE", f"{name} holds NaN or infinity")


def _plain(name: str) -> str:
    """A tensor's name without the task model's prefix and with today's names of the layer norm."""
    name = name.removeprefix("bert.")
    return name.replace("LayerNorm.gamma", "LayerNorm.weight").replace("LayerNorm.beta", "LayerNorm.bias")
