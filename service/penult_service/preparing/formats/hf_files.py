"""The files of a Hugging Face directory, one by one: JSON and weights, checked as they are read. No torch."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from penult_service.errors import ModelRefused

CONFIG = "config.json"
TOKENIZER_CONFIG = "tokenizer_config.json"
VOCABULARY = "vocab.txt"
WEIGHTS = "model.safetensors"
_BLOCK = 64 << 20  # bytes
ALIGNMENT = 64  # bytes, of the memory that TensorFlow computes in
MAX_CONFIG = 64 << 20  # bytes; with 100,000 names of classes it takes 5 MiB
# What other weights are called, and why they are not read.
_OTHER_WEIGHTS = {
    "pytorch_model.bin": "is a pickle and is not read: save the model with safe_serialization=True",
    "model.safetensors.index.json": "names weights in several files, which are not read: save the model with "
    "max_shard_size='100GB'",
    "tf_model.h5": "is not read: load it with from_tf=True and save the model with safe_serialization=True",
    "adapter_model.safetensors": "holds an adapter alone: merge it into its model (merge_and_unload) and save that",
}

Shapes = dict[str, tuple[int, ...]]


def refused(directory: Path, reason: str, what: str) -> ModelRefused:
    """The error for a directory that cannot be used, in one form."""
    return ModelRefused(f"{directory}: {what}", reason=reason)


def need(directory: Path, name: str) -> Path:
    """The path of a file that must be there. Raises ModelRefused: FILE_MISSING."""
    path = directory / name
    if not path.is_file():
        others = _OTHER_WEIGHTS if name == WEIGHTS else {}
        hint = next((f"; {other} {why}" for other, why in others.items() if (directory / other).exists()), "")
        raise refused(directory, "FILE_MISSING", f"{name} is missing{hint}")
    return path


def read_json(directory: Path, name: str, most: int = MAX_CONFIG) -> dict[str, Any]:
    """A file that holds a JSON object, of so many bytes at most. Raises ModelRefused: FILE_MISSING, FILE_DAMAGED."""
    path = need(directory, name)
    if path.stat().st_size > most:
        raise refused(directory, "FILE_DAMAGED", f"{name} is larger than {most >> 20} MiB")
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise refused(directory, "FILE_DAMAGED", f"{name} is not JSON ({error})") from error
    if not isinstance(value, dict):
        raise refused(directory, "FILE_DAMAGED", f"{name} holds no JSON object")
    return value


@dataclass(frozen=True)
class Settings:
    """The numbers of `config.json`, each checked as it is asked for; `values` holds all of the file.

    Every method raises ModelRefused: CONFIG_UNSUPPORTED.
    """

    directory: Path
    values: dict[str, Any]

    def size(self, key: str, default: int | None = None) -> int:
        """An integer above 0; without a default it must be there."""
        return int(self._number(key, lambda value: isinstance(value, int) and value > 0, default))

    def rate(self, key: str, default: float = 0.1) -> float:
        """A dropout's rate: at least 0, below 1."""
        return float(self._number(key, lambda value: 0 <= value < 1, default))

    def epsilon(self, key: str) -> float:
        """Between 0 and 1; 1e-12 by default."""
        return float(self._number(key, lambda value: 0 < value < 1, 1e-12))

    def refused(self, what: str) -> ModelRefused:
        """The error for a setting that this release does not know."""
        return refused(self.directory, "CONFIG_UNSUPPORTED", f"{CONFIG}: {what}")

    def _number(self, key: str, valid: Callable[[Any], bool], default: Any) -> Any:
        value = self.values.get(key, default)
        if isinstance(value, bool) or not isinstance(value, int | float) or not valid(value):
            raise self.refused(f"{key} is {value!r}")
        return value


