from google.api import field_behavior_pb2 as _field_behavior_pb2
from google.rpc import status_pb2 as _status_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class DataType(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    DATA_TYPE_UNSPECIFIED: _ClassVar[DataType]
    DATA_TYPE_FLOAT32: _ClassVar[DataType]
    DATA_TYPE_FLOAT64: _ClassVar[DataType]
    DATA_TYPE_INT32: _ClassVar[DataType]
    DATA_TYPE_INT64: _ClassVar[DataType]
    DATA_TYPE_BOOL: _ClassVar[DataType]
    DATA_TYPE_STRING: _ClassVar[DataType]

class Pooling(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    POOLING_UNSPECIFIED: _ClassVar[Pooling]
    POOLING_POOLED: _ClassVar[Pooling]
    POOLING_CLS: _ClassVar[Pooling]
    POOLING_MEAN: _ClassVar[Pooling]
    POOLING_MAX: _ClassVar[Pooling]
    POOLING_TOKENS: _ClassVar[Pooling]

class TruncateMode(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    TRUNCATE_MODE_UNSPECIFIED: _ClassVar[TruncateMode]
    TRUNCATE_MODE_RIGHT: _ClassVar[TruncateMode]
    TRUNCATE_MODE_ERROR: _ClassVar[TruncateMode]

class Truncation(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    TRUNCATION_UNSPECIFIED: _ClassVar[Truncation]
    TRUNCATION_UNKNOWN: _ClassVar[Truncation]
    TRUNCATION_NONE: _ClassVar[Truncation]
    TRUNCATION_CUT: _ClassVar[Truncation]

class OnRowError(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    ON_ROW_ERROR_UNSPECIFIED: _ClassVar[OnRowError]
    ON_ROW_ERROR_FAIL: _ClassVar[OnRowError]
    ON_ROW_ERROR_REPORT: _ClassVar[OnRowError]

class DropoutScope(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    DROPOUT_SCOPE_UNSPECIFIED: _ClassVar[DropoutScope]
    DROPOUT_SCOPE_HEAD: _ClassVar[DropoutScope]
    DROPOUT_SCOPE_ALL: _ClassVar[DropoutScope]
DATA_TYPE_UNSPECIFIED: DataType
DATA_TYPE_FLOAT32: DataType
DATA_TYPE_FLOAT64: DataType
DATA_TYPE_INT32: DataType
DATA_TYPE_INT64: DataType
DATA_TYPE_BOOL: DataType
DATA_TYPE_STRING: DataType
POOLING_UNSPECIFIED: Pooling
POOLING_POOLED: Pooling
POOLING_CLS: Pooling
POOLING_MEAN: Pooling
POOLING_MAX: Pooling
POOLING_TOKENS: Pooling
TRUNCATE_MODE_UNSPECIFIED: TruncateMode
TRUNCATE_MODE_RIGHT: TruncateMode
TRUNCATE_MODE_ERROR: TruncateMode
TRUNCATION_UNSPECIFIED: Truncation
TRUNCATION_UNKNOWN: Truncation
TRUNCATION_NONE: Truncation
TRUNCATION_CUT: Truncation
ON_ROW_ERROR_UNSPECIFIED: OnRowError
ON_ROW_ERROR_FAIL: OnRowError
ON_ROW_ERROR_REPORT: OnRowError
DROPOUT_SCOPE_UNSPECIFIED: DropoutScope
DROPOUT_SCOPE_HEAD: DropoutScope
DROPOUT_SCOPE_ALL: DropoutScope

class TextList(_message.Message):
    __slots__ = ("texts",)
    TEXTS_FIELD_NUMBER: _ClassVar[int]
    texts: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, texts: _Optional[_Iterable[str]] = ...) -> None: ...

class RecordList(_message.Message):
    __slots__ = ("records",)
    RECORDS_FIELD_NUMBER: _ClassVar[int]
    records: _containers.RepeatedCompositeFieldContainer[Record]
    def __init__(self, records: _Optional[_Iterable[_Union[Record, _Mapping]]] = ...) -> None: ...

class Record(_message.Message):
    __slots__ = ("values", "ordered")
    class ValuesEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: RecordValue
        def __init__(self, key: _Optional[str] = ..., value: _Optional[_Union[RecordValue, _Mapping]] = ...) -> None: ...
    VALUES_FIELD_NUMBER: _ClassVar[int]
    ORDERED_FIELD_NUMBER: _ClassVar[int]
    values: _containers.MessageMap[str, RecordValue]
    ordered: _containers.RepeatedCompositeFieldContainer[RecordValue]
    def __init__(self, values: _Optional[_Mapping[str, RecordValue]] = ..., ordered: _Optional[_Iterable[_Union[RecordValue, _Mapping]]] = ...) -> None: ...

class RecordValue(_message.Message):
    __slots__ = ("text", "numbers")
    TEXT_FIELD_NUMBER: _ClassVar[int]
    NUMBERS_FIELD_NUMBER: _ClassVar[int]
    text: str
    numbers: NumberList
    def __init__(self, text: _Optional[str] = ..., numbers: _Optional[_Union[NumberList, _Mapping]] = ...) -> None: ...

class NumberList(_message.Message):
    __slots__ = ("numbers",)
    NUMBERS_FIELD_NUMBER: _ClassVar[int]
    numbers: _containers.RepeatedScalarFieldContainer[float]
    def __init__(self, numbers: _Optional[_Iterable[float]] = ...) -> None: ...

class TensorMap(_message.Message):
    __slots__ = ("tensors",)
    class TensorsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: Tensor
        def __init__(self, key: _Optional[str] = ..., value: _Optional[_Union[Tensor, _Mapping]] = ...) -> None: ...
    TENSORS_FIELD_NUMBER: _ClassVar[int]
    tensors: _containers.MessageMap[str, Tensor]
    def __init__(self, tensors: _Optional[_Mapping[str, Tensor]] = ...) -> None: ...

class Vectors(_message.Message):
    __slots__ = ("rows", "columns", "data_type", "data", "embedding_space")
    ROWS_FIELD_NUMBER: _ClassVar[int]
    COLUMNS_FIELD_NUMBER: _ClassVar[int]
    DATA_TYPE_FIELD_NUMBER: _ClassVar[int]
    DATA_FIELD_NUMBER: _ClassVar[int]
    EMBEDDING_SPACE_FIELD_NUMBER: _ClassVar[int]
    rows: int
    columns: int
    data_type: DataType
    data: bytes
    embedding_space: str
    def __init__(self, rows: _Optional[int] = ..., columns: _Optional[int] = ..., data_type: _Optional[_Union[DataType, str]] = ..., data: _Optional[bytes] = ..., embedding_space: _Optional[str] = ...) -> None: ...

class Tensor(_message.Message):
    __slots__ = ("shape", "data_type", "data", "strings")
    SHAPE_FIELD_NUMBER: _ClassVar[int]
    DATA_TYPE_FIELD_NUMBER: _ClassVar[int]
    DATA_FIELD_NUMBER: _ClassVar[int]
    STRINGS_FIELD_NUMBER: _ClassVar[int]
    shape: _containers.RepeatedScalarFieldContainer[int]
    data_type: DataType
    data: bytes
    strings: ByteStrings
    def __init__(self, shape: _Optional[_Iterable[int]] = ..., data_type: _Optional[_Union[DataType, str]] = ..., data: _Optional[bytes] = ..., strings: _Optional[_Union[ByteStrings, _Mapping]] = ...) -> None: ...

class ByteStrings(_message.Message):
    __slots__ = ("values",)
    VALUES_FIELD_NUMBER: _ClassVar[int]
    values: _containers.RepeatedScalarFieldContainer[bytes]
    def __init__(self, values: _Optional[_Iterable[bytes]] = ...) -> None: ...

class EmbedOptions(_message.Message):
    __slots__ = ("model", "layer", "pooling", "normalize", "truncate")
    MODEL_FIELD_NUMBER: _ClassVar[int]
    LAYER_FIELD_NUMBER: _ClassVar[int]
    POOLING_FIELD_NUMBER: _ClassVar[int]
    NORMALIZE_FIELD_NUMBER: _ClassVar[int]
    TRUNCATE_FIELD_NUMBER: _ClassVar[int]
    model: str
    layer: str
    pooling: Pooling
    normalize: bool
    truncate: TruncateMode
    def __init__(self, model: _Optional[str] = ..., layer: _Optional[str] = ..., pooling: _Optional[_Union[Pooling, str]] = ..., normalize: bool = ..., truncate: _Optional[_Union[TruncateMode, str]] = ...) -> None: ...

class Provenance(_message.Message):
    __slots__ = ("model", "version", "model_digest", "embedding_space", "layer", "pooling", "normalized", "engine", "precision", "dropout_proven_inactive", "warnings")
    MODEL_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    MODEL_DIGEST_FIELD_NUMBER: _ClassVar[int]
    EMBEDDING_SPACE_FIELD_NUMBER: _ClassVar[int]
    LAYER_FIELD_NUMBER: _ClassVar[int]
    POOLING_FIELD_NUMBER: _ClassVar[int]
    NORMALIZED_FIELD_NUMBER: _ClassVar[int]
    ENGINE_FIELD_NUMBER: _ClassVar[int]
    PRECISION_FIELD_NUMBER: _ClassVar[int]
    DROPOUT_PROVEN_INACTIVE_FIELD_NUMBER: _ClassVar[int]
    WARNINGS_FIELD_NUMBER: _ClassVar[int]
    model: str
    version: int
    model_digest: str
    embedding_space: str
    layer: str
    pooling: Pooling
    normalized: bool
    engine: str
    precision: str
    dropout_proven_inactive: bool
    warnings: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, model: _Optional[str] = ..., version: _Optional[int] = ..., model_digest: _Optional[str] = ..., embedding_space: _Optional[str] = ..., layer: _Optional[str] = ..., pooling: _Optional[_Union[Pooling, str]] = ..., normalized: bool = ..., engine: _Optional[str] = ..., precision: _Optional[str] = ..., dropout_proven_inactive: bool = ..., warnings: _Optional[_Iterable[str]] = ...) -> None: ...

class RowError(_message.Message):
    __slots__ = ("index", "status")
    INDEX_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    index: int
    status: _status_pb2.Status
    def __init__(self, index: _Optional[int] = ..., status: _Optional[_Union[_status_pb2.Status, _Mapping]] = ...) -> None: ...

class Source(_message.Message):
    __slots__ = ("texts", "vectors", "dataset", "records", "options")
    TEXTS_FIELD_NUMBER: _ClassVar[int]
    VECTORS_FIELD_NUMBER: _ClassVar[int]
    DATASET_FIELD_NUMBER: _ClassVar[int]
    RECORDS_FIELD_NUMBER: _ClassVar[int]
    OPTIONS_FIELD_NUMBER: _ClassVar[int]
    texts: TextList
    vectors: Vectors
    dataset: str
    records: RecordList
    options: EmbedOptions
    def __init__(self, texts: _Optional[_Union[TextList, _Mapping]] = ..., vectors: _Optional[_Union[Vectors, _Mapping]] = ..., dataset: _Optional[str] = ..., records: _Optional[_Union[RecordList, _Mapping]] = ..., options: _Optional[_Union[EmbedOptions, _Mapping]] = ...) -> None: ...

class DropoutOptions(_message.Message):
    __slots__ = ("scope", "sites", "rate", "samples", "seed")
    SCOPE_FIELD_NUMBER: _ClassVar[int]
    SITES_FIELD_NUMBER: _ClassVar[int]
    RATE_FIELD_NUMBER: _ClassVar[int]
    SAMPLES_FIELD_NUMBER: _ClassVar[int]
    SEED_FIELD_NUMBER: _ClassVar[int]
    scope: DropoutScope
    sites: _containers.RepeatedScalarFieldContainer[str]
    rate: float
    samples: int
    seed: int
    def __init__(self, scope: _Optional[_Union[DropoutScope, str]] = ..., sites: _Optional[_Iterable[str]] = ..., rate: _Optional[float] = ..., samples: _Optional[int] = ..., seed: _Optional[int] = ...) -> None: ...

class ActiveDropout(_message.Message):
    __slots__ = ("path", "layer_class", "rate")
    PATH_FIELD_NUMBER: _ClassVar[int]
    LAYER_CLASS_FIELD_NUMBER: _ClassVar[int]
    RATE_FIELD_NUMBER: _ClassVar[int]
    path: str
    layer_class: str
    rate: float
    def __init__(self, path: _Optional[str] = ..., layer_class: _Optional[str] = ..., rate: _Optional[float] = ...) -> None: ...
