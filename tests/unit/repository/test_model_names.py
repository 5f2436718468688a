"""How people write a model and a version."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from penult_service.errors import InvalidInput
from penult_service.repository.names import Reference, is_name, parse_reference, version_of


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", Reference()),
        ("reviews", Reference("reviews")),
        ("reviews@3", Reference("reviews", 3)),
        ("models/reviews", Reference("reviews")),
        ("models/reviews/versions/3", Reference("reviews", 3)),
        ("a.b_c-D9@12", Reference("a.b_c-D9", 12)),
    ],
)
def test_what_names_a_model(text: str, expected: Reference) -> None:
    assert parse_reference(text, "model") == expected


@pytest.mark.parametrize(
    "text",
    ["@3", "reviews@", "reviews@0", "reviews@x", "reviews@3@4", "models/", "models/a/versions/", "models/a/b",
     "models/a/versions/0", "a/b", "../a", "Reviews", "-a", "a b", "a\n", "ä", "a" * 129, "a@" + "9" * 30],
)  # fmt: skip
def test_what_does_not(text: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        parse_reference(text, "options.model")
    assert (caught.value.reason, caught.value.field) == ("WRONG_MODEL_NAME", "options.model")
    assert len(caught.value.message) < 300


@given(st.from_regex(r"[a-z0-9][a-zA-Z0-9._-]{0,20}", fullmatch=True), st.integers(1, 10**17))
def test_all_ways_mean_the_same(name: str, version: int) -> None:
    assert is_name(name)
    reference = parse_reference(f"{name}@{version}", "")
    assert reference == parse_reference(f"models/{name}/versions/{version}", "") == Reference(name, version)
    assert parse_reference(str(reference), "") == reference


@pytest.mark.parametrize("text", ["01", "0", "1.0", "-1", "v1", "", "१", "9" * 19])
def test_directories_that_are_no_versions(text: str) -> None:
    assert version_of(text) is None
