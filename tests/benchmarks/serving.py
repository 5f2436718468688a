"""How fast a model is served: over the wire against Keras' own predict, and from start to the first answer.

Run by `scripts/bench serving MODEL [--texts FILE]`; both sides take turns in one run, and the ratio is what counts.
"""

from __future__ import annotations

import argparse
import csv
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import psutil
from penult_client import Client

ROUNDS = 5
TEXTS = 512


def main() -> None:
    arguments = _arguments()
    texts = _texts(arguments.texts)
    lengths = [len(text.split()) for text in texts]
    print(f"{len(texts)} texts of {np.mean(lengths):.1f} words on average ({min(lengths)} to {max(lengths)})")
    with tempfile.TemporaryDirectory() as data:
        cold = _first_answer(arguments.model, Path(data))
        warm = _first_answer(arguments.model, Path(data))
        print(
            f"first answer, not prepared yet: {cold[0]:6.1f} s, {cold[1] / 2**20:,.0f} MiB resident in the server"
        )
        print(
            f"first answer, prepared before:  {warm[0]:6.1f} s, {warm[1] / 2**20:,.0f} MiB resident in the server"
        )
        if not arguments.start_only:
            _against_keras(arguments.model, Path(data), texts)


def _against_keras(model: Path, data: Path, texts: list[str]) -> None:
    predict = _keras_predict(model)
    with Client.open(model, data=str(data)) as client:
        embed = lambda: client.embed(texts, probabilities=True)  # noqa: E731
        ours = embed()
        expected = predict(texts)
        probability = ours.probabilities[:, -1:] if expected.shape[1] == 1 else ours.probabilities
        print(f"largest difference of a probability from Keras': {np.abs(probability - expected).max():.2e}")
        seconds: dict[str, list[float]] = {"penult": [], "keras": []}
        for _ in range(ROUNDS):
            seconds["penult"].append(_timed(embed))
            seconds["keras"].append(_timed(lambda: predict(texts)))
    for name, taken in seconds.items():
        rates = sorted(len(texts) / s for s in taken)
        print(f"{name:7s} {statistics.median(rates):7.1f} texts/s ({rates[0]:.1f} to {rates[-1]:.1f})")
    ratios = sorted(k / p for p, k in zip(seconds["penult"], seconds["keras"], strict=True))
    print(
        f"ratio, round by round: {statistics.median(ratios):.2f} ({ratios[0]:.2f} to {ratios[-1]:.2f}); "
        f"load {os.getloadavg()[0]:.1f} on {os.cpu_count()} processors"
    )


def _keras_predict(model: Path) -> Callable[[list[str]], np.ndarray]:
    """The original model's predict as people call it: batches of 32, every text padded to its full length."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    import tensorflow as tf
    import tensorflow_text  # noqa: F401
    import tf_keras

    original = tf_keras.models.load_model(str(model), compile=False)
    return lambda texts: np.asarray(original.predict(tf.constant(texts), batch_size=32, verbose=0))


def _first_answer(model: Path, data: Path) -> tuple[float, int]:
    """Seconds from starting `penult serve` to an embedding in hand, and the server's resident bytes then."""
    with tempfile.TemporaryDirectory() as place:
        address = Path(place) / "address"
        started = time.monotonic()
        with _serving(model, data, address) as server:
            while not address.exists():
                _alive(server)
                time.sleep(0.02)
            with Client(address.read_text().strip(), timeout=900) as client:
                while not all(m.state == "ready" for m in client.models()):
                    _alive(server)
                    time.sleep(0.02)
                client.embed(["a film that is both funny and sad"])
                return time.monotonic() - started, psutil.Process(server.pid).memory_info().rss


@contextmanager
def _serving(model: Path, data: Path, address: Path) -> Iterator[subprocess.Popen[bytes]]:
    command = [
        sys.executable,
        "-m",
        "penult_service",
        "serve",
        str(model),
        "--data",
        str(data),
        "--port",
        "0",
    ]
    server = subprocess.Popen([*command, "--address-file", str(address)], stderr=subprocess.DEVNULL)
    try:
        yield server
    finally:
        server.terminate()
        server.wait()


def _alive(server: subprocess.Popen[bytes]) -> None:
    if server.poll() is not None:
        sys.exit(f"penult serve ended with exit code {server.returncode}")


def _timed(call: Callable[[], object]) -> float:
    started = time.perf_counter()
    call()
    return time.perf_counter() - started


def _texts(path: Path) -> list[str]:
    with path.open(encoding="utf-8", newline="") as file:
        texts = [row["text"] for row in csv.DictReader(file)][:TEXTS]
    if len(texts) < TEXTS:
        sys.exit(f"{path} has {len(texts)} rows; {TEXTS} are needed")
    return texts


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("model", type=Path, help="a tf_keras SavedModel")
    parser.add_argument(
        "--texts", type=Path, required=True, help=f"a csv with a column `text`, {TEXTS} rows or more"
    )
    parser.add_argument("--start-only", action="store_true", help="only the time to the first answer")
    return parser.parse_args()


if __name__ == "__main__":
    main()
