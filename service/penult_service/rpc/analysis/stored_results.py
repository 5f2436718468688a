"""Maps and clusterings that are stored by name: got, listed and deleted."""

from __future__ import annotations

import asyncio
from typing import Any

from penult.v1 import analysis_service_pb2 as pb

from penult_service.config import Limits
from penult_service.rpc.analysis.bases import FOR_NEW_ROWS
from penult_service.rpc.analysis.keeping import Keeper, result_name
from penult_service.rpc.analysis.kinds import CLUSTERINGS, PROJECTIONS, Kind
from penult_service.rpc.handlers import Call
from penult_service.rpc.limits import check_fits, page_size, response_limit
from penult_service.rpc.stored import Stored


class StoredResults:
    """The methods of `AnalysisService` that have to do with stored results."""

    def __init__(self, keeper: Keeper, limits: Limits, stored: Stored) -> None:
        self._keeper, self._most, self._stored = keeper, limits, stored

    async def get_projection(self, request: pb.GetProjectionRequest, _: Call) -> pb.GetProjectionResponse:
        """A stored map."""
        return pb.GetProjectionResponse(result=await self._get(PROJECTIONS, request))

    async def list_projections(
        self, request: pb.ListProjectionsRequest, _: Call
    ) -> pb.ListProjectionsResponse:
        """All stored maps, by name."""
        told, token = await self._list(PROJECTIONS, request)
        return pb.ListProjectionsResponse(projections=told, next_page_token=token)

    async def delete_projection(
        self, request: pb.DeleteProjectionRequest, _: Call
    ) -> pb.DeleteProjectionResponse:
        """The map goes."""
        await self._delete(PROJECTIONS, request)
        return pb.DeleteProjectionResponse()

    async def get_clustering(self, request: pb.GetClusteringRequest, _: Call) -> pb.GetClusteringResponse:
        """Stored clusters."""
        return pb.GetClusteringResponse(result=await self._get(CLUSTERINGS, request))

    async def list_clusterings(
        self, request: pb.ListClusteringsRequest, _: Call
    ) -> pb.ListClusteringsResponse:
        """All stored clusterings, by name."""
        told, token = await self._list(CLUSTERINGS, request)
        return pb.ListClusteringsResponse(clusterings=told, next_page_token=token)

    async def delete_clustering(
        self, request: pb.DeleteClusteringRequest, _: Call
    ) -> pb.DeleteClusteringResponse:
        """The clustering goes."""
        await self._delete(CLUSTERINGS, request)
        return pb.DeleteClusteringResponse()

    async def _get(self, kind: Kind, request: Any) -> Any:
        limit = response_limit(request.max_response_bytes, self._most)
        name = result_name(kind, request.name)
        found = await self._stored.run(self._keeper.store(kind).get, name, without=FOR_NEW_ROWS)
        response = await asyncio.to_thread(kind.response, found)
        check_fits(response, found.info.source.rows, limit)
        return response

    async def _list(self, kind: Kind, request: Any) -> tuple[list[Any], str]:
        size = page_size(request.page_size)
        page = await self._stored.run(self._keeper.store(kind).list, size, request.page_token)
        return [kind.told(info) for info in page.results], page.next_page_token

    async def _delete(self, kind: Kind, request: Any) -> None:
        await self._stored.run(self._keeper.store(kind).delete, result_name(kind, request.name))
