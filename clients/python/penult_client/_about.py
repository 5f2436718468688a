"""What a server tells about itself and its models."""

from __future__ import annotations

from dataclasses import dataclass

from penult_client._serving import Serving


@dataclass(frozen=True, kw_only=True)
class Readout:
    """A tensor of the model that can be read: its layer, numbers a row, and kind (pooled, tokens, other)."""

    layer: str
    dimension: int
    kind: str


@dataclass(frozen=True, kw_only=True)
class ModelInput:
    """An input of a model: what a record or a dict of arrays names.

    Attributes:
        name: As the model calls it.
        dtype: ``string`` for text, else NumPy's name of what travels, such as ``float32`` or ``int64``.
        shape: Of one row, the batch left out; -1: of any length. Empty: one value a row.
        role: ``text``, ``ids``, ``mask``, ``types``, ``value`` (what no tokenizing touches), or empty when not known.
        limit: Of ids: they are from 0 to this, this one left out; 0: not known.
        made_by_tokenizing: Whether it is made of the texts, and may be given in their place.
    """

    name: str
    dtype: str
    shape: tuple[int, ...]
    role: str
    limit: int
    made_by_tokenizing: bool


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
        head: ``sigmoid``, ``softmax``, ``multilabel``, ``regression``, or empty when not known.
        max_length: The longest text in tokens, special tokens included.
        trims_padding: Whether batches are trimmed to their longest text.
        engine, precision: What computes.
        dropout_proven: Whether dropout was proven to play no part.
        inputs: What is given for each row, in the order of the tuples that `Client.embed` takes; then what may be given
            in place of the texts.
        tokenizer: What makes tokens of texts: ``graph`` (the model itself), ``file`` (one that lay beside it), ``none``
            (the model takes ids or numbers), or empty when not known.
        pooling: What ``pooling=None`` means.
        unread: Why nothing can be read in front of the head; empty when something can. `predict` works all the same.
        logits: Whether the head gives logits, of which `classify` makes probabilities.
        outputs: Names of the outputs of `predict`.
        serving: How it is run there, and why; None: it is not loaded, or the server is older than this client.
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
    inputs: tuple[ModelInput, ...]
    tokenizer: str
    pooling: str
    unread: str
    logits: bool
    outputs: tuple[str, ...]
    serving: Serving | None = None

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
        noise_shape: -1: as long as its input; empty: the shape of its input.
        shared_axes: Axes of its input, from 0 (the batch), along which one draw is shared; empty: every number is drawn
            on its own.
        read: Whether the embedding is read in front of this one.
        sampled: Whether dropout can be put back here (`Client.uncertainty`, `Client.compare_dropout`).
    """

    path: str
    rate: float | None
    noise_shape: tuple[int, ...]
    place: str
    layer_class: str
    shared_axes: tuple[int, ...]
    read: bool
    sampled: bool = False

    def __str__(self) -> str:
        """A line for a person."""
        rate = "rate not known" if self.rate is None else f"rate {self.rate:g}"
        shared = f", one draw along axes {', '.join(map(str, self.shared_axes))}" if self.shared_axes else ""
        shape = f", noise shape {list(self.noise_shape)}" if self.noise_shape else ""
        place = self.place.replace("_", " ") or "place not known"
        read = "  <- the embedding is read in front of it" if self.read else ""
        return f"{self.path} ({self.layer_class}, {rate}{shared or shape}): {place}{read}"


@dataclass(frozen=True, kw_only=True)
class ModelLayer:
    """A layer as the file tells of it.

    Attributes:
        path: As of `DropoutSite`; empty: the model itself. layer_class: such as ``Dense``.
        output_shape: The batch first; -1: any length. Empty: not known.
        parameters: Numbers that it was trained to, those of the layers inside it included.
        units: Of a recurrent or dense layer: numbers a step that it gives; 0: not known, or of another kind.
        dropout, recurrent_dropout: Of a recurrent layer: the rates on what it is given and on its state; None: not
            known, or of another kind.
    """

    path: str
    layer_class: str
    output_shape: tuple[int, ...] = ()
    parameters: int = 0
    units: int = 0
    dropout: float | None = None
    recurrent_dropout: float | None = None


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
        sites: The dropout layers found, in the order in which the model computes them.
        unread: As of `Model`.
        proven: Whether structure and experiment agree that they play no part.
        findings: What was looked at and found, a line each, for a person.
        figures: The experiment's figures.
        preparer: Version of what made the proof.
        unsampled: Why dropout cannot be put back into this model; empty when it can.
        layers: The model itself, then the layers that the file tells of, outer ones in front of theirs; empty when it
            tells of none.
    """

    model: str
    version: int
    digest: str
    sites: tuple[DropoutSite, ...]
    proven: bool
    findings: tuple[str, ...]
    figures: tuple[ProofFigure, ...]
    preparer: str
    unread: str
    unsampled: str = ""
    layers: tuple[ModelLayer, ...] = ()

    def __str__(self) -> str:
        """For a person: a line a dropout, in order, the one read marked; then what was found."""
        inactive = f"dropout cannot be put back: {self.unsampled}"
        verdict = "plays no part" if self.proven else "was not proven to play no part"
        lines = [f"{self.model}@{self.version}: dropout {verdict}", *(f"  {site}" for site in self.sites)]
        lines += [line for line in (self.unread, self.unsampled and inactive) if line]
        return "\n".join([*lines, *self.findings])


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
