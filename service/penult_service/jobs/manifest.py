"""What a job is, written once when it begins; a job that goes on must be the same one."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from penult_service.errors import InvalidInput
from penult_service.jobs import durable
from penult_service.jobs.identity import Input, changes

FORMAT = 1
# Facts about the model that may differ from one part of a job to the next without changing a number.
NOT_COMPARED = ("penult",)


@dataclass(frozen=True)
class Manifest:
    """Inputs, options and model of a job.

    `options` are those that decide the bytes of the output, by the names of the command line; `model` is the
    provenance of the first reply; `rows` are those of all inputs.
    """

    inputs: tuple[Input, ...]
    options: Mapping[str, Any]
    model: Mapping[str, Any]
    rows: int
    overwrite: bool

    def write(self, path: Path) -> None:
        """Write it, whole or not at all."""
        facts = {"format": FORMAT, **asdict(self)}
        with durable.whole(path) as draft:
            draft.write_text(json.dumps(facts, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")

    @classmethod
    def read(cls, path: Path) -> Manifest:
        """What `write` wrote.

        Raises:
            InvalidInput: another release wrote it, in another format (JOB_FORMAT), or it is damaged (JOB_DAMAGED).
        """
        try:
            facts = json.loads(path.read_text(encoding="utf-8"))
        except ValueError as error:
            raise InvalidInput(
                f"{path} cannot be read ({error}); start anew with --overwrite", reason="JOB_DAMAGED"
            ) from error
        if facts.pop("format", None) != FORMAT:
            raise InvalidInput(
                f"{path.parent} is of another release of penult; finish it with that one, or start anew with "
                "--overwrite",
                reason="JOB_FORMAT",
            )
        inputs = tuple(Input.from_facts(each) for each in facts.pop("inputs"))
        return cls(inputs=inputs, **facts)


def work_changes(was: Manifest, inputs: Sequence[Input], options: Mapping[str, Any]) -> list[str]:
    """What differs between a job and what is asked for now, in words; nothing when it is the same work."""
    found = changes(was.inputs, inputs)
    return found + [
        f"{name} is {_said(options.get(name))}, it was {_said(was.options.get(name))}"
        for name in {**was.options, **options}
        if options.get(name) != was.options.get(name)
    ]


def model_changes(was: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """What differs between two provenances, in words; nothing when the same model answers in the same way."""
    names = [name for name in {**was, **now} if name not in NOT_COMPARED]
    return [
        f"{name.replace('_', ' ')} is {_said(now.get(name))}, it was {_said(was.get(name))}"
        for name in names
        if was.get(name) != now.get(name)
    ]


def refuse_changes(found: list[str]) -> None:
    """Raises InvalidInput (JOB_CHANGED), naming all that differs, when there is anything."""
    if found:
        raise InvalidInput(
            f"this is not the job that was begun: {'; '.join(found)}. Ask for the same again, or start anew with "
            "--overwrite and without --resume",
            reason="JOB_CHANGED",
            metadata={"changed": "; ".join(found)},
        )


def _said(value: Any) -> str:
    return "not given" if value is None else json.dumps(value, ensure_ascii=False).strip('"')
