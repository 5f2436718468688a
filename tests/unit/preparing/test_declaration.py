"""`penult.toml`: what it may say, where it lies, and that whatever is wrong in it is told with its line."""

from __future__ import annotations

import json
import os
import random
import re
import textwrap
import tomllib
from pathlib import Path
from typing import Any

import pytest
from penult_service.errors import InvalidInput
from penult_service.preparing.declarations import declaring
from penult_service.preparing.declarations.declaration import NOTHING, Declaration
from penult_service.preparing.declarations.declaring import read
from penult_service.preparing.declarations.toml_lines import DEEPEST, TooDeep, lines_of

ALL = """
# A classifier of film reviews.
labels = ["negative", "positive"]
head = "sigmoid"
output = "probability"
readouts = [
    "pooled",   # the default
    "encoder/layer_11",
]
signature = "serving_default"
tags = ["serve"]
tokenizer = ["vocab.txt", "words/merges.txt"]
max_length = 128
pooling = "mean"
engine = "auto"
warm_up = ["a good film", ""]

[dropout]
"head.dropout" = 0.1
other = 0

[inputs]
title = "text"
price = "value"
"""
SAID = Declaration(
    labels=("negative", "positive"),
    head="sigmoid",
    output="probability",
    readouts=("pooled", "encoder/layer_11"),
    dropout={"head.dropout": 0.1, "other": 0.0},
    signature="serving_default",
    tags=("serve",),
    inputs={"title": "text", "price": "value"},
    max_length=128,
    pooling="mean",
    engine="auto",
    warm_up=("a good film", ""),
)


@pytest.fixture
def model(tmp_path: Path) -> Path:
    place = tmp_path / "here" / "reviews"
    (place / "words").mkdir(parents=True)
    (place / "vocab.txt").write_text("[PAD]\n")
    (place / "words" / "merges.txt").write_text("")
    return place


def wrong(model: Path, content: str | bytes, name: str = "penult.toml") -> tuple[int, str]:
    """Line and message of the error that reading it gives; both name the file."""
    path = model / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    with pytest.raises(InvalidInput) as caught:
        read(model)
    error = caught.value
    assert error.reason == "BAD_DECLARATION"
    assert error.metadata["file"] == str(path)
    line = error.metadata["line"]
    assert error.message.startswith(f"{path}, line {line}: " if line else f"{path}: ")
    return int(line or 0), error.message.partition(f"{path}")[2]


# What it says


def test_every_key(model: Path) -> None:
    (model / "penult.toml").write_text(ALL)
    files = tuple(str(model.resolve() / name) for name in ("vocab.txt", "words/merges.txt"))
    said = read(model)
    assert said == Declaration(**{**vars(SAID), "tokenizer": files})
    assert list(said.inputs) == ["title", "price"]  # the order that tuples are given in
    assert Declaration.from_json(json.loads(json.dumps(said.to_json()))) == said


def test_nothing_is_declared(model: Path) -> None:
    assert read(model) == NOTHING
    (model / "penult.toml").write_text("# later\n")
    assert read(model) == NOTHING
    assert Declaration.from_json(json.loads(json.dumps(NOTHING.to_json()))) == NOTHING


def test_a_file_as_editors_on_windows_write_it(model: Path) -> None:
    (model / "penult.toml").write_bytes(b'\xef\xbb\xbfhead = "softmax"\r\nlabels = [\r\n"a",\r\n"b"]\r\n')
    assert read(model) == Declaration(head="softmax", labels=("a", "b"))
    line, _ = wrong(model, b'\xef\xbb\xbfhead = "softmax"\r\nlabels = [\r\n"a",\r\n"a"]\r\n')
    assert line == 4


# Where it lies


def test_the_nearer_one_overrides_key_by_key(model: Path) -> None:
    beside = model.parent / "penult.toml"
    beside.write_text('labels = ["a", "b"]\npooling = "cls"\ndropout = { one = 0.1, two = 0.2 }\n')
    assert read(model).pooling == "cls"
    (model / "penult.toml").write_text('pooling = "max"\ndropout.one = 0.3\n')
    assert read(model) == Declaration(labels=("a", "b"), pooling="max", dropout={"one": 0.3})


