"""OpenVINO beside TensorFlow and NumPy: the same numbers, the same refusals, and nothing that is not asked for."""

from __future__ import annotations

import logging
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from penult_service.engines import ir as making
from penult_service.engines import openvino
from penult_service.engines.index import Index, is_whole
from penult_service.engines.opening import Functions, open_engine
from penult_service.errors import InvalidInput, ModelRefused
from penult_service.prepared import GRAPH, Manifest, TokenInput, load_manifest
from penult_service.tuned import BFLOAT16, OPENVINO, TENSORFLOW, Setting
from support import prepared_by_hand
from support.engines import seed_ir, seed_model_on
from support.seed_model import prepared_seed_model

TEXTS = ["dull", "a film that i will not forget", "word " * 30, "word " * 300, ""]


@pytest.fixture(scope="module")
def opened(by_hand: Path, limited: Manifest, tmp_path_factory: pytest.TempPathFactory) -> Any:
    place = tmp_path_factory.mktemp("ir")
    root = logging.getLogger()
    before = (root.level, root.filters[:], root.handlers[:])
    making.convert(by_hand, limited, Functions(by_hand), place)
    assert (root.level, root.filters, root.handlers) == before
    return open_engine(by_hand, limited, Setting(OPENVINO), ir=place)[0]


def rows(*, ids: int = 7, types: int = 1, length: int = 9) -> dict[str, np.ndarray]:
    found = {"ids": np.full((3, length), 5), "mask": np.ones((3, length)), "types": np.zeros((3, length))}
    found["mask"][1, 4:] = 0
    found["ids"][2, 3], found["types"][0, 1] = ids, types
    return {name: array.astype(np.int32) for name, array in found.items()}


def test_readouts_and_outputs_are_those_of_numpy(opened: Any) -> None:
    given = rows()
    tokens, pooled, logits = prepared_by_hand.by_numpy(*given.values())
    found = opened.encode(given, ["pooler", "encoder"])
    np.testing.assert_allclose(found["encoder"], tokens, atol=1e-6)
    np.testing.assert_allclose(found["pooler"], pooled, atol=1e-6)
    np.testing.assert_allclose(opened.encode(given, ["encoder"])["encoder"], tokens, atol=1e-6)
    expected = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    np.testing.assert_allclose(opened.head(found["pooler"])["output"], expected, atol=1e-6)


@pytest.mark.parametrize(("wrong", "least", "most"), [("ids", 0, None), ("types", 0, 1)])
def test_what_a_table_has_no_row_for_is_refused_as_tensorflow_does(
    opened: Any, by_hand: Path, limited: Manifest, wrong: str, least: int, most: int | None
) -> None:
    most = len(prepared_by_hand.VOCABULARY) - 1 if most is None else most
    tensorflow = open_engine(by_hand, limited, Setting(TENSORFLOW))[0]
    for engine in (opened, tensorflow):
        engine.encode(rows(**{wrong: most}), ["pooler"])
        for value in (least - 1, most + 1):
            with pytest.raises(InvalidInput, match=f"holds {value}, .* has 0 to {most}$") as refused:
                engine.encode(rows(**{wrong: value}), ["pooler"])
            assert refused.value.reason == "OUT_OF_RANGE"


def test_more_tokens_than_places_are_refused(opened: Any) -> None:
    with pytest.raises(InvalidInput) as refused:
        opened.encode(rows(length=prepared_by_hand.POSITIONS + 1), ["pooler"])
    assert refused.value.reason == "REFUSED_BY_MODEL"
    opened.encode(rows(length=prepared_by_hand.POSITIONS), ["pooler"])


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({}, "tokens of any length"),
        ({"readouts": (), "seam": "", "unread": "no cut"}, "nothing can be read"),
        ({"max_length": 9, "inputs": (TokenInput("x", "value", "bfloat16"),)}, "bfloat16"),
        ({"max_length": 9, "inputs": (TokenInput("x", "value", "float32", "x", (-1,)),)}, "any length"),
    ],
)
def test_what_openvino_would_get_wrong_in_silence_is_not_converted(
    by_hand: Path, tmp_path: Path, change: dict[str, Any], why: str
) -> None:
    with pytest.raises(ModelRefused, match=why) as refused:
        making.convert(by_hand, replace(load_manifest(by_hand), **change), {}, tmp_path)
    assert refused.value.reason == "ENGINE_CANNOT"
    assert not list(tmp_path.iterdir())


