"""Prometheus metrics. The scheduler, the RPCs and the repository tell; `serve` shows."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import Any, cast

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, start_http_server

from penult_service.analysis.workers.pool import PoolState
from penult_service.batching import BatchStats
from penult_service.embedder import Tokenizer, TokenTable
from penult_service.errors import Unavailable
from penult_service.repository.repository import State, Version
from penult_service.rpc.handlers import Call

_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)
_TOKENS = (8, 16, 32, 64, 128, 256, 512, 1024, 2048, 4096)
_ROWS = (1, 2, 4, 8, 16, 32, 64)


class Metrics:
    """Everything that is counted, in a registry of its own (several servers may live in one process)."""

    def __init__(self) -> None:
        self.registry = registry = CollectorRegistry()
        self._requests = Counter("penult_requests", "Calls ended.", ["method", "code"], registry=registry)
        self._refusals = Counter(
            "penult_refusals", "Calls that failed, by reason.", ["reason"], registry=registry
        )
        self._seconds = Histogram(
            "penult_request_seconds", "Seconds a call.", ["method"], buckets=_SECONDS, registry=registry
        )
        self._texts = Counter("penult_texts", "Texts of calls that succeeded.", ["model"], registry=registry)
        self._tokens = Counter(
            "penult_tokens", "Tokens of calls that succeeded.", ["model"], registry=registry
        )
        self._rows = Counter(
            "penult_dataset_rows", "Rows of sets appended or read.", ["method"], registry=registry
        )
        self._read = Counter(
            "penult_rows_read",
            "Rows embedded or classified, by how: computed, or equal to one of the same request (repeated), to one in"
            " flight (in_flight), to one in the cache (cached).",
            ["how"],
            registry=registry,
        )
        self._cache_rows = Gauge("penult_cache_rows", "Rows in the cache of readings.", registry=registry)
        self._cache_bytes = Gauge("penult_cache_bytes", "What they take.", registry=registry)
        self._queue = Gauge("penult_queue_tokens", "Tokens that wait.", ["model"], registry=registry)
        self._batch_tokens = Histogram(
            "penult_batch_tokens", "Tokens a batch, without padding.", buckets=_TOKENS, registry=registry
        )
        self._batch_padded = Histogram(
            "penult_batch_padded_tokens", "Tokens a batch, with padding.", buckets=_TOKENS, registry=registry
        )
        self._computed = Counter(
            "penult_computed_tokens",
            "Tokens of batches: of the texts, or padding (kind).",
            ["model", "kind"],
            registry=registry,
        )
        self._batch_rows = Histogram("penult_batch_rows", "Rows a batch.", buckets=_ROWS, registry=registry)
        self._stages = Histogram(
            "penult_stage_seconds",
            "Seconds by stage: queue and encode a batch, tokenize and reply a call.",
            ["stage"],
            buckets=_SECONDS,
            registry=registry,
        )
        self._waited, self._encoded = (self._stages.labels(stage) for stage in ("queue", "encode"))
        self._queues: dict[Hashable, tuple[Gauge, Counter, Counter]] = {}
        self._states = Gauge(
            "penult_model_state",
            "1 for the state that a version is in.",
            ["model", "state"],
            registry=registry,
        )
        self._workers = Gauge(
            "penult_analysis_workers", "Analysis workers, by state.", ["state"], registry=registry
        )
        self._analyses_waiting = Gauge(
            "penult_analysis_waiting", "Analyses that wait for a worker.", registry=registry
        )
        self._analyses = Counter(
            "penult_analyses", "Analyses ended, by outcome.", ["analysis", "outcome"], registry=registry
        )
        self._analysis_seconds = Histogram(
            "penult_analysis_seconds",
            "Seconds an analysis, waiting included.",
            ["analysis"],
            buckets=_SECONDS,
            registry=registry,
        )

    def serve(self, host: str, port: int) -> int:
        """Show the metrics over HTTP; the port, also when 0 was asked for.

        Raises:
            Unavailable: the port is taken (PORT_TAKEN).
        """
        try:
            server, _ = start_http_server(port, addr=host, registry=self.registry)
        except OSError as error:
            raise Unavailable(
                f"metrics cannot be served on {host}:{port} ({error.strerror}); give another --metrics-port",
                reason="PORT_TAKEN",
            ) from error
        return int(server.server_port)

    def queue_changed(self, queue: Hashable, waiting_tokens: int) -> None:
        """As in `batching.Observer`."""
        self._of(queue)[0].set(waiting_tokens)

    def batch_finished(self, stats: BatchStats) -> None:
        """As in `batching.Observer`."""
        self._batch_rows.observe(stats.rows)
        self._batch_tokens.observe(stats.tokens)
        self._batch_padded.observe(stats.padded_tokens)
        _, text, padding = self._of(stats.queue)
        text.inc(stats.tokens)
        padding.inc(stats.padded_tokens - stats.tokens)
        self._waited.observe(stats.waited)
        self._encoded.observe(stats.seconds)

    def _of(self, queue: Hashable) -> tuple[Gauge, Counter, Counter]:
        """Of a model: the tokens that wait, those of texts and of padding. The library's own way to them is longer."""
        found = self._queues.get(queue)
        if found is None:
            model = _model_of(queue)
            computed = [self._computed.labels(model, kind) for kind in ("text", "padding")]
            found = self._queues[queue] = (self._queue.labels(model), computed[0], computed[1])
        return found

    def rows_read(self, *, repeated: int, in_flight: int, cached: int, computed: int) -> None:
        """As in `embedder.sharing.SharingObserver`."""
        counts = {"repeated": repeated, "in_flight": in_flight, "cached": cached, "computed": computed}
        for how, count in counts.items():
            if count:
                self._read.labels(how).inc(count)

    def cache_changed(self, rows: int, size: int) -> None:
        """As in `embedder.sharing.SharingObserver`."""
        self._cache_rows.set(rows)
        self._cache_bytes.set(size)

    def call_ended(self, call: Call) -> None:
        """As in `rpc.handlers.CallObserver`."""
        self._requests.labels(call.method, call.code).inc()
        self._seconds.labels(call.method).observe(call.seconds)
        if call.rows:
            self._rows.labels(call.method).inc(call.rows)
        for stage, seconds in call.stages.items():
            self._stages.labels(stage).observe(seconds)
        if call.reason:
            self._refusals.labels(call.reason).inc()
        elif call.texts:
            self._texts.labels(call.model).inc(call.texts)
            self._tokens.labels(call.model).inc(call.tokens)

    def pool_changed(self, state: PoolState) -> None:
        """As in `analysis.workers.pool.PoolObserver`."""
        for name in ("starting", "idle", "busy"):
            self._workers.labels(name).set(getattr(state, name))
        self._analyses_waiting.set(state.waiting)

    def run_ended(self, name: str, outcome: str, seconds: float) -> None:
        """As in `analysis.workers.pool.PoolObserver`."""
        self._analyses.labels(name, outcome).inc()
        self._analysis_seconds.labels(name).observe(seconds)

    def timed(self, tokenizer: Tokenizer) -> Tokenizer:
        """The tokenizer, its seconds observed."""
        return _Timed(tokenizer, self._stages.labels("tokenize"))

    def model_changed(self, version: Version[Any]) -> None:
        """A version is in another state."""
        for state in State:
            self._states.labels(version.resource, state.value).set(state is version.state)


class _Timed:
    """A tokenizer and a stopwatch."""

    def __init__(self, tokenizer: Tokenizer, seconds: Histogram) -> None:
        self._tokenizer, self._seconds = tokenizer, seconds

    def tokenize(self, *texts: Sequence[str]) -> TokenTable:
        """As in `embedder.Tokenizer`."""
        with self._seconds.time():
            return self._tokenizer.tokenize(*texts)

    def brief(self, text: str) -> bool:
        """The same."""
        return self._tokenizer.brief(text)


def _model_of(queue: Hashable) -> str:
    """The scheduler's queues are (model, version)."""
    name, version = cast(tuple[str, int], queue)
    return f"models/{name}/versions/{version}"
