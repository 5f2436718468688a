"""Reads what KerasHub's `save_to_preset` writes: a directory of configurations, weights and vocabularies.

As `from_preset` reads it, but for one thing: where `from_preset` would leave weights at random values, the model is
refused.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import tensorflow as tf

from penult_service.errors import ModelRefused
from penult_service.preparing.declarations.declaration import Declaration
from penult_service.preparing.formats import keras_file, keras_hub_words
from penult_service.preparing.formats.hf_files import first_of, need, read_json, refused
from penult_service.preparing.formats.keras_hub_model import open_task
from penult_service.preparing.formats.keras_saved import KERAS_3, KerasFile
from penult_service.preparing.inspecting.keras_preset import TASK, is_preset
from penult_service.preparing.opened import Opened, read_labels

__all__ = ["is_preset", "open_preset"]

FORMAT = "KerasHub preset"
_BACKBONE_WEIGHTS, _HEAD_WEIGHTS = "model.weights.h5", "task.weights.h5"
_SHARDS = "model.weights.json"
_OPTIMIZER = "optimizer/"
_FLOATS = ("float16", "bfloat16", "float64")
_WHY = "Exception encountered:"
_SAVE = "save the classifier with classifier.save_to_preset(DIR)"


def open_preset(directory: Path, declared: Declaration) -> Opened:
    """Reads the classifier of a preset.

    Args:
        directory: The preset; it has been looked at (`inspecting`).
        declared: Its inputs of text, when they are several.

    Raises:
        ModelRefused: FILE_MISSING, FILE_DAMAGED, UNSUPPORTED_TASK, TENSOR_MISSING, TENSOR_SHAPE, WEIGHTS_NOT_FINITE,
            CANNOT_LOAD, and as `open_task`.
    """
    task = _built(directory, _config(directory))
    _load(directory, task.backbone, _BACKBONE_WEIGHTS, task.backbone.load_weights)
    if task.has_task_weights():
        _load(directory, task, _HEAD_WEIGHTS, task.load_task_weights, but=task.backbone)
    if task.preprocessor is None:
        file = KerasFile(directory, KERAS_3, "", False, {}, {})
        return replace(keras_file.opened(file, task), format=FORMAT, labels=read_labels(directory))
    return open_task(directory, FORMAT, task, {}, declared)


def _config(directory: Path) -> dict[str, Any]:
    """The configuration of the classifier, with vocabularies; every file that is needed is there."""
    if not (directory / TASK).is_file():
        what = f"{TASK} is missing, so it is an encoder without a classifier, and the head would have random weights"
        raise refused(directory, "FILE_MISSING", f"{what}; {_SAVE}")
    config = read_json(directory, TASK)
    name = str(config.get("class_name"))
    if not name.endswith("TextClassifier") or not isinstance(config.get("config"), dict):
        raise refused(directory, "UNSUPPORTED_TASK", f"{TASK} is a {name}, no text classifier; {_SAVE}")
    if not (directory / _BACKBONE_WEIGHTS).is_file():
        why = f"{_BACKBONE_WEIGHTS} is missing"
        if (directory / _SHARDS).is_file():
            why += f": its weights lie in several files ({_SHARDS}), which are not read; max_shard_size=None saves one"
        raise refused(directory, "FILE_MISSING", f"{why}, and the encoder would have random weights; {_SAVE}")
    if not (directory / _HEAD_WEIGHTS).is_file():
        what = f"{_HEAD_WEIGHTS} is missing, and the head would have random weights"
        raise refused(directory, "FILE_MISSING", f"{what}; {_SAVE}")
    return keras_hub_words.put_in(str(directory), _in_floats(config), _assets(directory))


def _in_floats(config: dict[str, Any]) -> dict[str, Any]:
    """As `from_preset` does: weights that were saved in another type of floats are read as float32.

    A policy of mixed precision, which `from_preset` cannot read, is kept.
    """
    config = json.loads(json.dumps(config))
    backbone = config["config"].get("backbone")
    settings = backbone.get("config") if isinstance(backbone, dict) else None
    policy = settings.get("dtype") if isinstance(settings, dict) else None
    if isinstance(policy, dict) and (policy.get("config") or {}).get("name") in _FLOATS:
        settings["dtype"] = "float32"  # type: ignore[index]
    return config


def _assets(directory: Path) -> keras_hub_words.Finder:
    """The vocabulary files of a preset: the folder is named after the tokenizer's own configuration."""

    def find(tokenizer: dict[str, Any], name: str) -> bytes:
        own = str(tokenizer["config"].get("config_file") or "tokenizer.json").partition(".")[0]
        place = f"assets/{own}/{name}"
        if Path(own).name != own:
            raise refused(directory, "FILE_DAMAGED", f"{TASK} names a folder {own[:80]!r} of a vocabulary")
        return keras_hub_words.read_file(need(directory, place))

    return find


