"""The parts that a `tokenizer.json` may have: those of the models that are read, and no patterns of a stranger's.

A pattern can be written so that it takes for ever on some text, and the tokenizer runs in the server.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from penult_service.tokenizing import byte_pairs

_KNOWN = {
    "model": {"WordPiece", "BPE", "Unigram"},
    "normalizer": {
        *("Sequence", "BertNormalizer", "NFC", "NFD", "NFKC", "NFKD", "Lowercase", "StripAccents", "Strip"),
        *("Replace", "Prepend", "Precompiled", "Nmt"),
    },
    "pre_tokenizer": {
        *("Sequence", "BertPreTokenizer", "ByteLevel", "Whitespace", "WhitespaceSplit", "Metaspace"),
        *("Punctuation", "Digits", "Split"),
    },
    "post_processor": {
        *("Sequence", "TemplateProcessing", "BertProcessing", "RobertaProcessing", "ByteLevel"),
    },
}
# What transformers itself writes; those of KerasHub's byte pairs are known by their form.
_PATTERNS = frozenset({" {2,}"})


def refuse_unknown_parts(raw: dict[str, Any]) -> None:
    """Looks at a `tokenizer.json` before the library does. Raises ValueError, which says what is not known."""
    for name, known in _KNOWN.items():
        for part in parts_of(raw, name):
            if name == "model" and "type" not in raw[name]:  # as old files have it
                continue
            if str(part["type"]) not in known:
                raise ValueError(f"its {name} has a {str(part['type'])[:40]}, which is not known here")
            pattern = part.get("pattern")
            if isinstance(pattern, dict) and "Regex" in pattern and not _is_known(pattern["Regex"]):
                raise ValueError(
                    f"its {name} has the pattern {str(pattern['Regex'])[:40]!r}, which is not known here"
                )


def _is_known(pattern: Any) -> bool:
    return isinstance(pattern, str) and (pattern in _PATTERNS or byte_pairs.is_known(pattern))


def parts_of(raw: dict[str, Any], name: str) -> list[dict[str, Any]]:
    """Every part below one of the four, itself included, however deep; each has a `type`."""
    return list(_parts(raw.get(name)))


def _parts(value: Any) -> Iterator[dict[str, Any]]:
    if isinstance(value, dict):
        # The library takes parts without one too, and tries what they may be.
        yield {"type": "part without a type", **value}
        for key in ("normalizers", "pretokenizers", "processors"):
            yield from _parts(value.get(key))
    elif isinstance(value, list):
        for item in value:
            yield from _parts(item)
