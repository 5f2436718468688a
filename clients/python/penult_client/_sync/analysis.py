# Made from ../_async/analysis.py by scripts/unasync.py; change that one.
"""Asks for analyses: at once, or as operations."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from penult.v1 import common_pb2 as common

from penult_client._about import Limits
from penult_client._sync.calls import Caller
from penult_client._sync.operations import Operation
from penult_client._sync.reading import read_result
from penult_client._sync.waiting import Ongoing
from penult_client._core import operations, requests, results, rpcs, screening_results
from penult_client._core.analysis_results import Origin
from penult_client._core.embedded import of_message
from penult_client._core.kinds import Asked, Kind, Record, estimate_request
from penult_client._core.progress import Progress, reporter
from penult_client._core.rows import Rows
from penult_client._core.splitting import split_rows
from penult_client._core.tensors import Tensors
from penult_client._core.timing import Deadline
from penult_client._estimate import Estimate
from penult_client._exceptions import PenultError

Sides = Mapping[str, Rows | common.Source]


class Analysis:
    """What the methods of the client that analyse have in common.

    A side (`a`, `b`, `queries`, `corpus`, `source`) is a list of texts (or of dicts or tuples, or a dict of arrays, as
    of `AsyncClient.embed`), `Embeddings`, an array [n, d], or a `Dataset` that the server keeps; an array says nothing
    about its space. More texts than one request should hold are embedded first, and so are dicts of arrays.

    What the server does not answer at once, because it takes too long or its answer is too large, is started as an
    operation and waited for: without `deadline` as long as it takes. What is answered at once takes at most what
    the server lets it (`Limits.max_analysis_seconds`) and 30 seconds, at least the client's `timeout`; what the server
    cannot take yet is sent again within it.

    With `dry_run` nothing is computed or embedded: the answer is what the analysis would take (`Estimate`). Where more
    texts are meant than one request holds, the first of them is embedded, to know how long a vector is.
    """

    _caller: Caller

    def _analyse(
        self,
        kind: Kind[Record],
        request: Any,
        sides: Sides,
        options: common.EmbedOptions,
        how: Asked,
        *,
        like: str = "",
    ) -> Record | Operation[Record] | Estimate:
        """The record of the analysis of these sides; the operation, when it is not to be waited for.

        `like` names something stored, whose rows say what the options leave out.
        """
        ends = Deadline.begin(how.deadline)
        limits = self._caller.limits(ends)
        many = [name for name, side in sides.items() if _too_many(side, limits, options)]
        if many and like:
            options = self._options_like(like, options, ends)
        if how.dry_run:
            shown, unseen = self._shown(sides, many, options, ends)
            self._add_sides(request, shown, options, (), None, ends)
            return self._estimate(kind, request, ends, unseen)
        origin = self._add_sides(request, sides, options, many, how.progress, ends)
        return self._ask(kind, request, origin, ends, how)

    def _estimate(self, kind: Kind[Any], request: Any, ends: Deadline, unseen: int = 0) -> Estimate:
        """What it would take; `unseen` are texts that the request has none of."""
        told = self._caller.send(rpcs.ESTIMATE_ANALYSIS, estimate_request(kind, request), ends)
        return screening_results.estimate(told, unseen)

    def _shown(
        self, sides: Sides, many: Sequence[str], options: common.EmbedOptions, ends: Deadline
    ) -> tuple[Sides, int]:
        """The sides, with as many numbers as they would become in the place of `many` texts; how many these are."""
        shown, unseen = dict(sides), 0
        for name in many:
            rows = sides[name]
            assert not isinstance(rows, common.Source)
            first = rpcs.EMBED.request(options=options)
            rows.put(first, 0, 1)
            reply = of_message(self._caller.send(rpcs.EMBED, first, ends))
            shown[name] = requests.blank_source(len(rows), reply.message.embeddings.columns)
            unseen += len(rows)
        return shown, unseen

    def _options_like(
        self, resource: str, options: common.EmbedOptions, ends: Deadline
    ) -> common.EmbedOptions:
        """How the rows of something stored were embedded, by the model that `options` name, if they name one."""
        head = (read_result(self._caller, resource, ends, whole=False)).head
        made = head.provenance
        return common.EmbedOptions(
            model=options.model or made.model,
            layer=made.layer,
            pooling=made.pooling,
            normalize=made.normalized,
            truncate=options.truncate,
        )

    def _ask(
        self,
        kind: Kind[Record],
        request: Any,
        origin: Origin | None,
        ends: Deadline,
        how: Asked,
    ) -> Record | Operation[Record]:
        """The same of a request that has all its rows."""
        if not how.wait:
            return Operation(
                self._caller, Ongoing.start(self._caller, kind, request, origin, ends)
            )
        try:
            return kind.record(self._caller.send_analysis(kind.rpc, request, ends), origin)
        except PenultError as error:
            if error.reason not in operations.TOO_LARGE_AT_ONCE:
                raise
            refused = error
        try:
            ongoing = Ongoing.start(self._caller, kind, request, origin, ends)
        except PenultError as error:
            raise (refused if operations.has_none(error) else error) from None
        record: Record = ongoing.finish(how.progress, ends)
        return record

    def _add_sides(
        self,
        request: Any,
        sides: Sides,
        options: common.EmbedOptions,
        many: Sequence[str],
        progress: Progress,
        ends: Deadline,
    ) -> Origin | None:
        """Completes the request; what embedded a side before, one of `many` texts, if anything did."""
        limits = self._caller.limits(ends)
        sources: dict[str, common.Source] = {}
        origin: Origin | None = None
        for name, side in sides.items():
            if isinstance(side, common.Source):
                sources[name] = side
            elif name not in many and not isinstance(side, Tensors):  # which are many always
                sources[name] = requests.row_source(side, options)
            else:
                template = rpcs.EMBED.request(options=options)
                report = reporter(progress, "embedding")
                parts = self._caller.send_input(rpcs.EMBED, template, side, ends, report)
                embedded = results.embeddings(parts)
                origin = Origin(embedded.model, embedded.version, embedded.digest, embedded.space)
                sources[name] = requests.vector_source(embedded, name)
        requests.check_room(request, sources, limits)
        for name, source in sources.items():
            getattr(request, name).CopyFrom(source)
        request.max_response_bytes = limits.max_response_bytes
        return origin


def _too_many(side: Rows | common.Source, limits: Limits, options: common.EmbedOptions) -> bool:
    """Whether a side is of more texts than one request should hold, or of arrays, which have to be embedded first."""
    if isinstance(side, common.Source):
        return False
    return isinstance(side, Tensors) or len(split_rows(side, limits, options.ByteSize())) > 1
