"""Sets of embeddings that the server keeps."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Sequence
from typing import Any

from penult_client._async.calls import AsyncCaller
from penult_client._channel import async_sleep
from penult_client._core import datasets, requests, rpcs
from penult_client._core.datasets import Upload
from penult_client._core.progress import Report, reporter
from penult_client._core.timing import Deadline
from penult_client._datasets import Appended, Dataset, DatasetInfo, DatasetRows
from penult_client._exceptions import PenultError, PreconditionError


class AsyncDatasets:
    """The methods of the client that keep and read sets."""

    _caller: AsyncCaller

    async def upload(
        self,
        name: str,
        vectors_or_texts: Any,
        texts: Any = None,
        columns: Any = None,
        ids: Any = None,
        overwrite: bool = False,
        *,
        space: str | None = None,
        model: str | None = None,
        pooling: str = "pooled",
        normalize: bool = False,
        truncate: str = "right",
        layer: str | None = None,
        progress: bool | Report = False,
        deadline: float | None = None,
    ) -> DatasetInfo:
        """Makes a set of these rows. After a break the same call goes on: rows that are there are not added again.

        Args:
            name: 1 to 63 of ``a-z 0-9 - _``, the first a letter or digit.
            vectors_or_texts: `Embeddings`, an array [n, d], a column of lists of numbers; or n texts, which the server
                embeds.
            texts: n str, None where a row has none; with vectors.
            columns: Further values: a mapping of names to n values, or a table of pandas, polars or Arrow. Str, whole
                numbers, floats or bools; None where a row has none.
            ids: n str or whole numbers that tell the rows apart; None: their numbers, ``0``, ``1`` ...
            overwrite: Take the place of a set of this name.
            space: Of an array: its embedding space, as `Embeddings.space` has it; None: not known.
            model, pooling, normalize, truncate, layer: As of `embed`; the set keeps them for texts that are appended.
                With vectors only when `model` is given.
            progress: True: a line on stderr; or a function of (done, total).
            deadline: The longest wait for the whole call, in seconds.

        Raises:
            AlreadyExistsError: there is another set of this name.
            PenultError: see `penult_client.PenultError`. Rows before the one at fault are kept.
        """
        upload = datasets.check_upload(vectors_or_texts, texts, columns, ids, space)
        options = None
        if upload.vectors is None or model is not None:
            options = requests.embed_options(
                model=model, layer=layer, pooling=pooling, normalize=normalize, truncate=truncate
            )
        ends = Deadline.begin(deadline)
        request = datasets.create_request(datasets.check_name(name), upload, options, bool(overwrite))
        await self._caller.send(rpcs.CREATE_DATASET, request, ends)
        return (
            await self._append(request.name, upload, ends, reporter(progress, "uploading", "rows"))
        ).dataset

    async def append(
        self,
        dataset: str | Dataset,
        vectors_or_texts: Any,
        texts: Any = None,
        columns: Any = None,
        *,
        ids: Any,
        space: str | None = None,
        progress: bool | Report = False,
        deadline: float | None = None,
    ) -> Appended:
        """Adds rows behind those of a set. The same call again adds nothing.

        Args:
            dataset: The set.
            vectors_or_texts, texts, columns: As of `upload`; texts are embedded as the set says.
            ids: n str or whole numbers. A row whose id is there with other content is an error.
            space, progress, deadline: As of `upload`.

        Raises:
            NotFoundError: there is no such set. PenultError: as `upload`.
        """
        upload = datasets.check_upload(vectors_or_texts, texts, columns, ids, space)
        name = datasets.check_name(dataset)
        return await self._append(
            name, upload, Deadline.begin(deadline), reporter(progress, "appending", "rows")
        )

    async def datasets(self) -> list[DatasetInfo]:
        """All sets, by name."""
        found: list[DatasetInfo] = []
        token = ""
        while True:
            request = rpcs.LIST_DATASETS.request(page_token=token)
            reply = await self._caller.send(rpcs.LIST_DATASETS, request)
            found += [datasets.info(told) for told in reply.datasets]
            token = reply.next_page_token
            if not token:
                return found

    async def dataset(self, name: str | Dataset) -> DatasetInfo:
        """What is known of a set."""
        request = rpcs.GET_DATASET.request(name=datasets.check_name(name))
        return datasets.info((await self._caller.send(rpcs.GET_DATASET, request)).dataset)

    async def read(
        self,
        name: str | Dataset,
        columns: Sequence[str] | None = None,
        *,
        progress: bool | Report = False,
        deadline: float | None = None,
    ) -> DatasetRows:
        """The rows of a set, in order.

        Args:
            name: The set.
            columns: Which of ``id``, ``text``, ``vector`` and its own; None: all.
            progress, deadline: As of `upload`.

        Raises:
            NotFoundError: there is no such set. DataLossError: it is damaged. PenultError: see there.
        """
        there, ends = await self.dataset(name), Deadline.begin(deadline)
        names, report = datasets.check_read_columns(columns, there), reporter(progress, "reading", "rows")
        gathered = datasets.Gathered(there, names)
        async for rows in self._read(there, names, ends):
            gathered.add(rows)
            report(gathered.rows, there.rows)
        return gathered.whole()

    async def read_batches(
        self, name: str | Dataset, columns: Sequence[str] | None = None, *, deadline: float | None = None
    ) -> AsyncIterator[DatasetRows]:
        """The same, some rows at a time, for sets larger than the memory. Arguments and errors as of `read`."""
        there, ends = await self.dataset(name), Deadline.begin(deadline)
        async for rows in self._read(there, datasets.check_read_columns(columns, there), ends):
            yield rows

    async def delete_dataset(self, name: str | Dataset) -> None:
        """Deletes a set.

        Raises:
            NotFoundError: there is no such set.
        """
        request = rpcs.DELETE_DATASET.request(name=datasets.check_name(name))
        await self._caller.send(rpcs.DELETE_DATASET, request)

    async def _append(self, name: str, upload: Upload, ends: Deadline, report: Report) -> Appended:
        limits = await self._caller.limits(ends)
        replies = await self._caller.send_rows(
            rpcs.APPEND_ROWS,
            lambda part: datasets.messages(name, upload, part, limits),
            datasets.parts(upload, limits),
            ends,
            report,
        )
        return datasets.appended([reply for _, reply in replies])

    async def _read(
        self, there: DatasetInfo, columns: Sequence[str], ends: Deadline
    ) -> AsyncIterator[DatasetRows]:
        """Part by part; one that breaks goes on behind the rows that have come."""
        limits = await self._caller.limits(ends)
        for part in datasets.ranges(there):
            queue = self._caller.queue_of(part, ends)
            while queue.waiting:
                part, seconds = queue.take(time.monotonic())
                request = datasets.read_request(there.name, columns, part, limits)
                receiving = self._caller.receive(rpcs.READ_ROWS, request, seconds)
                try:
                    while (reply := await receiving.next()) is not None:
                        if reply.HasField("dataset"):
                            _check_same(there, reply.dataset.generation)
                        if reply.row_count:
                            part.start = reply.first_row + reply.row_count
                            yield datasets.rows_of(reply, there, columns)
                except PenultError as error:
                    await async_sleep(queue.failed(part, error, time.monotonic()))
                finally:
                    receiving.cancel()


def _check_same(there: DatasetInfo, generation: str) -> None:
    if generation != there.generation:
        raise PreconditionError(
            f"set {there.name!r} was overwritten while it was read; read it again",
            reason="DATASET_OVERWRITTEN",
        )
