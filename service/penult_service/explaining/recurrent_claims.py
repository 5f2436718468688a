"""What people say of the units of a recurrent layer, each held against the built layer.

The sayings are those of a much-read question, "what exactly am I configuring when I create a stateful LSTM layer with N
units", and of its answers, which disagree.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from penult_service.explaining.recurrent import TOLERANCE, Built, all_of

RIGHT, HALF, WRONG, OUTDATED, NOTHING = "right", "half right", "wrong", "outdated", "nothing to tell"
# Rows of the Jacobian that are looked at: as telling as all of them.
_MOST_ROWS = 64
_LATER = 3  # steps more than asked
# As Keras had them when the answers were written.
_ONCE = {"recurrent_activation": "hard_sigmoid", "implementation": 1}


@dataclass(frozen=True)
class Claim:
    """A saying, what is true of it, and what was measured."""

    said: str
    verdict: str
    measured: str


def claims_of(built: Built) -> list[Claim]:
    """Every saying that can be held against this layer."""
    found = [
        _copies(built),
        _vectors(built),
        *_one_layer(built),
        _iterations(built),
        _any_features(built),
        _sequences(built),
        _zeros(built),
        _stateful(built),
    ]
    return found + ([_defaults(built)] if built.asked.layer == "LSTM" else [])


def coupling(built: Built) -> NDArray[np.float32]:
    """How each unit's next state hangs on each unit's state before: the Jacobian, float32 [units or 64, units]."""
    import tensorflow as tf

    layer = built.like((None, 1, built.asked.features), return_sequences=False)
    states = [tf.constant(state[:1]) for state in built.run[1]]
    with tf.GradientTape() as tape:
        tape.watch(states[0])
        after = layer(built.given[:1, :1], initial_state=states)[0, :_MOST_ROWS]
    return np.asarray(tape.jacobian(after, states[0]))[:, 0]


def _copies(built: Built) -> Claim:
    said, units = "n units are n independent copies of a layer with one unit", built.asked.units
    if units == 1:
        return Claim(said, NOTHING, "this layer has one unit")
    jacobian = coupling(built)
    others = np.abs(jacobian[np.eye(*jacobian.shape) == 0])
    seen = int(np.count_nonzero(others))
    alone = _alone(built)
    measured = (
        f"{seen:,} of the {others.size:,} derivatives of a unit's next state by another unit's state are not 0, the "
        f"largest is {others.max():.2g}; copies would have none. {units:,} layers of one unit have "
        f"{alone:,} parameters together, this one {int(built.layer.count_params()):,}"
    )
    return Claim(said, WRONG if seen else RIGHT, measured)


def _alone(built: Built) -> int:
    """Parameters of as many layers of one unit, by such a layer."""
    layer = built.new(units=1)
    layer.build((None, built.asked.steps, built.asked.features))
    return built.asked.units * int(layer.count_params())


def _vectors(built: Built) -> Claim:
    """The check by hand computes them as vectors, and comes to the layer's own output."""
    kind, units = built.asked.kind, built.asked.units
    gates = len(kind.gates)
    names = ", ".join(name.split()[-1] for name in kind.gates) if gates > 1 else "what is activated"
    states = built.run[1]
    right = all(state.shape[1:] == (units,) for state in states) and all(one.right for one in built.checks)
    carried = "h comes out" if len(states) == 1 else f"{' and '.join(kind.states)} come out"
    return Claim(
        "state, gates and output have the same length, which is units (with one unit: scalars)",
        RIGHT if right else WRONG,
        f"{carried} as [batch, {units:,}]; {names}, computed as {'vectors' if gates > 1 else 'a vector'} of "
        f"{units:,}, {'make' if gates > 1 else 'makes'} the layer's output",
    )


def _one_layer(built: Built) -> list[Claim]:
    inner = [value for value in vars(built.layer).values() if type(value).__name__.endswith("Cell")]
    cells = list({id(value): type(value).__name__ for value in inner}.values())
    measured = (
        f"the layer holds {len(cells)} object of the class {cells[0] if cells else '?'}, with {len(built.weights)} "
        f"weight tensors, each of them for {all_of(built.asked.units, 'unit')}"
    )
    return [
        Claim(
            "there is exactly one block, whose cell has units numbers",
            RIGHT if len(cells) == 1 else WRONG,
            measured,
        ),
        Claim(
            "there are n units or cells in the layer",
            HALF if len(cells) == 1 else RIGHT,
            f"n numbers of the state, which one may call units or memory cells; but {len(cells)} block as it is drawn, "
            "with vectors on its lines, not n of them",
        ),
    ]


def _iterations(built: Built) -> Claim:
    steps, features = built.asked.steps, built.asked.features
    rows = []
    for count in (steps, steps + _LATER):
        layer = built.like((None, count, features), return_sequences=True)
        rows.append(int(layer(np.zeros((1, count, features), np.float32)).shape[1]))
    right = rows == [steps, steps + _LATER]
    measured = (
        f"given {_counted(steps, 'step')} the same weights gave h {_counted(rows[0], 'time')}, given "
        f"{_counted(steps + _LATER, 'step')} {_counted(rows[1], 'time')}; units say how many numbers "
        f"each time gives, here {built.asked.units:,}"
    )
    return Claim(
        "the unit is run for n iterations and gives n values of h", WRONG if right else RIGHT, measured
    )


