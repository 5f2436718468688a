"""What a classifier is trained with and made of. No TensorFlow here: the command line reads it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from penult_service.recipes.checks import in_range


@dataclass(frozen=True)
class BertSettings:
    """How to train. `warmup` is the share of steps in which the learning rate rises; rows a batch."""

    dropout: float = 0.1
    epochs: int = 2
    learning_rate: float = 5e-5
    weight_decay: float = 0.01
    warmup: float = 0.1
    max_length: int = 128
    batch_size: int = 32
    valid_fraction: float = 0.1
    seed: int = 42

    def __post_init__(self) -> None:
        checks = {
            "dropout": (0 <= self.dropout < 1, "at least 0 and below 1"),
            "epochs": (self.epochs >= 1, "at least 1"),
            "learning_rate": (0 < self.learning_rate < 1, "above 0 and below 1"),
            "weight_decay": (0 <= self.weight_decay < 1, "at least 0 and below 1"),
            "warmup": (0 <= self.warmup < 1, "at least 0 and below 1"),
            "max_length": (self.max_length >= 3, "at least 3"),
            "batch_size": (self.batch_size >= 1, "at least 1"),
            "valid_fraction": (0 < self.valid_fraction < 1, "above 0 and below 1"),
            "seed": (0 <= self.seed < 2**32, "at least 0 and below 2^32"),
        }
        in_range(self, checks)


@dataclass(frozen=True)
class Handles:
    """Where the two hub layers come from: a directory, or a URL of http(s), whose module is kept in TF-Hub's cache.

    `origin` is noted in training.json.
    """

    preprocessor: str
    encoder: str
    origin: Mapping[str, str]
