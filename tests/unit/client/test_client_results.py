"""Replies of parts become one result; replies that cannot be right are said to be."""

from __future__ import annotations

import numpy as np
import pytest
from penult.v1 import common_pb2 as common
from penult.v1 import inference_service_pb2 as inference
from penult_client import InternalError, PreconditionError
from penult_client._core import results
from penult_client._core.arrays import to_array, to_matrix
from penult_client._core.enums import to_word
from penult_client._core.names import split_name
from penult_client._core.splitting import Part
from support.wire_numbers import packed

SOURCE = common.Provenance(model="models/m/versions/7", version=7, model_digest="d", embedding_space="s")


def embedded(rows, **changed):
    made = {
        "embeddings": packed(rows),
        "token_counts": [3] * len(rows),
        "truncations": [common.TRUNCATION_NONE] * len(rows),
        "provenance": SOURCE,
    }
    return inference.EmbedResponse(**{**made, **changed})


def test_parts_are_joined_in_order_and_may_be_written_to():
    replies = [(Part(0, 2), embedded([[1, 2], [3, 4]])), (Part(2, 3), embedded([[5, 6]]))]
    made = results.embeddings(replies)
    np.testing.assert_array_equal(made.vectors, [[1, 2], [3, 4], [5, 6]])
    assert made.vectors.dtype == np.float32
    made.vectors[0, 0] = 9
    assert len(made) == 3
    assert (made.model, made.version, made.digest, made.space) == ("m", 7, "d", "s")
    assert made.probabilities is None
    np.testing.assert_array_equal(made.token_counts, [3, 3, 3])


def test_truncation_is_a_word_a_text():
    known = [common.TRUNCATION_CUT, common.TRUNCATION_NONE, common.TRUNCATION_UNKNOWN, 0]
    made = results.embeddings([(Part(0, 4), embedded([[0]] * 4, truncations=known))])
    assert made.truncated.tolist() == ["cut", "none", "unknown", "unknown"]
    assert made.was_cut.tolist() == [True, False, False, False]


def test_two_models_never_share_a_matrix():
    other = common.Provenance(model="models/m/versions/8", model_digest="e", embedding_space="t")
    replies = [(Part(0, 1), embedded([[1]])), (Part(1, 2), embedded([[1]], provenance=other))]
    with pytest.raises(PreconditionError, match=r"from models/m/versions/7 to models/m/versions/8") as caught:
        results.embeddings(replies)
    assert caught.value.reason == "MODEL_CHANGED"


@pytest.mark.parametrize(
    "wrong",
    [
        {"embeddings": packed([[1], [2], [3]])},
        {"embeddings": common.Vectors(rows=2, columns=1, data=b"\0" * 7)},
        {"token_counts": [3]},
        {"truncations": [common.TRUNCATION_NONE] * 3},
    ],
)
def test_replies_that_do_not_fit_the_request_are_refused(wrong):
    with pytest.raises(InternalError) as caught:
        results.embeddings([(Part(0, 2), embedded([[1], [2]], **wrong))])
    assert caught.value.reason == "BAD_REPLY"


OF_TOKENS = common.Provenance(model="models/m/versions/7", version=7, pooling=common.POOLING_TOKENS)


def test_tokens_are_given_to_their_texts():
    first = embedded([[1], [2], [3]], token_counts=[2, 1], truncations=[2, 2], provenance=OF_TOKENS)
    second = embedded([[4], [5]], token_counts=[0, 2], truncations=[2, 2], provenance=OF_TOKENS)
    made = results.embeddings([(Part(0, 2), first), (Part(2, 4), second)])
    assert [each.tolist() for each in made.vectors] == [[[1], [2]], [[3]], [], [[4], [5]]]
    assert [each.shape for each in made.vectors] == [(2, 1), (1, 1), (0, 1), (2, 1)]


@pytest.mark.parametrize("counts", [[2, 2], [2], [4, -1]])
def test_tokens_that_nobody_has_are_refused(counts):
    reply = embedded([[1], [2], [3]], token_counts=counts, truncations=[2, 2], provenance=OF_TOKENS)
    with pytest.raises(InternalError) as caught:
        results.embeddings([(Part(0, 2), reply)])
    assert caught.value.reason == "BAD_REPLY"


def test_parts_of_different_width_are_refused():
    with pytest.raises(InternalError):
        to_matrix([packed([[1, 2]]), packed([[1]])], [1, 1])


def classified(predicted, labels=()):
    count = len(predicted)
    return inference.ClassifyResponse(
        probabilities=packed([[0.25, 0.75]] * count),
        labels=labels,
        predicted=predicted,
        token_counts=[1] * count,
        truncations=[common.TRUNCATION_NONE] * count,
        provenance=SOURCE,
    )


def test_labels_are_names_where_the_model_names_its_classes():
    made = results.classification([(Part(0, 3), classified([1, -1, 0], ["no", "yes"]))])
    assert made.labels.tolist() == ["yes", "", "no"]
    assert made.predicted.tolist() == [1, -1, 0]
    assert made.classes == ("no", "yes")
    assert len(made) == 3


