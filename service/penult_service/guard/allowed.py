"""The allow list: families of operations, each with its reason and the parts of a SavedModel where it may stand."""

from __future__ import annotations

import tomllib
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from penult_service.errors import ModelRefused

SERVING, LOADING, SAVER, GRAPH = "serving", "loading", "saver", "graph"
PLACES = (SERVING, LOADING, SAVER, GRAPH)
"""The parts of a SavedModel; the file of the list says what each is."""
REASON = "OP_NOT_ALLOWED"

_FILE = Path(__file__).with_name("allowed_ops.toml")
_NAMED = 5  # operations that a message names


@dataclass(frozen=True)
class Family:
    """Operations that kinds of models need, why, and where they may stand."""

    name: str
    reason: str
    ops: tuple[str, ...]
    where: tuple[str, ...] = (SERVING,)


@dataclass(frozen=True)
class Use:
    """An operation in a SavedModel: its name, the node (with the function around it), and the part of the file."""

    op: str
    node: str
    place: str


@cache
def families() -> tuple[Family, ...]:
    """The list, as in its file."""
    found = tomllib.loads(_FILE.read_text(encoding="utf-8"))
    return tuple(
        Family(name, raw["reason"], tuple(raw["ops"]), tuple(raw.get("where", [SERVING])))
        for name, raw in found.items()
    )


@cache
def allowed_at(place: str) -> frozenset[str]:
    """The operations that may stand in that part of a SavedModel."""
    return frozenset(op for family in families() if place in family.where for op in family.ops)


def refuse_others(what: str, uses: Iterable[Use], allow: Collection[str] = ()) -> None:
    """Refuses what holds an operation that is neither on the list nor allowed by the operator.

    Args:
        what: The model, for the message.
        uses: Its operations.
        allow: Names that the operator allows as well, anywhere.

    Raises:
        ModelRefused: OP_NOT_ALLOWED, naming operations, nodes and the way out; metadata ``ops`` has all names.
    """
    others: dict[str, Use] = {}
    for use in uses:
        if use.op not in allow and use.op not in allowed_at(use.place):
            others.setdefault(use.op, use)
    if not others:
        return
    named = [f"{op} ({use.node})" for op, use in sorted(others.items())[:_NAMED]]
    more = f" and {len(others) - len(named)} more" if len(others) > len(named) else ""
    options = " ".join(f"--allow-op {_quoted(op)}" for op in sorted(others)[:_NAMED])
    raise ModelRefused(
        f"{what} holds operations that are not on the list of those that may be served: {', '.join(named)}{more}; "
        f"save the model without them, or, when you trust it, allow them by name: {options}",
        reason=REASON,
        metadata={"ops": ",".join(sorted(others))},
    )


def _quoted(op: str) -> str:
    """As a shell takes it: some names hold `>`."""
    return op if op.isalnum() else f"'{op}'"
