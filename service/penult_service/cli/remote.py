"""Analyses that a server computes, as the results that the same analyses have in this process.

What the server does not answer at once it does as an operation: how that gets on is shown, and Ctrl-C ends it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from penult_service.analysis import results
from penult_service.analysis.calls import Call, Cluster, Duplicates, Neighbors, Outliers, Project
from penult_service.cli.clusters import remote_clusters
from penult_service.cli.operation_progress import shown

if TYPE_CHECKING:
    from penult_client import Client


_NUMBER = re.compile(r"-?\d+(\.\d+)?(e[+-]?\d+)?", re.ASCII)
_OUTLIERS = ("scores", "occurrences", "order", "hubness", "antihubs", "k", "zero_rows")
_DUPLICATES = ("pairs", "scores", "groups", "keepers", "total_pairs", "equal_pairs", "threshold", "zero_rows")


def ask(
    client: Client, call: Call, arrays: Mapping[str, Any], labels: Sequence[str] | None, **more: Any
) -> Any:
    """What the client answers to a call: its own record, or with `dry_run` an `Estimate`.

    Args:
        client: Of the server.
        call: Neighbours, clusters, a map, duplicates or outliers.
        arrays: As `analysis.run` names them; anything that a client takes, such as texts.
        labels: One a row of `source`, None without.
        more: Of the client's method, such as `name`.
    """
    with shown("waiting for the server's analysis", "was told to end") as report:
        return _METHODS[type(call)](client, call, arrays, labels, {"progress": report, **more})


def result_of(reply: Any, labels: Sequence[str] | None = None) -> Any:
    """The client's record as `analysis.results` has it. `labels` are those that it was given."""
    from penult_client import Clusters, Neighbors, Outliers, Projection

    if isinstance(reply, Clusters):
        return remote_clusters.result(reply, labels, used(reply.used))
    if isinstance(reply, Projection):
        return _projection(reply)
    if isinstance(reply, Neighbors):
        return results.NeighborsResult(
            reply.indices,
            reply.scores,
            reply.zero_queries,
            reply.zero_corpus,
            adjustments(reply.adjustments),
            background(reply.background),
            reply.recall,
        )
    if isinstance(reply, Outliers):
        told = {name: getattr(reply, name) for name in _OUTLIERS}
        return results.OutliersResult(**told, adjustments=adjustments(reply.adjustments))
    return results.DuplicatesResult(
        **{name: getattr(reply, name) for name in _DUPLICATES},
        background=background(reply.background),
        adjustments=adjustments(reply.adjustments),
    )


def analyse(
    client: Client, call: Call, arrays: Mapping[str, Any], labels: Sequence[str] | None, **more: Any
) -> Any:
    """The server's answer to a call, as `analysis.results` has it; arguments as of `ask`."""
    return result_of(ask(client, call, arrays, labels, **more), labels)


def adjustments(told: Sequence[Any]) -> tuple[results.Adjustment, ...]:
    """What was not used as asked."""
    return tuple(results.Adjustment(a.parameter, a.asked, a.used, a.why) for a in told)


def used(told: Mapping[str, str]) -> dict[str, Any]:
    """Parameters as this process has them: a server tells numbers and truths in words."""
    return {name: _plain(value) for name, value in told.items()}


def _plain(value: str) -> Any:
    if value in ("True", "False"):
        return value == "True"
    if not _NUMBER.fullmatch(value):
        return value
    return int(value) if value.lstrip("-").isdecimal() else float(value)


def background(told: Any) -> results.Background | None:
    """What scores are usual."""
    if told is None:
        return None
    return results.Background(tuple(told.quantiles.tolist()), told.pairs, told.mean, told.std, told.rows)


def _neighbors(
    client: Client, call: Neighbors, arrays: Mapping[str, Any], _: Sequence[str] | None, more: dict[str, Any]
) -> Any:
    return client.neighbors(
        arrays["queries"],
        arrays.get("corpus"),
        call.k,
        call.metric,
        exclude_self=call.exclude_self,
        radius=call.radius,
        center=call.center,
        approximate=call.approximate,
        **more,
    )


def _cluster(
    client: Client,
    call: Cluster,
    arrays: Mapping[str, Any],
    labels: Sequence[str] | None,
    more: dict[str, Any],
) -> Any:
    return client.cluster(
        arrays["source"],
        None if call.method == "auto" else call.method,
        "auto" if call.auto else call.n_clusters,
        call.metric,
        call.noise,
        reduction=call.reduction,
        reduced_dimensions=call.reduced_dimensions,
        linkage=call.linkage,
        min_cluster_size=call.min_cluster_size,
        min_samples=call.min_samples,
        seed=call.seed,
        bootstraps=call.bootstraps,
        keywords=call.keywords,
        labels=labels,
        **more,
    )


def _project(
    client: Client,
    call: Project,
    arrays: Mapping[str, Any],
    labels: Sequence[str] | None,
    more: dict[str, Any],
) -> Any:
    return client.project(
        arrays["source"],
        call.method,
        call.n_components,
        call.metric,
        call.seed,
        n_neighbors=call.n_neighbors,
        min_dist=call.min_dist,
        perplexity=call.perplexity,
        supervised=call.supervised,
        target_weight=call.target_weight,
        density=call.density,
        labels=labels,
        **more,
    )


def _duplicates(
    client: Client, call: Duplicates, arrays: Mapping[str, Any], _: Sequence[str] | None, more: dict[str, Any]
) -> Any:
    return client.duplicates(arrays["source"], call.threshold, call.metric, max_pairs=call.max_pairs, **more)


def _outliers(
    client: Client, call: Outliers, arrays: Mapping[str, Any], _: Sequence[str] | None, more: dict[str, Any]
) -> Any:
    return client.outliers(arrays["source"], call.k, call.metric, **more)


_METHODS: dict[type[Any], Any] = {
    Neighbors: _neighbors,
    Cluster: _cluster,
    Project: _project,
    Duplicates: _duplicates,
    Outliers: _outliers,
}


def _projection(reply: Any) -> results.ProjectResult:
    quality = reply.quality
    return results.ProjectResult(
        coordinates=reply.coordinates,
        explained_variance=reply.explained_variance,
        zero_rows=reply.zero_rows,
        trustworthiness=quality.trustworthiness,
        quality_rows=quality.rows,
        quality_neighbors=quality.neighbors,
        label_purity=quality.label_purity,
        label_purity_source=quality.label_purity_source,
        used=used(reply.used),
        adjustments=adjustments(reply.adjustments),
        continuity=quality.continuity,
        neighbors_kept=quality.neighbors_kept,
        row_neighbors_kept=reply.row_neighbors_kept,
        distance_correlation=quality.distance_correlation,
        alignment_disparity=quality.alignment_disparity,
    )
