"""Kills a server with -9 at a random moment of its AppendRows, and counts what is lost, torn or doubled."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import threading
import time
from pathlib import Path

import grpc
import numpy as np
from penult.v1 import common_pb2
from penult.v1 import dataset_service_pb2 as pb
from support import storage_writer
from support.serving import open_channel
from support.storage_kills import Found, look

SERVE = [sys.executable, "-m", "penult_service", "serve", "fake:reviews", "--port", "0"]
_SERVICE = "/penult.v1.DatasetService"


def kill_once(data: Path, choose: random.Random, before: int) -> Found:
    """Start a server on `data`, which has `before` rows, append until it is killed, and look.

    One in five is killed while it starts and recovers, the others up to 0.15 s after the first stream that was
    answered. What the last life may not have heard of is sent again first, as a client does.
    """
    file = data.with_name(f"{data.name}-address")
    file.unlink(missing_ok=True)
    server = subprocess.Popen(
        [*SERVE, "--data", str(data), "--address-file", str(file)],
        stdin=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env={**os.environ, "PENULT_ANALYSIS_WORKERS": "0"},
    )
    writer = _Writer(before, choose.randrange(2**31))
    early = before > 0 and choose.random() < 0.2
    until = time.monotonic() + (choose.uniform(0.2, 1.0) if early else 60)
    try:
        while not file.exists() and server.poll() is None and time.monotonic() < until:
            time.sleep(0.002)
        if file.exists():
            thread = threading.Thread(target=writer.run, args=(file.read_text().strip(),))
            thread.start()
            while not writer.answered.wait(0.002) and server.poll() is None and time.monotonic() < until:
                pass
            time.sleep(0 if early else choose.uniform(0, 0.15))
    finally:
        server.kill()
        server.wait()
    if file.exists():
        thread.join()
    assert not writer.refused, writer.refused
    return look(data, writer.acknowledged, writer.whole)


class _Writer:
    """Sends streams of messages, each of some rows, until the server is gone."""

    def __init__(self, before: int, seed: int) -> None:
        self.acknowledged = before
        self.whole = {before}
        self.answered = threading.Event()
        self.refused = ""
        self._sent = before
        self._choose = random.Random(seed)

    def run(self, address: str) -> None:
        """Until it fails."""
        with open_channel(address) as channel:
            try:
                self._create(channel)
                while True:
                    self._stream(channel)
            except grpc.RpcError as error:
                if error.code() not in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED):
                    self.refused = f"{error.code()}: {error.details()}"

    def _create(self, channel: grpc.Channel) -> None:
        columns = [pb.ColumnSpec(name="n", type=pb.COLUMN_TYPE_INT64)]
        request = pb.CreateDatasetRequest(name=storage_writer.NAME, columns=columns, request_id="kills")
        channel.unary_unary(f"{_SERVICE}/CreateDataset")(request.SerializeToString(), timeout=60)

    def _stream(self, channel: grpc.Channel) -> None:
        """From the last row that was acknowledged, less some: those are there already."""
        again = min(self.acknowledged, 50) if not self.answered.is_set() else 0
        first = self.acknowledged - again
        counts = [self._choose.choice((1, 1, 7, 60, 900)) for _ in range(self._choose.choice((1, 1, 2, 5)))]
        counts = [again, *counts] if again else counts
        ends = first + np.cumsum(counts)
        self.whole.update(ends.tolist())
        messages = (self._message(int(end) - count, count) for end, count in zip(ends, counts, strict=True))
        data = channel.stream_unary(f"{_SERVICE}/AppendRows")(messages, timeout=60)
        reply = pb.AppendRowsResponse.FromString(data)
        if reply.added + reply.already_there != sum(counts) or reply.already_there < again:
            self.refused = f"{reply.added} added, {reply.already_there} there of {counts}"
        self.acknowledged = int(ends[-1])
        self.answered.set()

    def _message(self, first: int, count: int) -> bytes:
        numbers = np.arange(first, first + count)
        rows = storage_writer.content(numbers)
        vectors = storage_writer.vectors(numbers)
        message = pb.Rows(
            ids=rows["ids"],
            texts=["" if text is None else text for text in rows["texts"]],
            null_texts=[i for i, text in enumerate(rows["texts"]) if text is None],
            columns=[pb.Column(name="n", int64s=pb.Int64Values(values=rows["n"]))],
            vectors=common_pb2.Vectors(
                rows=count, columns=vectors.shape[1], data=vectors.tobytes(), embedding_space="space"
            ),
        )
        return pb.AppendRowsRequest(name=storage_writer.NAME, rows=message).SerializeToString()
