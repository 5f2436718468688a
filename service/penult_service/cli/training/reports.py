"""What commands that compare trainings share: the files that tell what came of it."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated
from urllib.parse import quote

import typer

from penult_service.cli import analyses, tables
from penult_service.cli.console import note
from penult_service.cli.outputs import drafts
from penult_service.plots.markdown import plain

ENDINGS = (".md", ".png", ".svg")

Reports = Annotated[
    list[Path] | None,
    typer.Option(
        "--report", metavar="FILE", help="The comparison as .md, .png or .svg; may be named several times."
    ),
]


def check(places: Sequence[Path], inputs: Sequence[Path | None], overwrite: bool) -> None:
    """Refuse, before any work, what cannot be written, drawn or trained.

    Raises:
        InvalidInput: as `tables.check_places`.
        ModuleNotFoundError: what trains or draws is not installed.
    """
    tables.check_places(places, inputs, overwrite, ENDINGS)
    analyses.require("tensorflow", "tf_keras")
    if any(place.suffix.lower() != ".md" for place in places):
        analyses.require("matplotlib")


def write(places: Sequence[Path], page: Callable[[], Sequence[str]], picture: Callable[[str], bytes]) -> None:
    """The files, each as its ending says; all of them or none.

    Args:
        places: Where; none are fine.
        page: Makes the lines of a Markdown document; the pictures that are written with it are shown at its end.
        picture: Makes a picture of the kind `png` or `svg`.
    """
    pictures = [place for place in places if place.suffix.lower() != ".md"]
    with drafts(*places) as made:
        for place, draft in zip(places, made, strict=True):
            if place in pictures:
                draft.write_bytes(picture(place.suffix[1:].lower()))
            else:
                beside = ((plain(one.stem), quote(os.path.relpath(one, place.parent))) for one in pictures)
                text = "\n".join([*page(), *(f"![{name}]({path})" for name, path in beside)])
                draft.write_text(text.rstrip("\n") + "\n", encoding="utf-8")
    for place in places:
        note(f"wrote {place}")
