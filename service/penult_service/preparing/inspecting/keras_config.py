"""The configuration that Keras builds a model from: whatever in it names code, a path, or more memory than there is.

Keras turns the names in a configuration into classes and functions and calls them. `safe_mode` alone did not stop that
(an `.h5` ignores it; public functions of Keras itself fetch and unpack files), so names are held against a list here:
classes of Keras, KerasHub and TF-Hub from the modules where layers and their parts live, and activations.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator
from typing import Any

from penult_service.errors import InvalidInput, ModelRefused
from penult_service.guard.sizes import MAX_TENSOR_BYTES

MAX_CONFIG_BYTES = 64 << 20

Config = dict[str, Any]

_PARTS = (
    "layers|models|engine|ops|initializers|regularizers|constraints|activations|optimizers|losses|metrics"
    "|dtype_policies|mixed_precision|quantizers|feature_column"
)
_CLASS_MODULES = re.compile(
    rf"(tf_)?keras|(tf_)?keras\.(src\.)?({_PARTS})(\.\w+)*"
    r"|(keras_hub|keras_nlp)\.(src\.)?(layers|models|tokenizers)(\.\w+)*"
    r"|tensorflow_hub\.keras_layer"
)
_FUNCTION_MODULES = re.compile(
    r"builtins|(tf_)?keras\.(src\.)?(activations|initializers|regularizers|constraints|losses|metrics)(\.\w+)*"
    r"|keras\.(src\.)?ops(\.nn|\.numpy|\.math)?"
)
_CLASS_NAME = re.compile(r"[A-Z]\w*|__(keras_tensor|tensor|numpy|bytes|ellipsis|slice|tuple|typespec)__")
_FUNCTION_NAME = re.compile(r"[a-z]\w*")
_PACKAGES = frozenset({"keras", "keras_hub", "keras_nlp", "tf_keras"})
# tf_keras registers its own optimizers as if they were somebody's.
_OPTIMIZERS = frozenset(
    f"Custom>{name}"
    for name in (
        "Adadelta",
        "Adafactor",
        "Adagrad",
        "Adam",
        "AdamW",
        "Adamax",
        "Ftrl",
        "Lion",
        "Nadam",
        "RMSprop",
        "SGD",
    )
)
# Layers that are a wrapping around Python code of the author, or around the code of other libraries.
_CODE = frozenset({"Lambda", "__lambda__", "TorchModuleWrapper", "JaxLayer", "FlaxLayer", "PyFunc"})
_VOCABULARIES = ("vocabulary", "vocabulary_file", "merges", "proto")
# Functions of TensorFlow that a layer of tf_keras may name: these compute; io, data, raw_ops and others reach out.
_TF_FUNCTIONS = re.compile(
    r"__operators__\.\w+|(math|nn|linalg|strings|bitwise|ragged)\.\w+"
    r"|(compat\.v1\.)?(cast|concat|expand_dims|fill|gather|gather_nd|identity|one_hot|ones_like|pad|range|rank|repeat"
    r"|reshape|reverse|shape|size|slice|split|squeeze|stack|stop_gradient|strided_slice|tile|transpose|unstack|where"
    r"|zeros_like|clip_by_value|boolean_mask|broadcast_to|einsum|tensordot|convert_to_tensor|ensure_shape|norm"
    r"|searchsorted|sequence_mask)"
)
_TF_CLASSES = frozenset({"RaggedTensor", "sparse.SparseTensor", "SparseTensor"})
_ATTRIBUTE = re.compile(r"[a-z]\w*")


def parse(what: str, text: bytes | str) -> Any:
    """The JSON of a configuration.

    Raises:
        ModelRefused: TOO_LARGE.
        InvalidInput: DAMAGED, it is no JSON, or nested too deeply.
    """
    if len(text) > MAX_CONFIG_BYTES:
        raise ModelRefused(
            f"{what} has {len(text):,} bytes, more than {MAX_CONFIG_BYTES:,}; save a smaller model",
            reason="TOO_LARGE",
        )
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise InvalidInput(f"{what} is not JSON ({error}); copy the model again", reason="DAMAGED") from error


def refuse_harmful(what: str, config: Any) -> tuple[str, ...]:
    """Refuses a configuration with code, with names of code, with paths to read, or with absurd sizes.

    Args:
        what: The file and the part of it, for messages.
        config: The parsed JSON.

    Returns:
        The other models that TF-Hub layers in it point to, folders and URLs of http(s): whoever reads the file finds
        their folders with `formats.hub_handles.located`, which fetches nothing, and looks at these in the same way.

    Raises:
        ModelRefused: RUNS_PYTHON_CODE, NAMES_CODE, UNSAFE_CONFIG, READS_FILES, TALKS_TO_OTHERS or TOO_LARGE.
    """
    handles: list[str] = []
    for found in _dicts(config):
        _refuse_unsafe(what, found)
        if "class_name" in found:
            _refuse_class(what, found)
            inner = found["config"] if isinstance(found.get("config"), dict) else {}
            _refuse_paths(what, found["class_name"], inner)
            _refuse_size(what, found["class_name"], inner)
            handles += _handles(what, inner)
    return tuple(handles)


def _dicts(value: Any) -> Iterator[Config]:
    """Every object, however deep, without recursion."""
    waiting = [value]
    while waiting:
        value = waiting.pop()
        if isinstance(value, dict):
            yield value
            waiting.extend(value.values())
        elif isinstance(value, list):
            waiting.extend(value)


def _refuse_unsafe(what: str, found: Config) -> None:
    if "safe_mode" in found and not found["safe_mode"]:
        raise ModelRefused(
            f"{what} tells its reader to turn safety off (safe_mode); save the model without it",
            reason="UNSAFE_CONFIG",
        )
    if found.get("custom_objects"):
        raise _names_code(what, "custom_objects", str(found["custom_objects"]))


def _refuse_class(what: str, found: Config) -> None:
    """Classes and functions by name, module and registered name: each alone decides in some version of Keras."""
    name, module = found["class_name"], found.get("module", "keras")
    if not isinstance(name, str):
        raise _names_code(what, "class", repr(name))
    plain = name.rpartition(">")[2]
    registered = found.get("registered_name")
    if plain in _CODE or str(registered).rpartition(">")[2] in _CODE:
        raise ModelRefused(
            f"{what} holds Python code (a {plain.strip('_')} layer{_called(found)}), which would run when it is read; "
            "replace it by layers of Keras, or save a SavedModel: model.save('a_directory')",
            reason="RUNS_PYTHON_CODE",
        )
    if plain == "TFSMLayer":
        raise ModelRefused(
            f"{what} holds a TFSMLayer, which runs another model from a path outside the file; save a SavedModel of "
            "the whole",
            reason="READS_FILES",
        )
    if plain == "function":
        _refuse_function(what, found)
    elif plain == "__typespec__":
        _refuse_spec(what, found)
    else:
        if not _CLASS_NAME.fullmatch(plain) or not _is_ours(name, plain):
            raise _names_code(what, "class", name)
        if not isinstance(module, str) or not _CLASS_MODULES.fullmatch(module):
            raise _names_code(what, "class", f"{module}.{name}")
        if registered is not None and not (registered == name or _is_ours(str(registered), plain)):
            raise _names_code(what, "class", str(registered))
    _refuse_tf_function(what, plain, found.get("config"))


def _called(found: Config) -> str:
    config = found.get("config")
    name = config.get("name") if isinstance(config, dict) else None
    return f", {name[:60]!r}" if isinstance(name, str) else ""


def _is_ours(name: str, plain: str) -> bool:
    """`Dense`, or `keras_hub>BertBackbone`; not `Custom>Dense`, which is whatever was registered so."""
    package, _, rest = name.rpartition(">")
    return name in _OPTIMIZERS or (rest == plain and (not package or package in _PACKAGES))


def _refuse_function(what: str, found: Config) -> None:
    name, module, registered = found.get("config"), found.get("module"), found.get("registered_name")
    if not isinstance(name, str) or not _FUNCTION_NAME.fullmatch(name):
        raise _names_code(what, "function", repr(name))
    if not isinstance(module, str) or not _FUNCTION_MODULES.fullmatch(module):
        raise _names_code(what, "function", f"{module}.{name}")
    if registered is not None and not _is_ours(str(registered), name):
        raise _names_code(what, "function", str(registered))


def _refuse_spec(what: str, found: Config) -> None:
    """The type of a tensor: `TensorSpec`, `RaggedTensorSpec` and so on, of TensorFlow."""
    name, module = str(found.get("spec_name")), str(found.get("module"))
    if not re.fullmatch(r"[A-Z]\w*Spec", name) or not re.fullmatch(r"tensorflow\.python(\.\w+)+", module):
        raise _names_code(what, "type", f"{module}.{name}")


def _refuse_tf_function(what: str, plain: str, config: Any) -> None:
    """Layers that tf_keras makes of calls of TensorFlow's functions and methods in a functional model."""
    config = config if isinstance(config, dict) else {}
    if plain in ("TFOpLambda", "SlicingOpLambda"):
        function = str(config.get("function"))
        if not _TF_FUNCTIONS.fullmatch(function):
            raise _names_code(what, "function", f"tf.{function}")
    if plain == "ClassMethod" and str(config.get("cls_symbol")) not in _TF_CLASSES:
        raise _names_code(what, "class", f"tf.{config.get('cls_symbol')}")
    if plain in ("ClassMethod", "InstanceMethod", "InstanceProperty"):
        for key in ("attr_name", "method_name"):
            if key in config and not _ATTRIBUTE.fullmatch(str(config[key])):
                raise _names_code(what, "method", str(config[key]))


