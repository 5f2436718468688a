"""What `choosing` asks the child process: to make the IR, hold engines against TensorFlow, and time them."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from penult_service.decoding import decoded
from penult_service.engines import agreement, pricing
from penult_service.engines.examples import Examples, of_texts
from penult_service.engines.ir import convert
from penult_service.engines.opening import open_engine
from penult_service.engines.timing import Candidate, Stopwatch, best, said
from penult_service.errors import ModelRefused
from penult_service.prepared import Manifest, load_manifest
from penult_service.tokenizing.opening import open_tokenizer
from penult_service.tuned import FLOAT32, OPENVINO, Measured, Price, Setting

Progress = Callable[[str, float], None]

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Job:
    """What the child is asked.

    Attributes:
        directory: The prepared model.
        ir: Where its IR is, or is to be made (an empty directory); None: no setting is of OpenVINO.
        made: Whether the IR is there.
        settings: To be tried, the preferred of equal ones first.
        precision: That was asked for; ``auto``: the best of all.
        texts: To hold the engines against each other.
        time: Whether they are timed; else they are checked alone.
        size: Whether sizes of batches are tried for the best.
        force: Whether any price is accepted.
        allow_ops: Operations that the operator allows beside those of the allow list.
    """

    directory: str
    ir: str | None
    made: bool
    settings: tuple[Setting, ...]
    precision: str
    texts: tuple[str, ...]
    time: bool
    size: bool = True
    force: bool = False
    allow_ops: tuple[str, ...] = ()


@dataclass(frozen=True)
class Found:
    """What the child answers: whether the IR is whole, and of every setting what was measured, and its price.

    `best` is the one to serve with, of those that were timed; None: none was, or none can be used. Where other batches
    suit it, it was measured twice.

    `prices` are those of other precisions, and of OpenVINO; None: TensorFlow in float32, or nothing came of it.
    `crashed`: a child ended without an answer.
    """

    converted: bool
    measured: tuple[Measured, ...]
    prices: tuple[Price | None, ...]
    best: Setting | None = None
    crashed: bool = False


def tune(job: Mapping[str, Any], progress: Progress) -> dict[str, Any]:
    """Runs in the child. The job and the answer are `Job` and `Found` as JSON.

    Raises:
        InvalidInput, ModelRefused: TensorFlow does not load the model.
    """
    asked: Job = decoded(Job, {k: v for k, v in job.items() if k != "what"}, "job")
    return asdict(_Bench(asked, load_manifest(Path(asked.directory)), progress).found())


class _Bench:
    """The settings of a job, held against TensorFlow in float32 and timed."""

    def __init__(self, job: Job, manifest: Manifest, progress: Progress) -> None:
        self._job, self._manifest, self._progress = job, manifest, progress
        self._directory = Path(job.directory)
        threads = job.settings[0].threads if job.settings else 1
        progress("loading TensorFlow", 0.0)
        self._reference, self._functions = open_engine(
            self._directory, manifest, Setting(threads=threads), allow_ops=job.allow_ops
        )
        self._engines: dict[tuple[str, str, int], Any] = {}
        self._prices: dict[tuple[str, str], tuple[Price | None, str]] = {}

    def found(self) -> Found:
        """All that was asked."""
        why_not = self._converted()
        tried = [self._tried(setting, why_not) for setting in self._job.settings]
        ready = [one for one in tried if isinstance(one, Candidate)]
        timed, chosen = (
            self._timed(ready)
            if self._job.time
            else ({one.setting: Measured(one.setting) for one in ready}, None)
        )
        measured = [timed[one.setting] if isinstance(one, Candidate) else one for one in tried]
        if chosen is not None and chosen.setting not in timed:
            measured = [chosen, *measured]
        kinds = [(one.setting.engine, one.setting.precision) for one in measured]
        prices = tuple(self._prices.get(kind, (None, ""))[0] for kind in kinds)
        converted = self._job.ir is not None and not why_not
        return Found(converted, tuple(measured), prices, chosen.setting if chosen else None)

    def _converted(self) -> str:
        """Makes the IR where it is needed; why it could not be made."""
        if self._job.ir is None or self._job.made:
            return ""
        self._progress("converting for OpenVINO", 0.1)
        try:
            convert(self._directory, self._manifest, self._functions, Path(self._job.ir))
        except ModelRefused as refused:
            return refused.message
        return ""

    def _tried(self, setting: Setting, why_not: str) -> Candidate | Measured:
        """The engine of a setting, ready to be timed; or why it cannot be used."""
        if setting.engine == OPENVINO and why_not:
            return Measured(setting, problem=why_not)
        self._progress(f"checking {setting.engine} in {setting.precision}", 0.4)
        try:
            engine = self._reference if _is_reference(setting) else self._opened(setting)
            problem = self._problem(setting, engine)
        except ModelRefused as refused:
            return Measured(setting, problem=refused.message)
        except Exception as error:  # noqa: BLE001  (an engine that breaks on ordinary texts is not used, whatever it says)
            return Measured(setting, problem=f"it failed on ordinary texts: {said(error)}")
        return Measured(setting, problem=problem) if problem else Candidate(setting, engine)

    def _opened(self, setting: Setting) -> Any:
        """Its engine, with the most streams that are tried: it computes a batch that is alone as one stream does."""
        key = _compiled_as(setting)
        if key not in self._engines:
            like = [one for one in self._job.settings if _compiled_as(one) == key]
            most = max(like, key=lambda one: one.streams)
            ir = Path(self._job.ir) if self._job.ir else None
            self._engines[key], _ = open_engine(
                self._directory, self._manifest, most, ir=ir, allow_ops=self._job.allow_ops
            )
        return self._engines[key]

    def _problem(self, setting: Setting, engine: pricing.Computes) -> str:
        """Why what it computes is not accepted; empty when it is. Threads change nothing of it.

        What has streams is held once more in them: they are compiled by themselves.
        """
        kind = (setting.engine, setting.precision)
        if _is_reference(setting):
            return ""
        if kind not in self._prices:
            self._prices[kind] = self._held(setting, engine, alone=True)
        problem = self._prices[kind][1]
        if setting.streams == 1 or problem:
            return problem
        _, fault = self._held(setting, engine, alone=False)
        return f"in {setting.streams} streams: {fault}" if fault else ""

    def _held(self, setting: Setting, engine: pricing.Computes, *, alone: bool) -> tuple[Price, str]:
        """Its price, and why what it computes is not accepted, computed alone or as one of several at once."""
        examples, wanted = self._wanted
        found = pricing.read(engine, self._manifest, examples, alone=alone)
        paid = pricing.price(wanted, found, self._manifest.head)
        if self._job.force and setting.precision != FLOAT32:
            return paid, ""
        fault = (
            pricing.refusal(setting.precision, paid)
            or agreement.outputs_fault(setting.precision, wanted, found)
            or agreement.readouts_fault(
                setting.precision, self._reference, engine, self._manifest, examples, alone=alone
            )
        )
        return paid, fault

    @cached_property
    def _wanted(self) -> tuple[Examples, pricing.Read]:
        """The texts, and what TensorFlow makes of them in float32."""
        tokenizer = open_tokenizer(self._directory, self._manifest, lambda: self._functions)
        examples = of_texts(self._manifest, tokenizer, self._job.texts)
        return examples, pricing.read(self._reference, self._manifest, examples)

    def _timed(self, ready: Sequence[Candidate]) -> tuple[dict[Setting, Measured], Measured | None]:
        """What each did, and the best in the batches that suit it; None: none can be used."""
        self._progress("timing", 0.6)
        with closing(Stopwatch(self._manifest)) as stopwatch:
            timed = {one.setting: one for one in stopwatch.compare(ready)}
            chosen = best(list(timed.values()), self._job.precision)
            if chosen is not None and self._job.size:
                chosen = self._sized(stopwatch, ready, chosen)
        return timed, chosen

    def _sized(self, stopwatch: Stopwatch, ready: Sequence[Candidate], chosen: Measured) -> Measured:
        self._progress("trying sizes of batches", 0.8)
        try:
            return stopwatch.sizes(next(one for one in ready if one.setting == chosen.setting))
        except Exception as error:  # noqa: BLE001  (it did well with the usual ones)
            _log.warning("no other batches are tried: %s", said(error))
            return chosen


def _compiled_as(setting: Setting) -> tuple[str, str, int]:
    """What settings have in common that one engine computes."""
    return setting.engine, setting.precision, setting.threads


def _is_reference(setting: Setting) -> bool:
    return setting.engine != OPENVINO and setting.precision == FLOAT32
