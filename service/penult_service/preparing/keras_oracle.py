"""What Keras itself says: the original model's tensors on both sides of its dropout, and its prediction.

Keras builds layers from their configs, and a config may hold code; so it is asked only when every class in the
file is one that we know (`Opened.keras`), and only for comparison.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from penult_service.prepared import Site
from penult_service.preparing.experiment import TOLERANCE, Outcome, relative
from penult_service.preparing.opened import Opened


def compare(
    outcome: Outcome,
    opened: Opened,
    site: Site | None,
    given: Sequence[tf.Tensor],
    embedding: NDArray[np.float32],
    outputs: Sequence[NDArray[np.float32]],
) -> None:
    """Adds the figures, or a note that says why Keras was not asked.

    Args:
        outcome: What the figures are added to.
        opened: The model.
        site: The dropout at the seam.
        given: The rows of the experiment, as the model takes them.
        embedding: Ours, float32 [n, d].
        outputs: Ours, in the order of the output names.
    """
    if opened.keras is None:
        outcome.notes.append(
            "Keras was not asked to load the file: it names classes that might bring code along"
        )
        return
    try:
        model = opened.keras()
    except Exception as error:  # noqa: BLE001  (Keras is a witness only: whatever stops it does not stop the proof)
        outcome.notes.append(
            f"Keras could not load the file ({type(error).__name__}), so it was not compared with"
        )
        return
    fed = given[0] if len(given) == 1 else given
    predicted = model.predict(fed, batch_size=len(embedding), verbose=0)
    if isinstance(predicted, np.ndarray) and len(outputs) == 1:
        worst = relative(outputs[0], predicted)
        outcome.add("prediction_vs_keras", "ours against Keras' predict, |d| / (1 + |x|)", worst, TOLERANCE)
    else:
        outcome.notes.append("several outputs: compared with the saved function, not with Keras' predict")
    sides = _sides(model, site, fed)
    if sides is None:
        outcome.notes.append(
            "Keras shows no such layer at the top of this model, so its tensors were not compared"
        )
        return
    for side, tensor in zip(("before", "after"), sides, strict=True):
        where = "in front of" if side == "before" else "behind"
        outcome.add(
            f"embedding_vs_keras_{side}",
            f"ours against Keras' tensor {where} the dropout, |d| / (1 + |x|)",
            relative(embedding, tensor),
            TOLERANCE,
        )


def _sides(model: Any, site: Site | None, fed: Any) -> list[NDArray[np.float32]] | None:
    """Keras' tensors in front of and behind the dropout; None when it has no such layer at the top."""
    import tf_keras

    try:
        layer = model.get_layer(site.path) if site else None
        tensors = [layer.input, layer.output] if layer is not None else None
    except (ValueError, AttributeError, RuntimeError):
        return None
    if tensors is None:
        return None
    both = tf_keras.Model(model.inputs, tensors)
    return [np.asarray(tensor) for tensor in both(fed, training=False)]
