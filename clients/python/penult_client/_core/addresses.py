"""Server addresses and the options of a channel."""

from __future__ import annotations

import re

from penult_client._exceptions import InvalidInputError
from penult_client._version import __version__

MOST_BACKOFF_MS = 1_000
_SCHEMES = ("unix:", "unix-abstract:", "dns:", "ipv4:", "ipv6:", "vsock:", "xds:")
_LOOPBACK = re.compile(r"(localhost|127\.\d+\.\d+\.\d+|\[::1\]):\d+")


def check_address(address: object) -> str:
    """``host:port``, or a name in one of gRPC's schemes, such as ``unix:/run/penult.sock``.

    Raises:
        InvalidInputError: it is neither (BAD_ADDRESS); without a port gRPC would silently take 443.
    """
    if isinstance(address, str) and (
        address.startswith(_SCHEMES) or re.fullmatch(r"(\[[0-9a-fA-F:.%]+\]|[^\s/:]+):\d{1,5}", address)
    ):
        return address
    raise InvalidInputError(
        f"the address is {address!r}; write host:port, such as 'localhost:50051', without http://",
        reason="BAD_ADDRESS",
        field="address",
    )


def channel_options(address: str) -> list[tuple[str, str | int]]:
    """Messages of any size, quick reconnecting, dead peers noticed while a call waits."""
    options: list[tuple[str, str | int]] = [
        ("grpc.max_send_message_length", -1),
        ("grpc.max_receive_message_length", -1),
        ("grpc.initial_reconnect_backoff_ms", 100),
        # Shorter than the retries of a call last: a call to a server that is back gets through.
        ("grpc.max_reconnect_backoff_ms", MOST_BACKOFF_MS),
        # Servers close connections that ping more often than every five minutes.
        ("grpc.keepalive_time_ms", 310_000),
        ("grpc.keepalive_timeout_ms", 20_000),
        ("grpc.primary_user_agent", f"penult-python/{__version__}"),
    ]
    if _LOOPBACK.fullmatch(address):
        # gRPC sends even these through $http_proxy.
        options.append(("grpc.enable_http_proxy", 0))
    return options
