"""The public surface: what is exported, and the names and defaults that programs rely on."""

from __future__ import annotations

import inspect
import subprocess
import sys
import tomllib
import typing
from pathlib import Path

import penult_client
import pytest
from penult_client import AsyncClient, AsyncOperation, Client, Operation, _options

METHODS = {
    "append",
    "assign",
    "classify",
    "close",
    "cluster",
    "clustering",
    "clusterings",
    "dataset",
    "datasets",
    "compare_dropout",
    "delete_clustering",
    "delete_dataset",
    "delete_projection",
    "duplicates",
    "embed",
    "grow",
    "inspect_dropout",
    "merge_clusters",
    "model",
    "models",
    "name_clusters",
    "neighbors",
    "open",
    "operation",
    "operations",
    "outliers",
    "predict",
    "project",
    "projection",
    "projections",
    "read",
    "read_batches",
    "server_info",
    "similarity",
    "split_cluster",
    "tokenize",
    "transform",
    "uncertainty",
    "upload",
}
# Their results come one after the other: iterators, not something to wait for.
ITERATORS = {"read_batches"}


def public(cls: type) -> set[str]:
    return {name for name in dir(cls) if not name.startswith("_")}


def test_all_is_what_there_is():
    included = {
        name
        for name, value in vars(penult_client).items()
        if not name.startswith("_") and not inspect.ismodule(value) and name != "annotations"
    }
    assert included | {"__version__"} == set(penult_client.__all__)
    assert penult_client.__all__ == sorted(penult_client.__all__)


def test_methods_of_both_clients():
    assert public(Client) == public(AsyncClient) == METHODS


@pytest.mark.parametrize("name", sorted(METHODS))
def test_both_clients_have_the_same_signatures_and_words(name):
    sync, asynchronous = getattr(Client, name), getattr(AsyncClient, name)
    assert inspect.signature(sync).parameters.keys() == inspect.signature(asynchronous).parameters.keys()
    assert [p.default for p in inspect.signature(sync).parameters.values()] == [
        p.default for p in inspect.signature(asynchronous).parameters.values()
    ]
    assert sync.__doc__ == asynchronous.__doc__
    if name in ITERATORS:
        assert inspect.isasyncgenfunction(asynchronous)
        assert inspect.isgeneratorfunction(sync)
        return
    assert inspect.iscoroutinefunction(asynchronous)
    assert not inspect.iscoroutinefunction(sync)


def test_the_signature_of_embed():
    parameters = inspect.signature(Client.embed).parameters
    defaults = {name: p.default for name, p in parameters.items() if name not in ("self", "texts")}
    assert defaults == {
        "model": None,
        "pooling": "pooled",
        "normalize": False,
        "truncate": "right",
        "layer": None,
        "probabilities": False,
        "progress": False,
        "deadline": None,
        "on_row_error": "fail",
    }
    assert list(inspect.signature(Client.predict).parameters)[:3] == ["self", "inputs", "model"]


def test_the_signature_of_uncertainty():
    assert named(Client.uncertainty) == ["texts", "samples", "layers", "seed"]
    parameters = inspect.signature(Client.uncertainty).parameters
    defaults = {name: p.default for name, p in parameters.items() if name not in ("self", "texts")}
    assert defaults == {
        "samples": 30,
        "layers": "head",
        "seed": None,
        "model": None,
        "rate": None,
        "truncate": "right",
        "draws": False,
        "on_row_error": "fail",
        "progress": False,
        "deadline": None,
        "first_row": 0,
    }


def named(method) -> list[str]:
    """What may be given without its name."""
    parameters = inspect.signature(method).parameters.values()
    return [p.name for p in parameters if p.kind is p.POSITIONAL_OR_KEYWORD][1:]


