"""The tokenizer beside a model that takes token ids: with it, texts can be given too."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from penult_service.errors import ModelRefused
from penult_service.prepared import TOKENIZER_FILE
from penult_service.preparing.declaration import Declaration
from penult_service.preparing.formats.hf_files import TOKENIZER_CONFIG, VOCABULARY, read_vocabulary
from penult_service.preparing.formats.hf_tokenizer import Takes, read_for
from penult_service.preparing.opened import Input, Opened
from penult_service.preparing.places import Seams

FILES = (TOKENIZER_FILE, VOCABULARY)
_ROLES = frozenset({"ids", "mask", "types"})


def with_tokenizer(opened: Opened, seams: Seams, declared: Declaration) -> Opened:
    """The model, with the tokenizer whose files lie beside it, where there is one and the model takes tokens.

    Args:
        opened: The model.
        seams: Where it is cut: its token inputs, and how many ids there are.
        declared: The tokenizer's files, the most tokens of a text.

    Raises:
        ModelRefused: as `formats.hf_tokenizer.read_for`; VOCABULARY_UNSUPPORTED, more words than the model has ids.
    """
    tokens = [token for token, _ in seams.tokens if token.role != "value"]
    if opened.texts or opened.tokenizer_text or "ids" not in {token.role for token in tokens}:
        return opened
    home = _home(opened.source, declared)
    if home is None or not {token.role for token in tokens} <= _ROLES:
        return opened
    width = _width(opened.inputs, {token.field for token in tokens})
    settings, notes = _casing(home)
    longest = declared.max_length or width
    takes = Takes(seams.vocabulary, None, min(longest, width or longest), width)
    found = read_for(home, takes, types=any(token.role == "types" for token in tokens), **settings)
    origin = f"texts are made tokens by the tokenizers library, of {found.origin} beside the model"
    notes = (*opened.notes, f"{origin}, at most {found.max_length} a text", *notes)
    return replace(opened, tokenizer_text=found.text, notes=notes)


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
