"""The sets of the scripted server."""

from __future__ import annotations

import grpc
from grpc_status.rpc_status import to_status
from penult.v1 import dataset_service_pb2 as datasets
from penult.v1 import dataset_service_pb2_grpc as datasets_grpc
from support.wire_script import Script, status


class Datasets(datasets_grpc.DatasetServiceServicer):
    """Sets in memory: rows by id, in the order of their coming."""

    def __init__(self, script: Script) -> None:
        self._script = script
        self.sets: dict[str, tuple[datasets.Dataset, dict[str, datasets.Rows]]] = {}

    def CreateDataset(self, request, context):  # noqa: N802
        with self._script.call("CreateDataset", request, context):
            if request.name in self.sets and not request.overwrite:
                there = self.sets[request.name][0]
                if there.problem == request.request_id:
                    return datasets.CreateDatasetResponse(dataset=there, existed=True)
                failure = status(grpc.StatusCode.ALREADY_EXISTS, "it is there", reason="DATASET_EXISTS")
                context.abort_with_status(to_status(failure))
            made = datasets.Dataset(
                name=f"datasets/{request.name}", columns=request.columns, problem=request.request_id
            )
            self.sets[request.name] = (made, {})
            return datasets.CreateDatasetResponse(dataset=made)

    def AppendRows(self, requests, context):  # noqa: N802
        """Each message is kept before the next is read, and only then may the call fail."""
        added = there = 0
        for request in requests:
            info, rows = self.sets[request.name]
            for i, key in enumerate(request.rows.ids):
                there += key in rows
                added += key not in rows
                rows.setdefault(key, _one_row(request.rows, i))
            info.rows, info.dimension = len(rows), request.rows.vectors.columns
            with self._script.call("AppendRows", request, context):
                pass
        return datasets.AppendRowsResponse(added=added, already_there=there, dataset=info)

    def GetDataset(self, request, context):  # noqa: N802
        with self._script.call("GetDataset", request, context):
            return datasets.GetDatasetResponse(dataset=self.sets[request.name][0])

    def ReadRows(self, request, context):  # noqa: N802
        """One row a message."""
        info, rows = self.sets[request.name]
        yield datasets.ReadRowsResponse(dataset=info)
        stop = request.first_row + (request.row_count or len(rows))
        for number, row in list(enumerate(rows.values()))[request.first_row : stop]:
            with self._script.call("ReadRows", request, context):
                yield datasets.ReadRowsResponse(first_row=number, row_count=1, rows=row)


def _one_row(rows: datasets.Rows, i: int) -> datasets.Rows:
    width = 4 * rows.vectors.columns
    row = datasets.Rows(
        ids=[rows.ids[i]], texts=rows.texts[i : i + 1], null_texts=[0] * (i in rows.null_texts)
    )
    row.vectors.rows, row.vectors.columns = 1, rows.vectors.columns
    row.vectors.data = rows.vectors.data[i * width : (i + 1) * width]
    return row
