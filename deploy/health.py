"""Exit 0 when the server says that it is SERVING: for the health check of a container.

python deploy/health.py [HOST:PORT [SERVICE]]     default: the own container's port, and the server as a whole

SERVICE is one of its services, such as penult.v1.AnalysisService, whose workers get ready in their own time.
"""

from __future__ import annotations

import os
import sys

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc


def main(arguments: list[str]) -> int:
    """Asks once, waits at most 4 s, prints the answer."""
    address = arguments[0] if arguments else f"127.0.0.1:{os.environ.get('PENULT_PORT', '50051')}"
    service = arguments[1] if len(arguments) > 1 else ""
    request = health_pb2.HealthCheckRequest(service=service)
    with grpc.insecure_channel(address) as channel:
        try:
            reply = health_pb2_grpc.HealthStub(channel).Check(request, timeout=4)
        except grpc.RpcError as error:
            print(f"{address}: {error.code().name}")
            return 1
    print(f"{address}: {health_pb2.HealthCheckResponse.ServingStatus.Name(reply.status)}")
    return 0 if reply.status == health_pb2.HealthCheckResponse.SERVING else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
