"""The answer of a comparison in words: whether embeddings are taken before or after the dropout, and what it would do.

Every sentence is made from the figures of the reply, and left out where there are none.
"""

from __future__ import annotations

from penult.v1 import analysis_service_pb2 as pb
from penult.v1 import common_pb2

from penult_service.embedder.dropouts import ALL
from penult_service.rpc.analysis.dropout_plan import SITES

_SAME = 1e-9  # of cosines: nothing has turned
_STEADY, _MORE = 0.995, 0.02  # adjusted Rand index: the same clusters; a difference that says something
_PATHS = 2


def answer(message: pb.CompareDropoutResponse) -> str:
    """Two to four sentences."""
    sentences = [_before_or_after(message), *_effects(message), _clusters(message)]
    return " ".join(sentence for sentence in sentences if sentence)


def _before_or_after(message: pb.CompareDropoutResponse) -> str:
    figures = {figure.name: figure for figure in message.inference}
    found = figures.get("before_vs_after_dropout")
    if not message.provenance.dropout_proven_inactive:
        return (
            "Take the embeddings before the dropout: it is not proven that this model leaves its dropout out when it"
            " predicts."
        )
    if found is None:
        return "Take the embeddings before the dropout; in inference it is proven to play no part."
    if found.value == 0:
        return (
            "Take the embeddings before the dropout; in inference after it is the same tensor, bit for bit."
        )
    if found.value <= found.limit:
        return (
            "Take the embeddings before the dropout; in inference after it is the same tensor up to"
            f" {found.value:.1g}."
        )
    return (
        "Take the embeddings before the dropout: after it the numbers differ by up to"
        f" {found.value:.1g}, although the model predicts."
    )


def _effects(message: pb.CompareDropoutResponse) -> list[str]:
    return [_effect(message, effect) for effect in message.effects]


def _effect(message: pb.CompareDropoutResponse, effect: pb.DropoutEffect) -> str:
    where = f"With dropout active {_where(message, effect)}{_rates(effect)}"
    if _unmoved(effect):
        told = "the embeddings would stay as they are"
        return f"{where}, {told}{_classes(message, effect, ', and ', ' change')}."
    neighbours = _neighbours(message, effect)
    if not neighbours:
        few = f"{message.rows} texts are too few to say whether neighbours would change"
        classes = _classes(message, effect, ", ", " change")
        return f"{where}{classes}; {few}." if classes else f"{where}: {few}."
    return f"{where}, {neighbours} would change{_classes(message, effect, ', and ')}."


def _where(message: pb.CompareDropoutResponse, effect: pb.DropoutEffect) -> str:
    if effect.scope == common_pb2.DROPOUT_SCOPE_ALL:
        partly = any((one.parameter, one.asked) == (SITES, ALL) for one in message.adjustments)
        return f"{f'in {len(effect.active)} places' if partly else 'everywhere'}, inside the encoder too"
    if effect.scope == common_pb2.DROPOUT_SCOPE_HEAD:
        return "in front of the head"
    paths = [repr(active.path) for active in effect.active]
    return f"in {' and '.join(paths)}" if len(paths) <= _PATHS else f"in the {len(paths)} that were named"


def _rates(effect: pb.DropoutEffect) -> str:
    rates = sorted({round(active.rate, 6) for active in effect.active})
    if not rates:
        return ""
    return f" (rate {rates[0]:g})" if len(rates) == 1 else f" (rates {rates[0]:g} to {rates[-1]:g})"


def _unmoved(effect: pb.DropoutEffect) -> bool:
    return effect.neighbors_changed == 0 and effect.cosine_to_clean.min >= 1 - _SAME


def _neighbours(message: pb.CompareDropoutResponse, effect: pb.DropoutEffect) -> str:
    """How many would be others; empty where all the other texts are the nearest, so that none can be."""
    changed, among = effect.neighbors_changed, message.neighbors
    if among >= message.rows - 1:
        return ""
    whose = f"{among} nearest neighbours of a text"
    if changed == 0:
        return f"none of the {whose}"
    if round(changed) == 0:
        return f"fewer than one of the {whose} ({changed:.2g} on average)"
    if round(changed) == among:
        return f"all of the {whose}" if changed == among else f"nearly all of the {whose}"
    return f"on average {round(changed)} of the {whose}"


def _classes(
    message: pb.CompareDropoutResponse, effect: pb.DropoutEffect, start: str, change: str = ""
) -> str:
    """What becomes of the predicted classes, as the rest of a sentence; empty of no classifier.

    `change` is the verb, where none stands in the sentence before.
    """
    if not effect.HasField("rows_flipped"):
        return ""
    rows, flipped, passes = message.rows, effect.rows_flipped, message.passes
    if flipped == 0:
        return f"{start}no predicted class would{change}"
    often = f"{_percent(effect.predictions_flipped)} of all predictions"
    when = "" if passes == 1 else f" in at least one of {passes:,} passes"
    return f"{start}the predicted class of {flipped:,} of {rows:,} texts would{change}{when} ({often})"


def _percent(share: float) -> str:
    """Never 100 of what is less."""
    percent = 100 * share
    if 99.5 <= percent < 100:
        return f"{100 - float(f'{100 - percent:.1g}'):g} %"
    return f"{percent:.0f} %" if percent >= 10 else f"{percent:.2g} %"


def _index(value: float) -> str:
    """Two decimals; what rounds to 0 has no sign."""
    return f"{round(value, 2) + 0.0:.2f}"


def _clusters(message: pb.CompareDropoutResponse) -> str:
    """Of the scope that clusters survive least; nothing where one cluster is all."""
    moved = [effect for effect in message.effects if not _unmoved(effect)]
    if message.n_clusters < 2 or not moved:
        return ""
    worst = min(moved, key=lambda effect: effect.cluster_agreement.mean)
    agreed, seeds = worst.cluster_agreement.mean, message.cluster_agreement_reseeded
    among = f"{message.n_clusters} clusters of k-means"
    if agreed >= _STEADY:
        how = "stay the same" if agreed == 1 else "hardly change"
        return f"The {among} would {how} (adjusted Rand index {agreed:.4g})."
    if message.passes == 1:
        # One draw has no spread that another seed could be held against.
        where = "" if len(message.effects) == 1 else f" with dropout active {_where(message, worst)}"
        return (
            f"In one pass{where} the {among} agree with those without dropout by an adjusted Rand index of"
            f" {_index(agreed)}, those of another seed alone by {_index(seeds.mean)}; more passes would"
            " tell these apart."
        )
    start = "The" if len(message.effects) == 1 else f"With dropout active {_where(message, worst)}, the"
    figures = f"(adjusted Rand index {_index(agreed)}; another seed of k-means alone {_index(seeds.mean)})"
    # Within the spread of other seeds there is no difference to speak of.
    spread = max(_MORE, seeds.std)
    how = "less than" if agreed >= seeds.mean + spread else "more than"
    if abs(agreed - seeds.mean) < spread:
        how = "as much as"
    return f"{start} {among} would change {how} another seed alone changes them {figures}."
