"""Damaged Hugging Face directories: whatever is in the files, they are read or refused, and nothing else happens."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pytest
from penult_service.errors import PenultError
from penult_service.prepared import TokenInput
from penult_service.preparing.formats import hf_classifier, hf_tokenizer
from penult_service.tokenizing.library import LibraryTokenizer
from support.tiny_hf import KINDS, wordpieces, write_tiny_hf

IDS = (TokenInput("input_ids", "ids", "int32"),)
TEXTS = ["good film", "", "x" * 300, "日本 [SEP]\x00"]
STRANGE: list[Any] = [
    *(None, True, -1, 0, 3, 1e300, float("inf"), 2**70, "x", "", "\ud800"),
    *([], {}, [1], {"a": 1}, {"type": "Sequence"}, [[]]),
]


@pytest.mark.parametrize("seed", range(10))
def test_damage_is_refused(tmp_path: Path, seed: int) -> None:
    assert outcomes(tmp_path, seed, 40) == {"refused", "read"}


@pytest.mark.full
@pytest.mark.parametrize("seed", range(100, 110))
def test_much_damage_is_refused(tmp_path: Path, seed: int) -> None:
    assert outcomes(tmp_path, seed, 2000) == {"refused", "read"}


def outcomes(place: Path, seed: int, rounds: int) -> set[str]:
    """One file of one directory is damaged at a time; what came of it all."""
    rng = random.Random(seed)
    directories = [write_tiny_hf(place / kind, kind).directory for kind in KINDS]
    wordpieces(directories[0]).save(str(directories[0] / "tokenizer.json"))
    found = set()
    for _ in range(rounds):
        file = rng.choice(sorted(rng.choice(directories).iterdir()))
        whole = file.read_bytes()
        file.write_bytes(damaged(rng, file, whole))
        found.add(outcome(file.parent))
        file.write_bytes(whole)
    return found


def outcome(directory: Path) -> str:
    try:
        if not hf_classifier.is_directory(directory):
            return "refused"
        network = hf_classifier.read(directory).network
        tokenizer = hf_tokenizer.read(directory, network)
    except PenultError:
        return "refused"
    ids = LibraryTokenizer(tokenizer.text, IDS).tokenize(TEXTS).inputs["input_ids"]
    assert ids.max() < network.encoder.vocabulary_size
    assert ids.shape[1] <= network.longest
    return "read"


def damaged(rng: random.Random, file: Path, whole: bytes) -> bytes:
    if file.suffix == ".json" and rng.random() < 0.8:
        return json.dumps(changed(rng, json.loads(whole))).encode()
    data = bytearray(whole)
    for _ in range(rng.randint(1, 8)):
        place, chance = rng.randrange(min(len(data), 3000) or 1), rng.random()
        if chance < 0.4:
            data[place : place + 1] = bytes([rng.randrange(256)])
        elif chance < 0.7:
            del data[place : place + rng.randint(1, 50)]
        else:
            data[place:place] = rng.randbytes(rng.randint(1, 5))
    return bytes(data)


def changed(rng: random.Random, value: Any) -> Any:
    """One value somewhere in it is removed, moved or replaced."""
    if isinstance(value, dict) and value and rng.random() < 0.8:
        key, chance, kept = rng.choice(list(value)), rng.random(), dict(value)
        if chance < 0.2:
            del kept[key]
        elif chance < 0.3:
            kept[f"{key}x"] = kept[key]
        else:
            kept[key] = changed(rng, kept[key])
        return kept
    if isinstance(value, list) and value and rng.random() < 0.8:
        place = rng.randrange(len(value))
        return [*value[:place], changed(rng, value[place]), *value[place + 1 :]]
    return rng.choice(STRANGE)
