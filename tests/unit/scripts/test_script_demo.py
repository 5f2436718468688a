"""The demo's texts and figures, on made-up files."""

from __future__ import annotations

import csv
from collections import Counter
from pathlib import Path

import demo_ask
import demo_data
import demo_figures
import demo_steps
import numpy as np
import pytest
from demo_data import Row


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """Four files in the form of the real ones: 40 documents of 40 sentences, or 1,600 sentences."""
    place = tmp_path / "source"
    place.mkdir()
    for genre, name in demo_data._FILES.items():
        numbers = [
            f"{i // 40}_{i % 40}" if genre in ("product", "newspaper") else str(i) for i in range(1600)
        ]
        lines = [f"{number}\t{i % 9 - 4}\tSentence {number} of {genre}." for i, number in enumerate(numbers)]
        (place / name).write_text("\r\n".join(lines) + "\r\n", encoding="utf-8", newline="")
    return place


def read(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_files(source: Path, tmp_path: Path) -> None:
    demo_data.make(source, tmp_path)
    train, held_out = read(tmp_path / demo_data.TRAIN), read(tmp_path / demo_data.HELD_OUT)
    assert Counter(row["genre"] for row in train) == dict.fromkeys(demo_data._FILES, demo_data.TRAIN_ROWS)
    assert Counter(row["genre"] for row in held_out) == dict.fromkeys(
        demo_data._FILES, demo_data.HELD_OUT_ROWS
    )
    assert not {row["text"] for row in train} & {row["text"] for row in held_out}
    first = train[0]
    assert first["text"] == f"Sentence {first['id'].partition('-')[2]} of {first['genre']}."

    def documents(rows: list[dict[str, str]]) -> set[str]:
        return {row["id"].partition("_")[0] for row in rows if row["genre"] in ("product", "newspaper")}

    assert not documents(train) & documents(held_out)


def test_the_same_files_every_time(source: Path, tmp_path: Path) -> None:
    made = []
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        demo_data.make(source, tmp_path / name)
        made.append((tmp_path / name / demo_data.TRAIN).read_bytes())
    assert made[0] == made[1]


def test_clean() -> None:
    assert demo_data.clean("@anonymous  Tom &amp; Jerry\t http://url_removed !") == "Tom & Jerry !"


def test_distinct() -> None:
    texts = ["A good film.", "a GOOD film", "two words", "A good film indeed"]
    found = demo_data.distinct(Row(str(i), "film", 0.0, text, str(i)) for i, text in enumerate(texts))
    assert [row.text for row in found] == ["A good film.", "A good film indeed"]


def test_pairs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(demo_figures, "PAIRS", 2)
    scores = np.array([[1, 0.9, 0.1], [0.9, 1, -0.5], [0.1, -0.5, 1]], dtype=np.float32)
    texts = demo_ask.Texts(["a", "b", "c"], ["one", "one", "two"])
    near, far = demo_figures.extreme_pairs(texts, scores)
    assert [pair.one.text + pair.other.text for pair in (*near, *far)] == ["ab", "ac", "bc", "ac"]
    assert [round(pair.score, 6) for pair in near] == [0.9, 0.1]
    assert far[0].other.genre == "two"


def test_steps_are_repeated_only_when_their_inputs_change(tmp_path: Path) -> None:
    given, place = tmp_path / "given", tmp_path / "out" / "place"
    given.write_text("one")
    made = []

    def step(settings: str = "") -> None:
        with demo_steps.fresh(place, [given], settings) as draft:
            if draft is not None:
                draft.mkdir()
                (draft / "content").write_text(given.read_text())
                made.append(settings)

    step()
    step()
    assert made == [""]
    given.write_text("two")
    step()
    step("other")
    assert made == ["", "", "other"]
    assert (place / "content").read_text() == "two"


def test_a_step_that_ends_early_is_done_again(tmp_path: Path) -> None:
    place = tmp_path / "place"

    def end_early() -> None:
        with demo_steps.fresh(place, []) as draft:
            assert draft is not None
            draft.mkdir()
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        end_early()
    assert not place.exists()
    with demo_steps.fresh(place, []) as draft:
        assert draft is not None
        draft.mkdir()
    with demo_steps.fresh(place, []) as draft:
        assert draft is None