def _built(directory: Path, config: dict[str, Any]) -> Any:
    """The task, its weights as Keras makes them."""
    import keras
    import keras_hub

    try:
        task = keras.saving.deserialize_keras_object(config, safe_mode=True)
    except Exception as error:
        raise _not_loaded(directory, f"{TASK} cannot be built", error) from error
    if not isinstance(task, keras_hub.models.TextClassifier):
        raise refused(directory, "UNSUPPORTED_TASK", f"{TASK} is a {type(task).__name__}; {_SAVE}")
    return task


def _load(directory: Path, model: Any, name: str, load: Callable[[str], Any], but: Any = None) -> None:
    """Loads the weights of a model, without those of `but`, and refuses what would leave any as Keras made it."""
    others = {id(weight) for weight in but.weights} if but is not None else set()
    weights = [weight for weight in model.weights if id(weight) not in others]
    for weight in weights:
        if tf.as_dtype(weight.dtype).is_floating:
            weight.assign(tf.fill(weight.shape, tf.constant(np.nan, weight.dtype)))
    try:
        load(str(directory / name))
    except Exception as error:
        raise _not_loaded(directory, f"{name} does not fit {TASK}", error, "TENSOR_SHAPE") from error
    _refuse_unset(directory, name, weights)
    held = _held(directory / name)
    if held > len(weights):
        what = (
            f"{name} holds {held} tensors, of which the model of {TASK} takes {len(weights)}: it is another's"
        )
        raise refused(directory, "TENSOR_SHAPE", f"{what}; {_SAVE}")


def _refuse_unset(directory: Path, name: str, weights: Sequence[Any]) -> None:
    broken = [
        (weight.path, bool(np.isnan(values).all()))
        for weight in weights
        if tf.as_dtype(weight.dtype).is_floating and not np.isfinite(values := _numbers(weight)).all()
    ]
    unset = [path for path, whole in broken if whole]
    if unset:
        what = f"{name} lacks {len(unset)} of {len(weights)} tensors, which would have random weights"
        raise refused(directory, "TENSOR_MISSING", f"{what}: {first_of(unset)}; {_SAVE}")
    if broken:
        raise refused(directory, "WEIGHTS_NOT_FINITE", f"{name}: {broken[0][0]} holds NaN or infinity")


def _numbers(weight: Any) -> Any:
    return tf.cast(weight.value, tf.float32).numpy()


def _held(path: Path) -> int:
    """How many tensors a file of weights has; the optimizer's are nothing to the model."""
    names: list[str] = []
    with h5py.File(path, "r") as file:
        file.visititems(lambda name, found: names.append(name) if isinstance(found, h5py.Dataset) else None)
    return sum(not name.startswith(_OPTIMIZER) for name in names)


def _not_loaded(directory: Path, what: str, error: Exception, reason: str = "CANNOT_LOAD") -> ModelRefused:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    # Keras says at length that it could not, and at the end why.
    why = next(
        (line for line in reversed(lines) if line.startswith(_WHY)), (lines or [type(error).__name__])[0]
    )
    return refused(directory, reason, f"{what} ({why.removeprefix(_WHY).strip()[:300]}); {_SAVE}")
