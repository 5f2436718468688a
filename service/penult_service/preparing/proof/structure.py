"""The proof by structure, said: what the audit found in the graph as saved and as served, or why it is refused."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from penult_service.errors import ModelRefused
from penult_service.prepared import HEAD, WHOLE
from penult_service.preparing.audit import Audit, Found, audit
from penult_service.preparing.graph import FlatGraph
from penult_service.preparing.opened import Layer, Opened
from penult_service.preparing.proof.clean import clean_function

RANDOM = "RANDOM_AT_INFERENCE"
_RECURRENT = ("LSTM", "GRU", "SimpleRNN", "RNN", "ConvLSTM1D", "ConvLSTM2D", "ConvLSTM3D")
AS_SERVED = " as served"
"""What follows the name of a part of the prepared model that is looked at."""


@dataclass
class Structure:
    """What was found so far, for a person.

    Attributes:
        allow_random: Random operations are noted and not refused: the operator's `--allow-stochastic`.
        findings: A line each.
        random: The part that was looked at -> the first random operation in it; filled only when allowed.
    """

    allow_random: bool = False
    findings: list[str] = field(default_factory=list)
    random: dict[str, Found] = field(default_factory=dict)

    def as_saved(self, opened: Opened) -> Opened:
        """Looks at the function that was read; where it is refused, at other functions of the same file.

        Returns:
            The model with the function that is to be served.

        Raises:
            ModelRefused: RANDOM_AT_INFERENCE, WRITES_AT_INFERENCE; `metadata` names op, node and layer.
        """
        report, chosen = audit(opened.flat, opened.layers), opened.signature
        if report.refused and (found := clean_function(opened)) is not None:
            name, opened = found
            first = [*report.random, *report.writes][0]
            self.findings.append(
                f"{chosen} is not served ({first} is active there); {name}, another function of the same file, is "
                "clean, and is served instead"
            )
            self.look(opened.flat, f"{name} as saved", opened.layers)
        else:
            self._judge(report, "the graph as saved")
        self.findings += _hidden_dropouts(opened)
        return opened

    def look(self, flat: FlatGraph, what: str, layers: Sequence[Layer]) -> None:
        """Looks at one function.

        Raises:
            ModelRefused: as `as_saved`.
        """
        self._judge(audit(flat, layers), what)

    def _judge(self, report: Audit, what: str) -> None:
        if report.random and self.allow_random and not report.writes_floats:
            self.random[what] = report.random[0]
            line = f"{what}: {report.nodes} operations behind its outputs, NOT clean: {report.refused[0]}"
            self.findings.append(
                line + (f" (and {len(report.random) - 1} more)" if report.random[1:] else "")
            )
        elif report.refused:
            raise _refusal(report, what)
        else:
            line = "operations behind its outputs, none random, none writes a variable"
            self.findings.append(f"{what}: {report.nodes} {line}")
        self.findings += [f"{what}: left out, {line}" for line in report.folded]
        self.findings += [f"{what}: no output is computed from {one}" for one in report.listed]

    def warnings(self) -> tuple[str, ...]:
        """What every reply says of a model that is served though it is random; nothing of a clean one.

        Call it when the parts that are served were looked at, each by its name.
        """
        if not self.random:
            return ()
        parts = {what.removesuffix(AS_SERVED) for what in self.random if what.endswith(AS_SERVED)}
        found = next(iter(self.random.values()))
        only_head = parts <= {HEAD, WHOLE}
        what = (
            "predictions (the embeddings are not touched by it)"
            if only_head
            else "embeddings and predictions"
        )
        return (
            f"not proven: {found} is active at inference, so {what} are not what the model says of a text, and may be "
            "others in the next call; served because of --allow-stochastic",
        )


def _refusal(report: Audit, what: str) -> ModelRefused:
    more = f" (and {len(report.refused) - 1} more)" if len(report.refused) > 1 else ""
    metadata = [*report.random, *report.writes][0].metadata()
    if report.random:
        return ModelRefused(
            f"dropout or another random operation is active at inference in {what}: {report.refused[0]}{more}; "
            "call the layer without training=True (or save the inference function) and save the model again",
            reason=RANDOM,
            metadata=metadata,
        )
    layer = report.writes[0].layer
    why = "a layer such as BatchNormalization is called with training=True; call it without"
    if layer is not None and layer.class_name in _RECURRENT:
        why = "a stateful layer goes on from what it was last asked, whoever asked; build it with stateful=False"
    return ModelRefused(
        f"{what} changes itself while it answers: {report.refused[0]}{more}; {why} and save the model again",
        reason="WRITES_AT_INFERENCE",
        metadata=metadata,
    )


def _hidden_dropouts(opened: Opened) -> list[str]:
    names = [layer.name for layer in opened.layers if layer.class_name == "KerasLayer"]
    if not names:
        return []
    return [
        f"{', '.join(names)}: one layer each to Keras; a dropout inside leaves no operation in the inference graph, so "
        "it is listed by name and rate only where the function for training tells of it, and the lines above and below "
        "say whether one is active"
    ]
