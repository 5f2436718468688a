"""Dropouts that leave nothing in the inference graph, as in a hub layer: found by the function for training.

That function without its dropouts is the inference function. Tensor by tensor the two are held against each other by
what they compute (`same_values`): what reads the result of a dropout there is what reads its input here, and an
`Identity` is put between, so that the dropout has a place of its own. It gets one only where all that reads its result
is found again, and nothing else could be meant.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

import tensorflow as tf

from penult_service.preparing.audit import audit
from penult_service.preparing.cut import cut
from penult_service.preparing.graph import FlatGraph, Ref, node_of
from penult_service.preparing.opened import Layer, Mark
from penult_service.preparing.seam.drop_patterns import Dropped, Patterns
from penult_service.preparing.seam.inserting import Draft, Slot, identity
from penult_service.preparing.seam.same_values import HANDS_ON, Numbering, Value
from penult_service.preparing.seam.survey import PROBE, Survey
from penult_service.preparing.seam.training import Scope, Training, owner_of, scope_of

_NO_VALUES = frozenset({"Shape", "ShapeN", "Rank", "Size"})  # read no numbers of a tensor

NoiseShape = tuple[int | None, ...] | None
"""As Keras means it; None: a draw for each place."""


@dataclass(frozen=True)
class Inner:
    """What was found.

    Attributes:
        flat: The inference graph, an `Identity` more for each mark.
        marks: The dropouts that have a place now, in the order of the graph.
        missed: The scopes of the other draws.
        whole: Whether the function for training is the inference function but for what is dropped.
    """

    flat: FlatGraph
    marks: tuple[Mark, ...] = ()
    missed: tuple[str, ...] = ()
    whole: bool = False


def find_inner(survey: Survey, known: Sequence[tuple[Mark, Scope]]) -> Inner:
    """The dropouts beside those that are `known`, each with its scope in the inference graph."""
    training = Training(survey.opened)
    inputs = training.inputs
    if training.flat is None or inputs is None:
        return Inner(survey.flat)
    left = training.but_for([scope for _, scope in known])
    if not left:
        return Inner(survey.flat)
    return _Sides(survey, training.flat, inputs, list(training.drawn)).placed(known, left)


def without(flat: FlatGraph, dropouts: Iterable[Dropped]) -> FlatGraph:
    """The graph with its dropouts doing nothing."""
    instead = {node_of(one.after): one.before for one in dropouts}
    nodes = {
        name: identity(name, instead[name], node.attr["T"].type) if name in instead else node
        for name, node in flat.nodes.items()
    }
    return FlatGraph(nodes, flat.inputs, flat.outputs, flat.library, flat.captures)


class _Sides:
    """The function for training beside the one for inference; "there" and "here" in what follows."""

    def __init__(self, survey: Survey, there: FlatGraph, inputs: Sequence[Ref], draws: Sequence[str]) -> None:
        self._survey = survey
        self._inputs = inputs
        self._draws = draws
        self._found = Patterns(there).of(draws)
        self._there = without(there, self._found.values())
        self._made = {node_of(one.after): draw for draw, one in self._found.items()}
        numbering = Numbering()
        self._values_there = numbering.values(self._there, inputs)
        self._values = numbering.values(survey.flat, [one.ref for one in survey.opened.inputs])

    def placed(self, known: Sequence[tuple[Mark, Scope]], left: dict[str, Scope]) -> Inner:
        """`left` are the draws that no known dropout needs."""
        draft = Draft(self._survey.flat)
        shapes = self._shapes([draw for draw in self._found if draw in left])
        places: dict[str, Slot] = {}
        marks = []
        for draw in sorted(self._found, key=self._order, reverse=True):
            one = self._found[draw]
            if draw not in left:
                mark = self._known(one, known)
                places |= {} if mark is None else {draw: (node_of(mark.after), 0)}
                continue
            slots = self._slots(draw, places)
            source = self._source(slots, one, draft)
            if slots and source is not None and draw in shapes:
                node = draft.insert(source, slots, self._dtype(one))
                places[draw] = node, 0
                marks.append((node, source, one, shapes[draw]))
        flat = draft.graph()
        order = {name: number for number, name in enumerate(flat.nodes)}
        marks.sort(key=lambda mark: order[mark[0]])
        missed = [left[draw] for draw in self._found if draw in left and draw not in places]
        missed += [left[draw] for draw in self._unlike if draw in left]
        return Inner(
            flat, _named(marks), tuple(sorted({owner_of(scope) for scope in missed})), self._is_whole
        )

    @cached_property
    def _live(self) -> set[str]:
        return self._there.upstream(self._there.outputs.values())

    @property
    def _unlike(self) -> list[str]:
        """Draws of what is no dropout, or none that is known."""
        random = {one.node for one in audit(self._there).random}
        return [
            draw for draw in self._draws if any(one == draw or one.startswith(f"{draw}/") for one in random)
        ]

    @property
    def _is_whole(self) -> bool:
        there = {self._values_there[ref] for ref in self._there.outputs.values()}
        return there == {self._values[ref] for ref in self._survey.outputs}

    @cached_property
    def _reads(self) -> dict[tuple[int, int], set[str | None]]:
        """What is read there: number of an operation, place among its inputs -> the draws of the dropouts read."""
        found: dict[tuple[int, int], set[str | None]] = {}
        for name, node in self._there.nodes.items():
            if name in self._live and node.op not in HANDS_ON | _NO_VALUES:
                number, _ = self._values_there[f"{name}:0"]
                for slot, ref in enumerate(node.input):
                    found.setdefault((number, slot), set()).add(self._dropout_of(ref))
        return found

    @cached_property
    def _here(self) -> dict[int, list[str]]:
        """Number -> the operations here that have it."""
        flat, found = self._survey.flat, dict[int, list[str]]()
        live = flat.upstream(flat.outputs.values())
        for name, node in flat.nodes.items():
            if name in live and node.op not in HANDS_ON:
                found.setdefault(self._values[f"{name}:0"][0], []).append(name)
        return found

    def _dropout_of(self, ref: Ref) -> str | None:
        """The draw of the dropout whose result it is, handed on or not; None: of none."""
        while (name := node_of(ref)) not in self._made and self._there.nodes[name].op in HANDS_ON:
            ref = self._there.nodes[name].input[0]
        return self._made.get(name)

    def _slots(self, draw: str, places: dict[str, Slot]) -> list[Slot]:
        """What reads here what a dropout drops there; empty when that is not certain.

        `places` are those of the dropouts behind it, which may read it.
        """
        if any(self._dropout_of(ref) == draw for ref in self._there.outputs.values()):
            return []
        slots: list[Slot] = []
        for (number, place), draws in self._reads.items():
            if draw in draws:
                here = self._here.get(number, [])
                if len(draws) > 1 or not here:
                    return []
                slots += [(name, place) for name in here]
        for other, one in self._found.items():
            if node_of(one.after) in self._live and self._dropout_of(one.before) == draw:
                if other not in places:
                    return []
                slots.append(places[other])
        return slots

    def _source(self, slots: Sequence[Slot], one: Dropped, draft: Draft) -> Ref | None:
        """The one tensor that all of them read, when it is what is dropped there."""
        read = {draft.nodes[name].input[place] for name, place in slots}
        found = read if len(read) == 1 else {self._survey.source_of(ref) for ref in read}
        if len(found) != 1:
            return None
        (ref,) = found
        return ref if self._values.get(ref) == self._values_there[one.before] else None

    def _known(self, one: Dropped, known: Sequence[tuple[Mark, Scope]]) -> Mark | None:
        """The mark of a known dropout that has one of its own."""
        value: Value = self._values_there[one.before]
        own = [m for m, _ in known if m.before != m.after and self._values.get(m.before) == value]
        return own[0] if len(own) == 1 else None

    def _order(self, draw: str) -> int:
        return self._numbered[node_of(self._found[draw].after)]

    @cached_property
    def _numbered(self) -> dict[str, int]:
        return {name: number for number, name in enumerate(self._there.nodes)}

    def _dtype(self, one: Dropped) -> int:
        return int(self._there.nodes[one.draw].attr["dtype"].type)

    def _shapes(self, draws: Sequence[str]) -> dict[str, NoiseShape]:
        """Draw -> the noise shape as Keras means it; None: of all places. Without those that do not tell."""
        found: dict[str, NoiseShape] = {}
        others = []
        for draw in draws:
            one = self._found[draw]
            node = self._there.nodes[node_of(one.shape)]
            whole = node.op == "Shape" and self._values_there[node.input[0]] == self._values_there[one.before]
            if whole:
                found[draw] = None
            else:
                others.append(one)
        return found | self._measured(others)

    def _measured(self, dropouts: Sequence[Dropped]) -> dict[str, NoiseShape]:
        """The same by running the function for training on `PROBE`, its dropouts doing nothing."""
        if not dropouts:
            return {}
        opened, examples = self._survey.opened, self._survey.examples
        specs = zip(self._inputs, (tf.TensorSpec(one.shape, one.dtype) for one in opened.inputs), strict=True)
        wanted = {
            f"{kind}{i}": getattr(one, kind) for i, one in enumerate(dropouts) for kind in ("shape", "before")
        }
        run = cut(self._there, dict(specs), wanted, lambda name, x: tf.shape(x) if name[0] == "b" else x)
        try:
            values = {k: v.numpy() for k, v in run(*examples.arguments(examples.rows(PROBE))).items()}
        except tf.errors.OpError:
            return {}
        found: dict[str, NoiseShape] = {}
        for i, one in enumerate(dropouts):
            whole = [int(n) for n in values[f"before{i}"]]
            drawn = [int(n) for n in values[f"shape{i}"]]
            drawn = [1] * (len(whole) - len(drawn)) + drawn
            if len(drawn) == len(whole) and all(n in (1, m) for n, m in zip(drawn, whole, strict=True)):
                found[one.draw] = tuple(None if n == m else 1 for n, m in zip(drawn, whole, strict=True))
        return found


def _named(found: Sequence[tuple[str, Ref, Dropped, NoiseShape]]) -> tuple[Mark, ...]:
    """The marks, called by the scopes of the function for training, and counted where several have one scope."""
    seen: dict[str, int] = {}
    marks = []
    for node, source, one, shape in found:
        path = "/".join(_layer_scope(scope_of(node_of(one.after))))
        seen[path] = seen.get(path, 0) + 1
        config = {"rate": one.rate, "noise_shape": shape}
        marks.append(Mark(source, f"{node}:0", Layer(path, path, "Dropout", config), seen[path]))
    return tuple(marks)


def _layer_scope(scope: Scope) -> Scope:
    """Without the scope that TensorFlow's own dropout adds to the layer's."""
    own = len(scope) > 1 and scope[-1].removeprefix("stateless_").rstrip("_0123456789") == "dropout"
    return scope[:-1] if own else scope
