"""The child process that converts and measures: one job as JSON on standard input, JSON lines on standard output.

Lines: `{"progress": [stage, share]}`, then one `{"done": {...}}` or `{"error": {...}}`. It ends when its standard input
closes, so it does not outlive the process that asked. Run with `python -m penult_service.engines.child`; how many
threads TensorFlow takes is in its environment.
"""

from __future__ import annotations

import json
import os
import sys
import threading
from collections.abc import Callable
from importlib import import_module
from typing import Any

from penult_service import errors
from penult_service.errors import ModelRefused, PenultError

Progress = Callable[[str, float], None]
# What a job says it is -> the module and the function that does it.
JOBS = {"tune": ("penult_service.engines.measuring", "tune")}


def main() -> None:
    """Does the job and says how it went."""
    out = os.fdopen(os.dup(sys.stdout.fileno()), "w", encoding="utf-8", buffering=1)
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # whatever a library prints is not part of the answer

    def say(**line: Any) -> None:
        out.write(json.dumps(line) + "\n")

    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    job = json.loads(sys.stdin.readline())
    threading.Thread(target=_end_with_stdin, daemon=True).start()
    try:
        module, function = JOBS[job["what"]]
        do = getattr(import_module(module), function)
        say(done=do(job, lambda stage, share: say(progress=[stage, share])))
    except PenultError as error:
        say(error=errors.to_json(error))
    except Exception as error:
        first = (str(error) or type(error).__name__).splitlines()[0][:300]
        refusal = ModelRefused(f"{type(error).__name__}: {first}", reason="ENGINE_CANNOT")
        say(error=errors.to_json(refusal))
        raise


def _end_with_stdin() -> None:
    # Not sys.stdin: a thread that holds its lock would crash the interpreter's shutdown.
    while os.read(0, 4096):
        pass
    os._exit(1)


if __name__ == "__main__":
    main()
