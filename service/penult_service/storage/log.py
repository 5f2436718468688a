"""The log of a set: one frame an append, written with one sync, so that a frame is there whole or is cut off.

A frame is

    mark            8 random bytes, the same in all frames of a file, so that no text can look like a frame
    head length     uint32, little-endian as all here
    body length     uint64
    checksums       uint32 of the lengths and the head, uint32 of the body (CRC-32)
    head            JSON: row, rows, dimension, space, batch, vectors, crc32, time
    body            an Arrow record batch (`batch` bytes), then the vectors when `vectors` is "here"

Zeros may follow the last frame: room that small frames are written into, since a sync costs a third where a file
does not grow. Vectors of small appends travel in the frame (one sync instead of two); those of larger ones are in
`vectors.f32`, synced before the frame is written, and the frame has their CRC-32.
"""

from __future__ import annotations

import json
import struct
import zlib
from collections.abc import Iterator
from dataclasses import asdict, dataclass

_LENGTHS = struct.Struct("<IQ")
_SUMS = struct.Struct("<II")
MARK_BYTES = 8
_FIXED = MARK_BYTES + _LENGTHS.size + _SUMS.size

_SMALL_FRAME = 2**16

HERE, IN_FILE = "here", "file"


@dataclass(frozen=True)
class Head:
    """What a frame says of its rows: the number of the first, how many, and where their vectors are."""

    row: int
    rows: int
    dimension: int
    space: str
    batch: int
    vectors: str
    crc32: int
    time: str


@dataclass(frozen=True)
class Frame:
    """A frame that was read: `end` is where the next one begins."""

    head: Head
    batch: memoryview
    vectors: memoryview
    end: int


@dataclass(frozen=True)
class Broken:
    """From `start` on there is no whole frame. `followed`: a whole one stands further on, so this one was whole."""

    start: int
    followed: bool


def encode(mark: bytes, head: Head, batch: memoryview, vectors: memoryview) -> list[bytes | memoryview]:
    """The parts of a frame, to be written one after the other; `vectors` empty unless the head says HERE."""
    said = json.dumps(asdict(head), separators=(",", ":"), ensure_ascii=False).encode()
    lengths = _LENGTHS.pack(len(said), batch.nbytes + vectors.nbytes)
    body = zlib.crc32(vectors, zlib.crc32(batch))
    return [mark + lengths + _SUMS.pack(zlib.crc32(said, zlib.crc32(lengths)), body) + said, batch, vectors]


def scan(data: memoryview, mark: bytes) -> Iterator[Frame | Broken]:
    """The frames of a log in order; a `Broken` comes last, where the data do not end with a whole frame."""
    place = 0
    while place < len(data) and not _only_zeros(data[place:]):
        frame = _frame(data, mark, place)
        if frame is None:
            yield Broken(place, _any_frame_after(data, mark, place + 1))
            return
        yield frame
        place = frame.end


def room(offset: int, length: int, size: int) -> bytes:
    """Zeros to write behind a frame of `length` at `offset` of a file of `size`: up to 1 MiB for the next ones."""
    end = offset + length
    if end <= size or length > _SMALL_FRAME:
        return b""
    return bytes(min(max(end, 2**12), 2**20))


def _only_zeros(data: memoryview) -> bool:
    return data[0] == 0 and bytes(data).count(0) == len(data)


def _frame(data: memoryview, mark: bytes, place: int) -> Frame | None:
    fixed = data[place : place + _FIXED]
    if len(fixed) < _FIXED or fixed[:MARK_BYTES] != mark:
        return None
    lengths = fixed[MARK_BYTES : MARK_BYTES + _LENGTHS.size]
    head_length, body_length = _LENGTHS.unpack(lengths)
    head_sum, body_sum = _SUMS.unpack(fixed[-_SUMS.size :])
    body_start = place + _FIXED + head_length
    said, body = data[place + _FIXED : body_start], data[body_start : body_start + body_length]
    if len(said) < head_length or len(body) < body_length:
        return None
    if zlib.crc32(said, zlib.crc32(lengths)) != head_sum or zlib.crc32(body) != body_sum:
        return None
    head = Head(**json.loads(bytes(said)))
    return Frame(head, body[: head.batch], body[head.batch :], body_start + body_length)


def _any_frame_after(data: memoryview, mark: bytes, place: int) -> bool:
    content = bytes(data[place:])
    found = content.find(mark)
    while found >= 0:
        if _frame(data, mark, place + found) is not None:
            return True
        found = content.find(mark, found + 1)
    return False
