"""A reply whose matrix is written into its bytes row by row, as the engine left them: copied once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from google.protobuf.descriptor import Descriptor
from google.protobuf.message import Message
from numpy.typing import NDArray
from penult.v1 import common_pb2

from penult_service.errors import Internal

_BYTES = 2  # the wire type of messages and of bytes


class Laid:
    """A message and one field of `Vectors` more, in the bytes that protobuf itself would write.

    A message would copy the numbers into itself, and once more when it is written.

    Args:
        message: All but that field, which has the lowest number.
        field: Its name.
        shape: Rows and columns of the matrix.
        pieces: Its numbers in order, float32 arrays of any shape.
        space: As in `Vectors`.

    Raises:
        Internal: there are not as many numbers as the shape says.
    """

    def __init__(
        self, message: Message, field: str, shape: tuple[int, int], pieces: Sequence[NDArray[Any]], space: str
    ) -> None:
        numbers = [np.ascontiguousarray(piece, dtype="<f4") for piece in pieces]
        size = sum(piece.nbytes for piece in numbers)
        if size != 4 * shape[0] * shape[1]:
            raise Internal(f"{size} bytes of numbers for a matrix of {shape[0]} x {shape[1]}")
        front = common_pb2.Vectors(
            rows=shape[0], columns=shape[1], data_type=common_pb2.DATA_TYPE_FLOAT32
        ).SerializeToString()
        if size:
            front += _head(common_pb2.Vectors.DESCRIPTOR, "data", size)
        back = common_pb2.Vectors(embedding_space=space).SerializeToString()
        head = _head(message.DESCRIPTOR, field, len(front) + size + len(back))
        rest = message.SerializeToString()
        self._size = len(head) + len(front) + size + len(back) + len(rest)
        self._chunks: list[Any] = [head, front, *numbers, back, rest]

    def ByteSize(self) -> int:  # noqa: N802
        """As of a message."""
        return self._size

    def SerializeToString(self) -> bytes:  # noqa: N802
        """As of a message; the pieces are let go."""
        if len(self._chunks) > 1:
            self._chunks = [b"".join(self._chunks)]
        made: bytes = self._chunks[0]
        return made


def _head(descriptor: Descriptor | Any, field: str, size: int) -> bytes:
    """What stands in front of so many bytes of a field."""
    return _varint(descriptor.fields_by_name[field].number << 3 | _BYTES) + _varint(size)


def _varint(number: int) -> bytes:
    written = bytearray()
    while number > 0x7F:
        written.append(number & 0x7F | 0x80)
        number >>= 7
    written.append(number)
    return bytes(written)
