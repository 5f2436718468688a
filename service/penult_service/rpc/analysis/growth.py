"""Clusterings that live on: rows are taken in, and clusters changed by hand, one after the other for each of them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import Any, TypeVar

import numpy as np
from google.protobuf.json_format import MessageToDict, ParseDict
from numpy.typing import NDArray
from penult.v1 import analysis_service_pb2 as pb

from penult_service.analysis.calls import Array, ArrayFile, EditClusters, Grow
from penult_service.analysis.results import GrowResult
from penult_service.rpc.analysis import cluster_codec, replies
from penult_service.rpc.analysis.analyses import Analyses, Checked
from penult_service.rpc.analysis.bases import FITTED, FOR_NEW_ROWS, Bases, Basis, StoredName, next_label
from penult_service.rpc.analysis.cluster_edits import Edit, check_labels, check_names
from penult_service.rpc.analysis.cluster_replies import Clusters, batch, infos
from penult_service.rpc.analysis.keeping import STORED_BYTES
from penult_service.rpc.analysis.result_codec import CLUSTERINGS
from penult_service.rpc.analysis.sources import Resolved
from penult_service.rpc.limits import check_fits
from penult_service.rpc.stored import Stored
from penult_service.storage import ResultInfo, RowsOf, StoredResult
from penult_service.storage.manifests import now as time_now

GROWN, MERGED, SPLIT, NAMED = "grown", "merged", "split", "named"
# What stays as it is when clusters are changed by hand: the rows are the same.
_OF_ROWS = (*FITTED, "reduced", "zero_rows", "moved")

Compute = Callable[[Checked, Mapping[str, Array]], Awaitable[Any]]
T = TypeVar("T")


@dataclass(frozen=True, eq=False)
class _Next:
    """What is stored in the place of a clustering: `clusters` are those that it has then, `keep` arrays that stay."""

    arrays: Mapping[str, NDArray[Any]]
    keep: tuple[str, ...]
    facts: Mapping[str, Any]
    source: RowsOf
    clusters: Clusters

    def draft(self, before: StoredResult) -> StoredResult:
        """As it will be read."""
        kept = {name: before.arrays[name] for name in self.keep if name in before.arrays}
        info = replace(before.info, facts=self.facts, source=self.source)
        return StoredResult(info, {**kept, **self.arrays})


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
            done = await self.answered(asked.stored, asked.request_id)
            if done is not None:
                return done
            basis = await self._bases.open(asked.stored, asked.call)
            try:
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
        store = self._bases.store(CLUSTERINGS.plural)
        found = await self._stored.run(store.get, stored.name, without=FOR_NEW_ROWS)
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
        async with self._turn(edit.stored.name):
            store = self._bases.store(CLUSTERINGS.plural)
            if edit.names:
                before = await self._get(edit.stored)
                check_names(edit.names, before.info, before.arrays)
                made = _named(before, edit.names)
                await self._changed(before, made, edit.max_bytes)
            else:
                call = EditClusters(merge=edit.merge, split=edit.split, n_clusters=edit.n_clusters)
                basis = await self._bases.open(edit.stored, call)
                try:
                    before = await self._get(edit.stored)
                    store.check_same(basis.info)
                    check_labels(call, before.info, before.arrays)
                    result = await compute(basis.call(call), basis.files)
                    made = _edited(before, result, SPLIT if edit.split is not None else MERGED)
                    await self._changed(before, made, edit.max_bytes)
                finally:
                    self._stored.begin(basis.held.close)
            found = await self._stored.run(store.get, edit.stored.name, without=FOR_NEW_ROWS)
        return pb.EditClusteringResponse(result=await asyncio.to_thread(CLUSTERINGS.response, found))

    async def _changed(self, before: StoredResult, made: _Next, max_bytes: int) -> None:
        """Store it, unless the reply would be too large."""
        draft = await asyncio.to_thread(CLUSTERINGS.reply, made.draft(before))
        check_fits(draft, before.info.source.rows, max_bytes - STORED_BYTES)
        store = self._bases.store(CLUSTERINGS.plural)
        await self._to_the_end(
            lambda: store.change(before.info, made.arrays, keep=made.keep, facts=made.facts)
        )

    async def _get(self, stored: StoredName) -> StoredResult:
        store = self._bases.store(CLUSTERINGS.plural)
        return await self._stored.run(store.get, stored.name, without=FOR_NEW_ROWS)

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
        store = self._bases.store(CLUSTERINGS.plural)
        store.check_same(basis.info)
        before = store.get(basis.info.name, without=FOR_NEW_ROWS)
        told = pb.GrowClusteringResponse(
            used=replies.used(result.used),
            adjustments=replies.adjustments(result.adjustments),
            provenance=about.origin,  # type: ignore[arg-type]
            space_check=about.space_check,
        )
        made = _grown(before, result, rows["source"], checked.asked.request_id, told)
        labels = result.labels[before.info.source.rows :]
        draft = _grown_reply(made.facts["history"][-1], made.clusters, before.info, told)
        check_fits(draft, len(labels), checked.asked.max_bytes - STORED_BYTES - labels.nbytes)
        info = store.change(basis.info, made.arrays, keep=made.keep, facts=made.facts, source=made.source)
        return _grown_reply(made.facts["history"][-1], made.clusters, info, told), labels

    async def _to_the_end(self, function: Callable[[], T]) -> T:
        """Also when the caller has left: the next one's turn comes when it is done."""
        storing = self._stored.begin(function)
        try:
            return await asyncio.shield(storing)
        except asyncio.CancelledError:
            await asyncio.wait([storing])
            raise

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


