"""Which dropouts are put back, and what is said when that cannot be."""

from __future__ import annotations

import json
import tomllib
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from penult_service.embedder.dropouts import (
    ActiveDropout,
    SampleOptions,
    choose,
)
from penult_service.embedder.seam_dropout import SeamDropout, seam_dropout
from penult_service.engines.fake import fake_manifest
from penult_service.errors import InvalidInput, PenultError, PreconditionFailed
from penult_service.masks import dropped, keys_of
from penult_service.prepared import LayerRecord, Manifest, Site

INNER = Site("encoder/dropout", "Dropout", 0.1, None, "a", "before", sampled=True)
SEAM = Site("dropout", "Dropout", 0.2, None, "b", "at", sampled=True)
HEAD = Site("head/dropout", "AlphaDropout", 0.3, None, "c", "after", sampled=True)


def manifest(*sites: Site, **changes: Any) -> Manifest:
    return replace(fake_manifest(), sites=sites, **changes)


EVERY = manifest(INNER, SEAM, HEAD)


def refused(known: Manifest, options: SampleOptions) -> PenultError:
    with pytest.raises(PenultError) as caught:
        choose(known, options)
    return caught.value


def test_the_head_is_what_stands_behind_the_embedding() -> None:
    for options in (SampleOptions(), SampleOptions("head")):
        chosen = choose(EVERY, options)
        assert chosen.rates == (0.0, 0.2, 0.3, 0.0)
        assert not chosen.inside
        assert chosen.active == (
            ActiveDropout("dropout", "Dropout", 0.2),
            ActiveDropout("head/dropout", "AlphaDropout", 0.3),
        )


def test_all_are_those_inside_the_encoder_too() -> None:
    chosen = choose(EVERY, SampleOptions("all"))
    assert chosen.rates == (0.1, 0.2, 0.3, 0.0)
    assert chosen.inside
    assert [one.path for one in chosen.active] == ["encoder/dropout", "dropout", "head/dropout"]


def test_paths() -> None:
    chosen = choose(EVERY, SampleOptions(sites=["head/dropout", "encoder/dropout"]))
    assert chosen.rates == (0.1, 0.0, 0.3, 0.0)
    assert chosen.inside
    assert not choose(EVERY, SampleOptions(sites=["dropout"])).inside


def test_a_rate_is_that_of_each_chosen_one() -> None:
    assert choose(EVERY, SampleOptions("head", rate=0.5)).rates == (0.0, 0.5, 0.5, 0.0)
    assert choose(EVERY, SampleOptions(sites=["encoder/dropout"], rate=0.5)).rates == (0.5, 0.0, 0.0, 0.0)
    assert choose(EVERY, SampleOptions("head", rate=0.0)).rates == (0.0, 0.0, 0.0, 0.0)


def test_where_none_is_known_at_the_head_the_embedding_itself_is_dropped() -> None:
    known = manifest(INNER)
    chosen = choose(known, SampleOptions(rate=0.25))
    assert chosen.rates == (0.0, 0.25)
    assert chosen.active == (ActiveDropout("(embedding)", "Dropout", 0.25),)
    assert choose(known, SampleOptions(sites=["(embedding)"], rate=0.25)) == chosen
    assert choose(known, SampleOptions("all", rate=0.25)).rates == (0.25, 0.25)
    assert choose(known, SampleOptions("all")).rates == (0.1, 0.0)
    # One that is known but cannot be put back is no reason not to.
    assert choose(manifest(replace(SEAM, sampled=False)), SampleOptions(rate=0.25)).rates == (0.0, 0.25)


def test_a_model_that_was_prepared_without_it() -> None:
    error = refused(manifest(unsampled="it is not cut"), SampleOptions())
    assert (error.reason, error.field) == ("NO_SAMPLING", "model")
    assert "it is not cut" in error.message


def test_a_model_that_an_older_release_prepared() -> None:
    told = json.loads(EVERY.to_json())
    del told["unsampled"]
    error = refused(Manifest.from_json(json.dumps(told)), SampleOptions())
    assert error.reason == "NO_SAMPLING"
    assert "prepare it again" in error.message


@pytest.mark.parametrize(
    ("known", "options", "line"),
    [
        (manifest(replace(SEAM, rate=None)), SampleOptions(), 'dropout = { "dropout" = 0.1 }'),
        (
            manifest(replace(INNER, rate=None), SEAM),
            SampleOptions("all"),
            'dropout = { "encoder/dropout" = 0.1 }',
        ),
        # Nothing is known of its layers: what is declared is its dropout.
        (manifest(), SampleOptions("head"), 'dropout = { "dropout" = 0.1 }'),
        # It has layers, and no such dropout: that would be refused.
        (manifest(INNER), SampleOptions(), ""),
        (manifest(layers=(LayerRecord("output", "Dense"),)), SampleOptions(), ""),
        (manifest(INNER), SampleOptions(sites=["(embedding)"]), ""),
        # What the file records is not overruled by a declaration.
        (manifest(replace(SEAM, rate=0.0)), SampleOptions(), ""),
    ],
)
def test_no_rate_says_where_to_give_one(known: Manifest, options: SampleOptions, line: str) -> None:
    error = refused(known, options)
    assert isinstance(error, PreconditionFailed)
    assert (error.reason, error.field) == ("NO_DROPOUT_RATE", "dropout.rate")
    assert "rate=0.1, --rate 0.1" in error.message
    assert line in error.message
    assert len(error.message) < 300
    assert ("penult.toml beside fake" in error.message) == bool(line)
    if line:
        assert tomllib.loads(line)["dropout"]


