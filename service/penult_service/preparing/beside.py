"""The tokenizer beside a model that takes token ids: with it, texts can be given too."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import tensorflow as tf

from penult_service.errors import ModelRefused
from penult_service.prepared import TOKENIZER_FILE, TokenInput
from penult_service.preparing.cut import cut
from penult_service.preparing.declarations.declaration import Declaration
from penult_service.preparing.formats.hf_files import TOKENIZER_CONFIG, VOCABULARY, read_vocabulary
from penult_service.preparing.formats.hf_tokenizer import LENGTH_UNKNOWN, Takes, read_for
from penult_service.preparing.opened import Input, Opened
from penult_service.preparing.parts import spec_of
from penult_service.preparing.places import Seams

FILES = (TOKENIZER_FILE, VOCABULARY)
_LEAST, _MOST = 8, 4096  # attention over more takes gigabytes
_NO_LENGTH = (
    "nothing says where texts are cut, so they are where the model can read no more; when it was trained on shorter "
    "ones, declare it in penult.toml: max_length = 128"
)
_ROLES = frozenset({"ids", "mask", "types"})
# What is called so is what a tokenizer makes; the graph alone does not tell it from other small whole numbers.
_CALLED = {"mask": ("mask",), "types": ("type", "seg")}


def with_tokenizer(opened: Opened, seams: Seams, declared: Declaration) -> Opened:
    """The model, with the tokenizer whose files lie beside it, where there is one and the model takes tokens.

    Args:
        opened: The model.
        seams: Where it is cut: its token inputs, and how many ids there are.
        declared: The tokenizer's files, the most tokens of a text.

    Raises:
        ModelRefused: as `formats.hf_tokenizer.read_for`; VOCABULARY_UNSUPPORTED, more words than the model has ids;
            ROLE_UNKNOWN, an input that may be something else than what a tokenizer makes.
    """
    tokens = [token for token, _ in seams.tokens if token.role != "value"]
    if opened.texts or opened.tokenizer_text or "ids" not in {token.role for token in tokens}:
        return opened
    home = _home(opened.source, declared)
    roles = [token.role for token in tokens]
    if home is None or not _ROLES.issuperset(roles):
        return opened
    if len(roles) > len(set(roles)):
        said = ", ".join(f"{token.field or token.name} ({token.role})" for token in tokens)
        note = f"the tokenizer beside the model is not used: which text goes into which input is not said, of {said}"
        return replace(opened, notes=(*opened.notes, note))
    _refuse_unnamed(home, tokens, declared)
    width = _width(opened.inputs, {token.field for token in tokens})
    settings, notes = _casing(home)
    longest = declared.max_length or width
    takes = Takes(seams.vocabulary, None, min(longest, width or longest), width)
    types = any(token.role == "types" for token in tokens)
    try:
        found = read_for(home, takes, types=types, **settings)
    except ModelRefused as refused:
        if refused.reason != LENGTH_UNKNOWN:
            raise
        found = read_for(home, replace(takes, longest=_room(opened, seams)), types=types, **settings)
        notes = (*notes, _NO_LENGTH)
    origin = f"texts are made tokens by the tokenizers library, of {found.origin} beside the model"
    notes = (*opened.notes, f"{origin}, at most {found.max_length} a text", *notes)
    return replace(opened, tokenizer_text=found.text, notes=notes)


def _refuse_unnamed(home: Path, tokens: Sequence[TokenInput], declared: Declaration) -> None:
    """Refuses to fill an input with the mask or the types of a text that may be something else."""
    for token in tokens:
        parts = _CALLED.get(token.role, ())
        if not parts or not token.field or token.field in declared.inputs:
            continue
        if not any(part in token.field.lower() for part in parts):
            raise ModelRefused(
                f"{home}: whether the tokenizer there makes the input {token.field!r} is not said; declare it in "
                f'penult.toml: inputs = {{ "{token.field}" = "{token.role}" }} when it is the {token.role} of the '
                'tokens, or "value" when it is given beside each text',
                reason="ROLE_UNKNOWN",
            )


def _room(opened: Opened, seams: Seams) -> int:
    """The most tokens of a text that the graph can be run on, by trying; at most `_MOST`."""
    specs = {ref: spec_of(token) for token, ref in seams.tokens}
    run = cut(opened.flat, specs, {"read": seams.before or next(iter(opened.flat.outputs.values()))})

    def runs(length: int) -> bool:
        rows = [
            tf.zeros([1, *(length if n < 0 else n for n in token.shape)], token.dtype)
            for token, _ in seams.tokens
        ]
        try:
            run(*rows)
        except (tf.errors.OpError, ValueError):
            return False
        return True

    low = _LEAST
    while low < _MOST and runs(2 * low):
        low *= 2
    high = min(2 * low, _MOST)
    while high - low > 1 and low < _MOST:
        middle = (low + high) // 2
        low, high = (middle, high) if runs(middle) else (low, middle)
    return low


def _home(source: Path, declared: Declaration) -> Path | None:
    """The folder of the tokenizer's files, or None without them."""
    home = source if source.is_dir() else source.parent
    known = {*FILES, TOKENIZER_CONFIG}
    for name in declared.tokenizer:
        if Path(name).name not in known:
            raise ModelRefused(
                f"{home}: penult.toml names {name!r} as a file of the tokenizer; these are known: "
                f"{', '.join(sorted(known))}",
                reason="TOKENIZER_UNSUPPORTED",
            )
        return (home / name).parent
    return home if any((home / name).is_file() for name in FILES) else None


def _width(inputs: tuple[Input, ...], names: set[str]) -> int:
    """The length that the model's token inputs have; 0: any."""
    return next((one.shape[1] or 0 for one in inputs if one.name in names and len(one.shape) == 2), 0)


def _casing(home: Path) -> tuple[dict[str, Any], tuple[str, ...]]:
    """Whether texts are lowered, where only `vocab.txt` tells: a vocabulary without capitals has no use for them."""
    if (home / TOKENIZER_CONFIG).is_file() or (home / TOKENIZER_FILE).is_file():
        return {}, ()
    lower = not any(word != word.lower() for word in read_vocabulary(home) if not word.startswith("["))
    said = (
        "has no capital letter, so texts are lowered" if lower else "has capital letters, so texts keep them"
    )
    return {"do_lower_case": lower}, (
        f"{VOCABULARY} {said} (tokenizer_config.json would say: do_lower_case)",
    )
