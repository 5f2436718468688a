"""Which samples are not drawn at all: more than a call may hold, or of an output that is none of a row."""

from __future__ import annotations

from penult_service.embedder.dropouts import Chosen, SampleOptions
from penult_service.errors import InvalidInput, PreconditionFailed
from penult_service.prepared import Manifest

# What the samples of a call may take, in numbers of 4 bytes: 256 MiB.
MOST_NUMBERS = 1 << 26
# Passes of the encoder in a call.
MOST_PASSES = 1 << 18
# Of a sample, beside its outputs: two keys, and what carries them.
_NUMBERS_BESIDE = 8


def check_output(manifest: Manifest) -> None:
    """Refuse an output whose numbers a row are not known, such as one number a token.

    Raises:
        PreconditionFailed: it is one (OUTPUT_NOT_BY_ROW).
    """
    head = manifest.head
    if head.classes < 1:
        others = len(manifest.outputs) > 1
        advice = "; declare another one (output = ... in penult.toml) and load it again" if others else ""
        raise PreconditionFailed(
            f"output {head.output!r} of this model is no matrix of numbers a row, so samples of it cannot be"
            f" compared{advice}",
            reason="OUTPUT_NOT_BY_ROW",
            field="model",
        )


def check_size(
    manifest: Manifest, rows: int, options: SampleOptions, chosen: Chosen, embeddings: bool
) -> None:
    """Refuse what would not fit, before anything is made of it.

    Raises:
        InvalidInput: it would not (REQUEST_TOO_LARGE).
    """
    seam = manifest.readout(manifest.seam)
    width = manifest.head.classes + _NUMBERS_BESIDE + (seam.dimension if seam and embeddings else 0)
    most = min(MOST_NUMBERS // width, MOST_PASSES if chosen.inside else MOST_NUMBERS)
    if rows * options.samples > most:
        what = "passes of the encoder" if chosen.inside else "samples"
        fitting = most // options.samples
        advice = f"send at most {fitting} rows at a time" if fitting else f"take at most {most} samples"
        raise InvalidInput(
            f"{rows} rows with {options.samples} samples each are {rows * options.samples} {what}, one call takes "
            f"{most}; {advice}",
            reason="REQUEST_TOO_LARGE",
            field="dropout.samples",
            metadata={"most_rows": str(fitting), "most_samples": str(most)},
        )
