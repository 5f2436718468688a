"""The one table from errors to exit codes, and the words for errors that are not ours."""

from __future__ import annotations

from penult_service.errors import InvalidInput, NotFound, PenultError

DONE, FAILED, USAGE, PARTLY, INTERRUPTED = 0, 1, 2, 3, 130

_SERVER_EXTRA = (
    "tensorflow",
    "tensorflow_text",
    "tensorflow_hub",
    "keras",
    "tf_keras",
    "keras_hub",
    "safetensors",
)
_SERVE_EXTRA = ("grpc_health", "grpc_reflection", "prometheus_client", "pydantic_settings", "psutil")
_ANALYSIS_EXTRA = ("sklearn", "scipy", "numba", "threadpoolctl", "umap", "pynndescent")
EXTRAS = {
    **dict.fromkeys(_SERVER_EXTRA, "server"),
    **dict.fromkeys(_SERVE_EXTRA, "serve"),
    **dict.fromkeys(_ANALYSIS_EXTRA, "analysis"),
    **dict.fromkeys(("matplotlib", "PIL"), "plots"),
    **dict.fromkeys(("rich", "pyarrow"), "cli"),
}

# A server's words for what this process calls InvalidInput: the rows of a file stand in another embedding space.
_OF_THE_INPUT = ("SPACE_MISMATCH",)


def exit_code(error: Exception) -> int:
    """2 where the caller has to change what was asked, 1 for all else that failed."""
    from penult_client import AlreadyExistsError, InvalidInputError, NotFoundError  # late: it brings gRPC

    wrong = (InvalidInput, NotFound, InvalidInputError, NotFoundError, AlreadyExistsError)
    asked = isinstance(error, wrong) or getattr(error, "reason", "") in _OF_THE_INPUT
    return USAGE if asked else FAILED


def explain(error: Exception) -> str:
    """What was wrong and what to do, in a line."""
    from penult_client import PenultError as ClientError

    if isinstance(error, PenultError | ClientError):
        return str(error.message)
    if isinstance(error, ModuleNotFoundError):
        module = (error.name or "").partition(".")[0]
        if module in EXTRAS:
            return f"this needs {module}, which is not installed: pip install 'penult[{EXTRAS[module]}]'"
    if isinstance(error, OSError) and error.strerror:
        return f"{error.filename or 'input/output'}: {error.strerror}"
    return f"{type(error).__name__}: {error} (a bug of penult: please report it, with PENULT_DEBUG=1)"
