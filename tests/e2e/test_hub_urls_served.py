"""A `.keras` file whose TF-Hub layers have URLs: served from TF-Hub's cache, never fetched, refused without it."""

from __future__ import annotations

from pathlib import Path

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
        features = seeds.save_on_modules(model, preprocessor, encoder, TEXTS)
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
