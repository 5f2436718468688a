"""What an operation says that it does, while it is refused and asks again."""

from __future__ import annotations

import asyncio

from penult_service.errors import ResourceExhausted, Unavailable
from penult_service.operations import EMBEDDING, STARTING, WAITING, Progress
from penult_service.rpc.analysis import long_analyses


def test_it_embeds_again_after_it_has_waited(monkeypatch) -> None:
    stages: list[str] = []
    progress = Progress()
    refusals = [
        ResourceExhausted("full", retry_after=0.0),
        Unavailable("not yet", reason="ANALYSIS_WARMING"),
    ]
    sleep = asyncio.sleep

    async def pause(_: float) -> None:
        stages.append(progress.stage)
        await sleep(0)

    async def ask() -> str:
        progress.tell(EMBEDDING)
        stages.append(progress.stage)
        if refusals:
            raise refusals.pop(0)
        return "rows"

    monkeypatch.setattr(long_analyses.asyncio, "sleep", pause)
    assert asyncio.run(long_analyses._patiently(progress, ask)) == "rows"
    assert stages == [EMBEDDING, WAITING, EMBEDDING, STARTING, EMBEDDING]