def _refuse_paths(what: str, name: str, config: Config) -> None:
    for key in _VOCABULARIES:
        value = config.get(key)
        if isinstance(value, str) and value:
            raise ModelRefused(
                f"{what} reads its {key} from the path {value[:200]!r} ({name}), outside the file; give the layer the "
                "words themselves before saving it",
                reason="READS_FILES",
            )


def _handles(what: str, config: Config) -> list[str]:
    handle = config.get("handle")
    if not isinstance(handle, str):
        return []
    if "://" in handle and not handle.startswith(("http://", "https://")):
        raise ModelRefused(
            f"{what} fetches a model from {handle[:200]!r}; save a SavedModel, which holds it: "
            "model.save('a_directory')",
            reason="TALKS_TO_OTHERS",
        )
    return [handle]


def _refuse_size(what: str, name: str, config: Config) -> None:
    """The tables and layers whose size a configuration says outright."""
    sizes = {key: value for key, value in config.items() if isinstance(value, int) and value > 0}
    products = [
        [sizes[key] for key in keys if key in sizes]
        for keys in (("input_dim", "output_dim"), ("vocabulary_size", "hidden_dim"), ("units",), ("filters",))
    ]
    largest = max((math.prod(found) for found in products if found), default=0) * 4  # float32
    if largest > MAX_TENSOR_BYTES:
        raise ModelRefused(
            f"{what} declares {largest / 2**30:,.3g} GiB of weights in one layer ({name}), more than "
            f"{MAX_TENSOR_BYTES >> 30} GiB; save a smaller model",
            reason="TOO_LARGE",
        )


def _names_code(what: str, kind: str, name: str) -> ModelRefused:
    return ModelRefused(
        f"{what} names the {kind} {name[:200]!r}, which is no layer or function of Keras that a file may ask for; no "
        "code is run for a file: save a SavedModel, which needs none: model.save('a_directory')",
        reason="NAMES_CODE",
    )
