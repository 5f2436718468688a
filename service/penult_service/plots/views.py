"""What a picture of a map shows, whatever draws it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from penult_service.errors import InvalidInput

NOISE = "-1"


@dataclass(frozen=True, eq=False)
class MapView:
    """A map of n rows.

    `coordinates` float32 [n, 2 or 3], finite. `labels` are n words to colour by, "" where a row has none, and
    `noise` is the label that means "in no cluster" (None: there is no such label). `values` float [n] colour by a
    scale instead, NaN where a row has none. `texts` are n texts to show. `legend` names what the colours stand for.

    Raises:
        InvalidInput: shapes that do not fit each other, or a place that is not finite.
    """

    coordinates: NDArray[np.float32]
    labels: Sequence[str] | None = None
    texts: Sequence[str] | None = None
    title: str = ""
    caption: str = ""
    values: NDArray[np.float64] | None = None
    legend: str = ""
    noise: str | None = NOISE

    def __post_init__(self) -> None:
        shape = np.shape(self.coordinates)
        if len(shape) != 2 or shape[1] not in (2, 3):
            raise InvalidInput(
                f"the places on a map are [n, 2] or [n, 3], not {list(shape)}", reason="WRONG_SHAPE"
            )
        if not np.isfinite(self.coordinates).all():
            raise InvalidInput("a place on the map holds NaN or infinity", reason="NOT_FINITE")
        for name in ("labels", "texts", "values"):
            given = getattr(self, name)
            if given is not None and len(given) != shape[0]:
                raise InvalidInput(f"{shape[0]} places, but {len(given)} {name}", reason="WRONG_SHAPE")

    @property
    def note(self) -> str:
        """What `flat` did to the map; empty when nothing."""
        deep = np.shape(self.coordinates)[1] == 3
        return "three dimensions, seen from where they spread most" if deep else ""

    def flat(self) -> NDArray[np.float64]:
        """Places on a plane, float64 [n, 2]: three dimensions are seen along the one in which they spread least."""
        places = np.asarray(self.coordinates, np.float64)
        if places.shape[1] == 2 or len(places) == 0:
            return places[:, :2]
        centred = places - places.mean(axis=0)
        axes = np.linalg.eigh(centred.T @ centred)[1][:, :0:-1]
        # An eigenvector's sign is arbitrary: its largest part points up.
        axes *= np.sign(axes[np.abs(axes).argmax(axis=0), range(2)])
        return np.asarray(centred @ axes)