def test_the_order_of_the_arguments_of_analyses():
    assert named(Client.similarity) == ["a", "b", "metric"]
    assert named(Client.neighbors) == ["queries", "corpus", "k", "metric"]
    assert named(Client.cluster) == ["source", "method", "n_clusters", "metric", "noise"]
    assert named(Client.project) == ["source", "method", "n_components", "metric", "seed"]
    assert named(Client.duplicates) == ["source", "threshold", "metric"]
    assert named(Client.outliers) == ["source", "k", "metric"]
    assert named(Client.transform) == ["source", "projection"]
    assert named(Client.assign) == ["source", "clustering"]
    assert named(Client.grow) == ["source", "clustering", "min_cluster_size"]
    assert named(Client.merge_clusters) == ["clustering", "labels"]
    assert named(Client.split_cluster) == ["clustering", "label", "n_clusters"]
    assert named(Client.name_clusters) == ["clustering", "names"]
    of_sources = (Client.similarity, Client.neighbors, Client.cluster, Client.project)
    for method in (*of_sources, Client.duplicates, Client.outliers):
        given = inspect.signature(method).parameters
        assert [given[name].default for name in ("model", "pooling", "normalize", "layer")] == [
            None,
            "pooled",
            False,
            None,
        ]


OPTIONS = {
    Client.similarity: _options.SimilarityOptions,
    Client.neighbors: _options.NeighborsOptions,
    Client.cluster: _options.ClusterOptions,
    Client.project: _options.ProjectOptions,
    Client.duplicates: _options.DuplicatesOptions,
    Client.outliers: _options.AnalysisOptions,
    Client.transform: _options.TransformOptions,
    Client.assign: _options.NewRowsOptions,
    Client.grow: _options.GrowOptions,
    Client.compare_dropout: _options.DropoutOptions,
}


@pytest.mark.parametrize("method", OPTIONS, ids=lambda method: method.__name__)
def test_type_checkers_know_every_option_of_an_analysis(method):
    parameters = inspect.signature(method).parameters.values()
    by_name = {p.name for p in parameters if p.kind is p.KEYWORD_ONLY}
    # Of `grow` what may be given without its name as well.
    known = typing.get_type_hints(OPTIONS[method]).keys() - set(named(method))
    assert known | {"wait", "dry_run"} == by_name
    assert inspect.signature(method).parameters["wait"].default is True
    assert inspect.signature(method).parameters["dry_run"].default is False


def test_type_checkers_know_every_option_of_embed():
    parameters = inspect.signature(Client.embed).parameters.values()
    by_name = {p.name for p in parameters if p.kind is p.KEYWORD_ONLY}
    assert typing.get_type_hints(_options.EmbedOptions).keys() | {"pooling"} == by_name


def test_methods_of_both_operations():
    assert public(Operation) == public(AsyncOperation) == {"cancel", "delete", "status", "wait"}
    for name in public(Operation):
        assert getattr(Operation, name).__doc__ == getattr(AsyncOperation, name).__doc__
        assert inspect.iscoroutinefunction(getattr(AsyncOperation, name))


def test_the_order_of_the_arguments_of_sets():
    first = ["name", "vectors_or_texts", "texts", "columns", "ids", "overwrite"]
    assert named(Client.upload) == first
    assert named(Client.append) == ["dataset", *first[1:4]]
    assert named(Client.read) == named(Client.read_batches) == ["name", "columns"]
    assert named(Client.dataset) == named(Client.delete_dataset) == ["name"]


def test_the_version_is_that_of_the_distribution():
    project = tomllib.loads((Path(__file__).parents[3] / "pyproject.toml").read_text())["project"]
    assert penult_client.__version__ == project["version"]


def test_importing_the_client_brings_nothing_of_the_server():
    script = (
        "import sys, penult_client\n"
        "heavy = {'penult_service', 'tensorflow', 'sklearn', 'typer', 'rich', 'pyarrow', 'pandas', 'polars'}\n"
        "print(sorted(heavy & {name.partition('.')[0] for name in sys.modules}))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
