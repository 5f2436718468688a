"""Which engine, precision, threads and size of batches a model is served with on this machine.

What has to be made or measured is done in a child process, once, and kept (`kept`).
"""

from __future__ import annotations

import logging
import shutil
import threading
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from penult_service.decoding import decoded
from penult_service.engines import machine
from penult_service.engines.index import is_whole
from penult_service.engines.kept import Kept, keep, places, recalled
from penult_service.engines.launching import CRASHED, Progress, ask
from penult_service.engines.measuring import Found, Job
from penult_service.engines.texts import TEXTS
from penult_service.engines.wishes import Wish, settings_for
from penult_service.errors import InvalidInput, ModelRefused
from penult_service.files import new_directory
from penult_service.prepared import Manifest
from penult_service.tuned import (
    AUTO,
    BFLOAT16,
    FLOAT32,
    OPENVINO,
    TENSORFLOW,
    Measured,
    Price,
    Setting,
    Tuned,
)

_log = logging.getLogger(__name__)

CANNOT, TOO_DEAR = "ENGINE_CANNOT", "PRECISION_REFUSED"
_SECONDS = 900.0
_FEW = 64  # texts are enough to see whether an engine computes the same in float32
_FIRST, _LONGEST = 6, 4  # of them: the built-in ones begin with what is unlike the others
_measuring = threading.Lock()  # two models that are timed at once would time each other


@dataclass(frozen=True)
class Chosen:
    """What is served, and where OpenVINO's files for it are; None: none are needed."""

    tuned: Tuned
    ir: Path | None = None


def choose(
    directory: Path,
    manifest: Manifest,
    wish: Wish,
    home: Callable[[], Path],
    *,
    texts: Sequence[str] = TEXTS,
    again: bool = False,
    progress: Progress | None = None,
) -> Chosen:
    """How to run a prepared model here, from what was kept where the same was asked before.

    A named engine at a named precision is taken as it is, without timing it; ``auto`` is timed. What ``auto`` cannot
    use is told in `Tuned.measured`.

    Args:
        directory: The prepared model.
        manifest: What it says.
        wish: What is asked for.
        home: Gives the directory, of this user alone, where IRs and choices are kept; called where it is needed.
        texts: To hold engines and precisions against each other; by default built-in ones.
        again: Measure, and also where the engine is named, whatever is kept.
        progress: Called with the stage and the share done.

    Raises:
        ModelRefused: the engine named cannot run this model (ENGINE_CANNOT), or the precision named changes too much
            (PRECISION_REFUSED).
        InvalidInput: as TensorFlow's loading says, or as `home`.
    """
    if not manifest.readouts or (not again and _plain(wish)):
        return Chosen(Tuned(Setting(threads=wish.threads or machine.cores())))
    try:
        place = home()
    except InvalidInput as error:
        if error.reason != "CACHE_NOT_WRITABLE" or not _may_be_plain(wish):
            raise
        _log.warning("no engine is measured, TensorFlow serves as it is: %s", error.message)
        unknown = Measured(Setting(OPENVINO, threads=wish.threads or machine.cores()), problem=error.message)
        return Chosen(Tuned(Setting(threads=unknown.setting.threads), (unknown,)))
    about = (wish.engine, wish.precision, str(wish.threads), str(wish.force), *sorted(wish.allow_ops))
    kept, ir = places(place, directory, about)
    found = None if again else _of_use(kept, ir)
    if found is None:
        _log.info("looking for the best way to run %s here; kept for later starts", directory)
        with _measuring:
            answer, found = _found(directory, wish, ir, texts, measured=again, progress=progress)
        _say_busy(found.tuned)
        if not answer.crashed:  # it may have been for want of memory, or the like
            keep(kept, found)
    if found.refused:
        raise ModelRefused(found.refused, reason=found.reason)
    return Chosen(found.tuned, ir if _needs(found) else None)


def _of_use(kept: Path, ir: Path) -> Kept | None:
    """What was chosen before, if it can still be served and was not measured on a busy machine."""
    found = recalled(kept)
    if found is None or _busy_then(found.tuned) or (_needs(found) and not is_whole(ir)):
        return None
    return found


def _busy_then(tuned: Tuned) -> bool:
    """Whether it was measured beside others, most of whom have left."""
    beside_others = bool(tuned.measured) and tuned.load > machine.cores()
    return beside_others and machine.load() < tuned.load / 2


def _say_busy(tuned: Tuned) -> None:
    """What is measured beside others is right for as long as they stay; a later start may measure again."""
    if tuned.measured and tuned.load > machine.cores():
        _log.warning(
            "engines were measured while %g processes wanted to run on %d cores; when that is not as usual, measure "
            "again with penult tune",
            *(tuned.load, machine.cores()),
        )


def _plain(wish: Wish) -> bool:
    """Whether nothing has to be looked at."""
    return wish.engine == TENSORFLOW and wish.precision == FLOAT32


def _may_be_plain(wish: Wish) -> bool:
    """Whether TensorFlow in float32 is among what is wished for."""
    return wish.engine in (AUTO, TENSORFLOW) and wish.precision in (AUTO, FLOAT32)


def _needs(found: Kept) -> bool:
    return found.tuned.setting.engine == OPENVINO and not found.refused


