from google.api import field_behavior_pb2 as _field_behavior_pb2
from penult.v1 import common_pb2 as _common_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class EmbedRequest(_message.Message):
    __slots__ = ("texts", "records", "tensors", "options", "probabilities", "on_row_error", "max_response_bytes")
    TEXTS_FIELD_NUMBER: _ClassVar[int]
    RECORDS_FIELD_NUMBER: _ClassVar[int]
    TENSORS_FIELD_NUMBER: _ClassVar[int]
    OPTIONS_FIELD_NUMBER: _ClassVar[int]
    PROBABILITIES_FIELD_NUMBER: _ClassVar[int]
    ON_ROW_ERROR_FIELD_NUMBER: _ClassVar[int]
    MAX_RESPONSE_BYTES_FIELD_NUMBER: _ClassVar[int]
    texts: _common_pb2.TextList
    records: _common_pb2.RecordList
    tensors: _common_pb2.TensorMap
    options: _common_pb2.EmbedOptions
    probabilities: bool
    on_row_error: _common_pb2.OnRowError
    max_response_bytes: int
    def __init__(self, texts: _Optional[_Union[_common_pb2.TextList, _Mapping]] = ..., records: _Optional[_Union[_common_pb2.RecordList, _Mapping]] = ..., tensors: _Optional[_Union[_common_pb2.TensorMap, _Mapping]] = ..., options: _Optional[_Union[_common_pb2.EmbedOptions, _Mapping]] = ..., probabilities: bool = ..., on_row_error: _Optional[_Union[_common_pb2.OnRowError, str]] = ..., max_response_bytes: _Optional[int] = ...) -> None: ...

class EmbedResponse(_message.Message):
    __slots__ = ("embeddings", "probabilities", "labels", "token_counts", "truncations", "provenance", "row_errors")
    EMBEDDINGS_FIELD_NUMBER: _ClassVar[int]
    PROBABILITIES_FIELD_NUMBER: _ClassVar[int]
    LABELS_FIELD_NUMBER: _ClassVar[int]
    TOKEN_COUNTS_FIELD_NUMBER: _ClassVar[int]
    TRUNCATIONS_FIELD_NUMBER: _ClassVar[int]
    PROVENANCE_FIELD_NUMBER: _ClassVar[int]
    ROW_ERRORS_FIELD_NUMBER: _ClassVar[int]
    embeddings: _common_pb2.Vectors
    probabilities: _common_pb2.Vectors
    labels: _containers.RepeatedScalarFieldContainer[str]
    token_counts: _containers.RepeatedScalarFieldContainer[int]
    truncations: _containers.RepeatedScalarFieldContainer[_common_pb2.Truncation]
    provenance: _common_pb2.Provenance
    row_errors: _containers.RepeatedCompositeFieldContainer[_common_pb2.RowError]
    def __init__(self, embeddings: _Optional[_Union[_common_pb2.Vectors, _Mapping]] = ..., probabilities: _Optional[_Union[_common_pb2.Vectors, _Mapping]] = ..., labels: _Optional[_Iterable[str]] = ..., token_counts: _Optional[_Iterable[int]] = ..., truncations: _Optional[_Iterable[_Union[_common_pb2.Truncation, str]]] = ..., provenance: _Optional[_Union[_common_pb2.Provenance, _Mapping]] = ..., row_errors: _Optional[_Iterable[_Union[_common_pb2.RowError, _Mapping]]] = ...) -> None: ...

