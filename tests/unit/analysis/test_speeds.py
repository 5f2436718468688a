"""Speeds of this machine: measured, kept, read where they are of this machine, and what estimates make of them."""

from __future__ import annotations

import json
import logging
from dataclasses import asdict, replace
from pathlib import Path

import pytest
from penult_service.analysis import measuring, speeds
from penult_service.analysis.calls import Cluster, Duplicates, Neighbors, Project
from penult_service.analysis.costs import cost
from penult_service.analysis.costs.work import Work, together
from penult_service.analysis.speeds import REFERENCE, Speeds, read, within_reason, write

KINDS = ("products", "wide", "bytes", "layout", "loops", "memory")


def test_what_is_kept_is_read_again_on_the_same_machine_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert read(None) is None
    assert read(tmp_path) is None
    mine = Speeds(processors=7, products=1.5, bytes=None)
    write(tmp_path, mine)
    assert read(tmp_path) == mine
    assert [path.name for path in tmp_path.iterdir()] == [speeds.FILE]
    monkeypatch.setattr(speeds, "processors", lambda: 1_000)
    assert read(tmp_path) is None  # a container that was given more
    monkeypatch.undo()
    monkeypatch.setattr(speeds, "_VERSION", 0)
    assert read(tmp_path) is None


@pytest.mark.parametrize(
    "spoilt",
    ["", "{", "[]", "{}", '{"speeds": 1}', "null", "speeds", "products", "negative", "infinite", "a word"],
)
def test_a_file_that_is_no_such_thing_is_measured_again(tmp_path: Path, spoilt: str) -> None:
    write(tmp_path, REFERENCE)
    told = json.loads((tmp_path / speeds.FILE).read_text())
    if spoilt in told:
        del told[spoilt]
    elif spoilt in told["speeds"]:
        del told["speeds"][spoilt]
    elif spoilt in ("negative", "infinite", "a word"):
        told["speeds"]["wide"] = {"negative": -1.0, "infinite": float("inf"), "a word": "fast"}[spoilt]
    else:
        (tmp_path / speeds.FILE).write_text(spoilt)
        assert read(tmp_path) is None
        return
    (tmp_path / speeds.FILE).write_text(json.dumps(told))
    assert read(tmp_path) is None


def test_a_place_that_cannot_be_written_to_is_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    write(tmp_path / "nothing", REFERENCE)
    assert "cannot keep the speeds" in caplog.text


def test_what_is_far_off_is_brought_near_and_told(caplog: pytest.LogCaptureFixture) -> None:
    found: dict[str, float | None] = dict.fromkeys(KINDS, 1.0)
    assert within_reason({**found, "bytes": None}, 2) == replace(REFERENCE, bytes=None)
    assert not caplog.records
    odd = within_reason({**found, "wide": 0.01, "loops": 50.0, "layout": 3.9}, 8)
    assert (odd.wide, odd.loops, odd.layout, odd.processors) == (0.25, 4.0, 3.9, 8)
    assert [word in caplog.text for word in ("wide", "loops", "layout")] == [True, True, False]


def test_speeds_are_measured_once_and_kept(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        found = measuring.known_or_measured(tmp_path)
    assert found is not None
    assert found.processors == speeds.processors()
    assert all(0.25 <= (getattr(found, kind) or 1.0) <= 4.0 for kind in KINDS)
    assert speeds.from_json(json.loads(json.dumps(asdict(found)))) == found
    kept = replace(found, wide=2.0)
    write(tmp_path, kept)
    assert measuring.known_or_measured(tmp_path) == kept


def test_a_machine_that_cannot_be_measured_is_taken_for_the_reference(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(measuring, "measured", lambda: 1 / 0)
    assert measuring.known_or_measured(tmp_path) is None
    assert "could not be measured" in caplog.text
    assert not list(tmp_path.iterdir())


def test_estimates_follow_the_speeds() -> None:
    shapes = {"source": (20_000, 384), "queries": (20_000, 384)}
    calls = {
        "products": Duplicates(), "wide": Cluster("kmeans", 50), "bytes": Neighbors(), "layout": Project(),
        "loops": Cluster("agglomerative"), "memory": Duplicates(),
    }  # fmt: skip
    for kind, call in calls.items():
        slower = cost(call, shapes, replace(REFERENCE, **{kind: 3.0}))
        assert cost(call, shapes).seconds < slower.seconds < 3 * cost(call, shapes).seconds + 1e-9
        assert slower.bytes == cost(call, shapes).bytes
    more = cost(Neighbors(), shapes, replace(REFERENCE, processors=16))
    assert more.seconds < cost(Neighbors(), shapes).seconds / 4
    without = cost(Neighbors(), shapes, replace(REFERENCE, bytes=None))
    assert without.seconds > 2 * cost(Neighbors(), shapes).seconds


def test_parts_add_up() -> None:
    parts = [Work(loops=1.0, held=10, room=100), Work(shared=4.0, held=20, room=50), Work(wide=2.0, room=95)]
    every = together(parts)
    found = every.cost(REFERENCE)
    assert found.seconds == 1.0 + 4.0 / 2 + 2.0
    assert found.bytes == max(10 + 100, 10 + 20 + 50, 30 + 95)
    assert together([]) == Work()
    thrice = every.times(3)
    assert thrice.cost(REFERENCE).seconds == 3 * found.seconds
    assert (thrice.held, thrice.cost(REFERENCE).bytes) == (0, found.bytes)
