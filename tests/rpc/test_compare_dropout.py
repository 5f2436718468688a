"""CompareDropout over a socket, by real workers: its figures are those of masks in NumPy, and of samples."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest
from google.longrunning import operations_pb2 as lro
from google.protobuf.duration_pb2 import Duration
from penult.v1 import analysis_service_pb2 as pb
from penult.v1 import common_pb2
from penult_client import Client
from penult_service.config import Limits
from penult_service.embedder import LoadedModel
from penult_service.masks import dropped, keys_of
from penult_service.prepared import Site
from support.calling import Outcome, call, call_stream
from support.fakes import fake_model
from support.pools import data_that_is_warm, unwarmed_workers
from support.serving import SERVING, health, open_channel, serving, wait_until

WORDS = ("film", "soup", "rain", "moon")
TEXTS = [f"{WORDS[i % 4]} {WORDS[i % 4]} number {i}" for i in range(150)]
LABELS = [WORDS[i % 4] for i in range(150)]
GATE = threading.Event()
GATE.set()
HEAD, ALL = common_pb2.DROPOUT_SCOPE_HEAD, common_pb2.DROPOUT_SCOPE_ALL


def with_sites(model: LoadedModel, *changes: dict[str, Any]) -> LoadedModel:
    """The model whose manifest tells something else of its dropouts."""
    sites = tuple(replace(site, **change) for site, change in zip(model.manifest.sites, changes, strict=True))
    return replace(model, manifest=replace(model.manifest, sites=sites))


def partly_sampled(model: LoadedModel) -> LoadedModel:
    """The model with a dropout more, whose place in the graph is not known."""
    other = Site("encoder/other", "Dropout", 0.1, None, "", "before")
    return replace(model, manifest=replace(model.manifest, sites=(*model.manifest.sites, other)))


MODELS = (
    fake_model("reviews", 3, nan_on="poison"),
    fake_model("amount", head="regression"),
    fake_model("tags", head="multilabel"),
    fake_model("pairs", takes="pair"),
    fake_model("uncut", whole_only=True),
    fake_model("gated", gate=GATE),
    with_sites(fake_model("outside"), {"sampled": False}, {}),
    partly_sampled(fake_model("partly")),
    with_sites(fake_model("unrated"), {"rate": None}, {"rate": None}),
    with_sites(fake_model("noisy"), {}, {"layer_class": "OwnNoise"}),
    with_sites(fake_model("gaussian"), {}, {"layer_class": "GaussianDropout"}),
)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return data_that_is_warm(tmp_path_factory.mktemp("served") / "data")


@pytest.fixture(scope="module")
def address(data: Path) -> Iterator[str]:
    """Of a server where a call may take long."""
    with serving(*MODELS, analysis_workers=1, data=data, limits=Limits(max_analysis_seconds=300)) as server:
        with server.channel() as channel:
            wait_until(lambda: health(channel, "penult.v1.AnalysisService") == SERVING, 300)
        yield server.address


@pytest.fixture
def channel(address: str) -> Iterator[grpc.Channel]:
    with open_channel(address) as opened:
        yield opened


@pytest.fixture(scope="module")
def strict(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Where a server is in which every comparison is an operation, of a model that takes its time; eleven texts at full
    length fill half its queue.
    """
    limits = Limits(max_analysis_seconds=1.3, max_queued_tokens=3000)
    data = data_that_is_warm(tmp_path_factory.mktemp("strict") / "data")
    model = fake_model("reviews", 3, seconds=0.01)
    with unwarmed_workers(), serving(model, limits=limits, analysis_workers=1, data=data) as server:
        yield server.address


def request(*texts: str, samples: int = 3, model: str = "reviews", **fields: Any) -> pb.CompareDropoutRequest:
    """A request without a map; the keywords overwrite its fields, those of DropoutOptions under `dropout`."""
    dropout = common_pb2.DropoutOptions(samples=samples, **fields.pop("dropout", {}))
    given = {"texts": common_pb2.TextList(texts=texts), "model": model, "without_map": True, **fields}
    return pb.CompareDropoutRequest(dropout=dropout, **given)


def compared(channel: grpc.Channel, *texts: str, **fields: Any) -> Any:
    outcome = call(channel, "CompareDropout", request(*texts, **fields), timeout=200)
    assert outcome.code == "OK", outcome
    return outcome.reply


