"""Clusterings that live on: rows are taken in, and clusters changed by hand, one after the other for each of them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, TypeVar

import numpy as np
from google.protobuf.json_format import ParseDict
from numpy.typing import NDArray
from penult.v1 import analysis_service_pb2 as pb

from penult_service.analysis.calls import Array, EditClusters, Grow
from penult_service.analysis.results import Adjustment, GrowResult
from penult_service.errors import NotFound
from penult_service.rpc.analysis import cluster_codec, replies
from penult_service.rpc.analysis.analyses import Analyses, Checked
from penult_service.rpc.analysis.bases import FOR_NEW_ROWS, Bases, Basis, StoredName
from penult_service.rpc.analysis.cluster_edits import Edit, check_labels, check_names
from penult_service.rpc.analysis.cluster_replies import Clusters, batch, infos
from penult_service.rpc.analysis.keeping import STORED_BYTES, check_storable
from penult_service.rpc.analysis.kinds import CLUSTERINGS
from penult_service.rpc.analysis.next_clusters import MERGED, SPLIT, Next, edited, grown, named
from penult_service.rpc.analysis.sources import Resolved
from penult_service.rpc.stored import Stored
from penult_service.storage import ResultInfo, ResultStore, StoredResult

# When a clustering was changed, and that its arrays have another size.
_TIME_BYTES = 64

Compute = Callable[[Checked, Mapping[str, Array]], Awaitable[Any]]
T = TypeVar("T")


class Growth:
    """Grows and changes them."""

    def __init__(self, analyses: Analyses, bases: Bases, stored: Stored) -> None:
        self._analyses, self._bases, self._stored = analyses, bases, stored
        self._locks: dict[str, asyncio.Lock] = {}
        self._users: dict[str, int] = {}

    async def grow(
        self, checked: Checked, arrays: Mapping[str, Array], origin: replies.Known, compute: Compute
    ) -> tuple[pb.GrowClusteringResponse, NDArray[np.int32]]:
        """Take rows into their clustering, as it is when its turn comes: the reply without `labels`, and these.

        Args:
            checked: The request, and the clustering as it was when it was looked at.
            arrays: `source`, and files of the clustering as it was.
            origin: Where the rows came from.
            compute: Gives the result of a call with arrays.

        Raises:
            PreconditionFailed: the clustering was overwritten or deleted meanwhile (CLUSTERING_CHANGED).
            PenultError: as the analysis says. Nothing is changed then.
        """
        asked = checked.asked
        assert asked.stored is not None
        async with self._turn(asked.stored.name):
            try:
                done = await self.answered(asked.stored, asked.request_id)
                if done is not None:
                    return done
                basis = await self._bases.open(asked.stored, asked.call)
            except NotFound:
                raise self._clusterings.changed(asked.stored.name) from None
            try:
                assert checked.basis is not None
                if basis.info.created != checked.basis.info.created:  # another has taken its name
                    raise self._clusterings.changed(asked.stored.name)
                again = self._again(checked, basis)
                rows = {name: array for name, array in arrays.items() if name not in checked.files}
                result = await compute(again, {**rows, **basis.files})
                about = again.about(origin)
                return await self._to_the_end(lambda: self._put_grown(again, basis, result, rows, about))
            finally:
                self._stored.begin(basis.held.close)

    async def answered(
        self, stored: StoredName, request_id: str
    ) -> tuple[pb.GrowClusteringResponse, NDArray[np.int32]] | None:
        """What the same request was answered, when it made the clustering's last batch."""
        if not request_id:
            return None
        found = await self._bases.get(stored)
        facts = found.info.facts
        if facts.get("batch_request_id") != request_id:
            return None
        clusters = cluster_codec.clusters_now(found.info, found.arrays)
        last = cluster_codec.history_of(found.info, clusters.by_label)[-1]
        told = ParseDict(facts["batch_reply"], pb.GrowClusteringResponse(), ignore_unknown_fields=True)
        reply = _grown_reply(last, clusters, found.info, told)
        return reply, found.arrays["labels"][found.info.source.rows - last["rows"] :]

    async def edit(self, edit: Edit, compute: Callable[..., Awaitable[Any]]) -> pb.EditClusteringResponse:
        """Change clusters by hand.

        Raises:
            InvalidInput: a label that no cluster has (UNKNOWN_LABEL), numbers out of range, or a reply larger than the
                caller takes (RESPONSE_TOO_LARGE). Others as of `grow`.
        """
        adjusted: Sequence[Adjustment] = ()
        async with self._turn(edit.stored.name):
            if edit.names:
                before = await self._bases.get(edit.stored)
                check_names(edit.names, before.info, before.arrays)
                made = named(before, edit.names)
                await self._changed(before, made, edit.max_bytes)
            else:
                call = EditClusters(merge=edit.merge, split=edit.split, n_clusters=edit.n_clusters)
                basis = await self._bases.open(edit.stored, call)
                try:
                    before = await self._bases.get(edit.stored)
                    await self._stored.run(self._clusterings.check_same, basis.info)
                    check_labels(call, before.info, before.arrays)
                    result = await compute(basis.call(call), basis.files)
                    adjusted = result.adjustments
                    made = edited(before, result, SPLIT if edit.split is not None else MERGED)
                    await self._changed(before, made, edit.max_bytes)
                finally:
                    self._stored.begin(basis.held.close)
            found = await self._bases.get(edit.stored)
        reply = await asyncio.to_thread(CLUSTERINGS.response, found)
        del reply.adjustments[:]  # those of the clusters as they were made
        reply.adjustments.extend(replies.adjustments(adjusted))
        return pb.EditClusteringResponse(result=reply)

    async def _changed(self, before: StoredResult, made: Next, max_bytes: int) -> None:
        """Store it, unless the reply would be too large."""
        store = self._clusterings
        draft = await asyncio.to_thread(CLUSTERINGS.response, made.draft(before))
        check_storable(draft, 1, max_bytes, _TIME_BYTES)
        await self._to_the_end(
            lambda: store.change(before.info, made.arrays, keep=made.keep, facts=made.facts)
        )

    @property
    def _clusterings(self) -> ResultStore:
        return self._bases.store(CLUSTERINGS.plural)

    def _again(self, checked: Checked, basis: Basis) -> Checked:
        """The same request for the clustering as it is now."""
        call = checked.asked.call
        assert isinstance(call, Grow)
        return self._analyses.check(checked.asked, Resolved(checked.sides, basis))

    def _put_grown(
        self,
        checked: Checked,
        basis: Basis,
        result: GrowResult,
        rows: Mapping[str, Array],
        about: replies.About,
    ) -> tuple[pb.GrowClusteringResponse, NDArray[np.int32]]:
        """On a thread of the storage."""
        store = self._clusterings
        store.check_same(basis.info)
        before = store.get(basis.info.name, without=FOR_NEW_ROWS)
        told = pb.GrowClusteringResponse(
            used=replies.used(result.used),
            adjustments=replies.adjustments(result.adjustments),
            provenance=about.origin,  # type: ignore[arg-type]
            space_check=about.space_check,
        )
        made = grown(before, result, rows["source"], checked.asked.request_id, told)
        labels = result.labels[before.info.source.rows :]
        draft = _grown_reply(made.facts["history"][-1], made.clusters, before.info, told)
        check_storable(draft, len(labels), checked.asked.max_bytes, STORED_BYTES + labels.nbytes)
        info = store.change(basis.info, made.arrays, keep=made.keep, facts=made.facts, source=made.source)
        return _grown_reply(made.facts["history"][-1], made.clusters, info, told), labels

    async def _to_the_end(self, function: Callable[[], T]) -> T:
        """Also when the caller leaves: what is changed then is told, and the next one's turn comes when it is done."""
        storing, cancelled = self._stored.begin(function), False
        while not storing.done():
            try:
                await asyncio.wait([storing])
            except asyncio.CancelledError:
                cancelled = True
        if cancelled and storing.exception() is not None:
            raise asyncio.CancelledError
        return storing.result()

    @asynccontextmanager
    async def _turn(self, name: str) -> AsyncIterator[None]:
        """One at a time for each clustering, in the order of coming."""
        lock = self._locks.setdefault(name, asyncio.Lock())
        self._users[name] = self._users.get(name, 0) + 1
        try:
            async with lock:
                yield
        finally:
            self._users[name] -= 1
            if not self._users[name]:
                del self._users[name], self._locks[name]


def _grown_reply(
    entry: Mapping[str, Any], clusters: Clusters, info: ResultInfo, told: pb.GrowClusteringResponse
) -> pb.GrowClusteringResponse:
    """All but the labels; `told` has what is not stored by itself."""
    reply = pb.GrowClusteringResponse(
        batch=batch(entry), clusters=infos(clusters), clustering=CLUSTERINGS.told(info)
    )
    reply.MergeFrom(told)
    return reply
