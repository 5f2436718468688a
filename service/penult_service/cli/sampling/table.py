"""The table that `penult uncertainty` writes: the columns of the input, and what the samples say of each row."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from penult_service.cli import tables
from penult_service.cli.sampling.asked import BY_ROW
from penult_service.cli.sampling.findings import Measured
from penult_service.cli.scores.sides import Side

if TYPE_CHECKING:
    import pyarrow as pa
    from penult_client import Uncertainty

ADDED = ("predicted", "clean", "probabilities", "std", *BY_ROW, "error")
ADDED_NO_CLASSES = ("mean", "clean", "std", "error")


def table_of(measured: Measured, *, flat: bool) -> pa.Table:
    """The input's columns and ours, which are null in rows without numbers; `flat`: no lists."""
    bad = np.ones(len(measured.rows), bool)
    bad[measured.good] = False
    table = measured.rows.table
    for name, column in _columns(measured, bad, flat=flat).items():
        table = table.append_column(name, column)
    side = Side(measured.found.mean, None, "", provenance(measured.first, measured.truncate))
    return tables.with_facts(table, side, "uncertainty", measured.facts())


def _columns(measured: Measured, bad: NDArray[np.bool_], *, flat: bool) -> dict[str, pa.Array]:
    import pyarrow as pa

    found = measured.found
    made: dict[str, pa.Array] = {}
    if measured.classifier:
        kind = pa.string() if measured.first.labels else pa.int32()
        made["predicted"] = pa.array(measured.named(found.predicted), kind)
        made["clean"] = pa.array(measured.named(measured.clean), kind)
        made |= _wide(measured.first, "mean" if flat else "probabilities", found.mean, bad, flat=flat)
    else:
        made |= _wide(measured.first, "mean", found.mean, bad, flat=flat)
        made |= _wide(measured.first, "clean", found.clean, bad, flat=flat)
    made |= _wide(measured.first, "std", found.std, bad, flat=flat)
    if measured.classifier:
        made |= {name: pa.array(getattr(found, name), pa.float32(), mask=bad) for name in BY_ROW}
    errors = [measured.errors.get(row) for row in range(len(measured.rows))]
    told = [None if error is None else str(error) for error in errors]
    return {**made, "error": pa.array(told, pa.string())}


def _wide(
    first: Uncertainty, name: str, values: NDArray[np.float32], bad: NDArray[np.bool_], *, flat: bool
) -> dict[str, pa.Array]:
    """A column of lists, or one a class; of one output alone the numbers themselves."""
    import pyarrow as pa

    from penult_service.jobs.columns import matrix

    if values.shape[1] == 1:
        return {name: pa.array(values[:, 0], pa.float32(), mask=bad)}
    if not flat:
        return {name: matrix(values, bad)}
    names = classes_named(first)
    return {
        f"{name}_{one}": pa.array(np.ascontiguousarray(values[:, place]), pa.float32(), mask=bad)
        for place, one in enumerate(names)
    }


def added(first: Uncertainty, *, flat: bool) -> list[str]:
    """The columns that are added to those of the input."""
    lists = ("probabilities", "std") if first.classifier else ("mean", "clean", "std")
    names = list(ADDED if first.classifier else ADDED_NO_CLASSES)
    if not flat or first.mean.shape[1] == 1:
        return names
    called = {"probabilities": "mean"}
    spread = [f"{called.get(name, name)}_{one}" for name in lists for one in classes_named(first)]
    return [*(name for name in names if name not in lists), *spread]


def classes_named(first: Uncertainty) -> list[str]:
    """The names of the classes, or the numbers of the outputs."""
    return list(first.labels) or [str(place) for place in range(first.mean.shape[1])]


def provenance(first: Uncertainty, truncate: str) -> dict[str, Any]:
    """Where the numbers came from."""
    return {
        "model": first.model,
        "version": first.version,
        "model_digest": first.digest,
        "engine": first.engine,
        "precision": first.precision,
        "dropout_proven_inactive": first.dropout_proven,
        **({"warnings": list(first.warnings)} if first.warnings else {}),
        "labels": list(first.labels),
        "classes": first.mean.shape[1],
        "truncate": truncate,
    }
