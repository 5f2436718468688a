"""A pooled output of the first token: the last layer computes that row alone, and nothing else is changed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from penult_service.engines.openvino import options
from penult_service.engines.openvino_runtime import runtime
from penult_service.engines.rewriting.first_rows import select_first_rows
from penult_service.engines.rewriting.graph import operations
from penult_service.tuned import FLOAT32

HEADS, SIZE, ROWS, LENGTH = 2, 4, 3, 6
WIDTH = HEADS * SIZE
random = np.random.default_rng(11)
X = random.standard_normal((ROWS, LENGTH, WIDTH)).astype(np.float32)
MASK = (np.arange(LENGTH) < np.array([6, 4, 1])[:, None]).astype(np.float32)
W = [random.standard_normal((WIDTH, WIDTH)).astype(np.float32) for _ in range(7)]
B = random.standard_normal((1, 1, WIDTH)).astype(np.float32)


def sliced(ops: Any, value: Any, *, row: int = 0, until: int = 1, axis: int = 1) -> Any:
    """x[:, row] as it is converted."""
    begin, end, shrink = np.zeros(2, np.int64), np.zeros(2, np.int64), [0, 0]
    begin[axis], end[axis], shrink[axis] = row, until, 1
    masks = [1 - bit for bit in shrink]
    return ops.strided_slice(value, begin, end, np.ones(2, np.int64), masks, masks, [], shrink, [])


def gathered(ops: Any, value: Any) -> Any:
    return ops.gather(value, np.array(0), np.array(1))


def layer(
    ops: Any, x: Any, mask: Any, *, flat: bool = False, by_query: bool = False, causal: bool = False
) -> Any:
    """Attention, its sum, a norm, a dense layer with GELU, its sum: the last layer of an encoder."""

    bias, texts = (B[0], [-1, LENGTH]) if flat else (B, [0, 0])

    def dense(value: Any, number: int) -> Any:
        return ops.add(ops.matmul(value, W[number], False, False), bias)

    def heads(number: int) -> Any:
        split = ops.reshape(dense(x, number), np.array([*texts, HEADS, SIZE]), not flat)
        return ops.transpose(split, np.array([0, 2, 1, 3]))

    hidden = ops.multiply(ops.subtract(np.float32(1), mask), np.float32(-1e9))
    added = ops.unsqueeze(ops.unsqueeze(hidden, np.array(1)), np.array(1))
    if by_query:
        added = ops.add(added, np.tri(LENGTH, dtype=np.float32)[None, None])
    mixed = ops.scaled_dot_product_attention(
        *(heads(i) for i in range(3)), added, np.float32(0.5), causal=causal
    )
    together = ops.reshape(
        ops.transpose(mixed, np.array([0, 2, 1, 3])),
        np.array([-1, WIDTH] if flat else [0, 0, WIDTH]),
        not flat,
    )
    attended = ops.add(dense(together, 3), x)
    norm = ops.add(ops.mvn(attended, np.array([-1]), True, 1e-5, "inside_sqrt"), bias)
    out = ops.add(dense(ops.gelu(dense(norm, 4), "erf"), 5), norm)
    return ops.reshape(out, np.array([-1, LENGTH, WIDTH]), False) if flat else out


def pooled(ops: Any, row: Any) -> Any:
    return ops.tanh(ops.matmul(row, W[6], False, False))


def model_of(compute: Callable[..., Any]) -> Any:
    ops = operations()
    x, mask = ops.parameter([-1, LENGTH, WIDTH], np.float32), ops.parameter([-1, -1], np.float32)
    found = compute(ops, x, mask)
    return runtime().Model(list(found) if isinstance(found, tuple) else [found], [x, mask])


def computed(model: Any) -> list[np.ndarray]:
    compiled = runtime().Core().compile_model(model, "CPU", options(FLOAT32, 1))
    found = compiled([X, MASK])
    return [np.array(found[one]) for one in compiled.outputs]


def products_of_all_rows(model: Any) -> int:
    """Dense layers that are computed of every token."""
    products = [node for node in model.get_ops() if node.get_type_name() == "MatMul"]
    return sum(len(node.get_input_partial_shape(0)) == 3 for node in products)


@pytest.mark.parametrize("take", [sliced, gathered])
def test_the_last_layer_computes_the_first_row_alone(take: Callable[..., Any]) -> None:
    model = model_of(lambda ops, x, mask: pooled(ops, take(ops, layer(ops, x, mask))))
    before = computed(model.clone())[0]
    assert products_of_all_rows(model) == 6
    assert select_first_rows(model) == 1
    model.validate_nodes_and_infer_types()
    assert products_of_all_rows(model) == 2  # keys and values
    np.testing.assert_allclose(computed(model)[0], before, atol=1e-6)
    assert before.shape == (ROWS, WIDTH)


def test_rows_of_all_texts_below_each_other() -> None:
    """What the layer is given is one matrix already: the row is taken where texts are apart."""

    def compute(ops: Any, x: Any, mask: Any) -> Any:
        given = ops.relu(ops.reshape(x, np.array([-1, WIDTH]), False))
        return pooled(ops, sliced(ops, layer(ops, given, mask, flat=True)))

    model = model_of(compute)
    before = computed(model.clone())[0]
    assert select_first_rows(model) == 1
    model.validate_nodes_and_infer_types()
    np.testing.assert_allclose(computed(model)[0], before, atol=1e-6)


@pytest.mark.parametrize(
    "compute",
    [
        lambda ops, x, mask: sliced(ops, layer(ops, x, mask), row=1, until=2),
        lambda ops, x, mask: sliced(ops, layer(ops, x, mask), row=-1, until=LENGTH),
        lambda ops, x, mask: sliced(ops, layer(ops, x, mask), axis=0),
        lambda ops, x, mask: sliced(ops, layer(ops, x, mask, by_query=True)),
        lambda ops, x, mask: sliced(ops, layer(ops, x, mask, causal=True)),
        lambda ops, x, mask: (tokens := layer(ops, x, mask), sliced(ops, tokens)),
        lambda ops, x, mask: sliced(ops, ops.softmax(layer(ops, x, mask), 1)),
        lambda ops, x, mask: sliced(
            ops, ops.mvn(layer(ops, x, mask), np.array([1]), True, 1e-5, "inside_sqrt")
        ),
        lambda ops, x, mask: sliced(ops, ops.multiply(layer(ops, x, mask), X[:1, :, :])),
    ],
    ids=[
        "second",
        "last",
        "text",
        "mask by query",
        "causal",
        "tokens too",
        "softmax",
        "norm over tokens",
        "by place",
    ],
)
def test_other_selections_stay(compute: Callable[..., Any]) -> None:
    model = model_of(compute)
    before = computed(model.clone())
    assert select_first_rows(model) == 0
    for found, expected in zip(computed(model), before, strict=True):
        np.testing.assert_array_equal(found, expected)
