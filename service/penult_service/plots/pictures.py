"""Pictures of a report: as files, and on a page as they suit the light and the dark."""

from __future__ import annotations

import base64
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from matplotlib.figure import Figure

from penult_service.plots.drawing import file_of, own_style
from penult_service.plots.markup import Html, element, void
from penult_service.plots.themes import DARK, LIGHT, Theme

MEDIA = {"svg": "image/svg+xml", "png": "image/png"}


@dataclass(frozen=True)
class Picture:
    """A picture: `name` for files, `title` and `caption` for people, `kind` svg or png."""

    name: str
    title: str
    caption: str
    kind: str
    draw: Callable[[Theme], Figure]

    def file(self, theme: Theme = LIGHT, kind: str = "") -> bytes:
        """It as a file, of its own kind or of another."""
        with own_style():
            return file_of(self.draw(theme), kind or self.kind, self.title)


def shown_all(drawn: Sequence[Picture]) -> Html:
    """Pictures beside each other where there is room."""
    return element("div", *(shown(picture) for picture in drawn), class_="pictures")


def shown(picture: Picture) -> Html:
    """The picture for a light page, and in its place one for a dark page."""
    dark = void("source", media="(prefers-color-scheme: dark)", srcset=_data(picture, DARK))
    light = void("img", src=_data(picture, LIGHT), alt=f"{picture.title}. {picture.caption}".strip())
    caption = element("figcaption", element("b", picture.title), picture.caption)
    return element("figure", element("picture", dark, light), caption)


def _data(picture: Picture, theme: Theme) -> str:
    return f"data:{MEDIA[picture.kind]};base64,{base64.b64encode(picture.file(theme)).decode()}"
