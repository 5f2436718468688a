# Made from ../_async/growing.py by scripts/unasync.py; change that one.
"""Stored clusters: which of them new rows belong to, how they grow, and what a person changes."""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from typing import Any, Literal, Unpack, overload

from penult.v1 import analysis_service_pb2 as analysis

from penult_client._sync.analysis import Analysis
from penult_client._sync.operations import Operation
from penult_client._clusters import Clusters
from penult_client._core import cluster_results, edits, kinds, parameters, requests, rpcs
from penult_client._core.progress import Progress
from penult_client._core.timing import Deadline
from penult_client._estimate import Estimate
from penult_client._exceptions import PenultError
from penult_client._options import GrowOptions, NewRowsOptions
from penult_client._placing import Assigned, Grown


class Growing(Analysis):
    """The methods of the client that work with clusters which the server keeps."""

    @overload
    def assign(
        self, source: Any, clustering: str, *, wait: Literal[True] = True, **options: Unpack[NewRowsOptions]
    ) -> Assigned: ...

    @overload
    def assign(
        self, source: Any, clustering: str, *, wait: Literal[False], **options: Unpack[NewRowsOptions]
    ) -> Operation[Assigned]: ...

    @overload
    def assign(
        self, source: Any, clustering: str, *, wait: bool, **options: Unpack[NewRowsOptions]
    ) -> Assigned | Operation[Assigned]: ...

    @overload
    def assign(
        self, source: Any, clustering: str, *, dry_run: Literal[True], **options: Unpack[NewRowsOptions]
    ) -> Estimate: ...

    def assign(
        self,
        source: Any,
        clustering: str,
        *,
        model: str | None = None,
        wait: bool = True,
        progress: Progress = None,
        deadline: float | None = None,
        dry_run: bool = False,
    ) -> Assigned | Operation[Assigned] | Estimate:
        """Which of the stored clusters new rows belong to: int32 [n] labels, -1 for none.

        The label of a row depends on the clusters and the row alone. A row that they were made of has its own label.

            client.cluster(texts, name="topics")
            made = client.assign(["where is my card"], clustering="topics")
            made.labels     # int32 [1]
            made.distances  # float32 [1], to the nearest row of the clustering

        Args:
            source: Texts, `Embeddings`, an array [n, d], or a `Dataset`, in the space of the clusters' rows.
            clustering: The name of the clustering.
            model: What embeds texts; None: the model version that made the clusters. How they are read (layer, pooling
                ...) is as the clusters' own rows were; of clusters of vectors that is not known, so embed texts first
                as those were.
            wait, progress, deadline, dry_run: As of `similarity`.

        Raises:
            NotFoundError: there is no such clustering.
            PreconditionError: it was stored without what that takes (CANNOT_ASSIGN), the rows stand in another space
                (SPACE_MISMATCH), or the model that made it is not there (MODEL_GONE).
            PenultError: see `penult_client.PenultError`.
        """
        request = rpcs.ASSIGN.request(clustering=parameters.stored_name(clustering, "clustering"))
        return self._analyse(
            kinds.ASSIGN,
            request,
            requests.check_sides(source=source),
            requests.model_options(model),
            kinds.Asked(wait, progress, deadline, dry_run),
            like=parameters.resource_name("clusterings", clustering),
        )

    @overload
    def grow(
        self, source: Any, clustering: str, *, wait: Literal[True] = True, **options: Unpack[GrowOptions]
    ) -> Grown: ...

    @overload
    def grow(
        self, source: Any, clustering: str, *, wait: Literal[False], **options: Unpack[GrowOptions]
    ) -> Operation[Grown]: ...

    @overload
    def grow(
        self, source: Any, clustering: str, *, wait: bool, **options: Unpack[GrowOptions]
    ) -> Grown | Operation[Grown]: ...

    @overload
    def grow(
        self, source: Any, clustering: str, *, dry_run: Literal[True], **options: Unpack[GrowOptions]
    ) -> Estimate: ...

    def grow(
        self,
        source: Any,
        clustering: str,
        min_cluster_size: int | None = None,
        *,
        model: str | None = None,
        wait: bool = True,
        progress: Progress = None,
        deadline: float | None = None,
        dry_run: bool = False,
    ) -> Grown | Operation[Grown] | Estimate:
        """Takes rows into stored clusters: int32 [n] labels.

        Those that belong to a cluster get its label; dense groups of new rows among which hardly any old ones lie are
        new clusters. Old clusters keep their labels. What a break makes this call send again takes the rows in once; a
        second call takes them in twice.

        Args:
            source: As of `assign`.
            clustering: The name of the clustering.
            min_cluster_size: The fewest rows of a new cluster, at least 2; None: that of the clustering, or 5.
            model: As of `assign`.
            wait, progress, deadline, dry_run: As of `similarity`.

        Raises:
            PreconditionError: as `assign`; or the clustering was overwritten or deleted meanwhile (CLUSTERING_CHANGED),
                then nothing was changed.
            PenultError: see `penult_client.PenultError`.
        """
        request = rpcs.GROW.request(
            clustering=parameters.stored_name(clustering, "clustering"),
            min_cluster_size=parameters.whole(min_cluster_size, "min_cluster_size"),
            request_id=secrets.token_hex(16),
        )
        try:
            return self._analyse(
                kinds.GROW,
                request,
                requests.check_sides(source=source),
                requests.model_options(model),
                kinds.Asked(wait, progress, deadline, dry_run),
                like=parameters.resource_name("clusterings", clustering),
            )
        except PenultError as error:
            raise edits.perhaps_done(error, clustering) from None

    def merge_clusters(
        self, clustering: str, labels: Sequence[int], *, deadline: float | None = None
    ) -> Clusters:
        """Makes one cluster of some; it has the label of the largest.

        After a break it is not sent again: `Clusters.history` tells whether it was done.

        Args:
            clustering: The name of the clustering.
            labels: Two or more.
            deadline: The longest wait, in seconds.

        Raises:
            InvalidInputError: there is no such label (UNKNOWN_LABEL), or only one.
            PenultError: see `penult_client.PenultError`.
        """
        request = rpcs.EDIT_CLUSTERING.request(merge=edits.merge(labels))
        return self._edit(clustering, request, deadline, again=False)

    def split_cluster(
        self, clustering: str, label: int, n_clusters: int = 2, *, deadline: float | None = None
    ) -> Clusters:
        """Makes several clusters of one; the largest part keeps its label.

        After a break it is not sent again: `Clusters.history` tells whether it was done.

        Args:
            clustering: The name of the clustering.
            label: The cluster.
            n_clusters: Into how many, at least 2.
            deadline: The longest wait, in seconds.

        Raises:
            InvalidInputError: there is no such label (UNKNOWN_LABEL).
            PenultError: see `penult_client.PenultError`.
        """
        request = rpcs.EDIT_CLUSTERING.request(split=edits.split(label, n_clusters))
        return self._edit(clustering, request, deadline, again=False)

    def name_clusters(
        self, clustering: str, names: Mapping[int, str], *, deadline: float | None = None
    ) -> Clusters:
        """Names clusters: ``client.name_clusters("topics", {0: "refunds", 3: "lost cards"})``.

        Args:
            clustering: The name of the clustering.
            names: By label, at most 256 bytes each; an empty one takes the name away.
            deadline: The longest wait, in seconds.

        Raises:
            InvalidInputError: there is no such label (UNKNOWN_LABEL).
            PenultError: see `penult_client.PenultError`.
        """
        request = rpcs.EDIT_CLUSTERING.request(names=edits.names(names))
        return self._edit(clustering, request, deadline, again=True)

    def _edit(
        self, clustering: str, request: analysis.EditClusteringRequest, deadline: float | None, *, again: bool
    ) -> Clusters:
        """The clusters afterwards. What may be done twice is sent `again` after a break."""
        request.clustering = parameters.stored_name(clustering, "clustering")
        ends = Deadline.begin(deadline)
        request.max_response_bytes = (self._caller.limits(ends)).max_response_bytes
        try:
            reply = self._caller.send_analysis(rpcs.EDIT_CLUSTERING, request, ends, again=again)
        except PenultError as error:
            raise (error if again else edits.perhaps_done(error, clustering)) from None
        return cluster_results.clusters(reply.result)
