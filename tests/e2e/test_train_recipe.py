"""`penult convert` and `penult train bert` as people run them, up to the interrupt key."""

from __future__ import annotations

import csv
import json
import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import pytest
from penult_service.cli.app import main
from support.tiny_bert import sample_texts, write_tiny_bert

pytestmark = pytest.mark.tensorflow

ENVIRON = {**os.environ, "CUDA_VISIBLE_DEVICES": "-1"}
PENULT = [sys.executable, "-c", "import sys; from penult_service.cli.app import main; sys.exit(main())"]


def write_rows(path: Path, rows: int) -> Path:
    texts = sample_texts(rows, longest=8)
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["page", "words", "verdict"])
        for index, text in enumerate(texts):
            writer.writerow([index // 4, f"{'good great' if index % 2 else 'bad awful'} {text}", index % 2])
    return path


@pytest.fixture(scope="module")
def hf_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_bert(tmp_path_factory.mktemp("hf") / "bert", layers=1)


@pytest.fixture(scope="module")
def hub(hf_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    output = tmp_path_factory.mktemp("hub") / "tiny"
    assert main(["convert", str(hf_dir), "--output", str(output), "--max-length", "32"]) == 0
    return output


def test_trained_from_a_hugging_face_directory(
    hf_dir: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    import tensorflow_text  # noqa: F401
    import tf_keras

    rows = write_rows(tmp_path / "rows.csv", 240)
    columns = ["--text-column", "words", "--label-column", "verdict", "--group-column", "page"]
    layers = ["--weights", hf_dir, "--max-length", "32"]
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(scratch))
    settings = ["--epochs", "4", "--learning-rate", "3e-3", "--batch-size", "16", "--valid-fraction", "0.2"]
    output = tmp_path / "models" / "verdicts"
    command = ["train", "bert", "--train", rows, "--output", output, *columns, *layers, *settings]
    assert main([str(word) for word in command]) == 0
    said = capsys.readouterr()
    assert not any(path.name.startswith("penult-weights-") for path in scratch.iterdir())
    record = json.loads((output / "1" / "training.json").read_text())
    accuracy = record["metrics"]["held_out_accuracy"]
    assert accuracy > 0.9
    assert record["metrics"]["held_out_rows"] == 48
    assert f"held-out accuracy {accuracy:.3f} on 48 rows" in said.out
    assert said.out.endswith(f"saved {output}/1\n")
    assert "epoch 4: 13 of 13" in said.err
    model = tf_keras.models.load_model(str(output / "1"))
    chances = model.predict(np.array(["good great film", "bad awful film"]), verbose=0)[:, 0]
    assert chances[0] > 0.5 > chances[1]
    assert json.loads((output / "1" / "labels.json").read_text()) == ["0", "1"]


def test_interrupted_leaves_nothing_behind(hub: Path, tmp_path: Path) -> None:
    rows = write_rows(tmp_path / "rows.csv", 120)
    output = tmp_path / "models" / "verdicts"
    arguments = ["--train", rows, "--text-column", "words", "--label-column", "verdict", "--output", output]
    arguments += ["--encoder", hub / "encoder", "--preprocessor", hub / "preprocessor"]
    arguments += ["--max-length", "32", "--epochs", "100000", "--learning-rate", "1e-5"]
    command = [*PENULT, "train", "bert", *map(str, arguments)]
    process = subprocess.Popen(command, env=ENVIRON, stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    lines = []
    for line in process.stderr:
        lines.append(line.partition(":")[0])
        if line.startswith("epoch 1:"):
            process.send_signal(signal.SIGINT)
            break
    process.stderr.read()
    assert process.wait(timeout=60) == 130
    # Nor anything that TensorFlow says when it starts.
    assert lines == ["loading", "epoch 1"]
    assert not output.exists()


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (
            ["--weights", "W", "--encoder", "E"],
            2,
            "name --weights HF_DIR, or both --encoder and --preprocessor",
        ),
        (["--encoder", "E"], 2, "name --weights HF_DIR, or both --encoder and --preprocessor"),
        (["--weights", "W", "--valid", "V", "--valid-fraction", "0.1"], 2, "not both"),
        (["--weights", "W", "--epochs", "0"], 2, "epochs is 0; it must be at least 1"),
        (
            ["--weights", "W", "--label-column", "kind"],
            2,
            "line 2 has no column 'kind'; there are 'page', 'words'",
        ),
        (["--weights", "W"], 2, "W is not a directory"),
    ],
)
def test_what_cannot_be_trained_is_said_in_a_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], code: int, words: str
) -> None:
    rows = write_rows(tmp_path / "rows.csv", 8)
    columns = ["--text-column", "words", "--label-column", "verdict"]
    command = ["train", "bert", "--train", str(rows), "--output", str(tmp_path / "m"), *columns, *arguments]
    assert main(command) == code
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("error: ")
    assert words in line
    assert not (tmp_path / "m").exists()
