"""Read, cut, prove, write: a model that a person saved becomes a prepared model. Runs in the child process."""

from __future__ import annotations

import resource
import sys
import time
from collections.abc import Callable, Collection
from contextlib import suppress
from dataclasses import replace
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from penult_service.errors import ModelRefused
from penult_service.files import new_directory
from penult_service.guard import prepared as guard
from penult_service.guard.random_ops import RANDOM_OPS
from penult_service.prepared import (
    MANIFEST_NAME,
    NO_LIMIT,
    TOKENIZER_FILE,
    Cost,
    Head,
    Manifest,
    Proof,
)
from penult_service.preparing import layers, parts, probe, reloading
from penult_service.preparing.beside import with_tokenizer
from penult_service.preparing.declarations.declaration import NOTHING, Declaration
from penult_service.preparing.declarations.declared import as_declared, readouts_first
from penult_service.preparing.examples import Examples, fields_of
from penult_service.preparing.graph import flatten
from penult_service.preparing.heads import head_of
from penult_service.preparing.identity import PREPARER, file_hashes, model_digest
from penult_service.preparing.inspecting.inspection import inspect
from penult_service.preparing.opened import Opened
from penult_service.preparing.opening import open_model
from penult_service.preparing.places import Seams
from penult_service.preparing.proof import experiment, keras_oracle, sampling
from penult_service.preparing.proof.company import first_that_mixes
from penult_service.preparing.proof.served import Served
from penult_service.preparing.proof.structure import AS_SERVED, Structure
from penult_service.preparing.sampling import putting
from penult_service.preparing.sampling.putting import Plan
from penult_service.preparing.seam.inner_sites import with_inner
from penult_service.preparing.seam.seams import find_seams, surveyed
from penult_service.preparing.seam.survey import Survey

Progress = Callable[[str, float], None]
_PACKAGES = ("penult", "tensorflow", "tensorflow-text", "tf-keras", "tokenizers", "numpy")


def prepare(
    source: Path,
    target: Path,
    layer: str | None,
    progress: Progress,
    allow_ops: Collection[str] = (),
    allow_stochastic: bool = False,
    declared: Declaration = NOTHING,
    *,
    looked: bool = False,
) -> Manifest:
    """Prepares the model in `source` into the new directory `target`, which is there whole or not at all.

    Args:
        source: A saved model.
        target: A new directory.
        layer: A layer to read instead of the one in front of the dropout.
        progress: Called with the stage and the share done.
        allow_ops: Operations that the operator allows beside those of the allow list.
        allow_stochastic: Prepare a model that is random at inference too: not proven, and with a warning.
        declared: What a person says of the model.
        looked: Whether `inspect` has let it through already.

    Raises:
        InvalidInput, ModelRefused: from looking at the files, reading, cutting or proving; `target` is not made.
    """
    started = time.monotonic()
    progress("reading the model", 0.0)
    if not looked:
        inspect(source, allow_ops)
    digest = model_digest(source, declared)
    opened = open_model(source, layer, declared)
    progress("auditing the graph", 0.25)
    structure = Structure(allow_stochastic)
    opened = structure.as_saved(opened)
    progress("finding the seams", 0.3)
    opened, survey, seams = _searched(opened, layer, declared, noise_is_on=bool(structure.random))
    head = head_of(opened, survey, declared)
    structure.findings[:0] = (*opened.notes, *seams.notes)
    examples = Examples(opened, [token for token, _ in seams.tokens], seams.vocabulary)
    plan = putting.planned(opened.flat, seams, noisy=bool(structure.random))
    with new_directory(target) as draft:
        progress("cutting", 0.4)
        shape = _shape_of(opened, head, seams, plan, examples.kind, digest)
        written = parts.save(parts.build(opened, seams, parts.names_of(shape), plan), opened, draft)
        if examples.tokenizer is not None:
            (draft / TOKENIZER_FILE).write_text(opened.tokenizer_text, encoding="utf-8")
        progress("auditing what is served", 0.55)
        guard.check(draft, (*allow_ops, *RANDOM_OPS) if structure.random else allow_ops, source)
        signatures = reloading.load(draft, written, opened.flat).signatures
        for name, signature in signatures.items():
            structure.look(flatten(signature), f"{name}{AS_SERVED}", opened.layers)
        progress("experiments", 0.6)
        served = Served(signatures, shape, examples.tokenizer)
        outcome = experiment.run(opened, seams, served, examples)
        if opened.known is None and outcome.said is not None:
            keras_oracle.compare(outcome, opened, seams.shown, outcome.said)
        _judge(outcome, opened, survey, structure)
        tried = sampling.run(outcome, seams, served, examples)
        findings = (*structure.findings, *outcome.notes, *plan.notes, *tried.notes)
        manifest = replace(
            shape,
            sites=tried.sites,
            unsampled=tried.unsampled,
            trims=outcome.trims,
            max_length=outcome.max_length,
            proof=Proof(not structure.random, findings, (*outcome.figures, *tried.figures)),
            warnings=structure.warnings(),
            cost=Cost(time.monotonic() - started, peak_memory()),
            files=file_hashes(draft),
        )
        manifest = as_declared(manifest, declared)
        (draft / MANIFEST_NAME).write_text(manifest.to_json(), encoding="utf-8")
    progress("done", 1.0)
    return manifest


