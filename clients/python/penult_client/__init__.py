"""The Python client of Penult: the embeddings in front of a text classifier's dropout.

    from penult_client import Client

    with Client("localhost:50051") as client:
        e = client.embed(["first text", "second text"])
        e.vectors  # float32 [2, d]

`AsyncClient` has the same methods, awaitable.
"""

from __future__ import annotations

from penult_client._about import (
    DropoutReport,
    DropoutSite,
    Limits,
    Model,
    ModelInput,
    ModelLayer,
    ProofFigure,
    Readout,
    ServerInfo,
)
from penult_client._analysis import (
    Adjustment,
    Neighbors,
    Projection,
    ProjectionQuality,
    Similarity,
    StoredInfo,
)
from penult_client._async.client import AsyncClient
from penult_client._async.operations import AsyncOperation
from penult_client._async.transport import AsyncMockTransport
from penult_client._background import Background
from penult_client._clusters import (
    Advice,
    ClusterBatch,
    ClusterCount,
    ClusterInfo,
    ClusterQuality,
    Clusters,
    ClusterStability,
)
from penult_client._core.calibration import Calibration
from penult_client._datasets import Appended, Dataset, DatasetInfo, DatasetRows
from penult_client._dropout import Distribution, DropoutComparison, DropoutEffect
from penult_client._estimate import Estimate
from penult_client._exceptions import (
    AlreadyExistsError,
    CancelledError,
    ClientClosedError,
    ClientError,
    DataLossError,
    DeadlineError,
    InputTypeError,
    InternalError,
    InvalidInputError,
    NotFoundError,
    PenultError,
    PreconditionError,
    ResourceExhaustedError,
    ServerStartError,
    UnavailableError,
)
from penult_client._operations import OperationReport, OperationStatus
from penult_client._placing import Assigned, Grown, Placed
from penult_client._results import (
    Classification,
    Embeddings,
    Prediction,
    RowError,
    TokenEmbeddings,
    Tokens,
)
from penult_client._screening import Duplicates, Outliers
from penult_client._serving import MeasuredSetting, PrecisionPrice, Serving, ServingSetting
from penult_client._sync.client import Client
from penult_client._sync.operations import Operation
from penult_client._sync.transport import MockTransport
from penult_client._uncertainty import ActiveDropout, Uncertainty
from penult_client._version import __version__

__all__ = [
    "ActiveDropout",
    "Adjustment",
    "Advice",
    "AlreadyExistsError",
    "Appended",
    "Assigned",
    "AsyncClient",
    "AsyncMockTransport",
    "AsyncOperation",
    "Background",
    "Calibration",
    "CancelledError",
    "Classification",
    "Client",
    "ClientClosedError",
    "ClientError",
    "ClusterBatch",
    "ClusterCount",
    "ClusterInfo",
    "ClusterQuality",
    "ClusterStability",
    "Clusters",
    "DataLossError",
    "Dataset",
    "DatasetInfo",
    "DatasetRows",
    "DeadlineError",
    "Distribution",
    "DropoutComparison",
    "DropoutEffect",
    "DropoutReport",
    "DropoutSite",
    "Duplicates",
    "Embeddings",
    "Estimate",
    "Grown",
    "InputTypeError",
    "InternalError",
    "InvalidInputError",
    "Limits",
    "MeasuredSetting",
    "MockTransport",
    "Model",
    "ModelInput",
    "ModelLayer",
    "Neighbors",
    "NotFoundError",
    "Operation",
    "OperationReport",
    "OperationStatus",
    "Outliers",
    "PenultError",
    "Placed",
    "PrecisionPrice",
    "PreconditionError",
    "Prediction",
    "Projection",
    "ProjectionQuality",
    "ProofFigure",
    "Readout",
    "ResourceExhaustedError",
    "RowError",
    "ServerInfo",
    "ServerStartError",
    "Serving",
    "ServingSetting",
    "Similarity",
    "StoredInfo",
    "TokenEmbeddings",
    "Tokens",
    "UnavailableError",
    "Uncertainty",
    "__version__",
]
