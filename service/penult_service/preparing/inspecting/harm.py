"""Operations that no model needs to answer, and that reach out of it: where they stand, a file is refused by name.

This is no substitute for the allow list, which what is served is held against; it says what is wrong with a file before
anything of it is loaded, also of the functions that are not served.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass

from penult_service.errors import ModelRefused
from penult_service.guard.allowed import LOADING, SAVER, SERVING, allowed_at, refuse_others
from penult_service.guard.registered import op_def
from penult_service.guard.saved_model import SavedGraph


@dataclass(frozen=True)
class _Harm:
    """What operations of these names do, and what to do instead."""

    reason: str
    does: str
    instead: str
    names: re.Pattern[str]


def _harm(reason: str, does: str, instead: str, *names: str) -> _Harm:
    return _Harm(reason, does, instead, re.compile("|".join(f"(?:{name})" for name in names)))


_HARMS = (
    _harm(
        "RUNS_PYTHON_CODE",
        "calls back into Python code",
        "replace tf.py_function or tf.numpy_function by TensorFlow operations",
        r".*PyFunc\w*",
    ),
    _harm(
        "RUNS_NATIVE_CODE",
        "calls code outside TensorFlow",
        "save the model without jit_compile",
        r"XlaCustomCall\w*",
        r"_?XlaHostCompute\w*",
        r"_?TPU(Compile|Execute)\w*",
    ),
    _harm(
        "READS_FILES",
        "reads or lists files",
        "keep what it reads as a variable, or as a vocabulary file of a lookup table",
        r"ReadFile|MatchingFiles|ImmutableConst|LoadAndRemapMatrix|RecordInput|InitializeTableFromDataset",
        r"Restore(V2|Slice)?|DTensorRestoreV2",
        r"\w*Reader(V2)?|Reader[A-Z]\w*",
        r"\w*Dataset(V\d)?|Dataset[A-Z]\w*|\w*Iterator\w*",
    ),
    _harm(
        "WRITES_FILES",
        "writes files",
        "save the model without callbacks, summaries and checkpoints in its call",
        r"WriteFile|DistributedSave|DumpTensor|StoreMinibatchStatisticsInFdo|CalibrationStatisticsSaver|ImportEvent",
        r"Save(V2|Slices)?|MergeV2Checkpoints|ShardedFile(name|spec)",
        r"\w*Summary\w*",
    ),
    _harm("PRINTS", "prints", "remove tf.print from the layer's call", r"Print(V2)?|Debug(Identity|N)\w*"),
    _harm(
        "TALKS_TO_OTHERS",
        "talks to other machines or processes",
        "save the model outside a distribution strategy",
        r"Const\((resource|variant)\)",  # what it names may be another model's
        r"Rpc[A-Z]\w*|RemoteCall|WorkerHeartbeat|FileSystemSetConfiguration",
        r"_?(Host)?(Send|Recv)|_?Xla(Send|Recv)\w*|Collective[A-Z]\w*|_?Nccl\w*|_?\w*DistributedTPU\w*",
    ),
)


# Made at load in models that are served without them, such as those that count words while they are trained.
_TABLES = frozenset(
    {"AnonymousHashTable", "AnonymousMutableHashTable", "MutableHashTableV2", "InitializeTableV2"}
    | {"LookupTableExportV2", "LookupTableInsertV2", "LookupTableRemoveV2"}
)


def refuse_harmful(what: str, graph: SavedGraph, allow: Collection[str] = ()) -> None:
    """Refuses a graph with an operation that does harm, or that is not known here, wherever it stands.

    The functions of the saver, which nothing runs, may save and restore. `allow` are names that the operator allows.

    Raises:
        ModelRefused: RUNS_PYTHON_CODE, RUNS_NATIVE_CODE, READS_FILES, WRITES_FILES, PRINTS, TALKS_TO_OTHERS, or
            UNKNOWN_OP; metadata ``op``, ``node``.
    """
    for use in graph.uses():
        if use.op in allow or (use.place == SAVER and use.op in allowed_at(SAVER)):
            continue
        found = harm_of(use.op)
        if found is None and op_def(use.op) is None:
            raise ModelRefused(
                f"{what} needs the operation {use.op} ({use.node}), which is not installed here; install the package "
                "that brings it, or save the model without it",
                reason="UNKNOWN_OP",
                metadata={"op": use.op, "node": use.node},
            )
        if found is not None:
            raise ModelRefused(
                f"{what} {found.does} (operation {use.op}, {use.node}), which a model must not; {found.instead}, or, "
                f"when you trust it, allow it by name: --allow-op {use.op}",
                reason=found.reason,
                metadata={"op": use.op, "node": use.node},
            )


def refuse_at_load(what: str, graph: SavedGraph, allow: Collection[str] = ()) -> None:
    """Refuses operations in what TensorFlow runs when it loads the model, but for those that are allowed in serving or
    loading, and tables that are filled while a model is trained.

    Raises:
        ModelRefused: OP_NOT_ALLOWED.
    """
    known = {*allow, *allowed_at(SERVING), *_TABLES}
    refuse_others(what, (use for use in graph.uses() if use.place == LOADING), known)


def harm_of(op: str) -> _Harm | None:
    """What is wrong with operations of that name."""
    return next((harm for harm in _HARMS if harm.names.fullmatch(op)), None)
