"""What was written, loaded again on the memory of what it was written of."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from penult_service.errors import InvalidInput
from penult_service.preparing import reloading
from penult_service.preparing.graph import flatten

pytestmark = pytest.mark.tensorflow

DATA = Path("variables") / "variables.data-00000-of-00001"


def saved(directory: Path, *, counts: bool = False) -> Any:
    """A model of three weights, one in half precision, one a table of rows, and a table of words: module and graph.

    With `counts`, there is a table that is filled from the checkpoint as well.
    """
    import tensorflow as tf

    module = tf.Module()
    words = tf.lookup.KeyValueTensorInitializer(["a", "b"], tf.constant([0, 1], tf.int64))
    module.held = [
        tf.Variable(np.arange(6, dtype=np.float32).reshape(2, 3)),
        tf.Variable(tf.constant([[np.nan], [-0.0], [3.0]], tf.bfloat16)),
        tf.Variable(np.arange(10, 16, dtype=np.float32).reshape(2, 3)),
        tf.lookup.StaticHashTable(words, 0),
    ]
    if counts:
        module.held.append(tf.lookup.experimental.MutableHashTable(tf.string, tf.float32, 0.0))
        module.held[-1].insert(tf.constant(["a"]), tf.constant([7.0]))

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string)])
    def call(texts: Any) -> dict[str, Any]:
        numbers = module.held[3].lookup(texts)
        rows, product = tf.gather(module.held[2], numbers), tf.one_hot(numbers, 2) @ module.held[0]
        extra = module.held[4].lookup(texts) if counts else tf.zeros_like(rows[:, 0])
        return {"rows": rows, "product": product, "half": tf.cast(module.held[1], tf.float32), "extra": extra}

    function = call.get_concrete_function()
    tf.saved_model.save(module, str(directory), signatures=function)
    return module, flatten(function)


def answers(loaded: Any) -> dict[str, Any]:
    import tensorflow as tf

    found = loaded.signatures["serving_default"](texts=tf.constant(["b", "a", "b"]))
    return {name: value.numpy() for name, value in found.items()}


@pytest.mark.parametrize("counts", [False, True])
def test_it_answers_as_one_loaded_from_the_disk(tmp_path: Path, counts: bool) -> None:
    module = saved(tmp_path / "model", counts=counts)
    found, expected = (
        answers(m) for m in (reloading.load(tmp_path / "model", *module), _plain(tmp_path / "model"))
    )
    for name, value in expected.items():
        np.testing.assert_array_equal(found[name], value)
    assert found["product"].tolist() == [[3, 4, 5], [0, 1, 2], [3, 4, 5]]
    assert found["rows"].tolist() == [[13, 14, 15], [10, 11, 12], [13, 14, 15]]
    assert found["extra"].tolist() == ([0, 7, 0] if counts else [0, 0, 0])


def _plain(directory: Path) -> Any:
    import tensorflow as tf

    return tf.saved_model.load(str(directory))


def test_the_weights_are_there_once_until_one_is_written_to(tmp_path: Path) -> None:
    module = saved(tmp_path / "model")
    loaded = reloading.load(tmp_path / "model", *module)
    mine, theirs = (held[0] for held in (module[0].held, loaded.held))
    assert _place(mine) == _place(theirs)
    assert _place(mine) != _place(_plain(tmp_path / "model").held[0])
    assert _place(module[0].held[2]) != _place(loaded.held[2])  # rows of it are gathered
    mine.assign_add(np.ones((2, 3), np.float32))
    assert theirs.numpy()[0].tolist() == [0, 1, 2]


def _place(variable: Any) -> int:
    return int(np.from_dlpack(variable.read_value()).ctypes.data)


@pytest.mark.parametrize("number", [4.0, 14.0])
def test_another_bit_on_the_disk(tmp_path: Path, number: float) -> None:
    module = saved(tmp_path / "model")
    data = bytearray((tmp_path / "model" / DATA).read_bytes())
    place = data.index(np.float32(number).tobytes())
    data[place] ^= 1
    (tmp_path / "model" / DATA).write_bytes(bytes(data))
    with pytest.raises(InvalidInput) as caught:
        reloading.load(tmp_path / "model", *module)
    assert caught.value.reason == "DAMAGED"


def test_other_weights_than_were_written(tmp_path: Path) -> None:
    module = saved(tmp_path / "model")
    module[0].held[0].assign(np.zeros((2, 3), np.float32))
    with pytest.raises(InvalidInput, match="does not hold what was written to it"):
        reloading.load(tmp_path / "model", *module)


def test_the_peak_memory_of_a_process_is_its_own() -> None:
    """What getrusage says of a child begins with what its parent holds."""
    command = "from penult_service.preparing.pipeline import peak_memory; print(peak_memory())"
    ballast = np.ones(150_000_000)  # 1.2 GB
    done = subprocess.run([sys.executable, "-c", command], capture_output=True, text=True, check=True)
    assert 50e6 < int(done.stdout) < 1.2e9 <= ballast.nbytes
