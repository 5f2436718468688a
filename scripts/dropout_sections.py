"""The answers of the dropout report, in Markdown: words around figures, which the caller has measured."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from dropout_measured import Against, Cost
from penult_service.plots.markdown import table

Told = Mapping[str, Any]
_HEAD, _ALL = "in front of the head", "everywhere"


class Unsupported(Exception):
    """The figures do not say what the page would."""


def page(sections: Iterable[str]) -> str:
    """The whole document."""
    return "\n".join(
        (
            "# Dropout: what people ask, and what it does",
            "",
            "Written by `scripts/dropout-report`: every figure and picture is of one run of the "
            "commands shown. Two models, "
            "trained on the same 4,000 sentences of four genres and asked about 1,000 others: "
            "**BERT**, the demo's (string input, "
            "hub preprocessing, hub encoder, `pooled_output`, `Dropout(0.1)`, `Dense`), and "
            "**words**, a small one of Keras 3 "
            "(`TextVectorization`, `Embedding`, `SpatialDropout1D(0.2)`, `Conv1D`, pooling, `Dense`, "
            "`Dropout(0.5)`, `Dense`).",
            "",
            *sections,
        )
    )


def before_or_after(compared: Mapping[str, Told]) -> str:
    """The question that the project is named after."""
    figures = {name: {one["name"]: one for one in told["inference"]} for name, told in compared.items()}
    for name, found in figures.items():
        _hold(found["before_vs_after_dropout"]["value"] == 0, f"{name}: after is not before, bit for bit")
    names = list(next(iter(figures.values())))
    rows = [
        [
            figures[next(iter(figures))][figure]["meaning"],
            *(_tiny(found[figure]["value"]) for found in figures.values()),
        ]
        for figure in names
    ]
    return _section(
        "Should embeddings be taken before or after the dropout?",
        "**Before it; in inference after it is the same tensor, bit for bit.** Dropout hands on what "
        "it gets unless it is told to "
        "train. Largest differences found:",
        _table(["", *figures], rows),
        _command("penult dropout MODEL --texts held_out.csv --label-column genre -o report.html"),
    )


def switched_on(compared: Mapping[str, Told]) -> str:
    """What if it were on."""
    parts = []
    for name, told in compared.items():
        rows = _effects(told)
        heads = [_HEAD if effect["scope"] == "head" else _ALL for effect in told["effects"]]
        parts += ["", f"### {name}", "", told["answer"], _table(["", *heads, "beside it"], rows)]
        parts += [
            f"![{name}: {picture.partition('-')[2]}](dropout/{picture})" for picture in told["pictures"]
        ]
    first = next(iter(compared.values()))
    return _section(
        "And what if it were on?",
        "Dropout put back on purpose into the inference graph (everything else stays in inference), "
        f"{first['passes']} passes over "
        f"{first['rows']:,} texts. In front of the head, rate p turns a vector by a known angle: its "
        "cosine to the clean one is about "
        "sqrt(1 - p), of two draws 1 - p. Beside k-means stands what another seed of k-means alone changes.",
        *parts,
        _command("penult dropout MODEL --texts held_out.csv --label-column genre -o report.html"),
    )


def how_sure(sure: Mapping[tuple[str, str], Told], loops: Sequence[Against], cost: Cost) -> str:
    """Monte Carlo dropout: calibration, the oracle, the cost."""
    rows = [
        [
            f"{name}, {layers}",
            f"{told['accuracy']:.3f}",
            f"{told['ece']:.3f}",
            *(
                f"{told['auroc'][measure]:.3f}"
                for measure in ("entropy", "mutual_information", "variation_ratio")
            ),
            f"{told['mean_mutual_information']:.4f}",
        ]
        for (name, layers), told in sure.items()
    ]
    checks = [
        [
            f"{one.model}, {one.layers}",
            f"{one.passes:,}",
            f"{one.numbers}",
            f"{one.largest:.4f}",
            f"{one.largest_z:.2f}",
            f"{one.expected_z:.2f}",
            f"{one.spread:.3f}",
        ]
        for one in loops
    ]
    for one in loops:
        _hold(
            one.largest_z < one.expected_z + 1,
            f"{one.model}: {one.largest_z:.2f} standard errors from the loop",
        )
    pictures = [f"![{name}, {layers}](dropout/{name}-reliability-{layers}.png)" for name, layers in sure]
    low, middle, high = cost.ratios[0], cost.ratios[len(cost.ratios) // 2], cost.ratios[-1]
    return _section(
        "How sure is it?",
        f"{next(iter(sure.values()))['samples']} samples a text, of the head's dropout or of all. ECE "
        "is the expected calibration error of the "
        "mean (15 bins); AUROC says how well a measure puts wrong predictions in front of right ones "
        "(0.5: not at all).",
        _table(
            [
                "",
                "accuracy",
                "ECE",
                "AUROC entropy",
                "mutual information",
                "variation ratio",
                "mean information, nats",
            ],
            rows,
        ),
        *pictures,
        "",
        "**Against the plain way**: a loop of `model(x, training=True)` in Keras, as many passes, "
        "other masks. `z` is the largest "
        "difference of two means in standard errors; of so many numbers chance alone stays below `by "
        "chance` in 99 of 100 runs.",
        _table(
            ["", "passes", "numbers", "largest difference", "z", "by chance", "spread, ours / theirs"], checks
        ),
        f"**Cost**: {cost.samples} samples of the head of {cost.texts} texts take {cost.sampled:.2f} s"
        " through the wire, a plain pass over "
        f"them {cost.plain:.2f} s: {middle:.2f} times ({low:.2f} to {high:.2f} in {len(cost.ratios)} "
        "rounds in turns). Samples of all "
        "dropouts are a pass each.",
        _command(
            "penult uncertainty held_out.csv --model MODEL --label-column genre --layers head --plot "
            "reliability.png",
            "python tests/benchmarks/uncertainty.py MODEL --texts held_out.csv",
        ),
    )


def masks(found: Sequence[tuple[str, tuple[str, ...], Told]], claims: Mapping[str, Sequence[Told]]) -> str:
    """What a mask looks like before and after an LSTM, and inside; what people say of it, by release of Keras."""
    rows = [
        [
            title,
            " ".join(["--shape", ",".join(map(str, told["shape"])), *words]),
            told["answer"],
            " ".join(axis["name"] for axis in told["axes"] if axis["shared"]) or "none",
        ]
        for title, words, told in found
    ]
    others = [
        [told["layer"], other["keras"], other["built"], other["found"]]
        for _, _, told in found
        for other in told["others"]
    ]
    return _section(
        "Dropout before or after an LSTM: what is dropped?",
        "The mask of each layer, read from the layer itself with `training=True` (an LSTM's from what"
        " its output says of them), and "
        "the axes along which 200 draws never differed. Shapes are samples, steps, features.",
        _table(["what is wanted", "penult explain dropout", "what is dropped together", "shared axes"], rows),
        *(f"![{title}](dropout/{told['picture']})" for title, _, told in found if told["picture"]),
        "",
        "A `noise_shape` that begins with 1 gives all samples of a batch **one** mask; write `(None, "
        "...)` there for one each. What the masks of an "
        "LSTM share depends on the release and on how the layer is built (each line measured the same way):",
        _table(["layer", "Keras", "built", "found"], others),
        "What people say of dropout, held against the layers:",
        _table(["Keras", "", "it is said", "measured"], _judged(claims)),
        _command(
            "penult explain dropout --shape 4,6,10 --layer lstm-dropout -o mask.png",
            "penult explain dropout --claims --keras 2",
        ),
    )


def one_column(rate: float, zeros: tuple[Sequence[float], Sequence[float]]) -> str:
    """Dropout on a column alone."""
    whole, one = zeros
    _hold(max(*one[:3], *one[4:]) == 0 < one[3], "a dropout of one column dropped others")
    rows = [
        [f"`Dropout({rate})` on all 14", *(f"{value:.3f}" for value in (min(whole), max(whole), whole[3]))],
        ["the same on column 3 alone", *(f"{value:.3f}" for value in (min(one), max(one), one[3]))],
    ]
    return _section(
        "Dropout on one column only?",
        f"`Dropout({rate})` does not leave out {rate:.0%} of the columns: it drops **each number by "
        "itself with that probability**, column 3 "
        "among them. No `noise_shape` picks a column; put the dropout on a slice, and put the columns"
        " together again: "
        "`Concatenate()([x[:, :3], Dropout(0.2)(x[:, 3:4]), x[:, 4:]])`. Share of zeros a column, "
        "over 20,000 rows:",
        _table(["", "the least", "the most", "column 3"], rows),
    )


def minibatch(told: Told) -> str:
    """A mask a sample or one for all."""
    return _section(
        "A mask for each sample of a mini-batch, or one for all?",
        *(f"- {line}" for line in told["answer"]),
        "",
        f"![masks in a mini-batch](dropout/{told['picture']})",
        "",
        _command("penult explain minibatch -o minibatch.png"),
    )


def units(told: Told) -> str:
    """What an LSTM's units are."""
    tensors = [[one["name"], _shape(one["shape"]), one["what"]] for one in told["tensors"]]
    claims = [[one["verdict"], one["said"], one["measured"]] for one in told["claims"]]
    return _section(
        "What do `units` of an LSTM configure?",
        told["answer"],
        _table(["tensor", "shape", ""], tensors),
        f"Parameters: {told['formula']}. What people say of it, held against the built layer:",
        _table(["", "it is said", "measured"], claims),
        f"![shapes of an LSTM](dropout/{told['picture']})",
        "",
        _command(
            "penult explain lstm --units 10 --steps 50 --features 7 -o lstm.png", "penult explain MODEL"
        ),
    )


