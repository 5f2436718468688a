"""The model in a sentencepiece operation: whatever in it TensorFlow would follow without looking is looked at here.

A sentencepiece model is a protocol buffer among the attributes of the operation. Its normaliser holds a table of
characters: a trie in an array, each unit of which says where the next one is, and a block of replacements. The library
walks it without asking whether a place is inside, so a made-up table could read memory that is not its own.
"""

from __future__ import annotations

from collections.abc import Iterator

from penult_service.errors import ModelRefused
from penult_service.guard.saved_model import SavedGraph, name_of

OP = "SentencepieceOp"
MAX_BYTES = 64 << 20  # a model of 250,000 pieces takes 5 MiB
# Where a `ModelProto` has its two normalisers, and where these have their table.
_NORMALIZERS, _TABLE = (3, 5), 2
_UNIT = 4  # bytes
_LEAF = 1 << 31
_HAS_LEAF = 1 << 8
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5


def refuse_damaged(what: str, graph: SavedGraph) -> None:
    """Refuses a graph with a sentencepiece model that leads out of itself, or shares another's.

    Raises:
        ModelRefused: BAD_SENTENCEPIECE; metadata ``node``.
    """
    for _, function, node in graph.nodes():
        if node.op != OP:
            continue
        named = node.attr["container"].s or node.attr["use_node_name_sharing"].b
        try:
            if named:
                raise ValueError("it shares the model of another")
            check(node.attr["model"].s)
        except ValueError as error:
            where = name_of(node, function)
            raise ModelRefused(
                f"{what} holds a sentencepiece model that cannot be trusted ({error}; {where}); train it with the "
                "sentencepiece library, and save the model again",
                reason="BAD_SENTENCEPIECE",
                metadata={"node": where},
            ) from error


def check(model: bytes) -> None:
    """Looks at one model, a serialized `ModelProto`. Raises ValueError, which says what is wrong."""
    if len(model) > MAX_BYTES:
        raise ValueError(f"it has more than {MAX_BYTES >> 20} MiB")
    for number, normalizer in _fields(model):
        if number in _NORMALIZERS:
            for inner, table in _fields(normalizer):
                if inner == _TABLE and table:
                    _check_table(table)


def _fields(message: bytes) -> Iterator[tuple[int, bytes]]:
    """The fields of bytes of a protocol buffer, with their numbers; others are passed over."""
    place = 0
    while place < len(message):
        tag, place = _varint(message, place)
        number, kind = tag >> 3, tag & 7
        if not 0 < number < 1 << 29:
            raise ValueError("it is no protocol buffer")
        if kind == _VARINT:
            _, place = _varint(message, place)
            continue
        if kind == _BYTES:
            size, place = _varint(message, place)
        elif kind in (_FIXED32, _FIXED64):
            size = 4 if kind == _FIXED32 else 8
        else:
            raise ValueError("it is no protocol buffer of today")
        if place + size > len(message):
            raise ValueError("it ends early")
        if kind == _BYTES:
            yield number, message[place : place + size]
        place += size


def _varint(message: bytes, place: int) -> tuple[int, int]:
    value = 0
    for shift in range(0, 70, 7):
        if place >= len(message):
            raise ValueError("it ends early")
        byte = message[place]
        place += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, place
    raise ValueError("it is no protocol buffer")


def _check_table(table: bytes) -> None:
    """That every step of a walk along the trie stays in it, and every replacement that it ends at is one.

    The form is that of Darts-clone, as the library reads it: four bytes of size, the units, the replacements.
    """
    size = int.from_bytes(table[:4], "little")
    begin, end = 4, 4 + size
    if len(table) < 5 or size % _UNIT or not size or end >= len(table) or table[-1] != 0:
        raise ValueError("its table of characters has no end")
    units = memoryview(table)[begin:end].cast("I")  # numbers of this machine; the format's are little-endian
    count, replacements = len(units), len(table) - end
    for index, unit in enumerate(units):
        if unit & _LEAF:
            continue
        following = index ^ ((unit >> 10) << ((unit & (1 << 9)) >> 6))
        if following | 0xFF >= count:
            raise ValueError("its table of characters leads out of itself")
        if unit & _HAS_LEAF and units[following] & ~_LEAF >= replacements:
            raise ValueError("its table of characters leads out of its replacements")
