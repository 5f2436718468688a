"""Which tensors all paths through a graph must pass: dominators, and smallest cuts by chosen tensors."""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Iterable

from penult_service.preparing.graph import FlatGraph, Ref, node_of

_UNLIMITED = 1 << 30
_START = "=start"


def path_nodes(flat: FlatGraph, sources: Collection[Ref], sinks: Collection[Ref]) -> list[str]:
    """The nodes between the sources and the sinks, in topological order."""
    down, up = flat.downstream(sources), flat.upstream(sinks)
    return [name for name in flat.nodes if name in down and name in up]


def dominators(flat: FlatGraph, sources: Collection[Ref], sinks: Collection[Ref]) -> list[Ref]:
    """The tensors that every path from any of the sources to any of the sinks passes, in order; a single source first.

    Empty when no path leads there.

    The graph has no cycles, so one pass in topological order finds each vertex's immediate dominator: the
    nearest common one of its predecessors (Cooper, Harvey, Kennedy, "A simple, fast dominance algorithm").
    Vertices are nodes and tensors, so that a node with several outputs is told from its outputs.
    """
    parent: dict[str, str] = {_START: _START}
    depth = {_START: 0}

    def add(vertex: str, predecessors: Iterable[str]) -> None:
        common = ""
        for other in predecessors:
            if not common:
                common = other
            while other != common:
                if depth[other] > depth[common]:
                    other = parent[other]
                else:
                    common = parent[common]
        parent[vertex], depth[vertex] = common, depth[common] + 1

    for source in sources:
        add(source, [_START])
    for name in path_nodes(flat, sources, sinks):
        add(f"={name}", [_vertex(add, parent, ref) for ref in flat.nodes[name].input if _known(parent, ref)])
    reached = [ref for ref in sinks if _known(parent, ref)]
    if not reached:
        return []
    add("=end", [_vertex(add, parent, ref) for ref in reached])
    chain, vertex = [], "=end"
    while vertex != _START:
        vertex = parent[vertex]
        if not vertex.startswith("="):
            chain.append(vertex)
    return chain[::-1]


def _known(parent: dict[str, str], ref: Ref) -> bool:
    return ref in parent or f"={node_of(ref)}" in parent


def _vertex(add: object, parent: dict[str, str], ref: Ref) -> str:
    if ref not in parent:
        add(ref, [f"={node_of(ref)}"])  # type: ignore[operator]
    return ref


def smallest_cut(
    flat: FlatGraph, sources: Collection[Ref], sinks: Collection[Ref], candidates: Collection[Ref], most: int
) -> list[Ref] | None:
    """The fewest of `candidates` that all paths from the sources to the sinks pass; the earliest such set.

    Returns None when no set of at most `most` of them does. Maximum flow by augmenting paths: a candidate
    carries 1, everything else is unlimited; the cut nearest to the sources is where their residual reach ends.
    """
    capacity: dict[str, dict[str, int]] = {}

    def edge(tail: str, head: str, limit: int) -> None:
        capacity.setdefault(tail, {})[head] = limit
        capacity.setdefault(head, {}).setdefault(tail, 0)

    allowed = set(candidates)
    path = set(path_nodes(flat, sources, sinks))

    def use(ref: Ref, user: str) -> None:
        if ref in sources or node_of(ref) in path:
            edge(_START if ref in sources else f"={node_of(ref)}", f"<{ref}", _UNLIMITED)
            edge(f"<{ref}", f"{ref}>", 1 if ref in allowed else _UNLIMITED)
            edge(f"{ref}>", user, _UNLIMITED)

    for name in path:
        for ref in flat.nodes[name].input:
            use(ref, f"={name}")
    for ref in sinks:
        use(ref, "end")
    if _START not in capacity:
        return []  # no path
    for _ in range(most + 1):
        previous = _reach(capacity, _START)
        if "end" not in previous:
            on_a_path = (ref for ref in allowed if f"{ref}>" in capacity)
            return sorted(ref for ref in on_a_path if f"<{ref}" in previous and f"{ref}>" not in previous)
        if not _augment(capacity, previous, _START):
            return None
    return None


def _reach(capacity: dict[str, dict[str, int]], start: str) -> dict[str, str]:
    """Breadth first over edges with room left: vertex -> the one before it."""
    previous, waiting = {start: start}, deque([start])
    while waiting:
        tail = waiting.popleft()
        for head, room in capacity.get(tail, {}).items():
            if room > 0 and head not in previous:
                previous[head] = tail
                waiting.append(head)
    return previous


def _augment(capacity: dict[str, dict[str, int]], previous: dict[str, str], start: str) -> bool:
    """Sends one unit along the path found; False when the path has no candidate on it (no cut exists)."""
    steps, vertex = [], "end"
    while vertex != start:
        steps.append((previous[vertex], vertex))
        vertex = previous[vertex]
    if min(capacity[tail][head] for tail, head in steps) >= _UNLIMITED // 2:
        return False
    for tail, head in steps:
        capacity[tail][head] -= 1
        capacity[head][tail] += 1
    return True
