from google.api import field_behavior_pb2 as _field_behavior_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class GetServerInfoRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class GetServerInfoResponse(_message.Message):
    __slots__ = ("version", "limits", "default_model", "features")
    VERSION_FIELD_NUMBER: _ClassVar[int]
    LIMITS_FIELD_NUMBER: _ClassVar[int]
    DEFAULT_MODEL_FIELD_NUMBER: _ClassVar[int]
    FEATURES_FIELD_NUMBER: _ClassVar[int]
    version: str
    limits: Limits
    default_model: str
    features: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, version: _Optional[str] = ..., limits: _Optional[_Union[Limits, _Mapping]] = ..., default_model: _Optional[str] = ..., features: _Optional[_Iterable[str]] = ...) -> None: ...

class Limits(_message.Message):
    __slots__ = ("max_request_bytes", "default_response_bytes", "max_response_bytes", "max_texts", "max_text_bytes", "max_queued_tokens", "max_scores", "max_analysis_seconds", "max_analysis_bytes")
    MAX_REQUEST_BYTES_FIELD_NUMBER: _ClassVar[int]
    DEFAULT_RESPONSE_BYTES_FIELD_NUMBER: _ClassVar[int]
    MAX_RESPONSE_BYTES_FIELD_NUMBER: _ClassVar[int]
    MAX_TEXTS_FIELD_NUMBER: _ClassVar[int]
    MAX_TEXT_BYTES_FIELD_NUMBER: _ClassVar[int]
    MAX_QUEUED_TOKENS_FIELD_NUMBER: _ClassVar[int]
    MAX_SCORES_FIELD_NUMBER: _ClassVar[int]
    MAX_ANALYSIS_SECONDS_FIELD_NUMBER: _ClassVar[int]
    MAX_ANALYSIS_BYTES_FIELD_NUMBER: _ClassVar[int]
    max_request_bytes: int
    default_response_bytes: int
    max_response_bytes: int
    max_texts: int
    max_text_bytes: int
    max_queued_tokens: int
    max_scores: int
    max_analysis_seconds: float
    max_analysis_bytes: int
    def __init__(self, max_request_bytes: _Optional[int] = ..., default_response_bytes: _Optional[int] = ..., max_response_bytes: _Optional[int] = ..., max_texts: _Optional[int] = ..., max_text_bytes: _Optional[int] = ..., max_queued_tokens: _Optional[int] = ..., max_scores: _Optional[int] = ..., max_analysis_seconds: _Optional[float] = ..., max_analysis_bytes: _Optional[int] = ...) -> None: ...
