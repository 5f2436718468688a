# Made from ../_async/client.py by scripts/unasync.py; change that one.
"""The client."""

from __future__ import annotations

import os
from collections.abc import Mapping
from types import TracebackType
from typing import Any, Self

import grpc

from penult_client._about import DropoutReport, Model, ServerInfo
from penult_client._sync.calls import Caller
from penult_client._sync.clustering import Clustering
from penult_client._sync.comparisons import Comparisons
from penult_client._sync.datasets import Datasets
from penult_client._sync.dropout import Dropout
from penult_client._sync.growing import Growing
from penult_client._sync.inference import Inference
from penult_client._sync.maps import Maps
from penult_client._sync.operations import Operations
from penult_client._sync.screening import Screening
from penult_client._sync.starting import PrivateServer
from penult_client._sync.stored import SyncStored
from penult_client._sync.transport import GrpcTransport, Transport
from penult_client._channel import Metadata
from penult_client._core import about, rpcs
from penult_client._core.inputs import check_model
from penult_client._core.timing import check_seconds


class Client(
    Inference,
    Comparisons,
    Screening,
    Clustering,
    Growing,
    Maps,
    Dropout,
    Datasets,
    SyncStored,
    Operations,
):
    """Talks to a Penult server.

    Calls with many texts are split to fit the server, sent two requests at a time, and put together in order.
    What the server could not take now is sent again within the time allowed. Processes forked after
    the first call need a client of their own.

    Args:
        address: ``host:port``, or a name in one of gRPC's schemes, such as ``unix:/run/penult.sock``.
        timeout: The longest wait for one RPC, in seconds, retries included; `deadline` of a call is for the
            whole of it. An analysis without a deadline may take as long as the server lets it, at least this.
        credentials: For TLS, such as ``grpc.ssl_channel_credentials()``; None: no encryption.
        metadata: Headers to send with every RPC.
        transport: Takes the place of the connection, for tests.

    Raises:
        InvalidInputError: the address or timeout is none.
    """

    def __init__(
        self,
        address: str = "localhost:50051",
        *,
        timeout: float = 30.0,
        credentials: grpc.ChannelCredentials | None = None,
        metadata: Metadata = (),
        transport: Transport | None = None,
    ) -> None:
        self._caller = Caller(
            transport or GrpcTransport(address, credentials=credentials, metadata=metadata),
            check_seconds(timeout, "timeout"),
        )
        self._server: PrivateServer | None = None

    @classmethod
    def open(
        cls,
        path: str | os.PathLike[str],
        name: str | None = None,
        *,
        timeout: float = 30.0,
        start_timeout: float = 960.0,
        env: Mapping[str, str] | None = None,
        **options: Any,
    ) -> Self:
        """A client of a private server on loopback, which serves one model and ends with the client.

        Args:
            path: What a person saved, or a prepared model. It is prepared when it is not, which takes time.
            name: What to call the model; None: as its file or directory.
            timeout: As of the client.
            start_timeout: The longest wait until the model answers, in seconds.
            env: Variables to add to the server's environment.
            options: Options of ``penult serve``, such as ``data="cache"`` for ``--data cache``.

        Raises:
            ServerStartError: the model is refused, or the server cannot run; the message says why.
        """
        check_seconds(timeout, "timeout")
        longest = check_seconds(start_timeout, "start_timeout")
        named = f"{check_model(name, 'name')}={os.fspath(path)}" if name is not None else path
        server = PrivateServer(named, options, env)
        client = cls(timeout=timeout, transport=server.ready(longest))
        client._server = server
        return client

    def models(self) -> list[Model]:
        """Every version of every model, by name and descending version."""
        found: list[Model] = []
        token = ""
        while True:
            reply = self._caller.send(rpcs.LIST_MODELS, rpcs.LIST_MODELS.request(page_token=token))
            found += [about.model(told) for told in reply.models]
            token = reply.next_page_token
            if not token:
                return found

    def model(self, name: str | None = None) -> Model:
        """One model; None: the only one loaded."""
        request = rpcs.GET_MODEL.request(name=check_model(name, "name"))
        return about.model((self._caller.send(rpcs.GET_MODEL, request)).model)

    def inspect_dropout(self, model: str | None = None) -> DropoutReport:
        """The dropout layers of a model, and the proof that they play no part in what is served."""
        request = rpcs.INSPECT_DROPOUT.request(name=check_model(model))
        return about.dropout_report(self._caller.send(rpcs.INSPECT_DROPOUT, request))

    def server_info(self) -> ServerInfo:
        """The server's version, limits, default model and abilities, asked for anew."""
        return self._caller.server_info()

    def close(self) -> None:
        """Ends the connection, and the private server when there is one. May be called twice."""
        if self._caller.close() and self._server is not None:
            self._server.end()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
