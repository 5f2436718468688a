"""How a server runs a model, and what it measured to choose that."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class ServingSetting:
    """A way to run a model.

    Attributes:
        engine: ``tensorflow`` or ``openvino``.
        precision: Of its matrix products: ``float32`` or ``bfloat16``.
        threads: That compute.
        token_budget, max_rows: Padded tokens and rows of a batch, at most.
        streams: Batches computed at once where many wait, each by its share of the threads; one that is alone is
            computed by all of them. 1 from a server that does not know it.
    """

    engine: str
    precision: str
    threads: int
    token_budget: int
    max_rows: int
    streams: int = 1


@dataclass(frozen=True, kw_only=True)
class MeasuredSetting:
    """What a setting did on the server's machine.

    Attributes:
        setting: What was tried.
        tokens_per_second: Of a mix of lengths, padding not counted; 0.0 with a `problem`.
        one_seconds: The median for one text of 16 tokens; 0.0 with a `problem`.
        problem: Why it cannot be used, a sentence; empty when it can.
    """

    setting: ServingSetting
    tokens_per_second: float = 0.0
    one_seconds: float = 0.0
    problem: str = ""


@dataclass(frozen=True, kw_only=True)
class PrecisionPrice:
    """What a setting changes, against TensorFlow in float32 on the same texts.

    Attributes:
        texts: How many.
        lowest_cosine, mean_cosine: Of the embeddings, each to its own.
        largest_difference: Of a number of an embedding.
        flipped: Share of the texts whose predicted class changed; None: the model is no classifier.
        neighbors_kept: Mean share of the ten nearest other texts that stay among the ten nearest; None: fewer than 20
            texts.
    """

    texts: int
    lowest_cosine: float
    mean_cosine: float
    largest_difference: float
    flipped: float | None = None
    neighbors_kept: float | None = None


@dataclass(frozen=True, kw_only=True)
class Serving:
    """How a model is run on the server's machine, and what was measured to choose that.

    Attributes:
        setting: What it is.
        measured: All that were tried; empty: the operator named the setting.
        price: What the setting changes; None: it is TensorFlow in float32 itself.
        processor: Name of the processor that it was measured on; empty: it was not measured.
        load: Processes that wanted to run there when it began to measure.
    """

    setting: ServingSetting
    measured: tuple[MeasuredSetting, ...] = ()
    price: PrecisionPrice | None = None
    processor: str = ""
    load: float = 0.0
