"""Runs a prepared model with TensorFlow: its signatures, by all threads, whoever else calls."""

from __future__ import annotations

import logging
import re
import threading
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
import tensorflow_text  # noqa: F401  (registers the operations of `tokenize`)
from numpy.typing import NDArray

from penult_service.errors import InvalidInput, ModelRefused
from penult_service.guard import prepared as guard
from penult_service.masks import Draw
from penult_service.prepared import (
    CALLER,
    EMBEDDING,
    HEAD,
    RATES,
    ROW_KEYS,
    SAMPLE_ENCODE,
    SAMPLE_HEAD,
    SHARED_KEYS,
    WHOLE,
    Manifest,
)
from penult_service.tuned import BFLOAT16, FLOAT32, TENSORFLOW

_log = logging.getLogger(__name__)

# What TensorFlow says where a table has no such row.
_OUT_OF_RANGE = re.compile(r"indices\[[\d, ]*\] = (-?\d+) is not in \[0, (\d+)\)")
# The graph rewriter that makes matrix products compute in bfloat16, and leaves variables and sums as they are.
_REWRITER = "auto_mixed_precision_onednn_bfloat16"
# What each thread has told TensorFlow: its options are the process', but a thread keeps those that it first read. So
# one thread at a time tells, and reads.
_told = threading.local()
_telling = threading.Lock()
_mixed = threading.Event()  # some engine computes in bfloat16: until then nothing needs telling


