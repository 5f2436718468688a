"""`penult explain MODEL`: the layers of a model, and what each of its dropouts drops."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from penult_service import __version__
from penult_service.cli import options
from penult_service.cli.console import print_table
from penult_service.cli.explaining.layer_tree import lines, tree
from penult_service.cli.explaining.layer_words import (
    PLACES,
    formula,
    gathered,
    inner_dropouts,
    paragraph,
    shared,
    shared_by_samples,
)
from penult_service.errors import InvalidInput, NotFound

if TYPE_CHECKING:
    from penult_client import DropoutReport, DropoutSite, Model, ModelLayer

ModelArgument = Annotated[
    str | None,
    typer.Argument(
        metavar="MODEL",
        help="A model's directory or file (one called like a command: ./lstm), or a name with --server.",
        show_default=False,
    ),
]


def model(
    model: ModelArgument = None,
    server: options.Server = None,
    data: options.Data = None,
    as_json: options.Json = False,
) -> None:
    """The layers of a saved model, with shapes and parameters, and what each of its dropouts drops.

    Every dropout has its rate, its place, which numbers share one draw, and whether it can be put back (penult
    uncertainty, penult dropout). A mask that all samples of a batch share is called out.
    """
    if model is not None and not server and not Path(model).exists():
        raise NotFound(
            f"there is no model {model} here, and no such command (see penult explain --help); a model by name needs "
            "--server HOST:PORT as well"
        )
    if model is None and not server:
        raise InvalidInput("name a model's directory or file, or a running server with --server HOST:PORT")
    with options.connected(model, server, data, analysis_workers=0) as (client, name):
        told = Told(client.model(name), client.inspect_dropout(name))
    if as_json:
        print(json.dumps(told.facts(), indent=1, ensure_ascii=False))
    else:
        told.show()


class Told:
    """What is known of a model, for people and for machines."""

    def __init__(self, model: Model, report: DropoutReport) -> None:
        self.model, self.report = model, report
        self._lengths = {layer.output_shape[-1] for layer in report.layers if layer.output_shape} - {-1}
        self.inner = inner_dropouts(report)
        warned = ((site.path, shared_by_samples(site, report.layers)) for site in report.sites)
        self.warnings = {path: warning for path, warning in warned if warning}

    def facts(self) -> dict[str, Any]:
        """All of it, for --json; -1 in a shape: any length."""
        layers = [{**asdict(one), "formula": formula(one, self._lengths)} for one in self.report.layers]
        sites = [
            {
                **asdict(site),
                "draws": shared(site, self.report.layers),
                "warning": self.warnings.get(site.path, ""),
            }
            for site in self.report.sites
        ]
        return {
            "model": self.model.id,
            "format": self.model.format,
            "digest": self.model.digest,
            "parameters": self.report.layers[0].parameters if self.report.layers else None,
            "layers": layers,
            "dropouts": sites,
            "recurrent": self.inner,
            "unsampled": self.report.unsampled,
            "proven_inactive": self.report.proven,
            "penult": __version__,
        }

    def show(self) -> None:
        """Print it."""
        read = f", read at {self.model.readouts[0].layer}" if self.model.readouts else ""
        print(f"{self.model.id} ({self.model.format}){read}\n")
        if self.report.layers:
            self._show_layers(self.report.layers)
        else:
            print(
                paragraph(
                    f"The file of this model ({self.model.format}) tells of no layers: it holds a graph alone."
                )
            )
        print()
        if self.report.sites:
            headings = ("dropout", "", "class", "rate", "place", "drawn", "can be put back")
            print_table(headings, [self._site_row(*one) for one in gathered(self.report.sites)], whole=(0,))
        else:
            print("no dropout layer was found")
        for path, words in self.inner.items():
            kind = next(one.layer_class for one in self.report.layers if one.path == path)
            print(paragraph(f"{path} ({kind}) drops inside: {words}; that cannot be put back", indent="  "))
        if self.report.unsampled:
            print(paragraph(f"dropout cannot be put back: {self.report.unsampled}", indent="  "))
        for warning in self.warnings.values():
            print(paragraph(f"warning: {warning}", indent="  "))

    def _show_layers(self, layers: Sequence[ModelLayer]) -> None:
        whole, *inner = layers
        rows = [self._layer_row(*one) for one in lines(tree(inner))]
        rows.append(("all", whole.layer_class, _shape(whole.output_shape), f"{whole.parameters:,}", ""))
        print_table(("layer", "class", "output", "parameters", ""), rows, right=(3,), whole=(0,))

    def _layer_row(self, name: str, layer: ModelLayer | None) -> tuple[str, ...]:
        if layer is None:
            return (name, "", "", "", "")
        count = f"{layer.parameters:,}" if layer.parameters else "-"
        return (name, layer.layer_class, _shape(layer.output_shape), count, formula(layer, self._lengths))

    def _site_row(self, site: DropoutSite, paths: Sequence[str]) -> tuple[str, ...]:
        return (
            site.path + (" (!)" if site.path in self.warnings else ""),
            f"and {len(paths) - 1} alike" if len(paths) > 1 else "",
            site.layer_class,
            "not said" if site.rate is None else f"{site.rate:g}",
            PLACES.get(site.place, "not known"),
            shared(site, self.report.layers),
            "yes" if site.sampled else "no",
        )


def _shape(shape: Sequence[int]) -> str:
    """Such as ``batch x any x 384``; a length that differs from row to row is any."""
    names = [
        "batch" if not axis and length < 0 else "any" if length < 0 else f"{length:,}"
        for axis, length in enumerate(shape)
    ]
    return " x ".join(names) or "-"
