"""`penult explain dropout`: a mask as the real layer draws it, and which axes share it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
import typer
from numpy.typing import NDArray

from penult_service import __version__
from penult_service.cli import analyses, explain_shapes, options, tables
from penult_service.cli.console import note, print_table
from penult_service.cli.explain_shapes import written
from penult_service.cli.outputs import drafts
from penult_service.errors import InvalidInput

if TYPE_CHECKING:
    from penult_service.explaining.masks import Answer, Question
    from penult_service.explaining.sharing import Axis, Figures
    from penult_service.explaining.variants import Variant

# Of explaining.masks, written out so that --help does not import NumPy; a test compares.
LAYERS = ("Dropout", "SpatialDropout1D", "SpatialDropout2D", "lstm-dropout", "lstm-recurrent")
PICTURES = (".png", ".svg")
# Numbers of a mask in --json; grids, rows and columns on the screen.
JSON_NUMBERS, SHOWN_BLOCKS, SHOWN_ROWS, SHOWN_COLUMNS = 20_000, 6, 12, 40
KEPT, DROPPED = "#", "."

Shape = Annotated[str, typer.Option(metavar="N,N,...", help="Of the input, the batch first, such as 4,6,10.")]
Layer = Annotated[str, typer.Option(help=f"One of {', '.join(LAYERS)}.")]
NoiseShape = Annotated[
    str | None,
    typer.Option(
        metavar="N,N,...", help="Of Dropout: 1 shares a draw along the axis, None (or its length) does not."
    ),
]
Rate = Annotated[float, typer.Option(help="The share to drop, 0 to 1.")]
Keras = Annotated[int, typer.Option(help="3, or 2 for tf_keras.")]
Draws = Annotated[
    int | None,
    typer.Option(metavar="N", help="Calls of the layer. [default: enough to tell what is shared]"),
]
Units = Annotated[int, typer.Option(help="Of lstm-recurrent: how wide the state is.")]
Implementation = Annotated[
    int | None, typer.Option(metavar="1|2", help="Of an LSTM. [default: as Keras has it]")
]
NoCudnn = Annotated[bool, typer.Option("--no-cudnn", help="Of an LSTM of Keras 3: use_cudnn=False.")]
Unroll = Annotated[bool, typer.Option("--unroll", help="Of an LSTM: unroll=True.")]
Both = Annotated[bool, typer.Option("--both", help="Of an LSTM: dropout and recurrent_dropout are both on.")]
Eager = Annotated[
    bool, typer.Option("--eager", help="Call an LSTM as Python, not inside a tf.function as `fit` does.")
]
Output = Annotated[Path | None, typer.Option("--output", "-o", metavar="FILE", help="A .png or .svg file.")]


def dropout(
    shape: Shape,
    layer: Layer = "Dropout",
    noise_shape: NoiseShape = None,
    rate: Rate = 0.5,
    seed: options.Seed = 42,
    keras: Keras = 3,
    draws: Draws = None,
    units: Units = 10,
    implementation: Implementation = None,
    no_cudnn: NoCudnn = False,
    unroll: Unroll = False,
    both: Both = False,
    eager: Eager = False,
    output: Output = None,
    as_json: options.Json = False,
    overwrite: options.Overwrite = False,
) -> None:
    """A dropout's mask, drawn by the real layer, and what shares it.

    The layer is called in training on ones, many times. What is shared is looked up in the masks that it made, so the
    answer is what the installed Keras does, whatever is written about it.

    The masks of an LSTM are read off its output; beside the answer stands what other ways to build it do.
    """
    from penult_service.cli.explain import keras_here

    options.one_of("--layer", layer, LAYERS)
    if keras not in (2, 3):
        raise InvalidInput(f"--keras is 2 or 3, not {keras}", field="--keras")
    if implementation not in (None, 1, 2):
        raise InvalidInput(f"--implementation is 1 or 2, not {implementation}", field="--implementation")
    if layer not in LAYERS[-2:] and (implementation or no_cudnn or unroll or both or eager):
        raise InvalidInput(
            "--implementation, --no-cudnn, --unroll, --both and --eager are of an LSTM: --layer lstm-dropout or "
            "lstm-recurrent",
            field="--layer",
        )
    lengths = explain_shapes.lengths("--shape", shape)
    noise = None if noise_shape is None else explain_shapes.noise_shape("--noise-shape", noise_shape)
    if output is not None:
        tables.check_places([output], (), overwrite, PICTURES)
        analyses.require("matplotlib")
    analyses.require("tensorflow", "keras" if keras == 3 else "tf_keras")
    with keras_here():
        from penult_service.explaining import lstm_masks, masks, variants

        settings = lstm_masks.Settings(
            units, implementation, False if no_cudnn else None, unroll, both, eager
        )
        question = masks.Question(layer, lengths, rate, noise, seed, keras, draws, settings)
        answer = masks.draw(question)
        others: list[Variant] = []
        if layer in lstm_masks.KINDS:
            others = variants.of(layer, [3, 2] if find_spec("tf_keras") else [3])
    told = Told(question, answer, others)
    if output is not None:
        _draw(told, output)
    if as_json:
        print(json.dumps(told.facts(), indent=1, ensure_ascii=False))
    else:
        told.show()


class Told:
    """The answer, for people and for machines."""

    def __init__(self, question: Question, answer: Answer, others: Sequence[Variant]) -> None:
        from penult_service.explaining import sharing

        self.question, self.answer, self.others = question, answer, others
        self.axes: tuple[Axis, ...] = sharing.axes_of(answer.masks)
        self.figures: Figures = sharing.figures_of(answer.masks)
        self.sentence = sharing.sentence(answer.masks, self.axes)

    def what(self) -> str:
        """The layer, how it was built, and on what."""
        question = self.question
        from penult_service.explaining.masks import AXES

        parts = [question.layer, f"rate {question.rate:g}"]
        if question.noise_shape is not None:
            parts.append(f"noise shape {written(question.noise_shape)}")
        if question.layer in ("lstm-dropout", "lstm-recurrent"):
            parts += [f"{name}={value}" for name, value in question.lstm.options().items()]
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
        return (
            f"zeros {found.zeros:.3f} (rate {self.question.rate:g}){rest} · "
            f"mean {found.mean:.4f} ± {found.mean_error:.4f}"
        )

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
            "axes": [asdict(axis) for axis in self.axes],
            **asdict(self.figures),
            "residual": self.answer.residual,
            "mask": first.tolist() if first.size <= JSON_NUMBERS else None,
            "others": [asdict(other) for other in self.others],
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


def _draw(told: Told, place: Path) -> None:
    from penult_service.explaining.sharing import place_name
    from penult_service.plots.masks import MaskView, picture

    mask, axes, said = told.laid_out()
    times = "" if told.figures.kept is None else f", times {told.figures.kept:.4g}"
    caption = " · ".join(filter(None, (told.what(), told.numbers(), said)))
    places = tuple(
        tuple(place_name(name, at) for at in range(length))
        for name, length in zip(axes[:-2], mask.shape, strict=False)
    )
    view = MaskView(mask, axes, places, _sentence(told.sentence), caption, f"kept{times}")
    with drafts(place) as (draft,):
        draft.write_bytes(picture(view, place.suffix.lower().removeprefix(".")))
    note(f"wrote {place}")


def _sentence(words: str) -> str:
    return f"{words[:1].upper()}{words[1:]}."
