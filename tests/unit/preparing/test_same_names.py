"""Dropouts of one name, in a model and in a model within it: each with its own rate and place."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.formats.kit import TF_KERAS, Kit

pytestmark = pytest.mark.tensorflow


def test_dropouts_of_one_name_have_their_own_rates(tmp_path: Path) -> None:
    from penult_service.preparing.formats.saved_model import open_model
    from penult_service.preparing.seam.seams import find_seams
    from penult_service.preparing.seam.survey import Survey

    kit = Kit(TF_KERAS)
    vectors = kit.layers.Input((8,), name="vectors")
    inner = kit.model(vectors, kit.dense(8, "encoded", "tanh")(kit.dropout(0.1)(vectors)), name="inner")
    text = kit.text()
    features = inner(kit.average()(kit.table()(kit.words()(text))))
    kit.model(text, kit.dense(3, activation="softmax")(kit.dropout(0.5)(features))).save(str(tmp_path / "m"))
    seams = find_seams(Survey(open_model(tmp_path / "m")))
    assert [(site.path, site.rate, site.place) for site in seams.sites] == [
        ("inner/dropout", 0.1, "before"),
        ("dropout", 0.5, "at"),
    ]
