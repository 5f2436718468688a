"""How a prepared model is run on this machine, and what was measured to choose that: plain data.

`engines` makes it, `embedder.LoadedModel` carries it, and GetModel tells it.
"""

from __future__ import annotations

from dataclasses import dataclass

TENSORFLOW, OPENVINO = "tensorflow", "openvino"
FLOAT32, BFLOAT16 = "float32", "bfloat16"
AUTO = "auto"
_ONE_TOKENS = 16  # of the text in `Measured.one_seconds`
_OVERHEAD, _OVERHEADS = 64, (8, 256)  # unless measured, and what is believed of what was measured


@dataclass(frozen=True)
class Setting:
    """A way to run a model.

    Attributes:
        engine: ``tensorflow`` or ``openvino``.
        precision: Of its matrix products: ``float32``, or ``bfloat16``.
        threads: That compute.
        token_budget: Padded tokens of a batch, at most.
        max_rows: Rows of a batch, at most.
        streams: Batches computed at once where many wait, each by `threads // streams` threads; one that is alone is
            computed by all of them (its head, which is tiny, by the share of a stream).
    """

    engine: str = TENSORFLOW
    precision: str = FLOAT32
    threads: int = 1
    token_budget: int = 2048
    max_rows: int = 32
    streams: int = 1


@dataclass(frozen=True)
class Measured:
    """What a setting did on this machine.

    Attributes:
        setting: With the token budget that did best.
        tokens_per_second: Real tokens of a mix of lengths, padding not counted; 0.0 with a `problem`.
        one_seconds: The median for one text of 16 tokens; 0.0 with a `problem`.
        problem: Why it cannot be used, a sentence; empty when it can.
    """

    setting: Setting
    tokens_per_second: float = 0.0
    one_seconds: float = 0.0
    problem: str = ""


@dataclass(frozen=True)
class Price:
    """What a setting changes, against TensorFlow in float32 on the same texts.

    Attributes:
        texts: How many.
        lowest_cosine, mean_cosine: Of the embeddings, each to its own.
        largest_difference: Of a number of an embedding.
        flipped: Share of the texts whose predicted class changed; None: the model is no classifier.
        neighbors_kept: Mean share of the ten nearest other texts that stay among the ten nearest, of at most 2,000
            texts; None: fewer than 20 texts.
    """

    texts: int
    lowest_cosine: float
    mean_cosine: float
    largest_difference: float
    flipped: float | None = None
    neighbors_kept: float | None = None


@dataclass(frozen=True)
class Tuned:
    """The setting that a model is served with, and why.

    Attributes:
        setting: What it is.
        measured: All that were tried; empty: the operator's wish was followed.
        price: Of the setting; None: it is TensorFlow in float32 itself.
        processor: Name of the processor that it was measured on.
        load: Of the machine, when it began to measure: processes that wanted to run.
    """

    setting: Setting
    measured: tuple[Measured, ...] = ()
    price: Price | None = None
    processor: str = ""
    load: float = 0.0

    @property
    def overhead(self) -> int:
        """Padded tokens that take a stream as long as a batch takes beside its tokens, as far as it was measured."""
        for one in self.measured:
            if one.setting == self.setting and one.one_seconds:
                rate = one.tokens_per_second / one.setting.streams
                tokens = round(one.one_seconds * rate) - _ONE_TOKENS
                return min(max(tokens, _OVERHEADS[0]), _OVERHEADS[1])
        return _OVERHEAD


def described(tuned: Tuned) -> str:
    """In a line, for a log: what it is, and how much faster than the others that were measured."""
    setting = tuned.setting
    line = f"{named(setting)}, batches of at most {setting.token_budget:,} tokens and {setting.max_rows} rows"
    mine = next((one for one in tuned.measured if one.setting == setting and not one.problem), None)
    if mine is not None:
        line += f"; measured {mine.tokens_per_second:,.0f} tokens/s, {mine.one_seconds * 1e3:.1f} ms for one short text"
    others = [
        f"{named(one.setting)}: {f'not usable ({one.problem})' if one.problem else f'{one.tokens_per_second:,.0f}'}"
        for one in tuned.measured
        if one is not mine
    ]
    return line + (f" ({'; '.join(others)})" if others else "")


def named(setting: Setting) -> str:
    """Such as ``openvino float32, 2 threads in 2 streams``."""
    threads = f"{setting.threads} thread{'s' if setting.threads > 1 else ''}"
    streams = f" in {setting.streams} streams" if setting.streams > 1 else ""
    return f"{setting.engine} {setting.precision}, {threads}{streams}"