def _searched(
    opened: Opened, layer: str | None, declared: Declaration, *, noise_is_on: bool
) -> tuple[Opened, Survey | None, Seams]:
    """The model as it is cut, and where; with the survey of it, unless its reader knew."""
    if opened.known is not None:
        return opened, None, readouts_first(opened.source, opened.known.seams, declared)
    survey = surveyed(opened, noise_is_on=noise_is_on)
    seams = find_seams(survey, layer, declared)
    opened, seams = with_inner(with_tokenizer(survey.opened, seams, declared), survey, seams)
    return opened, survey, seams


def peak_memory() -> int:
    """The most memory that this process has had resident, in bytes."""
    with suppress(OSError, StopIteration):  # on Linux, where getrusage counts what its parent had as well
        lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
        return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM:"))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def _shape_of(opened: Opened, head: Head, seams: Seams, plan: Plan, tokenizer: str, digest: str) -> Manifest:
    """The manifest as far as it is known before the experiments."""
    tokens = tuple(token for token, _ in seams.tokens)
    return Manifest(
        source=str(opened.source),
        source_format=opened.format,
        model_digest=digest,
        preparer=PREPARER,
        inputs=tokens,
        fields=fields_of(opened, tokens),
        head_values=parts.head_values(opened, seams) if seams.read else (),
        unread=seams.unread,
        vocabulary=seams.vocabulary,
        readouts=tuple(readout for readout, _ in seams.read),
        seam=seams.seam,
        outputs=tuple(opened.flat.outputs),
        head=head,
        max_length=NO_LIMIT,
        trims=True,
        counts_wordpieces=seams.wordpieces is not None,
        tokenizer=tokenizer,
        sites=plan.sites,
        unsampled=plan.unsampled,
        layers=layers.records_of(opened),
        proof=Proof(False, (), ()),
        cost=Cost(0.0, 0),
        versions={name: _version(name) for name in _PACKAGES},
    )


def _judge(outcome: experiment.Outcome, opened: Opened, survey: Survey | None, structure: Structure) -> None:
    """Refuses what the experiment contradicts; of a model that draws numbers, what differs is noted."""
    if structure.random:
        outcome.notes += [
            f"not judged, because numbers are drawn: {figure.name}" for figure in outcome.failed
        ]
        return
    if not outcome.trims and not outcome.fixed_length:
        raise ModelRefused(
            f"{opened.source} changes with its padding, and pads each text to the longest of its batch: what it "
            "says of a text depends on the others; give its tokenizing a fixed length, or its encoder a mask",
            reason="DEPENDS_ON_COMPANY",
        )
    if outcome.failed:
        raise _contradiction(outcome, opened, survey)


def _contradiction(outcome: experiment.Outcome, opened: Opened, survey: Survey | None) -> ModelRefused:
    worst, metadata = outcome.failed[0], {figure.name: f"{figure.value:.6g}" for figure in outcome.failed}
    if not experiment.COMPANY.issuperset(metadata):
        return ModelRefused(
            f"the experiment contradicts the proof: {worst.meaning} is {worst.value:.3g}, at most {worst.limit:.3g} is "
            f"accepted ({worst.name}); the model is not served",
            reason="PROOF_FAILED",
            metadata=metadata,
        )
    first = first_that_mixes(survey, probe.MIXED) if survey else None
    begins = f"; it begins with {first}" if first else ""
    return ModelRefused(
        f"{opened.source}: what it says of a text depends on the texts beside it ({worst.meaning}: "
        f"{worst.value:.3g}, at most {worst.limit:.3g} is accepted){begins}; a layer that takes statistics of the "
        "batch, such as BatchNormalization, is in training mode: call it without training=True and save again",
        reason="DEPENDS_ON_COMPANY",
        metadata=metadata | (first.metadata() if first else {}),
    )


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "unknown"
