"""What an autoencoder is trained with. No TensorFlow here: the command line reads it."""

from __future__ import annotations

from dataclasses import dataclass

from penult_service.recipes.checks import in_range

NOISES = ("feature", "dropout", "gaussian", "none")
"""FeatureDropout of the chosen columns, Dropout of all, GaussianNoise on all, and no noise."""


@dataclass(frozen=True)
class AutoencoderSettings:
    """How to train.

    `hidden` are the widths of the encoder's layers, and in reverse of the decoder's. `seeds` trainings are measured,
    with the seeds `seed`, `seed + 1`, ...; the first is saved. `blocks` are what rows are held out by. Rows with a
    number more than `outliers` robust deviations from its column's median are left out; None: none are.
    """

    bottleneck: int = 5
    hidden: tuple[int, ...] = (32,)
    rate: float = 0.2
    rescale: bool = True
    epochs: int = 50
    learning_rate: float = 3e-3
    batch_size: int = 64
    valid_fraction: float = 0.2
    blocks: int = 20
    outliers: float | None = None
    seed: int = 42
    seeds: int = 1

    def __post_init__(self) -> None:
        checks = {
            "bottleneck": (self.bottleneck >= 1, "at least 1"),
            "hidden": (all(units >= 1 for units in self.hidden), "at least 1 each"),
            "rate": (0 <= self.rate < 1, "at least 0 and below 1"),
            "epochs": (self.epochs >= 1, "at least 1"),
            "learning_rate": (0 < self.learning_rate < 1, "above 0 and below 1"),
            "batch_size": (self.batch_size >= 1, "at least 1"),
            "valid_fraction": (0 <= self.valid_fraction < 1, "at least 0 and below 1"),
            "blocks": (self.blocks >= 2, "at least 2"),
            "outliers": (self.outliers is None or self.outliers > 0, "above 0"),
            "seeds": (self.seeds >= 1, "at least 1"),
            "seed": (
                0 <= self.seed <= 2**32 - max(self.seeds, 1),
                "at least 0, and below 2^32 with all seeds",
            ),
        }
        in_range(self, checks)
