"""Makes of a prepared model's `encode` and `head` what OpenVINO reads; in a child process, beside TensorFlow."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from penult_service.engines.index import Index
from penult_service.engines.openvino import options, pooled_alone
from penult_service.engines.openvino_runtime import ENGINE_CANNOT, first_line, runtime
from penult_service.engines.rewriting import rewrite
from penult_service.engines.rewriting.first_rows import select_first_rows
from penult_service.errors import ModelRefused
from penult_service.prepared import CALLER, GRAPH, HEAD, TOKENIZE, Manifest, TokenInput
from penult_service.tuned import FLOAT32

_log = logging.getLogger(__name__)

# Operations of one input that hand ids on as they are.
_PLAIN = frozenset({"Convert", "Reshape", "Squeeze", "Unsqueeze", "Identity"})
_LOOKUPS = frozenset({"Gather", "GatherND", "GatherElements"})
_SAME = 1e-4  # the largest difference that rewriting may make, of the largest number
_LONGEST = 8192  # tokens of a row that TensorFlow is tried with


def convert(directory: Path, manifest: Manifest, functions: Any, target: Path) -> None:
    """Writes the IRs, in float32, and `ir.json` into `target`, an empty directory.

    Args:
        directory: The prepared model, to be named in messages.
        manifest: What it is.
        functions: Its signatures: `opening.Functions`.
        target: For `encode_*.xml` and `.bin`, each of which can give several readouts, `head`, and a SavedModel of
            `tokenize` alone, where a graph makes the tokens.

    Raises:
        ModelRefused: ENGINE_CANNOT, with the reason: OpenVINO cannot convert it, or would not refuse what TensorFlow
            does.
    """
    _refuse_unchecked(manifest)
    _refuse_untrue_length(manifest, functions)
    sets = _sets(manifest)
    ranges: dict[str, tuple[int, int]] = {}
    pooled = False
    for name, outputs in (*sets.items(), (HEAD, manifest.outputs)):
        model = _converted(functions[name], name, outputs, directory)
        _find_ranges(model, manifest, ranges)
        if name != HEAD:
            rows = _made_up(model, manifest, ranges)
            model = _as_good(model, _rewritten, rows, manifest)
        if name == next(iter(sets)):  # it is the one that gives the seam alone
            pooled = _pools_alone(model, rows, manifest)
        runtime().save_model(model, target / f"{name}.xml", compress_to_fp16=False)
    if manifest.tokenizer == GRAPH:
        _write_tokenizing(functions, manifest, target / TOKENIZE)
    Index(sets, True, pooled, ranges).write(target)


def _write_tokenizing(functions: Any, manifest: Manifest, target: Path) -> None:
    """A SavedModel of `tokenize` with its tables, and without the weights; nothing where that cannot be made."""
    import tensorflow as tf

    from penult_service.engines.tensorflow import signatures

    texts = tf.constant(["", "A film that I won't forget, naïve café 42", "word " * 4000])
    try:
        module, tokenize = tf.Module(), functions[TOKENIZE]
        module.held = [one for one in functions.load().owner.held if not isinstance(one, tf.Variable)]
        tf.saved_model.save(module, str(target), signatures={TOKENIZE: tokenize})
        alone = signatures(target)[TOKENIZE]
        given = {field.argument: texts for field in manifest.texts}
        before, after = tokenize(**given), alone(**given)
        if any((before[name].numpy() != after[name].numpy()).any() for name in before):
            raise ValueError("it makes other tokens")
    except Exception as error:  # noqa: BLE001  (whatever TensorFlow raises; the whole model can do it)
        _log.warning("%s: no file of its tokenizing alone: %s", manifest.source, first_line(error))
        shutil.rmtree(target, ignore_errors=True)


def _sets(manifest: Manifest) -> dict[str, tuple[str, ...]]:
    """The signatures that give most: each readout with the one that the head takes. Others are parts of these."""
    others = [one.layer for one in manifest.readouts if one.layer != manifest.seam]
    sets: list[tuple[str, ...]] = [(manifest.seam, layer) for layer in others] or [(manifest.seam,)]
    return {manifest.encode_signature(layers): layers for layers in sets}


def _refuse_unchecked(manifest: Manifest) -> None:
    """What TensorFlow refuses by itself, and OpenVINO would compute something with."""
    why = ""
    if not manifest.readouts:
        why = "nothing can be read of it, so it is run as a whole, which is TensorFlow's"
    elif manifest.tokenizer == CALLER and manifest.max_length > _LONGEST:
        why = (
            "its callers give tokens of any length, and OpenVINO would not say when it has no places for them"
        )
    elif any(token.dtype == "bfloat16" for token in manifest.inputs):
        why = "it takes numbers of bfloat16"
    elif any(token.role == "value" and -1 in token.shape for token in manifest.inputs):
        why = "its callers give arrays of any length, and OpenVINO would not say when one does not fit"
    if why:
        raise ModelRefused(f"OpenVINO does not serve this model: {why}", reason=ENGINE_CANNOT)


def _refuse_untrue_length(manifest: Manifest, functions: Mapping[str, Any]) -> None:
    """A length that TensorFlow refuses: OpenVINO, which would not, could not be held to it."""
    if manifest.tokenizer == GRAPH or manifest.max_length > _LONGEST:
        return  # its own tokens were tried, or are never as many
    from penult_service.engines.tensorflow import (
        TensorFlowEngine,
    )  # not in the server, which imports this file

    signature = functions[manifest.encode_signature([manifest.seam])]
    masks = {token.name for token in manifest.inputs if token.role == "mask"}
    rows = {
        name: np.full([1, *(manifest.max_length if n is None else n for n in spec.shape[1:])], name in masks)
        for name, spec in signature.structured_input_signature[1].items()
    }
    try:
        TensorFlowEngine(functions, manifest).encode(rows, [manifest.seam])
    except Exception as error:  # whatever its operations raise
        raise ModelRefused(
            f"OpenVINO does not serve this model: TensorFlow refuses {manifest.max_length} tokens, its own greatest "
            f"length ({first_line(error)})",
            reason=ENGINE_CANNOT,
        ) from error


def _rewritten(model: Any) -> Any:
    """A copy, rewritten; the model itself where there is nothing to rewrite."""
    changed = model.clone()
    return changed if any(rewrite(changed).values()) else model


def _pools_alone(model: Any, rows: Mapping[str, NDArray[Any]], manifest: Manifest) -> bool:
    """Whether the seam can be computed of the first token's row."""
    seam = manifest.seam
    plain = runtime().Model(
        [one.node for one in model.outputs if one.any_name == seam], model.get_parameters(), seam
    )
    if not select_first_rows(plain.clone()):
        return False
    return _as_good(plain, lambda _: pooled_alone(model, seam), rows, manifest) is not plain


