"""Changes of clusters by hand, as they are asked for, and whether the clusters are there."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from numpy.typing import NDArray
from penult.v1 import analysis_service_pb2 as pb

from penult_service.analysis.calls import EditClusters
from penult_service.analysis.checks import check
from penult_service.config import Limits
from penult_service.errors import InvalidInput
from penult_service.rpc.analysis.bases import CLUSTERINGS, StoredName
from penult_service.rpc.analysis.cluster_codec import clusters_now
from penult_service.rpc.limits import response_limit
from penult_service.storage import ResultInfo, check_name

_NAME_BYTES, _ALL_NAMES_BYTES = 256, 1 << 18
_PARTS = 2


@dataclass(frozen=True)
class Edit:
    """What to do with a clustering: `merge` those labels, `split` one into `n_clusters`, or give `names`."""

    stored: StoredName
    max_bytes: int
    merge: tuple[int, ...] = ()
    split: int | None = None
    n_clusters: int = _PARTS
    names: Mapping[int, str] = field(default_factory=dict)


def edit_of(request: pb.EditClusteringRequest, limits: Limits) -> Edit:
    """The change that a request asks for.

    Raises:
        InvalidInput: no change (EMPTY_INPUT), numbers out of range, or a long name (OUT_OF_RANGE), no name of a
            clustering (NAME_INVALID).
    """
    name = check_name(request.clustering.removeprefix(f"{CLUSTERINGS}/"), "clustering")
    stored = StoredName(CLUSTERINGS, name, "clustering")
    limit = response_limit(request.max_response_bytes, limits)
    match request.WhichOneof("edit"):
        case "merge":
            found = Edit(stored, limit, merge=tuple(dict.fromkeys(request.merge.labels)))
            check(EditClusters(merge=found.merge), {})
        case "split":
            parts = request.split.n_clusters or _PARTS
            found = Edit(stored, limit, split=request.split.label, n_clusters=parts)
            check(EditClusters(split=found.split, n_clusters=parts), {})
        case "names" if request.names.names:
            found = Edit(stored, limit, names=dict(request.names.names))
            _check_lengths(found.names)
        case _:
            raise InvalidInput(
                "nothing to change: set merge, split or names", reason="EMPTY_INPUT", field="edit"
            )
    return found


def check_labels(call: EditClusters, info: ResultInfo, arrays: Mapping[str, NDArray[Any]]) -> None:
    """That the clusters are there.

    Raises:
        InvalidInput: one is not (UNKNOWN_LABEL).
    """
    if call.split is not None:
        _check_there([call.split], "split.label", info, arrays)
    else:
        _check_there(call.merge, "merge.labels", info, arrays)


def check_names(names: Mapping[int, str], info: ResultInfo, arrays: Mapping[str, NDArray[Any]]) -> None:
    """The same, of names by label, and that all names of the clustering stay few bytes: replies have them all.

    Raises:
        InvalidInput: UNKNOWN_LABEL, or too many bytes (OUT_OF_RANGE).
    """
    _check_there(names, "names.names", info, arrays)
    everything = {**clusters_now(info, arrays).names, **names}
    size = sum(len(name.encode()) for name in everything.values())
    if size > _ALL_NAMES_BYTES:
        raise InvalidInput(
            f"the names of all clusters of {info.name!r} would have {size} bytes; give shorter ones, at most"
            f" {_ALL_NAMES_BYTES} in all",
            reason="OUT_OF_RANGE",
            field="names.names",
        )


def _check_there(
    labels: Iterable[int], field: str, info: ResultInfo, arrays: Mapping[str, NDArray[Any]]
) -> None:
    there = clusters_now(info, arrays).labels
    known_labels = set(there)
    unknown = next((label for label in labels if label not in known_labels), None)
    if unknown is not None:
        known = ", ".join(map(str, there[:20])) + (" ..." if len(there) > 20 else "")
        raise InvalidInput(
            f"clustering {info.name!r} has no cluster {unknown}; it has {known or 'none'}",
            reason="UNKNOWN_LABEL",
            field=field,
            metadata={"label": str(unknown)},
        )


def _check_lengths(names: Mapping[int, str]) -> None:
    for label, name in names.items():
        if len(name.encode()) > _NAME_BYTES:
            raise InvalidInput(
                f"the name for cluster {label} has {len(name.encode())} bytes; give at most {_NAME_BYTES}",
                reason="OUT_OF_RANGE",
                field="names.names",
            )
