"""The remote procedures: their paths and messages."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Generic, Literal, TypeVar

from google.longrunning import operations_pb2 as operations
from google.protobuf.empty_pb2 import Empty
from google.protobuf.message import Message
from penult.v1 import analysis_service_pb2 as analysis
from penult.v1 import dataset_service_pb2 as datasets
from penult.v1 import inference_service_pb2 as inference
from penult.v1 import model_service_pb2 as models
from penult.v1 import server_service_pb2 as server

from penult_client._core import embedded

Request = TypeVar("Request", bound=Message)
Reply = TypeVar("Reply", bound=Message)


@dataclass(frozen=True)
class Rpc(Generic[Request, Reply]):
    """A procedure. All but EDIT_CLUSTERING may be sent again: what reads changes nothing, what writes does it once.

    `sends` and `receives` say how many messages go and come: one, or a stream. `package` is that of the
    service. `parse` makes of a reply's bytes what is handed on in its place; None: the message.
    """

    service: str
    method: str
    request: type[Request]
    reply: type[Reply]
    sends: Literal["one", "stream"] = "one"
    receives: Literal["one", "stream"] = "one"
    package: str = "penult.v1"
    parse: Callable[[bytes], Any] | None = None

    @property
    def path(self) -> str:
        """The HTTP/2 path, such as ``/penult.v1.InferenceService/Embed``."""
        return f"/{self.package}.{self.service}/{self.method}"


def _standard(method: str, request: type[Request], reply: type[Reply]) -> Rpc[Request, Reply]:
    return Rpc("Operations", method, request, reply, package="google.longrunning")


EMBED = Rpc(
    "InferenceService", "Embed", inference.EmbedRequest, inference.EmbedResponse, parse=embedded.parse
)
CLASSIFY = Rpc("InferenceService", "Classify", inference.ClassifyRequest, inference.ClassifyResponse)
PREDICT = Rpc("InferenceService", "Predict", inference.PredictRequest, inference.PredictResponse)
TOKENIZE = Rpc("InferenceService", "Tokenize", inference.TokenizeRequest, inference.TokenizeResponse)
SAMPLE_DROPOUT = Rpc(
    "InferenceService", "SampleDropout", inference.SampleDropoutRequest, inference.SampleDropoutResponse
)
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
COMPARE_DROPOUT = Rpc(
    "AnalysisService", "CompareDropout", analysis.CompareDropoutRequest, analysis.CompareDropoutResponse
)
DUPLICATES = Rpc(
    "AnalysisService", "FindDuplicates", analysis.FindDuplicatesRequest, analysis.FindDuplicatesResponse
)
OUTLIERS = Rpc("AnalysisService", "FindOutliers", analysis.FindOutliersRequest, analysis.FindOutliersResponse)
TRANSFORM = Rpc("AnalysisService", "Transform", analysis.TransformRequest, analysis.TransformResponse)
ASSIGN = Rpc(
    "AnalysisService", "AssignClusters", analysis.AssignClustersRequest, analysis.AssignClustersResponse
)
GROW = Rpc(
    "AnalysisService", "GrowClustering", analysis.GrowClusteringRequest, analysis.GrowClusteringResponse
)
EDIT_CLUSTERING = Rpc(
    "AnalysisService", "EditClustering", analysis.EditClusteringRequest, analysis.EditClusteringResponse
)
ESTIMATE_ANALYSIS = Rpc(
    "AnalysisService",
    "EstimateAnalysis",
    analysis.EstimateAnalysisRequest,
    analysis.EstimateAnalysisResponse,
)
LIST_PROJECTIONS = Rpc(
    "AnalysisService", "ListProjections", analysis.ListProjectionsRequest, analysis.ListProjectionsResponse
)
DELETE_PROJECTION = Rpc(
    "AnalysisService", "DeleteProjection", analysis.DeleteProjectionRequest, analysis.DeleteProjectionResponse
)
LIST_CLUSTERINGS = Rpc(
    "AnalysisService", "ListClusterings", analysis.ListClusteringsRequest, analysis.ListClusteringsResponse
)
DELETE_CLUSTERING = Rpc(
    "AnalysisService", "DeleteClustering", analysis.DeleteClusteringRequest, analysis.DeleteClusteringResponse
)
START_ANALYSIS = Rpc("AnalysisService", "StartAnalysis", analysis.StartAnalysisRequest, operations.Operation)
READ_RESULT = Rpc(
    "AnalysisService",
    "ReadResult",
    analysis.ReadResultRequest,
    analysis.ReadResultResponse,
    receives="stream",
)
GET_OPERATION = _standard("GetOperation", operations.GetOperationRequest, operations.Operation)
LIST_OPERATIONS = _standard(
    "ListOperations", operations.ListOperationsRequest, operations.ListOperationsResponse
)
WAIT_OPERATION = _standard("WaitOperation", operations.WaitOperationRequest, operations.Operation)
CANCEL_OPERATION = _standard("CancelOperation", operations.CancelOperationRequest, Empty)
DELETE_OPERATION = _standard("DeleteOperation", operations.DeleteOperationRequest, Empty)
LIST_MODELS = Rpc("ModelService", "ListModels", models.ListModelsRequest, models.ListModelsResponse)
GET_MODEL = Rpc("ModelService", "GetModel", models.GetModelRequest, models.GetModelResponse)
INSPECT_DROPOUT = Rpc(
    "ModelService", "InspectDropout", models.InspectDropoutRequest, models.InspectDropoutResponse
)
SERVER_INFO = Rpc("ServerService", "GetServerInfo", server.GetServerInfoRequest, server.GetServerInfoResponse)
CREATE_DATASET = Rpc(
    "DatasetService", "CreateDataset", datasets.CreateDatasetRequest, datasets.CreateDatasetResponse
)
APPEND_ROWS = Rpc(
    "DatasetService", "AppendRows", datasets.AppendRowsRequest, datasets.AppendRowsResponse, sends="stream"
)
GET_DATASET = Rpc("DatasetService", "GetDataset", datasets.GetDatasetRequest, datasets.GetDatasetResponse)
LIST_DATASETS = Rpc(
    "DatasetService", "ListDatasets", datasets.ListDatasetsRequest, datasets.ListDatasetsResponse
)
READ_ROWS = Rpc(
    "DatasetService", "ReadRows", datasets.ReadRowsRequest, datasets.ReadRowsResponse, receives="stream"
)
DELETE_DATASET = Rpc(
    "DatasetService", "DeleteDataset", datasets.DeleteDatasetRequest, datasets.DeleteDatasetResponse
)
