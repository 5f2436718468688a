"""A flat graph in which the consumers of what a dropout gives read a dropout of ours on it."""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import tensorflow as tf
from tensorflow.core.framework import node_def_pb2

from penult_service.prepared import RATES, ROW_KEYS, SHARED_KEYS, Site
from penult_service.preparing.graph import FlatGraph, Ref, node_of
from penult_service.preparing.places import Seams, Stand
from penult_service.preparing.sampling import keyed
from penult_service.preparing.sampling.keyed import Recipe

_OWN = "penult_sample"
_SIZES = frozenset({"Shape", "ShapeN", "Size", "Rank"})


@dataclass(frozen=True)
class Plan:
    """What is put back.

    Attributes:
        sites: The model's, with `shared` and `sampled`.
        flat: The graph with our dropouts; None: nothing is put back.
        feeds: Where it is fed beside the model's own inputs: tensor -> type and name.
        unsampled: Why nothing is put back; empty when it is.
        notes: For a person, of sites that are left out.
    """

    sites: tuple[Site, ...]
    flat: FlatGraph | None = None
    feeds: dict[Ref, tf.TensorSpec] = field(default_factory=dict)
    unsampled: str = ""
    notes: tuple[str, ...] = ()

    @property
    def inside(self) -> bool:
        """Whether a dropout in front of the seam is put back."""
        return any(site.sampled and site.place == "before" for site in self.sites)


@dataclass(frozen=True)
class _Drop:
    """A dropout to put on a tensor: its number among the rates."""

    number: int
    on: Ref
    dtype: tf.DType
    recipe: Recipe


def planned(flat: FlatGraph, seams: Seams, *, noisy: bool = False) -> Plan:
    """Which dropouts are put back, and the graph with them; at rate 0 each hands on what it is given.

    The last of the rates is that of the tensor at the seam itself. Nothing is put back into a model that draws numbers
    itself (`noisy`), nor where that fails: the model is served without.
    """
    try:
        return _planned(flat, seams, noisy)
    except Exception as error:  # noqa: BLE001  (whatever stands there, it was a model that can be served)
        return Plan(seams.sites, unsampled=f"that failed here ({type(error).__name__}: {str(error)[:200]})")


def _planned(flat: FlatGraph, seams: Seams, noisy: bool) -> Plan:
    if noisy:
        return Plan(seams.sites, unsampled="this model draws random numbers at inference by itself")
    if not seams.read:
        return Plan(
            seams.sites, unsampled="no embedding of this model can be read, and its head begins there"
        )
    front, readers = flat.upstream([seams.before]), _readers(flat)
    drops, sites, notes = [], [], []
    for number, (site, stand) in enumerate(zip(seams.sites, seams.stands, strict=True)):
        found = _drop(number, site, stand, seams, front, readers)
        if isinstance(found, str):
            notes.append(f"dropout cannot be put back at {site.path}: {found}")
            sites.append(site)
        else:
            drops.append(found)
            sites.append(replace(site, sampled=True, shared=found.recipe.shared))
    drops.append(_Drop(len(sites), seams.before, seams.dtype, Recipe("Dropout", 2)))
    return Plan(tuple(sites), *_with(flat, drops), notes=tuple(notes))


def refused(sites: Sequence[Site], why: str) -> tuple[tuple[Site, ...], str]:
    """The same, none of them put back, and why."""
    return tuple(replace(site, sampled=False, shared=()) for site in sites), why


def sampled_sites(sites: Sequence[Site], place: str = "") -> list[tuple[int, Site]]:
    """Those that can be put back, with their numbers; of one `place` when it is given."""
    return [(i, site) for i, site in enumerate(sites) if site.sampled and place in ("", site.place)]


def _drop(
    number: int, site: Site, stand: Stand, seams: Seams, front: Container[str], readers: Mapping[Ref, int]
) -> _Drop | str:
    """How a site is put back, or why it cannot be; `front` are the operations in front of the seam."""
    if stand.recipe is None:
        return (
            stand.why
            or f"what a {site.layer_class} does there, or which of its numbers share a draw, is not known"
        )
    # Of several dropouts on the embedding one behind the other, the first ones may stand in front of the seam.
    if site.place == "at" and node_of(stand.after) in front:
        if (stand.recipe.rank, stand.recipe.stacked) != (2, False):
            return "it stands in front of the embedding, on rows of another shape"
        return _Drop(number, seams.before, seams.dtype, stand.recipe)
    if not _alone(stand, seams, readers):
        return "it leaves nothing in the graph, and the tensor in front of it is read in several places"
    return _Drop(number, stand.after, stand.dtype, stand.recipe)


