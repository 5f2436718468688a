"""A server: its parts are built here and handed to each other, and it runs until it is told to end."""

from __future__ import annotations

import asyncio
import logging
import sys
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace

import grpc
from google.longrunning import operations_pb2
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection
from penult.v1 import (
    analysis_service_pb2,
    dataset_service_pb2,
    inference_service_pb2,
    model_service_pb2,
    server_service_pb2,
)

from penult_service.analysis.workers.pool import WorkerPool
from penult_service.analysis.workers.process import memory_share
from penult_service.batching import Scheduler
from penult_service.config import MEBIBYTE, ServeConfig
from penult_service.embedder import Embedder, LoadedModel
from penult_service.engines.machine import cores
from penult_service.engines.wishes import streams_of
from penult_service.errors import Unavailable
from penult_service.metrics import Metrics
from penult_service.operations import Operations
from penult_service.repository.repository import Repository, State, Version
from penult_service.repository.sources import Source
from penult_service.rpc import errors
from penult_service.rpc.analysis.analyses import Analyses
from penult_service.rpc.analysis.bases import Bases
from penult_service.rpc.analysis.codec import AnalysisCodec
from penult_service.rpc.analysis.dropout_sampling import DropoutSampling
from penult_service.rpc.analysis.estimates import Estimates
from penult_service.rpc.analysis.growth import Growth
from penult_service.rpc.analysis.keeping import Keeper
from penult_service.rpc.analysis.long_analyses import LongAnalyses
from penult_service.rpc.analysis.readable import Reader
from penult_service.rpc.analysis.service import AnalysisService
from penult_service.rpc.analysis.sources import Sources
from penult_service.rpc.codec import Codec
from penult_service.rpc.datasets.service import DatasetService
from penult_service.rpc.handlers import Gate
from penult_service.rpc.health import HealthMonitor
from penult_service.rpc.inference_service import InferenceService
from penult_service.rpc.model_service import ModelService
from penult_service.rpc.operations_service import OperationsService
from penult_service.rpc.server_service import ServerService
from penult_service.rpc.stored import Stored, StoredOperations

DONE, NOTHING_LOADED, EXECUTOR_DEAD = 0, 1, 70
# The first batch of a big model on a busy machine.
WARM_SECONDS = 300.0
PROBE_SECONDS = 30.0
_FAREWELL_SECONDS = 0.2
_LOOPBACK = ("127.0.0.1", "localhost", "::1")

_SERVER = server_service_pb2.DESCRIPTOR.services_by_name["ServerService"]
_MODEL = model_service_pb2.DESCRIPTOR.services_by_name["ModelService"]
_INFERENCE = inference_service_pb2.DESCRIPTOR.services_by_name["InferenceService"]
_ANALYSIS = analysis_service_pb2.DESCRIPTOR.services_by_name["AnalysisService"]
_DATASET = dataset_service_pb2.DESCRIPTOR.services_by_name["DatasetService"]
_OPERATIONS = operations_pb2.DESCRIPTOR.services_by_name["Operations"]

_log = logging.getLogger(__name__)


