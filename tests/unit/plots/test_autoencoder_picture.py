"""Tables and picture of reconstructed columns: what they say, of one training and of several, with odd names."""

from __future__ import annotations

from io import BytesIO
from typing import Any

import numpy as np
import pytest
from matplotlib.image import imread
from penult_service.errors import InvalidInput
from penult_service.plots import reconstruction, reconstruction_view
from penult_service.plots.reconstruction_view import Kind, ReconstructionView
from penult_service.plots.themes import DARK

COLUMNS = ("F3", "O1", "T7")


def kind(name: str = "Dropout", seeds: int = 1, columns: int = 3, **changed: Any) -> Kind:
    rng = np.random.default_rng(len(name))
    parts = {part: rng.uniform(0.02, 2, (seeds, columns)) for part in ("clean", "itself", "one", "chosen")}
    return Kind(name, **{"trained": rng.uniform(0.02, 0.2, seeds), **parts, **changed})


def view(**changed: Any) -> ReconstructionView:
    kinds = (kind("FeatureDropout", 2), kind("no noise", 2), kind("PCA", baseline=True))
    given: dict[str, Any] = {"kinds": kinds, "columns": COLUMNS, "chosen": (0, 2), "title": "A title"}
    return ReconstructionView(**given | changed)


def test_the_table_of_all_columns() -> None:
    one = kind(
        trained=np.array([0.05]),
        clean=np.array([[0.1, 0.2, 0.3]]),
        chosen=np.array([[0.5, 0.4, 0.9]]),
        one=np.array([[0.6, 0.7, 0.8]]),
        itself=np.array([[1.0, 2.0, 6.0]]),
    )
    head, (row,) = reconstruction_view.overview(view(kinds=(one,)))
    assert dict(zip(head, row, strict=True)) == {
        "": "Dropout",
        "rows trained on": "0.0500",
        "nothing missing": "0.200",
        "F3, T7 missing": "0.600",
        "F3, T7 itself, there": "0.200",
        "F3, T7 itself, missing": "0.700",
        "the others, F3, T7 missing": "0.400",
    }
    head, (row,) = reconstruction_view.overview(view(kinds=(one,), chosen=()))
    assert dict(zip(head, row, strict=True)) == {
        "": "Dropout",
        "rows trained on": "0.0500",
        "nothing missing": "0.200",
        "one missing, on average": "0.700",
        "the missing one itself": "3.00",
    }


def test_the_spread_over_trainings() -> None:
    clean = np.array([[0.1, 0.1, 0.1], [0.3, 0.3, 0.3]])
    _, (row,) = reconstruction_view.overview(view(kinds=(kind(seeds=2, clean=clean),)))
    assert row[2] == "0.200 ± 0.141"
    big = kind(seeds=2, clean=1e5 * clean)
    assert reconstruction_view.overview(view(kinds=(big,)))[1][0][2].startswith("2.00e+04 ± ")


def test_the_table_by_column() -> None:
    one = kind(clean=np.array([[0.1, 0.2, 0.3]]), itself=np.array([[1.0, 2.0, 12.5]]))
    head, rows = reconstruction_view.by_column(view(kinds=(one,)))
    assert head == ["", "Dropout"]
    assert rows == [
        ["F3 (chosen)", "0.100 → 1.00"],
        ["O1", "0.200 → 2.00"],
        ["T7 (chosen)", "0.300 → 12.5"],
    ]


def test_many_chosen_columns_are_counted() -> None:
    columns = tuple(f"c{number}" for number in range(5))
    many = view(columns=columns, chosen=(0, 1, 2, 4), kinds=(kind(columns=5),))
    assert many.missing == "the 4 chosen columns missing"


def pixels(found: bytes) -> np.ndarray:
    image: np.ndarray = imread(BytesIO(found))
    return image[..., :3]


@pytest.mark.parametrize("theme", [None, DARK])
def test_the_picture_draws_every_kind_in_its_colour(theme: Any) -> None:
    options = {} if theme is None else {"theme": theme}
    found = reconstruction.picture(view(), "png", **options)
    assert found == reconstruction.picture(view(), "png", **options)
    image = pixels(found)
    hues = (theme.hues if theme else reconstruction.LIGHT.hues)[:2]
    for hue in hues:
        wanted = np.array([int(hue[at : at + 2], 16) for at in (1, 3, 5)]) / 255
        assert (np.abs(image - wanted).max(axis=-1) < 0.01).sum() > 100
    assert reconstruction.picture(view(), "svg").startswith(b"<?xml")


def test_longer_errors_are_longer_bars() -> None:
    """The full bar of one kind, drawn alone, covers as many more pixels as its error is larger."""

    def covered(error: float) -> int:
        chosen = np.full((1, 3), error)
        scale = kind("PCA", baseline=True, chosen=np.ones((1, 3)), clean=np.ones((1, 3)))
        image = pixels(reconstruction.picture(view(kinds=(kind(chosen=chosen), scale)), "png"))
        bars = image[:, : image.shape[1] // 2]
        full = 0.9 * np.array([0x00, 0x72, 0xB2]) / 255 + 0.1
        return int((np.abs(bars - full).max(axis=-1) < 0.02).sum())

    assert covered(0.8) == pytest.approx(2 * covered(0.4), rel=0.1)


@pytest.mark.filterwarnings("error")
def test_odd_names_and_many_columns() -> None:
    columns = ("$x_1$ \n a<b>", "数", "", *(f"column {number} " * 9 for number in range(60)))
    wide = view(
        columns=columns, chosen=(62,), kinds=(kind(columns=63),), title="T" * 300, caption="a · b " * 90
    )
    assert reconstruction._shown(wide) == [*range(29), 62]
    assert pixels(reconstruction.picture(wide, "png")).shape[0] > 500
    none = view(chosen=(), kinds=(kind(),))
    assert reconstruction.picture(none, "svg")


def test_what_cannot_be_shown() -> None:
    with pytest.raises(InvalidInput, match="nothing to draw"):
        view(kinds=())
    with pytest.raises(InvalidInput, match="errors of Dropout are one a training and column"):
        view(kinds=(kind(columns=2),))
