"""Embedding jobs through the command, with a client that computes in a few lines: what they leave, and kills."""

from __future__ import annotations

import hashlib
import shutil
import sys
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from penult_client import ActiveDropout, Embeddings, Model, ModelInput, RowError, Uncertainty
from penult_service.cli import options
from penult_service.cli.app import main
from support.wire_numbers import as_text

DIMENSION, CLASSES = 5, 2


def an_input(
    name: str, dtype: str = "string", *, made: bool = False, shape: tuple[int, ...] = ()
) -> ModelInput:
    """An input of a model, a text unless its dtype is another."""
    role = {"string": "text"}.get(dtype, "ids" if made else "value")
    return ModelInput(name=name, dtype=dtype, shape=shape, role=role, limit=0, made_by_tokenizing=made)


class SmallClient:
    """Embeds without a server. `fail` is called with the rows of each request, and may raise; `inputs` are those that
    the model says it has; `facts` and `measured` stand in place of what it says of embeddings and of samples."""

    def __init__(
        self,
        fail: Callable[[list[Any]], None] | None = None,
        inputs: tuple[ModelInput, ...] = (an_input("text"),),
        measured: dict[str, Any] | None = None,
        **facts: Any,
    ) -> None:
        self.requests: list[list[Any]] = []
        self.sampled: list[tuple[int, list[Any]]] = []
        self._fail, self._inputs, self._facts = fail, inputs, facts
        self._measured = measured or {}

    def model(self, name: str | None = None) -> Model:
        """The model, of which only the inputs are looked at."""
        del name
        unread = {
            "readouts": (),
            "poolings": (),
            "labels": (),
            "outputs": (),
            "state_message": "",
            "unread": "",
        }
        words = {
            "format": "",
            "head": "",
            "engine": "",
            "precision": "",
            "tokenizer": "graph",
            "pooling": "pooled",
        }
        flags = {"default": True, "trims_padding": True, "dropout_proven": True, "logits": False}
        return Model(
            name="small",
            version=1,
            state="ready",
            digest="d1",
            max_length=8,
            inputs=self._inputs,
            **unread,
            **words,
            **flags,
        )

    def embed(
        self,
        rows: list[Any],
        *,
        model: str | None = None,
        on_row_error: str = "fail",
        probabilities: bool = False,
        pooling: str = "pooled",
        normalize: bool = False,
        truncate: str = "right",
        layer: str | None = None,
    ) -> Embeddings:
        """Numbers that depend on the row alone; rows with `too long` in them are row errors."""
        del model, on_row_error, truncate
        self.requests.append(rows)
        if self._fail is not None:
            self._fail(rows)
        texts = [as_text(row) for row in rows]
        numbers = [np.random.default_rng(zlib.crc32(text.encode())).random(DIMENSION) for text in texts]
        vectors = np.array(numbers, np.float32)
        facts = {
            "vectors": vectors,
            "probabilities": vectors[:, :CLASSES] if probabilities else None,
            "labels": ("no", "yes") if probabilities else (),
            "token_counts": np.array([len(text.split()) for text in texts], np.int32),
            "truncated": np.array(["none"] * len(texts)),
            "row_errors": self._errors(texts),
            **{"model": "small", "version": 1, "digest": "d1", "space": f"{pooling}-{normalize}"},
            **{"layer": layer or "pooled_output", "pooling": pooling, "normalized": normalize},
            **{"engine": "none", "precision": "float32", "dropout_proven": True},
        }
        return Embeddings(**{**facts, **self._facts})

    def uncertainty(
        self,
        rows: list[Any],
        samples: int = 30,
        layers: Any = "head",
        seed: int | None = None,
        *,
        first_row: int = 0,
        rate: float | None = None,
        model: str | None = None,
        on_row_error: str = "fail",
        truncate: str = "right",
        progress: Any = False,
    ) -> Uncertainty:
        """Numbers that depend on the row, its number and what is asked for alone; `too long` as of `embed`."""
        del model, on_row_error, truncate, progress
        self.sampled.append((first_row, rows))
        told = [
            f"{as_text(row)} {first_row + i} {samples} {layers} {seed} {rate}" for i, row in enumerate(rows)
        ]
        numbers = np.array(
            [np.random.default_rng(zlib.crc32(words.encode())).random(CLASSES + 3) for words in told],
            np.float32,
        )
        facts = {
            "mean": numbers[:, :CLASSES],
            "std": numbers[:, :CLASSES] / 10,
            "clean": numbers[:, :CLASSES],
            "classifier": True,
            "labels": ("no", "yes"),
            "entropy": numbers[:, CLASSES],
            "mutual_information": numbers[:, CLASSES + 1],
            "variation_ratio": numbers[:, CLASSES + 2],
            "predicted": numbers[:, :CLASSES].argmax(axis=1).astype(np.int32),
            "samples": samples,
            "seed": seed,
            "active": (ActiveDropout(path="dropout", layer_class="Dropout", rate=rate or 0.1),),
            "draws": None,
            "token_counts": np.ones(len(rows), np.int32),
            "truncated": np.array(["none"] * len(rows)),
            "row_errors": self._errors([as_text(row) for row in rows]),
            **{"model": "small", "version": 1, "digest": "d1"},
            **{"engine": "none", "precision": "float32", "dropout_proven": True},
        }
        return Uncertainty(**{**facts, **self._measured})

    @staticmethod
    def _errors(texts: list[str]) -> tuple[RowError, ...]:
        return tuple(
            RowError(
                index=i, code="INVALID_ARGUMENT", reason="TEXT_TOO_LONG", field=f"texts[{i}]", message=message
            )
            for i, text in enumerate(texts)
            if "too long" in text
            for message in (f"texts[{i}] is too long",)
        )


def use(client: SmallClient, monkeypatch: pytest.MonkeyPatch) -> SmallClient:
    """Let the commands talk to this client."""

    @contextmanager
    def connected(*_: object) -> Iterator[tuple[SmallClient, None]]:
        yield client, None

    monkeypatch.setattr(options, "connected", connected)
    return client


def embed(*words: object) -> int:
    """Run `penult embed`; the exit code."""
    return main(["embed", *map(str, words), "--progress", "none"])


def contents(folder: Path) -> dict[str, str]:
    """Every file below a folder: its path in it, and the hash of its bytes."""
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


CHANGING = {"open", "os.rename", "os.remove", "os.rmdir", "os.mkdir", "os.truncate", "shutil.rmtree"}
_watchers: list[Callable[[], None]] = []
_hooked = False


@contextmanager
def copies_at_every_step(folder: Path, copies: Path) -> Iterator[list[Path]]:
    """Copies of a folder as it is before each call that opens, renames or removes a file: what a process that is
    killed there leaves behind. Equal ones in a row are one."""
    made: list[Path] = []
    last: dict[str, str] = {}

    def copy() -> None:
        nonlocal last
        now = contents(folder)
        if now != last:
            last = now
            made.append(copies / f"{len(made):04d}")
            shutil.copytree(folder, made[-1])

    _hook()
    _watchers.append(copy)
    try:
        yield made
    finally:
        _watchers.remove(copy)
    copy()


def _hook() -> None:
    """Watch this process' calls; a hook cannot be taken away, so there is one."""
    global _hooked
    if _hooked:
        return
    _hooked = True
    inside = False

    def watch(event: str, _: object) -> None:
        nonlocal inside
        if not _watchers or inside or event not in CHANGING:
            return
        inside = True
        try:
            for watcher in _watchers:
                watcher()
        finally:
            inside = False

    sys.addaudithook(watch)
