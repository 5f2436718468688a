"""SavedModels that try to do harm, or that are changed after they were saved."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import tensorflow as tf
from penult_service.files import sha256_file
from tensorflow.core.protobuf import saved_model_pb2


def saved_function(
    directory: Path, function: Callable[..., Any], *specs: tf.TensorSpec, **tracked: Any
) -> Path:
    """A SavedModel with this function as `serving_default`; `tracked` is what it owns. Saving runs nothing of it."""
    module = tf.Module()
    for name, value in tracked.items():
        setattr(module, name, value)
    module.f = tf.function(
        function, input_signature=specs or (tf.TensorSpec([None], tf.string, name="text"),)
    )
    tf.saved_model.save(
        module, str(directory), signatures={"serving_default": module.f.get_concrete_function()}
    )
    return directory


def copied(model: Path, place: Path) -> Path:
    """A copy to be changed."""
    return Path(shutil.copytree(model, place / "model", symlinks=True))


def edited(model: Path, change: Callable[[Any], None]) -> Path:
    """Changes the only graph (a MetaGraphDef) of a SavedModel in place."""
    path = model / "saved_model.pb"
    saved = saved_model_pb2.SavedModel()
    saved.ParseFromString(path.read_bytes())
    change(saved.meta_graphs[0])
    path.write_bytes(saved.SerializeToString())
    return model


def rehashed(prepared: Path) -> Path:
    """Makes the hashes of a changed prepared model fit its files again, as whoever changed it would."""
    manifest = prepared / "penult.json"
    told = json.loads(manifest.read_text(encoding="utf-8"))
    told["files"] = {name: sha256_file(prepared / name) for name in told["files"]}
    manifest.write_text(json.dumps(told), encoding="utf-8")
    return prepared
