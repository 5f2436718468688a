"""Dropout put back, as commands ask for it: the rows of a file in several calls, each with the masks of its number."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from penult_service.errors import InvalidInput, PreconditionFailed
from penult_service.jobs.chunks import Row

if TYPE_CHECKING:
    from penult_client import Client, RowError, Uncertainty

SAMPLES, MOST_SAMPLES = 30, 10_000
SEED = 42
HEAD = "head"
SCOPES = (HEAD, "all")
BY_CLASS = ("mean", "std", "clean")
# What there is one number a row of, for classifiers.
BY_ROW = ("entropy", "mutual_information", "variation_ratio")


@dataclass(frozen=True)
class Sampling:
    """Which dropouts are put back, and how: as of `Client.uncertainty`. `layers` are paths where it is a tuple."""

    samples: int = SAMPLES
    seed: int = SEED
    layers: str | tuple[str, ...] = HEAD
    rate: float | None = None

    @classmethod
    def of(cls, samples: int, seed: int, layers: str = HEAD, rate: float | None = None) -> Sampling:
        """From the words of the command line; `layers` is ``head``, ``all`` or paths with commas between.

        Raises:
            InvalidInput: no path between two commas, or a rate that is none.
        """
        if rate is not None and not 0 <= rate < 1:
            raise InvalidInput(f"--rate is at least 0 and below 1, not {rate:g}", field="--rate")
        if layers in SCOPES:
            return cls(samples, seed, layers, rate)
        paths = tuple(path.strip() for path in layers.split(","))
        if not all(paths):
            raise InvalidInput(
                f"--layers is head, all, or paths of dropouts with commas between, not {layers!r}; "
                "`penult verify MODEL` lists them",
                field="--layers",
            )
        return cls(samples, seed, paths, rate)

    def settings(self) -> dict[str, Any]:
        """As arguments of the client."""
        layers = self.layers if isinstance(self.layers, str) else list(self.layers)
        return {"samples": self.samples, "seed": self.seed, "layers": layers, "rate": self.rate}


@dataclass(frozen=True, eq=False)
class Sampled:
    """What the samples of n rows say; NaN, and class -1, for those that `row_errors` name by their place.

    `mean`, `std` and `clean` are float32 [n, classes], `entropy`, `mutual_information` and `variation_ratio` float32
    [n] and `predicted` int32 [n] (NaN and -1 where the model is no classifier). `first` is the reply to the first
    rows, for what is the same of all; None, and no classes, where not one row could be sent.
    """

    first: Uncertainty | None
    mean: NDArray[np.float32]
    std: NDArray[np.float32]
    clean: NDArray[np.float32]
    entropy: NDArray[np.float32]
    mutual_information: NDArray[np.float32]
    variation_ratio: NDArray[np.float32]
    predicted: NDArray[np.int32]
    row_errors: tuple[RowError, ...]

    @property
    def spread(self) -> NDArray[np.float32]:
        """Standard deviation, the mean over the outputs: float32 [n]."""
        return np.asarray(self.std.mean(axis=1), np.float32)

    @property
    def classifier(self) -> bool:
        """Whether the numbers are class probabilities."""
        return self.first is not None and self.first.classifier

    def placed(self, places: Sequence[int], n: int) -> Sampled:
        """The same as rows `places` of n; the others are NaN, and of class -1."""

        def wider(values: NDArray[Any], empty: float) -> NDArray[Any]:
            full = np.full((n, *values.shape[1:]), empty, values.dtype)
            full[list(places)] = values
            return full

        numbers = {name: wider(getattr(self, name), np.nan) for name in (*BY_CLASS, *BY_ROW)}
        errors = tuple(replace(error, index=places[error.index]) for error in self.row_errors)
        return Sampled(self.first, **numbers, predicted=wider(self.predicted, -1), row_errors=errors)

    def of_rows(self, rows: Sequence[int]) -> Uncertainty:
        """Some rows, as the client has them."""
        assert self.first is not None
        names = (*BY_CLASS, *BY_ROW, "predicted")
        chosen: dict[str, Any] = {name: getattr(self, name)[list(rows)] for name in names}
        return replace(self.first, **chosen)


def sample(
    client: Client,
    model: str | None,
    rows: Sequence[Row],
    numbers: Sequence[int],
    sampling: Sampling,
    truncate: str = "right",
    report: Callable[[int], None] | None = None,
) -> Sampled:
    """Samples of rows, each with the masks of its number. A row that a call is refused for is a row error.

    Args:
        client: Connected.
        model: As of `Client.uncertainty`.
        rows: n rows.
        numbers: Theirs, ascending. Rows whose numbers follow each other go into one call.
        sampling: Which dropouts, and how.
        truncate: As of `Client.uncertainty`.
        report: Told of how many rows more there are numbers.

    Raises:
        PenultError: of the client, where a call as a whole fails.
        PreconditionFailed: the model was replaced between two calls (MODEL_CHANGED).
    """
    from penult_client import InvalidInputError, RowError

    settings = {**sampling.settings(), "model": model, "truncate": truncate, "on_row_error": "report"}
    replies: list[tuple[int, Uncertainty]] = []
    errors: list[RowError] = []
    waiting = list(_runs(numbers))
    while waiting:
        start, stop = waiting.pop(0)
        try:
            told = _counting(report) if report else False
            part = list(rows[start:stop])
            reply = client.uncertainty(part, first_row=numbers[start], progress=told, **settings)
        except InvalidInputError as error:
            if error.index is None or not error.index < stop - start:
                raise
            at = start + error.index
            facts = {name: getattr(error, name) for name in ("code", "reason", "field", "message")}
            errors.append(RowError(index=at, **facts))
            waiting[:0] = [part for part in ((start, at), (at + 1, stop)) if part[0] < part[1]]
        else:
            replies.append((start, reply))
            errors += [replace(each, index=start + each.index) for each in reply.row_errors]
    return joined(replies, errors, len(rows))


def joined(replies: Sequence[tuple[int, Uncertainty]], errors: Sequence[RowError], n: int) -> Sampled:
    """The replies to n rows, each with the place of its first row; the other rows are NaN.

    Raises:
        PreconditionFailed: they are of two models (MODEL_CHANGED).
    """
    first = replies[0][1] if replies else None
    classes = first.mean.shape[1] if first else 0
    shapes = {**dict.fromkeys(BY_CLASS, (n, classes)), **dict.fromkeys(BY_ROW, (n,))}
    found = {name: np.full(shape, np.nan, np.float32) for name, shape in shapes.items()}
    predicted = np.full(n, -1, np.int32)
    for start, reply in replies:
        assert first is not None
        if reply.digest != first.digest:
            raise PreconditionFailed(
                f"the server changed {reply.model}@{reply.version} while the rows were sampled; sample them again",
                reason="MODEL_CHANGED",
            )
        rows = slice(start, start + len(reply.mean))
        for name, values in found.items():
            given = getattr(reply, name)
            if len(given) == len(reply.mean):
                values[rows] = given
        if len(reply.predicted) == len(reply.mean):
            predicted[rows] = reply.predicted
    return Sampled(first, **found, predicted=predicted, row_errors=tuple(errors))


def facts_of(reply: Uncertainty, sampling: Sampling) -> dict[str, Any]:
    """How the samples were made, for metadata."""
    return {
        "samples": reply.samples,
        "seed": reply.seed,
        "layers": sampling.settings()["layers"],
        "active": [asdict(each) for each in reply.active],
    }


def _counting(report: Callable[[int], None]) -> Callable[[int, int], None]:
    """A `progress` of the client: rows done of one call -> rows more."""
    before = 0

    def told(done: int, _: int) -> None:
        nonlocal before
        report(done - before)
        before = done

    return told


def _runs(numbers: Sequence[int]) -> Iterator[tuple[int, int]]:
    """Places `start` to `stop` (exclusive) whose numbers follow each other."""
    start = 0
    for place in range(1, len(numbers) + 1):
        if place == len(numbers) or numbers[place] != numbers[place - 1] + 1:
            yield start, place
            start = place