class ClassifyRequest(_message.Message):
    __slots__ = ("texts", "records", "tensors", "model", "truncate", "on_row_error", "max_response_bytes")
    TEXTS_FIELD_NUMBER: _ClassVar[int]
    RECORDS_FIELD_NUMBER: _ClassVar[int]
    TENSORS_FIELD_NUMBER: _ClassVar[int]
    MODEL_FIELD_NUMBER: _ClassVar[int]
    TRUNCATE_FIELD_NUMBER: _ClassVar[int]
    ON_ROW_ERROR_FIELD_NUMBER: _ClassVar[int]
    MAX_RESPONSE_BYTES_FIELD_NUMBER: _ClassVar[int]
    texts: _common_pb2.TextList
    records: _common_pb2.RecordList
    tensors: _common_pb2.TensorMap
    model: str
    truncate: _common_pb2.TruncateMode
    on_row_error: _common_pb2.OnRowError
    max_response_bytes: int
    def __init__(self, texts: _Optional[_Union[_common_pb2.TextList, _Mapping]] = ..., records: _Optional[_Union[_common_pb2.RecordList, _Mapping]] = ..., tensors: _Optional[_Union[_common_pb2.TensorMap, _Mapping]] = ..., model: _Optional[str] = ..., truncate: _Optional[_Union[_common_pb2.TruncateMode, str]] = ..., on_row_error: _Optional[_Union[_common_pb2.OnRowError, str]] = ..., max_response_bytes: _Optional[int] = ...) -> None: ...

class ClassifyResponse(_message.Message):
    __slots__ = ("probabilities", "labels", "predicted", "token_counts", "truncations", "provenance", "row_errors")
    PROBABILITIES_FIELD_NUMBER: _ClassVar[int]
    LABELS_FIELD_NUMBER: _ClassVar[int]
    PREDICTED_FIELD_NUMBER: _ClassVar[int]
    TOKEN_COUNTS_FIELD_NUMBER: _ClassVar[int]
    TRUNCATIONS_FIELD_NUMBER: _ClassVar[int]
    PROVENANCE_FIELD_NUMBER: _ClassVar[int]
    ROW_ERRORS_FIELD_NUMBER: _ClassVar[int]
    probabilities: _common_pb2.Vectors
    labels: _containers.RepeatedScalarFieldContainer[str]
    predicted: _containers.RepeatedScalarFieldContainer[int]
    token_counts: _containers.RepeatedScalarFieldContainer[int]
    truncations: _containers.RepeatedScalarFieldContainer[_common_pb2.Truncation]
    provenance: _common_pb2.Provenance
    row_errors: _containers.RepeatedCompositeFieldContainer[_common_pb2.RowError]
    def __init__(self, probabilities: _Optional[_Union[_common_pb2.Vectors, _Mapping]] = ..., labels: _Optional[_Iterable[str]] = ..., predicted: _Optional[_Iterable[int]] = ..., token_counts: _Optional[_Iterable[int]] = ..., truncations: _Optional[_Iterable[_Union[_common_pb2.Truncation, str]]] = ..., provenance: _Optional[_Union[_common_pb2.Provenance, _Mapping]] = ..., row_errors: _Optional[_Iterable[_Union[_common_pb2.RowError, _Mapping]]] = ...) -> None: ...

class PredictRequest(_message.Message):
    __slots__ = ("texts", "records", "tensors", "model", "max_response_bytes")
    TEXTS_FIELD_NUMBER: _ClassVar[int]
    RECORDS_FIELD_NUMBER: _ClassVar[int]
    TENSORS_FIELD_NUMBER: _ClassVar[int]
    MODEL_FIELD_NUMBER: _ClassVar[int]
    MAX_RESPONSE_BYTES_FIELD_NUMBER: _ClassVar[int]
    texts: _common_pb2.TextList
    records: _common_pb2.RecordList
    tensors: _common_pb2.TensorMap
    model: str
    max_response_bytes: int
    def __init__(self, texts: _Optional[_Union[_common_pb2.TextList, _Mapping]] = ..., records: _Optional[_Union[_common_pb2.RecordList, _Mapping]] = ..., tensors: _Optional[_Union[_common_pb2.TensorMap, _Mapping]] = ..., model: _Optional[str] = ..., max_response_bytes: _Optional[int] = ...) -> None: ...

class PredictResponse(_message.Message):
    __slots__ = ("outputs", "provenance")
    class OutputsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: _common_pb2.Tensor
        def __init__(self, key: _Optional[str] = ..., value: _Optional[_Union[_common_pb2.Tensor, _Mapping]] = ...) -> None: ...
    OUTPUTS_FIELD_NUMBER: _ClassVar[int]
    PROVENANCE_FIELD_NUMBER: _ClassVar[int]
    outputs: _containers.MessageMap[str, _common_pb2.Tensor]
    provenance: _common_pb2.Provenance
    def __init__(self, outputs: _Optional[_Mapping[str, _common_pb2.Tensor]] = ..., provenance: _Optional[_Union[_common_pb2.Provenance, _Mapping]] = ...) -> None: ...