class Server:
    """A gRPC server for the models of some sources. Made and run in one event loop.

    Args:
        config: The settings.
        sources: The versions to serve.
        load: A source -> a model that is ready to run; blocking, called on a thread of its own.
        loaded: Called once on that thread, when no model is left to be loaded.
    """

    def __init__(
        self,
        config: ServeConfig,
        sources: Sequence[Source],
        load: Callable[[Source], LoadedModel],
        loaded: Callable[[], None] = lambda: None,
    ) -> None:
        self._config, self._load, self._loaded = config, load, loaded
        self._loop = asyncio.get_running_loop()
        self._ending: asyncio.Future[int] = self._loop.create_future()
        self._metrics = Metrics()
        self._scheduler = Scheduler(
            max_waiting_tokens=config.limits.max_queued_tokens,
            executors=streams_of(min(config.threads or cores(), cores())),  # OpenVINO makes no more
            observer=self._metrics,
            fatal=self._fatal,
        )
        self._embedder = Embedder(
            self._scheduler, cache_bytes=config.cache_mib * MEBIBYTE, observer=self._metrics
        )
        self._repository: Repository[LoadedModel] = Repository(sources, self._load_and_warm, self._changed)
        self._gate = Gate(self._metrics)
        self._stored = Stored(config.data, lambda: self._health.wake())
        self._health = HealthMonitor(
            always=(_SERVER.full_name, _MODEL.full_name),
            by_progress=(_INFERENCE.full_name,),
            by_state={
                _ANALYSIS.full_name: lambda: self._pool.ready,
                _DATASET.full_name: lambda: self._stored.ready,
                _OPERATIONS.full_name: lambda: self._stored.ready,
            },
            progress=self._scheduler.health,
            ready=self._is_ready,
            probe=self._probe,
            interval=config.health_interval,
        )
        self._pool = WorkerPool(
            workers=config.analysis_workers,
            memory_limit=config.analysis_memory_bytes or memory_share(config.analysis_workers),
            scratch=config.analysis_scratch,
            numba_cache=config.numba_cache,
            max_waiting=config.analysis_queue,
            changed=self._health.wake,
            observer=self._metrics,
        )
        self._operations = Operations(
            StoredOperations(self._stored),
            at_once=config.analysis_workers,
            most=config.analysis_operations,
            days=config.operation_days,
            fault=errors.internal,
        )
        self._grpc = self._build_grpc()

    def end(self, code: int = DONE) -> None:
        """Finish what runs and end with this exit code; the first call counts."""
        if not self._ending.done():
            self._ending.set_result(code)

    async def start(self) -> str:
        """Listen, and begin to load the models in the background. Returns the address, `host:port`.

        Raises:
            Unavailable: the port is taken (PORT_TAKEN).
        """
        address = self._bind()
        await self._stored.open()
        try:
            await self._listen(address)
        except BaseException:
            await self._stored.close()
            raise
        return address

    async def _listen(self, address: str) -> None:
        await self._health.start()
        await self._grpc.start()
        if self._config.metrics_port is not None:
            port = self._metrics.serve(self._config.host, self._config.metrics_port)
            _log.info("metrics on http://%s:%d/metrics", self._config.host, port)
        _log.info("listening on %s", address)
        if self._config.host not in _LOOPBACK:
            _log.warning("whoever reaches %s can call this server: no encryption, no password", address)
        threading.Thread(target=self._load_all, name="penult-load", daemon=True).start()
        self._pool.start()

    async def run_until_end(self) -> int:
        """Serve until `end`, then drain: no new calls, running ones finish within the grace. The exit code."""
        watching = asyncio.create_task(self._health.watch())
        code = await self._ending
        watching.cancel()
        await self._drain()
        return code

    async def _drain(self) -> None:
        self._gate.close()
        await self._health.drain()
        await self._operations.close()
        with suppress(TimeoutError):
            await asyncio.wait_for(self._gate.idle(), self._config.grace)
        await self._pool.close()
        # Every reply is sent, or the grace is over. Waiting longer would wait for idle clients to hang up.
        await self._grpc.stop(_FAREWELL_SECONDS)
        await self._stored.close()
        await asyncio.to_thread(self._scheduler.close)
        self._embedder.close()
        _log.info("ended")

    def _build_grpc(self) -> grpc.aio.Server:
        config, repository, embedder = self._config, self._repository, self._embedder
        codec = Codec(config.limits)
        server = grpc.aio.server(
            options=[
                ("grpc.max_receive_message_length", config.limits.max_request_bytes),
                ("grpc.max_send_message_length", -1),
                # Else a second server on the same port starts without a word and takes half the calls.
                ("grpc.so_reuseport", 0),
            ]
        )
        bases = Bases(self._stored)
        analyses = Analyses(
            AnalysisCodec(codec, config.limits),
            config.limits,
            Sources(repository, embedder, self._stored, bases),
            DropoutSampling(embedder, self._pool),
            self._pool,
            self._stored,
        )
        growth = Growth(analyses, bases, self._stored)
        keeper = Keeper(config.limits, self._stored)
        reader = Reader(self._operations, keeper, self._stored)
        operations = OperationsService(self._operations, reader, self._stored)
        long = LongAnalyses(analyses, self._operations, keeper, self._pool, growth)
        estimates = Estimates(analyses, config.limits, self._pool)
        servicers = {
            _SERVER: ServerService(config.limits, repository),
            _MODEL: ModelService(codec, repository),
            _INFERENCE: InferenceService(codec, repository, embedder),
            _ANALYSIS: AnalysisService(
                config.limits, analyses, keeper, self._stored, long, operations, reader, growth, estimates
            ),
            _DATASET: DatasetService(codec, config.limits, repository, embedder, self._stored),
            _OPERATIONS: operations,
        }
        server.add_generic_rpc_handlers(
            tuple(self._gate.handlers(service, servicer) for service, servicer in servicers.items())
        )
        health_pb2_grpc.add_HealthServicer_to_server(self._health.servicer, server)
        health = health_pb2.DESCRIPTOR.services_by_name["Health"].full_name
        names = [*(service.full_name for service in servicers), health, reflection.SERVICE_NAME]
        reflection.enable_server_reflection(names, server)
        return server

    def _bind(self) -> str:
        host = f"[{self._config.host}]" if ":" in self._config.host else self._config.host
        try:
            port = self._grpc.add_insecure_port(f"{host}:{self._config.port}")
        except RuntimeError as error:
            raise Unavailable(
                f"{host}:{self._config.port} cannot be listened on: is another server there? give another --port",
                reason="PORT_TAKEN",
            ) from error
        return f"{host}:{port}"

    def _load_all(self) -> None:
        """On the loading thread."""
        for version in self._repository.versions():
            self._metrics.model_changed(version)
        self._repository.load_all()
        self._loaded()
        if not self._is_ready():
            self._from_thread(lambda: self.end(NOTHING_LOADED))

    def _load_and_warm(self, source: Source) -> LoadedModel:
        model = self._load(source)
        model = replace(model, tokenizer=self._metrics.timed(model.tokenizer))
        warming = self._embedder.warm(model, deadline=time.monotonic() + WARM_SECONDS)
        asyncio.run_coroutine_threadsafe(warming, self._loop).result()
        return model

    def _changed(self, version: Version[LoadedModel]) -> None:
        self._metrics.model_changed(version)
        self._from_thread(self._health.wake)

    def _fatal(self, _: BaseException) -> None:
        """On the executor's dying thread: who waited, or was in its batch, has been answered."""
        self._from_thread(lambda: self.end(EXECUTOR_DEAD))

    def _from_thread(self, function: Callable[[], None]) -> None:
        with suppress(RuntimeError):  # the loop is closed: the server has ended anyway
            self._loop.call_soon_threadsafe(function)

    def _is_ready(self) -> bool:
        return any(version.state is State.READY for version in self._repository.versions())

    async def _probe(self) -> None:
        for version in self._repository.versions():
            if version.model is not None:
                await self._embedder.warm(version.model, deadline=time.monotonic() + PROBE_SECONDS)

    def failures(self) -> list[str]:
        """A line for each version that could not be loaded: what, why, and what to do."""
        return [
            f"{version.resource}: {version.message} ({version.reason})"
            for version in self._repository.versions()
            if version.state is State.FAILED
        ]


async def run(
    config: ServeConfig,
    sources: Sequence[Source],
    load: Callable[[Source], LoadedModel],
    started: Callable[[Server, str], None] = lambda _server, _address: None,
    loaded: Callable[[], None] = lambda: None,
) -> int:
    """Serve until something ends it; the exit code. `started` gets the server and its address.

    The rest as in `Server`.
    """
    server = Server(config, sources, load, loaded)
    address = await server.start()
    started(server, address)
    code = await server.run_until_end()
    if code == NOTHING_LOADED:
        for line in server.failures():
            print(f"error: {line}", file=sys.stderr)
    return code
