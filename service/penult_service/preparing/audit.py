"""The proof by structure: no random operation is reachable, along data edges, from a served output.

`If`, `Case` and `While` are searched inside, sliced by the results that are wanted (a `While` to a fixpoint). A
branch is left out only when its predicate is a constant: no input, variable or random operation in what it is
computed from. Any write of a float variable is refused, and of any variable that the slice reads: a random value
could come back that way, and batch statistics do (BatchNormalization in training mode has no random operation).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

import tensorflow as tf
from tensorflow.core.framework import node_def_pb2

from penult_service.preparing import tf_private
from penult_service.preparing.graph import FlatGraph, Ref, node_of
from penult_service.preparing.naming import layer_at
from penult_service.preparing.opened import Layer

_BRANCHES = frozenset({"If", "StatelessIf", "Case", "StatelessCase"})
_LOOPS = frozenset({"While", "StatelessWhile"})
_RANDOM = re.compile(
    r"(Random|Rng|XlaRng|NonDeterministic|Multinomial|TruncatedNormal|ParameterizedTruncatedNormal|CudnnRNN|Timestamp|.*CandidateSampler"
    r"|StatelessRandom|StatelessTruncated|StatelessMultinomial|StatelessParameterized|StatelessSample|StatelessShuffle"
    r"|Stateful(Uniform|StandardNormal|TruncatedNormal|Random)|StatefulUniform.*"
    r"|FractionalMaxPool|FractionalAvgPool|KmeansPlusPlus|KMC2Chain|XlaCustomCall|.*PyFunc.*)"
)
# What keeps or makes state is refused unless it is one of these: they read, or look at, what does not change.
_QUIET_STATE = re.compile(
    r"(ReadVariableOp|VarHandleOp|VarIsInitializedOp|VariableShape|ResourceGather(Nd)?|Assert|Print(V2)?|CheckNumerics(V2)?"
    r"|(Anonymous)?(Mutable)?(Dense)?HashTable(OfTensors)?(V2)?|LookupTable(Find|Size|Export)(V2)?|TensorArray\w*V3"
    r"|Wordpiece\w+|Sentencepiece\w*)$"
)
_GLIMPSES = frozenset({"ExtractGlimpse", "ExtractGlimpseV2"})
_SENTENCEPIECE_SAMPLES = {"SentencepieceTokenizeOp": 2, "SentencepieceTokenizeWithOffsetsOp": 2}
# A `seed` there is the salt of a hash, not the state of a generator.
_SEEDED_BUT_FIXED = frozenset({"StringToHashBucketStrong", "SparseCrossHashed", "SparseCrossV2"})
_WRITES = re.compile(
    r"(Assign\w*VariableOp|Resource(Scatter|Apply|Sparse|StridedSliceAssign)\w*|Assign(Add|Sub)?"
    r"|LookupTable(Insert|Remove|Import)(V2)?)$"
)


@dataclass(frozen=True)
class Found:
    """An operation, the node that it is, and the Keras layer that it belongs to (None: no layer is known)."""

    op: str
    node: str
    layer: Layer | None = None

    def __str__(self) -> str:
        where = f" of layer {self.layer.name!r} ({self.layer.class_name})" if self.layer else ""
        return f"{self.op}{where} at {self.node}"

    def metadata(self) -> dict[str, str]:
        """For machines: `op`, `node`, and where known `layer` and `layer_class`."""
        known = {"op": self.op, "node": self.node}
        return known | (
            {"layer": self.layer.name, "layer_class": self.layer.class_name} if self.layer else {}
        )


@dataclass
class Audit:
    """What was found. Nothing in `refused` means that the structure is clean.

    `random` and `writes` are reasons (`writes_floats`: more than the state of a generator is written); `listed` holds
    random operations that no served output is computed from; `folded` the branches left out, with their constant
    predicates, a line for a person each.
    """

    layers: Sequence[Layer] = ()
    nodes: int = 0
    random: list[Found] = field(default_factory=list)
    writes: list[Found] = field(default_factory=list)
    writes_floats: bool = False
    listed: list[Found] = field(default_factory=list)
    folded: list[str] = field(default_factory=list)

    @property
    def refused(self) -> list[str]:
        """Why the model is refused."""
        return [
            *(f"{what} is reachable from a served output" for what in self.random),
            *(f"{what} writes a variable during inference" for what in self.writes),
        ]

    def found(self, node: node_def_pb2.NodeDef, where: str) -> Found:
        """The operation at that place, with its layer."""
        return Found(node.op, where, layer_at(where, self.layers))


def audit(flat: FlatGraph, layers: Sequence[Layer] = ()) -> Audit:
    """Audits all that the outputs are computed from, and every write in the graph; `layers` give their names."""
    report = Audit(layers)
    _slice(flat, flat.outputs.values(), report, "")
    reached = {found.node for found in report.random}
    read = _resources_read(flat)
    for where, node, handle in _all_nodes(flat, ""):
        what = report.found(node, where)
        if _is_random(node) and where not in reached:
            report.listed.append(what)
        if _WRITES.match(node.op) and _write_counts(node, handle, read):
            report.writes.append(what)
            report.writes_floats |= _of_floats(node)
    return report


def _slice(flat: FlatGraph, wanted: Iterable[Ref], report: Audit, scope: str) -> None:
    """Looks at the nodes behind `wanted`; goes into branches and loops by the results that are used."""
    refs = set(wanted)
    names = flat.upstream(refs)
    report.nodes += len(names)
    used: dict[str, set[int]] = {}
    for ref in [*refs, *(ref for name in names for ref in flat.nodes[name].input)]:
        used.setdefault(node_of(ref), set()).add(int(ref.rpartition(":")[2]))
    for name in (
        name for name in flat.nodes if name in names
    ):  # in order: the first found is the first there is
        node = flat.nodes[name]
        where = scope + name
        if node.op in _BRANCHES:
            _slice_branches(flat, node, used.get(name, set()), report, where)
        elif node.op in _LOOPS:
            _slice_loop(flat, node, used.get(name, set()), report, where)
        elif _is_random(node) or _calls(node) or changes(node) or _samples_pieces(flat, node):
            report.random.append(report.found(node, where))


def _slice_branches(
    flat: FlatGraph, node: node_def_pb2.NodeDef, used: set[int], report: Audit, where: str
) -> None:
    bodies = branches_of(node)
    taken = taken_branch(flat, node)
    if taken is not None:
        index, predicate = taken
        report.folded.append(
            f"{node.op} ({where}): its predicate is always {predicate}, {bodies[index]} is what runs"
        )
        bodies = [bodies[index]]
    for function in bodies:
        body = flat.branch(function)
        results = list(body.outputs.values())
        _slice(body, [results[i] for i in sorted(used)], report, f"{where}/{function}/")


def _slice_loop(
    flat: FlatGraph, node: node_def_pb2.NodeDef, used: set[int], report: Audit, where: str
) -> None:
    """The loop variables that count are those used behind it, by its condition, and by each other."""
    names = [node.attr["cond"].func.name, node.attr["body"].func.name]
    condition, body = (flat.branch(name) for name in names)
    arguments = {ref: i for i, ref in enumerate(body.inputs.values())}
    results = list(body.outputs.values())
    needed = set(used) | _argument_indices(condition, list(condition.outputs.values()))
    while True:
        behind = body.upstream([results[i] for i in needed])
        more = needed | {i for ref, i in arguments.items() if node_of(ref) in behind}
        if more == needed:
            break
        needed = more
    _slice(condition, condition.outputs.values(), report, f"{where}/{names[0]}/")
    _slice(body, [results[i] for i in sorted(needed)], report, f"{where}/{names[1]}/")


def _argument_indices(flat: FlatGraph, refs: list[Ref]) -> set[int]:
    behind = flat.upstream(refs)
    return {i for i, ref in enumerate(flat.inputs.values()) if node_of(ref) in behind}


def branches_of(node: node_def_pb2.NodeDef) -> list[str]:
    """The functions of an `If` or `Case`, in order."""
    if "branches" in node.attr:
        return [function.name for function in node.attr["branches"].list.func]
    return [node.attr["then_branch"].func.name, node.attr["else_branch"].func.name]


def taken_branch(flat: FlatGraph, node: node_def_pb2.NodeDef) -> tuple[int, object] | None:
    """Which branch an `If` or `Case` always takes, and its constant predicate; None when that is open."""
    if node.op not in _BRANCHES:
        return None
    predicate = constant_value(flat, node.input[0])
    return None if predicate is None else (_chosen(node.op, predicate, len(branches_of(node))), predicate)


def _chosen(op: str, predicate: object, count: int) -> int:
    """The branch that runs: `If` takes the first when true, `Case` counts and takes the last when out of range."""
    if op in ("If", "StatelessIf"):
        return 0 if predicate else 1
    index = int(predicate)  # type: ignore[call-overload]
    return index if 0 <= index < count else count - 1


def constant_value(flat: FlatGraph, ref: Ref) -> object | None:
    """The value of a scalar that depends on no input, variable or random operation; else None."""
    names = flat.upstream([ref])
    nodes = [flat.nodes[name] for name in names]
    if any(node.op in _BRANCHES | _LOOPS or _is_random(node) or _is_stateful(node) for node in nodes):
        return None
    if any(node.op == "Placeholder" for node in nodes) or len(nodes) > 64:
        return None
    with tf.Graph().as_default() as graph:
        (tensor,) = tf.graph_util.import_graph_def(flat.graph_def([ref], {}), return_elements=[ref], name="")
        with tf.compat.v1.Session(graph=graph) as session:
            value = session.run(tensor)
    return value.item() if value.ndim == 0 else None


def _is_random(node: node_def_pb2.NodeDef) -> bool:
    """By name, or by a seed among its attributes."""
    if node.op in _BRANCHES | _LOOPS:
        return False
    seeded = ("seed" in node.attr or "seed2" in node.attr) and node.op not in _SEEDED_BUT_FIXED
    noisy = (
        node.op in _GLIMPSES and node.attr["noise"].s != b"zero"
    )  # what it puts beyond the picture's border
    return seeded or noisy or _RANDOM.match(node.op) is not None


def changes(node: node_def_pb2.NodeDef) -> bool:
    """Whether its answer may depend on more than its inputs: a queue, an iterator, a clock, a program of its own.

    Writes are judged apart, wherever they are.
    """
    return _is_stateful(node) and not (_QUIET_STATE.match(node.op) or _WRITES.match(node.op))


def _samples_pieces(flat: FlatGraph, node: node_def_pb2.NodeDef) -> bool:
    """Sentencepiece draws one of several ways to cut a word unless its `nbest_size` is 0 or 1."""
    index = _SENTENCEPIECE_SAMPLES.get(node.op)
    return index is not None and constant_value(flat, node.input[index]) not in (0, 1)


def _calls(node: node_def_pb2.NodeDef) -> bool:
    """Whether it calls functions that are not searched, such as `MapDefun` or a data set's."""
    return any(attr.WhichOneof("value") == "func" or attr.list.func for attr in node.attr.values())


