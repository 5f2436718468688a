"""How events are learned: the variants, and what can be chosen."""

from __future__ import annotations

from dataclasses import dataclass

from penult_service.errors import InvalidInput
from penult_service.recipes.checks import ALL, chosen, in_range

NONE, CONCAT, CONV, GATE = "none", "concat", "conv1x1", "time-gate"
VARIANTS = (NONE, CONCAT, CONV, GATE)
DECAYS = ("inverse", "learned")


@dataclass(frozen=True)
class Variant:
    """How the minutes reach the LSTM; `decay` is that of `time-gate`, else empty."""

    name: str
    decay: str = ""

    @property
    def called(self) -> str:
        """In tables."""
        return f"{self.name}, {self.decay}" if self.decay else self.name

    @property
    def slug(self) -> str:
        """In names of directories."""
        return f"{self.name}-{self.decay}" if self.decay else self.name


def variants(words: str, decay: str) -> tuple[Variant, ...]:
    """Those asked for, with commas between; of `all`, `time-gate` with both decays.

    Raises:
        InvalidInput: There is none of that name, or no such decay.
    """
    if decay not in DECAYS:
        what = f"--decay {decay!r}: it is one of {', '.join(DECAYS)}"
        raise InvalidInput(what, reason="DECAY", field="decay")
    if words != ALL:
        names = chosen(words, VARIANTS, "variant")
        return tuple(Variant(one, decay if one == GATE else "") for one in names)
    return (*(Variant(one) for one in VARIANTS if one != GATE), *(Variant(GATE, one) for one in DECAYS))


@dataclass(frozen=True)
class Settings:
    """How to train.

    `length` is of a window, of which a longer sequence has several; `gate_unit` are the minutes that count as one in
    the time gate; `time_weight` is what the error of the time counts beside the cross-entropy of the event.
    """

    units: int = 64
    embedding: int = 32
    dropout: float = 0.2
    epochs: int = 6
    learning_rate: float = 4e-3
    batch_size: int = 32
    length: int = 128
    gate_unit: float = 1.0
    time_weight: float = 0.2
    valid_fraction: float = 0.3
    seed: int = 42
    seeds: int = 1

    def __post_init__(self) -> None:
        checks = {
            "units": (self.units >= 1, "at least 1"),
            "embedding": (self.embedding >= 1, "at least 1"),
            "dropout": (0 <= self.dropout < 1, "at least 0 and below 1"),
            "epochs": (self.epochs >= 1, "at least 1"),
            "learning_rate": (0 < self.learning_rate < 1, "above 0 and below 1"),
            "batch_size": (self.batch_size >= 1, "at least 1"),
            "length": (self.length >= 2, "at least 2"),
            "gate_unit": (0 < self.gate_unit < float("inf"), "above 0"),
            "time_weight": (0 <= self.time_weight < float("inf"), "at least 0"),
            "valid_fraction": (0 < self.valid_fraction < 1, "above 0 and below 1"),
            "seed": (0 <= self.seed < 2**31, "at least 0 and below 2^31"),
            "seeds": (1 <= self.seeds <= 100, "from 1 to 100"),
        }
        in_range(self, checks)

    @property
    def overlap(self) -> int:
        """Events at the beginning of a later window that are there to be remembered."""
        return self.length // 4
