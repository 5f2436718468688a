"""Text classifiers of KerasHub, tiny and random, with real tokenizers of tiny vocabularies."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from support.formats.case import BFLOAT16, REFUSED, Case, Made
from support.formats.keras_formats import ARCHIVE, H5, save
from support.formats.kit import KERAS, TEXTS, Kit, as_numpy, texts
from support.tiny_bert import VOCABULARY, sample_texts

LENGTH = 20
FAMILIES = ("Bert", "DistilBert", "Roberta", "Albert")
_NAMES = {"Bert": "BERT", "DistilBert": "DistilBERT", "Roberta": "RoBERTa", "Albert": "ALBERT"}
_SIZES: dict[str, Any] = {
    "num_layers": 2,
    "num_heads": 2,
    "hidden_dim": 8,
    "intermediate_dim": 16,
    "max_sequence_length": 32,
}
PRESET = "preset"


def classifier(family: str, classes: int = 3, **options: Any) -> Any:
    """A classifier with its preprocessor, its weights drawn wide."""
    hub = _hub()
    tokenizer = _tokenizer(family)
    more = {"embedding_dim": 8, "num_groups": 1} if family == "Albert" else {}
    backbone = getattr(hub.models, f"{family}Backbone")(
        vocabulary_size=tokenizer.vocabulary_size(), **_SIZES, **more
    )
    preprocessor = getattr(hub.models, f"{family}TextClassifierPreprocessor")(
        tokenizer, sequence_length=LENGTH
    )
    model = getattr(hub.models, f"{family}TextClassifier")(
        backbone=backbone, num_classes=classes, preprocessor=preprocessor, **options
    )
    rng = np.random.default_rng(23)
    for weight in model.weights:
        if "float" in str(weight.dtype):
            weight.assign(weight + rng.normal(size=weight.shape).astype(np.float32) * 0.2)
    return model


def _hub() -> Any:
    _ = Kit(KERAS).keras  # it sets the backend
    import keras_hub

    return keras_hub


def _tokenizer(family: str) -> Any:
    models = _hub().models
    if family == "Roberta":
        vocabulary, merges = _byte_pairs()
        return models.RobertaTokenizer(vocabulary=vocabulary, merges=merges)
    if family == "Albert":
        return models.AlbertTokenizer(proto=_sentence_pieces())
    return getattr(models, f"{family}Tokenizer")(vocabulary=list(VOCABULARY), lowercase=True)


def _corpus() -> list[str]:
    return [*TEXTS, *sample_texts(60, seed=1)]


@cache
def _byte_pairs() -> tuple[dict[str, int], list[str]]:
    from tokenizers import ByteLevelBPETokenizer

    trained = ByteLevelBPETokenizer()
    special = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
    trained.train_from_iterator(_corpus(), vocab_size=400, special_tokens=special, show_progress=False)
    with tempfile.TemporaryDirectory() as place:
        trained.save_model(place)
        merges = (Path(place) / "merges.txt").read_text(encoding="utf-8").splitlines()
    return dict(trained.get_vocab()), [line for line in merges if not line.startswith("#version")]


@cache
def _sentence_pieces() -> bytes:
    import io

    import sentencepiece

    made = io.BytesIO()
    special = {"pad_id": 0, "unk_id": 1, "bos_id": 2, "eos_id": 3, "pad_piece": "<pad>", "unk_piece": "<unk>"}
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(_corpus()),
        model_writer=made,
        vocab_size=120,
        model_type="unigram",
        **special,
        bos_piece="[CLS]",
        eos_piece="[SEP]",
        user_defined_symbols="[MASK]",
        minloglevel=2,
    )
    return made.getvalue()


def features(model: Any, tokens: Any) -> Any:
    """What enters the last dropout, by the layers of the live model."""
    family = type(model).__name__
    found = model.backbone(tokens)
    if family.startswith(("BertText", "AlbertText")):
        return found["pooled_output"]
    return model.pooled_dense(found[:, 0])


def _expected(model: Any) -> dict[str, Any]:
    tokens = model.preprocessor(list(TEXTS))
    ids, mask = np.asarray(tokens["token_ids"]), np.asarray(tokens["padding_mask"])
    rows = [row[kept.astype(bool)].tolist() for row, kept in zip(ids, mask, strict=True)]
    outputs = {"logits": as_numpy(model(tokens, training=False))}
    return {
        "given": {"text": texts()},
        "outputs": outputs,
        "embedding": as_numpy(features(model, tokens)),
        "ids": rows,
    }


def saved(family: str, kind: str, **options: Any) -> Callable[[Path], Made]:
    """A builder."""

    def build(place: Path) -> Made:
        model = classifier(family, **options)
        told = _expected(model)
        return Made(_save(model, place, kind), **told)

    return build


def _save(model: Any, place: Path, kind: str) -> Path:
    if kind != PRESET:
        return save(model, place, kind)
    model.save_to_preset(str(place / "model"))
    return place / "model"


def without_head(family: str) -> Callable[[Path], Made]:
    """The preset of a backbone: a classifier of it would have a random head."""

    def build(place: Path) -> Made:
        model = classifier(family)
        told = _expected(model)
        for part in (model.backbone, model.preprocessor):
            part.save_to_preset(str(place / "model"))
        return Made(place / "model", **told)

    return build


def half(family: str, policy: str) -> Callable[[Path], Made]:
    """Layers that compute in half precision."""

    def build(place: Path) -> Made:
        kit = Kit(KERAS)
        with kit.policy(policy):
            model = classifier(family)
            told = _expected(model)
        return Made(_save(model, place, PRESET), **told)

    return build


def ids_alone(place: Path) -> Made:
    """A classifier without its preprocessor takes token ids and a mask."""
    model = classifier("Bert")
    tokens = model.preprocessor(list(TEXTS))
    told = _expected(model) | {
        "given": {name: np.asarray(value) for name, value in tokens.items()},
        "ids": None,
    }
    model.preprocessor = None
    return Made(_save(model, place, ARCHIVE), **told)


CASES = (
    *(Case(f"KerasHub {_NAMES[f]}", ARCHIVE, saved(f, ARCHIVE), quick=f != "Albert") for f in FAMILIES),
    *(Case(f"KerasHub {_NAMES[f]}", PRESET, saved(f, PRESET), quick=f == "Albert") for f in FAMILIES),
    *(Case(f"KerasHub {_NAMES[f]}", H5, saved(f, H5), REFUSED, says="vocab") for f in FAMILIES),
    *(
        Case(f"KerasHub {_NAMES[f]}", "preset of a backbone", without_head(f), REFUSED, says="head")
        for f in FAMILIES
    ),
    Case("KerasHub BERT", "preset, softmax", saved("Bert", PRESET, activation="softmax")),
    Case("KerasHub BERT", ".keras, one sigmoid", saved("Bert", ARCHIVE, classes=1, activation="sigmoid")),
    Case("KerasHub BERT", ".keras, no preprocessor", ids_alone),
    Case("KerasHub BERT", "preset, mixed_bfloat16", half("Bert", "mixed_bfloat16"), limit=BFLOAT16),
)
