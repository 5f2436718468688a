"""What a model can be asked for, and what it says when it cannot."""

from __future__ import annotations

from dataclasses import replace

import pytest
from penult_service.embedder import EmbedOptions, choose_readout
from penult_service.embedder.options import check_classifier, space_of
from penult_service.engines.fake import Traits, fake_manifest
from penult_service.errors import PreconditionFailed
from penult_service.prepared import Head, Readout
from penult_service.vectors import POOLINGS

FULL = replace(
    fake_manifest(),
    source="models/reviews",
    readouts=(*fake_manifest().readouts, Readout("layer_3", 16, "tokens"), Readout("dense", 8, "other")),
)
POOLED_ONLY = fake_manifest(traits=Traits(tokens=False))


@pytest.mark.parametrize(
    ("options", "layer"),
    [
        (EmbedOptions(), "pooled_output"),
        (EmbedOptions(layer="pooled_output"), "pooled_output"),
        (EmbedOptions(layer="dense"), "dense"),
        (EmbedOptions(pooling="cls"), "sequence_output"),
        (EmbedOptions(pooling="mean"), "sequence_output"),
        (EmbedOptions(pooling="max", layer="layer_3"), "layer_3"),
    ],
    ids=repr,
)
def test_the_layer_that_is_read(options: EmbedOptions, layer: str) -> None:
    assert choose_readout(FULL, options).layer == layer


@pytest.mark.parametrize("pooling", ["cls", "mean", "max", "median"])
def test_a_pooling_that_the_model_cannot_do(pooling: str) -> None:
    with pytest.raises(PreconditionFailed, match=f"{pooling}.*can do pooled$") as refused:
        choose_readout(POOLED_ONLY, EmbedOptions(pooling=pooling))
    assert (refused.value.reason, refused.value.field) == ("POOLING_UNAVAILABLE", "options.pooling")
    assert refused.value.metadata == {"available": "pooled"}


@pytest.mark.parametrize(
    ("layer", "pooling", "possible"),
    [
        ("sequence_output", "pooled", "cls, mean, max, tokens"),
        ("pooled_output", "mean", "pooled"),
        ("dense", "cls", "pooled"),
    ],
)
def test_a_pooling_that_the_layer_cannot_do(layer: str, pooling: str, possible: str) -> None:
    with pytest.raises(PreconditionFailed, match=f"{layer}.*{pooling}.*possible: {possible}$") as refused:
        choose_readout(FULL, EmbedOptions(layer=layer, pooling=pooling))
    assert refused.value.reason == "POOLING_UNAVAILABLE"


@pytest.mark.parametrize("pooling", POOLINGS)
def test_a_layer_that_was_not_prepared(pooling: str) -> None:
    with pytest.raises(PreconditionFailed) as refused:
        choose_readout(FULL, EmbedOptions(layer="layer_9", pooling=pooling))
    assert (refused.value.reason, refused.value.field) == ("LAYER_NOT_PREPARED", "options.layer")
    assert "pooled_output, sequence_output, layer_3, dense" in refused.value.message
    assert "penult prepare models/reviews --layer layer_9" in refused.value.message


def test_a_model_that_is_no_classifier() -> None:
    check_classifier(FULL)
    with pytest.raises(PreconditionFailed, match="predict") as refused:
        check_classifier(replace(FULL, head=Head("other", "output", 1)))
    assert refused.value.reason == "NOT_A_CLASSIFIER"


def test_every_option_makes_another_space() -> None:
    manifest = FULL
    spaces = {
        space_of(m, choose_readout(m, options), options).digest
        for m in (manifest, replace(manifest, model_digest="other"))
        for options in (
            EmbedOptions(),
            EmbedOptions(normalize=True),
            EmbedOptions(truncate="error"),
            EmbedOptions(layer="dense"),
            EmbedOptions(pooling="mean"),
            EmbedOptions(pooling="max"),
        )
    }
    assert len(spaces) == 12


def test_naming_the_default_layer_changes_no_space() -> None:
    readout = choose_readout(FULL, EmbedOptions())
    named = EmbedOptions(layer=readout.layer)
    assert space_of(FULL, readout, EmbedOptions()) == space_of(FULL, choose_readout(FULL, named), named)
