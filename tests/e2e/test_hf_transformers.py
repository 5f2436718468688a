"""What is served of Hugging Face directories, against transformers with torch, in an environment of its own."""

from __future__ import annotations

import csv
import json
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from penult_service.preparing import probe
from support.embedding import loaded, with_embedder
from support.pretrained import ROOT, shared_data, shared_texts

pytestmark = [pytest.mark.full, pytest.mark.tensorflow]

KINDS = (
    *("bert", "bert_cased", "bert_accents", "bert_vocabulary", "bert_half"),
    *("distilbert", "electra", "electra_wide", "roberta", "albert"),
)
ODD = [
    *(
        "",
        " ",
        "\x00",
        "[SEP] and [CLS]",
        "<s></s><pad> x",
        "[MASK][PAD]",
        "  two  spaces ",
        "A\tb\nc",
        "naïve CAFÉ",
    ),
    *(
        "İstanbul ǅ ﬁ … ß Ⅸ",
        "``quoted''",
        "日本語 or العربية",
        "👍🏽 great",
        "e\u0301 \u200b\ufeff\u2028\x85",
        "x" * 300,
    ),
]


def odd_texts(count: int) -> list[str]:
    rng = np.random.default_rng(3)
    pool = [*"".join(ODD), "[SEP]", "[CLS]", "<pad>", "</s>", *("the film", "good", "Bad") * 5]
    return ["".join(rng.choice(pool, size=rng.integers(1, 50))) for _ in range(count)]


@dataclass(frozen=True)
class Oracle:
    """Where the models are, and the texts that were asked."""

    place: Path
    texts: list[str]
    more: list[str]

    def answers(self, kind: str) -> tuple[Any, list[list[int]]]:
        found = np.load(self.place / kind / "oracle.npz")
        return found, json.loads((self.place / kind / "oracle.json").read_text())


@pytest.fixture(scope="module")
def oracle(tmp_path_factory: pytest.TempPathFactory) -> Oracle:
    with shared_data("stsb_dev.csv").open(newline="", encoding="utf-8") as file:
        real = [row["sentence1"] for row in csv.DictReader(file)][:150]
    texts = [*probe.MIXED, *ODD, *odd_texts(150), *real]
    more = [*shared_texts(), *odd_texts(20_000)]
    place = tmp_path_factory.mktemp("oracle")
    (place / "texts.json").write_text(json.dumps(texts))
    (place / "more.json").write_text(json.dumps(more))
    files = (place / name for name in ("models", "texts.json", "more.json"))
    command = [ROOT / "scripts" / "hf_oracle", *files]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if "cannot be installed" in done.stderr:
        pytest.skip(done.stderr.strip().splitlines()[-1])
    assert done.returncode == 0, done.stderr[-3000:]
    assert tuple(line for line in done.stdout.split() if line in KINDS) == KINDS
    return Oracle(place / "models", texts, more)


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_served_is_what_transformers_says(oracle: Oracle, tmp_path: Path, kind: str) -> None:
    model = loaded(oracle.place / kind, tmp_path)
    classifies = model.manifest.head.kind != "other"

    async def ask(embedder: Any) -> tuple[Any, Any, Any]:
        embedded = await embedder.embed(model, oracle.texts, probabilities=classifies)
        return (
            embedded,
            await embedder.predict(model, oracle.texts),
            await embedder.tokenize(model, oracle.texts),
        )

    embedded, predicted, tokens = with_embedder(ask)
    answers, ids = oracle.answers(kind)
    assert [row.tolist() for row in tokens.ids] == ids
    assert answers["embedding"].std() > 0.1
    np.testing.assert_allclose(embedded.vectors, answers["embedding"], rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(predicted["logits"], answers["logits"], rtol=1e-5, atol=1e-5)
    longest = max(map(len, ids))
    assert {t for t, row in zip(embedded.truncations, ids, strict=True) if len(row) < longest} == {"none"}
    assert "cut" in embedded.truncations
    if classifies:
        expected = probabilities(model.manifest.head.kind, answers["logits"].astype(np.float64))
        np.testing.assert_allclose(embedded.probabilities, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("kind", KINDS)
def test_all_real_texts_have_the_tokens_of_transformers(oracle: Oracle, tmp_path: Path, kind: str) -> None:
    tokenizer = loaded(oracle.place / kind, tmp_path).tokenizer
    table = tokenizer.tokenize(oracle.more)
    found = [
        row[:length].tolist() for row, length in zip(table.inputs["input_ids"], table.lengths, strict=True)
    ]
    expected = json.loads((oracle.place / kind / "ids.json").read_text())
    different = [text for text, one, other in zip(oracle.more, found, expected, strict=True) if one != other]
    assert different == []


def probabilities(kind: str, logits: Any) -> Any:
    if kind == "multilabel":
        return 1 / (1 + np.exp(-logits))
    shares = np.exp(logits - logits.max(axis=1, keepdims=True))
    return shares / shares.sum(axis=1, keepdims=True)