def _any_features(built: Built) -> Claim:
    layer = built.new()
    layer.build((None, None, 1))
    out = layer(np.ones((2, 1, 1), np.float32))
    kernel = tuple(layer.get_weights()[0].shape)
    measured = (
        f"built for one feature its kernel is {kernel[0]} x {kernel[1]:,}, and one step of one number gives "
        f"{_counted(int(out.shape[-1]), 'number')}: features and steps are the input's, units the "
        "output's, and the steps are no part of any weight"
    )
    fits = kernel[0] == 1 and int(out.shape[-1]) == built.asked.units
    return Claim(
        "the input may be one number a step, without a lagged input for each unit",
        RIGHT if fits else WRONG,
        measured,
    )


def _sequences(built: Built) -> Claim:
    steps, units = built.asked.steps, built.asked.units
    last = np.asarray(built.like(built.given.shape, return_sequences=False)(built.given))
    sequence = built.run[0]
    apart = float(np.abs(sequence[:, -1] - last).max())
    measured = (
        f"True gives {sequence.shape[1]:,} x {units:,} numbers a sample, h of every step; False {last.shape[1]:,}, "
        f"h of the last step (the last row of the other, {_apart(apart)}). All n outputs of a step come either way: "
        "what is chosen are steps"
    )
    right = apart <= TOLERANCE and sequence.shape[1] == steps
    return Claim(
        "return_sequences=True passes on all n outputs, False the last h alone",
        HALF if right else WRONG,
        measured,
    )


def _zeros(built: Built) -> Claim:
    said = "to give input at the first step alone, pad the other steps with zeros"
    if built.asked.steps == 1:
        return Claim(said, NOTHING, "there is one step")
    padded = np.array(built.given)
    padded[:, 1:] = 0.0
    layer = built.like(padded.shape, return_sequences=True)
    sequence = np.asarray(layer(padded))
    first, last = sequence[:, 0], sequence[:, -1]
    moved = float(np.linalg.norm(last - first) / np.linalg.norm(first))
    measured = (
        f"it runs, but zeros are steps like others: over {built.asked.steps - 1:,} of them h moved by "
        f"{100 * moved:.0f} % of its length. A mask (Masking, mask_zero=True) leaves steps out"
    )
    return Claim(said, HALF if moved > TOLERANCE else RIGHT, measured)


def _stateful(built: Built) -> Claim:
    """A sequence in two parts, against the whole."""
    rows, features = len(built.given), built.asked.features
    whole = np.concatenate([built.given[:, :1], built.given], axis=1)
    middle = whole.shape[1] - 1  # a state forgets: far behind the cut nothing is seen of it
    wanted = np.asarray(built.like(whole.shape, return_sequences=False)(whole))
    ends = {}
    for stateful in (True, False):
        layer = _in_batches(built, rows, features, stateful)
        for part in (whole[:, :middle], whole[:, middle:]):
            ends[stateful] = np.asarray(layer(part))
    on, off = (float(np.abs(ends[stateful] - wanted).max()) for stateful in (True, False))
    measured = (
        f"with stateful=True a sequence given in two calls ends where it ends in one ({_apart(on)}); without, the "
        f"second call begins with zeros ({_apart(off)}). Parameters and shapes are the same; the batch size is fixed"
    )
    right = on <= TOLERANCE < off
    return Claim(
        "stateful: the states at the end of a batch begin the next", RIGHT if right else WRONG, measured
    )


def _in_batches(built: Built, rows: int, features: int, stateful: bool) -> Any:
    """A layer for batches of so many rows, inside a model: that is where Keras takes the batch size from."""
    keras = built.keras
    given = keras.Input(batch_shape=(rows, None, features))
    layer = built.new(return_sequences=False, stateful=stateful)
    model = keras.Model(given, layer(given))
    layer.set_weights(built.weights)
    return model


def _defaults(built: Built) -> Claim:
    fresh = built.new()
    fresh.build((None, None, built.asked.features))
    config = fresh.get_config()
    now = {name: config.get(name) for name in _ONCE}
    units = built.asked.units
    bias = np.asarray(fresh.get_weights()[2]).reshape(4, units).mean(axis=1)
    changed = [f"{name} is {now[name]!r}, not {was!r}" for name, was in _ONCE.items() if now[name] != was]
    measured = (
        f"in {built.name} {' and '.join(changed) or 'both are as they were'}; the bias begins at "
        f"{bias[1]:g} for the forget gate and {bias[0]:g} for the others"
    )
    return Claim(
        "the defaults are recurrent_activation='hard_sigmoid' and implementation=1",
        OUTDATED if changed else RIGHT,
        measured,
    )


def _counted(count: int, what: str) -> str:
    return f"{count:,} {what}{'' if count == 1 else 's'}"


def _apart(value: float) -> str:
    return "the same, bit for bit" if value == 0 else f"{value:.2g} apart"
