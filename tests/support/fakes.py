"""A fake model, loaded: tokenizer, engine and manifest put together."""

from __future__ import annotations

from typing import Any

from penult_service.embedder import LoadedModel
from penult_service.engines.fake import FakeEngine, Traits, fake_manifest
from penult_service.tokenizing.fake import FakeTokenizer, word_id

MARKS = ("fails_on", "dies_on", "nan_on")


def fake_model(
    name: str = "fake", version: int = 1, *, tells_cuts: bool = True, **traits: Any
) -> LoadedModel:
    """A fake model; `traits` as in `engines.fake.Traits`, with words for the marks (`nan_on="poison"`)."""
    marks = {mark: word_id(traits.pop(mark)) for mark in MARKS if mark in traits}
    chosen = Traits(**traits, **marks)
    tokenizer = FakeTokenizer(chosen.max_length, tells_cuts=tells_cuts)
    engine = FakeEngine(tokenizer, version, chosen)
    return LoadedModel(name, version, fake_manifest(version, chosen), tokenizer, engine)
