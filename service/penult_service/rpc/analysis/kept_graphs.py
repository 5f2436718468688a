"""Neighbour graphs of sets: found where they are kept, else asked for and kept then."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from penult_service.analysis.calls import ArrayFile, Call, graph_neighbors
from penult_service.analysis.results import Graphed
from penult_service.rpc.analysis.sources import Sides
from penult_service.rpc.stored import Stored
from penult_service.storage import Snapshot

_SIDE = "source"


class KeptGraphs:
    """Those beside the sets of a storage."""

    def __init__(self, stored: Stored) -> None:
        self._stored = stored

    async def find(self, call: Call, sides: Sides) -> Mapping[str, ArrayFile]:
        """The graph of the source as a worker takes it; empty where none is kept that has the columns."""
        snapshot, columns = _set_of(call, sides)
        if snapshot is None:
            return {}
        kept = await self._stored.run(snapshot.graph, call.metric)
        if kept is None or kept.near_rows.shape[1] < min(columns, kept.near_rows.shape[0]):
            return {}
        places = {"near_rows": kept.near_rows, "near_distances": kept.near_distances}
        return {
            name: ArrayFile(place.path, place.shape, place.offset, place.dtype)
            for name, place in places.items()
        }

    def asked(self, call: Call, sides: Sides) -> Call:
        """The call, so that its result has the graph that it has to make, where that can be kept."""
        snapshot, _ = _set_of(call, sides)
        more: Any = {"keep_graph": True}
        return call if snapshot is None else replace(call, **more)

    async def keep(self, call: Call, sides: Sides, result: Any) -> None:
        """Keep the graph that a result has."""
        snapshot, _ = _set_of(call, sides)
        if snapshot is not None and isinstance(result, Graphed) and result.near_rows.size:
            await self._stored.run(snapshot.keep_graph, call.metric, result.near_rows, result.near_distances)


def _set_of(call: Call, sides: Sides) -> tuple[Snapshot | None, int]:
    """The set whose graph a call reads, and how many columns of it; None, 0: none."""
    side = sides.get(_SIDE)
    if side is None or side.snapshot is None or not hasattr(call, "keep_graph"):
        return None, 0
    columns = graph_neighbors(call, side.rows)
    return (side.snapshot, columns) if columns else (None, 0)
