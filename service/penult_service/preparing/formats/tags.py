"""Which graph of a SavedModel is the model: a file may hold several, told apart by their tags."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from tensorflow.core.protobuf import meta_graph_pb2

from penult_service.errors import ModelRefused

SERVE, TRAIN = "serve", "train"
_VARIABLES = frozenset({"VarHandleOp", "VariableV2", "Variable"})


def choose(
    directory: Path, graphs: Sequence[meta_graph_pb2.MetaGraphDef], declared: Sequence[str] = ()
) -> list[str] | None:
    """The tag set of the graph that is the model; None for the only graph there is.

    What is declared; else the only one; else ``serve`` alone; else, as TensorFlow 1's hub modules lie, the one that is
    not for training.

    Raises:
        ModelRefused: NO_TAGS, AMBIGUOUS_TAGS; the message lists the tag sets.
    """
    there = [sorted(graph.meta_info_def.tags) for graph in graphs]
    listed = "; ".join(f"[{', '.join(tags)}]" for tags in there)
    if declared:
        if sorted(declared) not in there:
            raise ModelRefused(
                f"{directory} has no graph with the tags [{', '.join(sorted(declared))}], which are declared; its tag "
                f"sets: {listed}",
                reason="NO_TAGS",
            )
        return sorted(declared)
    if len(there) == 1:
        return None if there[0] == [SERVE] else there[0]
    if [SERVE] in there:
        return [SERVE]
    inference = [tags for tags in there if TRAIN not in tags]
    if len(inference) == 1:
        return inference[0]
    example = ", ".join(f'"{tag}"' for tag in (inference or there)[0])
    raise ModelRefused(
        f"{directory} holds {len(there)} graphs and does not say which one is the model; choose one by its tags, such "
        f"as tags = [{example}] in penult.toml. Its tag sets: {listed}",
        reason="AMBIGUOUS_TAGS",
    )


def have_variables(graphs: Sequence[meta_graph_pb2.MetaGraphDef]) -> bool:
    """Whether they tell of variables, which lie in `variables/`."""
    for graph in graphs:
        kinds = {thing.WhichOneof("kind") for thing in graph.object_graph_def.nodes}
        if "variable" in kinds or any(node.op in _VARIABLES for node in graph.graph_def.node):
            return True
    return False
