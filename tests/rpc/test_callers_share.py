"""Who sends much does not hold up who sends little, though neither's calls are small."""

from __future__ import annotations

import threading

import grpc
from support.bad_input import embed
from support.calling import METHODS
from support.fakes import fake_model
from support.serving import serving, wait_until

EMBED = f"/{METHODS['Embed'].containing_service.full_name}/Embed"


def start(channel: grpc.Channel, *values: str) -> grpc.Future:
    return channel.unary_unary(EMBED).future(embed(*values).SerializeToString())


def test_a_hundred_texts_of_one_caller_beside_thousands_of_another() -> None:
    gate = threading.Event()
    gate.set()
    model = fake_model("shared", gate=gate, seconds=0.003)
    with serving(model) as server, server.channel() as many, server.channel() as few:
        waiting = server._server._scheduler.waiting_tokens
        gate.clear()
        calls = [start(many, *(f"{call} of {i}" for i in range(1000))) for call in range(4)]
        wait_until(lambda: waiting(("shared", 1)) > 19_000)  # of 20,000 tokens, less what runs
        before = waiting(("shared", 1))
        own = start(few, *(f"own {i}" for i in range(100)))
        wait_until(lambda: waiting(("shared", 1)) > before + 300)
        gate.set()
        assert own.result(timeout=30)
        assert not calls[-1].done()
        assert all(call.result(timeout=30) for call in calls)
