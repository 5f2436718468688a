"""The benchmark's own arithmetic: turns, spreads, ceilings, and the page that is written of results."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

SPEED = Path(__file__).parents[2] / "benchmarks" / "speed"


@pytest.fixture(autouse=True)
def _modules(monkeypatch: pytest.MonkeyPatch):
    """The benchmark's modules by their own names, and none of them left behind."""
    before = set(sys.modules)
    monkeypatch.syspath_prepend(str(SPEED))
    monkeypatch.syspath_prepend(str(SPEED / "workers"))
    yield
    for name in set(sys.modules) - before:
        if str(getattr(sys.modules[name], "__file__", "")).startswith(str(SPEED)):
            del sys.modules[name]


def test_sides_take_turns_backwards_every_other_round_and_the_first_once_more():
    import rounds

    asked: list[str] = []
    speeds = iter(range(1, 100))

    def measure(side) -> float:
        asked.append(side.side.id)
        return float(next(speeds))

    sides = [SimpleNamespace(side=SimpleNamespace(id=name)) for name in "AB"]
    found, again = rounds.interleaved(sides, measure, 2)

    assert asked == ["A", "B", "A", "A", "B", "A"]
    assert [each.each for each in found] == [[1.0, 6.0], [2.0, 5.0]]
    assert again.each == [3.0, 4.0]
    assert rounds.noise(found[0], again) == 0.0
    assert rounds.ratios(found[0], found[1]) == {"median": 0.85, "lowest": 0.5, "highest": 1.2}


def test_percentile_is_the_value_that_the_share_does_not_pass():
    import rounds

    values = [float(i) for i in range(1, 1001)]
    assert rounds.percentile(values[::-1], 0.99) == 990.0
    assert rounds.percentile(values, 0.5) == 500.0
    assert rounds.percentile([7.0], 0.99) == 7.0


def test_operations_of_a_text_are_those_of_its_matrix_products():
    import ceiling

    tokens, heads = 7, 12
    width = ceiling.WIDTH // heads
    # Query, key, value, output; the two of the feed-forward part; scores and their sum in every head.
    products = [(tokens, ceiling.WIDTH, ceiling.WIDTH)] * 4
    products += [(tokens, ceiling.WIDTH, ceiling.INNER), (tokens, ceiling.INNER, ceiling.WIDTH)]
    products += [(tokens, width, tokens), (tokens, tokens, width)] * heads
    assert ceiling.operations(tokens) == ceiling.LAYERS * sum(2 * a * b * c for a, b, c in products)


def test_a_ceiling_is_the_better_of_two_measurements_over_the_work_of_a_text():
    import ceiling

    before = {"float32": {"numpy": 100.0, "torch": 50.0}}
    after = {"float32": {"numpy": 90.0, "torch": 120.0}, "bfloat16": {"torch": 300.0}}
    found = ceiling.allowed(before, after, {"two": [3, 5]})
    assert found["libraries"] == {"float32": {"numpy": 100.0, "torch": 120.0}, "bfloat16": {"torch": 300.0}}
    work = (ceiling.operations(3) + ceiling.operations(5)) / 2
    assert found["texts_per_second"]["float32"]["two"] == pytest.approx(120e9 / work)


def test_chunks_are_sorted_by_length_and_answers_come_in_the_order_of_the_texts():
    import served

    sent: list[list[str]] = []

    def send(texts: list[str]) -> np.ndarray:
        sent.append(texts)
        return np.array([[float(len(text))] for text in texts], dtype=np.float32)

    texts = ["ab", "abcd", "a", "abc", "abcde"]
    vectors = served.chunked(send, texts, chunk=2, flying=1)
    assert vectors[:, 0].tolist() == [2.0, 4.0, 1.0, 3.0, 5.0]
    assert sent == [["abcde", "abcd"], ["abc", "ab"], ["a"]]


def test_no_two_calls_of_the_overload_have_a_text_in_common():
    import overload

    texts = [f"text {i}" for i in range(2 * overload.TEXTS)]
    asked = [text for number in range(10) for text in overload.request(texts, number).texts.texts]
    assert len(asked) == len(set(asked)) == 10 * overload.TEXTS


def test_cosines_are_row_by_row():
    import equal

    a = np.array([[1, 0], [1, 1], [2, 0]], dtype=np.float32)
    b = np.array([[3, 0], [1, -1], [-1, 0]], dtype=np.float32)
    np.testing.assert_allclose(equal.cosines(a, b), [1.0, 0.0, -1.0], atol=1e-12)


