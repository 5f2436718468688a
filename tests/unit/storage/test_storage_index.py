"""The index of ids against a dictionary."""

from __future__ import annotations

import random

import numpy as np
import pytest
from penult_service.storage import index
from penult_service.storage.index import IdIndex


@pytest.mark.parametrize("latest", [1, 10, 16_384])
def test_every_row_is_found(monkeypatch: pytest.MonkeyPatch, latest: int) -> None:
    monkeypatch.setattr(index, "_LATEST", latest)
    choose, found, expected = random.Random(latest), IdIndex(), dict[str, int]()
    while len(expected) < 2000:
        ids = [f"id-{len(expected) + i}" for i in range(choose.choice((1, 2, 9, 40)))]
        found.add(ids, len(expected))
        expected.update({key: len(expected) + i for i, key in enumerate(ids)})
        asked = [f"id-{choose.randrange(3000)}" for _ in range(20)]
        places, rows = found.candidates(asked)
        pairs = set(zip(places.tolist(), rows.tolist(), strict=True))
        assert pairs >= {(place, expected[key]) for place, key in enumerate(asked) if key in expected}
        assert len(pairs) == sum(key in expected for key in asked)


def test_ids_that_share_a_hash(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(index, "_LATEST", 1)
    monkeypatch.setattr(index, "_hashes", lambda ids: np.array([len(key) for key in ids], np.int64))
    found = IdIndex()
    found.add(["a", "bb", "c"], 0)
    found.add(["d", "eee"], 3)
    places, rows = found.candidates(["x", "yy", "zzzz", "www"])
    assert sorted(zip(places.tolist(), rows.tolist(), strict=True)) == [
        (0, 0),
        (0, 2),
        (0, 3),
        (1, 1),
        (3, 4),
    ]
