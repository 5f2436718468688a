"""What a server tells about itself and its models."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Readout:
    """A tensor of the model that can be read: its layer, numbers a row, and kind (pooled, tokens, other)."""

    layer: str
    dimension: int
    kind: str


@dataclass(frozen=True, kw_only=True)
class Model:
    """A version of a model on the server.

    Attributes:
        name, version: Such as ``reviews`` and 3; `id` is ``reviews@3``.
        state: ``loading``, ``ready`` or ``failed``; `state_message` says why it failed.
        default: Whether requests that name the model without a version reach this one.
        digest: SHA-256 of the files that decide the computation.
        format: What the file was.
        readouts: What can be read, the default first.
        poolings: The poolings it can do.
        labels: Names of the classes; empty when the file names none.
        head: ``sigmoid``, ``softmax``, ``multilabel``, or empty when not known.
        max_length: The longest text in tokens, special tokens included.
        trims_padding: Whether batches are trimmed to their longest text.
        engine, precision: What computes.
        dropout_proven: Whether dropout was proven to play no part.
    """

    name: str
    version: int
    state: str
    state_message: str
    default: bool
    digest: str
    format: str
    readouts: tuple[Readout, ...]
    poolings: tuple[str, ...]
    labels: tuple[str, ...]
    head: str
    max_length: int
    trims_padding: bool
    engine: str
    precision: str
    dropout_proven: bool

    @property
    def id(self) -> str:
        """Names this very version in any call, such as ``reviews@3``."""
        return f"{self.name}@{self.version}"

    @property
    def dimension(self) -> int:
        """Numbers a row of the default readout; 0 while nothing is loaded."""
        return self.readouts[0].dimension if self.readouts else 0


@dataclass(frozen=True, kw_only=True)
class DropoutSite:
    """A dropout layer: where it is, its rate (None when the file does not say), and where it stands.

    Attributes:
        place: ``before_embedding``, ``at_seam`` (the embedding is its input), ``in_head``, or empty when not
            known.
        noise_shape: Empty: the shape of its input.
    """

    path: str
    rate: float | None
    noise_shape: tuple[int, ...]
    place: str
    layer_class: str


@dataclass(frozen=True, kw_only=True)
class ProofFigure:
    """A figure of the experiment: the largest difference found, and the largest accepted."""

    name: str
    meaning: str
    value: float
    limit: float


@dataclass(frozen=True, kw_only=True)
class DropoutReport:
    """The dropout layers of a model and the proof that they play no part in what is served.

    Attributes:
        model, version, digest: Which model.
        sites: The dropout layers found.
        proven: Whether structure and experiment agree that they play no part.
        findings: What was looked at and found, a line each, for a person.
        figures: The experiment's figures.
        preparer: Version of what made the proof.
    """

    model: str
    version: int
    digest: str
    sites: tuple[DropoutSite, ...]
    proven: bool
    findings: tuple[str, ...]
    figures: tuple[ProofFigure, ...]
    preparer: str


@dataclass(frozen=True, kw_only=True)
class Limits:
    """The most that one request may hold; this client splits its calls to fit.

    Attributes:
        max_request_bytes, default_response_bytes, max_response_bytes: Bytes of one message.
        max_texts: Texts of one request.
        max_text_bytes: Bytes of one text, UTF-8.
        max_queued_tokens: Tokens that may wait for one model version.
        max_scores: Scores of one similarity matrix that is answered at once.
        max_analysis_seconds, max_analysis_bytes: Estimated time, and memory beside the rows, of an analysis that is
            answered at once; 0: the server does not say.
    """

    max_request_bytes: int
    default_response_bytes: int
    max_response_bytes: int
    max_texts: int
    max_text_bytes: int
    max_queued_tokens: int
    max_scores: int
    max_analysis_seconds: float = 0.0
    max_analysis_bytes: int = 0


@dataclass(frozen=True, kw_only=True)
class ServerInfo:
    """What the server is: its version, limits, the model used when none is named, optional abilities."""

    version: str
    limits: Limits
    default_model: str
    features: tuple[str, ...]