def test_all_where_nothing_inside_is_known() -> None:
    for known, why in (
        (manifest(SEAM), "tells of none"),
        (manifest(replace(INNER, sampled=False), SEAM), "encoder/dropout"),
    ):
        for rate in (None, 0.1):
            error = refused(known, SampleOptions("all", rate=rate))
            assert isinstance(error, PreconditionFailed)
            assert (error.reason, error.field) == ("NO_SAMPLING", "dropout.scope")
            assert why in error.message


def test_an_unknown_path_lists_the_known_ones() -> None:
    error = refused(EVERY, SampleOptions(sites=["dropout", "dropuot"]))
    assert isinstance(error, InvalidInput)
    assert (error.reason, error.field) == ("UNKNOWN_DROPOUT", "dropout.sites")
    assert "'dropuot'" in error.message
    assert "encoder/dropout, dropout, head/dropout" in error.message
    assert "(embedding)" not in error.message
    many = manifest(*(replace(INNER, path=f"layer_{i}") for i in range(500)))
    assert len(refused(many, SampleOptions(sites=["x"])).message) < 500


def test_a_path_that_cannot_be_put_back() -> None:
    error = refused(manifest(replace(INNER, sampled=False), SEAM), SampleOptions(sites=["encoder/dropout"]))
    assert (error.reason, error.field) == ("NO_SAMPLING", "dropout.sites")
    assert "possible: dropout" in error.message


@pytest.mark.parametrize(
    ("options", "field"),
    [
        (SampleOptions("head", sites=["dropout"]), "dropout.sites"),
        (SampleOptions("body"), "dropout.scope"),
        (SampleOptions(rate=1.0), "dropout.rate"),
        (SampleOptions(rate=1 - 1e-9), "dropout.rate"),  # 1 as float32
        (SampleOptions(rate=-0.1), "dropout.rate"),
        (SampleOptions(rate=float("nan")), "dropout.rate"),
        (SampleOptions(samples=0), "dropout.samples"),
        (SampleOptions(samples=10_001), "dropout.samples"),
        (SampleOptions(seed=1 << 63), "dropout.seed"),
        (SampleOptions(first_sample=-1), "dropout.first_sample"),
    ],
)
def test_what_no_model_can_do(options: SampleOptions, field: str) -> None:
    # Said before anything of the model is.
    error = refused(manifest(unsampled="it is not cut"), options)
    assert isinstance(error, InvalidInput)
    assert error.field == field


def test_the_dropout_at_the_seam() -> None:
    assert seam_dropout(EVERY, choose(EVERY, SampleOptions("all"))) == SeamDropout(1, 0.2)
    assert seam_dropout(EVERY, choose(EVERY, SampleOptions(sites=["head/dropout"]))) is None
    embedding = manifest(INNER)
    assert seam_dropout(embedding, choose(embedding, SampleOptions(rate=0.3))) == SeamDropout(1, 0.3)
    shared = manifest(replace(SEAM, shared=(0,)))
    assert seam_dropout(shared, choose(shared, SampleOptions())) == SeamDropout(0, 0.2, (0,))


def test_what_a_strange_layer_at_the_seam_does_is_not_known() -> None:
    strange = manifest(replace(SEAM, layer_class="OwnDropout"))
    with pytest.raises(PreconditionFailed) as caught:
        seam_dropout(strange, choose(strange, SampleOptions()))
    assert caught.value.reason == "NO_SAMPLED_EMBEDDING"
    noisy = manifest(replace(SEAM, layer_class="GaussianNoise"))
    found = seam_dropout(noisy, choose(noisy, SampleOptions()))
    assert found == SeamDropout(0, 0.2, (), "GaussianNoise")
    assert not found.plain
    assert not SeamDropout(0, 0.2, (0,)).plain
    assert SeamDropout(0, 0.2).plain


@pytest.mark.tensorflow
@pytest.mark.parametrize(
    ("kind", "shared"),
    [
        ("Dropout", ()),
        ("Dropout", (0,)),
        ("Dropout", (1,)),
        ("AlphaDropout", ()),
        ("AlphaDropout", (0,)),
        ("GaussianDropout", ()),
        ("GaussianNoise", ()),
    ],
)
def test_in_numpy_what_the_graph_does(kind: str, shared: tuple[int, ...]) -> None:
    import tensorflow as tf
    from penult_service.preparing.sampling import keyed

    own, together = keys_of(3, np.zeros(50, np.int64), np.arange(50))
    embeddings = np.random.default_rng(1).standard_normal((50, 40)).astype(np.float32)
    recipe = keyed.Recipe(kind, 2, shared)
    keys = tf.cast(tf.constant(together if 0 in shared else own), tf.uint64)
    expected = keyed.dropped(
        tf.constant(embeddings), keys, tf.constant(3, tf.uint64), tf.constant(0.3), recipe
    )
    found = SeamDropout(3, 0.3, shared, kind).on(embeddings, own, together)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, expected.numpy(), rtol=1e-5, atol=1e-5)
    assert (found != embeddings).mean() > 0.9


def test_embeddings_behind_the_dropout_at_the_seam() -> None:
    own, shared = keys_of(3, np.zeros(4, np.int64), np.arange(4))
    embeddings = np.ones((4, 50), np.float32)
    np.testing.assert_array_equal(
        SeamDropout(2, 0.5).on(embeddings, own, shared), dropped(embeddings, own, 2, 0.5)
    )
    together = SeamDropout(2, 0.5, (0,)).on(embeddings, own, shared)
    assert (together == together[0]).all()
    assert 0 < (together[0] == 0).sum() < 50
    by_row = SeamDropout(2, 0.5, (1,)).on(embeddings, own, shared)
    assert (by_row == by_row[:, :1]).all()
