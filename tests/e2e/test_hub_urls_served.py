"""A `.keras` file whose TF-Hub layers have URLs: served from TF-Hub's cache, never fetched, refused without it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from penult_client import Client, ServerStartError
from penult_service.preparing import convert
from penult_service.preparing.formats import hub_handles
from support import seed_model as seeds
from support.hub_server import hub_server, packed

pytestmark = [pytest.mark.tensorflow, pytest.mark.full]

TEXTS = ["a good film", "no", "a bad film, and far too long", ""]


def test_modules_in_the_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(hub_handles.CACHE, str(tmp_path / "cache"))
    model = tmp_path / "reviews.keras"
    with hub_server() as server:
        preprocessor, encoder = (
            server.handle(f"/{name}/1", packed(seeds.converted() / name))
            for name in (convert.PREPROCESSOR, convert.ENCODER)
        )
        features = _save(model, preprocessor, encoder)
        with Client.open(model, data=tmp_path / "data") as client:
            found = client.embed(TEXTS).vectors
        assert (np.abs(found - features) <= 1e-5 + 1e-5 * np.abs(features)).all()
        empty = {hub_handles.CACHE: str(tmp_path / "none")}
        with (
            pytest.raises(ServerStartError) as caught,
            Client.open(model, env=empty, data=tmp_path / "other"),
        ):
            pass
        for words in (
            f"needs the TF-Hub module {server.url}",
            f"set {hub_handles.CACHE} to a cache that does",
        ):
            assert words in str(caught.value)
        assert len(server.asked) == 2  # by who built the model


def _save(path: Path, preprocessor: str, encoder: str) -> Any:
    """Saves a model of hub layers by their URLs; what stands in front of its dropout, float32 [n, d]."""
    import tensorflow as tf

    tf_keras = seeds.keras()
    import tensorflow_hub as hub

    text = tf_keras.layers.Input(shape=(), dtype="string", name="text")
    tokens = hub.KerasLayer(preprocessor, name="preprocessing")(text)
    pooled = hub.KerasLayer(encoder, trainable=True, name="encoder")(tokens)["pooled_output"]
    dropped = tf_keras.layers.Dropout(0.1, name="dropout")(pooled)
    model = tf_keras.Model(text, tf_keras.layers.Dense(1, activation="sigmoid", name="output")(dropped))
    for variable in model.trainable_variables:  # as after training: not what the module has
        variable.assign(variable * 1.25)
    model.save(str(path))
    return np.asarray(tf_keras.Model(text, pooled)(tf.constant(TEXTS)))
