from google.api import field_behavior_pb2 as _field_behavior_pb2
from google.api import resource_pb2 as _resource_pb2
from penult.v1 import common_pb2 as _common_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class InputRole(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    INPUT_ROLE_UNSPECIFIED: _ClassVar[InputRole]
    INPUT_ROLE_TEXT: _ClassVar[InputRole]
    INPUT_ROLE_IDS: _ClassVar[InputRole]
    INPUT_ROLE_MASK: _ClassVar[InputRole]
    INPUT_ROLE_TYPES: _ClassVar[InputRole]
    INPUT_ROLE_VALUE: _ClassVar[InputRole]

class TokenizerKind(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    TOKENIZER_KIND_UNSPECIFIED: _ClassVar[TokenizerKind]
    TOKENIZER_KIND_GRAPH: _ClassVar[TokenizerKind]
    TOKENIZER_KIND_FILE: _ClassVar[TokenizerKind]
    TOKENIZER_KIND_NONE: _ClassVar[TokenizerKind]

class ModelState(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    MODEL_STATE_UNSPECIFIED: _ClassVar[ModelState]
    MODEL_STATE_LOADING: _ClassVar[ModelState]
    MODEL_STATE_READY: _ClassVar[ModelState]
    MODEL_STATE_FAILED: _ClassVar[ModelState]

class HeadKind(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    HEAD_KIND_UNSPECIFIED: _ClassVar[HeadKind]
    HEAD_KIND_SIGMOID: _ClassVar[HeadKind]
    HEAD_KIND_SOFTMAX: _ClassVar[HeadKind]
    HEAD_KIND_MULTILABEL: _ClassVar[HeadKind]
    HEAD_KIND_REGRESSION: _ClassVar[HeadKind]

class ReadoutKind(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    READOUT_KIND_UNSPECIFIED: _ClassVar[ReadoutKind]
    READOUT_KIND_POOLED: _ClassVar[ReadoutKind]
    READOUT_KIND_TOKENS: _ClassVar[ReadoutKind]
    READOUT_KIND_OTHER: _ClassVar[ReadoutKind]

class DropoutPlace(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    DROPOUT_PLACE_UNSPECIFIED: _ClassVar[DropoutPlace]
    DROPOUT_PLACE_BEFORE_EMBEDDING: _ClassVar[DropoutPlace]
    DROPOUT_PLACE_AT_SEAM: _ClassVar[DropoutPlace]
    DROPOUT_PLACE_IN_HEAD: _ClassVar[DropoutPlace]
INPUT_ROLE_UNSPECIFIED: InputRole
INPUT_ROLE_TEXT: InputRole
INPUT_ROLE_IDS: InputRole
INPUT_ROLE_MASK: InputRole
INPUT_ROLE_TYPES: InputRole
INPUT_ROLE_VALUE: InputRole
TOKENIZER_KIND_UNSPECIFIED: TokenizerKind
TOKENIZER_KIND_GRAPH: TokenizerKind
TOKENIZER_KIND_FILE: TokenizerKind
TOKENIZER_KIND_NONE: TokenizerKind
MODEL_STATE_UNSPECIFIED: ModelState
MODEL_STATE_LOADING: ModelState
MODEL_STATE_READY: ModelState
MODEL_STATE_FAILED: ModelState
HEAD_KIND_UNSPECIFIED: HeadKind
HEAD_KIND_SIGMOID: HeadKind
HEAD_KIND_SOFTMAX: HeadKind
HEAD_KIND_MULTILABEL: HeadKind
HEAD_KIND_REGRESSION: HeadKind
READOUT_KIND_UNSPECIFIED: ReadoutKind
READOUT_KIND_POOLED: ReadoutKind
READOUT_KIND_TOKENS: ReadoutKind
READOUT_KIND_OTHER: ReadoutKind
DROPOUT_PLACE_UNSPECIFIED: DropoutPlace
DROPOUT_PLACE_BEFORE_EMBEDDING: DropoutPlace
DROPOUT_PLACE_AT_SEAM: DropoutPlace
DROPOUT_PLACE_IN_HEAD: DropoutPlace

class ListModelsRequest(_message.Message):
    __slots__ = ("page_size", "page_token")
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    page_size: int
    page_token: str
    def __init__(self, page_size: _Optional[int] = ..., page_token: _Optional[str] = ...) -> None: ...

class ListModelsResponse(_message.Message):
    __slots__ = ("models", "next_page_token")
    MODELS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    models: _containers.RepeatedCompositeFieldContainer[Model]
    next_page_token: str
    def __init__(self, models: _Optional[_Iterable[_Union[Model, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class GetModelRequest(_message.Message):
    __slots__ = ("name",)
    NAME_FIELD_NUMBER: _ClassVar[int]
    name: str
    def __init__(self, name: _Optional[str] = ...) -> None: ...

class GetModelResponse(_message.Message):
    __slots__ = ("model",)
    MODEL_FIELD_NUMBER: _ClassVar[int]
    model: Model
    def __init__(self, model: _Optional[_Union[Model, _Mapping]] = ...) -> None: ...

class InspectDropoutRequest(_message.Message):
    __slots__ = ("name",)
    NAME_FIELD_NUMBER: _ClassVar[int]
    name: str
    def __init__(self, name: _Optional[str] = ...) -> None: ...

class InspectDropoutResponse(_message.Message):
    __slots__ = ("name", "model_digest", "sites", "proof", "unread", "unsampled", "layers")
    NAME_FIELD_NUMBER: _ClassVar[int]
    MODEL_DIGEST_FIELD_NUMBER: _ClassVar[int]
    SITES_FIELD_NUMBER: _ClassVar[int]
    PROOF_FIELD_NUMBER: _ClassVar[int]
    UNREAD_FIELD_NUMBER: _ClassVar[int]
    UNSAMPLED_FIELD_NUMBER: _ClassVar[int]
    LAYERS_FIELD_NUMBER: _ClassVar[int]
    name: str
    model_digest: str
    sites: _containers.RepeatedCompositeFieldContainer[DropoutSite]
    proof: DropoutProof
    unread: str
    unsampled: str
    layers: _containers.RepeatedCompositeFieldContainer[ModelLayer]
    def __init__(self, name: _Optional[str] = ..., model_digest: _Optional[str] = ..., sites: _Optional[_Iterable[_Union[DropoutSite, _Mapping]]] = ..., proof: _Optional[_Union[DropoutProof, _Mapping]] = ..., unread: _Optional[str] = ..., unsampled: _Optional[str] = ..., layers: _Optional[_Iterable[_Union[ModelLayer, _Mapping]]] = ...) -> None: ...

class ModelLayer(_message.Message):
    __slots__ = ("path", "layer_class", "output_shape", "parameters", "units", "dropout", "recurrent_dropout")
    PATH_FIELD_NUMBER: _ClassVar[int]
    LAYER_CLASS_FIELD_NUMBER: _ClassVar[int]
    OUTPUT_SHAPE_FIELD_NUMBER: _ClassVar[int]
    PARAMETERS_FIELD_NUMBER: _ClassVar[int]
    UNITS_FIELD_NUMBER: _ClassVar[int]
    DROPOUT_FIELD_NUMBER: _ClassVar[int]
    RECURRENT_DROPOUT_FIELD_NUMBER: _ClassVar[int]
    path: str
    layer_class: str
    output_shape: _containers.RepeatedScalarFieldContainer[int]
    parameters: int
    units: int
    dropout: float
    recurrent_dropout: float
    def __init__(self, path: _Optional[str] = ..., layer_class: _Optional[str] = ..., output_shape: _Optional[_Iterable[int]] = ..., parameters: _Optional[int] = ..., units: _Optional[int] = ..., dropout: _Optional[float] = ..., recurrent_dropout: _Optional[float] = ...) -> None: ...

class Model(_message.Message):
    __slots__ = ("name", "version", "state", "state_message", "default_version", "model_digest", "format", "readouts", "poolings", "labels", "head_kind", "max_length", "trims_padding", "engine", "precision", "dropout_proven_inactive", "inputs", "tokenizer", "default_pooling", "unread", "logits", "outputs", "serving")
    NAME_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    STATE_MESSAGE_FIELD_NUMBER: _ClassVar[int]
    DEFAULT_VERSION_FIELD_NUMBER: _ClassVar[int]
    MODEL_DIGEST_FIELD_NUMBER: _ClassVar[int]
    FORMAT_FIELD_NUMBER: _ClassVar[int]
    READOUTS_FIELD_NUMBER: _ClassVar[int]
    POOLINGS_FIELD_NUMBER: _ClassVar[int]
    LABELS_FIELD_NUMBER: _ClassVar[int]
    HEAD_KIND_FIELD_NUMBER: _ClassVar[int]
    MAX_LENGTH_FIELD_NUMBER: _ClassVar[int]
    TRIMS_PADDING_FIELD_NUMBER: _ClassVar[int]
    ENGINE_FIELD_NUMBER: _ClassVar[int]
    PRECISION_FIELD_NUMBER: _ClassVar[int]
    DROPOUT_PROVEN_INACTIVE_FIELD_NUMBER: _ClassVar[int]
    INPUTS_FIELD_NUMBER: _ClassVar[int]
    TOKENIZER_FIELD_NUMBER: _ClassVar[int]
    DEFAULT_POOLING_FIELD_NUMBER: _ClassVar[int]
    UNREAD_FIELD_NUMBER: _ClassVar[int]
    LOGITS_FIELD_NUMBER: _ClassVar[int]
    OUTPUTS_FIELD_NUMBER: _ClassVar[int]
    SERVING_FIELD_NUMBER: _ClassVar[int]
    name: str
    version: int
    state: ModelState
    state_message: str
    default_version: bool
    model_digest: str
    format: str
    readouts: _containers.RepeatedCompositeFieldContainer[Readout]
    poolings: _containers.RepeatedScalarFieldContainer[_common_pb2.Pooling]
    labels: _containers.RepeatedScalarFieldContainer[str]
    head_kind: HeadKind
    max_length: int
    trims_padding: bool
    engine: str
    precision: str
    dropout_proven_inactive: bool
    inputs: _containers.RepeatedCompositeFieldContainer[ModelInput]
    tokenizer: TokenizerKind
    default_pooling: _common_pb2.Pooling
    unread: str
    logits: bool
    outputs: _containers.RepeatedScalarFieldContainer[str]
    serving: Serving
    def __init__(self, name: _Optional[str] = ..., version: _Optional[int] = ..., state: _Optional[_Union[ModelState, str]] = ..., state_message: _Optional[str] = ..., default_version: bool = ..., model_digest: _Optional[str] = ..., format: _Optional[str] = ..., readouts: _Optional[_Iterable[_Union[Readout, _Mapping]]] = ..., poolings: _Optional[_Iterable[_Union[_common_pb2.Pooling, str]]] = ..., labels: _Optional[_Iterable[str]] = ..., head_kind: _Optional[_Union[HeadKind, str]] = ..., max_length: _Optional[int] = ..., trims_padding: bool = ..., engine: _Optional[str] = ..., precision: _Optional[str] = ..., dropout_proven_inactive: bool = ..., inputs: _Optional[_Iterable[_Union[ModelInput, _Mapping]]] = ..., tokenizer: _Optional[_Union[TokenizerKind, str]] = ..., default_pooling: _Optional[_Union[_common_pb2.Pooling, str]] = ..., unread: _Optional[str] = ..., logits: bool = ..., outputs: _Optional[_Iterable[str]] = ..., serving: _Optional[_Union[Serving, _Mapping]] = ...) -> None: ...

class Serving(_message.Message):
    __slots__ = ("setting", "measured", "price", "processor", "load")
    SETTING_FIELD_NUMBER: _ClassVar[int]
    MEASURED_FIELD_NUMBER: _ClassVar[int]
    PRICE_FIELD_NUMBER: _ClassVar[int]
    PROCESSOR_FIELD_NUMBER: _ClassVar[int]
    LOAD_FIELD_NUMBER: _ClassVar[int]
    setting: ServingSetting
    measured: _containers.RepeatedCompositeFieldContainer[MeasuredSetting]
    price: PrecisionPrice
    processor: str
    load: float
    def __init__(self, setting: _Optional[_Union[ServingSetting, _Mapping]] = ..., measured: _Optional[_Iterable[_Union[MeasuredSetting, _Mapping]]] = ..., price: _Optional[_Union[PrecisionPrice, _Mapping]] = ..., processor: _Optional[str] = ..., load: _Optional[float] = ...) -> None: ...

class ServingSetting(_message.Message):
    __slots__ = ("engine", "precision", "threads", "token_budget", "max_rows", "streams")
    ENGINE_FIELD_NUMBER: _ClassVar[int]
    PRECISION_FIELD_NUMBER: _ClassVar[int]
    THREADS_FIELD_NUMBER: _ClassVar[int]
    TOKEN_BUDGET_FIELD_NUMBER: _ClassVar[int]
    MAX_ROWS_FIELD_NUMBER: _ClassVar[int]
    STREAMS_FIELD_NUMBER: _ClassVar[int]
    engine: str
    precision: str
    threads: int
    token_budget: int
    max_rows: int
    streams: int
    def __init__(self, engine: _Optional[str] = ..., precision: _Optional[str] = ..., threads: _Optional[int] = ..., token_budget: _Optional[int] = ..., max_rows: _Optional[int] = ..., streams: _Optional[int] = ...) -> None: ...

class MeasuredSetting(_message.Message):
    __slots__ = ("setting", "tokens_per_second", "one_seconds", "problem")
    SETTING_FIELD_NUMBER: _ClassVar[int]
    TOKENS_PER_SECOND_FIELD_NUMBER: _ClassVar[int]
    ONE_SECONDS_FIELD_NUMBER: _ClassVar[int]
    PROBLEM_FIELD_NUMBER: _ClassVar[int]
    setting: ServingSetting
    tokens_per_second: float
    one_seconds: float
    problem: str
    def __init__(self, setting: _Optional[_Union[ServingSetting, _Mapping]] = ..., tokens_per_second: _Optional[float] = ..., one_seconds: _Optional[float] = ..., problem: _Optional[str] = ...) -> None: ...

class PrecisionPrice(_message.Message):
    __slots__ = ("texts", "lowest_cosine", "mean_cosine", "largest_difference", "flipped", "neighbors_kept")
    TEXTS_FIELD_NUMBER: _ClassVar[int]
    LOWEST_COSINE_FIELD_NUMBER: _ClassVar[int]
    MEAN_COSINE_FIELD_NUMBER: _ClassVar[int]
    LARGEST_DIFFERENCE_FIELD_NUMBER: _ClassVar[int]
    FLIPPED_FIELD_NUMBER: _ClassVar[int]
    NEIGHBORS_KEPT_FIELD_NUMBER: _ClassVar[int]
    texts: int
    lowest_cosine: float
    mean_cosine: float
    largest_difference: float
    flipped: float
    neighbors_kept: float
    def __init__(self, texts: _Optional[int] = ..., lowest_cosine: _Optional[float] = ..., mean_cosine: _Optional[float] = ..., largest_difference: _Optional[float] = ..., flipped: _Optional[float] = ..., neighbors_kept: _Optional[float] = ...) -> None: ...

class ModelInput(_message.Message):
    __slots__ = ("name", "data_type", "shape", "role", "limit", "made_by_tokenizing")
    NAME_FIELD_NUMBER: _ClassVar[int]
    DATA_TYPE_FIELD_NUMBER: _ClassVar[int]
    SHAPE_FIELD_NUMBER: _ClassVar[int]
    ROLE_FIELD_NUMBER: _ClassVar[int]
    LIMIT_FIELD_NUMBER: _ClassVar[int]
    MADE_BY_TOKENIZING_FIELD_NUMBER: _ClassVar[int]
    name: str
    data_type: _common_pb2.DataType
    shape: _containers.RepeatedScalarFieldContainer[int]
    role: InputRole
    limit: int
    made_by_tokenizing: bool
    def __init__(self, name: _Optional[str] = ..., data_type: _Optional[_Union[_common_pb2.DataType, str]] = ..., shape: _Optional[_Iterable[int]] = ..., role: _Optional[_Union[InputRole, str]] = ..., limit: _Optional[int] = ..., made_by_tokenizing: bool = ...) -> None: ...

class Readout(_message.Message):
    __slots__ = ("layer", "dimension", "kind")
    LAYER_FIELD_NUMBER: _ClassVar[int]
    DIMENSION_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    layer: str
    dimension: int
    kind: ReadoutKind
    def __init__(self, layer: _Optional[str] = ..., dimension: _Optional[int] = ..., kind: _Optional[_Union[ReadoutKind, str]] = ...) -> None: ...

class DropoutSite(_message.Message):
    __slots__ = ("path", "rate", "noise_shape", "place", "layer_class", "read", "shared_axes", "sampled")
    PATH_FIELD_NUMBER: _ClassVar[int]
    RATE_FIELD_NUMBER: _ClassVar[int]
    NOISE_SHAPE_FIELD_NUMBER: _ClassVar[int]
    PLACE_FIELD_NUMBER: _ClassVar[int]
    LAYER_CLASS_FIELD_NUMBER: _ClassVar[int]
    READ_FIELD_NUMBER: _ClassVar[int]
    SHARED_AXES_FIELD_NUMBER: _ClassVar[int]
    SAMPLED_FIELD_NUMBER: _ClassVar[int]
    path: str
    rate: float
    noise_shape: _containers.RepeatedScalarFieldContainer[int]
    place: DropoutPlace
    layer_class: str
    read: bool
    shared_axes: _containers.RepeatedScalarFieldContainer[int]
    sampled: bool
    def __init__(self, path: _Optional[str] = ..., rate: _Optional[float] = ..., noise_shape: _Optional[_Iterable[int]] = ..., place: _Optional[_Union[DropoutPlace, str]] = ..., layer_class: _Optional[str] = ..., read: bool = ..., shared_axes: _Optional[_Iterable[int]] = ..., sampled: bool = ...) -> None: ...

class DropoutProof(_message.Message):
    __slots__ = ("proven", "findings", "figures", "preparer")
    PROVEN_FIELD_NUMBER: _ClassVar[int]
    FINDINGS_FIELD_NUMBER: _ClassVar[int]
    FIGURES_FIELD_NUMBER: _ClassVar[int]
    PREPARER_FIELD_NUMBER: _ClassVar[int]
    proven: bool
    findings: _containers.RepeatedScalarFieldContainer[str]
    figures: _containers.RepeatedCompositeFieldContainer[ProofFigure]
    preparer: str
    def __init__(self, proven: bool = ..., findings: _Optional[_Iterable[str]] = ..., figures: _Optional[_Iterable[_Union[ProofFigure, _Mapping]]] = ..., preparer: _Optional[str] = ...) -> None: ...

class ProofFigure(_message.Message):
    __slots__ = ("name", "meaning", "value", "limit")
    NAME_FIELD_NUMBER: _ClassVar[int]
    MEANING_FIELD_NUMBER: _ClassVar[int]
    VALUE_FIELD_NUMBER: _ClassVar[int]
    LIMIT_FIELD_NUMBER: _ClassVar[int]
    name: str
    meaning: str
    value: float
    limit: float
    def __init__(self, name: _Optional[str] = ..., meaning: _Optional[str] = ..., value: _Optional[float] = ..., limit: _Optional[float] = ...) -> None: ...