def test_peers_are_chosen_by_words_of_their_names():
    import sides

    peers = sides.peers(Path("weights"), 2)
    names = {side.id for side in sides.chosen(peers, "infinity,(ONNX")}
    assert names == {
        "infinity (torch), float32",
        "infinity (torch), bfloat16",
        "infinity (ONNX), float32",
        "sentence-transformers (ONNX), float32",
    }
    assert sides.chosen(peers, "all") == peers
    with pytest.raises(SystemExit, match="there is none; there are: infinity"):
        sides.chosen(peers, "nosuch")


def test_every_peer_has_its_environment_with_all_versions_pinned():
    import environments
    import sides

    for name in {side.environment for side in sides.peers(Path("weights"), 2)}:
        lines = (environments.PINS / f"{name}.txt").read_text().split()
        assert lines
        assert all(line.count("==") == 1 and "+" not in line for line in lines)


def _result(precision: str) -> dict:
    each = {"lowest": 90.0, "highest": 110.0, "each": [90.0, 100.0, 110.0], "loads": [0.0] * 3}
    ids = [f"penult, {precision}", f"penult's engine called directly, {precision}", f"library, {precision}"]
    ids.append(f"server, {precision}")
    return {
        "load": "mixed-5000",
        "precision": precision,
        "rates": {name: {**each, "median": 100.0 + i} for i, name in enumerate(ids)},
        "ratios": {
            ids[1]: {"median": 0.97, "lowest": 0.9, "highest": 1.0},
            ids[2]: {"median": 0.9, "lowest": 0.8, "highest": 1.0},
            ids[3]: {"median": 1.5, "lowest": 1.4, "highest": 1.6},
        },
        "kinds": dict(zip(ids, ("server", "in process", "in process", "server"), strict=True)),
        "own": ids[:2],
        "lowest_cosine": dict.fromkeys(ids, 1.0),
        "other_tokens": dict.fromkeys(ids, 0),
        "noise": 0.08,
        "per_processor_second": dict.fromkeys(ids, 50.0),
        "memory": dict.fromkeys(ids, 1 << 20),
    }


def test_the_page_says_what_is_met_and_what_is_missed(tmp_path: Path):
    import report

    found = {
        "results": [_result("float32")],
        "loads": {"mixed-5000": "5,000 texts"},
        "sides": [],
        "failed": [{"id": "mosec (torch), float32", "why": "it ended"}],
        "ceiling": {
            "libraries": {"float32": {"numpy": 150.0}},
            "texts_per_second": {"float32": {"mixed-5000": 200.0}},
        },
        "machine": {"processor": "P", "processors": 2, "abilities": [], "gibibytes": 8, "date": "2026-01-01"},
        "load_before": 0.0,
        "load_after": 0.0,
        "seconds": 1.0,
        "command": "scripts/bench embed",
        "quick": False,
    }
    kept = tmp_path / "speed"
    kept.mkdir()
    (kept / "embed.json").write_text(json.dumps(found))
    text = report.write(tmp_path / "speed.md")

    rows = {line.split(" | ")[0].strip("| "): line for line in text.splitlines()}
    assert rows["float32 through the wire, to the best engine in process: library, float32"].endswith(
        "| 0.90 (0.80 to 1.00) | ≥ 1.0 | **missed** |"
    )
    assert rows["float32 through the wire, to the best peer server: server, float32"].endswith(
        "| ≥ 1.4 | met |"
    )
    assert rows["float32 through the wire, to our own engine called directly"].endswith("| ≥ 0.95 | met |")
    assert rows["float32, share of the processor's ceiling"].endswith("| 50% | 60 % | **missed** |")
    assert "A A differs by 8.0%: **noisy, take the intervals**" in text
    assert "Not measured: mosec (torch), float32: it ended" in text
    assert (kept / "embed.png").stat().st_size > 10_000
    assert (tmp_path / "speed.md").read_text() == text


def test_the_page_that_is_kept_is_what_the_kept_results_make(tmp_path: Path):
    import report

    page = SPEED.parents[2] / "docs" / "speed.md"
    if not page.exists():
        pytest.skip("no page yet")
    kept = tmp_path / "speed"
    kept.mkdir()
    for file in page.with_suffix("").glob("*.json"):
        (kept / file.name).write_bytes(file.read_bytes())
    assert report.write(tmp_path / "speed.md") == page.read_text(encoding="utf-8")
