"""Runs a prepared model with OpenVINO: `encode` and `head`, of the files that `ir` wrote."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from penult_service.engines.index import Index
from penult_service.engines.openvino_runtime import ENGINE_CANNOT, core, first_line, runtime
from penult_service.errors import InvalidInput, ModelRefused
from penult_service.prepared import CALLER, EMBEDDING, HEAD, Manifest
from penult_service.tuned import BFLOAT16, FLOAT32, OPENVINO, Setting

if TYPE_CHECKING:
    from penult_service.masks import Draw

_log = logging.getLogger(__name__)

_HINTS = {FLOAT32: "f32", BFLOAT16: "bf16"}
_SHORT, _SHORT_ATTENTION = 128, {"SNIPPETS_MODE": "DISABLE"}  # tokens
# For each shape of a batch that it has not met, OpenVINO makes kernels, in 6 ms, and keeps them: 1.3 MB in float32, 1.9
# in bfloat16. By itself for thousands of shapes; with this for about 70, so that memory has an end. Each stream keeps
# its own, and meets the shapes of bulk work alone, of which fewer are enough (as fast with 40 as with 128): up to four
# streams keep two thirds of that together, more of them 20 each.
_KEPT_KERNELS = 128  # of each kind
_KEPT_IN_STREAMS, _KEPT_IN_EACH = 84, 20  # in all together, and in each at least


class OpenVINOEngine:
    """Fulfils `embedder.Engine`.

    Its head always computes in float32: it costs nothing, and probabilities are what people look at.

    Where the setting has several streams, an encoder is compiled twice: for a batch that is alone, computed by all
    threads, and for as many batches at once as there are streams, each by its share of them. Any number of calls may be
    in flight, of both kinds: those beyond what is computed at once wait. A thread that calls has its stream for ever:
    as many threads as streams, or some streams are shared while others stand idle. The head, which is tiny, is compiled
    once, in streams, which may be shared so. What cannot be compiled in streams is computed by all threads instead, and
    the log says so.

    Args:
        ir: The directory that `ir.convert` wrote.
        manifest: What the model's functions are.
        setting: Precision, threads and streams.
        rest: Gives the engine for `sample_encode`, `sample_head` and `whole`, when one of them is first asked for.

    Raises:
        ModelRefused: ENGINE_CANNOT, OpenVINO is not there or does not take this model at this precision.
        InvalidInput: DAMAGED.
    """

    name = OPENVINO

    def __init__(self, ir: Path, manifest: Manifest, setting: Setting, rest: Callable[[], Any]) -> None:
        self.precision = setting.precision
        self._ir, self._manifest, self._setting, self._rest = ir, manifest, setting, rest
        self._index = Index.read(ir)
        self._encoders: dict[tuple[str, str, int], _Function] = {}
        self._models: dict[str, Any] = {}  # as read: each reading would map its file anew
        self._lock = threading.Lock()
        self._tokens = [token.name for token in manifest.inputs if token.role != "value"]
        self._masks = [token.name for token in manifest.inputs if token.role == "mask"]
        refuse_missing_precision(setting.precision)
        tokens = manifest.tokens if manifest.pooling != "pooled" else None
        for alone in (True, False):
            self._encoder([tokens.layer if tokens else manifest.seam], alone=alone)
        self._head = self._in_streams(HEAD, FLOAT32, setting.streams) if self._index.head else None

    def encode(
        self, inputs: Mapping[str, NDArray[Any]], layers: Sequence[str], *, alone: bool = True
    ) -> dict[str, NDArray[np.float32]]:
        """As in `Engine`: readouts float32 by layer, [n, d], or [n, length, d] for tokens."""
        self._refuse_too_long(inputs)
        self._refuse_out_of_range(inputs)
        if any(not inputs[name].any(axis=-1).all() for name in self._masks):
            # Attention to nothing: what that gives is no property of the model but of how it is written down.
            found: dict[str, NDArray[np.float32]] = self._rest().encode(inputs, layers, alone=alone)
            return found
        return self._run(self._encoder(layers, alone=alone), inputs, layers)

    def head(
        self, embedding: NDArray[np.float32], values: Mapping[str, NDArray[Any]] | None = None
    ) -> dict[str, NDArray[Any]]:
        """As in `Engine`: the model's outputs by name."""
        if self._head is None:
            raise InvalidInput(f"{self._ir} has no function {HEAD!r}; remove it", reason="DAMAGED")
        self._refuse_out_of_range(values or {})
        return self._run(self._head, {EMBEDDING: embedding, **(values or {})}, self._manifest.outputs)

    def sample_encode(self, inputs: Mapping[str, NDArray[Any]], draw: Draw) -> NDArray[np.float32]:
        """As in `Engine`, by the other engine."""
        found: NDArray[np.float32] = self._rest().sample_encode(inputs, draw)
        return found

    def sample_head(
        self, embedding: NDArray[np.float32], values: Mapping[str, NDArray[Any]] | None, draw: Draw
    ) -> dict[str, NDArray[Any]]:
        """As in `Engine`, by the other engine."""
        found: dict[str, NDArray[Any]] = self._rest().sample_head(embedding, values, draw)
        return found

    def whole(self, inputs: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        """As in `Engine`, by the other engine."""
        found: dict[str, NDArray[Any]] = self._rest().whole(inputs)
        return found

    def _encoder(self, layers: Sequence[str], *, alone: bool) -> _Function:
        """What computes these readouts, compiled when they are first asked for.

        Each compiled model packs all weights anew, so there is one a file, and one for the seam alone where that is
        cheaper to compute; each once more where several batches are computed at once. Who has its function waits for no
        other's to be compiled.

        Raises:
            ModelRefused: ENGINE_CANNOT.
            InvalidInput: DAMAGED.
        """
        wanted = set(layers)
        seam = self._manifest.seam if self._index.pooled and wanted == {self._manifest.seam} else ""
        streams = 1 if alone else self._setting.streams
        file = next((f for f, there in self._index.encode.items() if wanted <= set(there)), None)
        if file is None:
            raise InvalidInput(f"{self._ir} cannot read {sorted(wanted)} at once", reason="DAMAGED")
        key = (file, seam, streams)
        found = self._encoders.get(key)
        if found is None:
            with self._lock:
                found = self._encoders.get(key)  # another thread may have compiled it meanwhile
                if found is None:
                    found = self._encoders[key] = self._in_streams(file, self.precision, streams, seam)
        return found

    def _in_streams(self, file: str, precision: str, streams: int, seam: str = "") -> _Function:
        """As `_compiled`; where it cannot be compiled in streams, the function that all threads compute."""
        try:
            return self._compiled(file, precision, streams, seam)
        except ModelRefused as refused:
            if streams == 1:
                raise
            _log.warning("%s; in %d streams: it is computed one batch at a time", refused.message, streams)
        key = (file, seam, 1)
        self._encoders[key] = self._encoders.get(key) or self._compiled(file, precision, 1, seam)
        return self._encoders[key]

    def _compiled(self, file: str, precision: str, streams: int, seam: str = "") -> _Function:
        """A file of the IR; of the encoder the `seam` alone where one is given."""
        how = options(precision, self._setting.threads, streams)
        try:
            model = self._models.get(file) or core().read_model(self._ir / f"{file}.xml")
            self._models[file] = model
            if seam:
                model = pooled_alone(model, seam)
            return _Function(_compiled(model, how, self._manifest.max_length), streams)
        except RuntimeError as error:
            raise ModelRefused(
                f"OpenVINO cannot compile {self._manifest.source}: {first_line(error)}", reason=ENGINE_CANNOT
            ) from error

    def _refuse_too_long(self, inputs: Mapping[str, NDArray[Any]]) -> None:
        """OpenVINO itself adds what has another length, as far as it goes."""
        length, longest = (
            max((inputs[name].shape[1] for name in self._tokens), default=0),
            self._manifest.max_length,
        )
        if length > longest:
            raise InvalidInput(
                f"the model refuses these inputs for their length: {length} tokens, and it takes {longest}",
                reason="REFUSED_BY_MODEL",
            )

    def _refuse_out_of_range(self, inputs: Mapping[str, NDArray[Any]]) -> None:
        """OpenVINO itself would read zeros where a table has no such row."""
        for name, (least, most) in self._index.ranges.items():
            array = inputs.get(name)
            if array is None or not array.size:
                continue
            lowest, highest = int(array.min()), int(array.max())
            if lowest < least or highest > most:
                wrong = lowest if lowest < least else highest
                raise InvalidInput(
                    f"an input holds {wrong}, the model's table for it has 0 to {most}", reason="OUT_OF_RANGE"
                )

    def _run(
        self, function: _Function, inputs: Mapping[str, NDArray[Any]], outputs: Sequence[str]
    ) -> dict[str, NDArray[Any]]:
        try:
            return function(inputs, outputs)
        except RuntimeError as error:
            if self._manifest.tokenizer != CALLER:
                raise
            raise InvalidInput(
                f"the model refuses these inputs, perhaps for their length: {first_line(error)}",
                reason="REFUSED_BY_MODEL",
            ) from None


def _compiled(model: Any, settings: Mapping[str, Any], longest: int) -> Any:
    """The model compiled; kernels of few shapes are kept, and the attention of short texts is by one that suits them.

    OpenVINO has two for attention: of 12 to 24 tokens the other one takes 5 to 10 % more of the whole time, of 128 as
    much, of 512 in float32 10 % less. Both are settings that are not among the documented ones, so may be refused.
    """
    attends = any(node.get_type_name() == "ScaledDotProductAttention" for node in model.get_ops())
    streams = settings["NUM_STREAMS"]
    kept = _KEPT_KERNELS if streams == 1 else max(_KEPT_IN_EACH, _KEPT_IN_STREAMS // streams)
    more = {"CPU_RUNTIME_CACHE_CAPACITY": kept, **(_SHORT_ATTENTION if attends and longest <= _SHORT else {})}
    try:
        return core().compile_model(model, "CPU", {**settings, **more})
    except RuntimeError:
        pass  # another release: as it comes
    return core().compile_model(model, "CPU", dict(settings))


class _Function:
    """A compiled model, called from any thread, with a request for each of its streams.

    A thread that calls has its stream for ever: as many threads as streams, or some streams are shared while others
    stand idle. Where more calls are in flight there are as many requests as there ever were of them.
    """

    def __init__(self, compiled: Any, streams: int = 1) -> None:
        self._compiled = compiled
        # Taken and given back in one step each, so without a lock.
        self._idle = [compiled.create_infer_request() for _ in range(streams)]
        self._inputs = {one.any_name: one.element_type.to_dtype() for one in compiled.inputs}
        self._outputs = {one.any_name: one for one in compiled.outputs}

    def __call__(self, inputs: Mapping[str, NDArray[Any]], outputs: Sequence[str]) -> dict[str, NDArray[Any]]:
        given = {
            name: np.ascontiguousarray(inputs[name], dtype=dtype) for name, dtype in self._inputs.items()
        }
        with self._request() as request:
            # Read and written where they lie; what is asked for is copied, since the next call writes over it.
            found = request.infer(given, share_inputs=True, share_outputs=True)
            return {name: _single(found[self._outputs[name]]) for name in outputs}

    @contextmanager
    def _request(self) -> Iterator[Any]:
        """One that nobody else uses meanwhile."""
        try:
            request = self._idle.pop()
        except IndexError:
            request = self._compiled.create_infer_request()
        try:
            yield request
        finally:
            self._idle.append(request)


def pooled_alone(model: Any, seam: str) -> Any:
    """A model that gives the seam alone, of the first token's row where its last layer can do that."""
    from penult_service.engines.rewriting.first_rows import select_first_rows

    kept = [one.node for one in model.outputs if one.any_name == seam]
    # A clone: what the other outputs alone need still hangs on the nodes of the first.
    alone = runtime().Model(kept, model.get_parameters(), seam).clone()
    select_first_rows(alone)
    alone.validate_nodes_and_infer_types()
    return alone


def _single(array: NDArray[Any]) -> NDArray[Any]:
    """A copy; half precision as float32, as TensorFlow's engine gives it."""
    return np.array(array, np.float32 if array.dtype == np.float16 else None)


def refuse_missing_precision(precision: str) -> None:
    """ModelRefused: ENGINE_CANNOT, this processor does not compute in that precision."""
    if precision == BFLOAT16 and "BF16" not in core().get_property("CPU", "OPTIMIZATION_CAPABILITIES"):
        raise ModelRefused(
            "this processor has no bfloat16 arithmetic; take --precision float32", reason=ENGINE_CANNOT
        )


def options(precision: str, threads: int, streams: int = 1) -> dict[str, Any]:
    """How a model is compiled. The precision is always said: by itself OpenVINO takes bfloat16 where it can.

    Threads are not pinned to cores: those that wait for each other suffer from whoever else computes there.
    """
    return {
        "PERFORMANCE_HINT": "LATENCY",
        "INFERENCE_PRECISION_HINT": _HINTS[precision],
        "INFERENCE_NUM_THREADS": threads,
        "NUM_STREAMS": streams,
        "ENABLE_CPU_PINNING": False,
        "ENABLE_HYPER_THREADING": True,
    }