def _found(
    directory: Path, wish: Wish, ir: Path, texts: Sequence[str], *, measured: bool, progress: Progress | None
) -> tuple[Found, Kept]:
    """Asks the child, and chooses."""
    load = machine.load()
    timed = measured or AUTO in (wish.engine, wish.precision)
    settings = settings_for(wish, machine.cores(), timed=timed)
    job = Job(
        directory=str(directory.absolute()),
        ir=None,
        made=False,
        settings=tuple(settings),
        precision=wish.precision,
        texts=_some(texts) if wish.precision == FLOAT32 else tuple(texts),
        time=timed,
        size=load <= machine.cores(),  # beside others the differences are smaller than what they do
        force=wish.force,
        allow_ops=tuple(sorted(wish.allow_ops)),
    )
    answer = _asked(job, ir, progress)
    return answer, _chosen(answer, wish, load, timed=timed)


def _some(texts: Sequence[str]) -> tuple[str, ...]:
    """About as many as are enough: the first, the longest, and others at even distances."""
    if len(texts) <= _FEW:
        return tuple(texts)
    longest = sorted(range(len(texts)), key=lambda i: len(texts[i]))[-_LONGEST:]
    return tuple(
        texts[i] for i in sorted({*range(_FIRST), *longest, *range(0, len(texts), len(texts) // _FEW)})
    )


def _asked(job: Job, ir: Path, progress: Progress | None) -> Found:
    """The child's answer; without OpenVINO's settings once more where it did not live through them."""
    others = [setting for setting in job.settings if setting.engine != OPENVINO]
    lost = ""
    if len(others) < len(job.settings):
        try:
            return _with_ir(job, ir, progress)
        except ModelRefused as refused:
            if refused.reason not in (CRASHED, CANNOT):
                raise
            lost = refused.message
    found = Found(False, (), ())
    if others:
        try:
            found = _child(replace(job, settings=tuple(others)), progress)
        except ModelRefused as refused:
            if refused.reason not in (CRASHED, CANNOT):
                raise
            dead = tuple(Measured(setting, problem=refused.message) for setting in others)
            found = Found(False, dead, (None,) * len(others), crashed=True)
    gone = [setting for setting in job.settings if setting.engine == OPENVINO]
    return replace(
        found,
        measured=(*found.measured, *(Measured(setting, problem=lost) for setting in gone)),
        prices=(*found.prices, *[None] * len(gone)),
        crashed=bool(lost) or found.crashed,
    )


def _with_ir(job: Job, ir: Path, progress: Progress | None) -> Found:
    """The child's answer; the IR that it made is kept."""
    made = replace(job, ir=str(ir), made=True)
    if is_whole(ir):
        return _child(made, progress)
    if ir.exists():
        _log.warning("%s is not as it was written; it is made again", ir)
        shutil.rmtree(ir, ignore_errors=True)
    found: Found | None = None
    try:
        with new_directory(ir) as draft:  # removed where nothing comes of it
            found = _child(replace(job, ir=str(draft)), progress)
            if not found.converted:
                raise _NoIR(found)
    except _NoIR as without:
        return without.found
    except OSError as error:
        if not is_whole(ir):  # else another process made it in the meantime
            why = f"{ir.parent} cannot be written ({error.strerror or error}); name another place with --data DIR"
            raise ModelRefused(why, reason=CANNOT) from error
    return found or _child(made, progress)


class _NoIR(Exception):
    """The model cannot be converted."""

    def __init__(self, found: Found) -> None:
        super().__init__()
        self.found = found


def _child(job: Job, progress: Progress | None) -> Found:
    threads, seconds = job.settings[0].threads, _SECONDS + len(job.texts)
    told = ask({"what": "tune", **asdict(job)}, threads=threads, seconds=seconds, progress=progress)
    found: Found = decoded(Found, told, "answer")
    return found


def _chosen(found: Found, wish: Wish, load: float, *, timed: bool) -> Kept:
    """What to serve of what was found; or why nothing is."""
    usable = next((one.setting for one in found.measured if not one.problem), None)
    chosen = found.best if timed else usable
    prices = {one.setting: price for one, price in zip(found.measured, found.prices, strict=True)}
    told = found.measured if timed or not chosen else ()

    def tuned(setting: Setting, price: Price | None = None) -> Tuned:
        return Tuned(setting, told, price, machine.processor(), load)

    if chosen is not None:
        return Kept(tuned(chosen, prices[chosen]))
    first = found.measured[0]
    if _may_be_plain(wish):
        # It is the process that measured which failed: the server says what is wrong with the model, if it is that.
        _log.warning("no engine could be measured (%s); TensorFlow serves as it is", first.problem)
        return Kept(tuned(Setting(threads=first.setting.threads)))
    dear = next((one for one in found.measured if prices[one.setting] is not None), None)
    if dear is not None and wish.precision == BFLOAT16:
        return Kept(tuned(dear.setting, prices[dear.setting]), _too_dear(dear.problem), TOO_DEAR)
    instead = "--engine tensorflow" if wish.engine == OPENVINO else "--precision float32"
    what = f"--engine {wish.engine} --precision {wish.precision} cannot serve this model: {first.problem}"
    return Kept(tuned(first.setting), f"{what}; take {instead}", CANNOT)


def _too_dear(problem: str) -> str:
    return (
        f"{problem}; serve it with --precision float32, look at the price on texts of yours (penult tune MODEL "
        "--precision bfloat16 --texts FILE), or take it as it is with --force-precision"
    )
