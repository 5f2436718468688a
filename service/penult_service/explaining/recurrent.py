"""What a recurrent layer with N units is made of: every tensor's shape by formula, held against the built layer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from importlib import import_module
from typing import Any

import numpy as np
from numpy.typing import NDArray

from penult_service.errors import InvalidInput
from penult_service.explaining import recurrent_steps
from penult_service.explaining.masks import KERAS, named

BATCH = -1
MOST_UNITS, MOST_STEPS, MOST_FEATURES = 4096, 2000, 100_000
# Products of a step, and of all steps: some seconds of work.
MOST_PARAMETERS, MOST_WORK = 5_000_000, 300_000_000
# float32 against float64 over all steps: less than this is rounding.
TOLERANCE = 1e-4
_ROWS = 3

Shape = tuple[int, ...]


@dataclass(frozen=True)
class Kind:
    """A recurrent layer of Keras.

    Attributes:
        gates: What its weights are cut into along their last axis, in Keras' order.
        states: What is carried from step to step.
        biases: Rows of the bias; 0: it has one axis.
    """

    gates: tuple[str, ...]
    states: tuple[str, ...]
    biases: int = 0


KINDS = {
    "LSTM": Kind(("input gate i", "forget gate f", "candidate g", "output gate o"), ("h", "c")),
    "GRU": Kind(("update gate z", "reset gate r", "candidate g"), ("h",), biases=2),
    "SimpleRNN": Kind(("state before its activation",), ("h",)),
}


@dataclass(frozen=True)
class Asked:
    """A layer, and the input that it gets; `keras` is 3, or 2 for tf_keras."""

    layer: str = "LSTM"
    units: int = 10
    steps: int = 50
    features: int = 7
    return_sequences: bool = False
    keras: int = 3

    @property
    def kind(self) -> Kind:
        """What it is made of."""
        return KINDS[self.layer]

    @property
    def parameters(self) -> int:
        """By the formula."""
        biases = self.kind.biases or 1
        return len(self.kind.gates) * (self.features + self.units + biases) * self.units

    @property
    def formula(self) -> str:
        """How that is computed."""
        gates, biases = len(self.kind.gates), self.kind.biases or 1
        times = f"{gates} x " if gates > 1 else ""
        words = f"{times}(features + units + {biases}) x units"
        return f"{words} = {times}({self.features} + {self.units} + {biases}) x {self.units} = {self.parameters:,}"


@dataclass(frozen=True)
class Tensor:
    """A tensor of the layer.

    Attributes:
        name: Such as ``kernel``.
        group: ``given``, ``weight``, ``step`` (made anew at each step), ``carried`` or ``output``.
        shape: -1: the batch.
        what: In words.
    """

    name: str
    group: str
    shape: Shape
    what: str


@dataclass(frozen=True)
class Check:
    """Something that the formula says, and what the built layer has."""

    what: str
    expected: str
    found: str
    right: bool


def tensors_of(asked: Asked) -> tuple[Tensor, ...]:
    """Every tensor of the layer by the formula, in the order in which a step meets them."""
    units, features, kind = asked.units, asked.features, asked.kind
    wide = len(kind.gates) * units
    blocks = f"{len(kind.gates)} blocks of {units:,} columns, one a gate" if len(kind.gates) > 1 else ""
    bias = (kind.biases, wide) if kind.biases else (wide,)
    states = [
        Tensor(f"state {name}", "carried", (BATCH, units), _STATES[name] + ", from step to step")
        for name in kind.states
    ]
    whole = (BATCH, asked.steps, units) if asked.return_sequences else (BATCH, units)
    output = "h of every step" if asked.return_sequences else "h of the last step"
    return (
        Tensor("input", "given", (BATCH, asked.steps, features), "the steps, and the features of each"),
        Tensor("input of a step", "given", (BATCH, features), "all that a step sees of the input"),
        Tensor("kernel", "weight", (features, wide), _joined("input to gates", blocks)),
        Tensor("recurrent kernel", "weight", (units, wide), _joined("h of the step before to gates", blocks)),
        Tensor("bias", "weight", bias, _joined("", blocks) or "one a unit"),
        *(Tensor(name, "step", (BATCH, units), "made anew at each step") for name in kind.gates),
        *states,
        Tensor("output", "output", whole, output),
    )


_STATES = {"h": "what the layer shows", "c": "what the layer keeps to itself"}


def _joined(*parts: str) -> str:
    return "; ".join(part for part in parts if part)


class Built:
    """The real layer, with weights drawn at random, and what it makes of a random input.

    Attributes:
        asked: What it is.
        layer: The layer of Keras.
        weights: float32, in the layer's own order.
        given: float32 [3, steps, features].
    """

    def __init__(self, asked: Asked) -> None:
        check(asked)
        self.asked = asked
        self.keras = import_module(KERAS[asked.keras])
        self.layer = self.new()
        draws = np.random.default_rng(8)
        self.given = draws.normal(size=(_ROWS, asked.steps, asked.features)).astype(np.float32)
        self.layer.build((None, asked.steps, asked.features))
        # So small that a state forgets: else rounding would grow from step to step. So large that it is seen.
        wide = 2.0 * np.sqrt(max(asked.units, asked.features))
        self.weights = [
            (draws.normal(size=value.shape) / wide).astype(np.float32) for value in self.layer.get_weights()
        ]
        self.layer.set_weights(self.weights)

    @property
    def name(self) -> str:
        """Which Keras, with its version."""
        return named(self.asked.keras)

    def new(self, units: int | None = None, **options: Any) -> Any:
        """A layer of that class, as Keras initialises it; `units`: as asked."""
        settings = {"return_sequences": self.asked.return_sequences} | options
        return getattr(self.keras.layers, self.asked.layer)(units or self.asked.units, **settings)

    def like(self, shape: Sequence[int | None], **options: Any) -> Any:
        """A layer with the same weights that is built for another input and has other options."""
        layer = self.new(**options)
        layer.build(tuple(shape))
        layer.set_weights(self.weights)
        return layer

    @cached_property
    def run(self) -> tuple[NDArray[np.float32], list[NDArray[np.float32]]]:
        """h of every step, float32 [3, steps, units], and the states behind the last step, [3, units] each."""
        layer = self.like(self.given.shape, return_sequences=True, return_state=True)
        sequence, *states = layer(self.given)
        return np.asarray(sequence), [np.asarray(state) for state in states]

    @cached_property
    def checks(self) -> list[Check]:
        """Every shape of `tensors_of` and the formula against this layer, and a step computed by hand."""
        told = {tensor.name: tensor.shape for tensor in tensors_of(self.asked)}
        names = ("kernel", "recurrent kernel", "bias")
        found = [
            _same(name, told[name], value.shape) for name, value in zip(names, self.weights, strict=True)
        ]
        count = int(self.layer.count_params())
        found.append(
            Check("parameters", f"{self.asked.parameters:,}", f"{count:,}", count == self.asked.parameters)
        )
        output = np.asarray(self.layer(self.given))
        found.append(_same("output", told["output"], (BATCH, *output.shape[1:])))
        sequence, states = self.run
        for name, state in zip(self.asked.kind.states, states, strict=True):
            found.append(_same(f"state {name}", told[f"state {name}"], (BATCH, *state.shape[1:])))
        return [*found, *self._by_hand(told, sequence, states)]

    def _by_hand(
        self, told: dict[str, Shape], sequence: NDArray[np.float32], states: list[NDArray[np.float32]]
    ) -> list[Check]:
        """The same layer in NumPy, gate by gate: it has to come to the same states."""
        computed = recurrent_steps.run(self.asked.layer, self.weights, self.given)
        found = [
            _same(name, told[name], (BATCH, *gate.shape[1:]))
            for name, gate in zip(self.asked.kind.gates, computed.gates, strict=True)
        ]
        pairs = [(computed.sequence, sequence), *zip(computed.states, states, strict=True)]
        apart = max(float(np.abs(ours - theirs).max()) for ours, theirs in pairs)
        steps = f"{self.asked.steps:,} step{'s' if self.asked.steps > 1 else ''}"
        return [
            *found,
            Check(
                f"{steps} computed by hand from these gates and states",
                f"the layer's own output within {TOLERANCE:g}",
                f"{apart:.2g} apart",
                apart <= TOLERANCE,
            ),
        ]


def check(asked: Asked) -> None:
    """Raises InvalidInput: no such layer, or sizes that cannot be built here; `field` names which."""
    if asked.layer not in KINDS:
        raise InvalidInput(f"layer is one of {', '.join(KINDS)}, not {asked.layer!r}", field="layer")
    for name, most in (("units", MOST_UNITS), ("steps", MOST_STEPS), ("features", MOST_FEATURES)):
        value = getattr(asked, name)
        if not 1 <= value <= most:
            raise InvalidInput(f"{name} is 1 to {most:,}, not {value:,}", field=name)
    field = "features" if asked.features > asked.units else "units"
    if asked.parameters > MOST_PARAMETERS:
        raise InvalidInput(
            f"this layer has {asked.parameters:,} parameters; at most {MOST_PARAMETERS:,} are built here",
            field=field,
        )
    if asked.parameters * asked.steps > MOST_WORK:
        most = MOST_WORK // asked.parameters
        raise InvalidInput(
            f"{asked.steps:,} steps of {asked.parameters:,} parameters are too many to be computed by hand; at most "
            f"{most:,} steps of such a layer are",
            field="steps",
        )


def all_of(count: int, what: str) -> str:
    """Such as ``all 7 features``, or ``the one feature``."""
    return f"the one {what}" if count == 1 else f"all {count:,} {what}s"


def shape_text(shape: Shape) -> str:
    """Such as ``batch x 50 x 7``."""
    return " x ".join("batch" if length == BATCH else f"{length:,}" for length in shape)


def _same(what: str, expected: Shape, found: Shape) -> Check:
    return Check(f"shape of {what}", shape_text(expected), shape_text(tuple(found)), expected == tuple(found))
