"""What `penult explain dropout` answers: in words, as a mask of characters, as JSON, as a picture."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from penult_service import __version__
from penult_service.cli.console import note, print_table
from penult_service.cli.explaining.layer_words import paragraph
from penult_service.cli.explaining.shapes import written
from penult_service.cli.outputs import drafts

if TYPE_CHECKING:
    from penult_service.explaining.masks import Answer, Question
    from penult_service.explaining.recurrent_claims import Claim
    from penult_service.explaining.sharing import Axis, Figures
    from penult_service.explaining.variants import Variant

# Numbers of a mask in --json; grids, rows and columns on the screen.
JSON_NUMBERS, SHOWN_BLOCKS, SHOWN_ROWS, SHOWN_COLUMNS = 20_000, 6, 12, 40
KEPT, DROPPED = "#", "."


class Told:
    """The answer, for people and for machines."""

    def __init__(
        self, question: Question, answer: Answer, others: Sequence[Variant], claims: Sequence[Claim]
    ) -> None:
        from penult_service.explaining import sharing

        self.question, self.answer, self.others, self.claims = question, answer, others, claims
        self.axes: tuple[Axis, ...] = sharing.axes_of(answer.masks)
        self.figures: Figures = sharing.figures_of(answer.masks)
        self.sentence = sharing.sentence(answer.masks, self.axes)

    def what(self) -> str:
        """The layer, how it was built, and on what."""
        from penult_service.explaining.masks import AXES

        question = self.question
        parts = [question.layer, f"rate {question.rate:g}"]
        if question.noise_shape is not None:
            parts.append(f"noise shape {written(question.noise_shape)}")
        if question.layer in ("lstm-dropout", "lstm-recurrent"):
            lstm = question.lstm
            parts += [f"{name}={value}" for name, value in lstm.options().items()]
            parts += [
                *(["both dropouts on"] if lstm.both else []),
                *(["called eagerly"] if lstm.eager else []),
            ]
        names = ", ".join(f"{axis}s" for axis in AXES[len(question.shape)])
        return f"{', '.join(parts)}, on an input of {written(question.shape)} ({names}); {self.answer.keras}"

    def remarks(self) -> list[str]:
        """What follows from the figures."""
        found = self.figures
        lines = [_calls(found)]
        noise, shape = self.question.noise_shape, self.question.shape
        if noise is not None and len(noise) < len(shape):
            lines.append(
                f"The noise shape has {len(noise)} axes, the input {len(shape)}: Keras takes them for the last ones."
            )
        batch = next((axis for axis in self.axes if axis.name == "sample"), None)
        if batch is not None and batch.shared and 0.0 < found.zeros < 1.0:
            lines.append(
                f"All {batch.length} samples of a batch get the same mask; `penult explain minibatch` measures what "
                "that costs."
            )
        return lines

    def numbers(self) -> str:
        """The figures in a line."""
        found = self.figures
        rest = "" if found.kept is None else f" · the rest times {found.kept:.4g}"
        error = "" if found.mean_error is None else f" ± {found.mean_error:.4f}"
        return f"zeros {found.zeros:.3f} (rate {self.question.rate:g}){rest} · mean {found.mean:.4f}{error}"

    def laid_out(self) -> tuple[NDArray[np.float32], tuple[str, ...], str]:
        """The first mask as it is shown, [..., rows, columns], its axes, and what was done to it."""
        mask, axes = self.answer.masks.values[0], self.answer.masks.axes
        if axes[0] == "gate" and self.axes[0].shared:
            return mask[0], axes[1:], "the same for all four gates"
        if axes[-1] == "channel":
            return np.moveaxis(mask, -1, 1), (axes[0], axes[-1], *axes[1:-1]), ""
        return mask, axes, ""

    def facts(self) -> dict[str, Any]:
        """All of it, for --json. The mask is that of the first call; null when it is large."""
        question, masks = self.question, self.answer.masks
        first = masks.values[0]
        return {
            "answer": self.sentence,
            "layer": question.layer,
            "keras": self.answer.keras,
            "shape": list(question.shape),
            "noise_shape": None if question.noise_shape is None else list(question.noise_shape),
            "rate": question.rate,
            "seed": question.seed,
            "lstm": asdict(question.lstm) if masks.axes[0] == "gate" else None,
            "axes": [asdict(axis) for axis in self.axes],
            **asdict(self.figures),
            "residual": self.answer.residual,
            "mask": first.tolist() if first.size <= JSON_NUMBERS else None,
            "others": [asdict(other) for other in self.others],
            "claims": [asdict(claim) for claim in self.claims],
            "penult": __version__,
        }

    def show(self) -> None:
        """Print it."""
        print(self.what())
        print(f"\n{_sentence(self.sentence)}")
        for line in self.remarks():
            print(line)
        print()
        headings = ("axis", "length", "different masks", "one draw for all")
        print_table(headings, [_row(axis) for axis in self.axes], right=(1, 2))
        print(f"\n{self.numbers()}")
        mask, axes, said = self.laid_out()
        print(f"\nthe first mask ({KEPT} kept, {DROPPED} dropped){said and f', {said}'}")
        print("\n".join(_mask_lines(mask, axes)))
        if self.others:
            print("\nother ways to build it, measured the same way")
            print_table(("", "", ""), [(o.keras, o.built, o.found) for o in self.others])
        if self.claims:
            print(f"\nwhat is said of dropout, held against {self.answer.keras}")
        for claim in self.claims:
            print(paragraph(f"{claim.verdict}: {claim.said}", indent="  "))
            print(paragraph(f"  {claim.measured}.", indent="  "))

    def draw(self, place: Path) -> None:
        """Write the picture."""
        from penult_service.explaining.sharing import place_name
        from penult_service.plots.explained.masks import MaskView, picture

        mask, axes, said = self.laid_out()
        times = "" if self.figures.kept is None else f", times {self.figures.kept:.4g}"
        caption = " · ".join(filter(None, (self.what(), self.numbers(), said)))
        places = tuple(
            tuple(place_name(name, at) for at in range(length))
            for name, length in zip(axes[:-2], mask.shape, strict=False)
        )
        view = MaskView(mask, axes, places, _sentence(self.sentence), caption, f"kept{times}")
        with drafts(place) as (draft,):
            draft.write_bytes(picture(view, place.suffix.lower().removeprefix(".")))
        note(f"wrote {place}")


def _row(axis: Axis) -> tuple[str, ...]:
    shared = {True: "yes", False: "no", None: "-" if axis.length == 1 else "cannot be told"}[axis.shared]
    return f"{axis.name}s", str(axis.length), str(axis.distinct), shared


def _calls(found: Figures) -> str:
    if found.draws == 1:
        return "One call was made: whether the next draws anew was not looked at."
    if found.distinct_draws == 1:
        return f"All {found.draws:,} calls gave the same."
    return f"Each call draws anew: {found.distinct_draws:,} different masks in {found.draws:,} calls."


def _mask_lines(mask: Any, axes: Sequence[str]) -> list[str]:
    """The mask as rows of characters, a block for each of the first samples (and gates)."""
    from penult_service.explaining.sharing import place_name

    grid = mask.reshape(1, -1) if mask.ndim == 1 else mask
    outer, rows, columns = grid.shape[:-2], grid.shape[-2], grid.shape[-1]
    places = list(np.ndindex(outer))
    lines = [f"down: {axes[-2]}s, across: {axes[-1]}s" if mask.ndim > 1 else f"across: {axes[0]}s"]
    for place in places[:SHOWN_BLOCKS]:
        if outer:
            lines.append(", ".join(place_name(name, at) for name, at in zip(axes, place, strict=False)))
        for row in grid[place][:SHOWN_ROWS]:
            line = " ".join(KEPT if value else DROPPED for value in row[:SHOWN_COLUMNS])
            lines.append(f"  {line}" + (" ..." if columns > SHOWN_COLUMNS else ""))
        if rows > SHOWN_ROWS:
            lines.append(f"  ... {rows - SHOWN_ROWS:,} more {axes[-2]}s")
    if len(places) > SHOWN_BLOCKS:
        lines.append(f"... {len(places) - SHOWN_BLOCKS:,} more")
    return lines


def _sentence(words: str) -> str:
    return f"{words[:1].upper()}{words[1:]}."
