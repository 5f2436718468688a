"""Which dropouts are put back: as people say it, and as it travels."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from penult.v1 import common_pb2 as common

from penult_client._core import parameters
from penult_client._core.inputs import as_list, describe
from penult_client._exceptions import InputTypeError, InvalidInputError
from penult_client._uncertainty import ActiveDropout

SCOPES = {"head": common.DROPOUT_SCOPE_HEAD, "all": common.DROPOUT_SCOPE_ALL}
SEED = (1 << 63) - 1
MOST_ROWS = 1 << 62
# Samples of the head that cost about what a pass of an encoder does.
_HEAD_SAMPLES = 1000


def dropout_options(
    *, samples: Any, layers: Any, seed: Any, rate: Any, called: str = "samples"
) -> common.DropoutOptions:
    """Which dropouts, how many samples (`called` so by the caller), which seed; what is None is not said.

    Raises:
        InputTypeError: a value of another type (NOT_A_NUMBER, BAD_LAYERS).
        InvalidInputError: a number out of range (OUT_OF_RANGE), a word that is not known (UNKNOWN_LAYERS), or an empty
            list (EMPTY_INPUT). Whether the model has such dropouts, the server says.
    """
    count = parameters.whole(samples, called)
    if count == 0:
        raise InvalidInputError(f"{called}=0; give at least 1", reason="OUT_OF_RANGE", field=called)
    return common.DropoutOptions(
        samples=count,
        seed=parameters.whole(seed, "seed", SEED),
        rate=parameters.real(rate, "rate"),
        **_where(layers),
    )


def _where(layers: Any) -> dict[str, Any]:
    if layers is None:
        return {}
    if isinstance(layers, str):
        if layers not in SCOPES:
            raise InvalidInputError(
                f"layers={layers!r} is not known; take 'head', 'all', or a list of paths, such as [{layers!r}]"
                " (client.inspect_dropout(model).sites names them)",
                reason="UNKNOWN_LAYERS",
                field="layers",
            )
        return {"scope": SCOPES[layers]}
    paths = as_list(layers, "layers", "list of paths of dropouts, 'head' or 'all'")
    if not paths:
        raise InvalidInputError(
            "layers is empty; give 'head', 'all', or the paths of dropouts",
            reason="EMPTY_INPUT",
            field="layers",
        )
    for index, path in enumerate(paths):
        if not isinstance(path, str):
            raise InputTypeError(
                f"layers[{index}] is {describe(path)}; give paths of dropouts, such as 'dropout'",
                reason="BAD_LAYERS",
                field=f"layers[{index}]",
            )
    return {"sites": paths}


def passes(options: common.DropoutOptions) -> int:
    """Passes that a row takes, about."""
    if options.sites or options.scope == common.DROPOUT_SCOPE_ALL:
        return 1 + options.samples
    return 1 + options.samples // _HEAD_SAMPLES


def active(messages: Iterable[common.ActiveDropout]) -> tuple[ActiveDropout, ...]:
    """The dropouts that were put back."""
    return tuple(ActiveDropout(path=one.path, layer_class=one.layer_class, rate=one.rate) for one in messages)