def read_vocabulary(directory: Path) -> tuple[str, ...]:
    """The tokens of `vocab.txt` in the order of their ids. Raises ModelRefused: FILE_DAMAGED."""
    try:
        text = need(directory, VOCABULARY).read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise refused(directory, "FILE_DAMAGED", f"{VOCABULARY} is not UTF-8 ({error})") from error
    # Not splitlines(): a vocabulary may hold U+2028 and its like as tokens.
    return tuple(text.removesuffix("\n").split("\n"))


def open_weights(path: Path) -> Any:
    """The file of weights, open, its tensors unread. Raises ModelRefused: FILE_DAMAGED."""
    import ml_dtypes  # noqa: F401  (makes bfloat16 known to NumPy)
    from safetensors import SafetensorError, safe_open

    try:
        return safe_open(path, framework="np")
    except (SafetensorError, OSError) as error:
        what = f"{path.name} is damaged or not complete ({error})"
        raise refused(path.parent, "FILE_DAMAGED", what) from error


def read_tensor(path: Path, name: str) -> NDArray[np.float32]:
    """A tensor as float32, `aligned`. In parts: what was read of the file stays in memory until it is closed."""
    with open_weights(path) as file:
        values = aligned(tuple(file.get_slice(name).get_shape()))
    for rows in _blocks(values.shape):
        with open_weights(path) as file:
            values[rows] = file.get_slice(name)[rows]
    return values


def aligned(shape: tuple[int, ...]) -> NDArray[np.float32]:
    """Memory for float32 numbers that TensorFlow can use as it is, without a copy."""
    size = math.prod(shape)
    room = np.empty(size + ALIGNMENT // 4, np.float32)
    start = -room.ctypes.data % ALIGNMENT // 4
    return room[start : start + size].reshape(shape)


def _blocks(shape: tuple[int, ...]) -> Iterator[slice]:
    """Rows of a tensor that may be in memory beside it."""
    step = max(1, _BLOCK // (4 * math.prod(shape[1:])))
    for start in range(0, shape[0], step):
        yield slice(start, min(start + step, shape[0]))


def check_tensors(
    directory: Path,
    file: Any,
    stored: dict[str, str],
    expected: Shapes,
    kinds: Collection[str] = ("F16", "F32", "F64"),
) -> None:
    """That every tensor is there, of its shape, of floats, and finite.

    Args:
        directory: For the message.
        file: The weights, open.
        stored: Name that is asked for -> name in the file.
        expected: Name that is asked for -> shape.
        kinds: The types that are taken, as the file calls them.

    Raises:
        ModelRefused: TENSOR_MISSING, TENSOR_SHAPE, TENSOR_TYPE, WEIGHTS_NOT_FINITE.
    """
    missing = [name for name in expected if name not in stored]
    if missing:
        what = f"{WEIGHTS} lacks {len(missing)} of {len(expected)} tensors: {first_of(missing)}"
        raise refused(directory, "TENSOR_MISSING", what)
    for name, shape in expected.items():
        _check_tensor(directory, file, stored[name], shape, kinds)


def first_of(names: Iterable[str]) -> str:
    """The first three names, and how many more."""
    names = list(names)
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return f"{', '.join(names[:3])}{more}"


def _check_tensor(
    directory: Path, file: Any, name: str, shape: tuple[int, ...], kinds: Collection[str]
) -> None:
    view = file.get_slice(name)
    found, kind = tuple(view.get_shape()), view.get_dtype()
    if found != shape:
        what = f"{name} has shape {list(found)}, {CONFIG} says {list(shape)}"
        raise refused(directory, "TENSOR_SHAPE", what)
    if kind not in kinds:
        raise refused(directory, "TENSOR_TYPE", f"{name} is {kind}; save the model as float32 or float16")
    if not all(np.isfinite(view[rows]).all() for rows in _blocks(shape)):
        raise refused(directory, "WEIGHTS_NOT_FINITE", f"{name} holds NaN or infinity")


def plain_norm(name: str) -> str:
    """A tensor's name with today's names of the layer norm: old files say gamma and beta."""
    return name.replace("LayerNorm.gamma", "LayerNorm.weight").replace("LayerNorm.beta", "LayerNorm.bias")