def test_of_a_version_the_one_above_holds_too(tmp_path: Path) -> None:
    version = tmp_path / "models" / "reviews" / "3"
    version.mkdir(parents=True)
    (version.parent / "penult.toml").write_text('head = "softmax"\nmax_length = 64\n')
    (version / "penult.toml").write_text("max_length = 32\n")
    assert read(version) == Declaration(head="softmax", max_length=32)
    (tmp_path / "models" / "penult.toml").write_text('engine = "auto"\n')  # of the models, not of this one
    assert read(version) == Declaration(head="softmax", max_length=32)


def test_of_a_file_the_one_of_its_name_is_nearest(tmp_path: Path) -> None:
    folder = tmp_path / "reviews"
    folder.mkdir()
    for name in ("good.keras", "other.h5"):
        (folder / name).touch()
    (tmp_path / "penult.toml").write_text("max_length = 8\n")
    (folder / "penult.toml").write_text('head = "softmax"\nmax_length = 64\n')
    (folder / "good.penult.toml").write_text('head = "sigmoid"\n')
    assert read(folder / "good.keras") == Declaration(head="sigmoid", max_length=64)
    assert read(folder / "other.h5") == Declaration(head="softmax", max_length=64)
    version = folder.rename(tmp_path / "7")
    (version / "penult.toml").unlink()
    assert read(version / "good.keras") == Declaration(head="sigmoid", max_length=8)


def test_an_error_names_the_file_that_it_is_in(model: Path) -> None:
    (model.parent / "penult.toml").write_text('\nlabels = ["a", "b", "c"]\n')
    (model / "penult.toml").write_text('head = "sigmoid"\n')
    with pytest.raises(InvalidInput) as caught:
        read(model)
    assert caught.value.message.startswith(
        f"{model.parent / 'penult.toml'}, line 2: a sigmoid has two classes"
    )


# What is wrong, on which line