def _as_good(
    model: Any, change: Callable[[Any], Any], rows: Mapping[str, NDArray[Any]], manifest: Manifest
) -> Any:
    """The changed model, when it computes the same; else the model."""
    try:
        changed = change(model)
        if changed is model:
            return model
        before, after = (_computed(one, rows) for one in (model, changed))
    except Exception as error:  # noqa: BLE001  (a form that nobody thought of; what was converted is there still)
        _log.warning("%s: left as OpenVINO converted it: %s", manifest.source, first_line(error))
        return model
    apart = float(np.max([_apart(a, b) for a, b in zip(before, after, strict=True)]))  # NaN where one is
    if apart <= _SAME:
        return changed
    _log.warning("%s: left as OpenVINO converted it: changed it would differ by %.2g", manifest.source, apart)
    return model


def _apart(a: NDArray[Any], b: NDArray[Any]) -> float:
    """The largest difference, of the largest number or 1; NaN where only one of them is finite."""
    same = (a == b) | (np.isnan(a) & np.isnan(b))
    largest = np.abs(a[np.isfinite(a)]).max(initial=1.0)
    return float(np.abs(np.where(same, 0, a) - np.where(same, 0, b)).max(initial=0.0) / largest)


def _made_up(
    model: Any, manifest: Manifest, ranges: Mapping[str, tuple[int, int]]
) -> dict[str, NDArray[Any]]:
    """Rows of several lengths, of any ids that there are.

    Without a mask ids are 0 behind a row's length, and one row has no others: a model may make its mask of them.
    """
    random, lengths = np.random.default_rng(0), np.array([24, 9, 5, 2])
    width = min(int(lengths.max()), manifest.max_length)
    roles = {token.name: token.role for token in manifest.inputs}
    masked = list(roles.values()).count("mask") >= list(roles.values()).count("ids")
    rows = {}
    for one in model.inputs:
        name, dtype = one.any_name, one.element_type.to_dtype()
        shape = [size.get_length() if size.is_static else width for size in one.get_partial_shape()]
        shape[0] = len(lengths)
        if roles[name] == "mask":
            rows[name] = (np.arange(shape[1]) < lengths[:, None]).astype(dtype)
        elif np.issubdtype(dtype, np.floating):
            rows[name] = random.standard_normal(shape).astype(dtype)
        else:
            most = ranges.get(name, (0, manifest.vocabulary - 1 if roles[name] == "ids" else 0))[1]
            rows[name] = random.integers(0, max(most, 0), shape, endpoint=True).astype(dtype)
            if roles[name] == "ids" and not masked:
                used = np.arange(shape[1]) < np.where(lengths > 2, lengths, 0)[:, None]
                rows[name] = np.where(used, rows[name], 0).astype(dtype)
    return rows


