"""Who is compared: Penult and its peers, what each runs in, and whether its vectors are held to be equal."""

from __future__ import annotations

import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import environments

ROOT = Path(__file__).parents[3]
MODEL = ROOT / ".demo" / "models" / "genre-untrained" / "1"
# Of a text, in both: the demo's model reads no more.
MAX_LENGTH = 128
FLOAT32, BFLOAT16 = "float32", "bfloat16"
ENGINE, SERVER = "in process", "server"
OURS, DIRECT, KERAS = "penult", "penult's engine called directly", "Keras predict(batch_size=32)"


@dataclass(frozen=True)
class Side:
    """One of those compared.

    Attributes:
        name: As tables say it, the precision left out.
        precision: ``float32`` or ``bfloat16``.
        kind: ``in process``, or ``server``: asked through its wire.
        module, options: What `workers/worker.py` is given.
        environment: A file of `environments/`; empty: Penult's own.
        own: Whether it is Penult, or its engine.
        vectors: Whether it gives embeddings.
    """

    name: str
    precision: str
    kind: str
    module: str
    options: dict[str, Any] = field(default_factory=dict)
    environment: str = ""
    own: bool = False
    vectors: bool = True

    @property
    def id(self) -> str:
        """Name and precision."""
        return f"{self.name}, {self.precision}"

    @property
    def python(self) -> Path:
        """Of its environment."""
        return environments.python(self.environment) if self.environment else Path(sys.executable)


def ours(precision: str, threads: int, **more: Any) -> list[Side]:
    """Penult through its wire, and its engine."""
    options = {"model": str(MODEL), "engine": "auto", "precision": precision, "threads": threads}
    return [
        Side(OURS, precision, SERVER, "penult_wire", {**options, **more}, own=True),
        Side(DIRECT, precision, ENGINE, "penult_engine", options, own=True),
    ]


def keras(threads: int) -> Side:
    """The original model, as people call it."""
    return Side(
        KERAS,
        FLOAT32,
        ENGINE,
        "keras_predict",
        {"model": str(MODEL), "threads": threads},
        vectors=False,
    )


def peers(weights: Path, threads: int) -> list[Side]:
    """All of them; a name stands once for each precision."""
    common = {"weights": str(weights), "threads": threads, "max_length": MAX_LENGTH}
    library = "sentence-transformers"
    found = []
    for precision in (FLOAT32, BFLOAT16):
        given = {**common, "precision": precision}
        found += [
            Side(
                f"{library} (torch)", precision, ENGINE, "in_process", {**given, "backend": "torch"}, library
            ),
            Side(
                f"{library} (OpenVINO)",
                precision,
                ENGINE,
                "in_process",
                {**given, "backend": "openvino"},
                library,
            ),
            Side(
                "infinity (torch)",
                precision,
                SERVER,
                "infinity_wire",
                {**given, "engine": "torch"},
                "infinity",
            ),
            Side("pytriton (torch)", precision, SERVER, "pytriton_wire", given, "pytriton"),
            Side("mosec (torch)", precision, SERVER, "mosec_wire", given, library),
        ]
    given = {**common, "precision": FLOAT32}
    found += [
        Side(f"{library} (ONNX)", FLOAT32, ENGINE, "in_process", {**given, "backend": "onnx"}, "onnx"),
        Side("infinity (ONNX)", FLOAT32, SERVER, "infinity_wire", {**given, "engine": "optimum"}, "infinity"),
        # What people get who ask for nothing: it takes bfloat16 by itself where the processor has it.
        Side(
            f"{library} (OpenVINO as it comes)",
            BFLOAT16,
            ENGINE,
            "in_process",
            {**given, "backend": "openvino", "precision": "default"},
            library,
        ),
    ]
    return found


def chosen(found: list[Side], wanted: str) -> list[Side]:
    """Those whose name has one of the words of `wanted` (commas between); SystemExit for a word without a peer."""
    if wanted == "all":
        return found
    words = [word.strip().lower() for word in wanted.split(",") if word.strip()]
    for word in words:
        if not any(word in side.id.lower() for side in found):
            names = "; ".join(sorted({side.name for side in found}))
            sys.exit(f"--peers {word}: there is none; there are: {names}")
    return [side for side in found if any(word in side.id.lower() for word in words)]
