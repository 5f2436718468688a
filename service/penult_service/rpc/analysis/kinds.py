"""What is stored by name, maps and clusterings: their names, their messages, and how their replies are made."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from penult.v1 import analysis_service_pb2 as pb

from penult_service.rpc.analysis import bases, cluster_codec, cluster_replies, stored_replies
from penult_service.rpc.analysis.answers import cluster_reply, projection_reply
from penult_service.rpc.analysis.replies import About
from penult_service.rpc.replies import timestamp
from penult_service.storage import ResultInfo, StoredResult

Response = pb.ClusterResponse | pb.ProjectResponse


@dataclass(frozen=True)
class Kind:
    """What can be stored: its names, its messages, and how its replies are made."""

    word: str
    plural: str
    resource: Callable[..., pb.Projection | pb.Clustering]
    reply: Callable[[StoredResult], Response]
    answer: Callable[[Any, About], Response]

    def told(self, info: ResultInfo) -> Any:
        """What is known of a stored result, as a message."""
        source = info.source
        message = self.resource(
            name=f"{self.plural}/{info.name}",
            create_time=timestamp(info.created),
            source=pb.RowsOf(
                rows=source.rows,
                dataset=f"datasets/{source.dataset}" if source.dataset else "",
                generation=source.generation,
                id_digest=source.id_digest,
                embedding_space=source.embedding_space,
            ),
            versions=info.versions,
            size_bytes=info.bytes,
            durable=info.durable,
            problem=info.problem,
        )
        message.parameters.update(info.parameters)
        if isinstance(message, pb.Clustering):
            _tell_clusters(message, info)
        return message

    def response(self, found: StoredResult) -> Any:
        """The reply of the call that made it, as things are now."""
        message = self.reply(found)
        self.told_in(message, found.info)
        return message

    def told_in(self, response: Any, info: ResultInfo) -> None:
        """Say in the reply of the call that made it where it is, and what became of it."""
        response.stored.CopyFrom(self.told(info))
        if isinstance(response, pb.ClusterResponse):
            sizes = {each.label: each.size for each in response.clusters}
            history = cluster_codec.history_of(info, sizes)
            response.history.extend(cluster_replies.batch(each) for each in history)


def _tell_clusters(message: pb.Clustering, info: ResultInfo) -> None:
    facts = info.facts
    if info.updated:
        message.update_time.CopyFrom(timestamp(info.updated))  # type: ignore[arg-type]
    if "cluster_labels" in facts:
        message.cluster_count = len(facts["cluster_labels"])
    for label, name in facts.get("names", {}).items():
        message.cluster_names[int(label)] = name
    message.batch_count = len(facts.get("history", ())) or 1


PROJECTIONS = Kind(
    "projection", bases.PROJECTIONS, pb.Projection, stored_replies.projection, projection_reply
)
CLUSTERINGS = Kind("clustering", bases.CLUSTERINGS, pb.Clustering, stored_replies.clustering, cluster_reply)
