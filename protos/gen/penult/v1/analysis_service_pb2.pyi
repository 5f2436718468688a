from google.api import field_behavior_pb2 as _field_behavior_pb2
from penult.v1 import common_pb2 as _common_pb2
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Metric(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    METRIC_UNSPECIFIED: _ClassVar[Metric]
    METRIC_COSINE: _ClassVar[Metric]
    METRIC_DOT: _ClassVar[Metric]
    METRIC_EUCLIDEAN: _ClassVar[Metric]
    METRIC_MANHATTAN: _ClassVar[Metric]

class SpaceCheck(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    SPACE_CHECK_UNSPECIFIED: _ClassVar[SpaceCheck]
    SPACE_CHECK_EQUAL: _ClassVar[SpaceCheck]
    SPACE_CHECK_UNCHECKED: _ClassVar[SpaceCheck]
METRIC_UNSPECIFIED: Metric
METRIC_COSINE: Metric
METRIC_DOT: Metric
METRIC_EUCLIDEAN: Metric
METRIC_MANHATTAN: Metric
SPACE_CHECK_UNSPECIFIED: SpaceCheck
SPACE_CHECK_EQUAL: SpaceCheck
SPACE_CHECK_UNCHECKED: SpaceCheck

class ComputeSimilarityRequest(_message.Message):
    __slots__ = ("a", "b", "metric", "max_response_bytes")
    A_FIELD_NUMBER: _ClassVar[int]
    B_FIELD_NUMBER: _ClassVar[int]
    METRIC_FIELD_NUMBER: _ClassVar[int]
    MAX_RESPONSE_BYTES_FIELD_NUMBER: _ClassVar[int]
    a: _common_pb2.Source
    b: _common_pb2.Source
    metric: Metric
    max_response_bytes: int
    def __init__(self, a: _Optional[_Union[_common_pb2.Source, _Mapping]] = ..., b: _Optional[_Union[_common_pb2.Source, _Mapping]] = ..., metric: _Optional[_Union[Metric, str]] = ..., max_response_bytes: _Optional[int] = ...) -> None: ...

class ComputeSimilarityResponse(_message.Message):
    __slots__ = ("scores", "metric", "space_check", "provenance")
    SCORES_FIELD_NUMBER: _ClassVar[int]
    METRIC_FIELD_NUMBER: _ClassVar[int]
    SPACE_CHECK_FIELD_NUMBER: _ClassVar[int]
    PROVENANCE_FIELD_NUMBER: _ClassVar[int]
    scores: _common_pb2.Vectors
    metric: Metric
    space_check: SpaceCheck
    provenance: _common_pb2.Provenance
    def __init__(self, scores: _Optional[_Union[_common_pb2.Vectors, _Mapping]] = ..., metric: _Optional[_Union[Metric, str]] = ..., space_check: _Optional[_Union[SpaceCheck, str]] = ..., provenance: _Optional[_Union[_common_pb2.Provenance, _Mapping]] = ...) -> None: ...