def test_labels_are_numbers_where_it_does_not():
    made = results.classification([(Part(0, 1), classified([1])), (Part(1, 3), classified([0, -1]))])
    assert made.labels.tolist() == [1, 0, -1]
    assert made.classes == ()


@pytest.mark.parametrize("labels", [[], ["no", "yes"]])
def test_a_class_that_does_not_exist_is_refused(labels):
    with pytest.raises(InternalError, match="class 2 of"):
        results.classification([(Part(0, 1), classified([2], labels))])


@pytest.mark.parametrize("dtype", ["<f4", "<f8", "<i4", "<i8", "?"])
def test_tensors_of_every_type(dtype):
    numbers = {
        "<f4": common.DATA_TYPE_FLOAT32,
        "<f8": common.DATA_TYPE_FLOAT64,
        "<i4": common.DATA_TYPE_INT32,
        "<i8": common.DATA_TYPE_INT64,
        "?": common.DATA_TYPE_BOOL,
    }
    array = (np.arange(12).reshape(2, 3, 2) % 2).astype(dtype)
    made = to_array(common.Tensor(shape=array.shape, data_type=numbers[dtype], data=array.tobytes()))
    assert made.dtype == array.dtype
    np.testing.assert_array_equal(made, array)


def test_tensors_of_strings():
    strings = common.ByteStrings(values=[b"a", b"", b"\xff"])
    made = to_array(common.Tensor(shape=[3, 1], data_type=common.DATA_TYPE_STRING, strings=strings))
    assert made.tolist() == [[b"a"], [b""], [b"\xff"]]


@pytest.mark.parametrize(
    "tensor",
    [
        common.Tensor(shape=[3], data_type=common.DATA_TYPE_FLOAT32, data=b"\0" * 8),
        common.Tensor(shape=[2], data_type=common.DATA_TYPE_FLOAT32, data=b"\0" * 7),
        common.Tensor(shape=[1], data_type=99, data=b"\0" * 4),
        common.Tensor(
            shape=[2], data_type=common.DATA_TYPE_STRING, strings=common.ByteStrings(values=[b"a"])
        ),
    ],
)
def test_tensors_that_cannot_be_right(tensor):
    with pytest.raises(InternalError):
        to_array(tensor)


def predicted(*shape):
    data = np.zeros(shape, "<f4").tobytes()
    tensor = common.Tensor(shape=shape, data_type=common.DATA_TYPE_FLOAT32, data=data)
    return inference.PredictResponse(outputs={"out": tensor}, provenance=SOURCE)


def test_outputs_are_joined_along_the_texts():
    made = results.prediction([(Part(0, 2), predicted(2, 5)), (Part(2, 3), predicted(1, 5))])
    assert made.outputs["out"].shape == (3, 5)


def test_outputs_whose_shape_depends_on_the_part_are_refused():
    with pytest.raises(PreconditionError, match="at most 2 texts a call") as caught:
        results.prediction([(Part(0, 2), predicted(2, 5)), (Part(2, 3), predicted(1, 4))])
    assert caught.value.reason == "OUTPUT_SHAPES_DIFFER"


def test_outputs_that_are_not_by_text_are_refused():
    with pytest.raises(InternalError, match="for 2 texts"):
        results.prediction([(Part(0, 2), predicted(3, 5))])


def test_token_lists_are_one_a_text():
    reply = inference.TokenizeResponse(sequences=[inference.TokenSequence(ids=[1])], provenance=SOURCE)
    with pytest.raises(InternalError, match="1 token sequences for 2 texts"):
        results.tokens([(Part(0, 2), reply)])


def test_a_repr_shows_arrays_by_shape():
    made = results.embeddings([(Part(0, 2), embedded([[1, 2], [3, 4]]))])
    assert "vectors=float32[2, 2]" in repr(made)
    assert len(repr(made)) < 500
    outputs = results.prediction([(Part(0, 2), predicted(2, 5))])
    assert repr(outputs).endswith("outputs={'out': float32[2, 5]})")
    tokens = inference.TokenizeResponse(sequences=[inference.TokenSequence(ids=[1])] * 9, provenance=SOURCE)
    assert "ids=<9 items>" in repr(results.tokens([(Part(0, 9), tokens)]))


@pytest.mark.parametrize(
    ("resource", "name"),
    [
        ("models/reviews/versions/3", ("reviews", 3)),
        ("models/reviews", ("reviews", 0)),
        ("reviews", ("reviews", 0)),
        ("", ("", 0)),
    ],
)
def test_resource_names(resource, name):
    assert split_name(resource) == name


def test_values_of_a_newer_server_are_no_word():
    assert to_word(common.POOLING_MEAN, common.Pooling, "POOLING_") == "mean"
    assert to_word(0, common.Pooling, "POOLING_") == ""
    assert to_word(99, common.Pooling, "POOLING_") == ""
