"""Which operations use which weights, and what stands in front of the last layer that was trained."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import tensorflow as tf

from penult_service.preparing import tf_private
from penult_service.preparing.graph import Ref, node_of
from penult_service.preparing.naming import layer_at
from penult_service.preparing.seam.survey import FLOATS, Survey


@dataclass(frozen=True)
class Use:
    """A variable that an operation on the way to the outputs uses: the operation, and the one that reads it."""

    node: str
    read: str
    variable: Any


def uses(survey: Survey) -> list[Use]:
    """Every use of a variable, in the order of the operations."""
    owners = tf_private.resource_owners(survey.opened.root) if survey.opened.root is not None else {}
    variables = {
        name: owners[tf_private.handle_key(handle)]
        for name, handle in survey.flat.captures.items()
        if isinstance(owners.get(tf_private.handle_key(handle)), tf.Variable)
    }
    found = []
    for name in (name for name in survey.flat.nodes if name in survey.path):
        aside = [ref for ref in survey.flat.nodes[name].input if node_of(ref) not in survey.path]
        behind = survey.flat.upstream(aside)
        for capture in behind & variables.keys():
            read = next(n for n in (*behind, name) if f"{capture}:0" in survey.flat.nodes[n].input)
            found.append(Use(name, read, variables[capture]))
    return found


def last_groups(survey: Survey, groups: Mapping[str, str]) -> set[str]:
    """The groups from which an output is reached without meeting another one.

    Args:
        survey: The model.
        groups: Operation -> the group that it belongs to.
    """
    found: set[str] = set()
    waiting = [(node_of(ref), "") for ref in survey.outputs]
    seen = set(waiting)
    while waiting:
        name, group = waiting.pop()
        own = groups.get(name, "")
        if own and group not in ("", own):
            continue
        group = own or group
        if own:
            found.add(own)
        for ref in survey.flat.nodes[name].input:
            state = (node_of(ref), group)
            if state not in seen:
                seen.add(state)
                waiting.append(state)
    return found


def in_front_of(survey: Survey, nodes: Iterable[str], wanted: Callable[[Ref], bool]) -> Ref | None:
    """The latest tensor that all paths pass, that is wanted, and that none of these operations had a part in."""
    behind = set(nodes)
    for name, node in survey.flat.nodes.items():
        if any(node_of(ref) in behind for ref in node.input):
            behind.add(name)
    return next((ref for ref in reversed(survey.line) if node_of(ref) not in behind and wanted(ref)), None)


def pooled(survey: Survey) -> Callable[[Ref], bool]:
    """Tells float matrices with a row a text, but for the outputs themselves."""
    final = {survey.source_of(ref) for ref in survey.outputs}
    return lambda ref: (
        survey.tensors.get(ref) in FLOATS and survey.rows(ref, 2) and survey.source_of(ref) not in final
    )


def last_trained(survey: Survey) -> tuple[list[str], Ref | None, list[str]]:
    """The layers with trained weights that stand last, by name; the tensor that all of them read; their operations."""
    groups: dict[str, str] = {}
    names: dict[str, str] = {}
    for use in uses(survey):
        layer = layer_at(use.node, survey.opened.layers)
        if use.variable.trainable:
            groups[use.node] = layer.path if layer else use.node
            names[groups[use.node]] = layer.name if layer else use.node
    last = last_groups(survey, groups)
    nodes = [node for node, group in groups.items() if group in last]
    front = in_front_of(survey, nodes, pooled(survey))
    return [names[group] for group in names if group in last], front, nodes
