"""Which graph of a SavedModel is the model: a file may hold several, told apart by their tags."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

from google.protobuf.message import DecodeError
from tensorflow.core.protobuf import saved_model_pb2

from penult_service.errors import InvalidInput, ModelRefused

SERVE, TRAIN = "serve", "train"
_VARIABLES = frozenset({"VarHandleOp", "VariableV2", "Variable"})


def choose(directory: Path, declared: Sequence[str] = ()) -> list[str] | None:
    """The tag set of the graph that is the model; None for the only graph there is.

    What is declared; else the only one; else ``serve`` alone; else, as TensorFlow 1's hub modules lie, the one that is
    not for training.

    Raises:
        InvalidInput: DAMAGED.
        ModelRefused: NO_TAGS, AMBIGUOUS_TAGS; the message lists the tag sets.
    """
    there = [sorted(graph.meta_info_def.tags) for graph in _read(directory).meta_graphs]
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


def has_variables(directory: Path) -> bool:
    """Whether its graphs tell of variables, which lie in `variables/`."""
    for graph in _read(directory).meta_graphs:
        kinds = {thing.WhichOneof("kind") for thing in graph.object_graph_def.nodes}
        if "variable" in kinds or any(node.op in _VARIABLES for node in graph.graph_def.node):
            return True
    return False


def _read(directory: Path) -> saved_model_pb2.SavedModel:
    path = directory / "saved_model.pb"
    return _parsed(path, path.stat().st_mtime_ns)


@lru_cache(maxsize=1)
def _parsed(path: Path, changed: int) -> saved_model_pb2.SavedModel:
    del changed
    saved = saved_model_pb2.SavedModel()
    try:
        saved.ParseFromString(path.read_bytes())
    except (DecodeError, OSError, RuntimeError) as error:
        first = (str(error) or type(error).__name__).splitlines()[0][:300]
        raise InvalidInput(
            f"{path} is damaged or half copied ({first}); copy it again", reason="DAMAGED"
        ) from error
    return saved
