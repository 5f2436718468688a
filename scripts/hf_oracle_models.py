"""Run by scripts/hf_oracle: classifiers of transformers, tiny and random, and what they say of texts.

Each is saved by `save_pretrained` with a tokenizer that was trained on the texts. Its answers are those of one text at
a time, without padding: `oracle.npz` holds `embedding` float32 [n, d] (what a hook in front of the last dropout before
the head sees) and `logits` [n, classes], `oracle.json` the token ids.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import tokenizers
import torch
import transformers

_SIZES = {
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 64,
    "max_position_embeddings": 64,
}
_DISTIL = {"dim": 32, "n_layers": 2, "n_heads": 4, "hidden_dim": 64, "max_position_embeddings": 64}
_WORDS, _SEED = 600, 0


def wordpieces(texts: list[str], scratch: Path, **settings: Any) -> Any:
    """BERT's tokenizer, trained."""
    trained = tokenizers.BertWordPieceTokenizer(**{"lowercase": settings.get("do_lower_case", True)})
    trained.train_from_iterator(texts, vocab_size=_WORDS, min_frequency=1)
    trained.save_model(str(scratch))
    return transformers.BertTokenizerFast(vocab=str(scratch / "vocab.txt"), **settings)


def bytes_of(texts: list[str], scratch: Path) -> Any:
    """RoBERTa's, trained."""
    trained = tokenizers.ByteLevelBPETokenizer()
    special = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
    trained.train_from_iterator(texts, vocab_size=_WORDS, special_tokens=special)
    trained.save_model(str(scratch))
    files = {"vocab": str(scratch / "vocab.json"), "merges": str(scratch / "merges.txt")}
    return transformers.RobertaTokenizerFast(**files, model_max_length=40)


def pieces(texts: list[str], scratch: Path) -> Any:
    """ALBERT's, trained."""
    del scratch
    trained = tokenizers.Tokenizer(tokenizers.models.Unigram())
    trained.pre_tokenizer = tokenizers.pre_tokenizers.Metaspace()
    special = ["<pad>", "<unk>", "[CLS]", "[SEP]", "[MASK]"]
    trainer = tokenizers.trainers.UnigramTrainer(vocab_size=_WORDS, special_tokens=special, unk_token="<unk>")
    trained.train_from_iterator(texts, trainer)
    vocabulary = [tuple(pair) for pair in json.loads(trained.to_str())["model"]["vocab"]]
    return transformers.AlbertTokenizerFast(vocab=vocabulary)


def kinds() -> dict[str, tuple[str, dict[str, Any], Callable[[list[str], Path], Any]]]:
    """Name -> (family, settings of its configuration, how its tokenizer is made)."""
    three = {"id2label": {0: "bad", 1: "so so", 2: "good"}}
    many = {"num_labels": 4, "problem_type": "multi_label_classification"}
    one = {"num_labels": 1, "problem_type": "regression"}
    shared = {"embedding_size": 16, "num_hidden_groups": 2, "inner_group_num": 2, "num_hidden_layers": 4}
    return {
        "bert": ("Bert", {**_SIZES, **three, "problem_type": "single_label_classification"}, wordpieces),
        "bert_cased": ("Bert", _SIZES, lambda *given: wordpieces(*given, do_lower_case=False)),
        "bert_accents": (
            "Bert",
            {**_SIZES, "hidden_act": "gelu_new", "layer_norm_eps": 1e-5},
            lambda *given: wordpieces(*given, strip_accents=False, tokenize_chinese_chars=False),
        ),
        "bert_vocabulary": ("Bert", _SIZES, wordpieces),
        "bert_half": ("Bert", _SIZES, wordpieces),
        "distilbert": ("DistilBert", _DISTIL, wordpieces),
        "electra": ("Electra", {**_SIZES, **many, "embedding_size": 16}, wordpieces),
        "electra_wide": ("Electra", {**_SIZES, "embedding_size": 32}, wordpieces),
        "roberta": ("Roberta", {**_SIZES, **one}, bytes_of),
        "albert": ("Albert", {**_SIZES, **shared}, pieces),
    }


def save(name: str, directory: Path, texts: list[str]) -> None:
    """Makes and saves one."""
    family, settings, train = kinds()[name]
    directory.mkdir(parents=True)
    scratch = directory / "scratch"
    scratch.mkdir()
    tokenizer = train(texts, scratch)
    config = getattr(transformers, f"{family}Config")(vocab_size=len(tokenizer), **settings)
    torch.manual_seed(_SEED)
    model = getattr(transformers, f"{family}ForSequenceClassification")(config).eval()
    with (
        torch.no_grad()
    ):  # wider than transformers draws, so that different texts get clearly different answers
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.2)
    if name == "bert_half":
        model = model.half()
    model.save_pretrained(directory)
    tokenizer.save_pretrained(directory)
    if name == "bert_vocabulary":
        (directory / "tokenizer.json").unlink()
        (scratch / "vocab.txt").rename(directory / "vocab.txt")
    for path in scratch.iterdir():
        path.unlink()
    scratch.rmdir()


def answer(directory: Path, texts: list[str]) -> None:
    """Loads it as anybody would, and writes what it says."""
    tokenizer = transformers.AutoTokenizer.from_pretrained(directory)
    loaded = transformers.AutoModelForSequenceClassification.from_pretrained(directory, dtype=torch.float32)
    model = loaded.eval()
    longest = _longest(tokenizer, model.config)
    seen: list[Any] = []
    dropout = model.dropout if hasattr(model, "dropout") else model.classifier.dropout
    dropout.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    ids, embeddings, logits = [], [], []
    for text in texts:
        tokens = tokenizer(text, truncation=True, max_length=longest, return_tensors="pt")
        with torch.no_grad():
            logits.append(model(**tokens).logits[0].numpy())
        ids.append(tokens["input_ids"][0].tolist())
        embeddings.append(seen[-1][0].numpy())
    np.savez(directory / "oracle.npz", embedding=np.array(embeddings), logits=np.array(logits))
    (directory / "oracle.json").write_text(json.dumps(ids))


def read(directory: Path, texts: list[str]) -> None:
    """Writes the token ids of these texts alone, in a file beside the other answers."""
    tokenizer = transformers.AutoTokenizer.from_pretrained(directory)
    config = transformers.AutoConfig.from_pretrained(directory)
    ids = tokenizer(texts, truncation=True, max_length=_longest(tokenizer, config))["input_ids"]
    (directory / "ids.json").write_text(json.dumps(ids))


def _longest(tokenizer: Any, config: Any) -> int:
    """The most tokens of a text that the model has positions for."""
    behind = config.pad_token_id + 1 if config.model_type == "roberta" else 0
    return int(min(tokenizer.model_max_length, config.max_position_embeddings - behind))


def main() -> None:
    """Makes all kinds, and prints the name of each."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("target", type=Path)
    parser.add_argument("texts", type=Path)
    parser.add_argument("more", type=Path, nargs="?", help="Texts whose token ids alone are told: ids.json.")
    given = parser.parse_args()
    texts = json.loads(given.texts.read_text())
    torch.set_num_threads(1)  # the models are tiny
    for name in kinds():
        save(name, given.target / name, texts)
        answer(given.target / name, texts)
        if given.more:
            read(given.target / name, json.loads(given.more.read_text()))
        print(name, flush=True)


if __name__ == "__main__":
    main()
