"""The function for training of a saved model with numbers of ours in the place of those that it draws.

What our dropouts must give for the same keys, but for rounding: nothing of how they are found or put back is used, only
where each site stands among the layers, by its path.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray
from penult_service import masks
from penult_service.masks import Draw
from penult_service.prepared import SAMPLE_ENCODE, SAMPLE_HEAD, TOKENIZE, WORDPIECES, Site
from penult_service.preparing import parts
from penult_service.preparing.cut import cut, imported
from penult_service.preparing.declarations.declaration import NOTHING, Declaration
from penult_service.preparing.graph import FlatGraph
from penult_service.preparing.opened import Opened
from penult_service.preparing.opening import open_model
from penult_service.preparing.places import Seams
from penult_service.preparing.sampling import putting
from penult_service.preparing.sampling.putting import Plan
from penult_service.preparing.seam.inner_sites import with_inner
from penult_service.preparing.seam.seams import find_seams, surveyed
from penult_service.preparing.seam.survey import Survey
from penult_service.preparing.seam.training import Training, scope_of
from support import text_models as tm

_DRAWING = ("RandomUniform", "StatelessRandomUniformV2")


@dataclass(frozen=True)
class PutBack:
    """A saved model that was read (`survey`) and cut, its dropouts put back; `sites` have `sampled` and `shared`."""

    survey: Survey
    opened: Opened
    seams: Seams
    plan: Plan

    @property
    def sites(self) -> tuple[Site, ...]:
        return self.plan.sites

    @property
    def paths(self) -> list[str]:
        """Of the sites, in order."""
        return [site.path for site in self.sites]

    def draw(self, rows: int, *, seed: int = 5, sample: int = 3, off: int | None = None) -> Draw:
        """Keys of rows, every site with its own rate, but for one that is off."""
        rates = [0.0 if number == off else site.rate or 0.0 for number, site in enumerate(self.sites)]
        keys = masks.keys_of(seed, np.full(rows, sample), np.arange(rows))
        return Draw(*keys, np.array([*rates, 0.0], np.float32))

    def sampled(self, texts: Any, draw: Draw) -> NDArray[Any]:
        """What the model says of the texts (or of token ids) with these dropouts, as it would be served."""
        built = self._built
        if TOKENIZE in built:
            tokens = {n: t for n, t in built[TOKENIZE](tf.constant(texts)).items() if n != WORDPIECES}
        else:
            tokens = {token.name: tf.constant(texts) for token, _ in self.seams.tokens}
        ordered = [tokens[token.name] for token, _ in self.seams.tokens]
        keys = [tf.constant(draw.row_keys), tf.constant(draw.shared_keys), tf.constant(draw.rates)]
        if SAMPLE_ENCODE in built:
            (embedding,) = built[SAMPLE_ENCODE](*ordered, *keys).values()
        else:
            specs = {ref: parts.spec_of(token) for token, ref in self.seams.tokens}
            read = cut(self.opened.flat, specs, {"read": self.seams.before})
            embedding = read(*ordered)["read"]
        (found,) = built[SAMPLE_HEAD](embedding, *keys).values()
        return np.asarray(found)

    @cached_property
    def _built(self) -> dict[str, Any]:
        return parts.build(self.opened, self.seams, {}, self.plan)

    def by_training(self, texts: Any, draw: Draw) -> NDArray[Any]:
        """The same of the model's function for training."""
        flat = Training(self.opened).flat
        assert flat is not None
        (fed,) = flat.inputs.values()
        given = {fed: tf.constant(texts)}
        draws = self._draws(flat)
        shapes = _run(flat, [flat.nodes[name].input[0] for name in draws], given)
        numbers = {
            f"{name}:0": tf.constant(_numbers(draw, self.sites[site], site, tuple(int(n) for n in shape)))
            for (name, site), shape in zip(draws.items(), shapes, strict=True)
        }
        (found,) = _run(flat, list(flat.outputs.values()), given | numbers)
        return np.asarray(found)

    def _draws(self, flat: FlatGraph) -> dict[str, int]:
        """What draws in the function for training -> the number of its site."""
        found: dict[str, int] = {}
        reached = flat.upstream(flat.outputs.values())
        for name in [n for n, node in flat.nodes.items() if node.op in _DRAWING and n in reached]:
            scope = "/".join(scope_of(name)) + "/"
            fitting = [
                number
                for number, path in enumerate(self.paths)
                if scope.startswith(path.partition("#")[0] + "/") and number not in found.values()
            ]
            found[name] = max(fitting, key=lambda number: len(self.paths[number].partition("#")[0]))
        return found


def put_back(source: Path, declared: Declaration = NOTHING) -> PutBack:
    """Reads and cuts a model, as preparing does."""
    survey = surveyed(open_model(source, None, declared))
    seams = find_seams(survey, None, declared)
    opened, seams = with_inner(survey.opened, survey, seams)
    return PutBack(survey, opened, seams, putting.planned(opened.flat, seams))


def check(found: PutBack, texts: Any = tm.TEXTS) -> None:
    """All dropouts active as in training; and each of them does something."""
    assert all(site.sampled for site in found.sites), found.sites
    draw = found.draw(len(texts))
    sampled = found.sampled(texts, draw)
    np.testing.assert_allclose(sampled, found.by_training(texts, draw), rtol=1e-5, atol=1e-5)
    for number, site in enumerate(found.sites):
        without = found.sampled(texts, found.draw(len(texts), off=number))
        assert np.abs(without - sampled).max() > 1e-3, site.path


def _numbers(draw: Draw, site: Site, number: int, shape: tuple[int, ...]) -> NDArray[np.float32]:
    """What `masks` draws for the site, in the shape that the model draws."""
    whole = 0 in site.shared
    keys = draw.shared_keys[: shape[0]] if whole else draw.row_keys
    found = masks.uniform(keys, number, shape[1:], site.shared)
    assert found.shape == shape
    return found


def _run(flat: FlatGraph, refs: list[str], given: dict[str, tf.Tensor]) -> list[NDArray[Any]]:
    feeds = list(given)

    @tf.function(autograph=False)
    def run(*tensors: tf.Tensor) -> list[tf.Tensor]:
        return [tf.identity(t) for t in imported(flat, refs, dict(zip(feeds, tensors, strict=True)))]

    return [tensor.numpy() for tensor in run(*given.values())]