def cosines(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    x, y = a.astype(np.float64), b.astype(np.float64)
    return (x * y).sum(-1) / np.linalg.norm(x, axis=-1) / np.linalg.norm(y, axis=-1)


def changed(clean: np.ndarray, draws: np.ndarray) -> np.ndarray:
    """Of 15 neighbours how many are others, [passes, n]."""

    def nearest(rows: np.ndarray) -> np.ndarray:
        similar = cosines(rows[:, None], rows[None])
        np.fill_diagonal(similar, -np.inf)
        return np.argsort(-similar, axis=1, kind="stable")[:, :15]

    first = nearest(clean)
    return np.array(
        [
            [15 - len(set(a) & set(b)) for a, b in zip(first, nearest(draws[:, i]), strict=True)]
            for i in range(draws.shape[1])
        ]
    )


def test_figures_are_those_of_masks_and_of_samples(channel: grpc.Channel, address: str) -> None:
    passes, rate = 30, 0.1  # more rows than are drawn at a time
    with Client(address) as client:
        clean = client.embed(TEXTS, model="reviews").vectors
        samples = {
            scope: client.uncertainty(TEXTS, passes, scope, 42, model="reviews", draws=True)
            for scope in ("head", "all")
        }
    made = compared(channel, *TEXTS, samples=passes, row_labels=LABELS, without_map=False)
    assert (made.rows, made.passes, made.seed, made.neighbors, made.n_clusters) == (150, 30, 42, 15, 4)
    head, everywhere = made.effects
    assert (head.scope, everywhere.scope) == (HEAD, ALL)
    assert [[one.path for one in e.active] for e in made.effects] == [
        ["dropout"],
        ["encoder/dropout", "dropout"],
    ]

    rows, numbers = np.repeat(np.arange(150), passes), np.tile(np.arange(passes), 150)
    draws = dropped(clean[rows], keys_of(42, numbers, rows)[0], 1, rate).reshape(150, passes, -1)
    to_clean, between = cosines(draws, clean[:, None]), cosines(draws[:, 1:], draws[:, :-1])
    for told, values in ((head.cosine_to_clean, to_clean), (head.cosine_between_draws, between)):
        np.testing.assert_allclose(
            (told.mean, told.std, told.min), (values.mean(), values.std(), values.min()), atol=1e-6
        )
        assert sum(told.counts) == values.size
        assert len(told.counts) == 40
    assert head.expected_cosine_to_clean == pytest.approx(np.sqrt(1 - rate))
    assert head.expected_cosine_between_draws == pytest.approx(1 - rate)
    others = changed(clean, draws)
    assert head.neighbors_changed == pytest.approx(others.mean(), abs=2e-3)  # a tie may fall otherwise
    np.testing.assert_allclose(head.row_neighbors_changed, others.mean(axis=0), atol=0.1)
    assert not everywhere.HasField("expected_cosine_to_clean")
    assert everywhere.cosine_to_clean.mean < head.cosine_to_clean.mean

    for effect, found in zip(made.effects, samples.values(), strict=True):
        flips = found.draws.argmax(axis=2) != found.clean.argmax(axis=1)[:, None]
        assert 0 < flips.mean() < 1
        assert effect.predictions_flipped == pytest.approx(flips.mean(), abs=1e-3)
        assert effect.rows_flipped == pytest.approx(flips.any(axis=1).sum(), abs=1)
        np.testing.assert_allclose(effect.row_flipped, flips.mean(axis=1), atol=1 / 30 + 1e-6)
        places = np.frombuffer(effect.coordinates.data, "<f4").reshape(150, 2)
        assert np.isfinite(places).all()
    np.testing.assert_array_equal(made.predicted, samples["head"].clean.argmax(axis=1))
    assert list(made.labels) == ["negative", "neutral", "positive"]
    assert made.coordinates.rows == 150
    assert [figure.name for figure in made.inference] == ["head_vs_saved_function", "rate_0_vs_inference"]
    assert [figure.value for figure in made.inference] == [0.0, 0.0]
    assert (made.provenance.layer, made.provenance.version) == ("pooled_output", 3)
    assert not made.adjustments
    assert made.answer.startswith("Take the embeddings before the dropout; in inference")


def test_the_same_comes_again_and_another_seed_is_another(channel: grpc.Channel) -> None:
    one, again, other = (compared(channel, *TEXTS[:40], dropout={"seed": seed}) for seed in (7, 7, 8))
    assert one == again
    assert one.effects[0].cosine_to_clean != other.effects[0].cosine_to_clean
    assert (one.seed, other.seed) == (7, 8)


@pytest.mark.parametrize(
    ("dropout", "scope", "paths", "plain"),
    [
        ({"scope": HEAD}, HEAD, ["dropout"], True),
        ({"scope": ALL, "rate": 0.4}, ALL, ["encoder/dropout", "dropout"], False),
        ({"sites": ["dropout"], "rate": 0.4}, 0, ["dropout"], True),
        ({"sites": ["encoder/dropout"]}, 0, ["encoder/dropout"], False),
    ],
)
def test_what_is_asked_for_alone_is_compared(
    channel: grpc.Channel, dropout: dict[str, Any], scope: int, paths: list[str], plain: bool
) -> None:
    made = compared(channel, *TEXTS[:20], dropout=dropout)
    (effect,) = made.effects
    assert effect.scope == scope
    assert [active.path for active in effect.active] == paths
    rate = dropout.get("rate", 0.1)
    assert [active.rate for active in effect.active] == pytest.approx([rate] * len(paths))
    assert effect.HasField("expected_cosine_to_clean") == plain
    if plain:
        assert effect.expected_cosine_between_draws == pytest.approx(1 - rate)


def test_a_scope_that_cannot_be_done_is_left_out_and_told(channel: grpc.Channel) -> None:
    made = compared(channel, *TEXTS[:20], model="outside")
    assert [effect.scope for effect in made.effects] == [HEAD]
    (told,) = made.adjustments
    assert (told.parameter, told.asked, told.used) == ("dropout.scope", "all", "head")
    assert "encoder/dropout" in told.why
    asked = call(channel, "CompareDropout", request(*TEXTS[:20], model="outside", dropout={"scope": ALL}))
    assert (asked.code, asked.reason) == ("FAILED_PRECONDITION", "NO_SAMPLING")


def test_dropouts_that_stay_as_they_are_are_told(channel: grpc.Channel) -> None:
    told = compared(channel, *TEXTS[:20], model="partly")
    assert [(one.parameter, one.asked, one.used) for one in told.adjustments] == [
        ("dropout.sites", "all", "2 of 3")
    ]
    assert "encoder/other" in told.adjustments[0].why
    assert "With dropout active in 2 places, inside the encoder too" in told.answer


def test_where_no_rate_is_known_one_is_given(channel: grpc.Channel) -> None:
    refused = call(channel, "CompareDropout", request(*TEXTS[:20], model="unrated"))
    assert (refused.code, refused.reason, refused.field) == (
        "FAILED_PRECONDITION", "NO_DROPOUT_RATE", "dropout.rate",
    )  # fmt: skip
    made = compared(channel, *TEXTS[:20], model="unrated", dropout={"rate": 0.2})
    assert [active.rate for active in made.effects[1].active] == pytest.approx([0.2, 0.2])


def test_of_other_noise_the_theory_says_nothing(channel: grpc.Channel) -> None:
    for effect in compared(channel, *TEXTS[:20], model="gaussian").effects:
        assert not effect.HasField("expected_cosine_to_clean")
        assert not effect.HasField("expected_cosine_between_draws")
        assert effect.cosine_to_clean.mean < 1


def test_three_rows_once(channel: grpc.Channel) -> None:
    made = compared(channel, "a", "b c", "d e f", samples=1, n_clusters=8, without_map=False)
    for effect in made.effects:
        assert not effect.HasField("cosine_between_draws")
        assert effect.neighbors_changed == 0
        assert np.isfinite(np.frombuffer(effect.coordinates.data, "<f4")).all()
    assert (made.neighbors, made.n_clusters) == (2, 3)
    assert [(a.parameter, a.asked, a.used) for a in made.adjustments] == [("n_clusters", "8", "3")]


def test_equal_rows_and_one_label(channel: grpc.Channel) -> None:
    made = compared(channel, *["the same"] * 20, row_labels=["only"] * 20)
    assert made.n_clusters == 1
    assert made.cluster_agreement_reseeded.mean == 1.0
    for effect in made.effects:
        assert not effect.HasField("pair_rank_correlation")
        assert effect.cosine_to_clean.min < effect.cosine_to_clean.max
    assert "cluster" not in made.answer


def test_a_model_that_tells_no_classes(channel: grpc.Channel) -> None:
    made = compared(channel, *TEXTS[:20], model="amount")
    for effect in made.effects:
        assert not effect.HasField("predictions_flipped")
        assert not effect.HasField("rows_flipped")
        assert not effect.row_flipped
    assert not made.predicted
    assert not made.labels
    assert made.n_clusters == 8
    assert "class" not in made.answer


def test_of_several_labels_the_set_counts(channel: grpc.Channel, address: str) -> None:
    with Client(address) as client:
        found = client.uncertainty(TEXTS[:40], 5, "head", 42, model="tags", draws=True)
    sets = (found.draws >= 0.5) != (found.clean >= 0.5)[:, None]
    made = compared(channel, *TEXTS[:40], model="tags", samples=5, dropout={"scope": HEAD})
    assert made.effects[0].predictions_flipped == pytest.approx(sets.any(axis=2).mean(), abs=1e-3)
    assert made.effects[0].predictions_flipped > 0


def test_labels_that_name_classes_are_held_against_predictions(channel: grpc.Channel, address: str) -> None:
    with Client(address) as client:
        found = client.uncertainty(TEXTS[:40], 5, "head", 42, model="reviews", draws=True)
    truth = np.arange(40) % 3
    names = [found.labels[number] for number in truth]
    made = compared(channel, *TEXTS[:40], samples=5, row_labels=names)
    assert made.accuracy == pytest.approx((found.clean.argmax(axis=1) == truth).mean(), abs=1e-6)
    expected = (found.draws.argmax(axis=2) == truth[:, None]).mean()
    assert made.effects[0].accuracy == pytest.approx(expected, abs=0.006)
    strange = compared(channel, *TEXTS[:40], row_labels=["else", *names[1:]])
    assert not strange.HasField("accuracy")
    assert not strange.effects[0].HasField("accuracy")


def test_records_of_two_texts(channel: grpc.Channel) -> None:
    pairs = [{"premise": text, "hypothesis": f"it is {i % 3}"} for i, text in enumerate(TEXTS[:12])]
    records = [
        common_pb2.Record(values={name: common_pb2.RecordValue(text=text) for name, text in pair.items()})
        for pair in pairs
    ]
    asked = request(model="pairs")
    asked.records.CopyFrom(common_pb2.RecordList(records=records))
    made = call(channel, "CompareDropout", asked)
    assert made.code == "OK", made
    assert made.reply.rows == 12


BAD = [
    ("no rows", {}, (), "INVALID_ARGUMENT", "EMPTY_INPUT", "texts"),
    ("two rows", {}, ("a", "b"), "INVALID_ARGUMENT", "TOO_FEW_ROWS", "input"),
    ("5,001 rows", {}, ("a",) * 5001, "INVALID_ARGUMENT", "TOO_MANY_ROWS", "input"),
    ("no such model", {"model": "nobody"}, TEXTS[:4], "NOT_FOUND", "MODEL_NOT_FOUND", "model"),
    ("no dropout to put back", {"model": "uncut"}, TEXTS[:4], "FAILED_PRECONDITION", "NO_SAMPLING", "model"),
    ("noise", {"model": "noisy"}, TEXTS[:4], "FAILED_PRECONDITION", "NO_SAMPLED_EMBEDDING", "model"),
    (
        "a scope and paths",
        {"dropout": {"scope": HEAD, "sites": ["dropout"]}},
        TEXTS[:4],
        "INVALID_ARGUMENT",
        "WRONG_COMBINATION",
        "dropout.sites",
    ),
    (
        "an unknown path",
        {"dropout": {"sites": ["dropuot"]}},
        TEXTS[:4],
        "INVALID_ARGUMENT",
        "UNKNOWN_DROPOUT",
        "dropout.sites",
    ),
    ("rate 1", {"dropout": {"rate": 1.0}}, TEXTS[:4], "INVALID_ARGUMENT", "OUT_OF_RANGE", "dropout.rate"),
    ("rate NaN", {"dropout": {"rate": np.nan}}, TEXTS[:4], "INVALID_ARGUMENT", "OUT_OF_RANGE", "dropout.rate"),
    ("many passes", {"samples": 1001}, TEXTS[:4], "INVALID_ARGUMENT", "OUT_OF_RANGE", "dropout.samples"),
    ("passes below 0", {"samples": -1}, TEXTS[:4], "INVALID_ARGUMENT", "OUT_OF_RANGE", "dropout.samples"),
    ("a seed below 0", {"dropout": {"seed": -1}}, TEXTS[:4], "INVALID_ARGUMENT", "OUT_OF_RANGE", "dropout.seed"),
    ("clusters below 0", {"n_clusters": -1}, TEXTS[:4], "INVALID_ARGUMENT", "OUT_OF_RANGE", "n_clusters"),
    ("three labels", {"row_labels": "abc"}, TEXTS[:4], "INVALID_ARGUMENT", "LABELS_MISMATCH", "row_labels"),
    ("an unknown scope", {"dropout": {"scope": 9}}, TEXTS[:4], "INVALID_ARGUMENT", "UNKNOWN_ENUM_VALUE", "dropout.scope"),  # noqa: E501
    (
        "no room for the reply",
        {"max_response_bytes": 100},
        TEXTS[:4],
        "INVALID_ARGUMENT",
        "RESPONSE_TOO_LARGE",
        "max_response_bytes",
    ),
    ("NaN", {"samples": 30}, (*TEXTS[:140], "poison"), "FAILED_PRECONDITION", "NOT_FINITE", "texts[140]"),
    (
        "a text that is too long",
        {"samples": 30, "truncate": common_pb2.TRUNCATE_MODE_ERROR},
        (*TEXTS[:145], "word " * 300),
        "INVALID_ARGUMENT",
        "TEXT_TOO_LONG",
        "texts[145]",
    ),
]  # fmt: skip


@pytest.mark.parametrize(
    ("fields", "texts", "code", "reason", "field"), [one[1:] for one in BAD], ids=[one[0] for one in BAD]
)
def test_wrong_input(
    channel: grpc.Channel, fields: dict[str, Any], texts: tuple[str, ...], code: str, reason: str, field: str
) -> None:
    asked = request(*texts, **fields)
    told = call(channel, "CompareDropout", asked)
    assert (told.code, told.reason, told.field) == (code, reason, field)
    if "[" in field:
        assert field in told.message
        return
    started = call(channel, "StartAnalysis", pb.StartAnalysisRequest(compare_dropout=asked))
    if reason == "RESPONSE_TOO_LARGE":
        assert started.code == "OK"
    else:
        assert (started.code, started.reason, started.field) == (code, reason, f"compare_dropout.{field}")


def get(channel: grpc.Channel, name: str) -> tuple[Any, pb.AnalysisMetadata]:
    operation: Any = call(channel, "GetOperation", lro.GetOperationRequest(name=name)).reply
    metadata = pb.AnalysisMetadata()
    assert operation.metadata.Unpack(metadata)
    return operation, metadata


def start(channel: grpc.Channel, asked: pb.CompareDropoutRequest) -> str:
    started: Outcome = call(channel, "StartAnalysis", pb.StartAnalysisRequest(compare_dropout=asked))
    assert started.code == "OK", started
    name: str = started.reply.name  # type: ignore[union-attr]
    return name


def test_an_operation_gives_the_same_in_one_part(channel: grpc.Channel) -> None:
    asked = request(*TEXTS[:60], without_map=False)
    plain = call(channel, "CompareDropout", asked).reply
    name = start(channel, asked)
    wait = lro.WaitOperationRequest(name=name, timeout=Duration(seconds=60))
    operation: Any = call(channel, "WaitOperation", wait, timeout=70).reply
    assert operation.done
    response = pb.CompareDropoutResponse()
    assert operation.response.Unpack(response), operation
    assert response == plain
    _, metadata = get(channel, name)
    assert (metadata.analysis, metadata.rows, metadata.stage) == ("compare_dropout", 60, "done")
    parts, outcome = call_stream(channel, "ReadResult", pb.ReadResultRequest(name=name))
    assert outcome.code == "OK"
    (part,) = parts
    assert (part.first_row, part.row_count, part.rows) == (0, 0, 0)  # type: ignore[attr-defined]
    assert part.compare_dropout == plain  # type: ignore[attr-defined]


def test_what_is_long_tells_its_stages(strict: str) -> None:
    with open_channel(strict) as channel:
        asked = request(*TEXTS, samples=30)
        refused = call(channel, "CompareDropout", asked)
        assert (refused.code, refused.reason) == ("FAILED_PRECONDITION", "USE_START_ANALYSIS")
        assert float(refused.metadata["estimated_seconds"]) > 1
        name = start(channel, asked)
        stages: list[str] = []
        counted: dict[str, list[int]] = {}

        def ended() -> bool:
            operation, metadata = get(channel, name)
            stages.extend([metadata.stage] if metadata.stage not in stages else [])
            if metadata.total:
                counted.setdefault(metadata.stage, []).append(metadata.done)
                assert metadata.done <= metadata.total
            return bool(operation.done)

        wait_until(ended, 300)
        operation, _ = get(channel, name)
        assert operation.HasField("response"), operation
        order = [stage for stage in stages if stage in ("sampling", "neighbours", "clusters", "done")]
        assert order[0] == "sampling"
        assert order[-1] == "done"
        assert len(counted["sampling"]) > 1
        assert counted["sampling"] == sorted(counted["sampling"])


def test_a_cancelled_one_ends_its_work_and_leaves_nothing(channel: grpc.Channel, data: Path) -> None:
    engine: Any = next(model.engine for model in MODELS if model.name == "gated")
    many = request(*TEXTS, samples=30, model="gated")
    try:
        GATE.clear()
        name = start(channel, many)
        wait_until(lambda: get(channel, name)[1].stage in ("embedding", "sampling"))
        call(channel, "CancelOperation", lro.CancelOperationRequest(name=name))
        wait_until(lambda: get(channel, name)[0].done)
        assert get(channel, name)[1].stage == "cancelled"
        GATE.set()

        # The same of a call that its caller leaves, in the middle of drawing.
        wait_until(lambda: compared(channel, *TEXTS[:3], model="gated").rows == 3)
        ran = len(engine.batches)
        path = "/penult.v1.AnalysisService/CompareDropout"
        pending = channel.unary_unary(path).future(many.SerializeToString(), timeout=60)
        wait_until(lambda: len(engine.batches) > ran + 3)
        pending.cancel()
        assert pending.code() is grpc.StatusCode.CANCELLED
    finally:
        GATE.set()
    assert compared(channel, *TEXTS[:12], model="gated").rows == 12
    runs = [path for path in (data / "analysis").glob("*/*") if path.is_dir() and path.name != "numba"]
    wait_until(lambda: not any(path.exists() for path in runs))


def test_without_workers_nothing_is_embedded() -> None:
    model = fake_model("reviews", 3)
    with serving(model) as server, server.channel() as channel:
        before = len(model.engine.batches)  # type: ignore[attr-defined]
        refused = call(channel, "CompareDropout", request(*TEXTS[:9]))
        assert (refused.code, refused.reason) == ("FAILED_PRECONDITION", "ANALYSIS_OFF")
        assert len(model.engine.batches) == before  # type: ignore[attr-defined]


def test_both_clients(flavour: Any, address: str) -> None:
    client = flavour.client(address, timeout=100)
    made = flavour.run(
        client.compare_dropout(TEXTS[:30], model="reviews", labels=LABELS[:30], passes=4, seed=5)
    )
    assert (made.rows, len(made), made.passes, made.seed, made.n_clusters) == (30, 30, 4, 5, 4)
    assert [effect.scope for effect in made.effects] == ["head", "all"]
    assert made.coordinates.shape == made.effects[1].coordinates.shape == (30, 2)
    assert made.effects[0].row_neighbors_changed.shape == made.effects[0].row_flipped.shape == (30,)
    assert made.effects[0].row_neighbors_changed.mean() == pytest.approx(
        made.effects[0].neighbors_changed, abs=1e-5
    )
    assert made.predicted.dtype == np.int32
    assert (made.model, made.version, made.labels) == ("reviews", 3, ("negative", "neutral", "positive"))
    assert str(made) == made.answer
    assert (made.accuracy, made.effects[0].accuracy) == (None, None)
    operation = flavour.run(
        client.compare_dropout(
            TEXTS[:30],
            model="reviews",
            layers=["dropout"],
            rate=0.5,
            passes=1,
            n_clusters=2,
            map=False,
            wait=False,
        )
    )
    named = flavour.run(operation.wait())
    (effect,) = named.effects
    assert (effect.scope, effect.active[0].rate, effect.cosine_between_draws) == ("named", 0.5, None)
    assert (named.coordinates, effect.coordinates, named.n_clusters) == (None, None, 2)
    assert effect.expected_cosine_to_clean == pytest.approx(np.sqrt(0.5))
    plain = flavour.run(client.compare_dropout(TEXTS[:30], model="amount", passes=2, map=False))
    assert (plain.predicted, plain.effects[0].row_flipped, plain.effects[0].predictions_flipped) == (
        None,
    ) * 3


@pytest.mark.usefixtures("quick")
def test_the_client_starts_an_operation_where_a_call_would_be_too_long(flavour: Any, strict: str) -> None:
    client = flavour.client(strict, timeout=100)
    before = len(flavour.run(client.operations()))
    seen: list[tuple[int, int]] = []
    made = flavour.run(
        client.compare_dropout(
            TEXTS, passes=2, map=False, progress=lambda done, total: seen.append((done, total))
        )
    )
    assert made.rows == 150
    assert len(flavour.run(client.operations())) == before + 1
    assert seen