def a_model_that(compute: Any, place: Path) -> dict[str, Any]:
    """Signatures of a model of ids alone, as they come from a file."""
    import tensorflow as tf

    ids = tf.TensorSpec([None, None], tf.int32, name="ids")
    module = tf.Module()
    module.encode = tf.function(
        lambda ids: {"pooler": compute(tf, ids)}, input_signature=[ids], autograph=False
    )
    tf.saved_model.save(module, str(place), signatures={"encode_0": module.encode})
    module.loaded = tf.saved_model.load(str(place))
    return {"encode_0": module.loaded.signatures["encode_0"], "kept": module}


@pytest.mark.parametrize(
    ("compute", "why"),
    [
        (
            lambda tf, ids: tf.reduce_mean(tf.gather(tf.ones((9, 3)), ids * 2), axis=1),
            "computes places in a table from 'ids'",
        ),
        (
            lambda tf, ids: tf.cast(tf.strings.length(tf.strings.as_string(ids)), tf.float32),
            "the function 'encode_0' of m: No conversion rule found for operations: AsString, StringLength$",
        ),
    ],
)
def test_what_is_not_converted_is_said_in_a_sentence(
    limited: Manifest, tmp_path: Path, compute: Any, why: str
) -> None:
    manifest = replace(limited, readouts=limited.readouts[:1], inputs=limited.inputs[:1])
    with pytest.raises(ModelRefused, match=why) as refused:
        making.convert(Path("m"), manifest, a_model_that(compute, tmp_path / "saved"), tmp_path)
    assert refused.value.reason == "ENGINE_CANNOT"


def test_ids_beside_texts_are_a_caller_s_too(limited: Manifest, tmp_path: Path) -> None:
    manifest = replace(limited, readouts=limited.readouts[:1], inputs=limited.inputs[:1], tokenizer=GRAPH)
    signatures = a_model_that(
        lambda tf, ids: tf.reduce_mean(tf.gather(tf.ones((9, 3)), ids * 2), axis=1), tmp_path / "saved"
    )
    with pytest.raises(ModelRefused, match="computes places in a table from 'ids'"):
        making.convert(Path("m"), manifest, signatures, tmp_path)


def attending(tf: Any, ids: Any) -> Any:
    """Attention whose mask is made of the ids, and gives nothing where there are none, as Keras has it."""
    table = tf.constant(np.random.default_rng(1).standard_normal((30, 8)), tf.float32)
    rows = tf.transpose(tf.reshape(tf.gather(table, ids), [tf.shape(ids)[0], -1, 2, 4]), [0, 2, 1, 3])
    shown = tf.not_equal(ids, 0)[:, None, None, :]
    scores = tf.where(shown, tf.matmul(rows, rows, transpose_b=True) * 0.5, -1e9)
    shares = tf.where(shown, tf.nn.softmax(scores), 0.0)
    mixed = tf.transpose(tf.matmul(shares, rows), [0, 2, 1, 3])
    return tf.reshape(mixed, [tf.shape(ids)[0], -1, 8])[:, 0]


def test_rows_of_padding_alone_are_what_tensorflow_makes_of_them(limited: Manifest, tmp_path: Path) -> None:
    manifest = replace(limited, readouts=limited.readouts[:1], inputs=limited.inputs[:1])
    signatures = a_model_that(attending, tmp_path / "saved")
    ids = np.array([[3, 4, 5, 0], [0, 0, 0, 0]], np.int32)
    wanted = signatures["encode_0"](ids=ids)["pooler"].numpy()
    model = making._converted(signatures["encode_0"], "encode_0", ["pooler"], Path("m"))
    model = making._as_good(model, making._rewritten, making._made_up(model, manifest, {}), manifest)
    found = making._computed(model, {"ids": ids})[0]
    np.testing.assert_allclose(found, wanted, atol=1e-5)


