"""The one look at what a person named, before it is read: a SavedModel's folder, or a `.keras` or `.h5` file."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from penult_service.guard import folder, pieces, saved_model, sizes, tables
from penult_service.guard.old_graph import OldGraph
from penult_service.guard.saved_model import SavedGraph
from penult_service.preparing.inspecting import harm, hdf5, keras_archive, keras_preset
from penult_service.preparing.inspecting.kinds import is_archive, is_hdf5


def inspect(source: Path, allow_ops: Collection[str] = ()) -> tuple[str, ...]:
    """Refuses what would do harm; what is no model at all is left to whoever reads it.

    Args:
        source: The folder of a SavedModel, or a file.
        allow_ops: Operations that the operator allows though they are refused otherwise.

    Returns:
        The handles of other models that a file names, which need the same look; see `keras_config.refuse_harmful`.

    Raises:
        ModelRefused, InvalidInput: with the reasons that the parts tell.
    """
    if source.is_file():
        return _inspect_file(source)
    folder.refuse_unsafe_files(source)
    if keras_preset.is_preset(source):
        keras_preset.refuse_harmful(source)
    if not (source / saved_model.GRAPH_FILE).is_file():
        return ()
    what, meta_graphs = str(source), saved_model.parsed(source)
    kind = SavedGraph if saved_model.is_new(meta_graphs) else OldGraph
    for graph in map(kind, meta_graphs):
        harm.refuse_harmful(what, graph, allow_ops)
        harm.refuse_at_load(what, graph, allow_ops)
        if isinstance(graph, OldGraph):
            graph.refuse_other_restores(what)
        tables.refuse_outside_files(what, graph)
        pieces.refuse_damaged(what, graph)
        sizes.refuse_bombs(what, graph)
    if source.joinpath(f"{sizes.CHECKPOINT}.index").is_file():
        sizes.refuse_claims(source)
    return ()


def _inspect_file(source: Path) -> tuple[str, ...]:
    """By what is in it, not by its name: one that is both an archive and HDF5 must pass as both."""
    in_archive = keras_archive.refuse_harmful(source) if is_archive(source) else ()
    in_hdf5 = hdf5.refuse_harmful(source) if is_hdf5(source) else ()
    return tuple(dict.fromkeys((*in_archive, *in_hdf5)))
