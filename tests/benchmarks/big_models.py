"""Models of full size, random weights: memory and seconds of preparing them, of loading them prepared, and of serving.

    python tests/benchmarks/big_models.py [--only NAME] [--scratch DIR]

BERT base as tf_keras saves it with a hub encoder and as a Hugging Face directory, and both kinds with more than 2 GB of
weights (a large table). Each model is built in a process of its own, and removed when it was measured. A row whose
model needs more memory than is free is left out. Seconds depend on the load, which is printed; those of the processor
(in brackets) and memory hardly do. The tiny model shows what TensorFlow itself takes.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import psutil
from numpy.typing import NDArray
from penult_client import Client
from penult_service.prepared import load_manifest
from penult_service.preparing import launch

sys.path.insert(0, str(Path(__file__).parents[1]))

from servers import server_process  # type: ignore[import-not-found]
from support.tiny_bert import VOCABULARY, sample_texts  # type: ignore[import-not-found]

MB = 1e6
BASE_VOCABULARY = 30_522
LARGE_TABLE = 730_000  # words, 768 wide: 2.24 GB
LONGEST = 900  # seconds for one step
TEXTS = 64
ENDS = (".safetensors", ".data-00000-of-00001")


@dataclass(frozen=True)
class Size:
    """Of a BERT."""

    layers: int
    vocabulary: int
    width: int = 768
    heads: int = 12
    inner: int = 3072
    positions: int = 512

    @property
    def bytes(self) -> int:
        """Of its weights, about."""
        return 4 * self.width * (self.vocabulary + self.layers * (4 * self.width + 2 * self.inner))


BASE, LARGE, TINY = Size(12, BASE_VOCABULARY), Size(1, LARGE_TABLE), Size(1, len(VOCABULARY), 32, 2, 64)
MODELS: dict[str, tuple[str, Size]] = {
    "tiny, SavedModel (TensorFlow's own)": ("hub", TINY),
    "BERT base, SavedModel": ("hub", BASE),
    "BERT base, Hugging Face": ("hf", BASE),
    "over 2 GB, SavedModel": ("table", LARGE),
    "over 2 GB, Hugging Face": ("hf", LARGE),
}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", default="", help="Models whose name holds this.")
    parser.add_argument(
        "--scratch", type=Path, help="Where files are written [default: a temporary directory]."
    )
    parser.add_argument("--build", nargs=2, metavar=("NAME", "DIR"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.build:
        build(arguments.build[0], Path(arguments.build[1]))
        return
    print(
        "| model | weights, MB | preparing: peak, MB (times the weights, beyond TensorFlow's own) | s (processor) "
        "| loaded prepared, s (processor) | serving: peak, MB (times the weights) | load |"
    )
    print("| --- | --- | --- | --- | --- | --- | --- |")
    own: tuple[int, int] | None = None
    for name in MODELS:
        if own is None or arguments.only in name:
            with tempfile.TemporaryDirectory(dir=arguments.scratch) as place:
                found = _measured(name, Path(place))
            own = own or (found.preparing, found.serving) if found else own
            print(
                f"| {name} | {found.row(own) if found and own else 'left out: too little free memory'} |",
                flush=True,
            )


@dataclass(frozen=True)
class Found:
    """Of one model: bytes; seconds on the clock and of the processor."""

    weights: int
    preparing: int
    prepare_seconds: tuple[float, float]
    load_seconds: tuple[float, float]
    serving: int

    def row(self, own: tuple[int, int]) -> str:
        """Its cells; `own` is what a model without weights takes, in preparing and in serving."""
        preparing, serving = (
            f"{size / MB:,.0f} ({max(size - least, 0) / max(self.weights, MB):.1f})"
            for size, least in zip((self.preparing, self.serving), own, strict=True)
        )
        prepare, load = (f"{s:.0f} ({cpu:.0f})" for s, cpu in (self.prepare_seconds, self.load_seconds))
        return f"{self.weights / MB:,.0f} | {preparing} | {prepare} | {load} | {serving} | {os.getloadavg()[0]:.1f}"


def _measured(name: str, place: Path) -> Found | None:
    """None: there is not memory enough for it."""
    if psutil.virtual_memory().available < 3 * MODELS[name][1].bytes + (2 << 30):
        return None
    command = (sys.executable, __file__, "--build", name, str(place / "model"))
    subprocess.run(command, check=True, timeout=LONGEST, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    weights = sum(path.stat().st_size for path in (place / "model").rglob("*") if path.name.endswith(ENDS))
    started, before = time.monotonic(), _of_children()
    prepared = launch.prepare(
        place / "model", output=place / "prepared", cache=place, timeout=LONGEST, memory_limit=9 << 30
    )
    seconds, peak = time.monotonic() - started, load_manifest(prepared).cost.peak_bytes
    used = _of_children() - before
    return Found(weights, peak, (seconds, used), *_served(prepared, place))


def _of_children() -> float:
    """Seconds of the processor that processes begun here have used, as far as they have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _served(prepared: Path, place: Path) -> tuple[tuple[float, float], int]:
    """Seconds from the start to the first embedding; the most bytes resident, `TEXTS` texts of any length later."""
    (place / "log").mkdir()
    with server_process(str(prepared), place / "data", place / "log") as (process, address, started):
        with Client(address, timeout=LONGEST) as client:
            client.embed(["the first text"])
            used = process.cpu_times()
            loaded = time.monotonic() - started, used.user + used.system
            client.embed(sample_texts(TEXTS, longest=200), probabilities=True)
        status = Path(f"/proc/{process.pid}/status").read_text()
        most = next(int(line.split()[1]) << 10 for line in status.splitlines() if line.startswith("VmHWM"))
        return loaded, most


