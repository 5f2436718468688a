"""The remote procedures: their paths and messages."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Generic, TypeVar

from google.protobuf.message import Message
from penult.v1 import analysis_service_pb2 as analysis
from penult.v1 import inference_service_pb2 as inference
from penult.v1 import model_service_pb2 as models
from penult.v1 import server_service_pb2 as server

Request = TypeVar("Request", bound=Message)
Reply = TypeVar("Reply", bound=Message)


@dataclass(frozen=True)
class Rpc(Generic[Request, Reply]):
    """A unary procedure. All of them are pure, so any may be sent again."""

    service: str
    method: str
    request: type[Request]
    reply: type[Reply]

    @property
    def path(self) -> str:
        """The HTTP/2 path, such as ``/penult.v1.InferenceService/Embed``."""
        return f"/penult.v1.{self.service}/{self.method}"


EMBED = Rpc("InferenceService", "Embed", inference.EmbedRequest, inference.EmbedResponse)
CLASSIFY = Rpc("InferenceService", "Classify", inference.ClassifyRequest, inference.ClassifyResponse)
PREDICT = Rpc("InferenceService", "Predict", inference.PredictRequest, inference.PredictResponse)
TOKENIZE = Rpc("InferenceService", "Tokenize", inference.TokenizeRequest, inference.TokenizeResponse)
SIMILARITY = Rpc(
    "AnalysisService",
    "ComputeSimilarity",
    analysis.ComputeSimilarityRequest,
    analysis.ComputeSimilarityResponse,
)
NEIGHBORS = Rpc(
    "AnalysisService",
    "SearchNeighbors",
    analysis.SearchNeighborsRequest,
    analysis.SearchNeighborsResponse,
)
CLUSTER = Rpc("AnalysisService", "Cluster", analysis.ClusterRequest, analysis.ClusterResponse)
PROJECT = Rpc("AnalysisService", "Project", analysis.ProjectRequest, analysis.ProjectResponse)
LIST_MODELS = Rpc("ModelService", "ListModels", models.ListModelsRequest, models.ListModelsResponse)
GET_MODEL = Rpc("ModelService", "GetModel", models.GetModelRequest, models.GetModelResponse)
INSPECT_DROPOUT = Rpc(
    "ModelService", "InspectDropout", models.InspectDropoutRequest, models.InspectDropoutResponse
)
SERVER_INFO = Rpc("ServerService", "GetServerInfo", server.GetServerInfoRequest, server.GetServerInfoResponse)