WRONG = {
    "an unknown key": ("# one\n\nlabel = 1\n", 3, "there is no key 'label'; did you mean labels?"),
    "a key with a dash": ("max-length = 3", 1, "did you mean max_length?"),
    "a key like no other": ("x = 3", 1, "there is no key 'x'; there is labels, head, output"),
    "a table that is none": ("max_length = 9\n[droput]\nx = 0.1", 2, "did you mean dropout?"),
    "a word of no list": ('head = "sigmoids"', 1, "head cannot be 'sigmoids'; did you mean sigmoid?"),
    "another word": ('\nhead = "crf"', 2, "there is sigmoid, softmax, logits, multi-label, regression"),
    "an engine that is not there": ('engine = "torch"', 1, "there is auto, tensorflow"),
    "a pooling": ('pooling = "avg"', 1, "there is pooled, cls, mean, max"),
    "no list": ('labels = "a, b"', 1, "labels is a list"),
    "an empty list": ("labels = []", 1, "labels is empty"),
    "a label of another type": ('labels = [\n  "a",\n  # two\n  2,\n]', 4, "labels takes text in quotes, not 2"),
    "a label twice": ('labels = ["a",\n"b", "a"]', 2, "labels has 'a' twice"),
    "a label without a name": ('labels = ["a",\n\n" "]', 3, "empty name"),
    "a label that cannot be shown": (r'labels = ["a", "\u001b[2J"]', 1, "cannot be shown"),
    "in several lines of text": ('warm_up = ["""\nx\n"""]\npooling = """\ny"""', 4, "pooling cannot be 'y'"),
    "a rate of one": ("dropout = { a = 0.1, b = 1.0 }", 1, "from 0 to below 1, not 1.0"),
    "a rate below 0": ("[dropout]\na = 0.1\n\nb = -0.1", 4, "not -0.1"),
    "a rate that is no number": ("dropout.a = nan", 1, "not nan"),
    "a rate of another type": ('[dropout]\n"a.b" = true', 2, "not true"),
    "a name with a dot": ("[dropout]\na = 0.1\nencoder.drop = 0.1", 3, 'in quotes: "encoder.drop"'),
    "a name that is empty": ('[inputs]\n"" = "text"', 2, "inputs has an empty name"),
    "no table": ("inputs = [1]", 1, "inputs is a table"),
    "a role": ('[inputs]\na = "text"\nb = "txet"\n', 3, "inputs cannot be 'txet'; did you mean text?"),
    "a length": ("max_length = 0", 1, "from 1 to 1,000,000, not 0"),
    "a length that is a truth": ("max_length = true", 1, "not true"),
    "a length in quotes": ('max_length = "128"', 1, "not '128'"),
    "a file that is not there": ('tokenizer = ["vocab.txt",\n"gone.txt"]', 2, "no file 'gone.txt' beside this one"),
    "a folder": ('tokenizer = ["words"]', 1, "no file 'words'"),
    "a file elsewhere": ('tokenizer = ["../../x"]', 1, "outside the folder"),
    "a file of the system": ('tokenizer = ["/etc/passwd"]', 1, "outside the folder"),
    "classes of a number": ('head = "regression"\nlabels = ["a"]', 2, "a regression has no classes"),
    "three of two": ('labels = ["a", "b", "c"]\nhead = "sigmoid"', 1, 'head = "multi-label"'),
    "one of two": ('labels = ["a"]\nhead = "softmax"', 1, "two classes or more"),
    "no TOML": ("head = 'softmax'\nlabels = [1,\n", 3, "it is not TOML"),
    "a key twice": ("max_length = 1\n\nmax_length = 2\n", 3, "it is not TOML: Cannot overwrite a value"),
    "a word without quotes": ("\n\nhead = softmax\n", 3, "it is not TOML: Invalid value"),
    "too deep": ("labels = " + "[" * 100_000, 1, "nested so deep"),
    "too many dots": ("\n" + "a." * 50_000 + "a = 1", 2, "nested so deep"),
    "too deep in a table": ("dropout = {" + "a.{" * 3 + "b." * 50_000, 1, ""),
}  # fmt: skip


@pytest.mark.parametrize(("content", "line", "says"), WRONG.values(), ids=WRONG.keys())
def test_what_is_wrong_is_told_with_its_line(model: Path, content: str, line: int, says: str) -> None:
    found, message = wrong(model, content)
    assert found == line
    assert says in message
    assert len(message) < 400


@pytest.mark.parametrize(
    "content",
    [
        "max_length = " + "9" * 50_000,
        "max_length = " + "9" * 4000,
        f'head = "{"a" * 50_000}"',
        "a" * 50_000 + " = 1",
        f'labels = ["{"a" * 50_000}", "{"a" * 50_000}"]',
        f'tokenizer = ["{"a" * 50_000}"]',
        f"[dropout]\n{'a' * 50_000}.b = 1",
        f'modules = {{ a = "{"a" * 50_000}" }}',
    ],
)
def test_a_message_has_a_bearable_length(model: Path, content: str) -> None:
    assert len(wrong(model, content)[1]) < 600


def test_other_bytes_than_text(model: Path) -> None:
    line, message = wrong(model, b'# one\nhead = "\xff"\n')
    assert (line, "not UTF-8" in message) == (2, True)
    assert "larger than" in wrong(model, b"#" * (declaring.MAX_BYTES + 1))[1]


def test_what_is_no_file(model: Path) -> None:
    path = model / "penult.toml"
    os.mkfifo(path)
    with pytest.raises(InvalidInput, match="it is no file"):
        read(model)
    path.unlink()
    path.symlink_to(model / "gone")
    with pytest.raises(InvalidInput, match="it is no file"):
        read(model)