# Building


def build(name: str, place: Path) -> None:
    """Saves the model of that name."""
    kind, size = MODELS[name]
    if kind == "hf":
        write_hf(place, size, classifier=True)
        return
    import tf_keras

    text = tf_keras.layers.Input(shape=(), dtype="string", name="text")
    with tempfile.TemporaryDirectory(dir=place.parent) as scratch:  # saving takes the vocabulary from there
        pooled = _bert(text, size, Path(scratch)) if kind == "hub" else _table(text, size)
        dropped = tf_keras.layers.Dropout(0.1, name="dropout")(pooled)
        tf_keras.Model(text, tf_keras.layers.Dense(1, "sigmoid", name="output")(dropped)).save(str(place))


def _bert(text: object, size: Size, scratch: Path) -> object:
    import tensorflow_hub as hub
    from penult_service.preparing.convert import convert

    write_hf(scratch / "bert", size, classifier=False)
    made = convert(scratch / "bert", scratch / "hub")
    tokens = hub.KerasLayer(str(made.preprocessor), name="preprocessing")(text)
    return hub.KerasLayer(str(made.encoder), trainable=True, name="encoder")(tokens)["pooled_output"]


def _table(text: object, size: Size) -> object:
    import tf_keras

    words = tf_keras.layers.TextVectorization(
        vocabulary=list(VOCABULARY), output_sequence_length=64, name="words"
    )
    vectors = tf_keras.layers.Embedding(size.vocabulary, size.width, mask_zero=True, name="vectors")(
        words(text)
    )
    return tf_keras.layers.GlobalAveragePooling1D(name="average")(vectors)


def write_hf(place: Path, size: Size, *, classifier: bool) -> None:
    """A Hugging Face directory; weights are drawn and written one by one."""
    place.mkdir(parents=True)
    config = {
        "architectures": ["BertForSequenceClassification" if classifier else "BertModel"],
        "model_type": "bert",
        "vocab_size": size.vocabulary,
        "hidden_size": size.width,
        "num_hidden_layers": size.layers,
        "num_attention_heads": size.heads,
        "intermediate_size": size.inner,
        "max_position_embeddings": size.positions,
        "type_vocab_size": 2,
        "hidden_act": "gelu",
        "hidden_dropout_prob": 0.1,
        "attention_probs_dropout_prob": 0.1,
        "layer_norm_eps": 1e-12,
        "id2label": {"0": "negative", "1": "positive"},
    }
    (place / "config.json").write_text(json.dumps(config))
    more = range(min(size.vocabulary, BASE_VOCABULARY) - len(VOCABULARY))
    words = [*VOCABULARY, *(f"[unused{number}]" for number in more)]
    (place / "vocab.txt").write_text("".join(f"{word}\n" for word in words), encoding="utf-8")
    _write_tensors(place / "model.safetensors", _shapes(size, "bert." if classifier else "", classifier))


def _shapes(size: Size, prefix: str, classifier: bool) -> dict[str, tuple[int, ...]]:
    shapes: dict[str, tuple[int, ...]] = {}

    def add(name: str, *shape: int, bias: bool = True) -> None:
        shapes[f"{name}.weight"] = shape
        if bias:
            shapes[f"{name}.bias"] = shape[:1]

    width, inner = size.width, size.inner
    for name, rows in {"word": size.vocabulary, "position": size.positions, "token_type": 2}.items():
        add(f"{prefix}embeddings.{name}_embeddings", rows, width, bias=False)
    add(f"{prefix}embeddings.LayerNorm", width)
    for index in range(size.layers):
        layer = f"{prefix}encoder.layer.{index}"
        for name in ("self.query", "self.key", "self.value", "output.dense"):
            add(f"{layer}.attention.{name}", width, width)
        add(f"{layer}.attention.output.LayerNorm", width)
        add(f"{layer}.intermediate.dense", inner, width)
        add(f"{layer}.output.dense", width, inner)
        add(f"{layer}.output.LayerNorm", width)
    add(f"{prefix}pooler.dense", width, width)
    if classifier:
        add("classifier", 2, width)
    return shapes


def _write_tensors(path: Path, shapes: dict[str, tuple[int, ...]]) -> None:
    """As safetensors: the length of the header, the header, the values. The library would want all of them at once."""
    rng, offset, header = np.random.default_rng(0), 0, {}
    for name, shape in shapes.items():
        end = offset + 4 * int(np.prod(shape))
        header[name] = {"dtype": "F32", "shape": list(shape), "data_offsets": [offset, end]}
        offset = end
    told = json.dumps(header).encode()
    with path.open("wb") as file:
        file.write(len(told).to_bytes(8, "little") + told)
        for name, shape in shapes.items():
            _values(rng, name, shape).tofile(file)


def _values(rng: np.random.Generator, name: str, shape: tuple[int, ...]) -> NDArray[np.float32]:
    values = rng.standard_normal(shape, np.float32)
    values *= np.float32(0.05)
    return values + np.float32(1) if "LayerNorm.weight" in name else values


if __name__ == "__main__":
    main()
