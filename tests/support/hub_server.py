"""A server of TF-Hub modules on loopback: `.tar.gz` archives to those who ask with `?tf-hub-format=compressed`."""

from __future__ import annotations

import io
import tarfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit


@dataclass
class HubServer:
    """`archives`: path -> the bytes answered with (a string: where to look instead); `asked`: the requests."""

    url: str
    archives: dict[str, bytes | str] = field(default_factory=dict)
    cut: dict[str, int] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)

    def handle(self, path: str, content: bytes | str, *, cut: int = 0) -> str:
        """Answers with it from now on, without its last `cut` bytes though it tells of them; returns the URL."""
        self.archives[path], self.cut[path] = content, cut
        return f"{self.url}{path}"


@contextmanager
def hub_server() -> Iterator[HubServer]:
    """One on a free port, until the block ends."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            served.asked.append(self.path)
            asked = urlsplit(self.path)
            content = served.archives.get(asked.path)
            if content is None or asked.query != "tf-hub-format=compressed":
                self.send_error(404)
                return
            if isinstance(content, str):
                self.send_response(302)
                self.send_header("Location", content)
                self.end_headers()
                return
            self.send_response(200)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content[: len(content) - served.cut[asked.path]])

        def log_message(self, *_: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        served = HubServer(f"http://127.0.0.1:{server.server_port}")
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield served
        server.shutdown()


def packed(directory: Path, *more: tarfile.TarInfo, mode: str = "w:gz") -> bytes:
    """An archive of a module as TF-Hub packs it, its root `./`; `more` are members without content."""
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode=mode) as archive:  # type: ignore[call-overload]
        archive.add(directory, arcname="./")
        for member in more:
            archive.addfile(member, io.BytesIO(bytes(member.size)))
    return made.getvalue()
