"""Sets of embeddings that last."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncGenerator, AsyncIterator
from dataclasses import replace
from typing import Any

from penult.v1 import common_pb2
from penult.v1 import dataset_service_pb2 as pb

from penult_service.config import Limits
from penult_service.embedder import Embedder, LoadedModel
from penult_service.errors import AlreadyExists, InvalidInput, PenultError, PreconditionFailed
from penult_service.repository.repository import Repository
from penult_service.rpc.codec import Codec
from penult_service.rpc.datasets import replies
from penult_service.rpc.datasets.codec import AskedSet, DatasetCodec, set_name
from penult_service.rpc.datasets.texts import SetTexts
from penult_service.rpc.handlers import Call
from penult_service.rpc.stored import Stored
from penult_service.storage import EmbeddingSet, SetInfo, SetStore, Snapshot


class DatasetService:
    """`penult.v1.DatasetService`."""

    def __init__(
        self,
        codec: Codec,
        limits: Limits,
        repository: Repository[LoadedModel],
        embedder: Embedder,
        stored: Stored,
    ) -> None:
        self._codec, self._stored = DatasetCodec(codec, limits), stored
        self._texts = SetTexts(stored, repository, embedder)

    async def create_dataset(self, request: pb.CreateDatasetRequest, _: Call) -> pb.CreateDatasetResponse:
        """A set without rows."""
        asked, sets = self._codec.create(request), self._stored.storage.sets
        provenance: dict[str, Any] = {"request_id": asked.request_id} if asked.request_id else {}
        if asked.options is not None:
            embedding, space, dimension = self._texts.embedding_of(asked)
            _check_same(asked, space, dimension)
            asked = replace(asked, space=space, dimension=dimension)
            provenance["embedding"] = embedding
        info, existed = await self._stored.run(_created, sets, asked, provenance)
        return pb.CreateDatasetResponse(dataset=replies.dataset(info), existed=existed)

    async def append_rows(
        self, requests: AsyncIterator[pb.AppendRowsRequest], call: Call
    ) -> pb.AppendRowsResponse:
        """Rows, message by message; each is durable before the next one is looked at."""
        reply, opened, done = pb.AppendRowsResponse(space_checked=True), None, 0
        try:
            async for request in requests:
                opened = await self._opened(request, opened)
                added, origin = await self._append(opened, request.rows, call)
                reply.added += added.added
                reply.already_there += added.already_there
                reply.space_checked &= added.space_checked
                if origin is not None:
                    reply.provenance.CopyFrom(origin)
                done = call.rows = done + added.added + added.already_there
        except PenultError as error:
            raise _counted_from(done, error) from None
        if opened is None:
            raise InvalidInput("the stream is empty; its first message names the set", reason="EMPTY_INPUT")
        reply.dataset.CopyFrom(replies.dataset(opened.info))
        return reply

    async def get_dataset(self, request: pb.GetDatasetRequest, _: Call) -> pb.GetDatasetResponse:
        """What is known of a set."""
        name, sets = set_name(request.name, "name"), self._stored.storage.sets
        info = await self._stored.run(lambda: sets.get(name).info)
        return pb.GetDatasetResponse(dataset=replies.dataset(info))

    async def list_datasets(self, request: pb.ListDatasetsRequest, _: Call) -> pb.ListDatasetsResponse:
        """All sets, by name."""
        size, token = self._codec.page(request)
        page = await self._stored.run(self._stored.storage.sets.list, size, token)
        return pb.ListDatasetsResponse(
            datasets=[replies.dataset(info) for info in page.sets], next_page_token=page.next_page_token
        )

    async def read_rows(self, request: pb.ReadRowsRequest, call: Call) -> AsyncGenerator[pb.ReadRowsResponse]:
        """Rows in order; the next message is made while the caller takes the one before."""
        asked, sets = self._codec.read(request), self._stored.storage.sets
        info, snapshot = await self._stored.run(_snapshot, sets, asked.name)
        following: asyncio.Future[pb.ReadRowsResponse | None] | None = None
        try:
            reader = await self._stored.run(
                replies.RowReader, snapshot, asked.columns, asked.first, asked.count, asked.max_bytes
            )
            following = self._stored.begin(reader.next)
            yield pb.ReadRowsResponse(dataset=replies.dataset(info), first_row=asked.first)
            while (message := await following) is not None:
                following = self._stored.begin(reader.next)
                call.rows += message.row_count
                yield message
        finally:
            self._stored.begin(snapshot.close)

    async def delete_dataset(self, request: pb.DeleteDatasetRequest, _: Call) -> pb.DeleteDatasetResponse:
        """The set goes; calls that read it go on."""
        await self._stored.run(self._stored.storage.sets.delete, set_name(request.name, "name"))
        return pb.DeleteDatasetResponse()

    async def _opened(self, request: pb.AppendRowsRequest, opened: EmbeddingSet | None) -> EmbeddingSet:
        if opened is None:
            return await self._stored.run(self._stored.storage.sets.get, set_name(request.name, "name"))
        if request.name and set_name(request.name, "name") != opened.info.name:
            raise InvalidInput(
                f"one stream is for one set, {opened.info.name!r}; send the others' rows in streams of their own",
                reason="TWO_DATASETS",
                field="name",
            )
        return opened

    async def _append(
        self, opened: EmbeddingSet, message: pb.Rows, call: Call
    ) -> tuple[Any, common_pb2.Provenance | None]:
        rows, origin = await self._stored.run(self._codec.rows, message), None
        vectors, space = rows.vectors, rows.space
        if vectors is None:
            vectors, origin = await self._texts.vectors(opened, rows, call)
            space = opened.info.embedding_space
        appended = await self._stored.run(
            opened.append, rows.ids, vectors, rows.texts, rows.columns, space=space
        )
        return appended, origin


def _created(sets: SetStore, asked: AskedSet, provenance: dict[str, Any]) -> tuple[SetInfo, bool]:
    try:
        made = sets.create(
            asked.name,
            space=asked.space,
            dimension=asked.dimension,
            columns=asked.columns,
            provenance=provenance,
            overwrite=asked.overwrite,
        )
    except AlreadyExists:
        there = sets.get(asked.name).info
        if asked.request_id and there.provenance.get("request_id") == asked.request_id:
            return there, True
        raise
    return made.info, False


def _snapshot(sets: SetStore, name: str) -> tuple[SetInfo, Snapshot]:
    """The rows as they are now, and the set with as many."""
    opened = sets.get(name)
    snapshot = opened.snapshot()
    return replace(opened.info, rows=snapshot.rows, dimension=snapshot.dimension), snapshot


def _check_same(asked: AskedSet, space: str, dimension: int) -> None:
    if asked.space and asked.space != space:
        raise PreconditionFailed(
            f"the rows are of embedding space {asked.space}, the options make rows of {space}: name the model and the"
            " options that made them",
            reason="SPACE_MISMATCH",
            field="embedding_space",
            metadata={"rows": asked.space, "options": space},
        )
    if asked.dimension is not None and asked.dimension != dimension:
        raise InvalidInput(
            f"dimension is {asked.dimension}, rows of the options have {dimension}",
            reason="DIMENSION_MISMATCH",
            field="dimension",
        )


_PLACE = re.compile(
    r"(?<![\w.])((?:ids|texts|vectors|columns\.[^\[\]]+)\[)(\d+)(?=\])|(\brow )(\d+)(?= of vectors)"
)


def _counted_from(start: int, error: PenultError) -> PenultError:
    """The error of one message with the row's number in the stream, and how many rows are durable."""

    def shifted(text: str) -> str:
        return _PLACE.sub(lambda found: f"{found[1] or found[3]}{int(found[2] or found[4]) + start}", text)

    field = error.field.removeprefix("rows.")
    named = re.match(r"(ids|texts|vectors|null_texts|columns)\b", field)
    error.field = f"rows.{shifted(field)}" if named else error.field
    error.message = shifted(error.message)
    error.metadata = {**error.metadata, "rows_done": str(start)}
    return error
