"""The enums of the contract as the words of `analysis.calls`."""

from __future__ import annotations

from penult.v1 import analysis_service_pb2 as pb

METRICS = {
    pb.METRIC_UNSPECIFIED: "cosine",
    pb.METRIC_COSINE: "cosine",
    pb.METRIC_DOT: "dot",
    pb.METRIC_EUCLIDEAN: "euclidean",
    pb.METRIC_MANHATTAN: "manhattan",
}
CLUSTER_METHODS = {
    pb.CLUSTER_METHOD_UNSPECIFIED: "auto",
    pb.CLUSTER_METHOD_KMEANS: "kmeans",
    pb.CLUSTER_METHOD_AGGLOMERATIVE: "agglomerative",
    pb.CLUSTER_METHOD_HDBSCAN: "hdbscan",
    pb.CLUSTER_METHOD_GAUSSIAN_MIXTURE: "gaussian_mixture",
}
REDUCTIONS = {
    pb.REDUCTION_UNSPECIFIED: None,
    pb.REDUCTION_NONE: "none",
    pb.REDUCTION_UMAP: "umap",
    pb.REDUCTION_PCA: "pca",
}
LINKAGES = {
    pb.LINKAGE_UNSPECIFIED: None,
    pb.LINKAGE_WARD: "ward",
    pb.LINKAGE_AVERAGE: "average",
    pb.LINKAGE_COMPLETE: "complete",
    pb.LINKAGE_SINGLE: "single",
}
NOISE_MODES = {
    pb.NOISE_MODE_UNSPECIFIED: "keep",
    pb.NOISE_MODE_KEEP: "keep",
    pb.NOISE_MODE_NEAREST: "nearest",
}
PROJECTION_METHODS = {
    pb.PROJECTION_METHOD_UNSPECIFIED: "umap",
    pb.PROJECTION_METHOD_UMAP: "umap",
    pb.PROJECTION_METHOD_PCA: "pca",
    pb.PROJECTION_METHOD_TSNE: "tsne",
}
METRIC_NUMBERS = {word: number for number, word in METRICS.items() if number}
