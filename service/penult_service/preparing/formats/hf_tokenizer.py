"""The tokenizer of a Hugging Face directory for the `tokenizers` library: `tokenizer.json`, or made of `vocab.txt`.

What the server will load is written anew, with the model's own length, of parts that are known (`tokenizing.parts`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from penult_service.prepared import TOKENIZER_FILE
from penult_service.preparing.formats.hf_files import (
    TOKENIZER_CONFIG,
    VOCABULARY,
    read_json,
    read_vocabulary,
    refused,
)
from penult_service.preparing.formats.hf_network import Network
from penult_service.tokenizing.library import tokenizer_of
from penult_service.tokenizing.parts import parts_of, refuse_unknown_parts

LENGTH_UNKNOWN = "LENGTH_UNKNOWN"
_NO_WORD = 1_000_000  # transformers writes 10^30 for a tokenizer that was told no length
_MAX_BYTES = 256 << 20  # a vocabulary of 250,000 tokens takes 17 MiB
_WORDPIECE_CLASSES = frozenset(
    f"{kind}Tokenizer{fast}" for kind in ("Bert", "DistilBert", "Electra") for fast in ("", "Fast")
)
_STRANGE = "\U0010fffd \u0378 日本語 👍 \x00 " + "x" * 1000
_SPECIAL = {
    "unk_token": "[UNK]",
    "sep_token": "[SEP]",
    "pad_token": "[PAD]",
    "cls_token": "[CLS]",
    "mask_token": "[MASK]",
}


@dataclass(frozen=True)
class HfTokenizer:
    """A tokenizer that was checked against its model.

    Attributes:
        text: What `tokenizer.json` of the prepared model holds.
        max_length: The most tokens of a text, special ones included; longer ones are cut.
        types: Whether the model is given the types of tokens.
        origin: Where it is from, for a person.
    """

    text: str
    max_length: int
    types: bool
    origin: str


@dataclass(frozen=True)
class Takes:
    """What a model takes of its tokenizer.

    Attributes:
        vocabulary: How many ids its table has.
        padding: The id that texts are padded with; None: that of the tokenizer's [PAD] or <pad>, else 0.
        longest: The most tokens of a text; 0: the tokenizer's files must say it.
        width: The length that every text is padded to; 0: the longest of its batch.
        wordpieces: Whether `vocab.txt` without `tokenizer.json` is enough: it means BERT's word pieces.
    """

    vocabulary: int
    padding: int | None
    longest: int
    width: int = 0
    wordpieces: bool = True


def read(directory: Path, network: Network, longest: int = 0) -> HfTokenizer:
    """Reads and checks the tokenizer of a Hugging Face classifier.

    Args:
        directory: Where its files are.
        network: The classifier.
        longest: The most tokens of a text that a person wants; 0: as many as the model reads.

    Raises:
        ModelRefused: FILE_MISSING, FILE_DAMAGED, TOKENIZER_UNSUPPORTED, VOCABULARY_UNSUPPORTED.
    """
    family = network.family
    known = family.model_type in ("bert", "distilbert", "electra")
    most = min(longest or network.longest, network.longest)
    takes = Takes(network.encoder.vocabulary_size, network.padding, most, wordpieces=known)
    names = settings_of(directory).get("model_input_names")
    default = family.types and not family.behind_padding
    types = family.types and "token_type_ids" in names if isinstance(names, list) else default
    return read_for(directory, takes, types=types)


def settings_of(directory: Path) -> Mapping[str, Any]:
    """What `tokenizer_config.json` says; nothing without it."""
    return read_json(directory, TOKENIZER_CONFIG) if (directory / TOKENIZER_CONFIG).exists() else {}


def read_for(directory: Path, takes: Takes, *, types: bool, **defaults: Any) -> HfTokenizer:
    """Reads and checks the tokenizer of a model that takes this.

    Args:
        directory: Where its files are.
        takes: What the model takes.
        types: Whether the model is given the types of tokens.
        defaults: Settings for what `tokenizer_config.json` does not say.

    Raises:
        ModelRefused: as `read`; LENGTH_UNKNOWN, nothing says how many tokens of a text are read.
    """
    settings = {**defaults, **settings_of(directory)}
    if (directory / TOKENIZER_FILE).exists():
        tokenizer, cut, origin = *_from_json(directory, settings), TOKENIZER_FILE
    else:
        tokenizer, cut, origin = _from_vocabulary(directory, settings, takes), 0, VOCABULARY
    _check_against_model(directory, tokenizer, takes)
    length = _max_length(directory, settings, takes, cut)
    side = settings.get("truncation_side", "right")
    if side not in ("right", "left"):
        raise _unsupported(directory, f"{TOKENIZER_CONFIG}: truncation_side is {side!r}")
    tokenizer.enable_truncation(length, direction=side)
    padding = _padding(tokenizer) if takes.padding is None else takes.padding
    token = tokenizer.id_to_token(padding) or ""
    tokenizer.enable_padding(direction="right", pad_id=padding, pad_token=token, length=takes.width or None)
    return HfTokenizer(tokenizer.to_str(), length, types, origin)


def _unsupported(directory: Path, what: str) -> Exception:
    return refused(directory, "TOKENIZER_UNSUPPORTED", what)


def _from_json(directory: Path, settings: Mapping[str, Any]) -> tuple[Any, int]:
    """The tokenizer, and the length that it cuts to, 0 when it does not."""
    raw = read_json(directory, TOKENIZER_FILE, _MAX_BYTES)
    try:
        refuse_unknown_parts(raw)
    except ValueError as error:
        raise _unsupported(directory, f"{TOKENIZER_FILE}: {error}") from error
    _refuse_contradiction(directory, parts_of(raw, "normalizer"), parts_of(raw, "pre_tokenizer"), settings)
    try:
        tokenizer = tokenizer_of({**raw, "truncation": None, "padding": None})
    except Exception as error:  # the library raises nothing more special
        raise refused(
            directory, "FILE_DAMAGED", f"{TOKENIZER_FILE} is no tokenizer ({str(error)[:200]})"
        ) from error
    _refuse_other_vocabulary(directory, raw)
    truncation = raw.get("truncation")
    told = truncation.get("max_length") if isinstance(truncation, dict) else 0
    return tokenizer, told if isinstance(told, int) and told > 0 else 0


def _refuse_contradiction(
    directory: Path, normalizers: list[Any], pre_tokenizers: list[Any], settings: Mapping[str, Any]
) -> None:
    """Releases of transformers differ in which of the two files they believe, so both must say the same."""
    bert: dict[str, Any] = next((part for part in normalizers if part["type"] == "BertNormalizer"), {})
    level: dict[str, Any] = next((part for part in pre_tokenizers if part["type"] == "ByteLevel"), {})
    lower = bool(bert.get("lowercase")) or any(part["type"] == "Lowercase" for part in normalizers)
    pairs: list[tuple[str, Any]] = [("do_lower_case", lower)]
    pairs += [("strip_accents", bert.get("strip_accents"))] if bert else []
    pairs += [("tokenize_chinese_chars", bert.get("handle_chinese_chars"))] if bert else []
    pairs += [("add_prefix_space", level.get("add_prefix_space"))] if level else []
    for key, found in pairs:
        if settings.get(key, found) != found:
            what = f"{TOKENIZER_CONFIG} says {key} {settings[key]}, {TOKENIZER_FILE} says {found}"
            raise _unsupported(
                directory, f"{what}; save the tokenizer again with the one it was trained with"
            )


def _refuse_other_vocabulary(directory: Path, raw: Mapping[str, Any]) -> None:
    model = raw.get("model")
    words = model.get("vocab") if isinstance(model, dict) and model.get("type") == "WordPiece" else None
    if isinstance(words, dict) and (directory / VOCABULARY).is_file():
        tokens = read_vocabulary(directory)
        if words != {token: number for number, token in enumerate(tokens)}:
            what = f"{VOCABULARY} and {TOKENIZER_FILE} hold different words; remove the one that is not the model's"
            raise refused(directory, "VOCABULARY_UNSUPPORTED", what)


def _from_vocabulary(directory: Path, settings: Mapping[str, Any], takes: Takes) -> Any:
    """BERT's word pieces, as transformers makes them of `vocab.txt` and `tokenizer_config.json`."""
    from tokenizers import AddedToken, Tokenizer, models, normalizers, pre_tokenizers, processors

    default = "BertTokenizer" if takes.wordpieces else "another tokenizer"
    named = settings.get("tokenizer_class") or default
    if named not in _WORDPIECE_CLASSES or not (directory / VOCABULARY).is_file():
        what = (
            f"{TOKENIZER_FILE} is missing; write it: AutoTokenizer.from_pretrained(DIR, use_fast=True)"
            ".save_pretrained(DIR)"
        )
        raise refused(directory, "FILE_MISSING", what if named in _WORDPIECE_CLASSES else f"{what} ({named})")
    if not all(isinstance(settings.get(key), bool | None) for key in ("do_lower_case", "strip_accents")):
        raise _unsupported(
            directory, f"{TOKENIZER_CONFIG}: do_lower_case or strip_accents is neither true nor false"
        )
    if not settings.get("do_basic_tokenize", True) or settings.get("never_split"):
        raise _unsupported(
            directory, f"{TOKENIZER_CONFIG}: do_basic_tokenize and never_split are not known here"
        )
    tokens = read_vocabulary(directory)
    vocabulary = {token: number for number, token in enumerate(tokens)}
    special = {key: _content(settings.get(key)) or token for key, token in _SPECIAL.items()}
    absent = [
        special[key] for key in ("unk_token", "sep_token", "cls_token") if special[key] not in vocabulary
    ]
    added = _added(settings)
    absent += [token for token in added if token not in vocabulary]
    if absent or len(vocabulary) < len(tokens):
        what = f"lacks {', '.join(absent)}" if absent else "has a word more than once"
        raise refused(directory, "VOCABULARY_UNSUPPORTED", f"{VOCABULARY} {what}")
    tokenizer = Tokenizer(models.WordPiece(vocabulary, unk_token=special["unk_token"]))
    tokenizer.normalizer = normalizers.BertNormalizer(
        clean_text=True,
        handle_chinese_chars=bool(settings.get("tokenize_chinese_chars", True)),
        strip_accents=settings.get("strip_accents"),
        lowercase=bool(settings.get("do_lower_case", True)),
    )
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    ends = [(special[key], vocabulary[special[key]]) for key in ("sep_token", "cls_token")]
    tokenizer.post_processor = processors.BertProcessing(*ends)
    names = dict.fromkeys([*special.values(), *added])
    tokenizer.add_special_tokens(
        [AddedToken(name, special=True, normalized=False) for name in names if name in vocabulary]
    )
    return tokenizer


