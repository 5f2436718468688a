"""Python code run where a model's would be: in the real child that prepares, after it has confined itself."""

from __future__ import annotations

import sys
import textwrap
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from penult_service.preparing.confined import watch

FREE = "child._confined = lambda job, rules: {'network': 'free', 'files': 'free', 'processes': 'free'}"
"""Put before the code, it takes the confinement away: so a test can show what would have happened."""

LACKING = """
def no(*_):
    raise OSError(errno.ENOSYS, "not in this kernel")
"""
"""`no` fails as what the kernel does not have; put before the code, it may take the place of a step."""

_PRELUDE = """
import ctypes, errno, mmap, os, socket, subprocess, sys, threading, time
from pathlib import Path
from penult_service.preparing import child
from penult_service.preparing.confined import confine, landlock, seccomp

def tried(**attempts):
    # name -> "done", or why not
    told = {}
    for name, attempt in attempts.items():
        try:
            attempt()
            told[name] = "done"
        except OSError as error:
            told[name] = errno.errorcode.get(error.errno, str(error))
    return told
"""


@dataclass
class Confined:
    """A place with a `model` (the job's source) and an `own` directory (where its target would be made)."""

    place: Path
    monkeypatch: pytest.MonkeyPatch
    source: Path = field(init=False)
    own: Path = field(init=False)
    said: str = field(init=False, default="")

    def __post_init__(self) -> None:
        self.source, self.own = self.place / "model", self.place / "own"
        for directory in (self.source, self.own):
            directory.mkdir()
        (self.source / "saved_model.pb").write_bytes(b"a graph")

    def run(
        self,
        body: str,
        *,
        before: str = "",
        seconds: float = 60.0,
        memory: int | None = None,
        what: str = "attack",
        **given: Any,
    ) -> dict[str, Any]:
        """What the body of `run(job, progress)` returns.

        Args:
            body: Python; it knows the names of `given`, and `tried`.
            before: Code that runs before the child confines itself.
            seconds: Wall time that it may take.
            memory: Bytes resident that it may have.
            what: The job's kind.

        Raises:
            PenultError: as the process that asks for a model to be prepared would get it.
        """
        script = self.place / "payload.py"
        values = [f"{name} = {(str(v) if isinstance(v, Path) else v)!r}" for name, v in given.items()]
        work = textwrap.indent(textwrap.dedent(body).strip(), "    ")
        lines = [
            _PRELUDE,
            *values,
            before,
            "def run(job, progress):",
            work,
            "child._run = run",
            "child.main()",
        ]
        script.write_text("\n".join(lines), encoding="utf-8")
        self.monkeypatch.setattr(watch, "_COMMAND", (sys.executable, "-P", str(script)))
        job = {"what": what, "source": str(self.source), "target": str(self.own / "model")}
        told = watch.run(job, watch.Allowed(seconds, memory), None)
        self.said = told.pop(watch.CONFINED)
        return told

    def parts(self) -> dict[str, str]:
        """What this kernel holds of a child: "" or why not."""
        kept = "parts = {}\ndef kept(job, rules):\n    parts.update(real(job, rules))\n    return parts\n"
        return self.run("return parts", before=f"real = child._confined\n{kept}child._confined = kept")
