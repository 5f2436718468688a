"""A model that was just written, loaded again to be tried, on the memory of the one that it was written of.

Its weights are on the disk and in this process already; loading would bring them a second time. They are read back one
by one instead, held against those that are here, bit by bit, and these are used for both.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import tensorflow as tf
from numpy.typing import NDArray

from penult_service.errors import InvalidInput
from penult_service.guard.sizes import CHECKPOINT

HELD = "held"
_OWN = "_CHECKPOINTABLE_OBJECT_GRAPH"
_BLOCK = 1 << 22  # numbers that are compared at once


def load(directory: Path, module: tf.Module) -> Any:
    """`tf.saved_model.load(directory)`, its variables' values shared with those of `module`.

    Args:
        directory: A SavedModel.
        module: What was saved there: its list `held` has every variable and table of it.

    Raises:
        InvalidInput: DAMAGED, what is on the disk is not what was written.
    """
    reader = tf.train.load_checkpoint(str(directory / CHECKPOINT))
    names = {f"{HELD}/{number}/.ATTRIBUTES/VARIABLE_VALUE": thing for number, thing in enumerate(module.held)}
    variables = {name: thing for name, thing in names.items() if isinstance(thing, tf.Variable)}
    if set(reader.get_variable_to_shape_map()) - {_OWN} != set(variables):
        return tf.saved_model.load(str(directory))  # tables that are filled from the checkpoint too
    options = tf.saved_model.LoadOptions(experimental_skip_checkpoint=True)
    loaded = tf.saved_model.load(str(directory), options=options)
    for thing, again in zip(module.held, loaded.held, strict=True):
        if isinstance(thing, tf.Variable):
            again.assign(thing.read_value())  # the same memory, until somebody writes to one of them
    for name, variable in variables.items():
        try:
            same = _same(reader.get_tensor(name), variable.read_value())
        except tf.errors.OpError:  # its checksum
            same = False
        if not same:
            raise InvalidInput(
                f"{directory} does not hold what was written to it ({variable.name}); look at the disk",
                reason="DAMAGED",
            )
    return loaded


def _same(written: NDArray[Any], value: tf.Tensor) -> bool:
    """Bit by bit; a block at a time, so that the comparison takes no memory of its own."""
    if written.shape != tuple(value.shape) or written.dtype != value.dtype.as_numpy_dtype:
        return False
    there, here = written.reshape(-1), tf.reshape(value, [-1])
    return all(
        there[start : start + _BLOCK].tobytes() == here[start : start + _BLOCK].numpy().tobytes()
        for start in range(0, there.size, _BLOCK)
    )
