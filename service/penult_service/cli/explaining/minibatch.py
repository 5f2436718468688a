"""`penult explain minibatch`: a mask for each sample, or one for the mini-batch."""

from __future__ import annotations

import json
import textwrap
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from penult_service import __version__
from penult_service.cli import analyses, options, tables
from penult_service.cli.console import note, print_table
from penult_service.cli.outputs import drafts
from penult_service.cli.stages import stages

if TYPE_CHECKING:
    from penult_service.explaining.minibatch import Found

# The defaults of explaining.minibatch.Settings, written out so that --help does not import NumPy; a test compares.
RATE, BATCH, UNITS, DRAWS, SEEDS, EPOCHS, SEED = 0.5, 32, 64, 500, 5, 10, 42
PICTURES = (".png", ".svg")
WIDTH = 100
KINDS = {"own": "a mask for each sample", "shared": "one mask for all"}


def minibatch(
    rate: Annotated[float, typer.Option(help="Of the dropout, between 0 and 1.")] = RATE,
    batch: Annotated[int, typer.Option(help="Samples a mini-batch.")] = BATCH,
    units: Annotated[int, typer.Option(help="Of the hidden layer, behind which the dropout is.")] = UNITS,
    draws: Annotated[int, typer.Option(help="Gradients of each kind.")] = DRAWS,
    seeds: Annotated[int, typer.Option(help="Trainings of each kind and learning rate.")] = SEEDS,
    epochs: Annotated[int, typer.Option(help="Of each training.")] = EPOCHS,
    seed: options.Seed = SEED,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="FILE", help="A .png or .svg file.")
    ] = None,
    as_json: options.Json = False,
    overwrite: options.Overwrite = False,
) -> None:
    """A dropout mask for each sample, or one for the mini-batch.

    A small classifier of handwritten digits (those of scikit-learn), of Keras' own layers, is trained with either kind.
    Compared are the variance of the gradient over masks, the cosine to the expected gradient, mini-batches of copies
    of one image, the held-out loss from several starts at several learning rates, and whether the mean is kept.
    """
    from penult_service.cli.explaining.keras import keras_here

    if output is not None:
        tables.check_places([output], (), overwrite, PICTURES)
        analyses.require("matplotlib")
    analyses.require("tensorflow", "keras", "sklearn")
    with keras_here():
        from penult_service.explaining import minibatch as experiment

        settings = experiment.Settings(rate, batch, units, draws, seeds, epochs, seed)
        experiment.check(settings)
        with stages() as progress:
            found = experiment.measure(settings, progress)
    if output is not None:
        _draw(found, output)
    if as_json:
        print(json.dumps(_facts(found), indent=1, ensure_ascii=False))
    else:
        _show(found)


def _facts(found: Found) -> dict[str, Any]:
    from penult_service.explaining import minibatch_words
    from penult_service.explaining.minibatch import LEARNING_RATES

    training = {
        name: {
            "best_learning_rate": LEARNING_RATES[kind.best],
            "losses": kind.losses.tolist(),
            "accuracies": kind.accuracies.tolist(),
        }
        for name, kind in found.training.items()
    }
    lower, _ = minibatch_words.wins(found)
    return {
        "answer": [minibatch_words.headline(found), *minibatch_words.answer(found)],
        "keras": found.keras,
        "settings": asdict(found.settings),
        "gradients": {
            kind: {name: asdict(noise) for name, noise in noises.items()}
            for kind, noises in found.gradients.items()
        },
        "learning_rates": list(LEARNING_RATES),
        "training": training,
        "starts_where_own_is_lower": lower,
        "scaling": asdict(found.scaling),
        "penult": __version__,
    }


def _show(found: Found) -> None:
    from penult_service.explaining import minibatch_words
    from penult_service.explaining.minibatch import LEARNING_RATES

    for paragraph in (minibatch_words.headline(found), *minibatch_words.answer(found)):
        print("\n".join(textwrap.wrap(paragraph, WIDTH)) + "\n")
    measured = ("gradients", "masks", "variance", "cosine", "lowest", "idle units")
    rows = [
        (
            words,
            KINDS[name],
            f"{noise.variance:.3g}",
            f"{noise.cosine:.3f}",
            f"{noise.lowest_cosine:.3f}",
            minibatch_words.share(noise.idle),
        )
        for kind, words in _kinds(found).items()
        for name, noise in found.gradients[kind].items()
    ]
    print_table(measured, rows, right=(2, 3, 4, 5))
    print()
    headings = ("held-out loss (accuracy) at learning rate", *(f"{rate:g}" for rate in LEARNING_RATES))
    print_table(headings, [_trained(found, name) for name in KINDS], right=range(1, len(headings)))
    print(f"\n{found.keras}; scikit-learn's digits; variance in squared lengths of the expected gradient")


def _kinds(found: Found) -> dict[str, str]:
    batch = found.settings.batch
    return {
        "masks": "one mini-batch, drawn again",
        "images": f"{batch} images, others each time",
        "copies": f"{batch} copies of an image, another each time",
        "copies_masks": f"{batch} copies of one image",
    }


def _trained(found: Found, name: str) -> tuple[str, ...]:
    training = found.training[name]
    means = zip(
        training.losses[:, :, -1].mean(axis=1), training.accuracies[:, :, -1].mean(axis=1), strict=True
    )
    return KINDS[name], *(f"{loss:.3f} ({accuracy:.1%})" for loss, accuracy in means)


def _draw(found: Found, place: Path) -> None:
    from penult_service.explaining import minibatch_words
    from penult_service.explaining.minibatch import LEARNING_RATES
    from penult_service.plots.explained.minibatch import MinibatchView, picture

    batch, own, shared = found.settings.batch, found.training["own"], found.training["shared"]
    groups = {
        "masks": "the same images",
        "images": f"{batch} images",
        "copies": f"{batch} copies of an image",
    }
    noises = found.gradients
    bars = [
        (words, noises[kind]["own"].variance, noises[kind]["shared"].variance)
        for kind, words in groups.items()
    ]
    settings = found.settings
    view = MinibatchView(
        kinds=(KINDS["own"], KINDS["shared"]),
        bars=bars,
        losses=(own.losses[own.best], shared.losses[shared.best]),
        best=(LEARNING_RATES[own.best], LEARNING_RATES[shared.best]),
        learning_rates=LEARNING_RATES,
        finals=(own.losses[:, :, -1], shared.losses[:, :, -1]),
        guessing=minibatch_words.GUESSING,
        title=minibatch_words.headline(found),
        caption=f"scikit-learn's digits · {settings.units} hidden units, dropout {settings.rate:g} · mini-batches of "
        f"{batch} · {settings.draws:,} gradients of each kind, about the expected one · {settings.seeds} starts, "
        f"the band is their standard deviation · {found.keras}",
    )
    with drafts(place) as (draft,):
        draft.write_bytes(picture(view, place.suffix.lower().removeprefix(".")))
    note(f"wrote {place}")
