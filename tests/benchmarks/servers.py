"""Servers that benchmarks start: processes of their own, new each time, ended at the end."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import grpc
import psutil
from grpc_health.v1 import health_pb2, health_pb2_grpc

ANALYSIS = "penult.v1.AnalysisService"


def serving(channel: grpc.Channel, service: str) -> bool:
    """What `grpc.health.v1` says of a service."""
    request = health_pb2.HealthCheckRequest(service=service)
    status = health_pb2_grpc.HealthStub(channel).Check(request, timeout=60, wait_for_ready=True).status
    return bool(status == health_pb2.HealthCheckResponse.SERVING)


def wait(condition: Callable[[], bool]) -> None:
    """Until it holds."""
    while not condition():
        time.sleep(0.05)


@contextmanager
def server_process(
    model: str, data: Path, place: Path, most_seconds: float | None = 10_000
) -> Iterator[tuple[psutil.Process, str, float]]:
    """`penult serve` once it listens: the process, its address, and when it was started (monotonic).

    `most_seconds` that an analysis may take, None: as the server has it. By default nothing is too much: what is killed
    has to run for a while.
    """
    address = place / "address"
    command = [sys.executable, "-m", "penult_service", "serve", model, "--data", str(data), "--port", "0"]
    started = time.monotonic()
    with (place / "log").open("wb") as log:
        environment = dict(os.environ)
        if most_seconds is not None:
            environment["PENULT_MAX_ANALYSIS_SECONDS"] = str(most_seconds)
        server = subprocess.Popen([*command, "--address-file", str(address)], stderr=log, env=environment)
    try:
        while not address.exists():
            if server.poll() is not None:
                sys.exit((place / "log").read_text())
            time.sleep(0.02)
        yield psutil.Process(server.pid), address.read_text().strip(), started
    finally:
        server.terminate()
        server.wait()
