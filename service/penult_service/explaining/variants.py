"""What the two dropouts of an LSTM do in other ways of building it, each measured."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from penult_service.errors import PenultError
from penult_service.explaining import sharing
from penult_service.explaining.lstm_masks import INPUT, Settings
from penult_service.explaining.masks import Question, draw, named

# Small, and enough: which axes are shared does not hang on how long they are.
SHAPE, UNITS = (2, 3, 8), 8
# Two samples look shared by chance in so many draws with a probability of 2 ** -40.
DRAWS = 40
_COMMON = {
    "as it comes": Settings(UNITS),
    "unroll=True": Settings(UNITS, unroll=True),
}
_EAGER = {"as it comes, called eagerly": Settings(UNITS, eager=True)}
_BOTH = {"with recurrent_dropout too": Settings(UNITS, both=True)}
_BY_GATE = {"implementation=1": Settings(UNITS, implementation=1)}
_PLAIN = {"implementation=1, use_cudnn=False": Settings(UNITS, implementation=1, use_cudnn=False)}


@dataclass(frozen=True)
class Variant:
    """A way to build an LSTM.

    Attributes:
        keras: Which, with its version.
        built: In words.
        found: What its mask does, or why it does not run.
        shared: Axes that share one draw; None where it does not run.
    """

    keras: str
    built: str
    found: str
    shared: tuple[str, ...] | None


def of(kind: str, versions: Sequence[int]) -> list[Variant]:
    """The variants of `lstm-dropout` or `lstm-recurrent` in the given versions of Keras, 3 or 2."""
    return [
        _measured(kind, version, built, settings)
        for version in versions
        for built, settings in _ways(kind, version).items()
    ]


def _ways(kind: str, version: int) -> dict[str, Settings]:
    """Those that do not all do the same."""
    if kind != INPUT:
        return {**_COMMON, **(_EAGER if version == 2 else {})}
    return {**_COMMON, **_BOTH, **_BY_GATE, **(_PLAIN if version == 3 else {})}


def _measured(kind: str, version: int, built: str, settings: Settings) -> Variant:
    try:
        answer = draw(Question(kind, SHAPE, keras=version, draws=DRAWS, lstm=settings))
    except PenultError as error:
        return Variant(named(version), built, str(error), None)
    axes = sharing.axes_of(answer.masks)
    shared = tuple(axis.name for axis in axes if axis.shared)
    return Variant(answer.keras, built, sharing.sentence(answer.masks, axes), shared)
