"""Damage to files, the same for the same seed: of bytes, of JSON, of the graph in a SavedModel, of Keras' notes."""

from __future__ import annotations

import io
import json
import warnings
import zipfile
from collections.abc import Callable
from random import Random
from typing import Any

from google.protobuf.message import Message

LONG = "x" * 10_000
ODD: tuple[Any, ...] = (
    *(None, True, 0, -1, 1, 2**31, 2**63, 10**400, 0.5, 1e308, float("nan"), float("inf")),
    *(
        "",
        "\ud800",
        "\0",
        "../../etc/passwd",
        "/etc/passwd",
        "a\nb\x1b[31m",
        LONG,
        "é" * 300,
        "saved_model.pb",
    ),
    *([], {}, [[]], [None], {"": None}, {"a": {"b": {"c": []}}}, list(range(1000))),
)
Mutation = Callable[[bytes, Random], bytes]


def of_bytes(data: bytes, random: Random) -> bytes:
    """A flipped bit, a cut, a hole, junk, a piece moved: one to four of them."""
    changed = bytearray(data)
    for _ in range(random.choice((1, 1, 2, 4))):
        random.choice(_BYTES)(changed, random)
    return bytes(changed)


def _flip(data: bytearray, random: Random) -> None:
    if data:
        data[random.randrange(len(data))] ^= 1 << random.randrange(8)


def _overwrite(data: bytearray, random: Random) -> None:
    start, length = _piece(data, random)
    data[start : start + length] = random.choice((bytes(length), b"\xff" * length, random.randbytes(length)))


def _cut(data: bytearray, random: Random) -> None:
    del data[random.randrange(len(data) + 1) :]


def _remove(data: bytearray, random: Random) -> None:
    start, length = _piece(data, random)
    del data[start : start + length]


def _insert(data: bytearray, random: Random) -> None:
    start, _ = _piece(data, random)
    data[start:start] = random.randbytes(random.choice((1, 2, 8, 100)))


def _repeat(data: bytearray, random: Random) -> None:
    start, length = _piece(data, random)
    data[start:start] = data[start : start + length]


def _move(data: bytearray, random: Random) -> None:
    start, length = _piece(data, random)
    to, _ = _piece(data, random)
    data[to : to + length] = data[start : start + length]


def _append(data: bytearray, random: Random) -> None:
    data += random.randbytes(random.choice((1, 100, 5000)))


_BYTES = (_flip, _flip, _flip, _overwrite, _overwrite, _cut, _remove, _insert, _repeat, _move, _append)


def _piece(data: bytearray, random: Random) -> tuple[int, int]:
    return random.randrange(len(data) + 1), random.choice((1, 2, 4, 16, 256))


def of_json(data: bytes, random: Random) -> bytes:
    """One to three values, anywhere, are others, gone, or there twice; or bytes are damaged."""
    if random.random() < 0.3:
        return of_bytes(data, random)
    value = json.loads(data)
    for _ in range(random.choice((1, 1, 2, 3))):
        value = _elsewhere(value, random)
    return json.dumps(value).encode()


def _elsewhere(value: Any, random: Random) -> Any:
    """`value` with a change at a random place in it."""
    if not isinstance(value, dict | list) or not value or random.random() < 0.1:
        return random.choice(ODD)
    key = random.choice(list(value) if isinstance(value, dict) else range(len(value)))
    changed: Any = dict(value) if isinstance(value, dict) else list(value)
    kind = random.random()
    if kind < 0.1:
        del changed[key]
    elif kind < 0.2 and isinstance(changed, dict):
        changed[random.choice(("", "unheard of", "../x", LONG))] = changed.pop(key)
    elif kind < 0.3 and isinstance(changed, list):
        changed.insert(0, changed[key])
    else:
        changed[key] = _elsewhere(value[key], random)
    return changed


def of_archive(data: bytes, random: Random) -> bytes:
    """`.keras`: a member damaged, called otherwise, gone, or there twice; or bytes."""
    if random.random() < 0.3:
        return of_bytes(data, random)
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        members = [(name, archive.read(name)) for name in archive.namelist()]
    at = random.randrange(len(members))
    name, content = members[at]
    kind = random.random()
    if kind < 0.6:
        members[at] = (
            name,
            of_json(content, random) if name.endswith(".json") else of_bytes(content, random),
        )
    elif kind < 0.75:
        names = ("../outside", "/tmp/outside", "", "a/../../b", "config.json", "é\n", LONG)
        members[at] = (random.choice(names), content)
    elif kind < 0.85:
        del members[at]
    else:
        members.append((name, of_bytes(content, random)))
    made = io.BytesIO()
    with warnings.catch_warnings(), zipfile.ZipFile(made, "w", random.choice((0, 8))) as archive:
        warnings.simplefilter("ignore")  # two of one name are meant
        for name, content in members:
            archive.writestr(zipfile.ZipInfo(name or "empty"), content)
    return made.getvalue()