def _added(settings: Mapping[str, Any]) -> list[str]:
    """Tokens that were added to the vocabulary by hand."""
    found = settings.get("added_tokens_decoder")
    tokens = [_content(token) for token in found.values()] if isinstance(found, dict) else []
    return [token for token in tokens if token]


def _content(value: Any) -> str | None:
    """A special token: a string, or an object around one."""
    found = value.get("content") if isinstance(value, dict) else value
    return found if isinstance(found, str) else None


def _check_against_model(directory: Path, tokenizer: Any, takes: Takes) -> None:
    size = 1 + max(tokenizer.get_vocab(with_added_tokens=True).values(), default=-1)
    rows = takes.vocabulary
    if size > rows:
        what = f"the tokenizer has ids up to {size - 1}, the model's table {rows} rows; one of them is not this model's"
        raise refused(directory, "VOCABULARY_UNSUPPORTED", what)
    try:
        tokenizer.encode(_STRANGE)
    except Exception as error:  # the library raises nothing more special
        what = f"the tokenizer fails where a text has characters that it does not know ({str(error)[:200]})"
        raise _unsupported(directory, what) from error
    if not tokenizer.encode("").ids:
        raise _unsupported(
            directory, f"{TOKENIZER_FILE} puts no token such as [CLS] in front, which the classifier reads"
        )


def _padding(tokenizer: Any) -> int:
    found = (tokenizer.token_to_id(name) for name in ("[PAD]", "<pad>"))
    return next((number for number in found if number is not None), 0)


def _max_length(directory: Path, settings: Mapping[str, Any], takes: Takes, cut: int) -> int:
    """What the tokenizer was told, at most what the model has room for; no word is said with a huge number."""
    told = settings.get("model_max_length", takes.longest or cut)
    if not takes.longest and isinstance(told, int | float) and not 0 < told < _NO_WORD:
        raise refused(
            directory,
            LENGTH_UNKNOWN,
            "nothing says how many tokens of a text the model reads; declare it in penult.toml: max_length = 128",
        )
    longest = takes.longest or told
    if isinstance(told, bool) or not isinstance(told, int | float) or told < 3 or longest < 3:
        raise _unsupported(directory, f"{TOKENIZER_CONFIG}: model_max_length is {told!r}")
    return int(min(told, longest))
