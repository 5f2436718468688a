"""A private server as a child process. Nothing here waits, so that both clients can use it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from penult_client._exceptions import InvalidInputError, ServerStartError
from penult_client._extras import missing_extra

_LAST_LINES = 20
_PUBLIC = frozenset({"PENULT_PATHS", "PENULT_MODELS", "PENULT_HOST", "PENULT_METRICS_PORT"})


class ServerProcess:
    """``penult serve PATH`` on loopback, on a free port.

    It ends when this process does, however that happens: its standard input closes.

    Args:
        path: A model, as ``penult serve`` takes it.
        options: Options of ``penult serve``: ``grace=5`` is ``--grace 5``, ``log_format="json"`` is
            ``--log-format json``, True is a flag, None and False leave the option out, a list repeats it.
        env: Variables to add to the environment.
    """

    def __init__(
        self, path: str | os.PathLike[str], options: Mapping[str, object], env: Mapping[str, str] | None
    ) -> None:
        extra = missing_extra("serve")
        if extra:
            raise ServerStartError(
                f"Client.open starts a server, and its packages are not installed: pip install 'penult[{extra}]'",
                reason="SERVER_NOT_INSTALLED",
            )
        flags = _flags(options)
        self._folder = tempfile.TemporaryDirectory(prefix="penult-client-")
        self._address_file = Path(self._folder.name, "address")
        self._log = Path(self._folder.name, "log")
        arguments = [
            "--host",
            "127.0.0.1",
            "--port",
            "0",
            "--address-file",
            str(self._address_file),
            "--exit-with-stdin",
        ]
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                [
                    sys.executable,
                    "-m",
                    "penult_service",
                    "serve",
                    os.fspath(path),
                    *arguments,
                    *flags,
                ],
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=subprocess.STDOUT,
                env={**_inherited(), **(env or {})},
                # Its own session: Ctrl-C is ours to handle, and its children can be ended with it.
                start_new_session=True,
            )

    @property
    def pid(self) -> int:
        """Process id of the server."""
        return self._process.pid

    @property
    def log(self) -> str:
        """What the server has written so far."""
        return self._log.read_text(encoding="utf-8", errors="replace")

    def address(self) -> str | None:
        """Where the server listens, once it does.

        Raises:
            ServerStartError: it has ended. The message is the last error that it wrote.
        """
        with suppress(FileNotFoundError):
            written = self._address_file.read_text(encoding="utf-8")
            if written.endswith("\n"):
                return written.strip()
        self.check_running()
        return None

    def check_running(self) -> None:
        """Raises ServerStartError when the server has ended."""
        code = self._process.poll()
        if code is None:
            return
        lines = self.log.splitlines()
        said = [line.removeprefix("error: ") for line in lines if line.startswith("error: ")]
        raise ServerStartError(
            said[-1]
            if said
            else f"the server ended with exit code {code}: {lines[-1] if lines else 'no output'}",
            reason={1: "SERVER_REFUSED", 2: "SERVER_USAGE"}.get(code, "SERVER_DIED"),
            metadata={"exit_code": str(code), "log": "\n".join(lines[-_LAST_LINES:])},
        )

    def ended(self) -> bool:
        """Whether the process has ended."""
        return self._process.poll() is not None

    def terminate(self) -> None:
        """Asks the server to finish what it does and end."""
        if self._process.stdin is not None:
            with suppress(OSError):
                self._process.stdin.close()
        self._process.terminate()

    def kill(self) -> None:
        """Ends the server, and what it started, at once."""
        if hasattr(os, "killpg"):
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(self._process.pid, signal.SIGKILL)
        self._process.kill()
        self._process.wait()

    def forget(self) -> None:
        """Removes the files; the process must have ended."""
        self._folder.cleanup()


def _inherited() -> dict[str, str]:
    """The environment without what is meant for another, public server."""
    return {name: value for name, value in os.environ.items() if name not in _PUBLIC}


def _flags(options: Mapping[str, object]) -> list[str]:
    flags: list[str] = []
    for name, value in options.items():
        flag = "--" + name.replace("_", "-")
        if value is None or value is False:
            continue
        if value is True:
            flags.append(flag)
            continue
        for each in value if isinstance(value, list | tuple) else [value]:
            if not isinstance(each, str | int | float | os.PathLike):
                raise InvalidInputError(
                    f"{name}={each!r} cannot be an option of the server; pass a str, number or path",
                    reason="BAD_OPTION",
                    field=name,
                )
            flags += [flag, str(each)]
    return flags
