"""Why a request could not be parsed: protobuf says only that it failed, the caller needs to know where."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import DecodeError, Message

from penult_service.errors import InvalidInput

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
# The search is Python on the event loop: past so many fields (about 0.2 s) the place stays unknown.
_MOST_FIELDS = 200_000

M = TypeVar("M", bound=Message)


class _Malformed(Exception):
    """The bytes are not a protobuf message, or the search has gone on for too long."""


def parser(message: type[M]) -> Callable[[bytes], M | InvalidInput]:
    """A request deserializer that returns what is wrong, where gRPC's own would answer INTERNAL.

    The error's reason is NOT_UTF8 (the field names the string) or MALFORMED_REQUEST.
    """

    def parse(data: bytes) -> M | InvalidInput:
        try:
            return message.FromString(data)
        except DecodeError:
            return parse_error(data, message.DESCRIPTOR)

    return parse


def parse_error(data: bytes, descriptor: Descriptor | Any) -> InvalidInput:
    """What is wrong with bytes that did not parse as the described message."""
    try:
        field = _Search().string_not_utf8(memoryview(data), descriptor, "")
    except _Malformed:
        field = ""
    if field:
        return InvalidInput(
            f"{field} is not UTF-8; decode it with the encoding it is in, and send it as UTF-8",
            reason="NOT_UTF8",
            field=field,
        )
    return InvalidInput(
        f"the request is not a {descriptor.full_name} message; compare the client's stubs with the server's",
        reason="MALFORMED_REQUEST",
    )


class _Search:
    """Walks wire bytes along a descriptor, counting fields."""

    def __init__(self) -> None:
        self._fields = 0

    def string_not_utf8(self, data: memoryview, descriptor: Descriptor, path: str) -> str:
        """Path of the first string that is not UTF-8, such as ``texts[3]``; empty when all are."""
        seen: dict[int, int] = {}
        at = 0
        while at < len(data):
            self._fields += 1
            if self._fields > _MOST_FIELDS:
                raise _Malformed
            tag, at = _varint(data, at)
            at, value = _payload(data, at, tag & 7)
            number = tag >> 3
            field = descriptor.fields_by_number.get(number)
            if value is None or field is None:
                continue
            here = _joined(path, field, seen.get(number, 0))
            seen[number] = seen.get(number, 0) + 1
            found = self._within(field, value, here)
            if found:
                return found
        return ""

    def _within(self, field: FieldDescriptor, value: memoryview, path: str) -> str:
        if field.message_type is not None:
            return self.string_not_utf8(value, field.message_type, path)
        if field.type == FieldDescriptor.TYPE_STRING:
            try:
                str(value, "utf-8")
            except UnicodeDecodeError:
                return path
        return ""


def _joined(path: str, field: FieldDescriptor, index: int) -> str:
    """`texts` inside a TextList called `texts` is ``texts[3]``, as people see it, not ``texts.texts[3]``."""
    name = f"{field.name}[{index}]" if field.is_repeated else field.name
    parent, _, last = path.rpartition(".")
    if last == field.name:
        return f"{parent}.{name}" if parent else name
    return f"{path}.{name}" if path else name


def _payload(data: memoryview, at: int, wire_type: int) -> tuple[int, memoryview | None]:
    """Where the field ends, and its bytes when it is length-delimited."""
    if wire_type == _VARINT:
        return _varint(data, at)[1], None
    if wire_type == _BYTES:
        length, at = _varint(data, at)
        end = at + length
    elif wire_type in (_FIXED32, _FIXED64):
        end = at + (4 if wire_type == _FIXED32 else 8)
    else:
        raise _Malformed
    if end > len(data):
        raise _Malformed
    return end, data[at:end] if wire_type == _BYTES else None


def _varint(data: memoryview, at: int) -> tuple[int, int]:
    value = 0
    for shift in range(0, 70, 7):
        if at >= len(data):
            raise _Malformed
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
    raise _Malformed
