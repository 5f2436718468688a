"""`penult similarity`: which texts are most and least alike."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer

from penult_service.analysis.calls import LARGER_IS_CLOSER
from penult_service.cli import options
from penult_service.cli.analyses import Embedding, short, tell_missing
from penult_service.cli.console import note, print_table
from penult_service.cli.scores import sides, usual, usual_picture
from penult_service.cli.scores.comparison import Comparison, Pair, prepared
from penult_service.errors import InvalidInput
from penult_service.vectors import METRICS, POOLINGS, TRUNCATIONS

# Up to so many scores are part of --json; -o takes any number.
JSON_SCORES = 10_000


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("similarity")(similarity)


def similarity(
    texts: Annotated[
        list[str] | None, typer.Argument(metavar="TEXT", help="Texts to compare with each other.")
    ] = None,
    file_a: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Instead of TEXT: a file of texts or embeddings.")
    ] = None,
    file_b: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="The other side; without it A is compared with itself."),
    ] = None,
    model: options.Model = None,
    server: options.Server = None,
    metric: Annotated[str, typer.Option(help=f"One of {', '.join(METRICS)}.")] = "cosine",
    center: Annotated[
        bool,
        typer.Option(
            "--center",
            help="Take the mean of the rows from every row first: tells rows apart that all point one way.",
        ),
    ] = False,
    background: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="Rows that say what scores are usual; without it those that are compared."
        ),
    ] = None,
    top: Annotated[int, typer.Option(min=1, help="How many of the most and least alike pairs to print.")] = 5,
    text_column: options.TextColumn = "text",
    pooling: options.Pooling = "pooled",
    layer: options.Layer = None,
    normalize: options.Normalize = False,
    truncate: options.Truncate = "right",
    data: options.Data = None,
    as_json: options.Json = False,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="FILE.npy", help="All scores, float32 [a, b].")
    ] = None,
    picture: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="Draw what scores are usual, and these among them: a .png or .svg file."
        ),
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace an output that is there.")] = False,
) -> None:
    """The most and least alike pairs of texts.

    Compares the embeddings (in front of the dropout) of the TEXTs with each other, or with --file-b.
    Files are of texts (.csv, .tsv, .jsonl, .parquet, .txt) or of embeddings that `penult embed` wrote
    (.parquet, .arrow, .npy); for those no model is needed. Cosine and dot are similarities (larger is closer),
    euclidean and manhattan distances (smaller is closer).

    Classifiers give cosines near 0.95 to everything, so a percentile stands beside each score: the share of random
    pairs of these rows (or of --background) that are less alike.
    """
    options.one_of("--metric", metric, METRICS)
    options.one_of("--pooling", pooling, POOLINGS)
    options.one_of("--truncate", truncate, TRUNCATIONS)
    if bool(texts) == (file_a is not None):
        raise InvalidInput("name what to compare: either TEXT... or --file-a FILE (and not both)")
    _check_output(output, overwrite)
    usual_picture.check(picture, (file_a, file_b, background), overwrite)
    if center and metric != "cosine":
        raise InvalidInput(
            f"--center is of cosines, not of {metric}", reason="WRONG_COMBINATION", field="center"
        )
    settings = {"pooling": pooling, "layer": layer, "normalize": normalize, "truncate": truncate}
    with Embedding(model, server, data, settings) as embedding:
        a = (
            sides.of_file(file_a, text_column, embedding)
            if file_a
            else sides.of_texts(texts or [], embedding)
        )
        b = sides.of_file(file_b, text_column, embedding) if file_b else None
        usual_side = sides.of_file(background, text_column, embedding) if background else None
    if usual_side is not None:
        sides.check_spaces(a, usual_side)
    checked = sides.check_spaces(a, b or a)
    for option, side in {"--file-a": a, "--file-b": b, "--background": usual_side}.items():
        if side is not None:
            tell_missing(side, f"of {option}")
    if not checked:
        note(
            "note: a side does not say which embedding space it is in, so nobody has checked that they match"
        )
    a, b, known = prepared(a, b, usual_side, metric, center)
    compared = Comparison(a, b, metric, known)
    if output is not None:
        compared.save(output)
    most, least = compared.extremes(top)
    if picture is not None:
        title = " and ".join(path.name for path in (file_a, file_b) if path) or "these texts"
        usual_picture.write(picture, compared, most, least, title)
    if as_json:
        print(json.dumps(_facts(compared, most, least, checked), indent=1, ensure_ascii=False))
    else:
        _show(compared, most, least, top)


def _check_output(output: Path | None, overwrite: bool) -> None:
    if output is None:
        return
    if output.suffix.lower() != ".npy":
        raise InvalidInput(f"{output}: the name of the output ends in .npy", reason="FILE_TYPE")
    if not output.parent.is_dir():
        raise InvalidInput(f"{output}: there is no directory {output.parent}", reason="NO_DIRECTORY")
    if output.exists() and not overwrite:
        raise InvalidInput(f"{output} is there already; --overwrite replaces it", reason="OUTPUT_EXISTS")


def _facts(compared: Comparison, most: list[Pair], least: list[Pair], checked: bool) -> dict[str, Any]:
    def named(pair: Pair) -> dict[str, Any]:
        texts = {"text_a": compared.a.texts, "text_b": compared.b.texts}
        rows = {"text_a": pair.a, "text_b": pair.b}
        told = {**pair._asdict(), "percentile": usual.percentile(compared.known, pair.score)}
        return {**told, **{key: side[rows[key]] for key, side in texts.items() if side is not None}}

    facts: dict[str, Any] = {
        "metric": compared.metric,
        "rows": compared.shape[0],
        "columns": compared.shape[1],
        "embedding_space": compared.a.space or compared.b.space,
        "space_checked": checked,
        "background": usual.facts(compared.known),
        "most_alike": [named(pair) for pair in most],
        "least_alike": [named(pair) for pair in least],
    }
    if compared.shape[0] * compared.shape[1] <= JSON_SCORES:
        scores = np.concatenate([block for _, block in compared.blocks()])
        facts["scores"] = [[None if np.isnan(x) else float(x) for x in row] for row in scores]
    return facts


def _show(compared: Comparison, most: list[Pair], least: list[Pair], top: int) -> None:
    closer = "larger" if compared.metric in LARGER_IS_CLOSER else "smaller"
    print(
        f"{compared.metric}, {closer} is closer; {compared.pairs:,} pair{'s' if compared.pairs > 1 else ''}"
    )
    usual.tell(compared.known, "; --background FILE names some")
    if compared.pairs <= 2 * top:
        # All pairs fit: one list is clearer than two that overlap.
        every, _ = compared.extremes(compared.pairs)
        _print_pairs("", compared, every)
        return
    _print_pairs("most alike", compared, most)
    _print_pairs("least alike", compared, least)


def _print_pairs(title: str, compared: Comparison, pairs: list[Pair]) -> None:
    rows = [
        (
            f"{pair.score:.4f}",
            usual.shown(compared.known, pair.score),
            short(compared.a.name(pair.a)),
            short(compared.b.name(pair.b)),
        )
        for pair in pairs
    ]
    if title:
        print(f"\n{title}")
    if compared.known is None:
        print_table(("", "", ""), [(score, *texts) for score, _, *texts in rows], right=(0,))
    else:
        print_table(("score", "percentile", "", ""), rows, right=(0, 1))
