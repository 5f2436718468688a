"""What the calls of the scripted server meet, what was asked, and the statuses that it makes."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import grpc
from google.protobuf.duration_pb2 import Duration
from google.rpc.error_details_pb2 import BadRequest, ErrorInfo, RetryInfo
from google.rpc.status_pb2 import Status
from grpc_status.rpc_status import to_status
from penult.v1 import common_pb2 as common

DIMENSION = 4
LABELS = ("negative", "positive")
LIMITS = {
    "max_request_bytes": 1 << 20,
    "default_response_bytes": 1 << 22,
    "max_response_bytes": 1 << 26,
    "max_texts": 8,
    "max_text_bytes": 1 << 16,
    "max_queued_tokens": 1 << 16,
    "max_scores": 1 << 20,
    "max_analysis_seconds": 60.0,
    "max_analysis_bytes": 1 << 32,
}


def status(
    code: grpc.StatusCode,
    message: str,
    *,
    reason: str = "",
    field: str = "",
    retry: float | None = None,
    metadata: dict[str, str] | None = None,
    domain: str = "penult",
) -> Status:
    """A rich status as the server makes it."""
    made = Status(code=code.value[0], message=message)
    details: list[Any] = []
    if reason:
        details.append(ErrorInfo(reason=reason, domain=domain, metadata=metadata or {}))
    if field:
        details.append(
            BadRequest(field_violations=[BadRequest.FieldViolation(field=field, description=message)])
        )
    if retry is not None:
        details.append(RetryInfo(retry_delay=Duration(seconds=int(retry), nanos=round(retry % 1 * 1e9))))
    for detail in details:
        made.details.add().Pack(detail)
    return made


Failure = Status | Callable[[Any, grpc.ServicerContext], None]


class Script:
    """What the next calls meet, by method, and what was asked."""

    def __init__(self) -> None:
        self.failures: dict[str, deque[Failure | None]] = {}
        self.requests: list[tuple[str, Any]] = []
        self.metadata: list[dict[str, str | bytes]] = []
        self.running = 0
        self.most_running = 0
        self.pause = 0.0
        self.digest = "d1"
        self.labels = LABELS
        self.made_with = common.EmbedOptions(pooling=common.POOLING_MEAN, normalize=True)
        self._lock = threading.Lock()

    def fail(self, method: str, *failures: Failure | None) -> None:
        """The next calls of the method fail like this, one after the other (None: that one is answered)."""
        self.failures.setdefault(method, deque()).extend(failures)

    def asked(self, method: str) -> list[Any]:
        """The requests of a method, in the order of arrival."""
        return [request for name, request in self.requests if name == method]

    @contextmanager
    def call(self, method: str, request: Any, context: grpc.ServicerContext) -> Iterator[None]:
        """Notes the call, and lets it fail when that is its turn."""
        with self._lock:
            self.requests.append((method, request))
            self.metadata.append(dict(context.invocation_metadata()))
            waiting = self.failures.get(method)
            failure = waiting.popleft() if waiting else None
            self.running += 1
            self.most_running = max(self.most_running, self.running)
        try:
            if isinstance(failure, Status):
                context.abort_with_status(to_status(failure))
            elif failure is not None:
                failure(request, context)
            if self.pause:
                time.sleep(self.pause)
            yield
        finally:
            with self._lock:
                self.running -= 1

    def provenance(self, options: common.EmbedOptions | None = None) -> common.Provenance:
        """Where numbers come from."""
        return common.Provenance(
            model="models/reviews/versions/3",
            version=3,
            model_digest=self.digest,
            embedding_space=f"space-{self.digest}" if options else "",
            layer=(options.layer or "pooled_output") if options else "",
            pooling=options.pooling if options else common.POOLING_UNSPECIFIED,
            normalized=options.normalize if options else False,
            engine="wire",
            precision="float32",
            dropout_proven_inactive=True,
        )
