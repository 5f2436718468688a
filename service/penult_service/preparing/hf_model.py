"""A Hugging Face classifier as the pipeline takes it: the graph built from its files, its seams known by name."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import tensorflow as tf

from penult_service.errors import ModelRefused
from penult_service.prepared import Head, Readout, Site, TokenInput
from penult_service.preparing.formats import hf_classifier, hf_tokenizer
from penult_service.preparing.formats.hf_classifier import LOGITS, OTHER, PROBABILITIES, Classifier
from penult_service.preparing.formats.hf_tokenizer import HfTokenizer
from penult_service.preparing.graph import FlatGraph, flatten
from penult_service.preparing.hf_graph import TOKENS, HfNetwork, Mark
from penult_service.preparing.opened import Input, Opened, read_labels
from penult_service.preparing.places import Known, Seams, Stand
from penult_service.preparing.sampling.kinds import recipe_of

# Argument of the network -> its role, and what transformers calls it.
_TOKENS = {
    "input_ids": ("ids", "input_ids"),
    "input_mask": ("mask", "attention_mask"),
    "input_types": ("types", "token_type_ids"),
}


def open_model(directory: Path, layer: str | None = None, longest: int = 0) -> Opened:
    """Reads the directory and builds its network.

    Args:
        directory: As `save_pretrained` wrote it.
        layer: The layer to read; only the one in front of the head's dropout can be.
        longest: The most tokens of a text that a person wants; 0: as many as the model reads.

    Raises:
        ModelRefused: as `formats.hf_classifier.read` and `formats.hf_tokenizer.read`; NO_SUCH_LAYER; BAD_LABELS.
    """
    classifier = hf_classifier.read(directory)
    found = hf_tokenizer.read(directory, classifier.network, longest)
    readout = classifier.network.family.readout
    if layer not in (None, readout):
        raise ModelRefused(
            f"{directory} has no layer {layer!r} that can be read; this one can: {readout}",
            reason="NO_SUCH_LAYER",
        )
    network = HfNetwork(classifier.network, classifier.problem, classifier.tensors(), found.types)
    flat = flatten(network.function)
    seams = _seams(classifier, flat, network.marks)
    return Opened(
        source=directory,
        format=f"Hugging Face {classifier.network.family.architecture}",
        root=network,
        function=network.function,
        flat=flat,
        inputs=tuple(Input(token.field, ref, tf.int32, (None, None)) for token, ref in seams.tokens),
        labels=read_labels(directory) or classifier.labels,
        tokenizer_text=found.text,
        known=Known(seams, _head(classifier)),
        notes=_notes(classifier, found, network),
    )


def _seams(classifier: Classifier, flat: FlatGraph, marks: Sequence[Mark]) -> Seams:
    network = classifier.network
    last = marks[-1].operation
    tokens = tuple(
        (TokenInput(name, role, "int32", field), flat.inputs[name])
        for name, (role, field) in _TOKENS.items()
        if name in flat.inputs
    )
    width, layer = network.encoder.width, network.family.readout
    before = flat.nodes[last].input[0]
    read = ((Readout(layer, width, "pooled"), before), (Readout(TOKENS, width, "tokens"), f"{TOKENS}:0"))
    places = ["at" if mark.operation == last else "before" for mark in marks]
    sites = tuple(
        Site(path, "Dropout", mark.rate, None, mark.operation, place)
        for path, mark, place in zip(_paths(marks), marks, places, strict=True)
    )
    stands = tuple(
        Stand(
            flat.nodes[mark.operation].input[0],
            f"{mark.operation}:0",
            tf.float32,
            recipe_of(site, mark.rank, mark.stacked),
        )
        for mark, site in zip(marks, sites, strict=True)
    )
    return Seams(
        tokens=tokens,
        read=read,
        seam=layer,
        before=before,
        after=f"{last}:0",
        dtype=tf.float32,
        sites=sites,
        stands=stands,
        wordpieces=None,
        vocabulary=network.encoder.vocabulary_size,
    )


def _paths(marks: Sequence[Mark]) -> list[str]:
    """Their names; the second time that a layer acts, as of a shared one, with its number: `...dropout#2`."""
    seen: dict[str, int] = {}
    names = []
    for mark in marks:
        seen[mark.path] = number = seen.get(mark.path, 0) + 1
        names.append(mark.path + (f"#{number}" if number > 1 else ""))
    return names


def _head(classifier: Classifier) -> Head:
    labels, classes = read_labels(classifier.directory) or classifier.labels, classifier.network.classes
    if labels and len(labels) != classes:
        raise ModelRefused(
            f"{classifier.directory}/labels.json names {len(labels)} classes, the model has {classes}",
            reason="BAD_LABELS",
        )
    output = LOGITS if classifier.problem == OTHER else PROBABILITIES
    return Head(classifier.problem, output, classes, labels)


def _notes(classifier: Classifier, tokenizer: HfTokenizer, network: HfNetwork) -> tuple[str, ...]:
    architecture = classifier.network.family.architecture
    notes = [
        f"the graph was built by Penult, of {architecture} as config.json describes it: the {len(classifier.stored)} "
        f"tensors of model.safetensors are all in it; 'as saved' and 'own' mean this graph below",
        f"config.json declares {len(network.marks)} places of dropout, with their rates; none acts in this graph",
        f"the tokens are made by the tokenizers library, of {tokenizer.origin}, at most {tokenizer.max_length} a text",
    ]
    if classifier.unused:
        notes.append(f"not needed for any answer, and not read: {', '.join(classifier.unused)}")
    if classifier.half:
        notes.append("its weights are saved in half precision; what is computed with them is float32")
    if not classifier.said:
        meaning = (
            "one logit, which is served as it is"
            if classifier.problem == OTHER
            else "a softmax, as its pipeline"
        )
        notes.append(f"config.json names no problem_type; transformers then takes {meaning}")
    return tuple(notes)