def _is_stateful(node: node_def_pb2.NodeDef) -> bool:
    return bool(tf_private.op_def(node.op).is_stateful)  # type: ignore[union-attr]  # flattening looked it up


def _all_nodes(flat: FlatGraph, scope: str) -> Iterator[tuple[str, node_def_pb2.NodeDef, Ref]]:
    """Every node, those in branches and loops too, with the top-level tensor that its first input comes from.

    The tensor is empty where it cannot be followed (a handle made inside).
    """
    outside = {ref: ref for ref in (f"{name}:0" for name in flat.captures)}
    yield from _nodes(flat, scope, outside)


def _nodes(
    flat: FlatGraph, scope: str, known: dict[Ref, Ref]
) -> Iterator[tuple[str, node_def_pb2.NodeDef, Ref]]:
    for name, node in flat.nodes.items():
        yield scope + name, node, known.get(node.input[0], "") if node.input else ""
        functions, arguments = [], list(node.input)
        if node.op in _BRANCHES:
            functions, arguments = branches_of(node), list(node.input[1:])
        elif node.op in _LOOPS:
            functions = [node.attr["cond"].func.name, node.attr["body"].func.name]
        for function in functions:
            body = flat.branch(function)
            inner = {ref: known.get(a, "") for ref, a in zip(body.inputs.values(), arguments, strict=True)}
            yield from _nodes(body, f"{scope}{name}/{function}/", inner)


def _resources_read(flat: FlatGraph) -> set[str]:
    """Captured placeholders that the outputs are computed from."""
    return flat.upstream(flat.outputs.values()) & set(flat.captures)


def _write_counts(node: node_def_pb2.NodeDef, handle: Ref, read: set[str]) -> bool:
    """Whether a write matters: of a float, of what is read, or of what cannot be followed."""
    return _of_floats(node) or not handle or node_of(handle) in read


def _of_floats(node: node_def_pb2.NodeDef) -> bool:
    types = [tf.as_dtype(node.attr[name].type) for name in ("dtype", "T") if name in node.attr]
    return any(dtype.is_floating for dtype in types)
