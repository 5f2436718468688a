"""A server of the contract in a few lines, over a real socket: for tests of clients.

Its numbers are those of `wire_numbers`, so every test has an oracle. `Script.fail` scripts what goes wrong.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from concurrent import futures
from contextlib import contextmanager
from typing import Any

import grpc
import numpy as np
from google.protobuf.duration_pb2 import Duration
from google.rpc.error_details_pb2 import BadRequest, ErrorInfo, RetryInfo
from google.rpc.status_pb2 import Status
from grpc_status.rpc_status import to_status
from penult.v1 import analysis_service_pb2 as analysis
from penult.v1 import analysis_service_pb2_grpc as analysis_grpc
from penult.v1 import common_pb2 as common
from penult.v1 import dataset_service_pb2 as datasets
from penult.v1 import dataset_service_pb2_grpc as datasets_grpc
from penult.v1 import inference_service_pb2 as inference
from penult.v1 import inference_service_pb2_grpc as inference_grpc
from penult.v1 import model_service_pb2 as models
from penult.v1 import model_service_pb2_grpc as models_grpc
from penult.v1 import server_service_pb2 as server_pb
from penult.v1 import server_service_pb2_grpc as server_grpc
from support.wire_numbers import packed, probabilities_of, rows_of, token_vectors_of, vector_of

DIMENSION = 4
LABELS = ("negative", "positive")
LIMITS = {
    "max_request_bytes": 1 << 20,
    "default_response_bytes": 1 << 22,
    "max_response_bytes": 1 << 26,
    "max_texts": 8,
    "max_text_bytes": 1 << 16,
    "max_queued_tokens": 1 << 16,
    "max_scores": 1 << 20,
    "max_analysis_seconds": 60.0,
    "max_analysis_bytes": 1 << 32,
}


def status(
    code: grpc.StatusCode,
    message: str,
    *,
    reason: str = "",
    field: str = "",
    retry: float | None = None,
    metadata: dict[str, str] | None = None,
    domain: str = "penult",
) -> Status:
    """A rich status as the server makes it."""
    made = Status(code=code.value[0], message=message)
    details: list[Any] = []
    if reason:
        details.append(ErrorInfo(reason=reason, domain=domain, metadata=metadata or {}))
    if field:
        details.append(
            BadRequest(field_violations=[BadRequest.FieldViolation(field=field, description=message)])
        )
    if retry is not None:
        details.append(RetryInfo(retry_delay=Duration(seconds=int(retry), nanos=round(retry % 1 * 1e9))))
    for detail in details:
        made.details.add().Pack(detail)
    return made


Failure = Status | Callable[[Any, grpc.ServicerContext], None]


class Script:
    """What the next calls meet, by method, and what was asked."""

    def __init__(self) -> None:
        self.failures: dict[str, deque[Failure | None]] = {}
        self.requests: list[tuple[str, Any]] = []
        self.metadata: list[dict[str, str | bytes]] = []
        self.running = 0
        self.most_running = 0
        self.pause = 0.0
        self.digest = "d1"
        self.labels = LABELS
        self._lock = threading.Lock()

    def fail(self, method: str, *failures: Failure | None) -> None:
        """The next calls of the method fail like this, one after the other (None: that one is answered)."""
        self.failures.setdefault(method, deque()).extend(failures)

    def asked(self, method: str) -> list[Any]:
        """The requests of a method, in the order of arrival."""
        return [request for name, request in self.requests if name == method]

    @contextmanager
    def call(self, method: str, request: Any, context: grpc.ServicerContext) -> Iterator[None]:
        """Notes the call, and lets it fail when that is its turn."""
        with self._lock:
            self.requests.append((method, request))
            self.metadata.append(dict(context.invocation_metadata()))
            waiting = self.failures.get(method)
            failure = waiting.popleft() if waiting else None
            self.running += 1
            self.most_running = max(self.most_running, self.running)
        try:
            if isinstance(failure, Status):
                context.abort_with_status(to_status(failure))
            elif failure is not None:
                failure(request, context)
            if self.pause:
                time.sleep(self.pause)
            yield
        finally:
            with self._lock:
                self.running -= 1

    def provenance(self, options: common.EmbedOptions | None = None) -> common.Provenance:
        """Where numbers come from."""
        return common.Provenance(
            model="models/reviews/versions/3",
            version=3,
            model_digest=self.digest,
            embedding_space=f"space-{self.digest}" if options else "",
            layer=(options.layer or "pooled_output") if options else "",
            pooling=options.pooling if options else common.POOLING_UNSPECIFIED,
            normalized=options.normalize if options else False,
            engine="wire",
            precision="fp32",
            dropout_proven_inactive=True,
        )


class _Inference(inference_grpc.InferenceServiceServicer):
    def __init__(self, script: Script) -> None:
        self._script = script

    def Embed(self, request, context):  # noqa: N802
        with self._script.call("Embed", request, context):
            texts = rows_of(request)
            rows = [vector_of(text) for text in texts]
            bad = [i for i, text in enumerate(texts) if text == "bad row"]
            for i in bad:
                rows[i] = [np.nan] * DIMENSION
            if request.options.pooling == common.POOLING_TOKENS:
                rows = [row for text in texts for row in token_vectors_of(text)]
            reply = inference.EmbedResponse(
                embeddings=packed(rows),
                token_counts=[len(text.split()) + 2 for text in texts],
                truncations=[_cut(text) for text in texts],
                provenance=self._script.provenance(request.options),
                row_errors=[common.RowError(index=i, status=_bad_row(i)) for i in bad],
            )
            if request.probabilities:
                reply.probabilities.CopyFrom(packed([probabilities_of(text) for text in texts]))
                reply.labels.extend(LABELS)
            return reply

    def Classify(self, request, context):  # noqa: N802
        with self._script.call("Classify", request, context):
            texts = rows_of(request)
            rows = [probabilities_of(text) for text in texts]
            return inference.ClassifyResponse(
                probabilities=packed(rows),
                labels=self._script.labels,
                predicted=[int(np.argmax(row)) for row in rows],
                token_counts=[len(text.split()) + 2 for text in texts],
                truncations=[_cut(text) for text in texts],
                provenance=self._script.provenance(),
            )

    def Predict(self, request, context):  # noqa: N802
        with self._script.call("Predict", request, context):
            texts = rows_of(request)
            lengths = np.array([[len(text)] for text in texts], dtype="<i8")
            return inference.PredictResponse(
                outputs={
                    "length": common.Tensor(
                        shape=lengths.shape, data_type=common.DATA_TYPE_INT64, data=lengths.tobytes()
                    ),
                    "echo": common.Tensor(
                        shape=[len(texts)],
                        data_type=common.DATA_TYPE_STRING,
                        strings=common.ByteStrings(values=[text.encode() for text in texts]),
                    ),
                },
                provenance=self._script.provenance(),
            )

    def Tokenize(self, request, context):  # noqa: N802
        with self._script.call("Tokenize", request, context):
            return inference.TokenizeResponse(
                sequences=[
                    inference.TokenSequence(ids=[101, *map(len, text.split()), 102], truncation=_cut(text))
                    for text in rows_of(request)
                ],
                provenance=self._script.provenance(),
            )


def _cut(text: str) -> int:
    return common.TRUNCATION_CUT if len(text) > 100 else common.TRUNCATION_NONE


def _bad_row(index: int) -> Status:
    return status(
        grpc.StatusCode.INVALID_ARGUMENT,
        f"texts[{index}] is a bad row",
        reason="TEXT_TOO_LONG",
        field=f"texts[{index}]",
    )


class _Analysis(analysis_grpc.AnalysisServiceServicer):
    def __init__(self, script: Script) -> None:
        self._script = script

    def ComputeSimilarity(self, request, context):  # noqa: N802
        with self._script.call("ComputeSimilarity", request, context):
            a, b = _sides(request, "a", "b")
            scores = (a * b).sum(axis=1, keepdims=True) if request.pairs else a @ b.T
            return analysis.ComputeSimilarityResponse(
                scores=packed(scores.tolist()),
                metric=request.metric,
                space_check=_space_check(request.a, request.b),
                provenance=self._origin(request.a),
            )

    def SearchNeighbors(self, request, context):  # noqa: N802
        """The largest dot products."""
        with self._script.call("SearchNeighbors", request, context):
            queries, corpus = _sides(request, "queries", "corpus")
            scores = queries @ corpus.T
            order = np.argsort(-scores, axis=1, kind="stable")[:, : request.k].astype("<i4")
            return analysis.SearchNeighborsResponse(
                indices=_int_tensor(order),
                scores=packed(np.take_along_axis(scores, order, axis=1).tolist()),
                metric=request.metric,
                zero_queries=np.flatnonzero(~queries.any(axis=1)),
                zero_corpus=np.flatnonzero(~corpus.any(axis=1)),
                adjustments=_fewer("k", request.k, len(corpus)),
                space_check=_space_check(request.queries, request.corpus),
                provenance=self._origin(request.queries),
            )

    def Cluster(self, request, context):  # noqa: N802
        """Row i is in cluster i modulo their number; with hdbscan the last row is noise."""
        with self._script.call("Cluster", request, context):
            rows = len(_rows(request.source))
            asked = request.n_clusters if request.HasField("n_clusters") else 8
            count = min(asked, rows)
            labels = (np.arange(rows) % count).astype("<i4")
            noisy = request.method == analysis.CLUSTER_METHOD_HDBSCAN
            labels[-1:] = -1 if noisy else labels[-1:]
            members = [np.flatnonzero(labels == cluster) for cluster in range(count)]
            return analysis.ClusterResponse(
                labels=_int_tensor(labels),
                clusters=[
                    analysis.ClusterInfo(label=i, size=len(m), nearest_rows=m[:5])
                    for i, m in enumerate(members)
                ],
                silhouette=0.25 if count > 1 else None,
                silhouette_rows=rows if count > 1 else 0,
                noise_share=1 / rows if noisy else 0.0,
                agreement=analysis.Agreement(v_measure=0.5, adjusted_rand=0.25, purity=0.75)
                if request.labels
                else None,
                used={"n_clusters": str(count), "method": "kmeans"},
                adjustments=_fewer("n_clusters", asked, rows),
                provenance=self._origin(request.source),
            )

    def Project(self, request, context):  # noqa: N802
        """The first columns of the rows."""
        with self._script.call("Project", request, context):
            rows = _rows(request.source)
            given = len(request.labels) > 0
            return analysis.ProjectResponse(
                coordinates=packed(rows[:, : request.n_components].tolist()),
                quality=analysis.ProjectionQuality(
                    trustworthiness=0.5 if len(rows) > 2 else None,
                    rows=len(rows),
                    neighbors=15,
                    label_purity=0.25 if given else None,
                    label_purity_source=0.75 if given else None,
                ),
                explained_variance=[0.75, 0.125] if request.method == analysis.PROJECTION_METHOD_PCA else [],
                used={"seed": str(request.seed)},
                zero_rows=np.flatnonzero(~rows.any(axis=1)),
                provenance=self._origin(request.source),
            )

    def _origin(self, source: common.Source) -> common.Provenance | None:
        return (
            self._script.provenance(source.options)
            if source.WhichOneof("input") in ("texts", "records")
            else None
        )


def _sides(request: Any, first: str, second: str) -> tuple[np.ndarray, np.ndarray]:
    one = _rows(getattr(request, first))
    return one, _rows(getattr(request, second)) if request.HasField(second) else one


def _rows(side: common.Source) -> np.ndarray:
    if side.WhichOneof("input") in ("texts", "records"):
        return np.array([vector_of(text) for text in rows_of(side)], dtype=np.float32)
    vectors = side.vectors
    return np.frombuffer(vectors.data, dtype="<f4").reshape(vectors.rows, vectors.columns)


def _space_check(*sides: common.Source) -> int:
    spaces = {side.vectors.embedding_space for side in sides if side.ByteSize()}
    known = "" not in spaces and len(spaces) == 1
    return analysis.SPACE_CHECK_EQUAL if known else analysis.SPACE_CHECK_UNCHECKED


def _int_tensor(array: np.ndarray) -> common.Tensor:
    return common.Tensor(
        shape=array.shape, data_type=common.DATA_TYPE_INT32, data=array.astype("<i4").tobytes()
    )


def _fewer(parameter: str, asked: int, most: int) -> list[analysis.Adjustment]:
    if asked <= most:
        return []
    return [
        analysis.Adjustment(
            parameter=parameter, asked=str(asked), used=str(most), why=f"there are {most} rows"
        )
    ]


class _Models(models_grpc.ModelServiceServicer):
    def __init__(self, script: Script) -> None:
        self._script = script

    def ListModels(self, request, context):  # noqa: N802
        with self._script.call("ListModels", request, context):
            if not request.page_token:
                return models.ListModelsResponse(models=[_model(3)], next_page_token="more")
            return models.ListModelsResponse(models=[_model(2)])

    def GetModel(self, request, context):  # noqa: N802
        with self._script.call("GetModel", request, context):
            if request.name not in ("", "reviews", "reviews@3"):
                failure = status(
                    grpc.StatusCode.NOT_FOUND,
                    f"there is no model {request.name!r}; loaded: reviews",
                    reason="MODEL_NOT_FOUND",
                    field="name",
                )
                context.abort_with_status(to_status(failure))
            return models.GetModelResponse(model=_model(3))

    def InspectDropout(self, request, context):  # noqa: N802
        with self._script.call("InspectDropout", request, context):
            return models.InspectDropoutResponse(
                name="models/reviews/versions/3",
                model_digest="d1",
                sites=[
                    models.DropoutSite(
                        path="dropout",
                        rate=0.1,
                        place=models.DROPOUT_PLACE_AT_SEAM,
                        layer_class="Dropout",
                        read=True,
                        sampled=True,
                    ),
                    models.DropoutSite(
                        path="encoder/noise", noise_shape=[1, 4], layer_class="GaussianNoise", shared_axes=[0]
                    ),
                ],
                proof=models.DropoutProof(
                    proven=True,
                    findings=["no random operation is reachable"],
                    figures=[models.ProofFigure(name="repeats", meaning="20 repeats", value=0.0, limit=0.0)],
                    preparer="0.1.0",
                ),
                unsampled="it was too far away",
                layers=[
                    models.ModelLayer(path="encoder", layer_class="Functional"),
                    models.ModelLayer(
                        path="encoder/lstm",
                        layer_class="LSTM",
                        output_shape=[-1, 4],
                        parameters=144,
                        units=4,
                        dropout=0.0,
                        recurrent_dropout=0.5,
                    ),
                ],
            )


def _model(version: int) -> models.Model:
    return models.Model(
        name=f"models/reviews/versions/{version}",
        version=version,
        state=models.MODEL_STATE_READY,
        default_version=version == 3,
        model_digest=f"d{version}",
        format="tf_keras SavedModel",
        readouts=[
            models.Readout(layer="pooled_output", dimension=DIMENSION, kind=models.READOUT_KIND_POOLED)
        ],
        poolings=[common.POOLING_POOLED, common.POOLING_MEAN],
        labels=LABELS,
        head_kind=models.HEAD_KIND_SIGMOID,
        max_length=128,
        trims_padding=True,
        engine="wire",
        precision="fp32",
        dropout_proven_inactive=True,
        inputs=[
            models.ModelInput(name="text", data_type=common.DATA_TYPE_STRING, role=models.INPUT_ROLE_TEXT),
            models.ModelInput(
                name="input_ids",
                data_type=common.DATA_TYPE_INT32,
                shape=[-1],
                role=models.INPUT_ROLE_IDS,
                limit=30_522,
                made_by_tokenizing=True,
            ),
        ],
        tokenizer=models.TOKENIZER_KIND_GRAPH,
        default_pooling=common.POOLING_POOLED,
        outputs=["output"],
    )


class _Datasets(datasets_grpc.DatasetServiceServicer):
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


class _Server(server_grpc.ServerServiceServicer):
    def __init__(self, script: Script, limits: dict[str, float]) -> None:
        self._script, self._limits = script, limits

    def GetServerInfo(self, request, context):  # noqa: N802
        with self._script.call("GetServerInfo", request, context):
            return server_pb.GetServerInfoResponse(
                version="0.1.0",
                limits=server_pb.Limits(**self._limits),
                default_model="models/reviews",
                features=["embed.probabilities"],
            )


def start(script: Script, limits: dict[str, float] | None = None) -> tuple[grpc.Server, str]:
    """The server, started on a free port of loopback, and its address."""
    server = grpc.server(
        futures.ThreadPoolExecutor(8),
        options=[("grpc.max_receive_message_length", -1), ("grpc.so_reuseport", 0)],
    )
    inference_grpc.add_InferenceServiceServicer_to_server(_Inference(script), server)
    analysis_grpc.add_AnalysisServiceServicer_to_server(_Analysis(script), server)
    datasets_grpc.add_DatasetServiceServicer_to_server(_Datasets(script), server)
    models_grpc.add_ModelServiceServicer_to_server(_Models(script), server)
    server_grpc.add_ServerServiceServicer_to_server(_Server(script, {**LIMITS, **(limits or {})}), server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    return server, f"127.0.0.1:{port}"