def test_a_link_out_of_the_folder_is_no_tokenizer_file(model: Path, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("mine")
    (model / "vocab.txt").unlink()
    (model / "vocab.txt").symlink_to(tmp_path / "secret")
    assert "outside the folder" in wrong(model, 'tokenizer = ["vocab.txt"]')[1]


# The lines


def written(
    value: Any, at: tuple[Any, ...], line: int, chance: random.Random
) -> tuple[str, int, dict[Any, int]]:
    """The value as TOML with lines broken anywhere, the line that it ends on, and the line of each element."""
    if not isinstance(value, list):
        return json.dumps(value), line, {}
    text, lines = "[", {}
    for number, element in enumerate(value):
        gap = chance.choice(["", " ", "\n", "# ], } = '\"\n", "\n\n\t"])
        text, line = text + gap, line + gap.count("\n")
        lines[(*at, number)] = line
        inner, line, more = written(element, (*at, number), line, chance)
        text, lines = f"{text}{inner},", lines | more
    return text + "]", line, lines


@pytest.mark.parametrize("seed", range(200))
def test_the_line_of_every_key_and_element(seed: int) -> None:
    chance = random.Random(seed)
    words = ["a", "b.c", 'say "x"', "it's", "x = [", "#", "{", ""]

    def value(depth: int) -> Any:
        if depth and chance.random() < 0.5:
            return [value(depth - 1) for _ in range(chance.randrange(4))]
        return chance.choice([*words, 7, -1, True])

    text, line = "", 1
    expected: dict[tuple[Any, ...], int] = {}
    table: tuple[str, ...] = ()
    for number in range(8):
        kind = chance.random()
        if kind < 0.2:
            table = (chance.choice(words) + str(number),)
            text, expected[table] = f"{text}[{json.dumps(table[0])}] # x\n", line
            line += 1
        elif kind < 0.4:
            gap = chance.choice(["\n", "# 'a' = [ {\n", "  \t\n"])
            text, line = text + gap, line + 1
        else:
            key = (*table, chance.choice(words) + str(number))
            piece, end, inner = written(value(3), key, line, chance)
            text += f"{json.dumps(key[-1])} = {piece}\n"
            expected |= {key: line, **inner}
            line = end + 1
    told = tomllib.loads(text)  # it is TOML
    assert lines_of(text) == expected
    assert set(told) == {path[0] for path in expected}


def test_where_a_file_goes_wrong_the_lines_before_are_known_and_the_rest_is_not_read() -> None:
    assert lines_of("a = 1\nb =\nc = 1") == {("a",): 1, ("b",): 2}
    chance = random.Random(5)
    pieces = [
        "[",
        "]",
        "{",
        "}",
        "=",
        ",",
        ".",
        "\n",
        "a",
        "1",
        '"',
        '"""',
        "'",
        "\\",
        "#",
        " ",
        "\r",
        "é",
        "[[",
    ]
    lost = 0
    for _ in range(3_000):
        text = "".join(chance.choice(pieces) for _ in range(chance.randrange(1, 24)))
        try:
            told = set(tomllib.loads(text))
        except tomllib.TOMLDecodeError:
            lost += 1
            lines_of(text)
        else:
            assert told == {path[0] for path in lines_of(text)}, text
    assert lost < 3_000


def test_nesting_has_a_bound() -> None:
    lines_of("a." * (DEEPEST - 1) + "b = 1")
    with pytest.raises(TooDeep) as caught:
        lines_of("\n" + "a." * DEEPEST + "b = 1")
    assert caught.value.line == 2


# The page for people


def test_the_page_names_every_key_and_its_example_is_one(model: Path) -> None:
    assert list(declaring._KEYS) == list(Declaration.__dataclass_fields__)
    page = (Path(__file__).parents[3] / "docs" / "declaration.md").read_text(encoding="utf-8")
    assert re.findall(r"^\| `(\w+)` \|", page, re.MULTILINE) == list(Declaration.__dataclass_fields__) != []
    example = "".join(line for line in page.splitlines(keepends=True) if line.startswith("    "))
    (model / "penult.toml").write_text(textwrap.dedent(example))
    said = read(model)
    assert said.head == "logits"
    assert list(said.inputs) == ["title", "body"]
