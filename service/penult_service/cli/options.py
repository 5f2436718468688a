"""Options that several commands share, and the client that they ask for."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from penult_service.cli.console import status
from penult_service.errors import InvalidInput, NotFound
from penult_service.vectors import POOLINGS, TRUNCATIONS

if TYPE_CHECKING:
    from penult_client import Client

DEFAULT_SERVER = "localhost:50051"
# The longest wait for one call, in seconds: a thousand long texts on a big model and a busy machine.
TIMEOUT = 600.0

Model = Annotated[
    str | None,
    typer.Option(
        metavar="PATH|NAME",
        help="A model's directory or file (a private server is started and ended), or a name with --server.",
    ),
]
Server = Annotated[
    str | None, typer.Option(metavar="HOST:PORT", help="A running server; without it --model is a path.")
]
RunningServer = Annotated[str, typer.Option("--server", metavar="HOST:PORT", help="A running server.")]
KeepingServer = Annotated[
    str | None,
    typer.Option("--server", metavar="HOST:PORT", help="A running server that keeps it; or name --data DIR."),
]
TextColumn = Annotated[str, typer.Option(metavar="NAME", help="The column that holds the texts.")]
Pooling = Annotated[str, typer.Option(help=f"What is read: {', '.join(POOLINGS)}.")]
Layer = Annotated[
    str | None, typer.Option(metavar="NAME", help="A readout of the model; default: in front of the dropout.")
]
Normalize = Annotated[bool, typer.Option("--normalize", help="Scale every embedding to unit length.")]
Truncate = Annotated[str, typer.Option(help=f"Texts that are too long: {' or '.join(TRUNCATIONS)}.")]
Data = Annotated[
    Path | None,
    typer.Option(
        metavar="DIR",
        help="Without --server: keep prepared models in DIR/prepared. [default: the user's cache]",
    ),
]
AllowOps = Annotated[
    list[str] | None,
    typer.Option(
        "--allow-op",
        metavar="NAME",
        help="Allow models this TensorFlow operation, which is not on the list; can be given again.",
    ),
]
AllowStochastic = Annotated[
    bool,
    typer.Option(
        "--allow-stochastic",
        help="Take models that are random at inference too; every reply then carries a warning.",
    ),
]
Engine = Annotated[
    str | None,
    typer.Option(
        help="auto, tensorflow or openvino; auto: what is measured to be fastest here. [default: auto]"
    ),
]
Precision = Annotated[
    str | None,
    typer.Option(
        help="float32, bfloat16 or auto; auto: bfloat16 where it is faster and changes little. [default: float32]"
    ),
]
Threads = Annotated[
    int | None, typer.Option(min=1, help="Threads that compute. [default: one a core, or what auto finds]")
]
ForcePrecision = Annotated[
    bool, typer.Option("--force-precision", help="Take the precision whatever it changes.")
]
TableOutput = Annotated[
    Path | None,
    typer.Option("--output", "-o", metavar="FILE", help="Write it all to a .parquet, .csv or .jsonl file."),
]
Name = Annotated[
    str | None,
    typer.Option(
        metavar="NAME",
        help="Keep it under this name: on the server, or in --data DIR (of `penult serve --data`).",
    ),
]
OverwriteOrName = Annotated[
    bool, typer.Option("--overwrite", help="Replace an output that is there, or what has the --name.")
]
DryRun = Annotated[
    bool, typer.Option("--dry-run", help="Compute nothing; print what it would take, in time and memory.")
]
KeptData = Annotated[
    Path | None,
    typer.Option(
        metavar="DIR",
        help="Without --server: the directory of `penult serve --data` that keeps it; no server may have it open.",
    ),
]
NewRowsModel = Annotated[
    str | None,
    typer.Option(
        metavar="PATH|NAME",
        help="What embeds texts: with --data its directory or file; with --server a name, by default that of the model "
        "that made it.",
    ),
]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace an output that is there.")]
Seed = Annotated[int, typer.Option(help="Seed of all that is random.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def one_of(option: str, value: str, allowed: tuple[str, ...]) -> str:
    """The value; InvalidInput naming the option when it is not allowed."""
    if value not in allowed:
        raise InvalidInput(f"{option} is one of {', '.join(allowed)}, not {value!r}", field=option)
    return value


@contextmanager
def connected(
    model: str | None,
    server: str | None,
    data: Path | None = None,
    analysis_workers: int | None = None,
    **serve: Any,
) -> Iterator[tuple[Client, str | None]]:
    """A client, and the name to call the model by (None: the only one there).

    `data`, `analysis_workers` and `serve` are a private server's: where it keeps prepared models, and other options
    of `penult serve`.

    Raises:
        InvalidInput: neither a server nor a model is named; or `serve` for a server that runs already.
        NotFound: there is no such directory or file.
    """
    from penult_client import Client

    if server:
        if serve:
            raise InvalidInput(
                f"--{next(iter(serve))} is of the private server of --model PATH; {server} has its own"
            )
        with Client(server, timeout=TIMEOUT) as client:
            yield client, model
        return
    if not model:
        raise InvalidInput(
            "name a model's directory or file with --model PATH, or a running server with --server HOST:PORT"
        )
    if not Path(model).exists():
        raise NotFound(f"there is no {model}; a model by name needs --server HOST:PORT as well")
    with status(f"starting a private server for {model} (the first time it is prepared, which takes longer)"):
        private = Client.open(model, timeout=TIMEOUT, data=data, analysis_workers=analysis_workers, **serve)
    with private as client:
        yield client, None
