"""What a picture of a map shows, whatever draws it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

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
    `neighbors_kept` float [n] are told of each row by a page, NaN where not defined. `names` are what some labels are
    called in the legend.

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
    neighbors_kept: NDArray[np.float32] | None = None
    names: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        shape = np.shape(self.coordinates)
        if len(shape) != 2 or shape[1] not in (2, 3):
            raise InvalidInput(
                f"the places on a map are [n, 2] or [n, 3], not {list(shape)}", reason="WRONG_SHAPE"
            )
        if not np.isfinite(self.coordinates).all():
            raise InvalidInput("a place on the map holds NaN or infinity", reason="NOT_FINITE")
        for name in ("labels", "texts", "values", "neighbors_kept"):
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
        return seen(self.coordinates, self.coordinates)


def seen(coordinates: NDArray[np.float32], whole: NDArray[np.float32]) -> NDArray[np.float64]:
    """Places on a plane, float64 [n, 2], seen from where those of the `whole` map spread most."""
    places = np.asarray(coordinates, np.float64)
    if places.shape[1] == 2 or len(whole) == 0:
        return places[:, :2]
    middle = np.asarray(whole, np.float64).mean(axis=0)
    centred = np.asarray(whole, np.float64) - middle
    axes = np.linalg.eigh(centred.T @ centred)[1][:, :0:-1]
    # An eigenvector's sign is arbitrary: its largest part points up.
    axes *= np.sign(axes[np.abs(axes).argmax(axis=0), range(2)])
    return np.asarray((places - middle) @ axes)


@dataclass(frozen=True, eq=False)
class PlacedView:
    """New rows on a map that was there before.

    `new` has the title, the caption and the legend; its labels or values colour the new rows. Labels of the `stored`
    rows, where they have them, colour those palely; they are looked at where the new rows have labels or no colours.
    `far` bool [n] marks new rows far from all stored ones. `distances` float [n] are those to the nearest stored row,
    `nearest` int [n] its number (-1: none), `far_distance` what counts as far.

    Raises:
        InvalidInput: shapes that do not fit each other.
    """

    stored: MapView
    new: MapView
    far: NDArray[np.bool_]
    distances: NDArray[np.float32] | None = None
    nearest: NDArray[np.int32] | None = None
    far_distance: float | None = None

    def __post_init__(self) -> None:
        wide = [np.shape(view.coordinates)[1] for view in (self.stored, self.new)]
        if wide[0] != wide[1]:
            raise InvalidInput(f"places of {wide[1]} numbers on a map of {wide[0]}", reason="WRONG_SHAPE")
        for name in ("far", "distances", "nearest"):
            given = getattr(self, name)
            if given is not None and len(given) != len(self.new.coordinates):
                raise InvalidInput(
                    f"{len(self.new.coordinates)} new places, but {len(given)} {name}", reason="WRONG_SHAPE"
                )

    @property
    def stored_labels(self) -> Sequence[str] | None:
        """The labels that colour the stored rows; None where they are grey."""
        return None if self.new.values is not None else self.stored.labels

    def flat(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Places of the stored and of the new rows on one plane, float64 [n, 2] each."""
        whole = self.stored.coordinates if len(self.stored.coordinates) else self.new.coordinates
        return seen(self.stored.coordinates, whole), seen(self.new.coordinates, whole)

    def told(self) -> list[tuple[str, int]]:
        """What there is to see: new rows, those far from all, and those that were there before."""
        far = int(np.sum(self.far))
        found = [("new rows", len(self.far) - far), ("new, far from all", far)]
        return [*(one for one in found if one[1]), ("on the map before", len(self.stored.coordinates))]
