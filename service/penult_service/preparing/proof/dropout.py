"""The effect of dropout on a prepared model, measured on texts. Runs in the child process."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import Path

import numpy as np
import tensorflow as tf
import tensorflow_text  # noqa: F401  (registers the operations of `tokenize`)
from numpy.typing import NDArray

from penult_service.guard import prepared as guard
from penult_service.prepared import LIBRARY, TEXT, load_manifest
from penult_service.preparing.examples import Rows
from penult_service.preparing.proof.effect import measure, predicted_classes
from penult_service.preparing.proof.served import Served
from penult_service.preparing.report import DropoutEffect
from penult_service.tokenizing.library import library_tokenizer

_BATCH = 32


def effect_of(directory: Path, texts: Sequence[str], allow_ops: Collection[str] = ()) -> DropoutEffect | None:
    """What active dropout in front of the head would do to these texts; None when no ordinary one stands there.

    Not for noise of other kinds, nor for masks that rows or columns share: the theory is another.

    Raises:
        InvalidInput, ModelRefused: as `load_manifest` and `guard.prepared.check`.
    """
    manifest = load_manifest(directory)
    site = next((site for site in manifest.sites if site.place == "at"), None)
    if manifest.head_values or (
        manifest.tokenizer != LIBRARY and len(manifest.fields) + len(manifest.texts) != 2
    ):
        return None
    if site is None or site.layer_class != "Dropout" or site.noise_shape is not None or not site.rate:
        return None
    guard.check(directory, allow_ops)
    tokenizer = library_tokenizer(directory, manifest.inputs) if manifest.tokenizer == LIBRARY else None
    served = Served(tf.saved_model.load(str(directory)).signatures, manifest, tokenizer)

    def predict(embedding: NDArray[np.float32]) -> NDArray[np.intp]:
        return predicted_classes([served.head(embedding, {})[manifest.head.output]])

    return measure(_embeddings(served, texts, manifest.trims), site.rate, predict)


def _embeddings(served: Served, texts: Sequence[str], trims: bool) -> NDArray[np.float32]:
    """Float32 [n, d] at the seam, in the order of the texts; batches are of like length."""
    name = TEXT if served.tokenizer else served.manifest.texts[0].name
    inputs = served.tokenize(Rows({name: np.array(texts, dtype=object)}))
    lengths = served.lengths(inputs)
    order = np.argsort(lengths, kind="stable")
    blocks = []
    for start in range(0, len(order), _BATCH):
        rows = order[start : start + _BATCH]
        width = lengths[rows].max() if trims else None
        blocks.append(served.encode(served.batch(inputs, rows, width)))
    found = np.concatenate(blocks)
    return found[np.argsort(order)]
