"""The reader of Hugging Face BERT directories: `config.json`, `vocab.txt`, `tokenizer_config.json`, weights.

Everything is checked here, once: what `read` returns can be built and converted. No torch.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from penult_service.errors import NotFound
from penult_service.preparing.formats.hf_files import (
    CONFIG,
    TOKENIZER_CONFIG,
    VOCABULARY,
    WEIGHTS,
    Settings,
    Shapes,
    check_tensors,
    need,
    open_weights,
    plain_norm,
    read_json,
    read_vocabulary,
    refused,
)

SPECIAL_TOKENS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]")
MOST_LAYERS = 1000
ACTIVATIONS = ("gelu", "gelu_new", "gelu_pytorch_tanh", "relu")


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
    settings = read_json(directory, CONFIG)
    if settings.get("model_type") != "bert":
        kind = settings.get("model_type", "nothing")
        raise refused(
            directory, "NOT_A_BERT", f"{CONFIG} says model_type {kind!r}; only 'bert' can be converted"
        )
    for name in (VOCABULARY, WEIGHTS):
        need(directory, name)
    config = _config(directory, settings)
    bert = HfBert(directory, config, _vocabulary(directory, config), _lower_case(directory))
    _check_weights(directory, config)
    return bert


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


def _config(directory: Path, values: dict[str, Any]) -> BertConfig:
    settings = Settings(directory, values)
    config = BertConfig(
        vocabulary_size=settings.size("vocab_size"),
        layers=settings.size("num_hidden_layers"),
        heads=settings.size("num_attention_heads"),
        width=settings.size("hidden_size"),
        intermediate=settings.size("intermediate_size"),
        max_positions=settings.size("max_position_embeddings"),
        segments=settings.size("type_vocab_size", 2),
        activation=str(values.get("hidden_act", "gelu")),
        epsilon=settings.epsilon("layer_norm_eps"),
        hidden_dropout=settings.rate("hidden_dropout_prob"),
        attention_dropout=settings.rate("attention_probs_dropout_prob"),
    )
    check_supported(settings, config)
    return config


def check_supported(settings: Settings, config: BertConfig) -> None:
    """That this release can build such an encoder. Raises ModelRefused: CONFIG_UNSUPPORTED."""
    position = settings.values.get("position_embedding_type", "absolute")
    problem = ""
    if config.activation not in ACTIVATIONS:
        key = "activation" if "activation" in settings.values else "hidden_act"
        problem = f"{key} is {config.activation!r}; known are {', '.join(ACTIVATIONS)}"
    elif position != "absolute":
        problem = f"position_embedding_type is {position!r}; only 'absolute' is known"
    elif settings.values.get("is_decoder"):
        problem = "is_decoder is set; only encoders are known"
    elif config.layers > MOST_LAYERS:
        problem = f"it has {config.layers} layers; {MOST_LAYERS} are the most"
    elif config.width % config.heads:
        problem = f"the width {config.width} is not a multiple of the {config.heads} attention heads"
    if problem:
        raise settings.refused(problem)


def _vocabulary(directory: Path, config: BertConfig) -> tuple[str, ...]:
    tokens = read_vocabulary(directory)
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
    settings = read_json(directory, TOKENIZER_CONFIG) if (directory / TOKENIZER_CONFIG).exists() else {}
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


def _check_weights(directory: Path, config: BertConfig) -> None:
    with open_weights(directory / WEIGHTS) as file:
        # A tensor's plain name has no prefix of the task model.
        stored = {plain_norm(name.removeprefix("bert.")): name for name in file.keys()}  # noqa: SIM118  (not a dict)
        check_tensors(directory, file, stored, expected_shapes(config))
