"""Arrays and proofs as messages."""

from __future__ import annotations

from dataclasses import asdict, replace

import numpy as np
import pytest
from penult.v1 import common_pb2 as common
from penult.v1 import model_service_pb2 as models
from penult_client import Serving, ServingSetting
from penult_client._core import about
from penult_service.embedder import ClassifyResult
from penult_service.errors import Internal, InvalidInput
from penult_service.prepared import Figure, LayerRecord, Proof, Site
from penult_service.repository.repository import State, Version
from penult_service.repository.sources import Source
from penult_service.rpc import model_replies, replies
from penult_service.tuned import Measured, Price, Setting, Tuned
from support.fakes import fake_model

NUMBERS = {
    "float16": (common.DATA_TYPE_FLOAT32, "<f4"),
    "float32": (common.DATA_TYPE_FLOAT32, "<f4"),
    "float64": (common.DATA_TYPE_FLOAT64, "<f8"),
    "int8": (common.DATA_TYPE_INT32, "<i4"),
    "int16": (common.DATA_TYPE_INT32, "<i4"),
    "int32": (common.DATA_TYPE_INT32, "<i4"),
    "int64": (common.DATA_TYPE_INT64, "<i8"),
    "uint8": (common.DATA_TYPE_INT32, "<i4"),
    "uint16": (common.DATA_TYPE_INT32, "<i4"),
    "uint32": (common.DATA_TYPE_INT64, "<i8"),
    "bool": (common.DATA_TYPE_BOOL, "?"),
    ">f4": (common.DATA_TYPE_FLOAT32, "<f4"),
}


@pytest.mark.parametrize("dtype", NUMBERS)
def test_numbers_travel_without_loss(dtype: str) -> None:
    array = np.array([[[0, 1], [2, 100]]]).astype(dtype).transpose(0, 2, 1)
    message = replies.tensor(array)
    data_type, wire = NUMBERS[dtype]
    assert message.data_type == data_type
    assert np.array_equal(np.frombuffer(message.data, wire).reshape(message.shape), array)


@pytest.mark.parametrize(
    "array", [np.array([b"a\xff", b""], object), np.array(["ä", ""], object), np.array(["ä", ""])]
)
def test_strings_travel(array: np.ndarray) -> None:
    message = replies.tensor(array)
    assert message.data_type == common.DATA_TYPE_STRING
    assert list(message.shape) == [2]
    assert list(message.strings.values) == [v if isinstance(v, bytes) else v.encode() for v in array.tolist()]


def test_what_the_contract_cannot_carry_is_refused() -> None:
    with pytest.raises(Internal, match="complex64"):
        replies.tensor(np.zeros(2, np.complex64))


def test_a_failed_row_has_no_class() -> None:
    probabilities = np.array([[0.2, 0.8], [np.nan, np.nan], [0.6, 0.4]], np.float32)
    lengths = np.array([3, 3, 3], np.int32)
    result = ClassifyResult(probabilities, ("a", "b"), lengths, ["none"] * 3, {1: InvalidInput("no")})
    assert replies.predicted(result) == [1, -1, 0]


def test_the_dropout_report_says_all_that_the_manifest_does() -> None:
    model = fake_model("m", 2)
    sites = (
        Site("encoder/dropout", "GaussianDropout", None, None, "t", "before"),
        Site("head/dropout", "SpatialDropout1D", 0.3, (-1, 1, 8), "t", "after"),
        Site("dropout", "Dropout", 0.1, None, "t", "at", shared=(0, 2), sampled=True),
    )
    layers = (
        LayerRecord("head", "Sequential", (-1, 3), 51),
        LayerRecord("head/lstm", "LSTM", (-1, -1, 8), 40, 8, 0.0, 0.25),
    )
    proof = Proof(False, ("one", "two"), (Figure("f", "what", 0.5, 1e-5),))
    report = model_replies.dropout_report(
        replace(
            model,
            manifest=replace(
                model.manifest, sites=sites, proof=proof, preparer="7", layers=layers, unsampled="why not"
            ),
        )
    )
    first, second, read = report.sites
    assert not first.HasField("rate")
    assert (first.place, list(first.noise_shape)) == (models.DROPOUT_PLACE_BEFORE_EMBEDDING, [])
    assert (second.rate, second.place) == (0.3, models.DROPOUT_PLACE_IN_HEAD)
    assert (list(second.noise_shape), list(second.shared_axes)) == ([-1, 1, 8], [1])
    assert not first.shared_axes
    assert [site.read for site in report.sites] == [False, False, True]
    assert read.place == models.DROPOUT_PLACE_AT_SEAM
    assert list(read.shared_axes) == [0, 2]
    assert [site.sampled for site in report.sites] == [False, False, True]
    assert report.unsampled == "why not"
    assert not report.layers[0].HasField("dropout")
    assert not report.layers[0].HasField("recurrent_dropout")
    assert report.layers[0] == models.ModelLayer(
        path="head", layer_class="Sequential", output_shape=[-1, 3], parameters=51
    )
    assert report.layers[1] == models.ModelLayer(
        path="head/lstm",
        layer_class="LSTM",
        output_shape=[-1, -1, 8],
        parameters=40,
        units=8,
        dropout=0.0,
        recurrent_dropout=0.25,
    )
    assert report.proof == models.DropoutProof(
        proven=False,
        findings=["one", "two"],
        figures=[models.ProofFigure(name="f", meaning="what", value=0.5, limit=1e-5)],
        preparer="7",
    )


def test_how_a_model_is_run_and_why() -> None:
    setting = Setting("openvino", "bfloat16", 4, 4096, 64, streams=2)
    slow = Measured(Setting(), 900.0, 0.01)
    cannot = Measured(Setting("openvino"), problem="no such operation")
    price = Price(300, 0.9995, 0.9999, 0.01, flipped=0.0, neighbors_kept=None)
    tuned = Tuned(setting, (Measured(setting, 2000.0, 0.002), slow, cannot), price, "A processor", 1.5)
    version = Version(Source("m", 1, None), State.READY, model=replace(fake_model("m"), tuned=tuned))
    told = model_replies.model(version, default=True).serving
    assert asdict(about.serving(told)) == asdict(tuned), "as the client reads it"
    assert told.price.HasField("flipped")
    assert not told.price.HasField("neighbors_kept")


def test_a_setting_that_was_named_has_no_price_and_nothing_measured() -> None:
    version = Version(Source("m", 1, None), State.READY, model=fake_model("m"))
    told = model_replies.model(version, default=True).serving
    assert about.serving(told) == Serving(setting=ServingSetting(**vars(Setting())))


def test_a_server_that_does_not_know_of_streams_has_one() -> None:
    told = models.Serving(setting=models.ServingSetting(engine="openvino", precision="float32", threads=2))
    assert about.serving(told).setting.streams == 1
