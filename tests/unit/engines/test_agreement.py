"""An engine that is right in the default embedding, and wrong in something else that a server may ask for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pytest
from penult_service.engines.agreement import outputs_fault, readouts_fault
from penult_service.engines.examples import of_texts
from penult_service.engines.pricing import Read
from penult_service.tuned import BFLOAT16, FLOAT32
from support.fakes import fake_model

MODEL = fake_model()
EXAMPLES = of_texts(MODEL.manifest, MODEL.tokenizer, [f"{'word ' * (i % 40)}{i}" for i in range(60)])


class Wrong:
    """The fake engine, with `by` added where a layer is read with these others, beyond so many tokens."""

    def __init__(self, layers: set[str], layer: str, by: float, beyond: int = 0) -> None:
        self._asked = layers, layer, by, beyond

    def encode(
        self, inputs: Mapping[str, Any], layers: Sequence[str], *, alone: bool = True
    ) -> dict[str, Any]:
        found = dict(MODEL.engine.encode(inputs, layers, alone=alone))
        wanted, layer, by, beyond = self._asked
        if set(layers) == wanted and max(array.shape[1] for array in inputs.values()) > beyond:
            found[layer] = found[layer] + np.float32(by)
        return found

    def head(self, embedding: Any, values: Any = None) -> dict[str, Any]:
        return dict(MODEL.engine.head(embedding, values))


def fault(engine: Any, precision: str = FLOAT32) -> str:
    return readouts_fault(precision, MODEL.engine, engine, MODEL.manifest, EXAMPLES)


def test_every_readout_is_looked_at() -> None:
    seam = MODEL.manifest.seam
    sets = [{seam}, *({seam, one.layer} for one in MODEL.manifest.readouts if one.layer != seam)]
    assert len(sets) > 1
    assert fault(MODEL.engine) == ""
    for layers in sets:
        for layer in layers:
            longest = int(EXAMPLES.lengths.max()) - 1
            assert f"the readout {layer!r} differs" in fault(Wrong(layers, layer, 0.01, longest))
            assert fault(Wrong(layers, layer, 1e-6)) == ""
            assert fault(Wrong(layers, layer, 0.01), BFLOAT16) == ""
            assert fault(Wrong(layers, layer, 30.0), BFLOAT16)
            assert "inf" in fault(Wrong(layers, layer, np.nan))


def test_the_head_is_looked_at() -> None:
    vectors = np.zeros((3, 2), np.float32)
    right, wrong = np.array([[0.2], [0.5], [np.nan]]), np.array([[0.2], [0.6], [np.nan]])
    assert outputs_fault(FLOAT32, Read(vectors, right), Read(vectors, right.copy())) == ""
    said = outputs_fault(FLOAT32, Read(vectors, right), Read(vectors, wrong))
    assert said.startswith("the output of its head differs from TensorFlow's by 0.1 of")
    assert outputs_fault(BFLOAT16, Read(vectors, right), Read(vectors, wrong)) == ""
    assert outputs_fault(FLOAT32, Read(vectors, right), Read(vectors)) == ""


@pytest.mark.parametrize(("other", "same"), [(["a", "b"], True), (["a", "c"], False)])
def test_words_are_the_same_or_not(other: list[str], same: bool) -> None:
    read = [Read(np.zeros((2, 2), np.float32), np.array(words)) for words in (["a", "b"], other)]
    assert (outputs_fault(FLOAT32, *read) == "") == same