def of_hdf5(data: bytes, random: Random) -> bytes:
    """`.h5`: the JSON of its config damaged, its weights, or bytes."""
    import h5py

    if random.random() < 0.5:
        return of_bytes(data, random)
    buffer = io.BytesIO(data)
    with h5py.File(buffer, "r+") as file:
        value = file.attrs["model_config"]
        raw = value.encode() if isinstance(value, str) else bytes(value)
        file.attrs["model_config"] = of_json(raw, random).replace(b"\0", b"0")[:60_000]
    return buffer.getvalue()


def of_graph(data: bytes, random: Random) -> bytes:
    """`saved_model.pb`: one to three fields, anywhere in its messages, are others, gone, or there twice; or bytes."""
    from tensorflow.core.protobuf import saved_model_pb2

    return _of_message(saved_model_pb2.SavedModel(), data, random)


def of_keras_metadata(data: bytes, random: Random) -> bytes:
    """`keras_metadata.pb`: its fields, and the JSON in them."""
    from tf_keras.protobuf.saved_metadata_pb2 import SavedMetadata

    if random.random() < 0.5:
        return _of_message(SavedMetadata(), data, random)
    saved = SavedMetadata.FromString(data)
    node = random.choice(saved.nodes)
    node.metadata = of_json(node.metadata.encode(), random).decode(errors="replace")
    return saved.SerializeToString()


def _of_message(message: Any, data: bytes, random: Random) -> bytes:
    if random.random() < 0.3:
        return of_bytes(data, random)
    message.ParseFromString(data)
    for _ in range(random.choice((1, 1, 2, 3))):
        _change(message, random)
    return bytes(message.SerializeToString())


def _change(message: Message, random: Random) -> None:
    """Walks down to a field; changes it there."""
    while True:
        there = message.ListFields()
        if not there:
            return
        field, value = random.choice(there)
        if field.message_type is None or random.random() < 0.05:
            _change_field(message, field, value, random)
            return
        if field.message_type.GetOptions().map_entry:
            key = random.choice(sorted(value))
            if not isinstance(value[key], Message) or random.random() < 0.1:
                del value[key]
                return
            message = value[key]
        else:
            message = random.choice(value) if _repeated(value) else value


def _change_field(message: Any, field: Any, value: Any, random: Random) -> None:
    if not _repeated(value):
        if field.message_type is not None or random.random() < 0.1:
            message.ClearField(field.name)
        else:
            setattr(message, field.name, _other(field, value, random))
        return
    at = random.randrange(len(value))
    kind = random.random()
    if kind < 0.2:
        del value[at]
    elif kind < 0.4:
        value.append(value[at])
    elif field.message_type is None:
        value[at] = _other(field, value[at], random)


def _other(field: Any, value: Any, random: Random) -> Any:
    """Another value of the field's type; names of other nodes and operations among them."""
    if field.type == field.TYPE_STRING:
        names = (
            "",
            "..",
            "/etc/passwd",
            "../../x",
            "a\nb\x1b[31m",
            "Placeholder",
            "PyFunc",
            "WriteFile",
            "While",
            "^x",
            "x:7",
            LONG,
        )
        return random.choice((*names, value + "_", value[:-1], value[::-1]))
    if field.type == field.TYPE_BYTES:
        return of_bytes(value, random)
    if field.type == field.TYPE_BOOL:
        return not value
    if field.type in (field.TYPE_FLOAT, field.TYPE_DOUBLE):
        return random.choice((0.0, -1.0, 1e30, float("nan"), float("inf")))
    if field.type == field.TYPE_ENUM:
        return random.choice([number.number for number in field.enum_type.values])
    small = (0, 1, 2, 3, 7, 100, 2**31 - 1)
    signed = field.type not in (field.TYPE_UINT32, field.TYPE_UINT64, field.TYPE_FIXED32, field.TYPE_FIXED64)
    wide = field.type in (field.TYPE_INT64, field.TYPE_UINT64)
    return random.choice((*small, *((-1, -2) if signed else ()), *((2**40, 2**63 - 1) if wide else ())))


def _repeated(value: Any) -> bool:
    return hasattr(value, "append")
