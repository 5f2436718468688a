"""Calls, results and arrays as they travel to a worker and back."""

from __future__ import annotations

import stat
from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pytest
from penult_service.analysis.calls import (
    ArrayFile,
    Call,
    Cluster,
    CompareDropout,
    Neighbors,
    Project,
    Similarity,
)
from penult_service.analysis.results import (
    Adjustment,
    ClusterResult,
    CompareDropoutResult,
    Distribution,
    DropoutEffect,
    NeighborsResult,
    ProjectResult,
    Result,
    SimilarityResult,
)
from penult_service.analysis.workers import exchange
from penult_service.errors import PreconditionFailed

INTS = np.arange(6, dtype=np.int32)
NONE = np.zeros(0, np.int32)
FLOATS = np.float32([[0.1, -np.inf], [np.nan, 3e38]])
SOME = Distribution(1 / 3, 0.1, 0.0, 1.0, (2, 0, 1))
EFFECT = DropoutEffect("head", SOME, SOME, 9.25, 0.5, SOME, None, 0.0, 0)


@pytest.mark.parametrize(
    "call",
    [
        Similarity("manhattan", pairs=True),
        Neighbors(3, "dot", exclude_self=True, radius=0.1 + 0.2),
        Cluster("hdbscan", reduction="none", min_samples=2, seed=2**31 - 1),
        Project("tsne", n_components=3, perplexity=7.5),
        CompareDropout(("head", "all"), 3, map=False),
    ],
)
def test_a_call_arrives_as_it_was(call: Call) -> None:
    assert exchange.call_from_json(exchange.call_to_json(call)) == call


@pytest.mark.parametrize(
    "result",
    [
        SimilarityResult(FLOATS),
        SimilarityResult(np.zeros((0, 4), np.float32)),
        NeighborsResult(INTS.reshape(2, 3), FLOATS, NONE, INTS, (Adjustment("k", "10", "3", "few"),)),
        ClusterResult(INTS, INTS, INTS.reshape(3, 2), NONE, None, 0, 1 / 3, {"seed": 1}, {"purity": 0.1}, ()),
        ProjectResult(
            FLOATS, np.array([1 / 3]), NONE, 0.1 + 0.2, 5, 15, None, None, {"method": "pca", "min_dist": None}
        ),
        CompareDropoutResult(
            (EFFECT, replace(EFFECT, scope="all", cosine_between_draws=None, rows_flipped=None)),
            Distribution(1.0, 0.0, 1.0, 1.0),
            15,
            3,
            FLOATS,
            np.zeros((0, 2), np.float32),
            FLOATS[None],
            (Adjustment("n_clusters", "10", "3", "few"),),
        ),
    ],
)
def test_a_result_arrives_to_the_bit(result: Result, tmp_path: Path) -> None:
    back = exchange.result_from_json(exchange.result_to_json(result, tmp_path), tmp_path)
    assert type(back) is type(result)
    for field in fields(result):
        sent, received = getattr(result, field.name), getattr(back, field.name)
        if isinstance(sent, np.ndarray):
            assert (received.dtype, received.shape) == (sent.dtype, sent.shape), field.name
            assert received.tobytes() == sent.tobytes(), field.name
        else:
            assert received == sent, field.name


def test_numbers_of_numpy_become_numbers(tmp_path: Path) -> None:
    used = {"n": np.int64(3), "share": np.float64(0.1), "on": np.bool_(True), "list": np.arange(2)}
    result = ClusterResult(NONE, NONE, NONE, NONE, None, 0, 0.0, used)
    back = exchange.result_from_json(exchange.result_to_json(result, tmp_path), tmp_path)
    assert isinstance(back, ClusterResult)
    assert back.used == {"n": 3, "share": 0.1, "on": True, "list": [0, 1]}


def test_mapped_arrays_are_plain_writeable_and_never_written_back(tmp_path: Path) -> None:
    sent = {"a": FLOATS, "empty": np.zeros((0, 3), np.float32), "turned": np.asfortranarray(FLOATS)}
    exchange.write_arrays(tmp_path, sent)
    mapped = exchange.map_arrays(tmp_path)
    assert set(mapped) == set(sent)
    for name, array in mapped.items():
        np.testing.assert_array_equal(array, sent[name])
        assert type(array) is np.ndarray
        assert array.flags.writeable
        assert array.flags.c_contiguous
        array[...] = 0
    np.testing.assert_array_equal(exchange.map_arrays(tmp_path)["a"], FLOATS)


def test_arrays_that_cannot_be_written_are_the_servers_fault(tmp_path: Path) -> None:
    with pytest.raises(PreconditionFailed, match="send fewer rows") as caught:
        exchange.write_arrays(tmp_path / "gone", {"a": FLOATS})
    assert caught.value.reason == "SCRATCH_NOT_WRITABLE"


def test_scratch_is_private_and_goes_with_all_that_is_in_it(tmp_path: Path) -> None:
    scratch = exchange.Scratch(tmp_path / "data" / "analysis")
    place = scratch.new()
    for directory in (tmp_path / "data" / "analysis", scratch.path, place):
        assert stat.S_IMODE(directory.stat().st_mode) == 0o700
    exchange.write_arrays(place / "in", {"a": FLOATS})
    other = scratch.new()
    exchange.remove(place)
    assert not place.exists()
    assert other.exists()
    scratch.remove()
    scratch.remove()
    assert list((tmp_path / "data" / "analysis").iterdir()) == []


def test_what_dead_servers_left_is_swept_and_nothing_else(tmp_path: Path) -> None:
    lives, dead = exchange.Scratch(tmp_path), exchange.Scratch(tmp_path)
    (dead.path / "x.npy").write_bytes(b"x")
    assert dead._lock is not None
    exchange.os.close(dead._lock)  # as the kernel does when a process dies
    young = tmp_path / f"{exchange._PREFIX}young"  # between its two first steps
    other = tmp_path / "something else"
    young.mkdir()
    other.mkdir()
    new = exchange.Scratch(tmp_path)
    assert set(tmp_path.iterdir()) == {lives.path, new.path, young, other}
    lives.remove()
    new.remove()


def test_a_base_that_cannot_be_used_gives_way_to_the_systems(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "tmp").mkdir()
    monkeypatch.setattr(exchange.tempfile, "tempdir", str(tmp_path / "tmp"))
    (tmp_path / "file").write_text("in the way")
    scratch = exchange.Scratch(tmp_path / "file" / "analysis")
    assert scratch.path.parent == tmp_path / "tmp"
    assert "cannot be used" in caplog.text
    scratch.remove()


def test_rows_that_come_in_blocks_are_one_array(tmp_path: Path) -> None:
    rows = np.arange(24, dtype=np.float32).reshape(4, 3, 2)
    for block in (rows[:1], rows[1:1], np.asfortranarray(rows[1:])):
        exchange.append_rows(tmp_path / "draws.f32", block)
    exchange.write_arrays(tmp_path, {"draws": ArrayFile(tmp_path / "draws.f32", rows.shape)})
    np.testing.assert_array_equal(exchange.map_arrays(tmp_path)["draws"], rows)
    with pytest.raises(PreconditionFailed, match="no room"):
        exchange.append_rows(tmp_path / "nowhere" / "draws.f32", rows)
