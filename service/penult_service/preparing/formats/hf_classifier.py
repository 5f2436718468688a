"""The reader of Hugging Face classifiers: a directory as `save_pretrained` wrote it, everything in it checked.

What `read` returns can be built; weights are read one at a time, by `Classifier.tensors`. No torch, no TensorFlow.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from penult_service.preparing.formats.hf_families import FAMILIES, Family
from penult_service.preparing.formats.hf_files import (
    CONFIG,
    MAX_CONFIG,
    WEIGHTS,
    Settings,
    check_tensors,
    first_of,
    need,
    open_weights,
    plain_norm,
    read_json,
    read_tensor,
    refused,
)
from penult_service.preparing.formats.hf_network import Network, network_of

_FLOATS = ("BF16", "F16", "F32")  # all of them exact as float32
LOGITS, PROBABILITIES = "logits", "probabilities"
SOFTMAX, MULTILABEL, OTHER = "softmax", "multilabel", "other"
_PROBLEMS = {
    "single_label_classification": SOFTMAX,
    "multi_label_classification": MULTILABEL,
    "regression": OTHER,
}


@dataclass(frozen=True)
class Classifier:
    """A checked directory.

    Attributes:
        directory: Where it is.
        network: Its sizes, rates and names.
        problem: What its logits mean: ``softmax``, ``multilabel`` or ``other`` (they are what the model says).
        said: Whether the file says so, or the number of classes does.
        labels: The names of the classes; empty when it has none of its own.
        stored: The names of the tensors that are used -> their names in the file.
        unused: Tensors of the file that no answer is computed from.
        half: Whether weights are saved in half precision; they are computed with in float32.
    """

    directory: Path
    network: Network
    problem: str
    said: bool
    labels: tuple[str, ...]
    stored: dict[str, str]
    unused: tuple[str, ...]
    half: bool

    def tensors(self) -> Iterator[tuple[str, NDArray[np.float32]]]:
        """Every tensor that is used: its name, and its values as float32."""
        for name, where in self.stored.items():
            yield name, read_tensor(self.directory / WEIGHTS, where)


def is_directory(directory: Path) -> bool:
    """Whether it looks like what `save_pretrained` writes, whole or not, and not like a SavedModel."""
    config = directory / CONFIG
    if not config.is_file() or (directory / "saved_model.pb").exists():
        return False
    try:
        if config.stat().st_size > MAX_CONFIG:
            raise ValueError("too large")
        settings = json.loads(config.read_text(encoding="utf-8"))
    except (ValueError, RecursionError, OSError):
        return (directory / WEIGHTS).exists()
    return isinstance(settings, dict) and ("model_type" in settings or "architectures" in settings)


def read(directory: Path) -> Classifier:
    """Reads and checks everything but the tokenizer.

    Raises:
        ModelRefused: FILE_MISSING, FILE_DAMAGED, UNSUPPORTED_FORMAT (another kind of model), CONFIG_UNSUPPORTED,
            TENSOR_MISSING, TENSOR_SHAPE, TENSOR_TYPE, TENSOR_UNKNOWN, WEIGHTS_NOT_FINITE.
    """
    settings = Settings(directory, read_json(directory, CONFIG))
    family = _family(settings)
    labels, classes = _labels(settings)
    network = network_of(family, settings, classes)
    stored, unused, half = _weights(directory, network)
    problem = settings.values.get("problem_type")
    if problem is not None and str(problem) not in _PROBLEMS:
        raise settings.refused(f"problem_type is {str(problem)[:40]!r}; known are {', '.join(_PROBLEMS)}")
    # transformers takes one logit without a word for regression in training, for a sigmoid in its pipeline.
    kind = _PROBLEMS[problem] if problem else SOFTMAX
    if kind == SOFTMAX and classes == 1:
        kind = OTHER
    return Classifier(directory, network, kind, problem is not None, labels, stored, unused, half)


def _family(settings: Settings) -> Family:
    kind = settings.values.get("model_type")
    family = FAMILIES.get(kind) if isinstance(kind, str) else None
    said = settings.values.get("architectures")
    architectures = said if isinstance(said, list) else []
    if family is not None and family.architecture in architectures:
        return family
    found = ", ".join(str(name) for name in architectures)
    wanted = (family,) if family else FAMILIES.values()
    alone = found == "BertModel"
    raise refused(
        settings.directory,
        "UNSUPPORTED_FORMAT",
        f"{CONFIG} says {found or 'no architecture'} (model_type {kind!r}); of Hugging Face models these are read: "
        f"{', '.join(one.architecture for one in wanted)}, as save_pretrained writes them"
        + (
            "; of an encoder alone, `penult convert` makes the parts to train a classifier with"
            if alone
            else ""
        ),
    )


def _labels(settings: Settings) -> tuple[tuple[str, ...], int]:
    """The names of the classes, none when they are those that transformers makes up; and how many there are."""
    names = settings.values.get("id2label")
    if names is None:
        return (), settings.size("num_labels", 2)
    wanted = [str(number) for number in range(len(names))] if isinstance(names, dict) else []
    if not wanted or sorted(names) != sorted(wanted) or not all(isinstance(n, str) for n in names.values()):
        raise settings.refused("id2label must name the classes 0, 1, 2 and so on, each once")
    labels = tuple(names[number] for number in wanted)
    invented = labels == tuple(f"LABEL_{number}" for number in wanted)
    return (() if invented else labels), len(labels)


def _weights(directory: Path, network: Network) -> tuple[dict[str, str], tuple[str, ...], bool]:
    """The names of the tensors that are used -> in the file; those known to be unused; whether some are half."""
    expected, family = network.tensors(), network.family
    known = network.unused()
    with open_weights(need(directory, WEIGHTS)) as file:
        found: dict[str, str] = {}
        for name in file.keys():  # noqa: SIM118  (not a dict)
            plain = plain_norm(name)
            inside = f"{family.prefix}.{plain}"  # as the encoder alone is saved
            plain = inside if plain not in expected and inside in expected.keys() | known else plain
            if plain in found:
                what = f"{WEIGHTS} holds {plain} twice: as {found[plain]} and as {name}"
                raise refused(directory, "TENSOR_UNKNOWN", what)
            found[plain] = name
        _refuse_encoder_alone(directory, network, found)
        check_tensors(directory, file, found, expected, _FLOATS)
        half = any(file.get_slice(found[plain]).get_dtype() != "F32" for plain in expected)
    strange = [name for plain, name in found.items() if plain not in expected.keys() | known]
    if strange:
        what = (
            f"{WEIGHTS} holds {len(strange)} tensors that {family.architecture} does not have: {first_of(strange)}; "
            "its weights would not all be used"
        )
        raise refused(directory, "TENSOR_UNKNOWN", what)
    unused = tuple(found[plain] for plain in found if plain in known)
    return {plain: found[plain] for plain in expected}, unused, half


def _refuse_encoder_alone(directory: Path, network: Network, found: dict[str, Any]) -> None:
    head = [name for part in network.head().values() for name in part.tensors]
    missing = [name for name in head if name not in found]
    if missing and len(missing) < len(network.tensors().keys() - found.keys()):
        return  # more than the head is missing: said by name
    if missing:
        what = (
            f"{WEIGHTS} holds the encoder without the head of a classifier: it lacks {', '.join(missing)}; train "
            f"{network.family.architecture}, and save that with save_pretrained"
        )
        raise refused(directory, "TENSOR_MISSING", what)
