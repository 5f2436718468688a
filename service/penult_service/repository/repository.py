"""The versions of every model, their states, and which of them a request means."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from enum import Enum
from pathlib import Path
from typing import Generic, TypeVar

from penult_service.errors import InvalidInput, NotFound, PenultError, PreconditionFailed, Unavailable
from penult_service.repository.names import Reference
from penult_service.repository.sources import Source

_log = logging.getLogger(__name__)

Model = TypeVar("Model")
"""What loading gives: this room does not know engines."""


class State(Enum):
    """Whether a version answers."""

    LOADING = "loading"
    READY = "ready"
    FAILED = "failed"


@dataclass(frozen=True)
class Version(Generic[Model]):
    """A version of a model. `model` is there when READY, `reason` and `message` when FAILED."""

    source: Source
    state: State = State.LOADING
    model: Model | None = None
    reason: str = ""
    message: str = ""

    @property
    def name(self) -> str:
        """The model's name."""
        return self.source.name

    @property
    def number(self) -> int:
        """The version's number."""
        return self.source.version

    @property
    def resource(self) -> str:
        """`models/{model}/versions/{version}`."""
        return f"models/{self.name}/versions/{self.number}"


class Repository(Generic[Model]):
    """All versions that this server was told to serve.

    `load_all` runs in a thread of its own; every version is an immutable value that it replaces whole, so
    readers on other threads need no lock.

    Args:
        sources: What to load.
        load: Prepares (when it must), loads and warms a version; blocking.
        changed: Is told of each version whose state has changed, on the thread of `load_all`.
    """

    def __init__(
        self,
        sources: Iterable[Source],
        load: Callable[[Source], Model],
        changed: Callable[[Version[Model]], None] = lambda _: None,
    ) -> None:
        ordered = sorted(sources, key=lambda source: (source.name, -source.version))
        self._versions: dict[tuple[str, int], Version[Model]] = {
            (source.name, source.version): Version(source) for source in ordered
        }
        self._load = load
        self._changed = changed

    def load_all(self) -> None:
        """Load one after the other: those that need no preparing first, then by name, highest version first.

        A version that cannot be loaded is FAILED, and says why; the others go on.
        """
        for version in sorted(self.versions(), key=lambda version: not version.source.quick):
            outcome = self._loaded(version)
            self._versions[version.name, version.number] = outcome
            self._changed(outcome)

    def versions(self) -> list[Version[Model]]:
        """Every version, by name and descending number."""
        return list(self._versions.values())

    def default_name(self) -> str:
        """The model that requests mean which name none; empty when there are several."""
        names = {version.name for version in self.versions() if version.state is not State.FAILED}
        return names.pop() if len(names) == 1 else ""

    def default_version(self, name: str) -> Version[Model] | None:
        """The highest version of a model that is ready."""
        return next((v for v in self.versions() if v.name == name and v.state is State.READY), None)

    def find(self, reference: Reference, field: str) -> Version[Model]:
        """The version that a request means, in whatever state; `field` is the request's field.

        Raises:
            InvalidInput: no model was named and several are here (MODEL_REQUIRED).
            NotFound: there is none (MODEL_NOT_FOUND).
        """
        name = reference.name or self._only_name(field)
        candidates = [version for version in self.versions() if version.name == name]
        if reference.version is not None:
            candidates = [version for version in candidates if version.number == reference.version]
        if not candidates:
            raise NotFound(
                f"there is no model {str(reference)!r} here; there is {self._listing()}",
                reason="MODEL_NOT_FOUND",
                field=field,
                metadata={"models": self._listing()},
            )
        by_readiness = {State.READY: 0, State.LOADING: 1, State.FAILED: 2}
        return min(candidates, key=lambda version: (by_readiness[version.state], -version.number))

    def resolve(self, reference: Reference, field: str) -> Model:
        """The model that answers a request; `field` is the request's field.

        Raises:
            InvalidInput, NotFound: as `find`.
            Unavailable: it is being loaded (MODEL_LOADING).
            PreconditionFailed: it could not be loaded (MODEL_FAILED).
        """
        version = self.find(reference, field)
        if version.model is not None:
            return version.model
        facts = {"model": version.resource}
        if version.state is State.LOADING:
            raise Unavailable(
                f"{version.resource} is being loaded; try again in a moment",
                reason="MODEL_LOADING",
                metadata=facts,
            )
        raise PreconditionFailed(
            f"{version.resource} could not be loaded: {version.message}",
            reason="MODEL_FAILED",
            field=field,
            metadata={**facts, "cause": version.reason},
        )

    def _loaded(self, version: Version[Model]) -> Version[Model]:
        try:
            model = self._load(version.source)
        except PenultError as error:
            _log.error("%s is not served: %s (%s)", version.resource, error.message, error.reason)
            return replace(version, state=State.FAILED, reason=error.reason, message=error.message)
        except Exception as error:  # noqa: BLE001 - one bad model never hurts the others
            _log.exception("%s is not served", version.resource)
            message = f"{type(error).__name__}: {error}"
            return replace(version, state=State.FAILED, reason="INTERNAL", message=message)
        _log.info("%s is ready", version.resource)
        return replace(version, state=State.READY, model=model)

    def _only_name(self, field: str) -> str:
        name = self.default_name()
        if name:
            return name
        names = {version.name for version in self.versions()}
        if len(names) == 1:
            return names.pop()
        raise InvalidInput(
            f"several models are here, name one: {self._listing()}",
            reason="MODEL_REQUIRED",
            field=field,
            metadata={"models": self._listing()},
        )

    def _listing(self) -> str:
        return ", ".join(f"{version.name}@{version.number}" for version in self.versions()) or "none"


def prepare_and_load(
    prepare: Callable[[Path], Path],
    load: Callable[[Path, str, int], Model],
    fake: Callable[[str], Model],
) -> Callable[[Source], Model]:
    """How a source becomes a loaded model, from the ways to prepare, to load what is prepared, to fake."""

    def run(source: Source) -> Model:
        if source.path is None:
            return fake(source.name)
        directory = source.path if source.quick else prepare(source.path)
        return load(directory, source.name, source.version)

    return run
