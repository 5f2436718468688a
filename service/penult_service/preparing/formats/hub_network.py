"""The network side of TF-Hub handles, in time: who asks waits seconds for an answer, not minutes. No TensorFlow."""

from __future__ import annotations

import http.client
import socket
import threading
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable
from concurrent.futures import Future, wait
from pathlib import Path
from typing import Any

from penult_service.errors import InvalidInput, NotFound, PenultError, Unavailable
from penult_service.preparing.formats.hub_handles import CACHE, cached, entry_of, is_remote

ANSWER = 5.0  # seconds for the name, the connection, redirections and the head of the answer
SILENCE = 30.0  # seconds without a byte in the middle of a download
_MISSING = (401, 403, 404, 410)  # what servers of modules answer when they have none of that name
_PORTS = {"http": 80, "https": 443}


class NoAnswer(Exception):
    """A server did not give the module: why, and whether it said that it has none."""

    def __init__(self, why: str, *, missing: bool = False) -> None:
        super().__init__(why)
        self.missing = missing


def refuse_unreachable(handle: str, role: str) -> None:
    """Refuses a URL that the cache does not have when no server listens there, before anything slow has begun.

    Raises:
        InvalidInput: HANDLE_UNSUPPORTED, no URL of http or https.
        Unavailable: HANDLE_UNREACHABLE.
        ModelRefused: CACHE_NOT_PRIVATE.
    """
    if not is_remote(handle):
        return
    scheme, host, port = address_of(handle, role)
    if (
        cached(handle) is not None or scheme in urllib.request.getproxies()
    ):  # a proxy knows names that we do not
        return
    try:
        within(ANSWER, lambda: socket.create_connection((host, port), timeout=ANSWER).close())
    except NoAnswer as error:
        raise refusal(handle, role, error) from error


def address_of(handle: str, role: str) -> tuple[str, str, int]:
    """Scheme, host and port of a URL. Raises InvalidInput: HANDLE_UNSUPPORTED."""
    try:
        found = urllib.parse.urlsplit(handle)
        if found.scheme in _PORTS and found.hostname:
            return found.scheme, found.hostname, found.port or _PORTS[found.scheme]
    except ValueError:  # such as half an IPv6 address
        pass
    what = f"{role} {handle} is not fetched: name a directory, or a URL of http or https"
    raise InvalidInput(what, reason="HANDLE_UNSUPPORTED", field=role)


def refusal(handle: str, role: str, error: NoAnswer) -> PenultError:
    """What a person is told: the handle, the cache that was looked at, and the ways out."""
    entry = entry_of(handle)
    said = (
        f"{role} {handle} cannot be fetched ({error}), and the cache {entry.parent} holds {_state(entry)}; download "
        f"the module elsewhere and name its directory, or set {CACHE} to a cache that holds it"
    )
    if error.missing:
        return NotFound(said, reason="HANDLE_NOT_FOUND", field=role)
    return Unavailable(said, reason="HANDLE_UNREACHABLE", field=role)


def _state(entry: Path) -> str:
    return "only half of it" if entry.is_dir() and any(entry.iterdir()) else "nothing of it"


def opened(request: Any, context: Any) -> Any:
    """The answer to a request of urllib, its head read. Raises NoAnswer."""
    return within(ANSWER, lambda: urllib.request.urlopen(request, timeout=SILENCE, context=context))


def within(seconds: float, step: Callable[[], Any]) -> Any:
    """What a step gives, in a thread of its own: nothing else ends a search for a name. Raises NoAnswer."""
    found: Future[Any] = Future()

    def run() -> None:
        try:
            found.set_result(step())
        except BaseException as error:  # noqa: BLE001  (raised where it is waited for)
            found.set_exception(error)

    threading.Thread(target=run, daemon=True).start()
    if not wait([found], seconds).done:
        raise NoAnswer(f"no answer within {seconds:g} s")
    return answered(found.result)


def answered(step: Callable[[], Any]) -> Any:
    """What a step that the network takes part in gives. Raises NoAnswer."""
    try:
        return step()
    except urllib.error.HTTPError as error:
        why = f"the server answered {error.code} {error.reason}".strip()
        raise NoAnswer(why, missing=error.code in _MISSING) from error
    except (OSError, ValueError, http.client.HTTPException) as error:
        raise NoAnswer(said(error)) from error


def said(error: BaseException) -> str:
    """The words of an error of the network or of the disk, in a line."""
    reason = getattr(error, "reason", None) or getattr(error, "strerror", None) or error
    if isinstance(reason, OSError):
        reason = reason.strerror or reason
    return (str(reason) or type(error).__name__).splitlines()[0][:200]
