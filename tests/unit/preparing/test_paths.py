"""Dominators and smallest cuts against brute force: take tensors away and see whether a sink is still reached."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from itertools import combinations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from penult_service.preparing.graph import FlatGraph, Ref, node_of
from penult_service.preparing.seam.paths import dominators, path_nodes, smallest_cut
from tensorflow.core.framework import node_def_pb2

pytestmark = pytest.mark.tensorflow
SOURCE = "n0:0"
MOST = 3


def flat_graph(inputs: Iterable[Iterable[Ref]]) -> FlatGraph:
    """Nodes n0, n1, ... with these inputs."""
    nodes = {f"n{i}": node_def_pb2.NodeDef(name=f"n{i}", op="X", input=refs) for i, refs in enumerate(inputs)}
    return FlatGraph(nodes, {}, {}, {})


@st.composite
def graphs(draw: st.DrawFn) -> tuple[FlatGraph, list[Ref], list[Ref]]:
    """A graph without cycles, some sinks, some candidates; every node has two outputs and up to three inputs."""
    count = draw(st.integers(2, 8))
    refs = [f"n{i}:{k}" for i in range(count) for k in (0, 1)]
    inputs = [[], *(draw(st.lists(st.sampled_from(refs[: 2 * i]), max_size=3)) for i in range(1, count))]
    sinks = draw(st.lists(st.sampled_from(refs), min_size=1, max_size=3))
    candidates = draw(st.lists(st.sampled_from(refs), unique=True))
    return flat_graph(inputs), sinks, candidates


def reached(flat: FlatGraph, removed: Collection[Ref]) -> set[Ref]:
    """The tensors that the source reaches when some are taken away."""
    found = {SOURCE} - set(removed)
    for name, node in flat.nodes.items():
        if found.intersection(node.input):
            found |= {f"{name}:{k}" for k in (0, 1)} - set(removed)
    return found


def cuts(flat: FlatGraph, sinks: Collection[Ref], removed: Collection[Ref]) -> bool:
    return not reached(flat, removed).intersection(sinks)


@given(graphs())
@settings(max_examples=250, deadline=None)
def test_a_dominator_is_a_tensor_without_which_no_sink_is_reached(
    case: tuple[FlatGraph, list[Ref], list[Ref]],
) -> None:
    flat, sinks, _ = case
    everything = [f"{name}:{k}" for name in flat.nodes for k in (0, 1)]
    needed = [] if cuts(flat, sinks, ()) else [ref for ref in everything if cuts(flat, sinks, [ref])]
    assert dominators(flat, [SOURCE], sinks) == needed


@given(graphs())
@settings(max_examples=400, deadline=None)
def test_the_smallest_cut_is_the_first_of_the_smallest_subsets(
    case: tuple[FlatGraph, list[Ref], list[Ref]],
) -> None:
    flat, sinks, candidates = case
    found = smallest_cut(flat, [SOURCE], sinks, candidates, MOST)
    sizes = ([s for s in combinations(candidates, n) if cuts(flat, sinks, s)] for n in range(MOST + 1))
    smallest = next((subsets for subsets in sizes if subsets), None)
    if smallest is None:
        assert found is None
    else:
        assert found is not None
        assert set(found) in [set(subset) for subset in smallest]
        in_front = reached(flat, found)
        assert all(in_front <= reached(flat, other) for other in smallest)


@given(graphs())
@settings(max_examples=100, deadline=None)
def test_path_nodes_lie_on_a_path(case: tuple[FlatGraph, list[Ref], list[Ref]]) -> None:
    flat, sinks, _ = case

    def leads_to_a_sink(name: str) -> bool:
        if any(node_of(ref) == name for ref in sinks):
            return True
        users = (user for user, node in flat.nodes.items() if any(node_of(ref) == name for ref in node.input))
        return any(leads_to_a_sink(user) for user in users)

    behind = {node_of(ref) for ref in reached(flat, ())} - {node_of(SOURCE)}
    assert path_nodes(flat, [SOURCE], sinks) == [
        name for name in flat.nodes if name in behind and leads_to_a_sink(name)
    ]


def test_no_path_has_no_dominator_and_an_empty_cut() -> None:
    flat = flat_graph([[], [], ["n1:0"]])
    assert dominators(flat, [SOURCE], ["n2:0"]) == []
    assert smallest_cut(flat, [SOURCE], ["n2:0"], ["n1:0"], MOST) == []


def test_two_outputs_of_one_node_are_two_paths() -> None:
    flat = flat_graph([[], ["n0:0"], ["n1:0", "n1:1"]])
    assert dominators(flat, [SOURCE], ["n2:0"]) == ["n0:0", "n2:0"]
    assert smallest_cut(flat, [SOURCE], ["n2:0"], ["n1:0", "n1:1"], MOST) == ["n1:0", "n1:1"]
    assert smallest_cut(flat, [SOURCE], ["n2:0"], ["n1:0", "n1:1"], 1) is None
    assert smallest_cut(flat, [SOURCE], ["n2:0"], ["n1:0"], MOST) is None


def test_of_two_cuts_in_a_row_the_one_nearer_to_the_source() -> None:
    flat = flat_graph([[], ["n0:0"], ["n1:0"], ["n2:0"]])
    assert smallest_cut(flat, [SOURCE], ["n3:0"], ["n2:0", "n1:0"], MOST) == ["n1:0"]


def test_a_long_chain_is_no_matter_of_recursion() -> None:
    flat = flat_graph([[], *([f"n{i}:0"] for i in range(3000))])
    assert len(dominators(flat, [SOURCE], ["n3000:0"])) == 3001
    assert smallest_cut(flat, [SOURCE], ["n3000:0"], ["n1500:0"], MOST) == ["n1500:0"]
