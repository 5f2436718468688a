"""Results in parts: rows that are not those that should come, and what comes of them."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import numpy as np
import pytest
from penult.v1 import analysis_service_pb2 as analysis
from penult.v1 import common_pb2 as common
from penult.v1 import server_service_pb2 as server
from penult_client import InternalError, PreconditionError
from penult_client._core.result_parts import Gathered
from support.wire_numbers import packed
from support.wire_server import LIMITS

PLACES = np.arange(10, dtype=np.float32).reshape(5, 2)


def part(first: int, stop: int, rows: int = 5, **beside: Any) -> analysis.ReadResultResponse:
    """Some rows of a map; what is beside the rows stands in its first part."""
    beside = beside or ({"used": {"method": "pca"}} if first == 0 else {})
    reply = analysis.ProjectResponse(coordinates=packed(PLACES[first:stop].reshape(-1, 2)), **beside)
    return analysis.ReadResultResponse(project=reply, first_row=first, row_count=stop - first, rows=rows)


def gathered(*parts: analysis.ReadResultResponse) -> Gathered:
    made = Gathered("projections/map")
    for each in parts:
        made.add(deepcopy(each))  # what is added is taken apart
    return made


@pytest.mark.parametrize("stops", [[5], [1, 2, 3, 4, 5], [2, 5]])
def test_parts_make_a_whole(stops: list[int]) -> None:
    parts = [part(first, stop) for first, stop in zip([0, *stops], stops, strict=False)]
    assert not gathered(*parts[:-1]).complete
    whole = gathered(*parts)
    assert whole.complete
    record = whole.record()
    np.testing.assert_array_equal(record.coordinates, PLACES)
    assert record.used == {"method": "pca"}


@pytest.mark.parametrize("place", range(5))
def test_a_stream_begun_anew_says_the_same_again(place: int) -> None:
    made = gathered(part(0, place), part(place, 5, used={"method": "pca"}))
    np.testing.assert_array_equal(made.record().coordinates, PLACES)


@pytest.mark.parametrize(
    "wrong",
    [
        [part(1, 5)],
        [part(0, 2), part(3, 5)],
        [part(0, 2), part(0, 2)],
        [part(0, 3, rows=2)],
        [analysis.ReadResultResponse(rows=5)],
        [analysis.ReadResultResponse(project=part(0, 2).project, row_count=3, rows=5)],
    ],
    ids=["late", "gap", "twice", "too_many", "nothing", "count"],
)
def test_parts_that_do_not_fit(wrong: list[analysis.ReadResultResponse]) -> None:
    with pytest.raises(InternalError) as caught:
        gathered(*wrong)
    assert caught.value.reason == "BAD_REPLY"


def test_columns_that_change() -> None:
    other = part(2, 4)
    other.project.coordinates.CopyFrom(packed(np.zeros((2, 3))))
    with pytest.raises(InternalError, match="coordinates"):
        gathered(part(0, 2), other)


@pytest.mark.parametrize(
    "other",
    [
        part(2, 5, used={"method": "umap"}),
        part(2, 5, rows=6),
        analysis.ReadResultResponse(
            cluster=analysis.ClusterResponse(
                labels=common.Tensor(shape=[3], data_type=common.DATA_TYPE_INT32, data=bytes(12))
            ),
            first_row=2,
            row_count=3,
            rows=5,
        ),
    ],
    ids=["parameters", "rows", "kind"],
)
def test_another_result_is_not_mixed_with_the_first(other: analysis.ReadResultResponse) -> None:
    with pytest.raises(PreconditionError) as caught:
        gathered(part(0, 2), other)
    assert caught.value.reason == "RESULT_CHANGED"


def test_a_stream_that_ends_too_soon(flavour: Any) -> None:
    def handler(method: str, _: Any) -> Any:
        if method == "GetServerInfo":
            return server.GetServerInfoResponse(limits=server.Limits(**LIMITS))
        return [part(0, 2), part(2, 3)]

    with pytest.raises(InternalError, match="3 of 5 rows of projections/map came"):
        flavour.run(flavour.mocked(handler).projection("map"))
