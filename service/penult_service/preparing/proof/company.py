"""Where a row begins to change with the rows beside it: the layer and the operation."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from penult_service.preparing.audit import Found
from penult_service.preparing.graph import node_of
from penult_service.preparing.naming import layer_at
from penult_service.preparing.parts import references
from penult_service.preparing.proof.experiment import TOLERANCE, relative
from penult_service.preparing.seam.survey import Survey


def first_that_mixes(survey: Survey, texts: Sequence[str]) -> Found | None:
    """The first tensor with a row a text, in the graph as saved, whose rows differ alone and in company.

    None when no such tensor has the same shape in both (texts are then padded to the longest beside them).
    """
    rows = [ref for ref, shape in survey.shapes.items() if shape and survey.rows(ref, len(shape))]
    function, examples = references(survey.opened, rows), survey.examples
    given = examples.rows(texts)
    together = function(*examples.arguments(given))
    alone = [function(*examples.arguments(given.take([row]))) for row in range(len(given))]
    for ref in rows:
        found, expected = together[ref].numpy(), [one[ref].numpy() for one in alone]
        if _same_shape(found, expected) and relative(found, np.concatenate(expected)) > TOLERANCE:
            node = survey.flat.nodes[node_of(ref)]
            return Found(node.op, node.name, layer_at(node.name, survey.opened.layers))
    return None


def _same_shape(found: NDArray[np.generic], alone: Sequence[NDArray[np.generic]]) -> bool:
    return all(one.shape == (1, *found.shape[1:]) for one in alone)
