"""A model that was just written, loaded again to be tried, on the memory of the one that it was written of.

Its weights are on the disk and in this process already; loading would bring them a second time. They are read back
one by one instead, held against those that are here, bit by bit, and these are used for both. Tables whose rows are
gathered are loaded as usual: TensorFlow makes a copy of such a variable as soon as somebody else has its memory too.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import tensorflow as tf
from numpy.typing import NDArray

from penult_service.errors import InvalidInput
from penult_service.guard.sizes import CHECKPOINT
from penult_service.preparing import tf_private
from penult_service.preparing.graph import FlatGraph, node_of

HELD = "held"
_OWN = "_CHECKPOINTABLE_OBJECT_GRAPH"
_BLOCK = 1 << 22  # numbers that are compared at once


def load(directory: Path, module: tf.Module, flat: FlatGraph) -> Any:
    """`tf.saved_model.load(directory)`, its variables' values shared with those of `module`.

    Args:
        directory: A SavedModel.
        module: What was saved there: its list `held` has every variable and table of it.
        flat: The graph that its functions were cut out of.

    Raises:
        InvalidInput: DAMAGED, what is on the disk is not what was written.
    """
    prefix = str(directory / CHECKPOINT)
    reader = tf.train.load_checkpoint(prefix)
    names = {number: f"{HELD}/{number}/.ATTRIBUTES/VARIABLE_VALUE" for number in range(len(module.held))}
    variables = {n: thing for n, thing in enumerate(module.held) if isinstance(thing, tf.Variable)}
    if set(reader.get_variable_to_shape_map()) - {_OWN} != {names[number] for number in variables}:
        return tf.saved_model.load(str(directory))  # tables that are filled from the checkpoint too
    options = tf.saved_model.LoadOptions(experimental_skip_checkpoint=True)
    loaded, gathered = tf.saved_model.load(str(directory), options=options), _gathered(flat)
    for number, variable in variables.items():
        try:
            if tf_private.handle_key(variable.handle) in gathered:
                kind = [variable.dtype]
                loaded.held[number].assign(tf.raw_ops.RestoreV2(
                    prefix=prefix, tensor_names=[names[number]], shape_and_slices=[""], dtypes=kind
                )[0])  # fmt: skip
                continue
            same = _same(reader.get_tensor(names[number]), variable.read_value())
        except tf.errors.OpError:  # its checksum
            same = False
        if not same:
            raise InvalidInput(
                f"{directory} does not hold what was written to it ({variable.name}); look at the disk",
                reason="DAMAGED",
            )
        loaded.held[number].assign(variable.read_value())  # the same memory, until one of them is written to
    return loaded


def _gathered(flat: FlatGraph) -> set[int]:
    """The handles of variables of which rows are read."""
    found = set()
    for node in flat.nodes.values():
        if node.op.startswith("ResourceGather"):
            name = node_of(node.input[0])
            while flat.nodes[name].op == "Identity":
                name = node_of(flat.nodes[name].input[0])
            if name in flat.captures:
                found.add(tf_private.handle_key(flat.captures[name]))
    return found


def _same(written: NDArray[Any], value: tf.Tensor) -> bool:
    """Bit by bit; a block at a time, so that the comparison takes no memory of its own."""
    if written.shape != tuple(value.shape) or written.dtype != value.dtype.as_numpy_dtype:
        return False
    there, here = written.reshape(-1), tf.reshape(value, [-1])
    return all(
        there[start : start + _BLOCK].tobytes() == here[start : start + _BLOCK].numpy().tobytes()
        for start in range(0, there.size, _BLOCK)
    )
