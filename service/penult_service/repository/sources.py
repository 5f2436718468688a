"""What the command line names -> the model versions to load: where each is, what it is called."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from penult_service.errors import InvalidInput
from penult_service.prepared import is_prepared
from penult_service.repository.names import is_name, version_of

FAKE = "fake:"

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Source:
    """A version of a model and where it is. `path` None: the fake engine, which reads no files."""

    name: str
    version: int
    path: Path | None

    @property
    def quick(self) -> bool:
        """Whether it loads without preparing."""
        return self.path is None or is_prepared(self.path)


def from_paths(paths: Iterable[str]) -> list[Source]:
    """What `penult serve PATH...` names, in that order.

    A path is a saved model, a prepared model, a directory `<model>/` of numbered versions, or one of those
    versions; `name=PATH` gives it another name; `fake:NAME` is the fake engine.

    Raises:
        InvalidInput: a name that no model may have (WRONG_MODEL_NAME), or two paths with one (SAME_NAME).
    """
    sources: list[Source] = []
    homes: dict[str, str] = {}
    for text in paths:
        found, home = _from_path(text)
        name = found[0].name
        taken = homes.setdefault(name, home) != home or {(s.name, s.version) for s in found} & {
            (s.name, s.version) for s in sources
        }
        if taken:
            raise InvalidInput(
                f"two paths are called {name!r}, the second is {text}; rename it: other-name={text}",
                reason="SAME_NAME",
            )
        sources += found
    return sources


def from_directory(models: Path) -> list[Source]:
    """What `penult serve --models DIR` finds: DIR/<model>/<version>/, by name, highest version first.

    A directory whose name no model may have is left out, with a warning, so that it does not keep the others
    from being served.

    Raises:
        InvalidInput: there is no such directory, or nothing in it (NO_MODELS).
    """
    if not models.is_dir():
        raise InvalidInput(f"--models {models}: there is no such directory", reason="NO_MODELS")
    sources: list[Source] = []
    for child in sorted(models.iterdir()):
        if not child.is_dir() or child.name.startswith("."):
            continue
        if is_name(child.name):
            sources += _versions(child.name, child) or [Source(child.name, 1, child)]
        else:
            _log.warning("%s is left out: %s", child, _naming_rule(child.name))
    if not sources:
        raise InvalidInput(
            f"--models {models}: no models in it; it should hold <model>/<version>/ directories",
            reason="NO_MODELS",
        )
    return sources


def highest_version(path: Path) -> Path:
    """The highest numbered version inside, as `penult serve` takes it; the path itself when it holds none."""
    versions = _versions("", path)
    return versions[0].path or path if versions else path


def _from_path(text: str) -> tuple[Sequence[Source], str]:
    """The versions that one argument names, and the place that the model's name stands for."""
    if text.startswith(FAKE):
        return [Source(_checked(text.removeprefix(FAKE), text), 1, None)], text
    given, path = _split(text)
    version = version_of(path.name)
    if version is not None and given is None:
        return [Source(_checked(path.parent.name, text), version, path)], str(path.parent)
    name = _checked(given or (path.stem if path.is_file() else path.name), text)
    if _holds_models(path):
        raise InvalidInput(
            f"{text} holds several models, <model>/<version>/ each; serve them with --models {text}",
            reason="SEVERAL_MODELS",
        )
    return _versions(name, path) or [Source(name, 1, path)], str(path)


def _split(text: str) -> tuple[str | None, Path]:
    """`name=PATH` or `PATH`; a path that is there is a path, whatever is in its name."""
    before, equals, after = text.partition("=")
    if equals and after and "/" not in before and not Path(text).exists():
        return before, Path(after).absolute()
    return None, Path(text).absolute()


def _versions(name: str, directory: Path) -> list[Source]:
    """The numbered directories inside, highest first; none when this is itself a model."""
    numbered = {version_of(child.name): child for child in _directories(directory)}
    versions = sorted((n for n in numbered if n is not None), reverse=True)
    return [Source(name, version, numbered[version]) for version in versions]


def _holds_models(path: Path) -> bool:
    children = list(_directories(path))
    return bool(children) and not _versions("", path) and all(_versions("", child) for child in children)


def _directories(path: Path) -> Iterator[Path]:
    if path.is_dir() and not is_prepared(path):
        yield from (child for child in path.iterdir() if child.is_dir() and not child.name.startswith("."))


def _checked(name: str, text: str) -> str:
    if not is_name(name):
        raise InvalidInput(f"{text}: {_naming_rule(name)}", reason="WRONG_MODEL_NAME")
    return name


def _naming_rule(name: str) -> str:
    return (
        f"no model can be called {name!r} (a small letter or digit, then letters, digits, '.', '_', '-');"
        " give it a name: my-name=PATH"
    )
