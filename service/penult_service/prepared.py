"""A prepared model: the contract between the half that prepares and the half that serves.

A directory with a standard SavedModel, whose signatures are

    tokenize   text string [n]               -> token inputs int [n, max_length] (and `wordpieces`, see below)
    encode_*   token inputs int [n, length]  -> readouts asked for, float32 (one signature a set)
    head       embedding float32 [n, d]      -> the model's outputs by name
    whole      text string [n]               -> the model's outputs by name: the saved function as it is

and, where dropout can be put back (`Manifest.unsampled` is empty), with masks made of keys (`masks`),

    sample_encode   what `encode` takes, row_keys int64 [n], shared_keys int64 [n], rates float32 [sites + 1]
                    -> the embedding at the seam, the dropouts in front of it active
    sample_head     what `head` takes, and the same three -> the model's outputs by name, the others active

`rates` are those of `Manifest.sites` in order, and last that of the embedding itself; 0: not active. `sample_encode` is
there when a dropout in front of the seam can be put back.

A model of several inputs (`Manifest.fields`) has an argument for each in `tokenize` (those of text) and `whole`; what
is no text and no token (role ``value``) is an argument of `encode` too, and of `head` where it joins behind the seam.

Where the `tokenizers` library makes the tokens, or the caller does (`Manifest.tokenizer`), there is no `tokenize`, and
`whole` takes what `encode` does; the library's `tokenizer.json` lies beside it. With them lies `penult.json`, the
manifest: all that serving needs to know. No TensorFlow here.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path, PurePosixPath
from typing import cast

from penult_service.decoding import decoded
from penult_service.errors import InvalidInput
from penult_service.files import sha256_file

MANIFEST_NAME = "penult.json"
MANIFEST_FORMAT = 1

TOKENIZE = "tokenize"
HEAD = "head"
WHOLE = "whole"
SAMPLE_ENCODE = "sample_encode"
SAMPLE_HEAD = "sample_head"
ROW_KEYS, SHARED_KEYS, RATES = "row_keys", "shared_keys", "rates"
TEXT = "text"
EMBEDDING = "embedding"
# What makes the tokens: the signature `tokenize`, the `tokenizers` library with the file of that name, or the caller.
GRAPH, LIBRARY, CALLER = "graph", "tokenizers", "none"
TOKENIZER_FILE = "tokenizer.json"
# Optional output of `tokenize`: int32 [], how many word pieces all texts of the call have before any is cut.
# With one text a call it tells exactly whether that text was cut.
WORDPIECES = "wordpieces"
# `max_length` of a model whose tokenizing never cuts.
NO_LIMIT = 1_000_000
_COST_WITHOUT_LIMIT = 512
_GRAPH = "saved_model.pb"
_KINDS = frozenset({"sigmoid", "softmax", "multilabel", "regression", "other"})
_POOLINGS = frozenset({"pooled", "cls", "mean", "max", "tokens"})
_ROLES = frozenset({"ids", "mask", "types", "other", "steps", "value"})
_NUMBERS = frozenset({"bool", "bfloat16", "float16", "float32", "float64"}) | frozenset(
    f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)
)
_MOST_INPUTS = 1000
_LARGEST = 1 << 31
_MAX_MANIFEST = 64 << 20  # bytes; one with a label a word of a vocabulary has 1 MiB


@dataclass(frozen=True)
class Field:
    """An input of the model itself, which a caller gives for each row.

    Attributes:
        name: As the model calls it; callers do too.
        argument: Its name in the signatures `tokenize` and `whole`.
        dtype: ``string`` for text, else NumPy's name.
        shape: Of one row, without the batch axis; -1: of any length. Empty for a text.
    """

    name: str
    argument: str
    dtype: str
    shape: tuple[int, ...] = ()


@dataclass(frozen=True)
class TokenInput:
    """An input of `encode`: its name there, and its role.

    Roles: ``ids``, ``mask``, ``types`` and ``other`` of tokens, ``steps`` and ``value``. Of role ``value`` is what the
    caller gives and no tokenizing touches, such as numbers beside a text: `shape` is that of a row, and no batch is cut
    along it. Of role ``steps`` are numbers for each token, such as the minutes between events: the first axis of
    `shape` is that of the tokens, and is cut and filled up with them. `field` is the model's own input that it is,
    empty when tokenizing makes it.
    `rows` are those of the table that ids look up; 0: the manifest's `vocabulary`.
    """

    name: str
    role: str
    dtype: str
    field: str = ""
    shape: tuple[int, ...] = (-1,)
    rows: int = 0


@dataclass(frozen=True)
class Readout:
    """A tensor that can be read: the layer whose output it is, numbers a row, and its kind.

    Kinds: ``pooled`` (float32 [n, d], in front of the head's dropout), ``tokens`` (float32 [n, length, d]),
    ``other`` (float32 [n, d]).
    """

    layer: str
    dimension: int
    kind: str


@dataclass(frozen=True)
class Site:
    """A dropout found: `place` is ``before`` the seam, ``at`` it, or ``after`` it.

    `shared` are the axes of its input, from 0 (the batch), along which one draw is shared. `sampled`: it can be put
    back.
    """

    path: str
    layer_class: str
    rate: float | None
    noise_shape: tuple[int, ...] | None
    tensor: str
    place: str
    shared: tuple[int, ...] = ()
    sampled: bool = False


@dataclass(frozen=True)
class LayerRecord:
    """A layer as the file tells of it; `output_shape` has -1 for any length and is empty when not known.

    `path` is that of a `Site`; empty for the model itself, which stands first.
    `parameters` are the numbers it was trained to, with those of the layers inside it. `units`, `dropout` and
    `recurrent_dropout` are those of a recurrent layer (`units` of a dense one too).
    """

    path: str
    layer_class: str
    output_shape: tuple[int, ...] = ()
    parameters: int = 0
    units: int = 0
    dropout: float | None = None
    recurrent_dropout: float | None = None


@dataclass(frozen=True)
class Figure:
    """A figure of the experiment: the largest difference found, and the largest that is accepted."""

    name: str
    meaning: str
    value: float
    limit: float


@dataclass(frozen=True)
class Proof:
    """That dropout plays no part: findings for a person, figures for machines."""

    proven: bool
    findings: tuple[str, ...]
    figures: tuple[Figure, ...]


@dataclass(frozen=True)
class Head:
    """What the head computes; `output` holds it.

    Attributes:
        kind: ``sigmoid``, ``softmax`` or ``multilabel``: class probabilities. ``regression``, or ``other``: none.
        output: The name of the output.
        classes: How many classes; for other kinds, numbers a row.
        labels: The names of the classes, or none.
        activation: What makes probabilities of a linear output: ``sigmoid`` or ``softmax``; empty: it holds them.
    """

    kind: str
    output: str
    classes: int
    labels: tuple[str, ...] = ()
    activation: str = ""


@dataclass(frozen=True)
class Cost:
    """What preparing took."""

    seconds: float
    peak_bytes: int


@dataclass(frozen=True)
class Manifest:
    """All that serving needs to know of a prepared model.

    `readouts` has the default first; `seam` names the readout that `head` takes. `trims` says whether batches
    may be cut to their longest row. `warnings` stand in every reply of a model that is served though it is not proven
    (`--allow-stochastic`). `tokenizer` is ``graph``, ``tokenizers`` or ``none``. `files` maps each file of the
    directory to its SHA-256.

    Without a seam there is no readout, and `unread` says why; `whole` is served all the same. `head_values` names the
    inputs of role ``value`` that `head` takes beside the embedding. `pooling` is the default one, `warm_up` the texts
    that the model is warmed with. `vocabulary` is how many token ids there are; 0: not known. `unsampled` says why
    dropout cannot be put back; empty when it can.
    """

    source: str
    source_format: str
    model_digest: str
    preparer: str
    inputs: tuple[TokenInput, ...]
    readouts: tuple[Readout, ...]
    seam: str
    outputs: tuple[str, ...]
    head: Head
    max_length: int
    trims: bool
    counts_wordpieces: bool
    sites: tuple[Site, ...]
    proof: Proof
    cost: Cost
    warnings: tuple[str, ...] = ()
    tokenizer: str = GRAPH
    fields: tuple[Field, ...] = (Field(TEXT, TEXT, "string"),)
    head_values: tuple[str, ...] = ()
    unread: str = ""
    vocabulary: int = 0
    pooling: str = "pooled"
    warm_up: tuple[str, ...] = ()
    unsampled: str = (
        "this model was prepared by an older release, without a place to put dropout back; prepare it again"
    )
    layers: tuple[LayerRecord, ...] = ()
    versions: Mapping[str, str] = field(default_factory=dict)
    files: Mapping[str, str] = field(default_factory=dict)
    format: int = MANIFEST_FORMAT

    def readout(self, layer: str) -> Readout | None:
        """The readout of that layer, or None."""
        return next((r for r in self.readouts if r.layer == layer), None)

    @property
    def tokens(self) -> Readout | None:
        """The readout with one row a token, or None."""
        return next((r for r in self.readouts if r.kind == "tokens"), None)

    @property
    def samples_inside(self) -> bool:
        """Whether a dropout in front of the seam can be put back."""
        return not self.unsampled and any(site.sampled and site.place == "before" for site in self.sites)

    @property
    def texts(self) -> tuple[Field, ...]:
        """The inputs that take text."""
        return tuple(field for field in self.fields if field.dtype == "string" and not field.shape)

    @property
    def padded_cost(self) -> int:
        """Tokens that a text costs when it is not trimmed; an estimate where the tokenizing has no limit."""
        return self.max_length if self.max_length < NO_LIMIT else _COST_WITHOUT_LIMIT

    @property
    def poolings(self) -> tuple[str, ...]:
        """The poolings that this model can do."""
        if not self.readouts:
            return ()
        return ("pooled", "cls", "mean", "max", "tokens") if self.tokens else ("pooled",)

    def encode_signature(self, layers: Iterable[str]) -> str:
        """Name of the signature that gives exactly these readouts."""
        wanted = set(layers)
        return "encode_" + "_".join(str(i) for i, r in enumerate(self.readouts) if r.layer in wanted)

    def to_json(self) -> str:
        """The text of `penult.json`."""
        return json.dumps(asdict(self), indent=1, ensure_ascii=False) + "\n"

    @classmethod
    def from_json(cls, text: str) -> Manifest:
        """Read `penult.json`. ValueError when it is not one; the message names the place."""
        raw = json.loads(text)
        if not isinstance(raw, dict):
            raise ValueError("not a JSON object")
        if raw.get("format") != MANIFEST_FORMAT:
            raise ValueError(f"format {raw.get('format')!r:.40}, this release reads {MANIFEST_FORMAT}")
        return cast(Manifest, decoded(cls, raw, "manifest"))


def is_prepared(directory: Path) -> bool:
    """Whether the directory says that it is a prepared model."""
    return (directory / MANIFEST_NAME).is_file()


def load_manifest(directory: Path) -> Manifest:
    """Read the manifest and check the hash of every file that it lists.

    Raises:
        InvalidInput: not a prepared model (NOT_PREPARED); a file is missing, altered or outside the folder, or the
            manifest makes no sense (DAMAGED).
    """
    path = directory / MANIFEST_NAME
    try:
        if path.stat().st_size > _MAX_MANIFEST:
            raise ValueError(f"larger than {_MAX_MANIFEST >> 20} MiB")
        manifest = Manifest.from_json(path.read_text(encoding="utf-8"))
        _check_sense(manifest)
    except FileNotFoundError:
        raise InvalidInput(
            f"{directory} is not a prepared model: no {MANIFEST_NAME}", reason="NOT_PREPARED"
        ) from None
    except (OSError, ValueError, RecursionError) as error:
        raise InvalidInput(
            f"{path} cannot be read ({error}); prepare the model again", reason="DAMAGED"
        ) from error
    home = directory.resolve()
    for name, expected in manifest.files.items():
        file = directory / name
        if not file.resolve().is_relative_to(home):
            raise InvalidInput(f"{path} names {name!r}, outside its folder; it is not used", reason="DAMAGED")
        if not file.is_file() or sha256_file(file) != expected:
            state = "altered" if file.is_file() else "missing"
            raise InvalidInput(f"{file} is {state}; prepare the model again", reason="DAMAGED")
    return manifest


def _check_sense(manifest: Manifest) -> None:
    """What serving relies on, beyond the types. Raises ValueError."""
    pure = [PurePosixPath(name) for name in manifest.files]
    wrong = next((p for p in pure if p.is_absolute() or ".." in p.parts or not str(p).isprintable()), None)
    if wrong is not None:
        raise ValueError(f"it names {str(wrong)[:200]!r}, outside its folder, or no name for a file")
    if _GRAPH not in manifest.files:
        raise ValueError(f"it has no hash of {_GRAPH}")
    if manifest.tokenizer not in (GRAPH, LIBRARY, CALLER):
        raise ValueError(f"no tokenizer is called {manifest.tokenizer[:40]!r}")
    if manifest.tokenizer == LIBRARY and TOKENIZER_FILE not in manifest.files:
        raise ValueError(f"it has no hash of {TOKENIZER_FILE}")
    seam = manifest.readout(manifest.seam)
    whole_only = bool(manifest.unread) and not manifest.readouts
    if not whole_only and (seam is None or seam.kind == "tokens"):
        raise ValueError(f"no readout is called {manifest.seam!r}, where the head begins")
    if manifest.max_length < 1 or any(not 0 < r.dimension < 1 << 31 for r in manifest.readouts):
        raise ValueError("a length or a dimension is out of range")
    if manifest.head.output not in manifest.outputs:
        raise ValueError(f"no output is called {manifest.head.output!r}, which the head is said to give")
    numbers = [n for one in manifest.layers for n in (one.units, one.parameters >> 31, *one.output_shape)]
    if not all(-1 <= n < _LARGEST for n in numbers):
        raise ValueError("a number of its layers is out of range")
    for what, word, known in (
        ("kind of head", manifest.head.kind, _KINDS),
        ("activation", manifest.head.activation, {"", "sigmoid", "softmax"}),
        ("pooling", manifest.pooling, _POOLINGS),
        *(("kind of readout", readout.kind, {"pooled", "tokens", "other"}) for readout in manifest.readouts),
        *(("role", token.role, _ROLES) for token in manifest.inputs),
        *(("type", token.dtype, _NUMBERS) for token in manifest.inputs),
        *(("type", one.dtype, _NUMBERS | {"string"}) for one in manifest.fields),
    ):
        if word not in known:
            raise ValueError(f"no {what} is called {word[:40]!r}")
    _check_inputs(manifest)


def _check_inputs(manifest: Manifest) -> None:
    """That inputs are told apart, and that what names one names one that is there. Raises ValueError."""
    if len(manifest.inputs) > _MOST_INPUTS or len(manifest.fields) > _MOST_INPUTS:
        raise ValueError(f"it has more than {_MOST_INPUTS} inputs")
    fields, inputs = ([one.name for one in some] for some in (manifest.fields, manifest.inputs))
    arguments = [one.argument for one in manifest.fields]
    for names in (fields, inputs, arguments):
        twice = next((name for name in names if names.count(name) > 1), None)
        if twice is not None:
            raise ValueError(f"two inputs are called {twice[:40]!r}")
    values = {token.name for token in manifest.inputs if token.role == "value"}
    strange = {token.field for token in manifest.inputs if token.field} - set(fields)
    strange |= set(manifest.head_values) - values
    if strange:
        raise ValueError(f"no input is called {min(strange)[:40]!r}")
