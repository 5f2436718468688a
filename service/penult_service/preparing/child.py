"""The child process that prepares: one job as JSON on standard input, JSON lines on standard output.

Lines: `{"confined": {...}}` (see `confine`), `{"progress": [stage, share]}`, when it prepares first with the stage
`LOOKING`; then one `{"done": {...}}` or `{"error": {...}}`. It ends when its standard input closes, so it does not
outlive the process that asked. Run with `python -m penult_service.preparing.child`.
"""

from __future__ import annotations

import errno
import json
import os
import sys
import threading
from pathlib import Path
from typing import Any

from penult_service import errors
from penult_service.errors import ModelRefused, PenultError
from penult_service.preparing.confined import confine

# The stage until the files have been looked at. Whoever asked waits for its end no longer than looking may take.
LOOKING = "looking at the files"


def main() -> None:
    """Does the job and says how it went."""
    out = os.fdopen(os.dup(sys.stdout.fileno()), "w", encoding="utf-8", buffering=1)
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # whatever a library prints is not part of the answer

    def say(**line: Any) -> None:
        out.write(json.dumps(line) + "\n")

    job = json.loads(sys.stdin.readline())
    say(confined=_confined(job, job.pop("confine")))  # before there is any other thread, and TensorFlow
    threading.Thread(target=_end_with_stdin, daemon=True).start()
    os.environ["KERAS_BACKEND"] = "tensorflow"
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    try:
        say(done=_run(job, lambda stage, share: say(progress=[stage, share])))
    except PenultError as error:
        say(error=errors.to_json(error))
    except Exception as error:
        say(error=errors.to_json(_refusal(job["source"], error)))
        raise


def _refusal(source: str, error: Exception) -> ModelRefused:
    """What stopped it, in a line; a limit that struck is named with what lifts it."""
    first = (str(error) or type(error).__name__).splitlines()[0][:300]
    if isinstance(error, MemoryError):
        what = "there was not enough memory; allow more (PENULT_PREPARE_MEMORY, in GiB)"
        return ModelRefused(f"{source} could not be prepared: {what} (MemoryError)", reason="OUT_OF_MEMORY")
    if os.strerror(errno.EFBIG) in str(error):
        what = "it writes a file larger than what a prepared model of its size can need"
        return ModelRefused(f"{source} could not be prepared: {what} ({first})", reason="TOO_MUCH_WRITTEN")
    if isinstance(error, PermissionError) or type(error).__name__ == "PermissionDeniedError":
        what = "it tried what a model is kept from while it is prepared: files, sockets and processes that are not its"
        return ModelRefused(f"{source} could not be prepared: {what} own ({first})", reason="NOT_PERMITTED")
    return ModelRefused(
        f"{source} could not be prepared: {type(error).__name__}: {first}", reason="CANNOT_PREPARE"
    )


def _confined(job: dict[str, Any], rules: dict[str, Any]) -> dict[str, str]:
    limits = confine.Limits(rules["memory"], rules["file"], rules["processor"])
    readable = [job["source"], *job.get("readable", ())]
    return confine.confine(
        [Path(place) for place in readable], [Path(place) for place in rules["writable"]], limits
    )


def _run(job: dict[str, Any], progress: Any) -> dict[str, Any]:
    if job["what"] == "effect":
        from penult_service.preparing.proof.dropout import effect_of

        effect = effect_of(Path(job["source"]), job["texts"], job["allow_ops"])
        return {"effect": None if effect is None else vars(effect)}
    return _prepare(job, progress)


def _prepare(job: dict[str, Any], progress: Any) -> dict[str, Any]:
    """Nothing, when it is prepared; `handles` of the TF-Hub modules that it needs, when not all are known yet."""
    from penult_service.preparing.declarations.declaration import Declaration
    from penult_service.preparing.inspecting.inspection import inspect
    from penult_service.preparing.pipeline import prepare

    source, declared = Path(job["source"]), Declaration.from_json(job["declared"])
    progress(LOOKING, 0.0)
    handles = inspect(source, job["allow_ops"])
    if set(handles) - set(declared.modules):
        return {"handles": handles}
    allowed = job["allow_ops"], job["allow_stochastic"]
    prepare(source, Path(job["target"]), job["layer"], progress, *allowed, declared, looked=True)
    return {}


def _end_with_stdin() -> None:
    sys.stdin.read()
    os._exit(3)


if __name__ == "__main__":
    main()
