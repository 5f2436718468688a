"""What follows from what was measured of a setting."""

from __future__ import annotations

import pytest
from penult_service.tuned import Measured, Setting, Tuned


@pytest.mark.parametrize(
    ("one_seconds", "overhead"), [(0.010, 84), (0.002, 8), (1.0, 256), (0.0, 64)], ids=str
)
def test_what_a_batch_costs_beside_its_tokens(one_seconds: float, overhead: int) -> None:
    setting = Setting(threads=2)
    measured = (Measured(Setting(threads=1), 1.0, 1.0), Measured(setting, 10_000.0, one_seconds))
    assert Tuned(setting, measured).overhead == overhead
    assert Tuned(Setting(threads=3), measured).overhead == 64


def test_in_streams_it_is_what_one_of_them_computes_meanwhile() -> None:
    setting = Setting(threads=4, streams=4)
    assert Tuned(setting, (Measured(setting, 40_000.0, 0.010),)).overhead == 84
