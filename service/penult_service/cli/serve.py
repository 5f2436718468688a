"""`penult serve`: a gRPC server for models."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from penult_service.cli import options


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("serve")(_serve)


def _serve(
    paths: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="PATH...",
            help="A saved model (a directory, or a .keras or .h5 file), a prepared model, or a directory <model>/ of"
            " numbered versions; name=PATH gives it another name. fake:NAME is a tiny made-up model, for trying out"
            " clients.",
            show_default=False,
        ),
    ] = None,
    models: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Serve every <model>/<version>/ in DIR instead.")
    ] = None,
    data: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="Keep sets, prepared models and compiled code in DIR. [default: sets go with the server, the rest"
            " stays in the user's cache]",
        ),
    ] = None,
    host: Annotated[str | None, typer.Option(help="The address to listen on. [default: 127.0.0.1]")] = None,
    port: Annotated[int | None, typer.Option(help="The port; 0: any free one. [default: 50051]")] = None,
    metrics_port: Annotated[
        int | None, typer.Option(help="Prometheus metrics, on the same address. [default: none]")
    ] = None,
    grace: Annotated[
        float | None, typer.Option(help="Seconds that running calls have when the server ends. [default: 10]")
    ] = None,
    log: Annotated[str | None, typer.Option(help="json or human. [default: human]")] = None,
    address_file: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Written with host:port once the server listens.")
    ] = None,
    exit_with_stdin: Annotated[
        bool | None, typer.Option("--exit-with-stdin", help="End when standard input closes.")
    ] = None,
    engine: options.Engine = None,
    precision: options.Precision = None,
    threads: options.Threads = None,
    force_precision: options.ForcePrecision = False,
    cache_mib: Annotated[
        int | None,
        typer.Option(
            metavar="MIB",
            help="Keep this much of what was computed, for texts that come again. [default: 0, nothing]",
        ),
    ] = None,
    prepare_timeout: Annotated[
        float | None, typer.Option(help="Seconds that preparing one model may take. [default: 900]")
    ] = None,
    prepare_memory: Annotated[
        float | None,
        typer.Option(metavar="GIB", help="Memory that it may take. [default: what is free then]"),
    ] = None,
    allow_op: options.AllowOps = None,
    allow_stochastic: options.AllowStochastic = False,
    analysis_workers: Annotated[
        int | None,
        typer.Option(help="Analyses that run at a time, each in a process; 0: none. [default: 1]"),
    ] = None,
    analysis_memory: Annotated[
        float | None,
        typer.Option(
            metavar="GIB",
            help="Memory that one may take. [default: half the machine's, shared by workers and operations]",
        ),
    ] = None,
) -> int:
    """Serve models over gRPC.

    Every option can be given as a variable too: --metrics-port as PENULT_METRICS_PORT, and the limits of a
    call as PENULT_MAX_TEXTS, PENULT_MAX_TEXT_BYTES, PENULT_MAX_REQUEST_BYTES, PENULT_MAX_RESPONSE_BYTES,
    PENULT_MAX_QUEUED_TOKENS, PENULT_MAX_SCORES, PENULT_MAX_ANALYSIS_SECONDS and PENULT_MAX_ANALYSIS_BYTES;
    PENULT_ALLOW_OPS is a list with commas; PENULT_ANALYSIS_QUEUE calls may wait for a worker. SIGTERM and
    Ctrl-C end it: running calls finish within the grace, a second signal ends it at once. Exit codes: 0
    ended, 1 no model could be served, 2 usage, 70 the computing thread died too often.
    """
    from penult_service.config import serve_config
    from penult_service.process import serve

    config = serve_config(
        paths=tuple(paths or ()),
        models=models,
        data=data,
        host=host,
        port=port,
        metrics_port=metrics_port,
        grace=grace,
        log=log,
        address_file=address_file,
        exit_with_stdin=exit_with_stdin,
        engine=engine,
        precision=precision,
        threads=threads,
        force_precision=force_precision or None,
        cache_mib=cache_mib,
        prepare_timeout=prepare_timeout,
        prepare_memory=prepare_memory,
        allow_ops=",".join(allow_op or ()) or None,
        allow_stochastic=allow_stochastic or None,
        analysis_workers=analysis_workers,
        analysis_memory=analysis_memory,
    )
    return serve(config)