def _computed(model: Any, rows: Mapping[str, NDArray[Any]]) -> list[NDArray[Any]]:
    compiled = runtime().Core().compile_model(model, "CPU", options(FLOAT32, 1))
    found = compiled(dict(rows))
    return [np.asarray(found[output], np.float32) for output in compiled.outputs]


@contextmanager
def _logging_kept() -> Iterator[None]:
    """OpenVINO's converter takes the log of the whole process for its own."""
    root = logging.getLogger()
    handlers, filters, level = root.handlers[:], root.filters[:], root.level
    try:
        yield
    finally:
        root.handlers[:], root.filters[:] = handlers, filters
        root.setLevel(level)


def _converted(function: Any, name: str, outputs: Iterable[str], directory: Path) -> Any:
    """OpenVINO's model of a signature, its outputs named as the signature's are."""
    try:
        with _logging_kept():
            model = runtime().convert_model(function)
    except Exception as error:  # whatever its converter raises
        raise ModelRefused(
            f"OpenVINO cannot convert the function {name!r} of {directory}: {first_line(error)}",
            reason=ENGINE_CANNOT,
        ) from error
    found = {one.any_name: one for one in model.outputs}
    missing = sorted(set(outputs) - set(found))
    if missing:
        raise ModelRefused(
            f"OpenVINO's function {name!r} of {directory} has no output {missing[0]!r}", reason=ENGINE_CANNOT
        )
    return model


def _find_ranges(model: Any, manifest: Manifest, ranges: dict[str, tuple[int, int]]) -> None:
    """Adds to `ranges` what the tables that integer inputs look up have rows for.

    ModelRefused: ENGINE_CANNOT, a caller's number looks up a table in a way that is not seen through here.
    """
    given = {one.name for one in manifest.inputs if _of_caller(one, manifest)}
    for operation in model.get_ops():
        if operation.get_type_name() not in _LOOKUPS:
            continue
        table, indices = (operation.input_value(i) for i in (0, 1))
        name, wraps = _looked_up(indices)
        rows = table.get_partial_shape()
        if name and _takes_rows(operation) and rows.rank.is_static and rows[0].is_static:
            count = rows[0].get_length()
            least, most = ranges.get(name, (-count, count - 1))
            ranges[name] = (max(least, -count if wraps else 0), min(most, count - 1))
            continue
        hidden = given & _sources(indices)
        if hidden:
            raise ModelRefused(
                f"OpenVINO does not serve this model: it computes places in a table from {min(hidden)!r}, and OpenVINO "
                "would not say when there is no such row",
                reason=ENGINE_CANNOT,
            )


def _of_caller(token: TokenInput, manifest: Manifest) -> bool:
    """Whether its numbers are whatever a caller gives, also beside texts that a graph makes the tokens of."""
    beside = manifest.tokenizer == GRAPH and bool(token.field)
    return manifest.tokenizer == CALLER or token.role == "value" or beside


def _takes_rows(operation: Any) -> bool:
    """Whether it is a `Gather` of rows, along the first axis."""
    if operation.get_type_name() != "Gather":
        return False
    axis = operation.input_value(2).get_node()
    first = axis.get_type_name() == "Constant" and not np.any(axis.get_data())
    return first and not operation.get_attributes()["batch_dims"]


def _looked_up(value: Any) -> tuple[str, bool]:
    """The input that this is, unchanged but for type and shape (empty: something else is computed); and whether those
    below zero count from the end, as Keras has it: `where(ids < 0, ids + rows, ids)`.
    """
    node, wraps = value.get_node(), False
    while node.get_type_name() in (*_PLAIN, "Select"):
        place = 0
        if node.get_type_name() == "Select":
            test, shifted = (node.input_value(i).get_node() for i in (0, 1))
            if (test.get_type_name(), shifted.get_type_name()) != ("Less", "Add"):
                break
            wraps, place = True, 2
        node = node.input_value(place).get_node()
    is_input = node.get_type_name() == "Parameter"
    return (str(node.output(0).any_name) if is_input else "", wraps)


def _sources(value: Any) -> set[str]:
    """The integer inputs whose numbers (not only their shapes) reach this."""
    seen: set[str] = set()
    found, waiting = set(), [value.get_node()]
    while waiting:
        node = waiting.pop()
        if node.get_friendly_name() in seen or node.get_type_name() == "ShapeOf":
            continue
        seen.add(node.get_friendly_name())
        if node.get_type_name() == "Parameter" and node.get_element_type().is_integral():
            found.add(str(node.output(0).any_name))
        waiting += [node.input_value(i).get_node() for i in range(node.get_input_size())]
    return found
