# Made from ../_async/stored.py by scripts/unasync.py; change that one.
"""Maps and clusterings that the server keeps."""

from __future__ import annotations

from typing import Any

from penult_client._analysis import Projection, StoredInfo
from penult_client._sync.calls import Caller
from penult_client._sync.reading import read_result
from penult_client._clusters import Clusters
from penult_client._core import analysis_results, parameters, rpcs
from penult_client._core.rpcs import Rpc
from penult_client._core.timing import NO_DEADLINE


class SyncStored:
    """The methods of the client that find what `project` and `cluster` kept under a name."""

    _caller: Caller

    def projections(self) -> list[StoredInfo]:
        """All maps that the server keeps, by name."""
        return self._list(rpcs.LIST_PROJECTIONS, "projections")

    def projection(self, name: str) -> Projection:
        """A map that the server keeps, as `project` returned it.

        Raises:
            NotFoundError: there is none of that name. DataLossError: it is damaged.
        """
        projection: Projection = self._whole("projections", name)
        return projection

    def delete_projection(self, name: str) -> None:
        """Deletes a map.

        Raises:
            NotFoundError: there is none of that name.
        """
        self._delete(rpcs.DELETE_PROJECTION, name)

    def clusterings(self) -> list[StoredInfo]:
        """All clusterings that the server keeps, by name."""
        return self._list(rpcs.LIST_CLUSTERINGS, "clusterings")

    def clustering(self, name: str) -> Clusters:
        """Clusters that the server keeps, as `cluster` returned them, with what became of them (`Clusters.history`).

        Raises:
            NotFoundError: there are none of that name. DataLossError: they are damaged.
        """
        clusters: Clusters = self._whole("clusterings", name)
        return clusters

    def delete_clustering(self, name: str) -> None:
        """Deletes a clustering.

        Raises:
            NotFoundError: there is none of that name.
        """
        self._delete(rpcs.DELETE_CLUSTERING, name)

    def _whole(self, plural: str, name: str) -> Any:
        resource = parameters.resource_name(plural, name)
        return (read_result(self._caller, resource, NO_DEADLINE)).record()

    def _delete(self, rpc: Rpc[Any, Any], name: str) -> None:
        self._caller.send(rpc, rpc.request(name=parameters.stored_name(name)))

    def _list(self, rpc: Rpc[Any, Any], field: str) -> list[StoredInfo]:
        found: list[StoredInfo] = []
        token = ""
        while True:
            reply = self._caller.send(rpc, rpc.request(page_token=token))
            found += [analysis_results.stored(told) for told in getattr(reply, field)]
            token = reply.next_page_token
            if not token:
                return found
