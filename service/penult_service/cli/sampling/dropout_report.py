"""What `penult dropout` reports: the client's answer as a view, and the files that are made of it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from penult_service import __version__
from penult_service.cli.outputs import drafts
from penult_service.cli.sampling.rows import Rows
from penult_service.errors import InvalidInput
from penult_service.plots.dropout import dropout_view as shown

if TYPE_CHECKING:
    from penult_client import Distribution, DropoutComparison, DropoutEffect, DropoutReport

PAGE, MARKDOWN, JSON = ".html", ".md", ".json"
ENDINGS = (PAGE, MARKDOWN, JSON)


@dataclass(frozen=True)
class Asked:
    """The rows that were compared: their numbers in the file, and what else a report tells of the call.

    `notes` are sentences on rows that are left out; `command` makes the report again.
    """

    rows: Rows
    numbers: list[int]
    label_name: str | None
    notes: tuple[str, ...]
    command: str

    @property
    def texts(self) -> list[str]:
        """Of the rows."""
        return [self.rows.text(number) for number in self.numbers]

    @property
    def labels(self) -> list[str] | None:
        """Of the rows; None without."""
        labels = self.rows.labels
        return None if labels is None else [labels[number] for number in self.numbers]


def view_of(asked: Asked, found: DropoutComparison, about: DropoutReport) -> shown.DropoutView:
    """The report on a comparison; `about` tells of the model's dropouts."""
    return shown.DropoutView(
        title=asked.rows.source,
        answer=found.answer,
        inference=tuple(shown.ProofFigure(f.name, f.meaning, f.value, f.limit) for f in found.inference),
        sites=tuple(
            shown.Site(s.path, s.layer_class, s.rate, s.place, s.shared_axes, s.sampled, s.read)
            for s in about.sites
        ),
        effects=tuple(_effect(effect) for effect in found.effects),
        texts=asked.texts,
        numbers=asked.numbers,
        reseeded=_spread(found.cluster_agreement_reseeded),
        passes=found.passes,
        seed=found.seed,
        neighbors=found.neighbors,
        n_clusters=found.n_clusters,
        row_labels=asked.labels,
        label_name=asked.label_name or "label",
        classes=tuple(found.labels),
        predicted=found.predicted if found.predicted is not None and len(found.predicted) else None,
        coordinates=found.coordinates,
        notes=(
            *asked.notes,
            *(f"{a.parameter} is {a.used}, not {a.asked}: {a.why}" for a in found.adjustments),
        ),
        facts=_facts(asked, found, about),
        command=asked.command,
    )


def _effect(told: DropoutEffect) -> shown.Effect:
    return shown.Effect(
        scope=told.scope,
        active=tuple(shown.Active(each.path, each.layer_class, each.rate) for each in told.active),
        cosine_to_clean=_spread(told.cosine_to_clean),
        cosine_between_draws=None
        if told.cosine_between_draws is None
        else _spread(told.cosine_between_draws),
        neighbors_changed=told.neighbors_changed,
        nearest_kept=told.nearest_kept,
        cluster_agreement=_spread(told.cluster_agreement),
        row_neighbors_changed=np.asarray(told.row_neighbors_changed, np.float32),
        expected_cosine_to_clean=told.expected_cosine_to_clean,
        expected_cosine_between_draws=told.expected_cosine_between_draws,
        pair_rank_correlation=told.pair_rank_correlation,
        predictions_flipped=told.predictions_flipped,
        rows_flipped=told.rows_flipped,
        row_flipped=told.row_flipped if told.row_flipped is not None and len(told.row_flipped) else None,
        coordinates=told.coordinates,
    )


def _spread(told: Distribution) -> shown.Spread:
    return shown.Spread(told.mean, told.std, told.min, told.max, tuple(int(count) for count in told.counts))


def _facts(asked: Asked, found: DropoutComparison, about: DropoutReport) -> tuple[tuple[str, str], ...]:
    proven = "proven to play no part in inference" if about.proven else "not proven to play no part"
    rows, every = len(asked.numbers), len(asked.rows)
    return (
        ("model", f"{found.model}@{found.version}"),
        ("digest of the model", found.digest),
        ("embedding space", found.space),
        ("dropout", proven),
        ("texts", f"{rows:,} of the {every:,} rows of {asked.rows.source}"),
        ("passes, seed", f"{found.passes:,}, {found.seed}"),
        ("penult", __version__),
    )


def pictures_of(place: Path) -> Path:
    """The folder beside a Markdown report that holds its pictures."""
    return place.with_name(f"{place.stem}_files")


def check_folders(places: Sequence[Path], overwrite: bool) -> None:
    """Refuse, before any work, folders of pictures that cannot or must not be written.

    Raises:
        InvalidInput: one is there already, or is a file.
    """
    for place in places:
        folder = pictures_of(place)
        if place.suffix.lower() != MARKDOWN or not folder.exists():
            continue
        if not folder.is_dir():
            raise InvalidInput(
                f"{folder}, for the pictures of {place.name}, is a file", reason="OUTPUT_EXISTS"
            )
        if not overwrite:
            raise InvalidInput(
                f"{folder}, for the pictures of {place.name}, is there already; --overwrite writes into it",
                reason="OUTPUT_EXISTS",
            )


def write(view: shown.DropoutView, places: Sequence[Path]) -> None:
    """All reports, or none."""
    files: dict[Path, bytes] = {}
    for place in places:
        files |= _files(view, place)
    folders = [folder for folder in {path.parent for path in files} if not folder.exists()]
    try:
        for folder in folders:
            folder.mkdir()
        with drafts(*files) as written:
            for draft, data in zip(written, files.values(), strict=True):
                draft.write_bytes(data)
    except BaseException:
        for folder in folders:
            with suppress(OSError):
                folder.rmdir()
        raise


def _files(view: shown.DropoutView, place: Path) -> dict[Path, bytes]:
    """A report with what belongs to it."""
    ending = place.suffix.lower()
    if ending == PAGE:
        from penult_service.plots.dropout.dropout_page import page

        return {place: page(view).encode()}
    if ending == MARKDOWN:
        from penult_service.plots.dropout.dropout_markdown import markdown

        folder = pictures_of(place)
        text, pictures = markdown(view, folder.name)
        return {**{folder / name: data for name, data in pictures.items()}, place: text.encode()}
    return {place: (as_json(view) + "\n").encode()}


def as_json(view: shown.DropoutView) -> str:
    """All figures."""
    from penult_service.plots.dropout.dropout_facts import facts

    return json.dumps(facts(view), indent=1, ensure_ascii=False, allow_nan=False)
