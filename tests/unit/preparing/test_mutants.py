"""The test of the test: accepted models in which one thing is turned on. Every one is refused.

Whether something was turned on is not asked of the audit: the mutant is run, and other numbers must come out.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest

pytestmark = pytest.mark.tensorflow

tf = pytest.importorskip("tensorflow")

from penult_service.errors import ModelRefused  # noqa: E402
from penult_service.preparing import pipeline  # noqa: E402
from penult_service.preparing.audit import audit  # noqa: E402
from penult_service.preparing.formats.saved_model import open_model  # noqa: E402
from penult_service.preparing.opened import Opened  # noqa: E402
from support import body_edits, dropout_sites, mutants  # noqa: E402
from support import text_models as tm  # noqa: E402

SAMPLED = 8
BERT = pytest.param("bert", marks=pytest.mark.full)


def no_progress(stage: str, share: float) -> None:
    del stage, share


def tally(opened: Opened, chosen: Sequence[mutants.Splice]) -> tuple[int, int]:
    """How many mutants change what comes out, and how many are refused by the name of what was put in."""
    plain = mutants.answers(opened.function)
    effective = refused = 0
    for splice in chosen:
        mutant = splice.make(opened)
        found = audit(mutants.flat_of(mutant)).random
        effective += mutants.changed(mutants.answers(mutant), plain)
        refused += any(one.op.startswith(splice.named) for one in found)
    return effective, refused


@pytest.mark.parametrize("name", [*dropout_sites.SMALL, BERT])
def test_each_dropout_in_turn(name: str) -> None:
    architecture = dropout_sites.architectures()[name]
    assert audit(architecture.accepted.flat).refused == []
    plain = mutants.answers(architecture.accepted.function)
    assert len(architecture.sites) == len(set(architecture.sites)) > 2
    for site in architecture.sites:
        mutant = architecture.with_site(site)
        assert audit(mutant.flat).random, site
        assert mutants.changed(mutants.answers(mutant.function), plain), site


@pytest.mark.parametrize("name", list(dropout_sites.SMALL))
def test_a_random_operation_behind_control_flow(name: str) -> None:
    """Some of each model's: together every kind of control flow with every way to draw, in every place."""
    opened, turn = dropout_sites.SMALL[name].accepted, list(dropout_sites.SMALL).index(name)
    made = mutants.splices(opened, many=False)
    assert len(made) == (5 * len(mutants.FLOWS) - 1) * len(mutants.DRAWS)
    chosen = made[turn :: len(made) // (SAMPLED + turn)]
    assert tally(opened, chosen) == (len(chosen), len(chosen))


@pytest.mark.full
@pytest.mark.parametrize("name", [*dropout_sites.SMALL, "bert"])
def test_every_random_operation_behind_every_control_flow(name: str) -> None:
    opened = dropout_sites.architectures()[name].accepted
    made = mutants.splices(opened, many=name != "bert")
    assert len(made) >= (5 * len(mutants.FLOWS) - 1) * len(mutants.DRAWS)
    assert tally(opened, made) == (len(made), len(made))


def every(edits: Iterator[body_edits.Edit], step: int) -> Iterator[body_edits.Edit]:
    return (edit for number, edit in enumerate(edits) if number % step == 0)


@pytest.mark.parametrize("step", [40, pytest.param(1, marks=pytest.mark.full)])
def test_noise_on_an_edge_inside_a_loop(step: int) -> None:
    """An edge that something is computed from is refused; the others, which change nothing, may pass."""
    opened = dropout_sites.SMALL["recurrent"].accepted
    plain = mutants.answers(opened.function)
    made = effective = 0
    for edit in every(body_edits.edited_bodies(opened), step):
        made += 1
        random = audit(edit.flat).random
        if mutants.changed(mutants.answers(body_edits.runnable(opened, edit.flat)), plain):
            effective += 1
            assert [found.op for found in random] == ["RandomUniform"], edit.where
            assert random[0].node.endswith("/mutant")
    assert made >= 100 // step
    assert effective > made / 2


@pytest.mark.parametrize(("flow", "draw"), [("While", "stateful"), ("jit_compile", "a constant seed")])
def test_a_mutant_in_a_file_is_refused_by_the_whole_pipeline(tmp_path: Path, flow: str, draw: str) -> None:
    source = tm.save(tm.classifier(), tmp_path / "model")
    opened = open_model(source)
    at = mutants.places(opened, many=False)["behind the dropout"]
    mutant = mutants.Splice("behind the dropout", at, flow, draw).make(opened)
    module = tf.Module()
    module.held = opened.root
    place = tmp_path / "mutant"
    tf.saved_model.save(module, str(place), signatures={"serving_default": mutant})
    shutil.copyfile(source / "keras_metadata.pb", place / "keras_metadata.pb")
    kept = open_model(place)
    assert not np.allclose(*(mutants.answers(model.function) for model in (opened, kept)))
    with pytest.raises(ModelRefused) as caught:
        pipeline.prepare(place, tmp_path / "prepared", None, no_progress)
    assert caught.value.reason == "RANDOM_AT_INFERENCE"
    assert not (tmp_path / "prepared").exists()
