"""`penult explain dropout`: a mask as the real layer draws it, and which axes share it."""

from __future__ import annotations

import json
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from penult_service.cli import analyses, options, tables
from penult_service.cli.explaining import shapes
from penult_service.cli.explaining.mask import Told
from penult_service.errors import InvalidInput

if TYPE_CHECKING:
    from penult_service.explaining.variants import Variant

# Of explaining.masks, written out so that --help does not import NumPy; a test compares.
LAYERS = ("Dropout", "SpatialDropout1D", "SpatialDropout2D", "lstm-dropout", "lstm-recurrent")
PICTURES = (".png", ".svg")

Shape = Annotated[str, typer.Option(metavar="N,N,...", help="Of the input, the batch first.")]
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
Claims = Annotated[
    bool, typer.Option("--claims", help="Also hold what people say of dropout against the real layers.")
]
Output = Annotated[Path | None, typer.Option("--output", "-o", metavar="FILE", help="A .png or .svg file.")]


def dropout(
    shape: Shape = "4,6,10",
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
    claims: Claims = False,
    output: Output = None,
    as_json: options.Json = False,
    overwrite: options.Overwrite = False,
) -> None:
    """A dropout's mask, drawn by the real layer, and what shares it.

    The layer is called in training on ones, many times. What is shared is looked up in the masks that it made, so the
    answer is what the installed Keras does, whatever is written about it.

    The masks of an LSTM are read off its output; beside the answer stands what other ways to build it do.
    """
    from penult_service.cli.explaining.keras import keras_here

    _check(layer, keras, implementation, no_cudnn or unroll or both or eager)
    lengths = shapes.lengths("--shape", shape)
    noise = None if noise_shape is None else shapes.noise_shape("--noise-shape", noise_shape)
    if output is not None:
        tables.check_places([output], (), overwrite, PICTURES)
        analyses.require("matplotlib")
    analyses.require("tensorflow", "keras" if keras == 3 else "tf_keras")
    with keras_here():
        from penult_service.explaining import dropout_claims, lstm_masks, masks, variants

        settings = lstm_masks.Settings(
            units, implementation, False if no_cudnn else None, unroll, both, eager
        )
        question = masks.Question(layer, lengths, rate, noise, seed, keras, draws, settings)
        answer = masks.draw(question)
        others: list[Variant] = []
        if layer in lstm_masks.KINDS:
            others = variants.of(layer, [3, 2] if find_spec("tf_keras") else [3])
        said = dropout_claims.claims(keras, seed) if claims else []
    told = Told(question, answer, others, said)
    if output is not None:
        told.draw(output)
    if as_json:
        print(json.dumps(told.facts(), indent=1, ensure_ascii=False))
    else:
        told.show()


def _check(layer: str, keras: int, implementation: int | None, lstm: bool) -> None:
    """Refuse options that are none; `lstm`: options of an LSTM alone are given."""
    options.one_of("--layer", layer, LAYERS)
    if keras not in (2, 3):
        raise InvalidInput(f"--keras is 2 or 3, not {keras}", field="--keras")
    if implementation not in (None, 1, 2):
        raise InvalidInput(f"--implementation is 1 or 2, not {implementation}", field="--implementation")
    if layer not in LAYERS[-2:] and (implementation or lstm):
        raise InvalidInput(
            "--implementation, --no-cudnn, --unroll, --both and --eager are of an LSTM: --layer lstm-dropout or "
            "lstm-recurrent",
            field="--layer",
        )