@pytest.mark.parametrize(
    ("engine", "precision"), [(OPENVINO, "float32"), (OPENVINO, BFLOAT16), (TENSORFLOW, BFLOAT16)]
)
def test_embeddings_are_tensorflows_up_to_the_precision(engine: str, precision: str) -> None:
    reference, other = seed_model_on(TENSORFLOW), seed_model_on(engine, precision)
    table = reference.tokenizer.tokenize(TEXTS)
    seam = reference.manifest.seam
    wanted, found = (one.engine.encode(table.inputs, [seam])[seam] for one in (reference, other))
    cosine = (wanted * found).sum(axis=1) / np.linalg.norm(wanted, axis=1) / np.linalg.norm(found, axis=1)
    apart = np.abs(wanted - found).max()
    if precision == BFLOAT16:
        assert 1e-4 < apart < 0.1  # lowered, and not by more than rounding explains
        assert cosine.min() > 0.999
    else:
        assert apart <= 1e-4
        assert cosine.min() > 0.999999


def test_tensorflow_computes_each_engine_at_its_own_precision_in_turn() -> None:
    single, lower = seed_model_on(TENSORFLOW), seed_model_on(TENSORFLOW, BFLOAT16)
    inputs, seam = single.tokenizer.tokenize(TEXTS).inputs, single.manifest.seam
    first = [model.engine.encode(inputs, [seam])[seam] for model in (single, lower)]
    assert (first[0] != first[1]).any()
    for _ in range(2):
        for model, before in zip((single, lower), first, strict=True):
            np.testing.assert_array_equal(model.engine.encode(inputs, [seam])[seam], before)
    np.testing.assert_array_equal(
        lower.engine.head(first[0])["output"], single.engine.head(first[0])["output"]
    )


def test_bfloat16_is_refused_where_the_processor_has_none(monkeypatch: pytest.MonkeyPatch) -> None:
    class Core:
        def get_property(self, *_: str) -> list[str]:
            return ["FP32", "INT8"]

    monkeypatch.setattr(openvino, "core", Core)
    with pytest.raises(ModelRefused, match="no bfloat16 arithmetic; take --precision float32"):
        openvino.refuse_missing_precision(BFLOAT16)


@pytest.mark.parametrize(("longest", "refuses", "asked"), [(128, False, 1), (128, True, 2), (512, False, 1)])
def test_the_attention_of_short_texts_where_openvino_takes_that_setting(
    monkeypatch: pytest.MonkeyPatch, longest: int, refuses: bool, asked: int
) -> None:
    given: list[dict[str, Any]] = []

    class Node:
        def get_type_name(self) -> str:
            return "ScaledDotProductAttention"

    class Core:
        def compile_model(self, _: Any, __: str, settings: dict[str, Any]) -> str:
            given.append(settings)
            if refuses and "SNIPPETS_MODE" in settings:
                raise RuntimeError("not a setting")
            return "compiled"

    monkeypatch.setattr(openvino, "core", Core)
    model = type("Model", (), {"get_ops": lambda _: [Node()]})()
    assert openvino._compiled(model, {"NUM_STREAMS": 1}, longest) == "compiled"
    assert len(given) == asked
    assert ("SNIPPETS_MODE" in given[-1]) == (longest == 128 and not refuses)


def test_bfloat16_is_refused_where_tensorflow_goes_on_in_float32(monkeypatch: pytest.MonkeyPatch) -> None:
    from penult_service.engines import tensorflow

    monkeypatch.setattr(tensorflow, "_tell", lambda _: None)  # as where the rewriter does nothing
    tensorflow._lowers.cache_clear()
    with pytest.raises(ModelRefused, match="computes nothing in bfloat16 here") as refused:
        tensorflow.TensorFlowEngine({}, load_manifest(prepared_seed_model()), BFLOAT16)
    assert refused.value.reason == "ENGINE_CANNOT"
    tensorflow._lowers.cache_clear()


def test_openvino_that_is_not_installed_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "openvino", None)
    with pytest.raises(ModelRefused, match=r"cannot be imported .*install penult\[serve\]") as refused:
        openvino.runtime.__wrapped__()
    assert refused.value.reason == "ENGINE_CANNOT"


