"""Replies to Embed, with their numbers left where they arrived: copied once, into the result."""

from __future__ import annotations

from dataclasses import dataclass

from penult.v1 import common_pb2 as common
from penult.v1 import inference_service_pb2 as inference

_BYTES = 2  # the wire type of messages and of bytes
_EMBEDDINGS = inference.EmbedResponse.DESCRIPTOR.fields_by_name["embeddings"].number << 3 | _BYTES
_DATA = common.Vectors.DESCRIPTOR.fields_by_name["data"].number << 3 | _BYTES


@dataclass(eq=False)
class Embedded:
    """A reply: all but the numbers, and these.

    Attributes:
        message: Without `embeddings.data`.
        data: As of `embeddings.data`, until it is taken.
    """

    message: inference.EmbedResponse
    data: memoryview

    def take(self) -> memoryview:
        """The numbers, let go here: of a large call the replies need not be held beside the result."""
        taken, self.data = self.data, memoryview(b"")
        return taken


def parse(reply: bytes) -> Embedded:
    """The bytes of an EmbedResponse; protobuf's own parser would copy the numbers twice.

    Raises:
        DecodeError: they are none.
    """
    try:
        cut = _apart(memoryview(reply))
    except IndexError:  # it ends too soon: protobuf says so
        cut = None
    if cut is not None:
        message = inference.EmbedResponse.FromString(cut[0])
        if not message.embeddings.data:  # else some were not taken out
            return Embedded(message, cut[1])
    return of_message(inference.EmbedResponse.FromString(reply))


def of_message(message: inference.EmbedResponse | Embedded) -> Embedded:
    """The same of a message, as other transports give it; or what it is already."""
    if isinstance(message, Embedded):
        return message
    return Embedded(message, memoryview(message.embeddings.data))


def _apart(view: memoryview) -> tuple[bytes, memoryview] | None:
    """The reply without the numbers, and the numbers; None where it does not begin as servers write it.

    Raises:
        IndexError: it ends in the middle of a field, or holds what is no number.
    """
    tag, start = _varint(view, 0)
    if tag != _EMBEDDINGS:
        return None
    size, start = _varint(view, start)
    at, end = start, start + size
    while at < end:
        tag, after = _varint(view, at)
        length, after = _varint(view, after)
        if tag == _DATA:
            break
        at = after + (length if tag & 7 == _BYTES else 0)
        if tag & 7 not in (0, _BYTES):
            return None
    else:
        return None
    if after + length > end or end > len(view):
        raise IndexError
    inner = b"".join((view[start:at], view[after + length : end]))
    rest = b"".join((bytes([_EMBEDDINGS]), _written(len(inner)), inner, view[end:]))
    return rest, view[after : after + length]


def _varint(view: memoryview, at: int) -> tuple[int, int]:
    value = 0
    for shift in range(0, 70, 7):  # ten bytes at most
        byte = view[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
    raise IndexError


def _written(number: int) -> bytes:
    made = bytearray()
    while number > 0x7F:
        made.append(number & 0x7F | 0x80)
        number >>= 7
    made.append(number)
    return bytes(made)
