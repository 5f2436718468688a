"""The folder of weights as peers' servers want it: the longest text written down, and an ONNX file at its root."""

from __future__ import annotations

import json
import shutil
import sys
import tempfile
from pathlib import Path


def make(weights: str, max_length: int, *, onnx: bool) -> Path:
    """A copy of the weights beside this environment, made once; with `model.onnx` when asked for."""

    place = Path(sys.prefix, f"weights-{max_length}{'-onnx' if onnx else ''}", "minilm")
    if place.is_dir():
        return place
    place.parent.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=place.parent) as draft:
        made = Path(draft, "minilm")
        shutil.copytree(weights, made)
        _describe(made, max_length)
        if onnx:
            from optimum.onnxruntime import ORTModelForFeatureExtraction

            ORTModelForFeatureExtraction.from_pretrained(made, export=True).save_pretrained(made)
            # infinity cuts texts here; the graph has its positions inside.
            config = json.loads((made / "config.json").read_text())
            (made / "config.json").write_text(json.dumps({**config, "max_position_embeddings": max_length}))
        made.rename(place)
    return place


def _describe(folder: Path, max_length: int) -> None:
    """What sentence-transformers reads: a transformer, then the mean."""
    kinds = ("sentence_transformers.models.Transformer", "sentence_transformers.models.Pooling")
    modules = [
        {"idx": i, "name": str(i), "path": path, "type": kind}
        for i, (path, kind) in enumerate(zip(("", "1_Pooling"), kinds, strict=True))
    ]
    (folder / "modules.json").write_text(json.dumps(modules))
    (folder / "sentence_bert_config.json").write_text(
        json.dumps({"max_seq_length": max_length, "do_lower_case": False})
    )
    (folder / "tokenizer_config.json").write_text(
        json.dumps(
            {"tokenizer_class": "BertTokenizer", "do_lower_case": True, "model_max_length": max_length}
        )
    )
    (folder / "1_Pooling").mkdir()
    (folder / "1_Pooling" / "config.json").write_text(
        json.dumps({"word_embedding_dimension": 384, "pooling_mode_mean_tokens": True})
    )