class TokenizeRequest(_message.Message):
    __slots__ = ("texts", "records", "tensors", "model", "max_response_bytes")
    TEXTS_FIELD_NUMBER: _ClassVar[int]
    RECORDS_FIELD_NUMBER: _ClassVar[int]
    TENSORS_FIELD_NUMBER: _ClassVar[int]
    MODEL_FIELD_NUMBER: _ClassVar[int]
    MAX_RESPONSE_BYTES_FIELD_NUMBER: _ClassVar[int]
    texts: _common_pb2.TextList
    records: _common_pb2.RecordList
    tensors: _common_pb2.TensorMap
    model: str
    max_response_bytes: int
    def __init__(self, texts: _Optional[_Union[_common_pb2.TextList, _Mapping]] = ..., records: _Optional[_Union[_common_pb2.RecordList, _Mapping]] = ..., tensors: _Optional[_Union[_common_pb2.TensorMap, _Mapping]] = ..., model: _Optional[str] = ..., max_response_bytes: _Optional[int] = ...) -> None: ...

class TokenizeResponse(_message.Message):
    __slots__ = ("sequences", "provenance")
    SEQUENCES_FIELD_NUMBER: _ClassVar[int]
    PROVENANCE_FIELD_NUMBER: _ClassVar[int]
    sequences: _containers.RepeatedCompositeFieldContainer[TokenSequence]
    provenance: _common_pb2.Provenance
    def __init__(self, sequences: _Optional[_Iterable[_Union[TokenSequence, _Mapping]]] = ..., provenance: _Optional[_Union[_common_pb2.Provenance, _Mapping]] = ...) -> None: ...

class TokenSequence(_message.Message):
    __slots__ = ("ids", "truncation", "type_ids")
    IDS_FIELD_NUMBER: _ClassVar[int]
    TRUNCATION_FIELD_NUMBER: _ClassVar[int]
    TYPE_IDS_FIELD_NUMBER: _ClassVar[int]
    ids: _containers.RepeatedScalarFieldContainer[int]
    truncation: _common_pb2.Truncation
    type_ids: _containers.RepeatedScalarFieldContainer[int]
    def __init__(self, ids: _Optional[_Iterable[int]] = ..., truncation: _Optional[_Union[_common_pb2.Truncation, str]] = ..., type_ids: _Optional[_Iterable[int]] = ...) -> None: ...

class SampleDropoutRequest(_message.Message):
    __slots__ = ("texts", "records", "tensors", "model", "truncate", "dropout", "first_row", "draws", "on_row_error", "max_response_bytes")
    TEXTS_FIELD_NUMBER: _ClassVar[int]
    RECORDS_FIELD_NUMBER: _ClassVar[int]
    TENSORS_FIELD_NUMBER: _ClassVar[int]
    MODEL_FIELD_NUMBER: _ClassVar[int]
    TRUNCATE_FIELD_NUMBER: _ClassVar[int]
    DROPOUT_FIELD_NUMBER: _ClassVar[int]
    FIRST_ROW_FIELD_NUMBER: _ClassVar[int]
    DRAWS_FIELD_NUMBER: _ClassVar[int]
    ON_ROW_ERROR_FIELD_NUMBER: _ClassVar[int]
    MAX_RESPONSE_BYTES_FIELD_NUMBER: _ClassVar[int]
    texts: _common_pb2.TextList
    records: _common_pb2.RecordList
    tensors: _common_pb2.TensorMap
    model: str
    truncate: _common_pb2.TruncateMode
    dropout: _common_pb2.DropoutOptions
    first_row: int
    draws: bool
    on_row_error: _common_pb2.OnRowError
    max_response_bytes: int
    def __init__(self, texts: _Optional[_Union[_common_pb2.TextList, _Mapping]] = ..., records: _Optional[_Union[_common_pb2.RecordList, _Mapping]] = ..., tensors: _Optional[_Union[_common_pb2.TensorMap, _Mapping]] = ..., model: _Optional[str] = ..., truncate: _Optional[_Union[_common_pb2.TruncateMode, str]] = ..., dropout: _Optional[_Union[_common_pb2.DropoutOptions, _Mapping]] = ..., first_row: _Optional[int] = ..., draws: bool = ..., on_row_error: _Optional[_Union[_common_pb2.OnRowError, str]] = ..., max_response_bytes: _Optional[int] = ...) -> None: ...

