"""What the server is and what it takes."""

from __future__ import annotations

from penult.v1 import server_service_pb2 as pb

from penult_service import __version__
from penult_service.config import Limits
from penult_service.embedder import LoadedModel
from penult_service.repository.repository import Repository
from penult_service.rpc.handlers import Call

FEATURES = (
    "embed.probabilities",
    "embed.row_errors",
    "embed.tokens",
    "records",
    "tensors",
    "similarity",
    "similarity.pairs",
    "neighbors",
    "cluster",
    "project",
    "duplicates",
    "outliers",
    "transform",
    "assign",
    "grow",
    "estimate",
    "datasets",
    "operations",
)


class ServerService:
    """`penult.v1.ServerService`. Answers from the first second."""

    def __init__(self, limits: Limits, repository: Repository[LoadedModel]) -> None:
        self._limits = pb.Limits(**limits.model_dump())
        self._repository = repository

    async def get_server_info(self, _: pb.GetServerInfoRequest, call: Call) -> pb.GetServerInfoResponse:  # noqa: ARG002
        """The server's version, limits and features."""
        name = self._repository.default_name()
        return pb.GetServerInfoResponse(
            version=__version__,
            limits=self._limits,
            default_model=f"models/{name}" if name else "",
            features=FEATURES,
        )
