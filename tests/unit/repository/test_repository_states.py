"""Versions, their states, and which one a request means. Models are strings here."""

from __future__ import annotations

from pathlib import Path

import pytest
from penult_service.errors import InvalidInput, ModelRefused, NotFound, PreconditionFailed, Unavailable
from penult_service.prepared import MANIFEST_NAME
from penult_service.repository.names import Reference
from penult_service.repository.repository import Repository, State, prepare_and_load
from penult_service.repository.sources import Source

SOURCES = (Source("a", 1, None), Source("b", 2, None), Source("b", 10, None), Source("b", 3, None))


def load(source: Source) -> str:
    if (source.name, source.version) == ("b", 10):
        raise ModelRefused("it is broken; mend it", reason="BROKEN")
    return f"{source.name}{source.version}"


def loaded(*sources: Source) -> Repository[str]:
    repository: Repository[str] = Repository(sources or SOURCES, load)
    repository.load_all()
    return repository


def test_before_anything_is_loaded() -> None:
    repository: Repository[str] = Repository(SOURCES, load)
    assert {version.state for version in repository.versions()} == {State.LOADING}
    with pytest.raises(Unavailable) as caught:
        repository.resolve(Reference("b"), "model")
    assert caught.value.reason == "MODEL_LOADING"
    assert caught.value.metadata["model"] == "models/b/versions/10"


def test_the_highest_version_that_is_ready_answers() -> None:
    repository = loaded()
    assert [(v.name, v.number, v.state) for v in repository.versions()] == [
        ("a", 1, State.READY),
        ("b", 10, State.FAILED),
        ("b", 3, State.READY),
        ("b", 2, State.READY),
    ]
    assert repository.resolve(Reference("b"), "model") == "b3"
    assert repository.resolve(Reference("b", 2), "model") == "b2"
    default = repository.default_version("b")
    assert default is not None
    assert default.number == 3
    with pytest.raises(PreconditionFailed) as caught:
        repository.resolve(Reference("b", 10), "model")
    assert (caught.value.reason, caught.value.field) == ("MODEL_FAILED", "model")
    assert "mend it" in caught.value.message


def test_a_request_that_names_none() -> None:
    with pytest.raises(InvalidInput) as caught:
        loaded().resolve(Reference(), "model")
    assert (caught.value.reason, caught.value.field) == ("MODEL_REQUIRED", "model")
    assert loaded(Source("a", 1, None)).resolve(Reference(), "model") == "a1"
    # A model that failed leaves one that is there.
    assert loaded(Source("a", 1, None), Source("b", 10, None)).resolve(Reference(), "model") == "a1"
    assert loaded(Source("b", 10, None)).default_name() == ""
    with pytest.raises(PreconditionFailed):
        loaded(Source("b", 10, None)).resolve(Reference(), "model")


def test_what_is_not_there() -> None:
    with pytest.raises(NotFound) as caught:
        loaded().resolve(Reference("c", 4), "model")
    assert "'c@4'" in caught.value.message
    assert caught.value.metadata["models"] == "a@1, b@10, b@3, b@2"


def test_the_default_while_models_are_loading() -> None:
    """It must not be one model now and several a minute later."""
    assert Repository(SOURCES, load).default_name() == ""


def test_what_is_prepared_comes_first_and_every_change_is_told(tmp_path: Path) -> None:
    (tmp_path / MANIFEST_NAME).touch()
    sources = (Source("a", 1, Path("/raw")), Source("b", 10, tmp_path), Source("c", 1, None))
    told: list[tuple[str, State]] = []
    repository: Repository[str] = Repository(
        sources, load, lambda version: told.append((version.name, version.state))
    )
    repository.load_all()
    assert told == [("b", State.FAILED), ("c", State.READY), ("a", State.READY)]


def test_how_a_source_becomes_a_model(tmp_path: Path) -> None:
    (tmp_path / MANIFEST_NAME).touch()
    run = prepare_and_load(
        lambda path: Path("/cache") / path.name,
        lambda directory, name, version: f"{directory} as {name}@{version}",
        lambda name: f"fake {name}",
    )
    assert run(Source("raw", 3, Path("/models/x"))) == "/cache/x as raw@3"
    assert run(Source("ready", 1, tmp_path)) == f"{tmp_path} as ready@1"
    assert run(Source("made-up", 1, None)) == "fake made-up"
