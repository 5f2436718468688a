"""Rewritten graphs compute what they did, and what only looks alike is left alone."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from penult_service.engines.openvino import options
from penult_service.engines.openvino_runtime import runtime
from penult_service.engines.rewriting import rewrite
from penult_service.engines.rewriting.graph import operations
from penult_service.tuned import FLOAT32

HEADS, SIZE = 3, 4
WIDTH = HEADS * SIZE
random = np.random.default_rng(7)


def weights(*shape: int) -> np.ndarray:
    return random.standard_normal(shape).astype(np.float32)


X = weights(2, 5, WIDTH)
MASK = np.array([[1, 1, 1, 1, 1], [1, 1, 1, 0, 0]], np.int32)


def model_of(compute: Callable[..., Any], *, masked: bool = False) -> Any:
    """Of x [n, length, WIDTH] (and a mask [n, length]), all lengths open."""
    ops = operations()
    inputs = [ops.parameter([-1, -1, WIDTH], np.float32, name="x")]
    if masked:
        inputs.append(ops.parameter([-1, -1], np.int32, name="mask"))
    return runtime().Model([compute(ops, *inputs)], inputs)


def computed(model: Any) -> np.ndarray:
    compiled = runtime().Core().compile_model(model, "CPU", options(FLOAT32, 1))
    return np.asarray(compiled([X, MASK][: len(compiled.inputs)])[0])


def check(model: Any, expected: np.ndarray | None = None, **found: int) -> list[str]:
    """Rewrites it, and holds it against itself (or the oracle); the types of its operations afterwards."""
    before = computed(model.clone()) if expected is None else expected
    counts = rewrite(model)
    np.testing.assert_allclose(computed(model), before, rtol=2e-5, atol=2e-5)
    assert {name: count for name, count in counts.items() if count} == found
    return [node.get_type_name() for node in model.get_ordered_ops()]


@pytest.mark.parametrize(
    ("equation", "shape", "again"),
    [("abc,cd->abd", (WIDTH, 7), None), ("abc,cde->abde", (WIDTH, HEADS, 5), (HEADS, 5, 6))],
)
def test_a_product_with_weights_is_a_product_with_a_matrix(
    equation: str, shape: tuple[int, ...], again: tuple[int, ...] | None
) -> None:
    w, back = weights(*shape), weights(*again) if again else None

    def compute(ops: Any, x: Any) -> Any:
        y = ops.einsum([x, ops.constant(w)], equation)
        return y if back is None else ops.einsum([y, ops.constant(back)], "abcd,cde->abe")

    expected = np.einsum(equation, X, w)
    expected = expected if back is None else np.einsum("abcd,cde->abe", expected, back)
    assert "Einsum" not in check(model_of(compute), expected, dense=1 + (back is not None))


@pytest.mark.parametrize("equation", ["abc,cd->adb", "abc,dc->abd", "abc,bcd->abd"])
def test_other_products_are_left(equation: str) -> None:
    shape = {"abc,cd->adb": (WIDTH, 7), "abc,dc->abd": (7, WIDTH), "abc,bcd->abd": (5, WIDTH, 7)}[equation]
    w = weights(*shape)
    check(model_of(lambda ops, x: ops.einsum([x, ops.constant(w)], equation)), np.einsum(equation, X, w))


def test_biases_go_in_front_of_what_is_done_to_the_axes() -> None:
    bias, other = weights(1, HEADS, SIZE, 1), weights(1, 1, HEADS, SIZE)

    def compute(ops: Any, x: Any) -> Any:
        split = ops.reshape(x, np.array([0, 0, HEADS, SIZE]), True)
        turned = ops.transpose(ops.add(split, other), np.array([0, 2, 3, 1]))
        return ops.add(ops.multiply(turned, np.float32(0.5)), bias)

    expected = (X.reshape(2, 5, HEADS, SIZE) + other).transpose(0, 2, 3, 1) * np.float32(0.5) + bias
    # The first addition through the split; the factor and the second through the turn, then through the split.
    types = check(model_of(compute), expected, lowered=5)
    assert types.index("Reshape") > types.index("Multiply")


def test_a_bias_that_is_not_of_the_split_axis_stays() -> None:
    bias = weights(1, 5, HEADS, SIZE)
    check(model_of(lambda ops, x: ops.add(ops.reshape(x, np.array([0, 0, HEADS, SIZE]), True), bias)))


def normalized(ops: Any, x: Any, *, axis: int = -1, sign: float = -1.0, power: float = -0.5) -> Any:
    mean = ops.reduce_mean(x, np.array([axis]), True)
    variance = ops.reduce_mean(ops.squared_difference(x, mean), np.array([axis]), True)
    factor = ops.multiply(ops.power(ops.add(variance, np.float32(1e-3)), np.float32(power)), GAMMA)
    shift = ops.add(ops.multiply(ops.multiply(mean, np.float32(sign)), factor), BETA)
    return ops.add(ops.multiply(x, factor), shift)


GAMMA, BETA = weights(1, 1, WIDTH), weights(1, 1, WIDTH)


def test_layer_normalisation_is_one_operation() -> None:
    expected = (X - X.mean(-1, keepdims=True)) / np.sqrt(X.var(-1, keepdims=True) + 1e-3) * GAMMA + BETA
    assert "MVN" in check(model_of(normalized), expected, norm=1)


@pytest.mark.parametrize("other", [{"axis": 1}, {"sign": 1.0}, {"power": -1.0}])
def test_what_is_nearly_layer_normalisation_is_left(other: dict[str, Any]) -> None:
    assert "MVN" not in check(model_of(lambda ops, x: normalized(ops, x, **other)))


def gelu(ops: Any, x: Any, *, half: float = 0.5, slope: float = -(0.5**0.5)) -> Any:
    erf = ops.erf(ops.multiply(x, np.float32(slope)))
    one = np.float32(1.0)
    turned = ops.subtract(one, erf) if slope < 0 else ops.add(erf, one)
    return ops.multiply(ops.multiply(np.float32(half), x), turned)


@pytest.mark.parametrize("slope", [-(0.5**0.5), 0.5**0.5])
def test_gelu_is_one_operation(slope: float) -> None:
    assert "Gelu" in check(model_of(lambda ops, x: gelu(ops, x, slope=slope)), gelu=1)


@pytest.mark.parametrize("other", [{"half": 0.4}, {"slope": -0.7}, {"slope": 0.6}])
def test_what_is_nearly_gelu_is_left(other: dict[str, Any]) -> None:
    assert "Gelu" not in check(model_of(lambda ops, x: gelu(ops, x, **other)))


def attention(
    ops: Any,
    x: Any,
    mask: Any,
    *,
    keys_first: bool = False,
    twice: bool = True,
    low: float = -1e9,
    to: int = -1,
) -> Any:
    """As Keras writes it: where(mask, scores, low), softmax, and where(mask, shares, 0)."""
    q, k, v = (
        ops.reshape(ops.add(ops.matmul(x, w, False, False), b), np.array([0, 0, HEADS, SIZE]), True)
        for w, b in PROJECTIONS
    )
    turned, flipped = np.array([0, 2, 1, 3]), np.array([0, 2, 3, 1])
    factor = np.float32(SIZE**-0.5)
    if keys_first:
        scores = ops.matmul(
            ops.transpose(k, turned), ops.transpose(ops.multiply(q, factor), flipped), False, False
        )
        scores = ops.transpose(scores, np.array([0, 1, 3, 2]))
    else:
        scores = ops.multiply(
            ops.matmul(ops.transpose(q, turned), ops.transpose(k, turned), False, True), factor
        )
    shown = ops.convert(ops.unsqueeze(ops.unsqueeze(mask, np.array(1)), np.array(1)), "boolean")
    shares = ops.softmax(ops.select(shown, scores, np.float32(low)), to)
    if twice:
        shares = ops.select(shown, shares, np.float32(0.0))
    mixed = ops.matmul(shares, ops.transpose(v, turned), False, False)
    return ops.transpose(mixed, turned)


PROJECTIONS = [(weights(WIDTH, WIDTH), weights(1, 1, WIDTH)) for _ in range(3)]


def attention_by_numpy() -> np.ndarray:
    q, k, v = ((X @ w + b).reshape(2, 5, HEADS, SIZE).transpose(0, 2, 1, 3) for w, b in PROJECTIONS)
    scores = q @ k.transpose(0, 1, 3, 2) / SIZE**0.5
    shares = np.where(MASK[:, None, None, :] > 0, np.exp(scores), 0)
    return ((shares / shares.sum(axis=-1, keepdims=True)) @ v).transpose(0, 2, 1, 3)


@pytest.mark.parametrize("keys_first", [False, True])
@pytest.mark.parametrize("twice", [False, True])
def test_attention_is_one_operation(keys_first: bool, twice: bool) -> None:
    model = model_of(lambda *given: attention(*given, keys_first=keys_first, twice=twice), masked=True)
    lowered = {"lowered": 1} if keys_first else {}  # the factor of the queries, which are split already
    assert "ScaledDotProductAttention" in check(model, attention_by_numpy(), attention=1, **lowered)


def attention_by_einsum(
    ops: Any,
    x: Any,
    mask: Any,
    *,
    scores: str = "btnh,bsnh->bnts",
    mixed: str = "bnts,bsnh->btnh",
    everywhere: bool = True,
) -> Any:
    """As later releases of Keras write it, with a mask of all queries that is true everywhere beside the real one."""
    q, k, v = (
        ops.reshape(ops.add(ops.matmul(x, w, False, False), b), np.array([0, 0, HEADS, SIZE]), True)
        for w, b in PROJECTIONS
    )
    found = ops.multiply(ops.einsum([q, k], scores), np.float32(SIZE**-0.5))
    shown = ops.convert(ops.unsqueeze(ops.unsqueeze(mask, np.array(1)), np.array(1)), "boolean")
    also = ops.broadcast(np.array(everywhere), ops.shape_of(found))
    shares = ops.softmax(ops.select(ops.logical_and(also, shown), found, np.float32(-1e9)), -1)
    return ops.einsum([shares, v], mixed)


@pytest.mark.parametrize(
    ("mixed", "order"), [("bnts,bsnh->btnh", (0, 1, 2, 3)), ("bnts,bsnh->bnth", (0, 2, 1, 3))]
)
def test_attention_by_equations_is_one_operation(mixed: str, order: tuple[int, ...]) -> None:
    model = model_of(lambda *given: attention_by_einsum(*given, mixed=mixed), masked=True)
    types = check(model, attention_by_numpy().transpose(order), attention=1)
    assert not {"Einsum", "LogicalAnd"} & set(types)


def test_a_mask_that_is_not_true_everywhere_stays_in_the_mask() -> None:
    model = model_of(lambda *given: attention_by_einsum(*given, everywhere=False), masked=True)
    assert "LogicalAnd" in check(model, attention=1)


@pytest.mark.parametrize("other", [{"low": -1.0}, {"to": 2}, {"to": 1}])
def test_what_is_nearly_attention_is_left(other: dict[str, Any]) -> None:
    types = check(model_of(lambda *given: attention(*given, **other), masked=True))
    assert "ScaledDotProductAttention" not in types