class TensorFlowEngine:
    """Fulfils `embedder.Engine`, in the arithmetic that the model was saved with.

    With `precision` bfloat16 the matrix products of `encode` are computed in it. All else stays as it is: it costs
    little, and masks, probabilities and the saved function are what people compare.

    Args:
        signatures: The model's functions.
        manifest: What they are.
        precision: ``float32`` or ``bfloat16``.

    Raises:
        ModelRefused: ENGINE_CANNOT, TensorFlow does not compute in that precision here.
    """

    name = TENSORFLOW

    def __init__(self, signatures: Mapping[str, Any], manifest: Manifest, precision: str = FLOAT32) -> None:
        self.precision = precision
        if precision == BFLOAT16:
            _mixed.set()
            if not _lowers():
                raise ModelRefused(
                    "TensorFlow computes nothing in bfloat16 here (it needs a processor with AVX512, and its oneDNN "
                    "kernels switched on); take --precision float32",
                    reason="ENGINE_CANNOT",
                )
        self._signatures = signatures
        self._manifest = manifest
        self._wanted: dict[str, Mapping[str, tf.TensorSpec]] = {}

    def encode(
        self,
        inputs: Mapping[str, NDArray[Any]],
        layers: Sequence[str],
        *,
        alone: bool = True,  # noqa: ARG002
    ) -> dict[str, NDArray[np.float32]]:
        """As in `Engine`: readouts float32 by layer, [n, d], or [n, length, d] for tokens; `alone` changes nothing."""
        return self._call(self._manifest.encode_signature(layers), inputs, self.precision)

    def head(
        self, embedding: NDArray[np.float32], values: Mapping[str, NDArray[Any]] | None = None
    ) -> dict[str, NDArray[Any]]:
        """As in `Engine`: the model's outputs by name."""
        return self._call(HEAD, {EMBEDDING: embedding, **(values or {})})

    def sample_encode(self, inputs: Mapping[str, NDArray[Any]], draw: Draw) -> NDArray[np.float32]:
        """As in `Engine`."""
        found = self._call(SAMPLE_ENCODE, {**inputs, **_arguments(draw)})
        return found[self._manifest.seam]

    def sample_head(
        self, embedding: NDArray[np.float32], values: Mapping[str, NDArray[Any]] | None, draw: Draw
    ) -> dict[str, NDArray[Any]]:
        """As in `Engine`."""
        return self._call(SAMPLE_HEAD, {EMBEDDING: embedding, **(values or {}), **_arguments(draw)})

    def whole(self, inputs: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        """As in `Engine`: the model's outputs by name."""
        return self._call(WHOLE, inputs)

    def _call(
        self, name: str, inputs: Mapping[str, NDArray[Any]], precision: str = FLOAT32
    ) -> dict[str, NDArray[Any]]:
        signature = self._signatures[name]
        wanted = self._wanted.get(name) or signature.structured_input_signature[1]
        self._wanted[name] = wanted
        with _refusals(self._manifest.tokenizer == CALLER):
            given = {key: _tensor(array, wanted[key]) for key, array in inputs.items()}
            return _numpy(_told_of(precision, lambda: signature(**given)))


def _told_of(precision: str, compute: Callable[[], Any]) -> Any:
    """What `compute` gives in this precision, whatever other threads tell TensorFlow meanwhile."""
    while True:
        known = _mixed.is_set()
        _tell(precision)
        found = compute()
        if known or not _mixed.is_set():
            return found
        # The first engine in bfloat16 came meanwhile, and this thread may have read what was told for it.


def _tell(precision: str) -> None:
    """Switches the rewriter for what this thread calls next; a function is rewritten when it is first called so."""
    if _mixed.is_set() and getattr(_told, "precision", None) != precision:
        with _telling:
            tf.config.optimizer.set_experimental_options({_REWRITER: precision == BFLOAT16})
            _nothing()()  # they are read when a function is called
        _told.precision = precision


@cache
def _nothing() -> Any:
    return tf.function(lambda: tf.constant(0), autograph=False)


@cache
def _lowers() -> bool:
    """Whether the rewriter does anything here: where it does not, it says nothing."""
    product = tf.function(lambda matrix: tf.matmul(matrix, matrix), autograph=False)
    matrix = tf.constant(np.random.default_rng(0).standard_normal((32, 32)), tf.float32)
    found = []
    for precision in (FLOAT32, BFLOAT16):
        _tell(precision)
        found.append(product(matrix).numpy())
    return bool((found[0] != found[1]).any())


def use_threads(threads: int | None) -> None:
    """How many threads a matrix product takes. TensorFlow hears it once a process, before it computes anything."""
    if threads is None:
        return
    try:
        tf.config.threading.set_intra_op_parallelism_threads(threads)
        tf.config.threading.set_inter_op_parallelism_threads(threads)
    except RuntimeError:
        there = tf.config.threading.get_intra_op_parallelism_threads()
        if there not in (0, threads):
            _log.info(
                "TensorFlow computes with %d threads already, in this process; not with %d", there, threads
            )


def _arguments(draw: Draw) -> dict[str, NDArray[Any]]:
    return {ROW_KEYS: draw.row_keys, SHARED_KEYS: draw.shared_keys, RATES: draw.rates}


@contextmanager
def _refusals(numbers_alone: bool) -> Iterator[None]:
    """What the caller's numbers make impossible is the caller's; all else that TensorFlow raises goes on as it is.

    That is an id that a table does not have. Of a model that the caller gives `numbers_alone` it is every argument that
    an operation refuses, such as more tokens than there are positions; its message can quote no text.
    """
    try:
        yield
    except tf.errors.InvalidArgumentError as error:
        found = _OUT_OF_RANGE.search(error.message)
        if found is not None:
            raise InvalidInput(
                f"an input holds {found[1]}, the model's table for it has 0 to {int(found[2]) - 1}",
                reason="OUT_OF_RANGE",
            ) from None
        if not numbers_alone:
            raise
        # The sentence stands between where it happened and the names of nodes.
        said = [line.strip() for line in error.message.splitlines() if line.strip() and "{{" not in line]
        raise InvalidInput(
            f"the model refuses these inputs, perhaps for their length: {(said or [''])[-1][:300]}",
            reason="REFUSED_BY_MODEL",
        ) from None


def signatures(directory: Path, allow_ops: Collection[str] = ()) -> Mapping[str, Any]:
    """The signatures of a prepared model; they keep what they need alive.

    Before TensorFlow loads the model, its operations are held against the allow list, to which `allow_ops` adds the
    operator's own.

    Raises:
        InvalidInput, ModelRefused: as `guard.prepared.check`, nothing of the model has run then; or DAMAGED, TensorFlow
            cannot load it, or a function that is asked for is not there.
    """
    guard.check(directory, allow_ops)
    try:
        loaded = tf.saved_model.load(str(directory))
        return _Kept(directory, loaded.signatures, loaded)
    except Exception as error:  # whatever TensorFlow raises at a graph that does not fit together
        first = (str(error) or type(error).__name__).splitlines()[0][:300]
        raise InvalidInput(
            f"{directory} cannot be loaded ({first}); prepare the model again", reason="DAMAGED"
        ) from error


class _Kept(dict[str, Any]):
    """A dict that keeps the loaded object: its variables live no longer than it does."""

    def __init__(self, directory: Path, items: Mapping[str, Any], owner: Any) -> None:
        super().__init__(items)
        self.directory, self.owner = directory, owner

    def __missing__(self, name: str) -> Any:
        raise InvalidInput(
            f"{self.directory} has no function {name!r}; prepare the model again", reason="DAMAGED"
        )


def _tensor(array: NDArray[Any], wanted: tf.TensorSpec) -> tf.Tensor:
    """The array as the signature takes it: half precision that NumPy lacks comes as float32."""
    if array.dtype == object:
        return tf.constant(array.tolist(), dtype=tf.string)
    return tf.cast(tf.constant(array), wanted.dtype)


def _numpy(tensors: Mapping[str, tf.Tensor]) -> dict[str, NDArray[Any]]:
    """Arrays; half precision, of which NumPy cannot tell whether it is finite, as float32."""
    half = (tf.float16, tf.bfloat16)
    return {n: (tf.cast(t, tf.float32) if t.dtype in half else t).numpy() for n, t in tensors.items()}
