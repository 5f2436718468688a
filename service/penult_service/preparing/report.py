"""What `penult verify` finds: the manifest with its proof, and what active dropout would have done."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import Any

from penult_service.prepared import Manifest

# What is varied -> the figures that say by how much an embedding, a token or a prediction changes with it.
VARIED: dict[str, tuple[str, ...]] = {
    "companions": ("companions", "companions_tokens", "companions_head", "companions_whole"),
    "lengths": ("trimmed_vs_padded", "lengths"),
    "chunkings": ("chunkings",),
    "repeats": ("repeats",),
    "engines": ("engines",),
}


@dataclass(frozen=True)
class DropoutEffect:
    """What dropout would have done to `texts` embeddings if it had been active in front of the head.

    Cosines are means over the texts of a dropped vector with its clean one (`mean_cosine`, in theory
    sqrt(1 - rate)) and of two independent draws (`draw_cosine`, in theory 1 - rate). `neighbours_changed` is
    the mean count of the `neighbours` nearest rows (cosine) that are others than without dropout,
    `nearest_kept` the share of rows whose nearest row stays, `predictions_flipped` the share of predictions
    that change.
    """

    rate: float
    texts: int
    neighbours: int
    mean_cosine: float
    expected_cosine: float
    draw_cosine: float
    expected_draw_cosine: float
    neighbours_changed: float
    nearest_kept: float
    predictions_flipped: float


@dataclass(frozen=True)
class Verification:
    """The result of verifying a model. `effect` is None when no dropout stands in front of the head.

    `confined` says what the process that ran the model was kept from, in words.
    """

    manifest: Manifest
    effect: DropoutEffect | None
    confined: str = ""

    def differences(self) -> dict[str, float | None]:
        """For each of `VARIED` the largest difference found for this model; None where nothing was compared.

        Lengths are not compared for a model that needs its padding and keeps it, engines where there is one.
        """
        found = {figure.name: figure.value for figure in self.manifest.proof.figures}
        return {
            what: max((found[name] for name in names if name in found), default=None)
            for what, names in VARIED.items()
        }

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "manifest": json.loads(self.manifest.to_json()),
            "effect": asdict(self.effect) if self.effect else None,
            "confined": self.confined,
            "differences": self.differences(),
        }

    @classmethod
    def from_dict(cls, raw: dict[str, Any]) -> Verification:
        """The inverse of `to_dict`."""
        effect = raw["effect"]
        manifest = Manifest.from_json(json.dumps(raw["manifest"]))
        return cls(manifest, DropoutEffect(**effect) if effect else None, raw.get("confined", ""))