def _alone(stand: Stand, seams: Seams, readers: Mapping[Ref, int]) -> bool:
    """Whether all that reads the tensor reads what the dropout gives.

    One that leaves nothing in the graph shows only what reads the tensor in front of it. Where a second dropout stands
    on that tensor, which comes first is not known.
    """
    if stand.before != stand.after:
        return True
    others = [one for one in seams.stands if one is not stand and stand.after in (one.before, one.after)]
    return readers.get(stand.after, 0) == 1 and not others


def _readers(flat: FlatGraph) -> dict[Ref, int]:
    """How many operations on the way to the outputs read the numbers of each tensor; to be an output counts."""
    found: dict[Ref, int] = {}
    for name in flat.upstream(flat.outputs.values()):
        if flat.nodes[name].op in _SIZES:
            continue
        for ref in set(flat.nodes[name].input):
            found[ref] = found.get(ref, 0) + 1
    for ref in flat.outputs.values():
        found[ref] = found.get(ref, 0) + 1
    return found


def _with(flat: FlatGraph, drops: Iterable[_Drop]) -> tuple[FlatGraph, dict[Ref, tf.TensorSpec]]:
    """The graph with these dropouts, and where it is fed for them."""
    scope = _OWN
    while any(name.startswith(scope) for name in flat.nodes):
        scope += "_"
    specs = {
        ROW_KEYS: tf.TensorSpec([None], tf.int64, name=ROW_KEYS),
        SHARED_KEYS: tf.TensorSpec([None], tf.int64, name=SHARED_KEYS),
        RATES: tf.TensorSpec([None], tf.float32, name=RATES),
    }
    fed = {name: f"{scope}/{name}:0" for name in specs}
    nodes: dict[str, node_def_pb2.NodeDef] = {}
    for name, spec in specs.items():
        node = nodes[f"{scope}/{name}"] = node_def_pb2.NodeDef(name=f"{scope}/{name}", op="Placeholder")
        node.attr["dtype"].type = spec.dtype.as_datatype_enum
    on: dict[str, list[_Drop]] = {}
    for drop in drops:
        on.setdefault(node_of(drop.on), []).append(drop)
    given: dict[Ref, Ref] = {}
    for name, node in flat.nodes.items():
        nodes[name] = _reading(node, given)
        for drop in on.get(name, ()):
            given[drop.on] = _put(nodes, drop, given.get(drop.on, drop.on), fed, f"{scope}/{drop.number}/")
    outputs = {name: given.get(ref, ref) for name, ref in flat.outputs.items()}
    return replace(flat, nodes=nodes, outputs=outputs), {fed[name]: spec for name, spec in specs.items()}


def _put(
    nodes: dict[str, node_def_pb2.NodeDef], drop: _Drop, on: Ref, fed: dict[str, Ref], scope: str
) -> Ref:
    """Adds the operations of one dropout; returns what it gives."""
    graph = keyed.traced(drop.recipe, drop.dtype)
    number = nodes[f"{scope}number"] = node_def_pb2.NodeDef(name=f"{scope}number", op="Const")
    number.attr["dtype"].type = tf.int32.as_datatype_enum
    number.attr["value"].tensor.CopyFrom(tf.make_tensor_proto(drop.number, tf.int32))
    keys = fed[SHARED_KEYS if 0 in drop.recipe.shared else ROW_KEYS]
    arguments = {keyed.VALUES: on, keyed.KEYS: keys, keyed.SITE: f"{scope}number:0", keyed.RATES: fed[RATES]}
    given = {ref: arguments[name] for name, ref in graph.inputs.items()}
    own = {node_of(ref) for ref in graph.inputs.values()}
    for name, node in graph.nodes.items():
        if name not in own:
            copy = nodes[scope + name] = node_def_pb2.NodeDef()
            copy.CopyFrom(node)
            copy.name = scope + name
            copy.input[:] = [given.get(ref, scope + ref) for ref in node.input]
    return scope + graph.outputs[keyed.DROPPED]


def _reading(node: node_def_pb2.NodeDef, given: dict[Ref, Ref]) -> node_def_pb2.NodeDef:
    """The node, what is dropped read from where it is; itself when it reads nothing of that."""
    if not any(ref in given for ref in node.input):
        return node
    copy = node_def_pb2.NodeDef()
    copy.CopyFrom(node)
    copy.input[:] = [given.get(ref, ref) for ref in node.input]
    return copy
