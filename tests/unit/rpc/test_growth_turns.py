"""One change of a clustering after the other, and what becomes of one whose caller leaves."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import numpy as np
import pytest
from penult_service.analysis.results import ClusterResult, GrowResult
from penult_service.errors import InvalidInput, Unavailable
from penult_service.rpc.analysis import cluster_codec
from penult_service.rpc.analysis.cluster_edits import check_names
from penult_service.rpc.analysis.growth import Growth
from penult_service.rpc.analysis.next_clusters import edited, named
from penult_service.rpc.analysis.replies import About
from penult_service.rpc.analysis.result_codec import parts
from penult_service.rpc.stored import Stored
from penult_service.storage import ResultInfo, RowsOf, StoredResult

NONE = np.zeros(0, np.int32)


@pytest.mark.parametrize("fails", [False, True])
def test_what_is_stored_is_told_though_its_caller_left(fails: bool) -> None:
    begun, go, order = threading.Event(), threading.Event(), []

    def slow() -> str:
        begun.set()
        assert go.wait(20)
        order.append("first")
        if fails:
            raise Unavailable("the disk is away")
        return "stored"

    async def test() -> None:
        stored, nothing = Stored(None), Any
        growth = Growth(nothing, nothing, stored)  # type: ignore[arg-type]

        async def first() -> str:
            async with growth._turn("topics"):
                return await growth._to_the_end(slow)

        async def second() -> None:
            async with growth._turn("topics"):
                order.append("second")

        one, two = asyncio.create_task(first()), asyncio.create_task(second())
        await asyncio.to_thread(begun.wait, 20)
        for _ in range(3):
            one.cancel()
            await asyncio.sleep(0.01)
        go.set()
        if fails:
            with pytest.raises(asyncio.CancelledError):
                await one
        else:
            assert await one == "stored"
        await two
        assert order == ["first", "second"]
        assert not growth._locks
        await stored.close()

    asyncio.run(asyncio.wait_for(test(), 30))


def clustering(facts: dict[str, Any] | None = None) -> StoredResult:
    """Of six rows: a cluster of three, one of two, and one row in none."""
    result = ClusterResult(
        labels=np.array([0, 0, 0, 1, 1, -1], np.int32),
        sizes=np.array([3, 2], np.int32),
        nearest=np.array([[0, 1], [3, -1]], np.int32),
        zero_rows=NONE,
        silhouette=0.5,
        silhouette_rows=5,
        noise_share=1 / 6,
        used={"method": "kmeans", "metric": "euclidean"},
        keywords=((("red", 2.0),), (("blue", 1.0), ("sea", 0.5))),
        label_counts=np.array([[1, 2], [0, 2]], np.int32),
        silhouettes=np.array([0.25, np.nan], np.float32),
    )
    made = parts(result, About(label_names=("x", "y")), {"request_id": "r"})
    sizes = {name: array.nbytes for name, array in made.arrays.items()}
    info = ResultInfo(
        "topics",
        created="2026-01-01T00:00:00.000000Z",
        parameters=made.parameters,
        facts=made.facts if facts is None else facts,
        source=RowsOf(6),
        array_bytes=sizes,
    )
    return StoredResult(info, made.arrays)


def merged(labels: list[int], **more: Any) -> GrowResult:
    values: dict[str, Any] = {
        "labels": np.array(labels, np.int32),
        "fitted_rows": np.zeros((0, 0), np.float32),
        "fitted_first": NONE,
        "far_distance": None,
        "new_labels": NONE,
        "gone_labels": NONE,
        "unassigned": 0,
        "used": {},
    }
    found, counts = np.unique([label for label in labels if label >= 0], return_counts=True)
    places = np.full((len(found), 1), -1, np.int32)
    values |= {"cluster_labels": found.astype(np.int32), "sizes": counts.astype(np.int32)}
    values |= {"nearest": places, "border": places, "odd": places, "drift": np.zeros(len(found))}
    return GrowResult(**{**values, **more})


def test_what_is_told_of_clusters_as_they_were_made() -> None:
    found = clustering()
    now = cluster_codec.clusters_now(found.info, found.arrays)
    assert (list(now.labels), list(now.sizes)) == ([0, 1], [3, 2])
    assert now.keywords == {0: [("red", 2.0)], 1: [("blue", 1.0), ("sea", 0.5)]}
    assert now.shares == {0: [("y", 2), ("x", 1)], 1: [("y", 2)]}
    assert now.silhouettes == {0: 0.25}
    assert "label_counts" not in found.arrays
    (entry,) = cluster_codec.history_of(found.info, now.by_label)
    assert (entry["event"], entry["rows"], entry["unassigned"]) == ("made", 6, 1)
    assert found.info.facts["next_label"] == 2
    # Those of an older release have neither.
    old = clustering({})
    assert cluster_codec.clusters_now(old.info, old.arrays).keywords == {}
    assert cluster_codec.history_of(old.info, {0: 3, 1: 2})[0]["create_time"] == old.info.created


def test_the_description_of_what_changed_is_gone() -> None:
    before = clustering()
    after = edited(before, merged([0, 0, 0, 0, 0, -1]), "merged")
    assert after.clusters.by_label == {0: 5}
    assert not after.clusters.keywords
    assert not after.clusters.shares
    assert after.facts["history"][-1]["gone_labels"] == [1]
    assert (after.facts["next_label"], after.facts["request_id"]) == (2, "r")
    assert "silhouette" not in after.facts
    split = edited(before, merged([0, 0, 2, 1, 1, -1]), "split")
    assert split.clusters.by_label == {0: 2, 1: 2, 2: 1}
    assert split.clusters.keywords == {1: [("blue", 1.0), ("sea", 0.5)]}
    assert split.facts["next_label"] == 3


def test_names_are_given_and_taken() -> None:
    before = clustering()
    after = named(before, {0: "warm", 1: "cold"})
    assert after.clusters.names == {0: "warm", 1: "cold"}
    assert after.facts["silhouette"] == 0.5
    again = named(
        StoredResult(ResultInfo("topics", facts=after.facts, source=RowsOf(6)), before.arrays), {0: ""}
    )
    assert again.clusters.names == {1: "cold"}
    assert [each["event"] for each in again.facts["history"]] == ["made", "named", "named"]
    # Those of an older release too, which does not say what labels there were.
    old = named(clustering({}), {1: "cold"})
    assert (old.facts["next_label"], old.facts["cluster_labels"]) == (2, [0, 1])


def test_a_long_history_keeps_its_first_entry_and_the_last() -> None:
    entries = [{"rows": i} for i in range(1000)]
    kept = cluster_codec.with_entry(entries, {"rows": 1000})
    assert (len(kept), kept[0], kept[1], kept[-1]) == (1000, {"rows": 0}, {"rows": 2}, {"rows": 1000})


def test_a_long_history_of_very_many_clusters_is_shorter() -> None:
    """All of it is in one reply, which has to stay small."""
    labels = list(range(6_000))
    history = [{"rows": 0, "labels": labels}]
    for at in range(1, 20):
        history = cluster_codec.with_entry(history, {"rows": at, "labels": labels})
    assert [each["rows"] for each in history] == [0, *range(13, 20)]
    assert cluster_codec.with_entry(history[:1], {"rows": 1, "labels": labels * 10})[1]["rows"] == 1


def test_names_for_very_many_clusters_are_looked_up_at_once() -> None:
    found = clustering()
    count = 20_000
    arrays = {**found.arrays, "sizes": np.ones(count, np.int32)}
    info = ResultInfo("topics", facts={"cluster_labels": list(range(count))}, source=RowsOf(count))
    names = dict.fromkeys(reversed(range(count)), "x")

    class Counted(int):
        compared = 0

        def __eq__(self, other: object) -> bool:
            Counted.compared += 1
            return int(self) == other

        __hash__ = int.__hash__

    check_names({Counted(label): name for label, name in names.items()}, info, arrays)
    assert Counted.compared < 10 * count


def test_names_of_all_clusters_are_few_bytes() -> None:
    """Every reply with clusters has them."""
    found, count = clustering(), 2_000
    arrays = {**found.arrays, "sizes": np.ones(count, np.int32)}
    facts = {"cluster_labels": list(range(count)), "names": {str(i): "n" * 250 for i in range(1_000)}}
    info = ResultInfo("topics", facts=facts, source=RowsOf(count))
    check_names({1_000: "n" * 250}, info, arrays)
    check_names(
        {**dict.fromkeys(range(1_000, 1_500), "n" * 250), **dict.fromkeys(range(500), "")}, info, arrays
    )
    with pytest.raises(InvalidInput, match="262144 in all") as caught:
        check_names(dict.fromkeys(range(1_000, 1_100), "n" * 250), info, arrays)
    assert (caught.value.reason, caught.value.field) == ("OUT_OF_RANGE", "names.names")