def _grown(
    before: StoredResult,
    result: GrowResult,
    source: Array,
    request_id: str,
    told: pb.GrowClusteringResponse,
) -> _Next:
    info, count = before.info, before.info.source.rows
    added = len(result.labels) - count
    clusters, facts = _after(
        before, result, GROWN, rows=added, unassigned=result.unassigned, more=result.far_distance
    )
    if request_id:
        facts |= {"batch_request_id": request_id, "batch_reply": MessageToDict(told)}
    old = before.arrays.get("zero_rows", np.zeros(0, np.int32))
    zero = np.concatenate(
        [old, _zero_rows(source, info.parameters.get("metric", "cosine")) + np.int32(count)]
    )
    arrays = {
        **_arrays(clusters, result),
        "zero_rows": zero.astype(np.int32),
        "fitted_rows": result.fitted_rows,
        "fitted_first": result.fitted_first,
    }
    return _Next(arrays, ("moved",), facts, replace(info.source, rows=count + added), clusters)


def _edited(before: StoredResult, result: GrowResult, event: str) -> _Next:
    clusters, facts = _after(before, result, event, more=before.info.facts.get("far_distance"))
    return _Next(_arrays(clusters, result), _OF_ROWS, facts, before.info.source, clusters)


def _named(before: StoredResult, names: Mapping[int, str]) -> _Next:
    now = cluster_codec.clusters_now(before.info, before.arrays)
    all_names = {label: name for label, name in {**now.names, **names}.items() if name}
    clusters = replace(now, names=all_names)
    history = cluster_codec.history_of(before.info, now.by_label)
    entry = cluster_codec.entry_of(NAMED, time_now(), clusters.by_label)
    facts = {
        **_without_batch(before.info.facts),
        **cluster_codec.facts_of(clusters),
        "next_label": next_label(before.info),
        "history": cluster_codec.with_entry(history, entry),
    }
    return _Next({}, tuple(before.info.array_bytes), facts, before.info.source, clusters)


def _after(
    before: StoredResult, result: GrowResult, event: str, more: float | None, **batch_facts: int
) -> tuple[Clusters, dict[str, Any]]:
    """The clusters, and what is said of them. The description of those that have other rows now is gone."""
    old = cluster_codec.clusters_now(before.info, before.arrays)
    clusters = _described(old, result)
    labels = set(old.labels)
    entry = cluster_codec.entry_of(
        event,
        time_now(),
        clusters.by_label,
        new_labels=result.new_labels.tolist(),
        gone_labels=sorted(labels - set(clusters.labels)),
        drift=[float(each) for each in result.drift],
        **batch_facts,
    )
    facts = {
        name: value
        for name, value in _without_batch(before.info.facts).items()
        if name not in (*cluster_codec.OF_ALL_ROWS, "agreement", "advice")
    }
    rows = len(result.labels)
    facts |= {
        **cluster_codec.facts_of(clusters),
        "noise_share": float((result.labels < 0).sum() / max(rows, 1)),
        "far_distance": more,
        "next_label": max([next_label(before.info), *(label + 1 for label in clusters.labels)]),
        "history": cluster_codec.with_entry(cluster_codec.history_of(before.info, old.by_label), entry),
    }
    return clusters, facts


def _described(old: Clusters, result: GrowResult) -> Clusters:
    labels, sizes = result.cluster_labels.tolist(), result.sizes.tolist()
    before = old.by_label
    # None ever loses a row to another unless it is split, nor gets one without growing.
    same = {label for label, size in zip(labels, sizes, strict=True) if before.get(label) == size}

    def of(told: Mapping[int, T], those: set[int]) -> dict[int, T]:
        return {label: value for label, value in told.items() if label in those}

    return Clusters(
        labels=labels,
        sizes=sizes,
        nearest=result.nearest,
        border=result.border,
        odd=result.odd,
        silhouettes=of(old.silhouettes, same),
        keywords=of(old.keywords, same),
        shares=of(old.shares, same),
        names=of(old.names, set(labels)),
    )


def _arrays(clusters: Clusters, result: GrowResult) -> dict[str, NDArray[Any]]:
    arrays = {"labels": result.labels, **cluster_codec.arrays_of(clusters), "merges": result.merges}
    if result.centres.size:
        arrays |= {"centres": result.centres, "centre_labels": result.cluster_labels}
    return arrays


def _without_batch(facts: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in facts.items() if name not in ("batch_request_id", "batch_reply")}


def _zero_rows(source: Array, metric: str) -> NDArray[np.int32]:
    """All-zero rows, which have no direction."""
    if metric != "cosine":
        return np.zeros(0, np.int32)
    rows = source.open() if isinstance(source, ArrayFile) else source
    return np.flatnonzero(~rows.any(axis=1)).astype(np.int32)
