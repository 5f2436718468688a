"""Asks for analyses: at once, or as operations."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from penult.v1 import common_pb2 as common

from penult_client._async.calls import AsyncCaller
from penult_client._async.operations import AsyncOperation
from penult_client._async.waiting import AsyncOngoing
from penult_client._core import operations, requests, results, rpcs
from penult_client._core.analysis_results import Origin
from penult_client._core.kinds import Kind, Record
from penult_client._core.progress import Progress, reporter
from penult_client._core.rows import Rows
from penult_client._core.splitting import split_rows
from penult_client._core.tensors import Tensors
from penult_client._core.timing import Deadline
from penult_client._exceptions import PenultError

Sides = Mapping[str, Rows | common.Source]


class AsyncAnalysis:
    """What the methods of the client that analyse have in common.

    A side (`a`, `b`, `queries`, `corpus`, `source`) is a list of texts (or of dicts or tuples, or a dict of arrays, as
    of `AsyncClient.embed`), `Embeddings`, an array [n, d], or a `Dataset` that the server keeps; an array says nothing
    about its space. More texts than one request should hold are embedded first, and so are dicts of arrays.

    What the server does not answer at once, because it takes too long or its answer is too large, is started as an
    operation and waited for: without `deadline` as long as it takes. What is answered at once takes at most what
    the server lets it (`Limits.max_analysis_seconds`) and 30 seconds, at least the client's `timeout`; what the server
    cannot take yet is sent again within it.
    """

    _caller: AsyncCaller

    async def _analyse(
        self,
        kind: Kind[Record],
        request: Any,
        sides: Sides,
        options: common.EmbedOptions,
        *,
        wait: bool,
        progress: Progress,
        deadline: float | None,
    ) -> Record | AsyncOperation[Record]:
        """The record of the analysis of these sides; the operation, when it is not to be waited for."""
        ends = Deadline.begin(deadline)
        origin = await self._add_sides(request, sides, options, progress, ends)
        return await self._ask(kind, request, origin, ends, wait=wait, progress=progress)

    async def _ask(
        self,
        kind: Kind[Record],
        request: Any,
        origin: Origin | None,
        ends: Deadline,
        *,
        wait: bool,
        progress: Progress,
    ) -> Record | AsyncOperation[Record]:
        """The same of a request that has all its rows."""
        if not wait:
            return AsyncOperation(
                self._caller, await AsyncOngoing.start(self._caller, kind, request, origin, ends)
            )
        try:
            return kind.record(await self._caller.send_analysis(kind.rpc, request, ends), origin)
        except PenultError as error:
            if error.reason not in operations.TOO_LARGE_AT_ONCE:
                raise
            refused = error
        try:
            ongoing = await AsyncOngoing.start(self._caller, kind, request, origin, ends)
        except PenultError as error:
            raise (refused if operations.has_none(error) else error) from None
        record: Record = await ongoing.finish(progress, ends)
        return record

    async def _add_sides(
        self, request: Any, sides: Sides, options: common.EmbedOptions, progress: Progress, ends: Deadline
    ) -> Origin | None:
        """Completes the request; what embedded a side before, if anything did."""
        limits = await self._caller.limits(ends)
        sources: dict[str, common.Source] = {}
        origin: Origin | None = None
        for name, side in sides.items():
            if isinstance(side, common.Source):
                sources[name] = side
            elif not isinstance(side, Tensors) and len(split_rows(side, limits, options.ByteSize())) == 1:
                sources[name] = requests.row_source(side, options)
            else:
                template = rpcs.EMBED.request(options=options)
                report = reporter(progress, "embedding")
                parts = await self._caller.send_input(rpcs.EMBED, template, side, ends, report)
                embedded = results.embeddings(parts)
                origin = Origin(embedded.model, embedded.version, embedded.digest, embedded.space)
                sources[name] = requests.vector_source(embedded, name)
        requests.check_room(request, sources, limits)
        for name, source in sources.items():
            getattr(request, name).CopyFrom(source)
        request.max_response_bytes = limits.max_response_bytes
        return origin
