from __future__ import annotations

from pathlib import Path

import pytest
from penult_service.preparing.convert import ConvertReport, convert
from support.tiny_bert import write_tiny_bert


@pytest.fixture(scope="session")
def tiny_hub(tmp_path_factory: pytest.TempPathFactory) -> ConvertReport:
    """A tiny BERT as hub preprocessor and encoder, of 32 tokens."""
    scratch = tmp_path_factory.mktemp("recipes")
    hf_dir: Path = write_tiny_bert(scratch / "bert", layers=1)
    return convert(hf_dir, scratch / "hub", max_length=32)
