"""The seed's model on every engine and precision."""

from __future__ import annotations

import tempfile
from functools import cache
from pathlib import Path

import pytest
from penult_service.embedder import LoadedModel
from penult_service.engines.opening import Functions, open_engine
from penult_service.errors import ModelRefused
from penult_service.prepared import load_manifest
from penult_service.tokenizing.opening import open_tokenizer
from penult_service.tuned import Setting, Tuned
from support.seed_model import prepared_seed_model


def seed_model_on(engine: str, precision: str = "float32", threads: int = 2) -> LoadedModel:
    """The prepared model, opened as the server does; skips the test where the processor lacks the precision."""
    place, setting = prepared_seed_model(), Setting(engine, precision, threads)
    manifest = load_manifest(place)
    try:
        opened, functions = open_engine(place, manifest, setting, ir=seed_ir())
    except ModelRefused as refused:
        pytest.skip(refused.message)
    return LoadedModel(
        "seed", 1, manifest, open_tokenizer(place, manifest, lambda: functions), opened, Tuned(setting)
    )


@cache
def seed_ir() -> Path:
    """What OpenVINO reads of it. Not to be changed: copy it first."""
    from penult_service.engines import ir

    place = prepared_seed_model()
    ir.convert(place, load_manifest(place), Functions(place), target := Path(_scratch().name))
    return target


@cache
def _scratch() -> tempfile.TemporaryDirectory[str]:
    return tempfile.TemporaryDirectory(prefix="penult-ir-")
