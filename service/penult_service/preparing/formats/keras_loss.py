"""What the loss that a model was trained with says of a linear output: which function makes probabilities of it.

Read from the configuration of the training that a file records; no loss is built.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

SOFTMAX, SIGMOID, REGRESSION = "softmax", "sigmoid", "regression"
_OF_LOGITS = {
    "categoricalcrossentropy": SOFTMAX,
    "sparsecategoricalcrossentropy": SOFTMAX,
    "categoricalfocalcrossentropy": SOFTMAX,
    "binarycrossentropy": SIGMOID,
    "binaryfocalcrossentropy": SIGMOID,
}
_OF_NUMBERS = frozenset(
    {"meansquarederror", "mse", "meanabsoluteerror", "mae", "meanabsolutepercentageerror", "mape"}
    | {"meansquaredlogarithmicerror", "msle", "huber", "huberloss", "logcosh", "poisson"}
)


def meanings(training: dict[str, Any], outputs: Sequence[str]) -> dict[str, str]:
    """Output -> ``softmax`` or ``sigmoid`` (it was trained as logits of these), or ``regression``; others are left out.

    Args:
        training: What a file records of `compile`: its `loss` is a loss, or one for each output in a list or dict.
        outputs: The model's outputs, in order.
    """
    loss = training.get("loss")
    if isinstance(loss, dict) and not isinstance(loss.get("class_name"), str):
        each = [loss.get(name) for name in outputs]
    elif isinstance(loss, list):
        each = loss if len(loss) == len(outputs) else []
    else:
        each = [loss] * len(outputs)
    found = {name: _meaning(one) for name, one in zip(outputs, each, strict=False)}
    return {name: meaning for name, meaning in found.items() if meaning}


def _meaning(loss: Any) -> str:
    name: Any = loss
    config: Any = None
    if isinstance(loss, dict):
        config = loss.get("config")
        is_function = loss.get("class_name") == "function"
        name = config if is_function else loss.get("class_name")
    if not isinstance(name, str):
        return ""
    plain = re.sub(r"[^a-z]", "", name.rpartition(">")[2].lower())
    if plain in _OF_NUMBERS:
        return REGRESSION
    from_logits = isinstance(config, dict) and config.get("from_logits") is True
    return _OF_LOGITS.get(plain, "") if from_logits else ""