class SampleDropoutResponse(_message.Message):
    __slots__ = ("mean", "std", "clean", "classifier", "labels", "entropy", "mutual_information", "variation_ratio", "predicted", "draws", "samples", "seed", "active", "token_counts", "truncations", "provenance", "row_errors")
    MEAN_FIELD_NUMBER: _ClassVar[int]
    STD_FIELD_NUMBER: _ClassVar[int]
    CLEAN_FIELD_NUMBER: _ClassVar[int]
    CLASSIFIER_FIELD_NUMBER: _ClassVar[int]
    LABELS_FIELD_NUMBER: _ClassVar[int]
    ENTROPY_FIELD_NUMBER: _ClassVar[int]
    MUTUAL_INFORMATION_FIELD_NUMBER: _ClassVar[int]
    VARIATION_RATIO_FIELD_NUMBER: _ClassVar[int]
    PREDICTED_FIELD_NUMBER: _ClassVar[int]
    DRAWS_FIELD_NUMBER: _ClassVar[int]
    SAMPLES_FIELD_NUMBER: _ClassVar[int]
    SEED_FIELD_NUMBER: _ClassVar[int]
    ACTIVE_FIELD_NUMBER: _ClassVar[int]
    TOKEN_COUNTS_FIELD_NUMBER: _ClassVar[int]
    TRUNCATIONS_FIELD_NUMBER: _ClassVar[int]
    PROVENANCE_FIELD_NUMBER: _ClassVar[int]
    ROW_ERRORS_FIELD_NUMBER: _ClassVar[int]
    mean: _common_pb2.Vectors
    std: _common_pb2.Vectors
    clean: _common_pb2.Vectors
    classifier: bool
    labels: _containers.RepeatedScalarFieldContainer[str]
    entropy: _containers.RepeatedScalarFieldContainer[float]
    mutual_information: _containers.RepeatedScalarFieldContainer[float]
    variation_ratio: _containers.RepeatedScalarFieldContainer[float]
    predicted: _containers.RepeatedScalarFieldContainer[int]
    draws: _common_pb2.Tensor
    samples: int
    seed: int
    active: _containers.RepeatedCompositeFieldContainer[_common_pb2.ActiveDropout]
    token_counts: _containers.RepeatedScalarFieldContainer[int]
    truncations: _containers.RepeatedScalarFieldContainer[_common_pb2.Truncation]
    provenance: _common_pb2.Provenance
    row_errors: _containers.RepeatedCompositeFieldContainer[_common_pb2.RowError]
    def __init__(self, mean: _Optional[_Union[_common_pb2.Vectors, _Mapping]] = ..., std: _Optional[_Union[_common_pb2.Vectors, _Mapping]] = ..., clean: _Optional[_Union[_common_pb2.Vectors, _Mapping]] = ..., classifier: bool = ..., labels: _Optional[_Iterable[str]] = ..., entropy: _Optional[_Iterable[float]] = ..., mutual_information: _Optional[_Iterable[float]] = ..., variation_ratio: _Optional[_Iterable[float]] = ..., predicted: _Optional[_Iterable[int]] = ..., draws: _Optional[_Union[_common_pb2.Tensor, _Mapping]] = ..., samples: _Optional[int] = ..., seed: _Optional[int] = ..., active: _Optional[_Iterable[_Union[_common_pb2.ActiveDropout, _Mapping]]] = ..., token_counts: _Optional[_Iterable[int]] = ..., truncations: _Optional[_Iterable[_Union[_common_pb2.Truncation, str]]] = ..., provenance: _Optional[_Union[_common_pb2.Provenance, _Mapping]] = ..., row_errors: _Optional[_Iterable[_Union[_common_pb2.RowError, _Mapping]]] = ...) -> None: ...
