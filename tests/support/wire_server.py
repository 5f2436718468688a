"""A server of the contract in a few lines, over a real socket: for tests of clients.

Its numbers are those of `wire_numbers` and `wire_analysis`, so every test has an oracle. `Script.fail` scripts what
goes wrong.
"""

from __future__ import annotations

from concurrent import futures

import grpc
from penult.v1 import analysis_service_pb2_grpc as analysis_grpc
from penult.v1 import dataset_service_pb2_grpc as datasets_grpc
from penult.v1 import inference_service_pb2_grpc as inference_grpc
from penult.v1 import model_service_pb2_grpc as models_grpc
from penult.v1 import server_service_pb2 as server_pb
from penult.v1 import server_service_pb2_grpc as server_grpc
from support.wire_datasets import Datasets
from support.wire_inference import Inference
from support.wire_models import Models
from support.wire_script import DIMENSION, LABELS, LIMITS, Script, status
from support.wire_stored import Analysis

__all__ = ["DIMENSION", "LABELS", "LIMITS", "Inference", "Models", "Script", "Server", "start", "status"]


class Server(server_grpc.ServerServiceServicer):
    """What it is."""

    def __init__(self, script: Script, limits: dict[str, float]) -> None:
        self._script, self._limits = script, limits

    def GetServerInfo(self, request, context):  # noqa: N802
        with self._script.call("GetServerInfo", request, context):
            return server_pb.GetServerInfoResponse(
                version="0.1.0",
                limits=server_pb.Limits(**self._limits),
                default_model="models/reviews",
                features=["embed.probabilities"],
            )


def start(script: Script, limits: dict[str, float] | None = None) -> tuple[grpc.Server, str]:
    """The server, started on a free port of loopback, and its address."""
    server = grpc.server(
        futures.ThreadPoolExecutor(8),
        options=[("grpc.max_receive_message_length", -1), ("grpc.so_reuseport", 0)],
    )
    inference_grpc.add_InferenceServiceServicer_to_server(Inference(script), server)
    analysis_grpc.add_AnalysisServiceServicer_to_server(Analysis(script), server)
    datasets_grpc.add_DatasetServiceServicer_to_server(Datasets(script), server)
    models_grpc.add_ModelServiceServicer_to_server(Models(script), server)
    server_grpc.add_ServerServiceServicer_to_server(Server(script, {**LIMITS, **(limits or {})}), server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    return server, f"127.0.0.1:{port}"