def _judged(claims: Mapping[str, Sequence[Told]]) -> list[list[str]]:
    """Claims, those of another release only where it is judged otherwise."""
    (first, mine), *others = claims.items()
    verdicts = {one["said"]: one["verdict"] for one in mine}
    rows = [[first, one["verdict"], one["said"], one["measured"]] for one in mine]
    for release, theirs in others:
        rows += [
            [release, one["verdict"], one["said"], one["measured"]]
            for one in theirs
            if verdicts.get(one["said"]) != one["verdict"]
        ]
    return rows


def _effects(told: Told) -> list[list[str]]:
    effects = told["effects"]
    head = next((one for one in effects if one["expected_cosine_to_clean"] is not None), None)
    theory = [
        f"theory: {head[key]:.3f} ({_HEAD})" if head else ""
        for key in ("expected_cosine_to_clean", "expected_cosine_between_draws")
    ]
    again = told["cluster_agreement_reseeded"]["mean"]
    lines = [
        ("cosine to the clean vector", lambda e: f"{e['cosine_to_clean']['mean']:.3f}", theory[0]),
        ("cosine of two draws", lambda e: f"{e['cosine_between_draws']['mean']:.3f}", theory[1]),
        (
            f"neighbours replaced, of {told['neighbors']}",
            lambda e: f"{e['neighbors_changed']:.1f}",
            "without: 0",
        ),
        ("nearest neighbour kept", lambda e: f"{e['nearest_kept']:.0%}", "without: 100%"),
        (
            f"k-means, {told['n_clusters']} clusters (ARI)",
            lambda e: f"{e['cluster_agreement']['mean']:.3f}",
            f"another seed alone: {again:.3f}",
        ),
        ("rank correlation of pairs", lambda e: f"{e['pair_rank_correlation']:.3f}", "without: 1"),
        ("predictions flipped", lambda e: f"{e['predictions_flipped']:.2%}", "without: 0"),
    ]
    return [[title, *(value(effect) for effect in effects), beside] for title, value, beside in lines]


def _section(title: str, *parts: str) -> str:
    return "\n".join((f"## {title}", "", *parts, ""))


def _table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    plain = [[cell.replace("|", "\\|") for cell in line] for line in (heads, *rows)]
    return "\n".join(("", *table(plain[0], plain[1:]), ""))


def _command(*lines: str) -> str:
    return "\n".join(("", *(f"    {line}" for line in lines)))


def _shape(shape: Sequence[int]) -> str:
    return " x ".join("batch" if length < 0 else str(length) for length in shape)


def _tiny(value: float) -> str:
    return "0" if value == 0 else f"{value:.1e}"


def _hold(true: bool, otherwise: str) -> None:
    if not true:
        raise Unsupported(f"{otherwise}: the page would say otherwise, and is not written")