def test_tensorflow_that_is_not_installed_is_said(
    monkeypatch: pytest.MonkeyPatch, by_hand: Path, limited: Manifest
) -> None:
    monkeypatch.delitem(sys.modules, "penult_service.engines.tensorflow", raising=False)
    monkeypatch.setitem(sys.modules, "tensorflow", None)
    with pytest.raises(ModelRefused, match=r"tensorflow is not installed.*penult\[tensorflow\]") as refused:
        open_engine(by_hand, limited, Setting(TENSORFLOW))
    assert refused.value.reason == "ENGINE_CANNOT"


def test_files_that_are_missing_or_damaged_are_named(
    by_hand: Path, limited: Manifest, tmp_path: Path
) -> None:
    with pytest.raises(InvalidInput, match=r"ir\.json cannot be read") as refused:
        open_engine(by_hand, limited, Setting(OPENVINO), ir=tmp_path)
    assert refused.value.reason == "DAMAGED"
    Index({"encode_0_1": ("pooler", "encoder")}, True, False, {}).write(tmp_path)
    with pytest.raises(ModelRefused, match="cannot compile"):
        open_engine(by_hand, limited, Setting(OPENVINO), ir=tmp_path)


@pytest.mark.parametrize("damage", ["altered", "cut", "gone", "more", "index"])
def test_what_is_not_as_it_was_written_is_not_whole(tmp_path: Path, damage: str) -> None:
    (tmp_path / "tokenize").mkdir()
    for name in ("encode_0.bin", "tokenize/saved_model.pb"):
        (tmp_path / name).write_bytes(bytes(range(99)))
    Index({"encode_0": ("pooler",)}, True, False, {"ids": (0, 9)}).write(tmp_path)
    assert is_whole(tmp_path)
    file = tmp_path / "tokenize" / "saved_model.pb"
    if damage == "altered":
        file.write_bytes(bytes(range(1, 100)))
    elif damage == "cut":
        file.write_bytes(bytes(range(98)))
    elif damage == "gone":
        file.unlink()
    elif damage == "more":
        (tmp_path / "head.bin").write_bytes(b"")
    else:
        (tmp_path / "ir.json").write_text("{}")
    assert not is_whole(tmp_path)


def test_nothing_is_written_at_home_and_no_telemetry_comes_in(tmp_path: Path) -> None:
    code = """
import socket, sys
def refused(*_, **__): raise SystemExit("it asked the network")
socket.socket.connect = socket.getaddrinfo = refused
from penult_service.engines.openvino_runtime import runtime
openvino = runtime()
import numpy as np, openvino.opset8 as ops
given = ops.parameter([-1], np.float32)
model = openvino.Model([ops.relu(given)], [given])
openvino.Core().compile_model(model, "CPU")([np.float32([-1, 2])])
from openvino.tools.ovc import telemetry_utils
telemetry_utils.send_conversion_result("success")
assert telemetry_utils.tm.__name__.endswith("telemetry_stub"), telemetry_utils.tm
loaded = [name for name, module in sys.modules.items() if name.startswith("openvino_telemetry") and module]
assert not loaded, loaded
assert "tensorflow" not in sys.modules
"""
    environment = {"HOME": str(tmp_path), "PATH": "/usr/bin:/bin", "CI": ""}
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    assert not list(tmp_path.rglob("*"))


def test_for_tokens_alone_the_weights_are_not_loaded(monkeypatch: pytest.MonkeyPatch) -> None:
    from penult_service.engines import tensorflow

    loaded: list[Path] = []

    def signatures(directory: Path, *rest: Any, real: Any = tensorflow.signatures) -> Any:
        loaded.append(directory)
        return real(directory, *rest)

    reference = seed_model_on(TENSORFLOW)
    monkeypatch.setattr(tensorflow, "signatures", signatures)
    model = seed_model_on(OPENVINO)
    expected, found = (one.tokenizer.tokenize(TEXTS) for one in (reference, model))
    assert list(found.inputs) == list(expected.inputs)
    for name, array in expected.inputs.items():
        np.testing.assert_array_equal(found.inputs[name], array)
    assert loaded == [seed_ir() / "tokenize"]
    outputs = [one.engine.whole({"text": np.array(TEXTS, object)})["output"] for one in (reference, model)]
    np.testing.assert_array_equal(*outputs)
    assert loaded == [seed_ir() / "tokenize", prepared_seed_model()]
