"""Ten times as much as the server can do, for a minute: is every call answered, and does the server keep its pace?"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from typing import Any

import grpc
import loads
import psutil
import sides
from penult.v1 import common_pb2 as common
from penult.v1 import inference_service_pb2 as messages
from process import running
from rounds import percentile, progress

TEXTS, TIMES, DEADLINE, CALLERS = 32, 10, 10.0, 32
EMBED = "/penult.v1.InferenceService/Embed"
# Vectors, a refusal, or that the time was over: what a caller can be told under too much work.
ANSWERS = ("OK", "RESOURCE_EXHAUSTED", "DEADLINE_EXCEEDED")


def run(asked: Any) -> dict[str, Any]:
    """Results, as `told_overload` reads them. Calls go straight to the wire: the client would try again by itself."""
    precision = asked.precisions[0]
    seconds = 10.0 if asked.quick else 60.0
    with running(sides.ours(precision, asked.threads)[0]) as opened:
        address, server = opened.about["address"], psutil.Process(opened.about["pid"])
        found = asyncio.run(_run(address, server, loads.sentences(4_096), seconds))
    return {
        **found,
        "precision": precision,
        "deadline": DEADLINE,
        "texts_a_call": TEXTS,
        "overload_seconds": seconds,
    }


def request(texts: list[str], number: int) -> messages.EmbedRequest:
    """The call of that number. Its texts are no other call's: of equal ones that wait only one is computed.

    The number has six digits each time, so that later calls are hardly longer.
    """
    start = number * TEXTS % len(texts)
    return messages.EmbedRequest(
        texts=common.TextList(texts=[f"{text} {number:06d}" for text in texts[start : start + TEXTS]]),
        options=common.EmbedOptions(pooling=common.POOLING_MEAN),
    )


async def _run(address: str, server: psutil.Process, texts: list[str], seconds: float) -> dict[str, Any]:
    async with grpc.aio.insecure_channel(address) as channel:
        # Bytes: on the same processors, what the sender does is taken from the server.
        embed = channel.unary_unary(EMBED)
        await _capacity(embed, server, texts, 2.0)
        before, cost_before = await _capacity(embed, server, texts, min(seconds, 10.0))
        progress(f"capacity {before:.0f} texts/s")
        rate = before / TEXTS * TIMES
        prepared = [request(texts, number).SerializeToString() for number in range(int(rate * seconds))]
        overload = await _overload(embed, server, prepared, rate, seconds)
        await asyncio.sleep(1.0)
        after, cost_after = await _capacity(embed, server, texts, min(seconds, 10.0))
    progress(f"{overload['codes']}, goodput {overload['goodput']:.0f} texts/s; afterwards {after:.0f}")
    return {
        "capacity_before": before,
        "capacity_after": after,
        "capacity_processor_seconds": (cost_before + cost_after) / 2,
        **overload,
    }


async def _capacity(
    embed: Any, server: psutil.Process, texts: list[str], seconds: float
) -> tuple[float, float]:
    """Texts a second of many callers that each wait for each answer; processor seconds of the server a text."""
    done = 0
    began, used = time.perf_counter(), _used(server)

    async def caller(first: int) -> None:
        nonlocal done
        number = first
        while time.perf_counter() < began + seconds:
            await embed(request(texts, number).SerializeToString(), timeout=60)
            done += TEXTS
            number += CALLERS

    await asyncio.gather(*(caller(first) for first in range(CALLERS)))
    return done / (time.perf_counter() - began), (_used(server) - used) / done


async def _overload(
    embed: Any, server: psutil.Process, prepared: list[bytes], rate: float, seconds: float
) -> dict[str, Any]:
    codes: Counter[str] = Counter()
    taken: list[float] = []
    memory: list[int] = []
    late: list[float] = []
    ended = 0.0

    async def call(number: int) -> None:
        nonlocal ended
        sent = time.perf_counter()
        try:
            await embed(prepared[number], timeout=DEADLINE)
            codes["OK"] += 1
            taken.append(time.perf_counter() - sent)
            ended = time.perf_counter()
        except grpc.aio.AioRpcError as error:
            codes[error.code().name] += 1

    async def watch() -> None:
        while True:
            memory.append(server.memory_info().rss)
            await asyncio.sleep(0.5)

    watching = asyncio.create_task(watch())
    began, calls = time.perf_counter(), len(prepared)
    used, server_used = time.process_time(), _used(server)
    async with asyncio.TaskGroup() as group:
        for number in range(calls):
            due = began + number / rate
            if (early := due - time.perf_counter()) > 0:
                await asyncio.sleep(early)
            else:
                late.append(-early)
                await asyncio.sleep(0)
            group.create_task(call(number))
    watching.cancel()
    took = time.perf_counter() - began
    used, server_used = time.process_time() - used, _used(server) - server_used
    last_quarter, second_quarter = memory[-len(memory) // 4 :], memory[len(memory) // 4 : len(memory) // 2]
    return {
        "calls": calls,
        "codes": dict(codes),
        "unanswered": calls - sum(codes[code] for code in ANSWERS),
        "goodput": codes["OK"] * TEXTS / max(ended - began, seconds),
        "sender_processors": used / took,
        "server_processors": server_used / took,
        "processor_seconds": server_used / max(1, codes["OK"] * TEXTS),
        "p50": percentile(taken, 0.5) if taken else 0.0,
        "p99": percentile(taken, 0.99) if taken else 0.0,
        "sent_late_seconds": max(late, default=0.0),
        "memory": memory,
        "growth": max(last_quarter) / max(second_quarter) - 1.0,
    }


def _used(process: psutil.Process) -> float:
    """Processor seconds so far."""
    times = process.cpu_times()
    return float(times.user + times.system)
