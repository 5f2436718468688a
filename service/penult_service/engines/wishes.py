"""What the operator asks for, and what can be tried of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from penult_service.guard.random_ops import RANDOM_OPS
from penult_service.prepared import Manifest
from penult_service.tuned import AUTO, BFLOAT16, FLOAT32, OPENVINO, TENSORFLOW, Setting

_MANY = 4  # streams; where there are more threads, each takes several
_MOST = (
    16  # streams: each has an executor of the server, kernels of its own, and a batch that is long under way
)


@dataclass(frozen=True)
class Wish:
    """What the operator asks for.

    Attributes:
        engine: ``auto``, ``tensorflow`` or ``openvino``.
        precision: ``float32``, ``bfloat16``, or ``auto``: the lower one where it is worth it.
        threads: That compute; None: as many as do best.
        force: Take `precision` at any price.
        allow_ops: Operations that TensorFlow may load beside those of the allow list.
    """

    engine: str = AUTO
    precision: str = FLOAT32
    threads: int | None = None
    force: bool = False
    allow_ops: tuple[str, ...] = ()


class Asked(Protocol):
    """What of the settings of a server is a wish, see `config.ServeConfig`."""

    @property
    def engine(self) -> str: ...
    @property
    def precision(self) -> str: ...
    @property
    def threads(self) -> int | None: ...
    @property
    def force_precision(self) -> bool: ...
    @property
    def allow_stochastic(self) -> bool: ...
    @property
    def allowed_ops(self) -> tuple[str, ...]: ...


def wish_of(config: Asked, manifest: Manifest) -> Wish:
    """What the settings of a server ask for, for this model.

    Random operations are allowed only where replies will say so: a manifest that claims to be proven has nothing random
    to hide.
    """
    random = RANDOM_OPS if config.allow_stochastic and not manifest.proof.proven else ()
    allowed = (*config.allowed_ops, *random)
    return Wish(config.engine, config.precision, config.threads, config.force_precision, allowed)


def settings_for(wish: Wish, cores: int, *, timed: bool) -> list[Setting]:
    """What can be tried, the preferred of equal ones first: OpenVINO, which takes less memory; streams; more threads.

    Streams before one batch at a time: a server gains more by them than the engine alone, since no thread waits for
    another, nor between two batches.
    """
    engines = (OPENVINO, TENSORFLOW) if wish.engine == AUTO else (wish.engine,)
    precisions = (FLOAT32, BFLOAT16) if wish.precision == AUTO else (wish.precision,)
    return [
        Setting(engine, precision, threads, streams=streams)
        for precision in precisions
        for engine in engines
        for threads, streams in _ways(engine, wish.threads or cores, wish.threads is None, timed=timed)
    ]


def _ways(engine: str, threads: int, fewer: bool, *, timed: bool) -> list[tuple[int, int]]:
    """Threads and streams; `fewer` threads may be taken, where they are timed.

    Where nothing is timed the first that can be used is taken: one batch at a time where streams compute wrong numbers.
    """
    if engine != OPENVINO:
        return [(threads, 1)]  # of all batches: its threads are those of its process
    ways = [(threads, streams_of(threads)), (threads, 1)]
    if timed and fewer and threads > 1:
        ways.append((threads // 2, 1))  # two threads of one core do not compute faster than one
    return list(dict.fromkeys(ways))


def streams_of(threads: int) -> int:
    """Streams for so many threads, 1 to 16: one for each, of more than four threads at least four, in equal shares.

    About as OpenVINO itself has it for many requests at once. Where no such number divides the threads, the one that
    leaves the fewest of them idle, the larger of equal ones.
    """
    least = min(threads, max(_MANY, threads // _MANY), _MOST)
    even = (count for count in range(least, min(threads, _MOST) + 1) if threads % count == 0)
    return next(even, 0) or min(range(_MOST, _MANY - 1, -1), key=lambda count: threads % count)
