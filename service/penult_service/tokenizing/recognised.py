"""Whether a graph cuts texts as tf-text's `BertTokenizer` does, by its structure.

What happens to the characters of a text is followed step by step, from the text to its word pieces, and every step must
be a known one. Behind them only ids are moved: by operations that look at no text, and `short` tries what they do.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

import tensorflow as tf

from penult_service.tokenizing.wordpieces import WordPieces, is_plain

# Of plain text they change the case alone. Controls become blanks, as which those of plain text count in any case.
_FOLD, _NORMALIZE, _REPLACE = "CaseFoldUTF8", "NormalizeUTF8", "StaticRegexReplace"
_REPLACED = frozenset({(rb"\p{Mn}", b""), (rb"\p{Cc}|\p{Cf}", b" ")})
_SPLIT, _PIECES = "RegexSplitWithOffsets", "WordpieceTokenizeWithOffsets"
_TEXT = frozenset({_FOLD, _NORMALIZE, _REPLACE, _SPLIT, _PIECES})
_PASSED = frozenset({"Identity", "Reshape"})
_BLANKS, _MARKS = r"\s+", (r"[!-/]", r"[:-@]", r"[\[-`]", r"[{-~]")
# Alternatives that no plain character is among but those marks.
_BEYOND = re.compile(r"\[\\p\{P\}\]|\[\\x\{[2-9A-F][0-9A-F]{3,4}\}-\\x\{[2-9A-F][0-9A-F]{3,4}\}\]")
# What looks up, cuts, joins and pads ids.
_BEHIND = frozenset(
    {
        *(
            "Const",
            "Placeholder",
            "NoOp",
            "Identity",
            "IdentityN",
            "PartitionedCall",
            "StatefulPartitionedCall",
        ),
        *("StringToHashBucketFast", "LookupTableFindV2", "LookupTableSizeV2", "NotEqual", "SelectV2", "Cast"),
        *(
            "Add",
            "AddV2",
            "Sub",
            "Mul",
            "Maximum",
            "Minimum",
            "FloorMod",
            "Range",
            "Fill",
            "ZerosLike",
            "OnesLike",
        ),
        *(
            "Shape",
            "Size",
            "Reshape",
            "StridedSlice",
            "Pack",
            "Tile",
            "ExpandDims",
            "Squeeze",
            "Concat",
            "ConcatV2",
        ),
        *(
            "GatherV2",
            "Transpose",
            "EnsureShape",
            "Assert",
            "If",
            "Equal",
            "GreaterEqual",
            "LessEqual",
            "All",
        ),
        *("RaggedGather", "RaggedRange", "RaggedTensorToTensor", "TFText>RoundRobinTrim", "RoundRobinTrim"),
    }
)


def word_pieces(signature: Any) -> WordPieces | None:
    """What cuts plain texts as this function of TensorFlow does, or None where that is not certain.

    Args:
        signature: A concrete function of one text.
    """
    graph = getattr(signature, "graph", None)
    if graph is None:
        return None
    definition = graph.as_graph_def()
    bodies = [definition.node, *(function.node_def for function in definition.library.function)]
    found = [body for body in bodies if any(node.op == _PIECES for node in body)]
    vocabulary = _vocabulary(signature)
    if len(found) != 1 or vocabulary is None:
        return None
    steps = _steps({node.name: node for node in found[0]})
    text_steps = sum(node.op in _TEXT for body in bodies for node in body)
    others = {node.op for body in bodies for node in body} - _TEXT - _BEHIND
    if steps is None or others or len(steps) != text_steps:
        return None
    return _cutting(steps, vocabulary)


def _steps(nodes: Mapping[str, Any]) -> list[Any] | None:
    """The operations from the word pieces back to the text; None: another may be among them."""
    node = next(node for node in nodes.values() if node.op == _PIECES)
    found = [node]
    while True:
        name = node.input[0]
        if ":" in name and not name.endswith((":0", ":tokens:0")):
            return None  # places in the text, not its parts
        node = nodes.get(name.partition(":")[0])
        if node is None or node.op == "Placeholder":
            return found
        if node.op == _SPLIT and not _splits_at_words(node, nodes):
            return None
        if node.op in _TEXT:
            found.append(node)
        elif node.op not in _PASSED:
            return None


def _splits_at_words(split: Any, nodes: Mapping[str, Any]) -> bool:
    """Whether it cuts at blanks, which are left out, and at punctuation, which is kept."""
    patterns = []
    for name in split.input[1:3]:
        node = nodes.get(name.partition(":")[0])
        if node is None or node.op != "Const":
            return False
        value = tf.make_ndarray(node.attr["value"].tensor).item()
        patterns.append(value.decode() if isinstance(value, bytes) else str(value))
    return _alternatives(patterns[0]) == {_BLANKS, *_MARKS} and _alternatives(patterns[1]) == {*_MARKS}


def _alternatives(pattern: str) -> set[str]:
    """Those that plain characters are among."""
    return {
        part for part in pattern.removeprefix("(").removesuffix(")").split("|") if not _BEYOND.fullmatch(part)
    }


def _cutting(steps: Iterable[Any], vocabulary: Mapping[str, int]) -> WordPieces | None:
    """The steps as Python."""
    pieces, *rest = steps
    if [node.op for node in rest].count(_SPLIT) != 1 or rest[0].op != _SPLIT:
        return None
    for node in rest:
        if node.op == _REPLACE and (node.attr["pattern"].s, node.attr["rewrite"].s) not in _REPLACED:
            return None
    said = pieces.attr
    unknown, inner = said["unknown_token"].s.decode(), said["suffix_indicator"].s.decode()
    usual = said["use_unknown_token"].b and not said["max_chars_per_token"].i
    if not usual or said["split_unknown_characters"].b or unknown not in vocabulary or not is_plain(inner):
        return None
    return WordPieces(
        vocabulary,
        vocabulary[unknown],
        lower=any(node.op == _FOLD for node in rest),
        inner=inner,
        longest=said["max_bytes_per_word"].i,
    )


def _vocabulary(signature: Any) -> dict[str, int] | None:
    """The one table that the function looks up; None: there is another number of them, or of another kind."""
    tables = [tensor for tensor in signature.captured_inputs if tensor.dtype == tf.resource]
    if len(tables) != 1:  # what else is captured are constants
        return None
    try:
        pieces, ids = tf.raw_ops.LookupTableExportV2(
            table_handle=tables[0], Tkeys=tf.string, Tvalues=tf.int64
        )
        texts = [piece.decode() for piece in pieces.numpy()]
    except (tf.errors.OpError, UnicodeDecodeError):
        return None
    return dict(zip(texts, ids.numpy().tolist(), strict=True))
