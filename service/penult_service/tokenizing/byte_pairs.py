"""How KerasHub cuts a text before its byte pairs, as patterns for the `tokenizers` library. No TensorFlow.

KerasHub (`BytePairTokenizer`, as it runs inside functions of TensorFlow) puts a mark in front of each blank that a word
follows, cuts by a pattern without lookahead, cuts the last blank off each part, and takes the marks out again. That is
not what GPT-2 does with blanks at the end of a text or with tabs, so it is done step by step. Letters and numbers stand
in the patterns as ranges: the two libraries know other versions of Unicode.
"""

from __future__ import annotations

import re
from typing import Any

# U+096C, a digit: text that holds it loses it, in KerasHub as well.
MARK = "\u096c"
_BLANKS = r"\x{9}\x{a}\x{c}\x{d}\x{20}"
_WIDE = r"\x{a0}\x{2009}\x{202f}\x{3000}"
_ENDS = rf"\x{{9}}\x{{a}}\x{{c}}\x{{d}}{MARK}{_WIDE}"
_RANGE = r"(?:\\x\{[0-9a-f]{1,6}\}-\\x\{[0-9a-f]{1,6}\})"
_NUL_ON = r"\x{0}[\x{0}-\x{10ffff}]*\z"
_AHEAD = rf"\x{{20}}(?=[^{_BLANKS}{_WIDE}])"
_AT_THE_END = rf"(?<=[{_BLANKS}]\x{{a0}}\x{{2009}}\x{{202f}})\x{{3000}}\z"
_LAST_BLANK = rf"[\x{{9}}\x{{b}}\x{{c}}\x{{d}}\x{{20}}{MARK}{_WIDE}]\z"
_MARK_ALONE = rf"\A{MARK}\z"
# Blanks that end in another kind of blank. They can only begin where a run of blanks does: said here, so that a long
# run takes no longer than it is long.
_RUN = rf"(?<![{_BLANKS}{_WIDE}])[{_BLANKS}{_WIDE}]+[{_ENDS}]"
_SHORT_FORMS = r"'s|'t|'re|'ve|'m|'ll|'d"
_FIXED = frozenset({_NUL_ON, _AHEAD, _AT_THE_END, _LAST_BLANK, _MARK_ALONE})


def is_known(pattern: str) -> bool:
    """Whether it is one of these patterns, whatever the ranges of letters and numbers."""
    if pattern in _FIXED:
        return True
    start = rf"{_SHORT_FORMS}|{_RUN}|"
    ranges = rf"({_RANGE}+)"
    rest = rf"\ \?\[{ranges}\]\+\|\ \?\[{ranges}\]\+\|\ \?\[\^{re.escape(_BLANKS + _WIDE)}\1\2\]\+"
    return pattern.startswith(start) and re.fullmatch(rest, pattern[len(start) :]) is not None


def normalizer() -> dict[str, Any]:
    """The marks, as `tokenizer.json` has them; a text ends at its first NUL."""
    replaced = [(_AHEAD, f"{MARK} "), (_AT_THE_END, f"\u3000{MARK}"), (_NUL_ON, "")]
    return {"type": "Sequence", "normalizers": [_replace(*pair) for pair in replaced]}


def pre_tokenizer(letters: str, numbers: str) -> dict[str, Any]:
    """The cuts, as `tokenizer.json` has them.

    Args:
        letters: The letters, as ranges: `ranges` makes them.
        numbers: The same of numbers.
    """
    other = rf"[^{_BLANKS}{_WIDE}{letters}{numbers}]+"
    words = rf"{_SHORT_FORMS}|{_RUN}| ?[{letters}]+| ?[{numbers}]+| ?{other}"
    level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": False}
    cuts = [_split(words), _split(_LAST_BLANK), _split(_MARK_ALONE, "Removed")]
    return {"type": "Sequence", "pretokenizers": [*cuts, level]}


def ranges(points: list[int]) -> str:
    """Code points in order -> what stands between the brackets of a class."""
    found: list[list[int]] = []
    for point in points:
        if found and found[-1][1] == point - 1:
            found[-1][1] = point
        else:
            found.append([point, point])
    return "".join(rf"\x{{{first:x}}}-\x{{{last:x}}}" for first, last in found)


def _replace(pattern: str, content: str) -> dict[str, Any]:
    return {"type": "Replace", "pattern": {"Regex": pattern}, "content": content}


def _split(pattern: str, behavior: str = "Isolated") -> dict[str, Any]:
    return {"type": "Split", "pattern": {"Regex": pattern}, "behavior": behavior, "invert": False}
