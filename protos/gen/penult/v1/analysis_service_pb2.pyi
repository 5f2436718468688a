import datetime

from google.api import field_behavior_pb2 as _field_behavior_pb2
from google.api import resource_pb2 as _resource_pb2
from google.longrunning import operations_pb2 as _operations_pb2
from google.protobuf import duration_pb2 as _duration_pb2
from google.protobuf import struct_pb2 as _struct_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from penult.v1 import common_pb2 as _common_pb2
from penult.v1 import model_service_pb2 as _model_service_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
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

class ClusterMethod(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    CLUSTER_METHOD_UNSPECIFIED: _ClassVar[ClusterMethod]
    CLUSTER_METHOD_KMEANS: _ClassVar[ClusterMethod]
    CLUSTER_METHOD_AGGLOMERATIVE: _ClassVar[ClusterMethod]
    CLUSTER_METHOD_HDBSCAN: _ClassVar[ClusterMethod]
    CLUSTER_METHOD_GAUSSIAN_MIXTURE: _ClassVar[ClusterMethod]

class Reduction(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    REDUCTION_UNSPECIFIED: _ClassVar[Reduction]
    REDUCTION_NONE: _ClassVar[Reduction]
    REDUCTION_UMAP: _ClassVar[Reduction]
    REDUCTION_PCA: _ClassVar[Reduction]

class Linkage(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    LINKAGE_UNSPECIFIED: _ClassVar[Linkage]
    LINKAGE_WARD: _ClassVar[Linkage]
    LINKAGE_AVERAGE: _ClassVar[Linkage]
    LINKAGE_COMPLETE: _ClassVar[Linkage]
    LINKAGE_SINGLE: _ClassVar[Linkage]

class NoiseMode(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    NOISE_MODE_UNSPECIFIED: _ClassVar[NoiseMode]
    NOISE_MODE_KEEP: _ClassVar[NoiseMode]
    NOISE_MODE_NEAREST: _ClassVar[NoiseMode]

class ProjectionMethod(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    PROJECTION_METHOD_UNSPECIFIED: _ClassVar[ProjectionMethod]
    PROJECTION_METHOD_UMAP: _ClassVar[ProjectionMethod]
    PROJECTION_METHOD_PCA: _ClassVar[ProjectionMethod]
    PROJECTION_METHOD_TSNE: _ClassVar[ProjectionMethod]

class AnalysisWay(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    ANALYSIS_WAY_UNSPECIFIED: _ClassVar[AnalysisWay]
    ANALYSIS_WAY_CALL: _ClassVar[AnalysisWay]
    ANALYSIS_WAY_OPERATION: _ClassVar[AnalysisWay]
    ANALYSIS_WAY_REFUSED: _ClassVar[AnalysisWay]
METRIC_UNSPECIFIED: Metric
METRIC_COSINE: Metric
METRIC_DOT: Metric
METRIC_EUCLIDEAN: Metric
METRIC_MANHATTAN: Metric
SPACE_CHECK_UNSPECIFIED: SpaceCheck
SPACE_CHECK_EQUAL: SpaceCheck
SPACE_CHECK_UNCHECKED: SpaceCheck
CLUSTER_METHOD_UNSPECIFIED: ClusterMethod
CLUSTER_METHOD_KMEANS: ClusterMethod
CLUSTER_METHOD_AGGLOMERATIVE: ClusterMethod
CLUSTER_METHOD_HDBSCAN: ClusterMethod
CLUSTER_METHOD_GAUSSIAN_MIXTURE: ClusterMethod
REDUCTION_UNSPECIFIED: Reduction
REDUCTION_NONE: Reduction
REDUCTION_UMAP: Reduction
REDUCTION_PCA: Reduction
LINKAGE_UNSPECIFIED: Linkage
LINKAGE_WARD: Linkage
LINKAGE_AVERAGE: Linkage
LINKAGE_COMPLETE: Linkage
LINKAGE_SINGLE: Linkage
NOISE_MODE_UNSPECIFIED: NoiseMode
NOISE_MODE_KEEP: NoiseMode
NOISE_MODE_NEAREST: NoiseMode
PROJECTION_METHOD_UNSPECIFIED: ProjectionMethod
PROJECTION_METHOD_UMAP: ProjectionMethod
PROJECTION_METHOD_PCA: ProjectionMethod
PROJECTION_METHOD_TSNE: ProjectionMethod
ANALYSIS_WAY_UNSPECIFIED: AnalysisWay
ANALYSIS_WAY_CALL: AnalysisWay
ANALYSIS_WAY_OPERATION: AnalysisWay
ANALYSIS_WAY_REFUSED: AnalysisWay

class Adjustment(_message.Message):
    __slots__ = ("parameter", "asked", "used", "why")
    PARAMETER_FIELD_NUMBER: _ClassVar[int]
    ASKED_FIELD_NUMBER: _ClassVar[int]
    USED_FIELD_NUMBER: _ClassVar[int]
    WHY_FIELD_NUMBER: _ClassVar[int]
    parameter: str
    asked: str
    used: str
    why: str
    def __init__(self, parameter: _Optional[str] = ..., asked: _Optional[str] = ..., used: _Optional[str] = ..., why: _Optional[str] = ...) -> None: ...

class ScoreBackground(_message.Message):
    __slots__ = ("quantiles", "pairs", "mean", "std", "rows")
    QUANTILES_FIELD_NUMBER: _ClassVar[int]
    PAIRS_FIELD_NUMBER: _ClassVar[int]
    MEAN_FIELD_NUMBER: _ClassVar[int]
    STD_FIELD_NUMBER: _ClassVar[int]
    ROWS_FIELD_NUMBER: _ClassVar[int]
    quantiles: _containers.RepeatedScalarFieldContainer[float]
    pairs: int
    mean: float
    std: float
    rows: int
    def __init__(self, quantiles: _Optional[_Iterable[float]] = ..., pairs: _Optional[int] = ..., mean: _Optional[float] = ..., std: _Optional[float] = ..., rows: _Optional[int] = ...) -> None: ...

class ComputeSimilarityRequest(_message.Message):
    __slots__ = ("a", "b", "metric", "max_response_bytes", "pairs", "center", "background")
    A_FIELD_NUMBER: _ClassVar[int]
    B_FIELD_NUMBER: _ClassVar[int]
    METRIC_FIELD_NUMBER: _ClassVar[int]
    MAX_RESPONSE_BYTES_FIELD_NUMBER: _ClassVar[int]
    PAIRS_FIELD_NUMBER: _ClassVar[int]
    CENTER_FIELD_NUMBER: _ClassVar[int]
    BACKGROUND_FIELD_NUMBER: _ClassVar[int]
    a: _common_pb2.Source
    b: _common_pb2.Source
    metric: Metric
    max_response_bytes: int
    pairs: bool
    center: bool
    background: _common_pb2.Source
    def __init__(self, a: _Optional[_Union[_common_pb2.Source, _Mapping]] = ..., b: _Optional[_Union[_common_pb2.Source, _Mapping]] = ..., metric: _Optional[_Union[Metric, str]] = ..., max_response_bytes: _Optional[int] = ..., pairs: bool = ..., center: bool = ..., background: _Optional[_Union[_common_pb2.Source, _Mapping]] = ...) -> None: ...

class ComputeSimilarityResponse(_message.Message):
    __slots__ = ("scores", "metric", "space_check", "provenance", "background")
    SCORES_FIELD_NUMBER: _ClassVar[int]
    METRIC_FIELD_NUMBER: _ClassVar[int]
    SPACE_CHECK_FIELD_NUMBER: _ClassVar[int]
    PROVENANCE_FIELD_NUMBER: _ClassVar[int]
    BACKGROUND_FIELD_NUMBER: _ClassVar[int]
    scores: _common_pb2.Vectors
    metric: Metric
    space_check: SpaceCheck
    provenance: _common_pb2.Provenance
    background: ScoreBackground
    def __init__(self, scores: _Optional[_Union[_common_pb2.Vectors, _Mapping]] = ..., metric: _Optional[_Union[Metric, str]] = ..., space_check: _Optional[_Union[SpaceCheck, str]] = ..., provenance: _Optional[_Union[_common_pb2.Provenance, _Mapping]] = ..., background: _Optional[_Union[ScoreBackground, _Mapping]] = ...) -> None: ...

class SearchNeighborsRequest(_message.Message):
    __slots__ = ("queries", "corpus", "k", "metric", "exclude_self", "radius", "max_response_bytes", "center", "approximate")
    QUERIES_FIELD_NUMBER: _ClassVar[int]
    CORPUS_FIELD_NUMBER: _ClassVar[int]
    K_FIELD_NUMBER: _ClassVar[int]
    METRIC_FIELD_NUMBER: _ClassVar[int]
    EXCLUDE_SELF_FIELD_NUMBER: _ClassVar[int]
    RADIUS_FIELD_NUMBER: _ClassVar[int]
    MAX_RESPONSE_BYTES_FIELD_NUMBER: _ClassVar[int]
    CENTER_FIELD_NUMBER: _ClassVar[int]
    APPROXIMATE_FIELD_NUMBER: _ClassVar[int]
    queries: _common_pb2.Source
    corpus: _common_pb2.Source
    k: int
    metric: Metric
    exclude_self: bool
    radius: float
    max_response_bytes: int
    center: bool
    approximate: bool
    def __init__(self, queries: _Optional[_Union[_common_pb2.Source, _Mapping]] = ..., corpus: _Optional[_Union[_common_pb2.Source, _Mapping]] = ..., k: _Optional[int] = ..., metric: _Optional[_Union[Metric, str]] = ..., exclude_self: bool = ..., radius: _Optional[float] = ..., max_response_bytes: _Optional[int] = ..., center: bool = ..., approximate: bool = ...) -> None: ...

class SearchNeighborsResponse(_message.Message):
    __slots__ = ("indices", "scores", "metric", "zero_queries", "zero_corpus", "adjustments", "space_check", "provenance", "background", "recall")
    INDICES_FIELD_NUMBER: _ClassVar[int]
    SCORES_FIELD_NUMBER: _ClassVar[int]
    METRIC_FIELD_NUMBER: _ClassVar[int]
    ZERO_QUERIES_FIELD_NUMBER: _ClassVar[int]
    ZERO_CORPUS_FIELD_NUMBER: _ClassVar[int]
    ADJUSTMENTS_FIELD_NUMBER: _ClassVar[int]
    SPACE_CHECK_FIELD_NUMBER: _ClassVar[int]
    PROVENANCE_FIELD_NUMBER: _ClassVar[int]
    BACKGROUND_FIELD_NUMBER: _ClassVar[int]
    RECALL_FIELD_NUMBER: _ClassVar[int]
    indices: _common_pb2.Tensor
    scores: _common_pb2.Vectors
    metric: Metric
    zero_queries: _containers.RepeatedScalarFieldContainer[int]
    zero_corpus: _containers.RepeatedScalarFieldContainer[int]
    adjustments: _containers.RepeatedCompositeFieldContainer[Adjustment]
    space_check: SpaceCheck
    provenance: _common_pb2.Provenance
    background: ScoreBackground
    recall: float
    def __init__(self, indices: _Optional[_Union[_common_pb2.Tensor, _Mapping]] = ..., scores: _Optional[_Union[_common_pb2.Vectors, _Mapping]] = ..., metric: _Optional[_Union[Metric, str]] = ..., zero_queries: _Optional[_Iterable[int]] = ..., zero_corpus: _Optional[_Iterable[int]] = ..., adjustments: _Optional[_Iterable[_Union[Adjustment, _Mapping]]] = ..., space_check: _Optional[_Union[SpaceCheck, str]] = ..., provenance: _Optional[_Union[_common_pb2.Provenance, _Mapping]] = ..., background: _Optional[_Union[ScoreBackground, _Mapping]] = ..., recall: _Optional[float] = ...) -> None: ...

class ClusterRequest(_message.Message):
    __slots__ = ("source", "method", "n_clusters", "metric", "reduction", "reduced_dimensions", "linkage", "min_cluster_size", "min_samples", "noise", "seed", "labels", "max_response_bytes", "name", "overwrite", "request_id", "auto", "bootstraps", "keywords")
    SOURCE_FIELD_NUMBER: _ClassVar[int]
    METHOD_FIELD_NUMBER: _ClassVar[int]
    N_CLUSTERS_FIELD_NUMBER: _ClassVar[int]
    METRIC_FIELD_NUMBER: _ClassVar[int]
    REDUCTION_FIELD_NUMBER: _ClassVar[int]
    REDUCED_DIMENSIONS_FIELD_NUMBER: _ClassVar[int]
    LINKAGE_FIELD_NUMBER: _ClassVar[int]
    MIN_CLUSTER_SIZE_FIELD_NUMBER: _ClassVar[int]
    MIN_SAMPLES_FIELD_NUMBER: _ClassVar[int]
    NOISE_FIELD_NUMBER: _ClassVar[int]
    SEED_FIELD_NUMBER: _ClassVar[int]
    LABELS_FIELD_NUMBER: _ClassVar[int]
    MAX_RESPONSE_BYTES_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    OVERWRITE_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    AUTO_FIELD_NUMBER: _ClassVar[int]
    BOOTSTRAPS_FIELD_NUMBER: _ClassVar[int]
    KEYWORDS_FIELD_NUMBER: _ClassVar[int]
    source: _common_pb2.Source
    method: ClusterMethod
    n_clusters: int
    metric: Metric
    reduction: Reduction
    reduced_dimensions: int
    linkage: Linkage
    min_cluster_size: int
    min_samples: int
    noise: NoiseMode
    seed: int
    labels: _containers.RepeatedScalarFieldContainer[str]
    max_response_bytes: int
    name: str
    overwrite: bool
    request_id: str
    auto: bool
    bootstraps: int
    keywords: int
    def __init__(self, source: _Optional[_Union[_common_pb2.Source, _Mapping]] = ..., method: _Optional[_Union[ClusterMethod, str]] = ..., n_clusters: _Optional[int] = ..., metric: _Optional[_Union[Metric, str]] = ..., reduction: _Optional[_Union[Reduction, str]] = ..., reduced_dimensions: _Optional[int] = ..., linkage: _Optional[_Union[Linkage, str]] = ..., min_cluster_size: _Optional[int] = ..., min_samples: _Optional[int] = ..., noise: _Optional[_Union[NoiseMode, str]] = ..., seed: _Optional[int] = ..., labels: _Optional[_Iterable[str]] = ..., max_response_bytes: _Optional[int] = ..., name: _Optional[str] = ..., overwrite: bool = ..., request_id: _Optional[str] = ..., auto: bool = ..., bootstraps: _Optional[int] = ..., keywords: _Optional[int] = ...) -> None: ...

class Keyword(_message.Message):
    __slots__ = ("word", "weight")
    WORD_FIELD_NUMBER: _ClassVar[int]
    WEIGHT_FIELD_NUMBER: _ClassVar[int]
    word: str
    weight: float
    def __init__(self, word: _Optional[str] = ..., weight: _Optional[float] = ...) -> None: ...

class LabelShare(_message.Message):
    __slots__ = ("label", "rows")
    LABEL_FIELD_NUMBER: _ClassVar[int]
    ROWS_FIELD_NUMBER: _ClassVar[int]
    label: str
    rows: int
    def __init__(self, label: _Optional[str] = ..., rows: _Optional[int] = ...) -> None: ...

class ClusterInfo(_message.Message):
    __slots__ = ("label", "size", "nearest_rows", "border_rows", "odd_rows", "keywords", "labels", "name", "silhouette")
    LABEL_FIELD_NUMBER: _ClassVar[int]
    SIZE_FIELD_NUMBER: _ClassVar[int]
    NEAREST_ROWS_FIELD_NUMBER: _ClassVar[int]
    BORDER_ROWS_FIELD_NUMBER: _ClassVar[int]
    ODD_ROWS_FIELD_NUMBER: _ClassVar[int]
    KEYWORDS_FIELD_NUMBER: _ClassVar[int]
    LABELS_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    SILHOUETTE_FIELD_NUMBER: _ClassVar[int]
    label: int
    size: int
    nearest_rows: _containers.RepeatedScalarFieldContainer[int]
    border_rows: _containers.RepeatedScalarFieldContainer[int]
    odd_rows: _containers.RepeatedScalarFieldContainer[int]
    keywords: _containers.RepeatedCompositeFieldContainer[Keyword]
    labels: _containers.RepeatedCompositeFieldContainer[LabelShare]
    name: str
    silhouette: float
    def __init__(self, label: _Optional[int] = ..., size: _Optional[int] = ..., nearest_rows: _Optional[_Iterable[int]] = ..., border_rows: _Optional[_Iterable[int]] = ..., odd_rows: _Optional[_Iterable[int]] = ..., keywords: _Optional[_Iterable[_Union[Keyword, _Mapping]]] = ..., labels: _Optional[_Iterable[_Union[LabelShare, _Mapping]]] = ..., name: _Optional[str] = ..., silhouette: _Optional[float] = ...) -> None: ...

class Merge(_message.Message):
    __slots__ = ("first", "second", "distance", "size")
    FIRST_FIELD_NUMBER: _ClassVar[int]
    SECOND_FIELD_NUMBER: _ClassVar[int]
    DISTANCE_FIELD_NUMBER: _ClassVar[int]
    SIZE_FIELD_NUMBER: _ClassVar[int]
    first: int
    second: int
    distance: float
    size: int
    def __init__(self, first: _Optional[int] = ..., second: _Optional[int] = ..., distance: _Optional[float] = ..., size: _Optional[int] = ...) -> None: ...

class ClusterCount(_message.Message):
    __slots__ = ("n_clusters", "score")
    N_CLUSTERS_FIELD_NUMBER: _ClassVar[int]
    SCORE_FIELD_NUMBER: _ClassVar[int]
    n_clusters: int
    score: float
    def __init__(self, n_clusters: _Optional[int] = ..., score: _Optional[float] = ...) -> None: ...

class ClusterStability(_message.Message):
    __slots__ = ("adjusted_rand", "low", "high", "samples")
    ADJUSTED_RAND_FIELD_NUMBER: _ClassVar[int]
    LOW_FIELD_NUMBER: _ClassVar[int]
    HIGH_FIELD_NUMBER: _ClassVar[int]
    SAMPLES_FIELD_NUMBER: _ClassVar[int]
    adjusted_rand: float
    low: float
    high: float
    samples: int
    def __init__(self, adjusted_rand: _Optional[float] = ..., low: _Optional[float] = ..., high: _Optional[float] = ..., samples: _Optional[int] = ...) -> None: ...

class Advice(_message.Message):
    __slots__ = ("parameter", "why")
    PARAMETER_FIELD_NUMBER: _ClassVar[int]
    WHY_FIELD_NUMBER: _ClassVar[int]
    parameter: str
    why: str
    def __init__(self, parameter: _Optional[str] = ..., why: _Optional[str] = ...) -> None: ...

class ClusterBatch(_message.Message):
    __slots__ = ("create_time", "event", "rows", "unassigned", "new_labels", "gone_labels", "sizes", "labels", "drift")
    CREATE_TIME_FIELD_NUMBER: _ClassVar[int]
    EVENT_FIELD_NUMBER: _ClassVar[int]
    ROWS_FIELD_NUMBER: _ClassVar[int]
    UNASSIGNED_FIELD_NUMBER: _ClassVar[int]
    NEW_LABELS_FIELD_NUMBER: _ClassVar[int]
    GONE_LABELS_FIELD_NUMBER: _ClassVar[int]
    SIZES_FIELD_NUMBER: _ClassVar[int]
    LABELS_FIELD_NUMBER: _ClassVar[int]
    DRIFT_FIELD_NUMBER: _ClassVar[int]
    create_time: _timestamp_pb2.Timestamp
    event: str
    rows: int
    unassigned: int
    new_labels: _containers.RepeatedScalarFieldContainer[int]
    gone_labels: _containers.RepeatedScalarFieldContainer[int]
    sizes: _containers.RepeatedScalarFieldContainer[int]
    labels: _containers.RepeatedScalarFieldContainer[int]
    drift: _containers.RepeatedScalarFieldContainer[float]
    def __init__(self, create_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., event: _Optional[str] = ..., rows: _Optional[int] = ..., unassigned: _Optional[int] = ..., new_labels: _Optional[_Iterable[int]] = ..., gone_labels: _Optional[_Iterable[int]] = ..., sizes: _Optional[_Iterable[int]] = ..., labels: _Optional[_Iterable[int]] = ..., drift: _Optional[_Iterable[float]] = ...) -> None: ...

class Agreement(_message.Message):
    __slots__ = ("v_measure", "adjusted_rand", "purity", "normalized_mutual_information")
    V_MEASURE_FIELD_NUMBER: _ClassVar[int]
    ADJUSTED_RAND_FIELD_NUMBER: _ClassVar[int]
    PURITY_FIELD_NUMBER: _ClassVar[int]
    NORMALIZED_MUTUAL_INFORMATION_FIELD_NUMBER: _ClassVar[int]
    v_measure: float
    adjusted_rand: float
    purity: float
    normalized_mutual_information: float
    def __init__(self, v_measure: _Optional[float] = ..., adjusted_rand: _Optional[float] = ..., purity: _Optional[float] = ..., normalized_mutual_information: _Optional[float] = ...) -> None: ...

class ClusterResponse(_message.Message):
    __slots__ = ("labels", "clusters", "silhouette", "silhouette_rows", "noise_share", "agreement", "used", "adjustments", "zero_rows", "provenance", "stored", "davies_bouldin", "calinski_harabasz", "stability", "curve", "merges", "moved", "advice", "history")
    class UsedEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    LABELS_FIELD_NUMBER: _ClassVar[int]
    CLUSTERS_FIELD_NUMBER: _ClassVar[int]
    SILHOUETTE_FIELD_NUMBER: _ClassVar[int]
    SILHOUETTE_ROWS_FIELD_NUMBER: _ClassVar[int]
    NOISE_SHARE_FIELD_NUMBER: _ClassVar[int]
    AGREEMENT_FIELD_NUMBER: _ClassVar[int]
    USED_FIELD_NUMBER: _ClassVar[int]
    ADJUSTMENTS_FIELD_NUMBER: _ClassVar[int]
    ZERO_ROWS_FIELD_NUMBER: _ClassVar[int]
    PROVENANCE_FIELD_NUMBER: _ClassVar[int]
    STORED_FIELD_NUMBER: _ClassVar[int]
    DAVIES_BOULDIN_FIELD_NUMBER: _ClassVar[int]
    CALINSKI_HARABASZ_FIELD_NUMBER: _ClassVar[int]
    STABILITY_FIELD_NUMBER: _ClassVar[int]
    CURVE_FIELD_NUMBER: _ClassVar[int]
    MERGES_FIELD_NUMBER: _ClassVar[int]
    MOVED_FIELD_NUMBER: _ClassVar[int]
    ADVICE_FIELD_NUMBER: _ClassVar[int]
    HISTORY_FIELD_NUMBER: _ClassVar[int]
    labels: _common_pb2.Tensor
    clusters: _containers.RepeatedCompositeFieldContainer[ClusterInfo]
    silhouette: float
    silhouette_rows: int
    noise_share: float
    agreement: Agreement
    used: _containers.ScalarMap[str, str]
    adjustments: _containers.RepeatedCompositeFieldContainer[Adjustment]
    zero_rows: _containers.RepeatedScalarFieldContainer[int]
    provenance: _common_pb2.Provenance
    stored: Clustering
    davies_bouldin: float
    calinski_harabasz: float
    stability: ClusterStability
    curve: _containers.RepeatedCompositeFieldContainer[ClusterCount]
    merges: _containers.RepeatedCompositeFieldContainer[Merge]
    moved: _containers.RepeatedScalarFieldContainer[int]
    advice: _containers.RepeatedCompositeFieldContainer[Advice]
    history: _containers.RepeatedCompositeFieldContainer[ClusterBatch]
    def __init__(self, labels: _Optional[_Union[_common_pb2.Tensor, _Mapping]] = ..., clusters: _Optional[_Iterable[_Union[ClusterInfo, _Mapping]]] = ..., silhouette: _Optional[float] = ..., silhouette_rows: _Optional[int] = ..., noise_share: _Optional[float] = ..., agreement: _Optional[_Union[Agreement, _Mapping]] = ..., used: _Optional[_Mapping[str, str]] = ..., adjustments: _Optional[_Iterable[_Union[Adjustment, _Mapping]]] = ..., zero_rows: _Optional[_Iterable[int]] = ..., provenance: _Optional[_Union[_common_pb2.Provenance, _Mapping]] = ..., stored: _Optional[_Union[Clustering, _Mapping]] = ..., davies_bouldin: _Optional[float] = ..., calinski_harabasz: _Optional[float] = ..., stability: _Optional[_Union[ClusterStability, _Mapping]] = ..., curve: _Optional[_Iterable[_Union[ClusterCount, _Mapping]]] = ..., merges: _Optional[_Iterable[_Union[Merge, _Mapping]]] = ..., moved: _Optional[_Iterable[int]] = ..., advice: _Optional[_Iterable[_Union[Advice, _Mapping]]] = ..., history: _Optional[_Iterable[_Union[ClusterBatch, _Mapping]]] = ...) -> None: ...

class ProjectRequest(_message.Message):
    __slots__ = ("source", "method", "n_components", "metric", "n_neighbors", "min_dist", "perplexity", "seed", "labels", "max_response_bytes", "name", "overwrite", "request_id", "supervised", "target_weight", "density", "aligned_to")
    SOURCE_FIELD_NUMBER: _ClassVar[int]
    METHOD_FIELD_NUMBER: _ClassVar[int]
    N_COMPONENTS_FIELD_NUMBER: _ClassVar[int]
    METRIC_FIELD_NUMBER: _ClassVar[int]
    N_NEIGHBORS_FIELD_NUMBER: _ClassVar[int]
    MIN_DIST_FIELD_NUMBER: _ClassVar[int]
    PERPLEXITY_FIELD_NUMBER: _ClassVar[int]
    SEED_FIELD_NUMBER: _ClassVar[int]
    LABELS_FIELD_NUMBER: _ClassVar[int]
    MAX_RESPONSE_BYTES_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    OVERWRITE_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    SUPERVISED_FIELD_NUMBER: _ClassVar[int]
    TARGET_WEIGHT_FIELD_NUMBER: _ClassVar[int]
    DENSITY_FIELD_NUMBER: _ClassVar[int]
    ALIGNED_TO_FIELD_NUMBER: _ClassVar[int]
    source: _common_pb2.Source
    method: ProjectionMethod
    n_components: int
    metric: Metric
    n_neighbors: int
    min_dist: float
    perplexity: float
    seed: int
    labels: _containers.RepeatedScalarFieldContainer[str]
    max_response_bytes: int
    name: str
    overwrite: bool
    request_id: str
    supervised: bool
    target_weight: float
    density: bool
    aligned_to: str
    def __init__(self, source: _Optional[_Union[_common_pb2.Source, _Mapping]] = ..., method: _Optional[_Union[ProjectionMethod, str]] = ..., n_components: _Optional[int] = ..., metric: _Optional[_Union[Metric, str]] = ..., n_neighbors: _Optional[int] = ..., min_dist: _Optional[float] = ..., perplexity: _Optional[float] = ..., seed: _Optional[int] = ..., labels: _Optional[_Iterable[str]] = ..., max_response_bytes: _Optional[int] = ..., name: _Optional[str] = ..., overwrite: bool = ..., request_id: _Optional[str] = ..., supervised: bool = ..., target_weight: _Optional[float] = ..., density: bool = ..., aligned_to: _Optional[str] = ...) -> None: ...

class ProjectionQuality(_message.Message):
    __slots__ = ("trustworthiness", "rows", "neighbors", "label_purity", "label_purity_source", "continuity", "neighbors_kept", "distance_correlation", "alignment_disparity")
    TRUSTWORTHINESS_FIELD_NUMBER: _ClassVar[int]
    ROWS_FIELD_NUMBER: _ClassVar[int]
    NEIGHBORS_FIELD_NUMBER: _ClassVar[int]
    LABEL_PURITY_FIELD_NUMBER: _ClassVar[int]
    LABEL_PURITY_SOURCE_FIELD_NUMBER: _ClassVar[int]
    CONTINUITY_FIELD_NUMBER: _ClassVar[int]
    NEIGHBORS_KEPT_FIELD_NUMBER: _ClassVar[int]
    DISTANCE_CORRELATION_FIELD_NUMBER: _ClassVar[int]
    ALIGNMENT_DISPARITY_FIELD_NUMBER: _ClassVar[int]
    trustworthiness: float
    rows: int
    neighbors: int
    label_purity: float
    label_purity_source: float
    continuity: float
    neighbors_kept: float
    distance_correlation: float
    alignment_disparity: float
    def __init__(self, trustworthiness: _Optional[float] = ..., rows: _Optional[int] = ..., neighbors: _Optional[int] = ..., label_purity: _Optional[float] = ..., label_purity_source: _Optional[float] = ..., continuity: _Optional[float] = ..., neighbors_kept: _Optional[float] = ..., distance_correlation: _Optional[float] = ..., alignment_disparity: _Optional[float] = ...) -> None: ...

class ProjectResponse(_message.Message):
    __slots__ = ("coordinates", "quality", "explained_variance", "used", "adjustments", "zero_rows", "provenance", "stored", "row_neighbors_kept")
    class UsedEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    COORDINATES_FIELD_NUMBER: _ClassVar[int]
    QUALITY_FIELD_NUMBER: _ClassVar[int]
    EXPLAINED_VARIANCE_FIELD_NUMBER: _ClassVar[int]
    USED_FIELD_NUMBER: _ClassVar[int]
    ADJUSTMENTS_FIELD_NUMBER: _ClassVar[int]
    ZERO_ROWS_FIELD_NUMBER: _ClassVar[int]
    PROVENANCE_FIELD_NUMBER: _ClassVar[int]
    STORED_FIELD_NUMBER: _ClassVar[int]
    ROW_NEIGHBORS_KEPT_FIELD_NUMBER: _ClassVar[int]
    coordinates: _common_pb2.Vectors
    quality: ProjectionQuality
    explained_variance: _containers.RepeatedScalarFieldContainer[float]
    used: _containers.ScalarMap[str, str]
    adjustments: _containers.RepeatedCompositeFieldContainer[Adjustment]
    zero_rows: _containers.RepeatedScalarFieldContainer[int]
    provenance: _common_pb2.Provenance
    stored: Projection
    row_neighbors_kept: _common_pb2.Vectors
    def __init__(self, coordinates: _Optional[_Union[_common_pb2.Vectors, _Mapping]] = ..., quality: _Optional[_Union[ProjectionQuality, _Mapping]] = ..., explained_variance: _Optional[_Iterable[float]] = ..., used: _Optional[_Mapping[str, str]] = ..., adjustments: _Optional[_Iterable[_Union[Adjustment, _Mapping]]] = ..., zero_rows: _Optional[_Iterable[int]] = ..., provenance: _Optional[_Union[_common_pb2.Provenance, _Mapping]] = ..., stored: _Optional[_Union[Projection, _Mapping]] = ..., row_neighbors_kept: _Optional[_Union[_common_pb2.Vectors, _Mapping]] = ...) -> None: ...

class RowsOf(_message.Message):
    __slots__ = ("rows", "dataset", "generation", "id_digest", "embedding_space")
    ROWS_FIELD_NUMBER: _ClassVar[int]
    DATASET_FIELD_NUMBER: _ClassVar[int]
    GENERATION_FIELD_NUMBER: _ClassVar[int]
    ID_DIGEST_FIELD_NUMBER: _ClassVar[int]
    EMBEDDING_SPACE_FIELD_NUMBER: _ClassVar[int]
    rows: int
    dataset: str
    generation: str
    id_digest: str
    embedding_space: str
    def __init__(self, rows: _Optional[int] = ..., dataset: _Optional[str] = ..., generation: _Optional[str] = ..., id_digest: _Optional[str] = ..., embedding_space: _Optional[str] = ...) -> None: ...

class Projection(_message.Message):
    __slots__ = ("name", "create_time", "source", "parameters", "versions", "size_bytes", "durable", "problem")
    class VersionsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    NAME_FIELD_NUMBER: _ClassVar[int]
    CREATE_TIME_FIELD_NUMBER: _ClassVar[int]
    SOURCE_FIELD_NUMBER: _ClassVar[int]
    PARAMETERS_FIELD_NUMBER: _ClassVar[int]
    VERSIONS_FIELD_NUMBER: _ClassVar[int]
    SIZE_BYTES_FIELD_NUMBER: _ClassVar[int]
    DURABLE_FIELD_NUMBER: _ClassVar[int]
    PROBLEM_FIELD_NUMBER: _ClassVar[int]
    name: str
    create_time: _timestamp_pb2.Timestamp
    source: RowsOf
    parameters: _struct_pb2.Struct
    versions: _containers.ScalarMap[str, str]
    size_bytes: int
    durable: bool
    problem: str
    def __init__(self, name: _Optional[str] = ..., create_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., source: _Optional[_Union[RowsOf, _Mapping]] = ..., parameters: _Optional[_Union[_struct_pb2.Struct, _Mapping]] = ..., versions: _Optional[_Mapping[str, str]] = ..., size_bytes: _Optional[int] = ..., durable: bool = ..., problem: _Optional[str] = ...) -> None: ...

class GetProjectionRequest(_message.Message):
    __slots__ = ("name", "max_response_bytes")
    NAME_FIELD_NUMBER: _ClassVar[int]
    MAX_RESPONSE_BYTES_FIELD_NUMBER: _ClassVar[int]
    name: str
    max_response_bytes: int
    def __init__(self, name: _Optional[str] = ..., max_response_bytes: _Optional[int] = ...) -> None: ...

class GetProjectionResponse(_message.Message):
    __slots__ = ("result",)
    RESULT_FIELD_NUMBER: _ClassVar[int]
    result: ProjectResponse
    def __init__(self, result: _Optional[_Union[ProjectResponse, _Mapping]] = ...) -> None: ...

class ListProjectionsRequest(_message.Message):
    __slots__ = ("page_size", "page_token")
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    page_size: int
    page_token: str
    def __init__(self, page_size: _Optional[int] = ..., page_token: _Optional[str] = ...) -> None: ...

class ListProjectionsResponse(_message.Message):
    __slots__ = ("projections", "next_page_token")
    PROJECTIONS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    projections: _containers.RepeatedCompositeFieldContainer[Projection]
    next_page_token: str
    def __init__(self, projections: _Optional[_Iterable[_Union[Projection, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class DeleteProjectionRequest(_message.Message):
    __slots__ = ("name",)
    NAME_FIELD_NUMBER: _ClassVar[int]
    name: str
    def __init__(self, name: _Optional[str] = ...) -> None: ...

class DeleteProjectionResponse(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class Clustering(_message.Message):
    __slots__ = ("name", "create_time", "source", "parameters", "versions", "size_bytes", "durable", "problem", "update_time", "cluster_count", "cluster_names", "batch_count")
    class VersionsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    class ClusterNamesEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: int
        value: str
        def __init__(self, key: _Optional[int] = ..., value: _Optional[str] = ...) -> None: ...
    NAME_FIELD_NUMBER: _ClassVar[int]
    CREATE_TIME_FIELD_NUMBER: _ClassVar[int]
    SOURCE_FIELD_NUMBER: _ClassVar[int]
    PARAMETERS_FIELD_NUMBER: _ClassVar[int]
    VERSIONS_FIELD_NUMBER: _ClassVar[int]
    SIZE_BYTES_FIELD_NUMBER: _ClassVar[int]
    DURABLE_FIELD_NUMBER: _ClassVar[int]
    PROBLEM_FIELD_NUMBER: _ClassVar[int]
    UPDATE_TIME_FIELD_NUMBER: _ClassVar[int]
    CLUSTER_COUNT_FIELD_NUMBER: _ClassVar[int]
    CLUSTER_NAMES_FIELD_NUMBER: _ClassVar[int]
    BATCH_COUNT_FIELD_NUMBER: _ClassVar[int]
    name: str
    create_time: _timestamp_pb2.Timestamp
    source: RowsOf
    parameters: _struct_pb2.Struct
    versions: _containers.ScalarMap[str, str]
    size_bytes: int
    durable: bool
    problem: str
    update_time: _timestamp_pb2.Timestamp
    cluster_count: int
    cluster_names: _containers.ScalarMap[int, str]
    batch_count: int
    def __init__(self, name: _Optional[str] = ..., create_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., source: _Optional[_Union[RowsOf, _Mapping]] = ..., parameters: _Optional[_Union[_struct_pb2.Struct, _Mapping]] = ..., versions: _Optional[_Mapping[str, str]] = ..., size_bytes: _Optional[int] = ..., durable: bool = ..., problem: _Optional[str] = ..., update_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., cluster_count: _Optional[int] = ..., cluster_names: _Optional[_Mapping[int, str]] = ..., batch_count: _Optional[int] = ...) -> None: ...

class GetClusteringRequest(_message.Message):
    __slots__ = ("name", "max_response_bytes")
    NAME_FIELD_NUMBER: _ClassVar[int]
    MAX_RESPONSE_BYTES_FIELD_NUMBER: _ClassVar[int]
    name: str
    max_response_bytes: int
    def __init__(self, name: _Optional[str] = ..., max_response_bytes: _Optional[int] = ...) -> None: ...

class GetClusteringResponse(_message.Message):
    __slots__ = ("result",)
    RESULT_FIELD_NUMBER: _ClassVar[int]
    result: ClusterResponse
    def __init__(self, result: _Optional[_Union[ClusterResponse, _Mapping]] = ...) -> None: ...

class ListClusteringsRequest(_message.Message):
    __slots__ = ("page_size", "page_token")
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    page_size: int
    page_token: str
    def __init__(self, page_size: _Optional[int] = ..., page_token: _Optional[str] = ...) -> None: ...

class ListClusteringsResponse(_message.Message):
    __slots__ = ("clusterings", "next_page_token")
    CLUSTERINGS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    clusterings: _containers.RepeatedCompositeFieldContainer[Clustering]
    next_page_token: str
    def __init__(self, clusterings: _Optional[_Iterable[_Union[Clustering, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class DeleteClusteringRequest(_message.Message):
    __slots__ = ("name",)
    NAME_FIELD_NUMBER: _ClassVar[int]
    name: str
    def __init__(self, name: _Optional[str] = ...) -> None: ...

class DeleteClusteringResponse(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class StartAnalysisRequest(_message.Message):
    __slots__ = ("compute_similarity", "search_neighbors", "cluster", "project", "compare_dropout", "find_duplicates", "find_outliers", "transform", "assign_clusters", "grow_clustering", "request_id")
    COMPUTE_SIMILARITY_FIELD_NUMBER: _ClassVar[int]
    SEARCH_NEIGHBORS_FIELD_NUMBER: _ClassVar[int]
    CLUSTER_FIELD_NUMBER: _ClassVar[int]
    PROJECT_FIELD_NUMBER: _ClassVar[int]
    COMPARE_DROPOUT_FIELD_NUMBER: _ClassVar[int]
    FIND_DUPLICATES_FIELD_NUMBER: _ClassVar[int]
    FIND_OUTLIERS_FIELD_NUMBER: _ClassVar[int]
    TRANSFORM_FIELD_NUMBER: _ClassVar[int]
    ASSIGN_CLUSTERS_FIELD_NUMBER: _ClassVar[int]
    GROW_CLUSTERING_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    compute_similarity: ComputeSimilarityRequest
    search_neighbors: SearchNeighborsRequest
    cluster: ClusterRequest
    project: ProjectRequest
    compare_dropout: CompareDropoutRequest
    find_duplicates: FindDuplicatesRequest
    find_outliers: FindOutliersRequest
    transform: TransformRequest
    assign_clusters: AssignClustersRequest
    grow_clustering: GrowClusteringRequest
    request_id: str
    def __init__(self, compute_similarity: _Optional[_Union[ComputeSimilarityRequest, _Mapping]] = ..., search_neighbors: _Optional[_Union[SearchNeighborsRequest, _Mapping]] = ..., cluster: _Optional[_Union[ClusterRequest, _Mapping]] = ..., project: _Optional[_Union[ProjectRequest, _Mapping]] = ..., compare_dropout: _Optional[_Union[CompareDropoutRequest, _Mapping]] = ..., find_duplicates: _Optional[_Union[FindDuplicatesRequest, _Mapping]] = ..., find_outliers: _Optional[_Union[FindOutliersRequest, _Mapping]] = ..., transform: _Optional[_Union[TransformRequest, _Mapping]] = ..., assign_clusters: _Optional[_Union[AssignClustersRequest, _Mapping]] = ..., grow_clustering: _Optional[_Union[GrowClusteringRequest, _Mapping]] = ..., request_id: _Optional[str] = ...) -> None: ...

class AnalysisMetadata(_message.Message):
    __slots__ = ("analysis", "rows", "stage", "done", "total", "time_left", "create_time", "start_time", "end_time", "expire_time", "durable")
    ANALYSIS_FIELD_NUMBER: _ClassVar[int]
    ROWS_FIELD_NUMBER: _ClassVar[int]
    STAGE_FIELD_NUMBER: _ClassVar[int]
    DONE_FIELD_NUMBER: _ClassVar[int]
    TOTAL_FIELD_NUMBER: _ClassVar[int]
    TIME_LEFT_FIELD_NUMBER: _ClassVar[int]
    CREATE_TIME_FIELD_NUMBER: _ClassVar[int]
    START_TIME_FIELD_NUMBER: _ClassVar[int]
    END_TIME_FIELD_NUMBER: _ClassVar[int]
    EXPIRE_TIME_FIELD_NUMBER: _ClassVar[int]
    DURABLE_FIELD_NUMBER: _ClassVar[int]
    analysis: str
    rows: int
    stage: str
    done: int
    total: int
    time_left: _duration_pb2.Duration
    create_time: _timestamp_pb2.Timestamp
    start_time: _timestamp_pb2.Timestamp
    end_time: _timestamp_pb2.Timestamp
    expire_time: _timestamp_pb2.Timestamp
    durable: bool
    def __init__(self, analysis: _Optional[str] = ..., rows: _Optional[int] = ..., stage: _Optional[str] = ..., done: _Optional[int] = ..., total: _Optional[int] = ..., time_left: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., create_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., start_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., end_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., expire_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., durable: bool = ...) -> None: ...

class StoredResult(_message.Message):
    __slots__ = ("name", "analysis", "rows", "size_bytes")
    NAME_FIELD_NUMBER: _ClassVar[int]
    ANALYSIS_FIELD_NUMBER: _ClassVar[int]
    ROWS_FIELD_NUMBER: _ClassVar[int]
    SIZE_BYTES_FIELD_NUMBER: _ClassVar[int]
    name: str
    analysis: str
    rows: int
    size_bytes: int
    def __init__(self, name: _Optional[str] = ..., analysis: _Optional[str] = ..., rows: _Optional[int] = ..., size_bytes: _Optional[int] = ...) -> None: ...

class ReadResultRequest(_message.Message):
    __slots__ = ("name", "first_row", "max_part_bytes")
    NAME_FIELD_NUMBER: _ClassVar[int]
    FIRST_ROW_FIELD_NUMBER: _ClassVar[int]
    MAX_PART_BYTES_FIELD_NUMBER: _ClassVar[int]
    name: str
    first_row: int
    max_part_bytes: int
    def __init__(self, name: _Optional[str] = ..., first_row: _Optional[int] = ..., max_part_bytes: _Optional[int] = ...) -> None: ...

class ReadResultResponse(_message.Message):
    __slots__ = ("compute_similarity", "search_neighbors", "cluster", "project", "compare_dropout", "find_duplicates", "find_outliers", "transform", "assign_clusters", "grow_clustering", "first_row", "row_count", "rows")
    COMPUTE_SIMILARITY_FIELD_NUMBER: _ClassVar[int]
    SEARCH_NEIGHBORS_FIELD_NUMBER: _ClassVar[int]
    CLUSTER_FIELD_NUMBER: _ClassVar[int]
    PROJECT_FIELD_NUMBER: _ClassVar[int]
    COMPARE_DROPOUT_FIELD_NUMBER: _ClassVar[int]
    FIND_DUPLICATES_FIELD_NUMBER: _ClassVar[int]
    FIND_OUTLIERS_FIELD_NUMBER: _ClassVar[int]
    TRANSFORM_FIELD_NUMBER: _ClassVar[int]
    ASSIGN_CLUSTERS_FIELD_NUMBER: _ClassVar[int]
    GROW_CLUSTERING_FIELD_NUMBER: _ClassVar[int]
    FIRST_ROW_FIELD_NUMBER: _ClassVar[int]
    ROW_COUNT_FIELD_NUMBER: _ClassVar[int]
    ROWS_FIELD_NUMBER: _ClassVar[int]
    compute_similarity: ComputeSimilarityResponse
    search_neighbors: SearchNeighborsResponse
    cluster: ClusterResponse
    project: ProjectResponse
    compare_dropout: CompareDropoutResponse
    find_duplicates: FindDuplicatesResponse
    find_outliers: FindOutliersResponse
    transform: TransformResponse
    assign_clusters: AssignClustersResponse
    grow_clustering: GrowClusteringResponse
    first_row: int
    row_count: int
    rows: int
    def __init__(self, compute_similarity: _Optional[_Union[ComputeSimilarityResponse, _Mapping]] = ..., search_neighbors: _Optional[_Union[SearchNeighborsResponse, _Mapping]] = ..., cluster: _Optional[_Union[ClusterResponse, _Mapping]] = ..., project: _Optional[_Union[ProjectResponse, _Mapping]] = ..., compare_dropout: _Optional[_Union[CompareDropoutResponse, _Mapping]] = ..., find_duplicates: _Optional[_Union[FindDuplicatesResponse, _Mapping]] = ..., find_outliers: _Optional[_Union[FindOutliersResponse, _Mapping]] = ..., transform: _Optional[_Union[TransformResponse, _Mapping]] = ..., assign_clusters: _Optional[_Union[AssignClustersResponse, _Mapping]] = ..., grow_clustering: _Optional[_Union[GrowClusteringResponse, _Mapping]] = ..., first_row: _Optional[int] = ..., row_count: _Optional[int] = ..., rows: _Optional[int] = ...) -> None: ...

class FindDuplicatesRequest(_message.Message):
    __slots__ = ("source", "threshold", "metric", "max_pairs", "max_response_bytes")
    SOURCE_FIELD_NUMBER: _ClassVar[int]
    THRESHOLD_FIELD_NUMBER: _ClassVar[int]
    METRIC_FIELD_NUMBER: _ClassVar[int]
    MAX_PAIRS_FIELD_NUMBER: _ClassVar[int]
    MAX_RESPONSE_BYTES_FIELD_NUMBER: _ClassVar[int]
    source: _common_pb2.Source
    threshold: float
    metric: Metric
    max_pairs: int
    max_response_bytes: int
    def __init__(self, source: _Optional[_Union[_common_pb2.Source, _Mapping]] = ..., threshold: _Optional[float] = ..., metric: _Optional[_Union[Metric, str]] = ..., max_pairs: _Optional[int] = ..., max_response_bytes: _Optional[int] = ...) -> None: ...

class FindDuplicatesResponse(_message.Message):
    __slots__ = ("pairs", "scores", "groups", "keepers", "total_pairs", "equal_pairs", "rows_kept", "threshold", "metric", "background", "adjustments", "zero_rows", "provenance")
    PAIRS_FIELD_NUMBER: _ClassVar[int]
    SCORES_FIELD_NUMBER: _ClassVar[int]
    GROUPS_FIELD_NUMBER: _ClassVar[int]
    KEEPERS_FIELD_NUMBER: _ClassVar[int]
    TOTAL_PAIRS_FIELD_NUMBER: _ClassVar[int]
    EQUAL_PAIRS_FIELD_NUMBER: _ClassVar[int]
    ROWS_KEPT_FIELD_NUMBER: _ClassVar[int]
    THRESHOLD_FIELD_NUMBER: _ClassVar[int]
    METRIC_FIELD_NUMBER: _ClassVar[int]
    BACKGROUND_FIELD_NUMBER: _ClassVar[int]
    ADJUSTMENTS_FIELD_NUMBER: _ClassVar[int]
    ZERO_ROWS_FIELD_NUMBER: _ClassVar[int]
    PROVENANCE_FIELD_NUMBER: _ClassVar[int]
    pairs: _common_pb2.Tensor
    scores: _common_pb2.Vectors
    groups: _common_pb2.Tensor
    keepers: _containers.RepeatedScalarFieldContainer[int]
    total_pairs: int
    equal_pairs: int
    rows_kept: int
    threshold: float
    metric: Metric
    background: ScoreBackground
    adjustments: _containers.RepeatedCompositeFieldContainer[Adjustment]
    zero_rows: _containers.RepeatedScalarFieldContainer[int]
    provenance: _common_pb2.Provenance
    def __init__(self, pairs: _Optional[_Union[_common_pb2.Tensor, _Mapping]] = ..., scores: _Optional[_Union[_common_pb2.Vectors, _Mapping]] = ..., groups: _Optional[_Union[_common_pb2.Tensor, _Mapping]] = ..., keepers: _Optional[_Iterable[int]] = ..., total_pairs: _Optional[int] = ..., equal_pairs: _Optional[int] = ..., rows_kept: _Optional[int] = ..., threshold: _Optional[float] = ..., metric: _Optional[_Union[Metric, str]] = ..., background: _Optional[_Union[ScoreBackground, _Mapping]] = ..., adjustments: _Optional[_Iterable[_Union[Adjustment, _Mapping]]] = ..., zero_rows: _Optional[_Iterable[int]] = ..., provenance: _Optional[_Union[_common_pb2.Provenance, _Mapping]] = ...) -> None: ...

class FindOutliersRequest(_message.Message):
    __slots__ = ("source", "k", "metric", "max_response_bytes")
    SOURCE_FIELD_NUMBER: _ClassVar[int]
    K_FIELD_NUMBER: _ClassVar[int]
    METRIC_FIELD_NUMBER: _ClassVar[int]
    MAX_RESPONSE_BYTES_FIELD_NUMBER: _ClassVar[int]
    source: _common_pb2.Source
    k: int
    metric: Metric
    max_response_bytes: int
    def __init__(self, source: _Optional[_Union[_common_pb2.Source, _Mapping]] = ..., k: _Optional[int] = ..., metric: _Optional[_Union[Metric, str]] = ..., max_response_bytes: _Optional[int] = ...) -> None: ...

class FindOutliersResponse(_message.Message):
    __slots__ = ("scores", "occurrences", "order", "hubness", "antihubs", "k", "metric", "adjustments", "zero_rows", "provenance")
    SCORES_FIELD_NUMBER: _ClassVar[int]
    OCCURRENCES_FIELD_NUMBER: _ClassVar[int]
    ORDER_FIELD_NUMBER: _ClassVar[int]
    HUBNESS_FIELD_NUMBER: _ClassVar[int]
    ANTIHUBS_FIELD_NUMBER: _ClassVar[int]
    K_FIELD_NUMBER: _ClassVar[int]
    METRIC_FIELD_NUMBER: _ClassVar[int]
    ADJUSTMENTS_FIELD_NUMBER: _ClassVar[int]
    ZERO_ROWS_FIELD_NUMBER: _ClassVar[int]
    PROVENANCE_FIELD_NUMBER: _ClassVar[int]
    scores: _common_pb2.Vectors
    occurrences: _common_pb2.Tensor
    order: _containers.RepeatedScalarFieldContainer[int]
    hubness: float
    antihubs: int
    k: int
    metric: Metric
    adjustments: _containers.RepeatedCompositeFieldContainer[Adjustment]
    zero_rows: _containers.RepeatedScalarFieldContainer[int]
    provenance: _common_pb2.Provenance
    def __init__(self, scores: _Optional[_Union[_common_pb2.Vectors, _Mapping]] = ..., occurrences: _Optional[_Union[_common_pb2.Tensor, _Mapping]] = ..., order: _Optional[_Iterable[int]] = ..., hubness: _Optional[float] = ..., antihubs: _Optional[int] = ..., k: _Optional[int] = ..., metric: _Optional[_Union[Metric, str]] = ..., adjustments: _Optional[_Iterable[_Union[Adjustment, _Mapping]]] = ..., zero_rows: _Optional[_Iterable[int]] = ..., provenance: _Optional[_Union[_common_pb2.Provenance, _Mapping]] = ...) -> None: ...

class TransformRequest(_message.Message):
    __slots__ = ("source", "projection", "approximate", "max_response_bytes")
    SOURCE_FIELD_NUMBER: _ClassVar[int]
    PROJECTION_FIELD_NUMBER: _ClassVar[int]
    APPROXIMATE_FIELD_NUMBER: _ClassVar[int]
    MAX_RESPONSE_BYTES_FIELD_NUMBER: _ClassVar[int]
    source: _common_pb2.Source
    projection: str
    approximate: bool
    max_response_bytes: int
    def __init__(self, source: _Optional[_Union[_common_pb2.Source, _Mapping]] = ..., projection: _Optional[str] = ..., approximate: bool = ..., max_response_bytes: _Optional[int] = ...) -> None: ...

class TransformResponse(_message.Message):
    __slots__ = ("coordinates", "distances", "nearest_rows", "far_rows", "far_distance", "zero_rows", "used", "projection", "space_check", "provenance", "adjustments")
    class UsedEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    COORDINATES_FIELD_NUMBER: _ClassVar[int]
    DISTANCES_FIELD_NUMBER: _ClassVar[int]
    NEAREST_ROWS_FIELD_NUMBER: _ClassVar[int]
    FAR_ROWS_FIELD_NUMBER: _ClassVar[int]
    FAR_DISTANCE_FIELD_NUMBER: _ClassVar[int]
    ZERO_ROWS_FIELD_NUMBER: _ClassVar[int]
    USED_FIELD_NUMBER: _ClassVar[int]
    PROJECTION_FIELD_NUMBER: _ClassVar[int]
    SPACE_CHECK_FIELD_NUMBER: _ClassVar[int]
    PROVENANCE_FIELD_NUMBER: _ClassVar[int]
    ADJUSTMENTS_FIELD_NUMBER: _ClassVar[int]
    coordinates: _common_pb2.Vectors
    distances: _common_pb2.Vectors
    nearest_rows: _common_pb2.Tensor
    far_rows: _containers.RepeatedScalarFieldContainer[int]
    far_distance: float
    zero_rows: _containers.RepeatedScalarFieldContainer[int]
    used: _containers.ScalarMap[str, str]
    projection: Projection
    space_check: SpaceCheck
    provenance: _common_pb2.Provenance
    adjustments: _containers.RepeatedCompositeFieldContainer[Adjustment]
    def __init__(self, coordinates: _Optional[_Union[_common_pb2.Vectors, _Mapping]] = ..., distances: _Optional[_Union[_common_pb2.Vectors, _Mapping]] = ..., nearest_rows: _Optional[_Union[_common_pb2.Tensor, _Mapping]] = ..., far_rows: _Optional[_Iterable[int]] = ..., far_distance: _Optional[float] = ..., zero_rows: _Optional[_Iterable[int]] = ..., used: _Optional[_Mapping[str, str]] = ..., projection: _Optional[_Union[Projection, _Mapping]] = ..., space_check: _Optional[_Union[SpaceCheck, str]] = ..., provenance: _Optional[_Union[_common_pb2.Provenance, _Mapping]] = ..., adjustments: _Optional[_Iterable[_Union[Adjustment, _Mapping]]] = ...) -> None: ...

class AssignClustersRequest(_message.Message):
    __slots__ = ("source", "clustering", "max_response_bytes")
    SOURCE_FIELD_NUMBER: _ClassVar[int]
    CLUSTERING_FIELD_NUMBER: _ClassVar[int]
    MAX_RESPONSE_BYTES_FIELD_NUMBER: _ClassVar[int]
    source: _common_pb2.Source
    clustering: str
    max_response_bytes: int
    def __init__(self, source: _Optional[_Union[_common_pb2.Source, _Mapping]] = ..., clustering: _Optional[str] = ..., max_response_bytes: _Optional[int] = ...) -> None: ...

class AssignClustersResponse(_message.Message):
    __slots__ = ("labels", "distances", "shares", "far_rows", "far_distance", "zero_rows", "used", "clustering", "space_check", "provenance", "names")
    class UsedEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    class NamesEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: int
        value: str
        def __init__(self, key: _Optional[int] = ..., value: _Optional[str] = ...) -> None: ...
    LABELS_FIELD_NUMBER: _ClassVar[int]
    DISTANCES_FIELD_NUMBER: _ClassVar[int]
    SHARES_FIELD_NUMBER: _ClassVar[int]
    FAR_ROWS_FIELD_NUMBER: _ClassVar[int]
    FAR_DISTANCE_FIELD_NUMBER: _ClassVar[int]
    ZERO_ROWS_FIELD_NUMBER: _ClassVar[int]
    USED_FIELD_NUMBER: _ClassVar[int]
    CLUSTERING_FIELD_NUMBER: _ClassVar[int]
    SPACE_CHECK_FIELD_NUMBER: _ClassVar[int]
    PROVENANCE_FIELD_NUMBER: _ClassVar[int]
    NAMES_FIELD_NUMBER: _ClassVar[int]
    labels: _common_pb2.Tensor
    distances: _common_pb2.Vectors
    shares: _common_pb2.Vectors
    far_rows: _containers.RepeatedScalarFieldContainer[int]
    far_distance: float
    zero_rows: _containers.RepeatedScalarFieldContainer[int]
    used: _containers.ScalarMap[str, str]
    clustering: Clustering
    space_check: SpaceCheck
    provenance: _common_pb2.Provenance
    names: _containers.ScalarMap[int, str]
    def __init__(self, labels: _Optional[_Union[_common_pb2.Tensor, _Mapping]] = ..., distances: _Optional[_Union[_common_pb2.Vectors, _Mapping]] = ..., shares: _Optional[_Union[_common_pb2.Vectors, _Mapping]] = ..., far_rows: _Optional[_Iterable[int]] = ..., far_distance: _Optional[float] = ..., zero_rows: _Optional[_Iterable[int]] = ..., used: _Optional[_Mapping[str, str]] = ..., clustering: _Optional[_Union[Clustering, _Mapping]] = ..., space_check: _Optional[_Union[SpaceCheck, str]] = ..., provenance: _Optional[_Union[_common_pb2.Provenance, _Mapping]] = ..., names: _Optional[_Mapping[int, str]] = ...) -> None: ...

class GrowClusteringRequest(_message.Message):
    __slots__ = ("source", "clustering", "min_cluster_size", "max_response_bytes", "request_id")
    SOURCE_FIELD_NUMBER: _ClassVar[int]
    CLUSTERING_FIELD_NUMBER: _ClassVar[int]
    MIN_CLUSTER_SIZE_FIELD_NUMBER: _ClassVar[int]
    MAX_RESPONSE_BYTES_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    source: _common_pb2.Source
    clustering: str
    min_cluster_size: int
    max_response_bytes: int
    request_id: str
    def __init__(self, source: _Optional[_Union[_common_pb2.Source, _Mapping]] = ..., clustering: _Optional[str] = ..., min_cluster_size: _Optional[int] = ..., max_response_bytes: _Optional[int] = ..., request_id: _Optional[str] = ...) -> None: ...

class GrowClusteringResponse(_message.Message):
    __slots__ = ("labels", "batch", "clusters", "clustering", "used", "adjustments", "provenance", "space_check")
    class UsedEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    LABELS_FIELD_NUMBER: _ClassVar[int]
    BATCH_FIELD_NUMBER: _ClassVar[int]
    CLUSTERS_FIELD_NUMBER: _ClassVar[int]
    CLUSTERING_FIELD_NUMBER: _ClassVar[int]
    USED_FIELD_NUMBER: _ClassVar[int]
    ADJUSTMENTS_FIELD_NUMBER: _ClassVar[int]
    PROVENANCE_FIELD_NUMBER: _ClassVar[int]
    SPACE_CHECK_FIELD_NUMBER: _ClassVar[int]
    labels: _common_pb2.Tensor
    batch: ClusterBatch
    clusters: _containers.RepeatedCompositeFieldContainer[ClusterInfo]
    clustering: Clustering
    used: _containers.ScalarMap[str, str]
    adjustments: _containers.RepeatedCompositeFieldContainer[Adjustment]
    provenance: _common_pb2.Provenance
    space_check: SpaceCheck
    def __init__(self, labels: _Optional[_Union[_common_pb2.Tensor, _Mapping]] = ..., batch: _Optional[_Union[ClusterBatch, _Mapping]] = ..., clusters: _Optional[_Iterable[_Union[ClusterInfo, _Mapping]]] = ..., clustering: _Optional[_Union[Clustering, _Mapping]] = ..., used: _Optional[_Mapping[str, str]] = ..., adjustments: _Optional[_Iterable[_Union[Adjustment, _Mapping]]] = ..., provenance: _Optional[_Union[_common_pb2.Provenance, _Mapping]] = ..., space_check: _Optional[_Union[SpaceCheck, str]] = ...) -> None: ...

class MergeClusters(_message.Message):
    __slots__ = ("labels",)
    LABELS_FIELD_NUMBER: _ClassVar[int]
    labels: _containers.RepeatedScalarFieldContainer[int]
    def __init__(self, labels: _Optional[_Iterable[int]] = ...) -> None: ...

class SplitCluster(_message.Message):
    __slots__ = ("label", "n_clusters")
    LABEL_FIELD_NUMBER: _ClassVar[int]
    N_CLUSTERS_FIELD_NUMBER: _ClassVar[int]
    label: int
    n_clusters: int
    def __init__(self, label: _Optional[int] = ..., n_clusters: _Optional[int] = ...) -> None: ...

class NameClusters(_message.Message):
    __slots__ = ("names",)
    class NamesEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: int
        value: str
        def __init__(self, key: _Optional[int] = ..., value: _Optional[str] = ...) -> None: ...
    NAMES_FIELD_NUMBER: _ClassVar[int]
    names: _containers.ScalarMap[int, str]
    def __init__(self, names: _Optional[_Mapping[int, str]] = ...) -> None: ...

class EditClusteringRequest(_message.Message):
    __slots__ = ("clustering", "merge", "split", "names", "max_response_bytes")
    CLUSTERING_FIELD_NUMBER: _ClassVar[int]
    MERGE_FIELD_NUMBER: _ClassVar[int]
    SPLIT_FIELD_NUMBER: _ClassVar[int]
    NAMES_FIELD_NUMBER: _ClassVar[int]
    MAX_RESPONSE_BYTES_FIELD_NUMBER: _ClassVar[int]
    clustering: str
    merge: MergeClusters
    split: SplitCluster
    names: NameClusters
    max_response_bytes: int
    def __init__(self, clustering: _Optional[str] = ..., merge: _Optional[_Union[MergeClusters, _Mapping]] = ..., split: _Optional[_Union[SplitCluster, _Mapping]] = ..., names: _Optional[_Union[NameClusters, _Mapping]] = ..., max_response_bytes: _Optional[int] = ...) -> None: ...

class EditClusteringResponse(_message.Message):
    __slots__ = ("result",)
    RESULT_FIELD_NUMBER: _ClassVar[int]
    result: ClusterResponse
    def __init__(self, result: _Optional[_Union[ClusterResponse, _Mapping]] = ...) -> None: ...

class EstimateAnalysisRequest(_message.Message):
    __slots__ = ("analysis",)
    ANALYSIS_FIELD_NUMBER: _ClassVar[int]
    analysis: StartAnalysisRequest
    def __init__(self, analysis: _Optional[_Union[StartAnalysisRequest, _Mapping]] = ...) -> None: ...

class EstimateAnalysisResponse(_message.Message):
    __slots__ = ("seconds", "bytes", "way", "problem", "max_call_seconds", "max_call_bytes", "max_operation_bytes", "load", "processors", "measured_here", "rows_to_embed")
    SECONDS_FIELD_NUMBER: _ClassVar[int]
    BYTES_FIELD_NUMBER: _ClassVar[int]
    WAY_FIELD_NUMBER: _ClassVar[int]
    PROBLEM_FIELD_NUMBER: _ClassVar[int]
    MAX_CALL_SECONDS_FIELD_NUMBER: _ClassVar[int]
    MAX_CALL_BYTES_FIELD_NUMBER: _ClassVar[int]
    MAX_OPERATION_BYTES_FIELD_NUMBER: _ClassVar[int]
    LOAD_FIELD_NUMBER: _ClassVar[int]
    PROCESSORS_FIELD_NUMBER: _ClassVar[int]
    MEASURED_HERE_FIELD_NUMBER: _ClassVar[int]
    ROWS_TO_EMBED_FIELD_NUMBER: _ClassVar[int]
    seconds: float
    bytes: int
    way: AnalysisWay
    problem: str
    max_call_seconds: float
    max_call_bytes: int
    max_operation_bytes: int
    load: float
    processors: int
    measured_here: bool
    rows_to_embed: int
    def __init__(self, seconds: _Optional[float] = ..., bytes: _Optional[int] = ..., way: _Optional[_Union[AnalysisWay, str]] = ..., problem: _Optional[str] = ..., max_call_seconds: _Optional[float] = ..., max_call_bytes: _Optional[int] = ..., max_operation_bytes: _Optional[int] = ..., load: _Optional[float] = ..., processors: _Optional[int] = ..., measured_here: bool = ..., rows_to_embed: _Optional[int] = ...) -> None: ...

class CompareDropoutRequest(_message.Message):
    __slots__ = ("texts", "records", "model", "truncate", "dropout", "row_labels", "n_clusters", "without_map", "max_response_bytes")
    TEXTS_FIELD_NUMBER: _ClassVar[int]
    RECORDS_FIELD_NUMBER: _ClassVar[int]
    MODEL_FIELD_NUMBER: _ClassVar[int]
    TRUNCATE_FIELD_NUMBER: _ClassVar[int]
    DROPOUT_FIELD_NUMBER: _ClassVar[int]
    ROW_LABELS_FIELD_NUMBER: _ClassVar[int]
    N_CLUSTERS_FIELD_NUMBER: _ClassVar[int]
    WITHOUT_MAP_FIELD_NUMBER: _ClassVar[int]
    MAX_RESPONSE_BYTES_FIELD_NUMBER: _ClassVar[int]
    texts: _common_pb2.TextList
    records: _common_pb2.RecordList
    model: str
    truncate: _common_pb2.TruncateMode
    dropout: _common_pb2.DropoutOptions
    row_labels: _containers.RepeatedScalarFieldContainer[str]
    n_clusters: int
    without_map: bool
    max_response_bytes: int
    def __init__(self, texts: _Optional[_Union[_common_pb2.TextList, _Mapping]] = ..., records: _Optional[_Union[_common_pb2.RecordList, _Mapping]] = ..., model: _Optional[str] = ..., truncate: _Optional[_Union[_common_pb2.TruncateMode, str]] = ..., dropout: _Optional[_Union[_common_pb2.DropoutOptions, _Mapping]] = ..., row_labels: _Optional[_Iterable[str]] = ..., n_clusters: _Optional[int] = ..., without_map: bool = ..., max_response_bytes: _Optional[int] = ...) -> None: ...

class Distribution(_message.Message):
    __slots__ = ("mean", "std", "min", "max", "counts")
    MEAN_FIELD_NUMBER: _ClassVar[int]
    STD_FIELD_NUMBER: _ClassVar[int]
    MIN_FIELD_NUMBER: _ClassVar[int]
    MAX_FIELD_NUMBER: _ClassVar[int]
    COUNTS_FIELD_NUMBER: _ClassVar[int]
    mean: float
    std: float
    min: float
    max: float
    counts: _containers.RepeatedScalarFieldContainer[int]
    def __init__(self, mean: _Optional[float] = ..., std: _Optional[float] = ..., min: _Optional[float] = ..., max: _Optional[float] = ..., counts: _Optional[_Iterable[int]] = ...) -> None: ...

class DropoutEffect(_message.Message):
    __slots__ = ("scope", "active", "cosine_to_clean", "expected_cosine_to_clean", "cosine_between_draws", "expected_cosine_between_draws", "neighbors_changed", "nearest_kept", "cluster_agreement", "pair_rank_correlation", "predictions_flipped", "rows_flipped", "row_neighbors_changed", "row_flipped", "coordinates", "accuracy")
    SCOPE_FIELD_NUMBER: _ClassVar[int]
    ACTIVE_FIELD_NUMBER: _ClassVar[int]
    COSINE_TO_CLEAN_FIELD_NUMBER: _ClassVar[int]
    EXPECTED_COSINE_TO_CLEAN_FIELD_NUMBER: _ClassVar[int]
    COSINE_BETWEEN_DRAWS_FIELD_NUMBER: _ClassVar[int]
    EXPECTED_COSINE_BETWEEN_DRAWS_FIELD_NUMBER: _ClassVar[int]
    NEIGHBORS_CHANGED_FIELD_NUMBER: _ClassVar[int]
    NEAREST_KEPT_FIELD_NUMBER: _ClassVar[int]
    CLUSTER_AGREEMENT_FIELD_NUMBER: _ClassVar[int]
    PAIR_RANK_CORRELATION_FIELD_NUMBER: _ClassVar[int]
    PREDICTIONS_FLIPPED_FIELD_NUMBER: _ClassVar[int]
    ROWS_FLIPPED_FIELD_NUMBER: _ClassVar[int]
    ROW_NEIGHBORS_CHANGED_FIELD_NUMBER: _ClassVar[int]
    ROW_FLIPPED_FIELD_NUMBER: _ClassVar[int]
    COORDINATES_FIELD_NUMBER: _ClassVar[int]
    ACCURACY_FIELD_NUMBER: _ClassVar[int]
    scope: _common_pb2.DropoutScope
    active: _containers.RepeatedCompositeFieldContainer[_common_pb2.ActiveDropout]
    cosine_to_clean: Distribution
    expected_cosine_to_clean: float
    cosine_between_draws: Distribution
    expected_cosine_between_draws: float
    neighbors_changed: float
    nearest_kept: float
    cluster_agreement: Distribution
    pair_rank_correlation: float
    predictions_flipped: float
    rows_flipped: int
    row_neighbors_changed: _containers.RepeatedScalarFieldContainer[float]
    row_flipped: _containers.RepeatedScalarFieldContainer[float]
    coordinates: _common_pb2.Vectors
    accuracy: float
    def __init__(self, scope: _Optional[_Union[_common_pb2.DropoutScope, str]] = ..., active: _Optional[_Iterable[_Union[_common_pb2.ActiveDropout, _Mapping]]] = ..., cosine_to_clean: _Optional[_Union[Distribution, _Mapping]] = ..., expected_cosine_to_clean: _Optional[float] = ..., cosine_between_draws: _Optional[_Union[Distribution, _Mapping]] = ..., expected_cosine_between_draws: _Optional[float] = ..., neighbors_changed: _Optional[float] = ..., nearest_kept: _Optional[float] = ..., cluster_agreement: _Optional[_Union[Distribution, _Mapping]] = ..., pair_rank_correlation: _Optional[float] = ..., predictions_flipped: _Optional[float] = ..., rows_flipped: _Optional[int] = ..., row_neighbors_changed: _Optional[_Iterable[float]] = ..., row_flipped: _Optional[_Iterable[float]] = ..., coordinates: _Optional[_Union[_common_pb2.Vectors, _Mapping]] = ..., accuracy: _Optional[float] = ...) -> None: ...

class CompareDropoutResponse(_message.Message):
    __slots__ = ("answer", "inference", "effects", "rows", "passes", "seed", "neighbors", "n_clusters", "cluster_agreement_reseeded", "coordinates", "predicted", "labels", "adjustments", "provenance", "accuracy")
    ANSWER_FIELD_NUMBER: _ClassVar[int]
    INFERENCE_FIELD_NUMBER: _ClassVar[int]
    EFFECTS_FIELD_NUMBER: _ClassVar[int]
    ROWS_FIELD_NUMBER: _ClassVar[int]
    PASSES_FIELD_NUMBER: _ClassVar[int]
    SEED_FIELD_NUMBER: _ClassVar[int]
    NEIGHBORS_FIELD_NUMBER: _ClassVar[int]
    N_CLUSTERS_FIELD_NUMBER: _ClassVar[int]
    CLUSTER_AGREEMENT_RESEEDED_FIELD_NUMBER: _ClassVar[int]
    COORDINATES_FIELD_NUMBER: _ClassVar[int]
    PREDICTED_FIELD_NUMBER: _ClassVar[int]
    LABELS_FIELD_NUMBER: _ClassVar[int]
    ADJUSTMENTS_FIELD_NUMBER: _ClassVar[int]
    PROVENANCE_FIELD_NUMBER: _ClassVar[int]
    ACCURACY_FIELD_NUMBER: _ClassVar[int]
    answer: str
    inference: _containers.RepeatedCompositeFieldContainer[_model_service_pb2.ProofFigure]
    effects: _containers.RepeatedCompositeFieldContainer[DropoutEffect]
    rows: int
    passes: int
    seed: int
    neighbors: int
    n_clusters: int
    cluster_agreement_reseeded: Distribution
    coordinates: _common_pb2.Vectors
    predicted: _containers.RepeatedScalarFieldContainer[int]
    labels: _containers.RepeatedScalarFieldContainer[str]
    adjustments: _containers.RepeatedCompositeFieldContainer[Adjustment]
    provenance: _common_pb2.Provenance
    accuracy: float
    def __init__(self, answer: _Optional[str] = ..., inference: _Optional[_Iterable[_Union[_model_service_pb2.ProofFigure, _Mapping]]] = ..., effects: _Optional[_Iterable[_Union[DropoutEffect, _Mapping]]] = ..., rows: _Optional[int] = ..., passes: _Optional[int] = ..., seed: _Optional[int] = ..., neighbors: _Optional[int] = ..., n_clusters: _Optional[int] = ..., cluster_agreement_reseeded: _Optional[_Union[Distribution, _Mapping]] = ..., coordinates: _Optional[_Union[_common_pb2.Vectors, _Mapping]] = ..., predicted: _Optional[_Iterable[int]] = ..., labels: _Optional[_Iterable[str]] = ..., adjustments: _Optional[_Iterable[_Union[Adjustment, _Mapping]]] = ..., provenance: _Optional[_Union[_common_pb2.Provenance, _Mapping]] = ..., accuracy: _Optional[float] = ...) -> None: ...
