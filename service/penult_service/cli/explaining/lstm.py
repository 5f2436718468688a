"""`penult explain lstm`: what the N units of a recurrent layer are, checked against the built layer."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from penult_service import __version__
from penult_service.cli import analyses, options, tables
from penult_service.cli.console import note, print_table
from penult_service.cli.exits import DONE, FAILED
from penult_service.cli.explaining.layer_words import paragraph
from penult_service.cli.outputs import drafts
from penult_service.errors import InvalidInput

if TYPE_CHECKING:
    from penult_service.explaining.recurrent import Asked, Check, Tensor
    from penult_service.explaining.recurrent_claims import Claim

# Of explaining.recurrent, written out so that --help does not import NumPy; a test compares.
LAYERS = ("LSTM", "GRU", "SimpleRNN")
PICTURES = (".png", ".svg")

Units = Annotated[int, typer.Option(metavar="N", help="As in LSTM(N).")]
Steps = Annotated[int, typer.Option(metavar="N", help="Steps of a sequence.")]
Features = Annotated[int, typer.Option(metavar="N", help="Numbers a step.")]
Sequences = Annotated[bool, typer.Option("--return-sequences", help="Give h of every step.")]
Layer = Annotated[str, typer.Option(help=f"One of {', '.join(LAYERS)}.")]
Keras = Annotated[int, typer.Option(help="3, or 2 for tf_keras.")]
Output = Annotated[Path | None, typer.Option("--output", "-o", metavar="FILE", help="A .png or .svg file.")]


def lstm(
    units: Units = 10,
    steps: Steps = 50,
    features: Features = 7,
    return_sequences: Sequences = False,
    layer: Layer = "LSTM",
    keras: Keras = 3,
    output: Output = None,
    as_json: options.Json = False,
    overwrite: options.Overwrite = False,
) -> int:
    """What LSTM(N) configures: the shape of every tensor, the parameters, units against cells.

    Every shape and figure is held against the layer that the installed Keras builds, whose steps are computed by hand
    beside it. Exit codes: 0 they agree, 1 they do not, 2 usage.
    """
    from penult_service.cli.explaining.keras import keras_here

    options.one_of("--layer", layer, LAYERS)
    if keras not in (2, 3):
        raise InvalidInput(f"--keras is 2 or 3, not {keras}", field="--keras")
    if output is not None:
        tables.check_places([output], (), overwrite, PICTURES)
        analyses.require("matplotlib")
    analyses.require("tensorflow", "keras" if keras == 3 else "tf_keras")
    with keras_here():
        from penult_service.explaining import recurrent, recurrent_claims

        asked = recurrent.Asked(layer, units, steps, features, return_sequences, keras)
        built = recurrent.Built(asked)
        checks = built.checks
        right = all(one.right for one in checks)
        claims = recurrent_claims.claims_of(built) if right else []
        told = Told(asked, built.name, recurrent.tensors_of(asked), checks, claims)
    if output is not None and right:
        told.draw(output)
    if as_json:
        print(json.dumps(told.facts(), indent=1, ensure_ascii=False))
    else:
        told.show()
    for one in checks:
        if not one.right:
            note(f"this and Keras disagree: {one.what} should be {one.expected}, and is {one.found}")
    return DONE if right else FAILED


class Told:
    """The answer, for people and for machines."""

    def __init__(
        self, asked: Asked, keras: str, tensors: tuple[Tensor, ...], checks: list[Check], claims: list[Claim]
    ) -> None:
        self.asked, self.keras, self.tensors, self.checks, self.claims = asked, keras, tensors, checks, claims

    def answer(self) -> str:
        """Units in words."""
        from penult_service.explaining.recurrent import all_of

        asked, carried = self.asked, self.asked.kind.states
        units = f"{asked.units:,} number{'s' if asked.units > 1 else ''}"
        what = (
            f"a state h of {units}" if len(carried) == 1 else f"a state h and a cell state c of {units} each"
        )
        times = "once" if asked.steps == 1 else f"{asked.steps:,} times, once a step, each time"
        return (
            f"{asked.layer}({asked.units}) is one layer that carries {what} from step to step: units is that length. "
            f"It runs {times} with the same {asked.parameters:,} weights, and each unit hears "
            f"{all_of(asked.features, 'feature')} of the step and {all_of(asked.units, 'number')} of h before it."
        )

    def facts(self) -> dict[str, Any]:
        """All of it, for --json; -1 in a shape is the batch."""
        return {
            "answer": self.answer(),
            **asdict(self.asked),
            "keras": self.keras,
            "parameters": self.asked.parameters,
            "formula": self.asked.formula,
            "tensors": [asdict(tensor) for tensor in self.tensors],
            "agrees": all(one.right for one in self.checks),
            "checks": [asdict(one) for one in self.checks],
            "claims": [asdict(claim) for claim in self.claims],
            "penult": __version__,
        }

    def show(self) -> None:
        """Print it."""
        from penult_service.explaining.recurrent import shape_text

        asked = self.asked
        given = f"{asked.steps:,} step{'s' if asked.steps > 1 else ''} of {asked.features:,} feature"
        print(f"{asked.layer}({asked.units}) on {given}{'s' if asked.features > 1 else ''}; {self.keras}\n")
        print(paragraph(self.answer()))
        print()
        rows = [(one.name, shape_text(one.shape), one.what) for one in self.tensors]
        print_table(("tensor", "shape", ""), rows)
        print(f"\nparameters: {asked.formula}")
        right = sum(one.right for one in self.checks)
        print(
            f"held against the built layer: {right} of {len(self.checks)} agree; {self.checks[-1].what}: "
            f"{self.checks[-1].found}\n"
        )
        for claim in self.claims:
            print(paragraph(f"{claim.verdict}: {claim.said}", indent="  "))
            print(paragraph(f"  {claim.measured}.", indent="  "))

    def draw(self, place: Path) -> None:
        """Write the picture."""
        from penult_service.explaining.recurrent import shape_text
        from penult_service.plots.explained.recurrent import RecurrentView, picture

        asked, kind = self.asked, self.asked.kind
        by_name = {tensor.name: shape_text(tensor.shape) for tensor in self.tensors}
        names = ("input", "kernel", "recurrent kernel", "bias", "output")
        shapes = {name: by_name[name] for name in names}
        shapes |= {"gate": by_name[kind.gates[0]], "state": by_name["state h"]}
        view = RecurrentView(
            asked.steps,
            asked.features,
            asked.units,
            kind.gates,
            kind.states,
            asked.return_sequences,
            shapes,
            self.answer(),
            f"{self.keras} · parameters: {asked.formula}",
        )
        with drafts(place) as (draft,):
            draft.write_bytes(picture(view, place.suffix.lower().removeprefix(".")))
        note(f"wrote {place}")
