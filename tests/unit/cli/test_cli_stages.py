"""The interrupt key while something that tells how far it is runs in this process."""

from __future__ import annotations

import signal

import pytest
from penult_service.cli.stages import stages


def test_an_interrupt_waits_for_the_next_step(capsys: pytest.CaptureFixture[str]) -> None:
    before = signal.getsignal(signal.SIGINT)
    done = []

    def work() -> None:
        with stages() as progress:
            progress("counting", 0, 2, "")
            signal.raise_signal(signal.SIGINT)
            done.append("the step it came in")
            progress("counting", 2, 2, "")
            done.append("more")

    with pytest.raises(KeyboardInterrupt):
        work()
    assert done == ["the step it came in"]
    assert signal.getsignal(signal.SIGINT) is before
    assert capsys.readouterr().err == ""


def test_pressed_again_it_does_not_wait() -> None:
    done = []

    def work() -> None:
        with stages():
            signal.raise_signal(signal.SIGINT)
            done.append("held")
            signal.raise_signal(signal.SIGINT)
            done.append("more")

    with pytest.raises(KeyboardInterrupt):
        work()
    assert done == ["held"]


def test_without_one_nothing_changes(capsys: pytest.CaptureFixture[str]) -> None:
    with stages() as progress:
        progress("counting", 1, 2, "")
        progress("counting", 2, 2, "two")
    assert capsys.readouterr().err == "counting: 2 of 2, 0 s; two\n"
